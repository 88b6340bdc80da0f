//! `agent/docs/masking.md`: figures between marks, as a command has just measured them; the words around them by hand.

use anyhow::{Context, Result};
use portcullis_tests::place;

const DOCUMENT: &str = "agent/docs/masking.md";

/// Puts figures in the place of those that stand between the marks of that name.
pub fn write(name: &str, figures: &str) -> Result<()> {
    let path = place::repository().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {DOCUMENT}"))?;
    let text = replaced(&text, name, figures).with_context(|| format!("{DOCUMENT} has no marks for `{name}`"))?;
    std::fs::write(&path, text).with_context(|| format!("writing {DOCUMENT}"))?;
    eprintln!("written: {DOCUMENT}");
    Ok(())
}

fn replaced(text: &str, name: &str, figures: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{figures}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_figures_of_that_name_are_replaced() {
        let text = "a\n<!-- x:begin -->\n1\n<!-- x:end -->\n<!-- y:begin -->\n2\n<!-- y:end -->\n";
        let expected = "a\n<!-- x:begin -->\n1\n<!-- x:end -->\n<!-- y:begin -->\n3\n<!-- y:end -->\n";
        assert_eq!(replaced(text, "y", "3\n").unwrap(), expected);
        assert_eq!(replaced(text, "z", "3\n"), None);
    }
}
