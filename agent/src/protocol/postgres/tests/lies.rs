//! A server that describes other results than it sends, or other ones than were asked for.

use super::{
    super::{
        codec::{
            backend::{Field, Status},
            write,
        },
        playbook::*,
    },
    shows,
};

const SSN: &[u8] = b"078-05-1120";
const ORDERS: u32 = CUSTOMERS + 1;

/// Asks for one column of numbers that must be masked, and returns what the workload reads of these answers.
fn answered(answers: &[&[u8]]) -> Vec<u8> {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"SELECT ssn FROM customers"));
    answers.iter().for_each(|answer| book.up(answer));
    book.downstream
}

fn described(fields: &[Field]) -> Vec<u8> {
    write::row_description(fields).to_vec()
}

fn innocent() -> Field {
    field("id", ORDERS, 1, 23)
}

#[test]
fn another_origin_does_not_unmask() {
    for fields in [vec![innocent()], vec![innocent(), innocent()], vec![field("ssn", 0, 0, 25), innocent()]] {
        let row = vec![Some(SSN); fields.len()];
        let told = answered(&[&described(&fields), &write::data_row(&row)]);
        assert!(!shows(&told, "078-05-1120"), "{fields:?}");
    }
}

#[test]
fn another_type_does_not_unmask() {
    for type_oid in [16, 17, 20, 23, 114, 700, 1009, 1016, 1082, 2249, 2278, 2950, 3802, 0, 99_999, u32::MAX] {
        for is_binary in [false, true] {
            let lie = Field { is_binary, ..field("ssn", CUSTOMERS, 3, type_oid) };
            let told = answered(&[&described(&[lie]), &write::data_row(&[Some(SSN)])]);
            assert!(!shows(&told, "078-05-1120"), "{type_oid} {is_binary}");
        }
    }
}

#[test]
fn a_row_of_another_width_ends_the_session() {
    for row in [&[][..], &[Some(SSN), Some(SSN)]] {
        let told = answered(&[&described(&[field("ssn", CUSTOMERS, 3, 25)]), &write::data_row(row)]);
        assert!(shows(&told, "08P01") && !shows(&told, "078-05-1120"));
    }
}

#[test]
fn a_second_description_does_not_unmask() {
    let told = answered(&[
        &described(&[field("ssn", CUSTOMERS, 3, 25)]),
        &write::data_row(&[Some(SSN)]),
        &described(&[innocent()]),
        &write::data_row(&[Some(SSN)]),
    ]);
    assert!(!shows(&told, "078-05-1120"));
}

#[test]
fn rows_and_copied_data_that_nobody_announced_end_the_session() {
    for message in [write::data_row(&[Some(SSN)]), write::copy_data(SSN)] {
        let told = answered(&[&message]);
        assert!(shows(&told, "08P01") && !shows(&told, "078-05-1120"));
    }
}

#[test]
fn copied_data_in_place_of_rows_is_not_passed_on() {
    for is_binary in [false, true] {
        let told = answered(&[&write::copy_response(b'H', is_binary, 1), &write::copy_data(SSN)]);
        assert!(shows(&told, "08P01") && !shows(&told, "078-05-1120"));
    }
}

#[test]
fn a_value_that_is_shorter_than_it_says_is_no_row() {
    let mut row = write::data_row(&[Some(SSN)]).to_vec();
    row[7..11].copy_from_slice(&1000_u32.to_be_bytes());
    let done = [write::complete(b"SELECT 1"), write::ready(Status::Idle)].concat();
    let told = answered(&[&described(&[field("ssn", CUSTOMERS, 3, 25)]), &row, &done]);
    assert!(shows(&told, "08P01") && !shows(&told, "078-05-1120"));
}
