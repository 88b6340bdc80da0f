//! SQL with its keywords marked, for people at a terminal.
//!
//! Only colours: the text is shown as it is, and nothing is decided here. What decides reads SQL with the
//! server's own grammar (`sql/`).

use std::io::{self, IsTerminal};

use sqlparser::{
    dialect::PostgreSqlDialect,
    keywords::Keyword,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

use super::output::plain;

const KEYWORD: &str = "\x1b[1;34m";
const LITERAL: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// One statement for standard output: marked where that is a terminal, and always harmless to one.
pub fn sql(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(plain).collect();
    let text = lines.join("\n");
    if io::stdout().is_terminal() { marked(&text) } else { text }
}

fn marked(text: &str) -> String {
    let dialect = PostgreSqlDialect {};
    let Ok(tokens) = Tokenizer::new(&dialect, text).tokenize_with_location() else { return text.to_owned() };
    let mut marked = String::with_capacity(text.len() * 2);
    let mut marks = tokens.iter().filter_map(|token| Some((color(token)?, token.span))).peekable();
    let mut place = Location { line: 1, column: 1 };
    for character in text.chars() {
        if let Some((color, span)) = marks.peek() {
            if place == span.start {
                marked.push_str(color);
            }
            if place == span.end {
                marked.push_str(PLAIN);
                marks.next();
                if let Some((color, _)) = marks.next_if(|(_, span)| span.start == place) {
                    marked.push_str(color);
                }
            }
        }
        marked.push(character);
        place = match character {
            '\n' => Location { line: place.line + 1, column: 1 },
            _ => Location { column: place.column + 1, ..place },
        };
    }
    marked + PLAIN
}

fn color(token: &TokenWithSpan) -> Option<&'static str> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() && word.keyword != Keyword::NoKeyword => Some(KEYWORD),
        Token::Number(..) | Token::SingleQuotedString(_) | Token::DollarQuotedString(_) => Some(LITERAL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: &str) -> String {
        [KEYWORD, LITERAL, PLAIN].iter().fold(text.to_owned(), |text, code| text.replace(code, ""))
    }

    #[test]
    fn marks_change_no_character() {
        for text in
            ["SELECT a, 'x''y' FROM t -- c\nWHERE b = 1", "select $$a$$", "SELECT 'open", "", "ü SELECT 1", "1/2"]
        {
            assert_eq!(bare(&marked(text)), text);
        }
    }

    #[test]
    fn keywords_stand_out() {
        assert!(marked("SELECT a FROM t").starts_with("\x1b[1;34mSELECT\x1b[0m a "));
    }
}
