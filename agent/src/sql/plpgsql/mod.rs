//! Code in PL/pgSQL, taken apart into the SQL that it holds.
//!
//! ```text
//! body ─▶ lexer (the server's own) ─▶ parser ─▶ Code { variables, pieces }
//! ```
//! Where a piece of SQL begins and ends is decided as the server's `pl_gram.y` does; what the pieces mean is for the
//! analysis to say. libpg_query has a parser for this too, but its tree lacks the defaults of records, and with them
//! SQL that runs. What is not certain is an error, and unknown.

mod declarations;
mod lexer;
mod loops;
mod parser;
mod statements;
#[cfg(test)]
mod tests;

use self::parser::Parser;

/// Deepest nesting of blocks, loops and conditions.
pub const BLOCK_DEPTH_MAX: usize = 64;

/// Most variables, and most pieces of SQL, in the code of one body.
pub const PIECES_MAX: usize = 4096;

/// A body, in the order of its text: what runs how often, or at all, is not said.
#[derive(Debug, Default)]
pub struct Code {
    pub variables: Vec<String>,
    pub pieces: Vec<Piece>,
    /// Names of blocks, which variables may be qualified with.
    pub labels: Vec<String>,
    pub has_loops: bool,
    /// Whether it goes on after errors, so that it can tell whether something failed.
    pub has_handlers: bool,
}

/// A variable or a field of one, by the variable's name.
pub type Target = String;

/// SQL inside of code.
#[derive(Debug, Eq, PartialEq)]
pub enum Piece {
    /// A type by which a variable is declared; `None`: the type of a column or of a table's rows.
    Type(Option<String>),
    /// An expression, whose value goes into variables.
    Value { expression: String, into: Vec<Target> },
    /// `variable[subscript].field := expression`, as a whole.
    Assignment { text: String, target: Target },
    /// An expression that decides on what runs next, or how often.
    Condition(String),
    /// A statement without its INTO, and the variables that stood there.
    Statement { text: String, into: Vec<Target> },
    /// The query that a cursor stands for.
    Cursor { name: Target, query: String },
    /// EXECUTE and its kind: an expression that gives the text of a statement, and those that give its parameters.
    Dynamic { expression: String, using: Vec<String>, into: Vec<Target> },
    /// FETCH: from a cursor's variable into others.
    Fetch { cursor: Target, into: Vec<Target> },
    /// OPEN: a cursor of some name is there from now on.
    Open,
    /// An expression that RAISE puts into words.
    Said(String),
    /// An expression whose value is answered.
    Returned(String),
    /// A query whose rows are answered, or the result of [`Piece::Dynamic`] before.
    ReturnedQuery(String),
    /// The words of an error that was caught.
    Diagnostics(Vec<Target>),
}

impl Piece {
    /// The variables that it gives values to.
    pub fn targets(&self) -> &[Target] {
        match self {
            Self::Value { into, .. }
            | Self::Statement { into, .. }
            | Self::Dynamic { into, .. }
            | Self::Fetch { into, .. }
            | Self::Diagnostics(into) => into,
            Self::Assignment { target, .. } => std::slice::from_ref(target),
            Self::Type(_)
            | Self::Condition(_)
            | Self::Cursor { .. }
            | Self::Open
            | Self::Said(_)
            | Self::Returned(_)
            | Self::ReturnedQuery(_) => &[],
        }
    }
}

/// Why code is not understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misread {
    #[error("{0} at byte {1} of its code")]
    Unexpected(String, usize),
    #[error("its code ends too early")]
    Ends,
    #[error("its code does not tokenise: {0}")]
    Tokens(String),
    #[error("its code is nested deeper than {BLOCK_DEPTH_MAX} levels")]
    Deep,
    #[error("its code has more than {PIECES_MAX} pieces")]
    Long,
}

/// The variable that answers a dynamic RETURN QUERY.
pub const ANSWER: &str = "";

/// Takes a body apart. `name` is the function's; `known` are names that mean variables from the start: parameters, and
/// what the server gives.
pub fn parse(body: &str, name: &str, known: &[&str]) -> Result<Code, Misread> {
    Parser::new(body, name, known)?.body()
}
