//! The README's excerpt of the demo is what the demo has just shown.

use anyhow::{Result, ensure};

use super::stage::Stage;
use crate::quote::Quote;

/// Stands where an excerpt leaves out what differs from run to run.
const ELIDED: char = '…';

/// Compares line by line. A line with an ellipsis stands for others and is not compared.
pub fn check(stage: &Stage) -> Result<()> {
    let excerpt = Quote::of("README.md", "demo").read()?;
    let compared =
        excerpt.lines().filter(|line| !line.is_empty() && !line.starts_with("```") && !line.contains(ELIDED));
    let mut count = 0;
    for line in compared {
        ensure!(stage.has_shown(line.trim_end()), "the README shows what the demo does not: {line}");
        count += 1;
    }
    ensure!(count > 0, "the README's excerpt of the demo is empty");
    Ok(())
}
