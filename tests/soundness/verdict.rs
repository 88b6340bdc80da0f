//! What three answers to one question say: whether it was answered, what was masked, and whether anything leaked.

use crate::{
    arena::{Answers, Terms},
    generator::Question,
    message::{Message, Reply, Rows},
    needle::Needles,
    world,
};

/// More than this is not compared: it tells nothing that less does not.
const ANSWER_MAX: usize = 4 << 20;

/// What came of one question.
#[derive(Debug, Default)]
pub struct Verdict {
    pub outcome: Outcome,
    pub columns: Columns,
    pub leaks: Vec<String>,
}

#[derive(Debug, Default, Eq, PartialEq)]
pub enum Outcome {
    /// The gate refused it, for this reason.
    Denied(String),
    /// The server refused it, with this SQLSTATE.
    Failed(String),
    /// The server answered more than is worth comparing, or took longer than is worth waiting for.
    #[default]
    TooMuch,
    Answered,
    /// The gate answered otherwise than the server: not masked, but changed.
    Changed(String),
}

/// Columns of answers, by what the twin says of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Columns {
    /// Their values follow the secrets.
    pub dependent: usize,
    /// They do not.
    pub independent: usize,
    /// They do not, and were masked all the same.
    pub over_masked: usize,
}

impl Verdict {
    pub fn of(question: &Question, terms: Terms, answers: Answers<'_>, needles: &Needles) -> Self {
        let Answers { seen: gate, direct, twin } = answers;
        let mut verdict = Self { outcome: outcome(gate, direct, twin), ..Self::default() };
        for message in &gate.messages {
            let found = needles.find(&message.body);
            let tag = char::from(message.tag);
            verdict.leaks.extend(found.map(|secret| format!("a message of type {tag} holds a secret: {secret}")));
        }
        if verdict.leaks.is_empty() {
            // Letters on their own, one a row.
            let all: Vec<u8> = gate.messages.iter().flat_map(|message| message.body.iter().copied()).collect();
            verdict.leaks.extend(needles.find(&all).map(|secret| format!("messages together hold a secret: {secret}")));
        }
        verdict.leaks.extend(quoted(answers));
        if verdict.outcome == Outcome::Answered {
            // Whether a statement fails may follow the secrets: what it says then is compared, and that it fails is a stated limit.
            let fails = twin.error().is_some();
            verdict.compare(fails || question.infers && terms == Terms::Allow, answers);
        }
        verdict
    }

    /// Compares the rows. What a predicate on a secret selects is another matter than what is shown of it, where policy
    /// lets it `infer`.
    fn compare(&mut self, infers: bool, answers: Answers<'_>) {
        let (gate, direct, twin) = (answers.seen.results(), answers.direct.results(), answers.twin.results());
        if gate.len() != direct.len() {
            self.outcome = Outcome::Changed(format!("{} results instead of {}", gate.len(), direct.len()));
            return;
        }
        let rows = |results: &[Rows]| results.iter().map(Vec::len).collect::<Vec<_>>();
        if !infers && rows(&direct) != rows(&twin) {
            self.leaks.push(format!(
                "the number of rows follows the secrets: {:?}, not {:?}",
                rows(&direct),
                rows(&twin)
            ));
            return;
        }
        for (number, (gate, direct)) in gate.iter().zip(&direct).enumerate() {
            if gate.len() != direct.len() {
                self.outcome = Outcome::Changed(format!("{} rows instead of {}", gate.len(), direct.len()));
                return;
            }
            let Some(twin) = twin.get(number).filter(|_| !infers) else { continue };
            for column in 0..direct.first().map_or(0, Vec::len) {
                let cell = |rows: &Rows, row: usize| rows.get(row).and_then(|row| row.get(column)).cloned().flatten();
                let rows = 0..direct.len();
                let cells: Vec<_> = rows.map(|row| (cell(gate, row), cell(direct, row), cell(twin, row))).collect();
                self.column(column, &cells);
            }
        }
    }

    fn column(&mut self, column: usize, cells: &[(Cell, Cell, Cell)]) {
        if cells.iter().all(|(_, direct, _)| direct.is_none()) {
            return;
        }
        if cells.iter().all(|(_, direct, twin)| direct == twin) {
            self.columns.independent += 1;
            self.columns.over_masked += usize::from(cells.iter().any(|(gate, direct, _)| gate != direct));
            return;
        }
        self.columns.dependent += 1;
        let absent =
            |of: fn(&(Cell, Cell, Cell)) -> &Cell| cells.iter().map(|cell| of(cell).is_none()).collect::<Vec<_>>();
        let (gate, direct, twin) = (absent(|cell| &cell.0), absent(|cell| &cell.1), absent(|cell| &cell.2));
        if direct != twin && gate == direct {
            self.leaks.push(format!("which values of column {column} are absent follows the secrets"));
        }
        let shown = cells.iter().find(|(gate, direct, twin)| direct != twin && gate == direct && gate.is_some());
        if let Some((Some(value), ..)) = shown {
            let value = String::from_utf8_lossy(value);
            self.leaks.push(format!("column {column} follows the secrets and is shown as it is: {value:.80}"));
        }
    }
}

type Cell = Option<Vec<u8>>;

/// Words of the server that follow the secrets, and reach the workload as they are.
fn quoted(Answers { seen, direct, twin }: Answers<'_>) -> Option<String> {
    const WORDS: &[u8] = b"MDHWq";
    seen.words().zip(direct.words()).zip(twin.words()).find_map(|((gate, direct), twin)| {
        WORDS.iter().find_map(|&kind| {
            let (said, original, other) = (gate.field(kind)?, direct.field(kind)?, twin.field(kind)?);
            (said == original && original != other).then(|| {
                format!(
                    "field {} of an error follows the secrets: {:.80}",
                    char::from(kind),
                    String::from_utf8_lossy(said)
                )
            })
        })
    })
}

fn outcome(gate: &Reply, direct: &Reply, twin: &Reply) -> Outcome {
    let code = |reply: &Reply| {
        reply.error().and_then(|error| error.field(b'C')).map(|code| String::from_utf8_lossy(code).into_owned())
    };
    if [gate, direct, twin].into_iter().any(Reply::is_too_slow) {
        return Outcome::TooMuch;
    }
    if let Some(reason) = denial(gate) {
        return Outcome::Denied(reason);
    }
    match (code(gate), code(direct)) {
        (Some(_), Some(code)) => Outcome::Failed(code),
        (Some(code), None) => Outcome::Changed(format!("error {code} instead of an answer")),
        (None, Some(code)) => Outcome::Changed(format!("an answer instead of error {code}")),
        (None, None) if direct.bytes().max(twin.bytes()) > ANSWER_MAX => Outcome::TooMuch,
        (None, None) if gate.closed && !direct.closed => Outcome::Changed("a closed connection".to_owned()),
        (None, None) => Outcome::Answered,
    }
}

/// Why the gate refused: its rule, or its words without what differs from one statement to the next.
fn denial(gate: &Reply) -> Option<String> {
    let text = |error: &Message, kind| String::from_utf8_lossy(error.field(kind).unwrap_or_default()).into_owned();
    let error = gate.error()?;
    let message = text(error, b'M');
    let message = message.strip_prefix("denied: ")?;
    if let Some((rule, _)) = text(error, b'D').strip_prefix("Rule: ").and_then(|detail| detail.split_once('.')) {
        return Some(format!("rule {rule}"));
    }
    let general = message.split(' ').take(REASON_WORDS).map(|word| if is_named(word) { "…" } else { word });
    Some(general.collect::<Vec<_>>().join(" "))
}

/// Words of a reason that are counted as one.
const REASON_WORDS: usize = 12;

/// Whether a word of a reason names something of the statement.
fn is_named(word: &str) -> bool {
    word.contains(['"', '.', '/', '(', '`']) || world::CLASSES.contains(&format!("\"{}\"", word.trim_end_matches(',')))
}
