//! What a document quotes of a run: the text between two marks. The words around it are written by hand.

use std::fs;

use anyhow::{Context, Result};
use portcullis_tests::place;

/// The place in a document of this repository between `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
pub struct Quote {
    document: &'static str,
    name: &'static str,
}

impl Quote {
    pub const fn of(document: &'static str, name: &'static str) -> Self {
        Self { document, name }
    }

    pub fn read(&self) -> Result<String> {
        let text = self.text()?;
        Ok(self.parts(&text)?.1.to_owned())
    }

    /// Puts `quoted` in the place of what stands there.
    pub fn write(&self, quoted: &str) -> Result<()> {
        let text = self.text()?;
        let (before, _, after) = self.parts(&text)?;
        fs::write(place::repository().join(self.document), format!("{before}{quoted}{after}"))
            .with_context(|| format!("writing {}", self.document))?;
        eprintln!("written: {}", self.document);
        Ok(())
    }

    fn text(&self) -> Result<String> {
        fs::read_to_string(place::repository().join(self.document))
            .with_context(|| format!("reading {}", self.document))
    }

    /// What stands up to the first mark, between the two, and from the second on.
    fn parts<'t>(&self, text: &'t str) -> Result<(&'t str, &'t str, &'t str)> {
        let (begin, end) = (format!("<!-- {}:begin -->\n", self.name), format!("<!-- {}:end -->", self.name));
        let missing = |mark: &str| format!("{} has no `{}`", self.document, mark.trim_end());
        let from = text.find(&begin).with_context(|| missing(&begin))? + begin.len();
        let (before, rest) = text.split_at(from);
        let length = rest.find(&end).with_context(|| missing(&end))?;
        let (quoted, after) = rest.split_at(length);
        Ok((before, quoted, after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_of_that_name_is_quoted() {
        let text = "a\n<!-- x:begin -->\n1\n<!-- x:end -->\n<!-- y:begin -->\n2\n<!-- y:end -->\n";
        let (before, quoted, after) = Quote::of("page.md", "y").parts(text).unwrap();
        assert_eq!(quoted, "2\n");
        let expected = "a\n<!-- x:begin -->\n1\n<!-- x:end -->\n<!-- y:begin -->\n3\n<!-- y:end -->\n";
        assert_eq!(format!("{before}3\n{after}"), expected);
        let missing = Quote::of("page.md", "z").parts(text).unwrap_err().to_string();
        assert_eq!(missing, "page.md has no `<!-- z:begin -->`");
    }
}
