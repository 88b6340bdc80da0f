//! What honest programs ask passes, and answers as it does without a gate.

use super::*;

#[test]
fn honest_statements_answer_as_without_a_gate() -> Result<()> {
    let pair = Pair::start()?;
    let compared = corpus::compare(&pair, "honest.sql")?;
    let differing = compared.iter().filter(|one| one.governed != one.direct);
    let differing: Vec<_> =
        differing.map(|one| format!("{}gate:   {}\ndirect: {}\n", one.statement, one.governed, one.direct)).collect();
    ensure!(differing.is_empty(), "{} of {} differ:\n{}", differing.len(), compared.len(), differing.join("\n"));
    Ok(())
}
