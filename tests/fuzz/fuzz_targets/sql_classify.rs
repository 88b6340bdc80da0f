//! Any bytes are statements that are understood or unknown; what is unknown has a caveat that says why.
#![no_main]

use std::sync::LazyLock;

use portcullis::{
    request::sql::Operation,
    sql::{Catalogue, Classifier, SessionState},
    target::Class,
};

static CLASSIFIER: LazyLock<Classifier> = LazyLock::new(|| {
    let column = |name: &str, class: Option<&str>| (name.to_owned(), class.map(Class::from).into_iter().collect());
    let columns = vec![column("id", None), column("email", Some("email")), column("ssn", Some("ssn"))];
    let tables = [("public".to_owned(), "customers".to_owned(), columns)];
    Classifier::new(Catalogue::from_tables("shop", &["pg_catalog", "public"], tables))
});

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let footprint = CLASSIFIER.classify_afresh(text, &SessionState::default()).footprint;
    let unknown = footprint.sql().any(|access| access.operation == Operation::Unknown);
    assert!(!unknown || !footprint.caveats.is_empty());
});
