//! The tokens of a body, as the server's own lexer gives them.

use pg_query::protobuf::{KeywordKind, Token as Kind};

use super::Misread;

/// Longest identifier in bytes: `NAMEDATALEN` less one. The server cuts longer ones short.
const NAME_BYTES_MAX: usize = 63;

#[derive(Debug)]
pub struct Token<'t> {
    pub is: Is,
    pub text: &'t str,
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Eq, PartialEq)]
pub enum Is {
    /// A keyword or an identifier without quotes, in lower case.
    Word(String),
    /// An identifier in quotes.
    Quoted(String),
    /// `$1`
    Parameter,
    /// A literal of any kind.
    Literal,
    /// Punctuation and operators.
    Symbol,
}

impl Token<'_> {
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.is, Is::Word(known) if known == word)
    }

    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.is == Is::Symbol && self.text == symbol
    }

    /// Whether it is this word or symbol, by which a piece of SQL ends.
    pub fn is_end(&self, end: &str) -> bool {
        self.is_word(end) || self.is_symbol(end)
    }

    /// The identifier that it is.
    pub fn name(&self) -> Option<&str> {
        match &self.is {
            Is::Word(name) | Is::Quoted(name) => Some(name),
            Is::Parameter | Is::Literal | Is::Symbol => None,
        }
    }
}

pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, Misread> {
    // `scan_tokens` would be faster, and is undefined for a text without tokens.
    let scanned = pg_query::scan(text).map_err(|reason| Misread::Tokens(reason.to_string()))?.tokens;
    let mut tokens = Vec::with_capacity(scanned.len());
    for token in scanned {
        let span = usize::try_from(token.start).ok().zip(usize::try_from(token.end).ok());
        let found = span.and_then(|(start, end)| Some((start, end, text.get(start..end)?)));
        let Some((start, end, text)) = found else { return Err(Misread::Ends) };
        let is = match token.token() {
            Kind::SqlComment | Kind::CComment => continue,
            Kind::Sconst | Kind::Usconst | Kind::Bconst | Kind::Xconst | Kind::Fconst | Kind::Iconst => Is::Literal,
            Kind::Param => Is::Parameter,
            Kind::Ident => identifier(text),
            _ if token.keyword_kind() != KeywordKind::NoKeyword => Is::Word(text.to_ascii_lowercase()),
            _ => Is::Symbol,
        };
        if let Is::Word(name) | Is::Quoted(name) = &is
            && name.len() > NAME_BYTES_MAX
        {
            return Err(Misread::Unexpected(format!("a name of more than {NAME_BYTES_MAX} bytes"), start));
        }
        tokens.push(Token { is, text, start, end });
    }
    Ok(tokens)
}

fn identifier(text: &str) -> Is {
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(quoted) => Is::Quoted(quoted.replace("\"\"", "\"")),
        None => Is::Word(text.to_ascii_lowercase()),
    }
}
