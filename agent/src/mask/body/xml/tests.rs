use std::collections::BTreeMap;

use super::*;
use crate::{
    mask::{Method, body::Path},
    target::Class,
};

fn shown(body: &str, size: usize) -> Result<String, BodyError> {
    let paths = [("/order/card", "credit_card"), ("**/@ssn", "ssn"), ("/order/note", "pii")];
    let paths = paths.map(|(path, class)| (Path::parse(path).unwrap(), Class::from(class)));
    let masks = BTreeMap::from([
        (Class::from("credit_card"), Method::Last4),
        (Class::from("ssn"), Method::Redact),
        (Class::from("pii"), Method::Null),
        (Class::from("email"), Method::Redact),
    ]);
    let plan = Arc::new(BodyPlan::new(&paths, &masks, true).unwrap());
    let mut mask = XmlMask::new(&plan, &Arc::new(Masker::new([7; 32])));
    let mut out = Vec::new();
    for piece in body.as_bytes().chunks(size) {
        mask.feed(piece, &mut out)?;
    }
    mask.finish(&mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn texts_and_attributes_are_masked_by_path_and_by_content() {
    for (body, masked) in [
        ("<order><card>41111111&#49;1111111</card></order>", "<order><card>************1111</card></order>"),
        (
            "<s:order><x:card>4111111111111111</x:card></s:order>",
            "<s:order><x:card>************1111</x:card></s:order>",
        ),
        ("<a ssn = '1' b=\"2\"/>", "<a ssn = '[redacted]' b=\"2\"/>"),
        ("<a b='ann&#64;example.com'>bob@example.com</a>", "<a b='[redacted]'>[redacted]</a>"),
        ("<a><![CDATA[ann@example.com & <b>]]></a>", "<a>[redacted] &amp; &lt;b&gt;</a>"),
        ("<order><note>x<b>y</b></note></order>", "<order><note><b></b></note></order>"),
        ("<a><!-- ann@example.com --><?p ann@example.com?></a>", "<a></a>"),
        (
            "<?xml version='1.0' encoding='UTF-8'?>\n<a>x &amp; y</a>\n",
            "<?xml version='1.0' encoding='UTF-8'?>\n<a>x &amp; y</a>\n",
        ),
        ("", ""),
    ] {
        for size in [1, 5, 4096] {
            assert_eq!(shown(body, size).as_deref(), Ok(masked), "in pieces of {size}");
        }
    }
}

#[test]
fn a_text_in_pieces_shows_no_more_than_a_whole_one() {
    let body = "<order><card>41111111<!-- -->11111111<![CDATA[4444]]></card></order>";
    assert_eq!(shown(body, 9).unwrap(), "<order><card>****1111[redacted][redacted]</card></order>");
}

#[test]
fn what_lets_texts_hide_is_refused() {
    for (body, what) in [
        ("<!DOCTYPE a [<!ENTITY e '4111'>]><a>&e;</a>", Malformed::Declaration),
        ("<a>&e;</a>", Malformed::Entity),
        ("<a>&#x110000;</a>", Malformed::Entity),
        ("<a>&#+52;</a>", Malformed::Entity),
        ("<?xml version='1.0' encoding='UTF-16'?><a/>", Malformed::Encoding),
        ("<a>\0</a>", Malformed::Encoding),
        ("<a></b>", Malformed::Unbalanced),
        ("</a>", Malformed::Unbalanced),
        ("<a", Malformed::Truncated),
        ("<a>", Malformed::Truncated),
        ("<a b=c/>", Malformed::Tag),
        ("<a b='1'c='2'/>", Malformed::Tag),
        ("<a b/>", Malformed::Tag),
        ("< a/>", Malformed::Tag),
    ] {
        for size in [1, 4096] {
            assert_eq!(shown(body, size), Err(BodyError::Xml(what)), "{body}");
        }
    }
    assert_eq!(shown(&"<a>".repeat(DEPTH_MAX + 1), 4096), Err(BodyError::Xml(Malformed::Depth)));
    assert_eq!(shown(&format!("<!--{}", "x".repeat(TOKEN_MAX)), 4096), Err(BodyError::Xml(Malformed::Token)));
    assert_eq!(shown(&format!("<{}>", "x".repeat(NAME_MAX + 1)), 4096), Err(BodyError::Xml(Malformed::Name)));
}
