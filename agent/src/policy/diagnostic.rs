//! Cedar's diagnostics as findings with a place.

use miette::Diagnostic;

use crate::policy::{Finding, Source};

/// One finding for an error and for each error related to it.
pub fn findings(source: &Source, error: &dyn Diagnostic) -> Vec<Finding> {
    let own = finding(source, error);
    let related = error.related().into_iter().flatten().map(|related| finding(source, related));
    std::iter::once(own).chain(related).collect()
}

/// The error at its first label, or at `offset` when it has none.
pub fn finding_near(source: &Source, error: &dyn Diagnostic, offset: usize) -> Finding {
    let label = error.labels().and_then(|mut labels| labels.next());
    let place = label.as_ref().map_or(offset, |label| label.offset());
    let mut message = error.to_string();
    if let Some(label) = label.as_ref().and_then(|label| label.label()) {
        message.push_str(": ");
        message.push_str(label);
    }
    let finding = Finding::at(source, place, message);
    match error.help() {
        Some(help) => finding.hint(help.to_string()),
        None if finding.message.ends_with("is not a valid method") => finding.hint(METHODS),
        None => finding,
    }
}

const METHODS: &str = "sets have contains, containsAll, containsAny and isEmpty, entities hasTag and getTag; \
                       there are no regular expressions, but `like` with `*`";

/// An error and its causes in one line.
pub fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

fn finding(source: &Source, error: &dyn Diagnostic) -> Finding {
    finding_near(source, error, 0)
}
