//! Binds that are too long to be held.

use super::*;
use crate::protocol::postgres::codec::BIND_WHOLE_MAX;

fn prepare() -> Bytes {
    write::parse(b"s", b"INSERT INTO orders (id) VALUES ($1)")
}

fn long_bind(statement: &[u8], fill: u8) -> Bytes {
    write::bind(b"p", statement, &[Some(&vec![fill; 2 * BIND_WHOLE_MAX]), Some(b"7")], &[])
}

fn batch(fill: u8) -> Vec<u8> {
    [&prepare()[..], &long_bind(b"s", fill), &write::execute(b"p"), &write::bare(b'S')].concat()
}

/// What is read from a socket at once.
const PIECE: usize = 1 << 16;

fn say(book: &mut Playbook, bytes: &[u8]) {
    bytes.chunks(PIECE).for_each(|piece| book.down(piece));
}

#[test]
fn a_long_bind_passes_verbatim_and_in_pieces() {
    let whole = batch(b'x');
    for size in [1000, PIECE, 1 << 20] {
        let mut book = logged_in(permit);
        let mut held_most = 0;
        for (count, piece) in whole.chunks(size).enumerate() {
            book.down(piece);
            held_most = held_most.max((count + 1) * size - book.upstream.len().min((count + 1) * size));
        }
        assert!(book.upstream == whole, "in pieces of {size}");
        assert!(held_most <= size, "{held_most} bytes were held of pieces of {size}");
        book.up(&[write::bare(b'1'), write::bare(b'2'), write::complete(b"INSERT 0 1"), write::ready(Status::Idle)]
            .concat());
        assert_eq!(tags(&book.downstream), "12CZ");
    }
}

#[test]
fn an_approver_reads_the_start_of_long_arguments_and_a_grant_holds_for_these_alone() {
    let asked = |fill| {
        let mut book = logged_in(permit);
        say(&mut book, &batch(fill));
        let request = book.asked.last().unwrap();
        (request.described(), request.digest())
    };
    let (described, digest) = asked(b'x');
    assert!(described.contains("$1 = 'xxx") && described.contains("… (2097152 bytes in all)"), "{described}");
    assert!(described.contains("$2 = '7'") && described.contains("BLAKE3 "), "{described}");
    assert!(described.len() < 4096);
    assert_eq!(asked(b'x').1, digest);
    assert_ne!(asked(b'y').1, digest);
}

#[test]
fn a_long_bind_of_no_statement_is_refused_alone() {
    let mut book = logged_in(permit);
    say(&mut book, &long_bind(b"other", b'x'));
    book.down(&[write::execute(b"p"), write::bare(b'S')].concat());
    assert!(book.upstream.is_empty() && shows(&book.downstream, "prepared statement \"other\" does not exist"));
    assert_eq!(tags(&book.downstream), "EZ");
    book.down(&write::query(b"SELECT 1"));
    assert_eq!(tags(&book.upstream), "Q");
}

#[test]
fn a_long_bind_behind_an_error_is_skipped_by_both() {
    let mut book = logged_in(permit);
    let whole = batch(b'x');
    let (before, after) = whole.split_at(whole.len() / 2);
    say(&mut book, before);
    book.up(&write::notice(b'E', [(b'C', &b"42P01"[..]), (b'M', b"gone")]));
    say(&mut book, after);
    book.up(&write::ready(Status::Idle));
    assert_eq!((tags(&book.upstream), tags(&book.downstream)), ("PBS".to_owned(), "EZ".to_owned()));
    assert_eq!(book.asked.len(), 1, "what was skipped was judged");
}

#[test]
fn a_long_bind_in_the_middle_of_a_denied_batch_never_leaves() {
    let mut book = logged_in(refuse);
    say(&mut book, &batch(b'x'));
    assert!(book.upstream.is_empty());
    assert_eq!(tags(&book.downstream), "EZ");
}

#[test]
fn a_long_bind_that_lies_about_its_values_ends_the_session() {
    let mut book = logged_in(permit);
    let mut bind = long_bind(b"s", b'x').to_vec();
    let end = bind.len() - 8;
    // The length of the last value.
    bind[end..end + 4].copy_from_slice(&9_u32.to_be_bytes());
    say(&mut book, &[&prepare()[..], &bind, &write::execute(b"p"), &write::bare(b'S')].concat());
    assert!(book.is_closed && shows(&book.downstream, "Bind ends before its last field"));
    assert_eq!((tags(&book.upstream), tags(&book.downstream)), ("PBX".to_owned(), "E".to_owned()));
}

#[test]
fn arguments_that_wait_for_a_slow_answer_are_not_heard_without_end() {
    let mut book = logged_in(permit);
    book.down(&prepare());
    let bind = write::bind(b"", b"s", &[Some(&vec![b'x'; BIND_WHOLE_MAX / 2])], &[]);
    let mut count = 0;
    while !book.is_full() {
        book.down(&bind);
        count += 1;
        assert!(count < 1000, "it is heard on and on");
    }
    assert_eq!(tags(&book.upstream).chars().last(), Some('H'), "the server is asked for its answers");
    book.up(&[write::bare(b'1').to_vec(), write::bare(b'2').repeat(count)].concat());
    assert!(!book.is_full() && !book.is_closed);
}
