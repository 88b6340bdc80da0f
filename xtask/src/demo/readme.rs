//! The README's excerpt of the demo is what the demo has just shown.

use anyhow::{Context, Result, ensure};
use portcullis_tests::place;

use super::stage::Stage;

const BEGIN: &str = "<!-- demo:begin -->";
const END: &str = "<!-- demo:end -->";
/// Stands where an excerpt leaves out what differs from run to run.
const ELIDED: char = '…';

/// Compares line by line. A line with an ellipsis stands for others and is not compared.
pub fn check(stage: &Stage) -> Result<()> {
    let path = place::repository().join("README.md");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let begin = text.find(BEGIN).with_context(|| format!("the README has no `{BEGIN}`"))?;
    let excerpt = text.get(begin + BEGIN.len()..).and_then(|rest| rest.split_once(END)).map(|(excerpt, _)| excerpt);
    let lines = excerpt.with_context(|| format!("the README has no `{END}`"))?.lines();
    let compared = lines.filter(|line| !line.is_empty() && !line.starts_with("```") && !line.contains(ELIDED));
    let mut count = 0;
    for line in compared {
        ensure!(stage.has_shown(line.trim_end()), "the README shows what the demo does not: {line}");
        count += 1;
    }
    ensure!(count > 0, "the README's excerpt of the demo is empty");
    Ok(())
}
