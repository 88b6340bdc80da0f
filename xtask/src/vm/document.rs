//! `agent/docs/kernels.md`: the matrix between two marks, the words around it by hand.

use anyhow::{Context, Result};
use portcullis_tests::place;

use super::matrix::{self, Row};

const DOCUMENT: &str = "agent/docs/kernels.md";
const BEGIN: &str = "<!-- matrix:begin -->\n";
const END: &str = "<!-- matrix:end -->";

/// Puts a run's matrix in the place of the one that is there.
pub fn write(rows: &[Row]) -> Result<()> {
    let path = place::repository().join(DOCUMENT);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {DOCUMENT}"))?;
    let text = replaced(&text, &matrix::markdown(rows)).with_context(|| format!("{DOCUMENT} has no marks"))?;
    std::fs::write(&path, text).with_context(|| format!("writing {DOCUMENT}"))?;
    eprintln!("written: {DOCUMENT}");
    Ok(())
}

fn replaced(text: &str, matrix: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{matrix}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_matrix_is_replaced() {
        let text = format!("# Kernels\n{BEGIN}old\n{END}\nnotes\n");
        assert_eq!(replaced(&text, "new\n").unwrap(), format!("# Kernels\n{BEGIN}new\n{END}\nnotes\n"));
        assert_eq!(replaced("# Kernels\n", "new\n"), None);
    }
}
