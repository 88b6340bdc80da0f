//! Loops and conditions.

use super::{Misread, Piece, parser::Parser};

impl Parser<'_> {
    /// `IF … THEN … [ELSIF … THEN …] [ELSE …] END IF`
    pub fn conditional(&mut self) -> Result<(), Misread> {
        self.nested(|parser| {
            loop {
                let test = parser.sql("then")?;
                parser.piece(Piece::Condition(test))?;
                parser.statements(&["elsif", "elseif", "else", "end"])?;
                if !(parser.take("elsif") || parser.take("elseif")) {
                    break;
                }
            }
            if parser.take("else") {
                parser.statements(&["end"])?;
            }
            parser.ends(&["end", "if", ";"])
        })
    }

    /// `CASE [value] WHEN values THEN … [ELSE …] END CASE`
    pub fn case(&mut self) -> Result<(), Misread> {
        self.nested(|parser| {
            let has_subject = !parser.take("when");
            if has_subject {
                let subject = parser.sql("when")?;
                parser.piece(Piece::Condition(subject))?;
            }
            loop {
                let test = parser.sql("then")?;
                let test = if has_subject { format!("NULL IN ({test})") } else { test };
                parser.piece(Piece::Condition(test))?;
                parser.statements(&["when", "else", "end"])?;
                if !parser.take("when") {
                    break;
                }
            }
            if parser.take("else") {
                parser.statements(&["end"])?;
            }
            parser.ends(&["end", "case", ";"])
        })
    }

    pub fn while_loop(&mut self) -> Result<(), Misread> {
        let test = self.sql("loop")?;
        self.piece(Piece::Condition(test))?;
        self.repeated()
    }

    /// What stands between LOOP and END LOOP.
    pub fn repeated(&mut self) -> Result<(), Misread> {
        self.code.has_loops = true;
        self.nested(|parser| {
            parser.statements(&["end"])?;
            parser.ends(&["end", "loop"])?;
            parser.end_label()?;
            parser.expect(";")
        })
    }

    /// `FOR i IN a .. b`, `FOR row IN query`, `FOR row IN cursor`, `FOR row IN EXECUTE …`
    pub fn for_loop(&mut self) -> Result<(), Misread> {
        // An integer's variable is declared by the loop itself.
        let own = self.peek_at(1).is_some_and(|token| token.is_word("in"));
        if own && let Some(name) = self.peek().and_then(|token| token.name()).map(str::to_owned) {
            self.declare(name)?;
        }
        let into = self.targets()?;
        self.expect("in")?;
        if self.take("execute") {
            return self.dynamic_loop(into);
        }
        if let Some(cursor) = self.peek().and_then(|token| token.name()).map(str::to_owned)
            && self.cursors.iter().any(|(name, _)| *name == cursor)
        {
            self.next()?;
            self.arguments(&cursor)?;
            self.expect("loop")?;
            // It runs the query that was declared.
            self.piece(Piece::Value { expression: quoted(&cursor), into })?;
            return self.repeated();
        }
        let is_reverse = self.take("reverse");
        let (first, end) = self.sql_until(&["..", "loop"])?;
        match end {
            ".." => {
                self.piece(Piece::Condition(first))?;
                let (last, end) = self.sql_until(&["loop", "by"])?;
                self.piece(Piece::Condition(last))?;
                if end == "by" {
                    let step = self.sql("loop")?;
                    self.piece(Piece::Condition(step))?;
                }
            }
            _ if is_reverse => return self.fail(),
            _ => self.piece(Piece::Statement { text: first, into })?,
        }
        self.repeated()
    }

    fn dynamic_loop(&mut self, into: Vec<String>) -> Result<(), Misread> {
        let (expression, end) = self.sql_until(&["loop", "using"])?;
        let mut using = Vec::new();
        let mut end = end;
        while end != "loop" {
            let (parameter, next) = self.sql_until(&[",", "loop"])?;
            using.push(parameter);
            end = next;
        }
        self.piece(Piece::Dynamic { expression, using, into })?;
        self.repeated()
    }

    /// `FOREACH x [SLICE n] IN ARRAY expression LOOP`
    pub fn foreach_loop(&mut self) -> Result<(), Misread> {
        let into = self.targets()?;
        if self.take("slice") {
            self.next()?;
        }
        self.expect("in")?;
        self.expect("array")?;
        let expression = self.sql("loop")?;
        self.piece(Piece::Condition(expression.clone()))?;
        self.piece(Piece::Value { expression, into })?;
        self.repeated()
    }

    /// `(expression, name := expression, …)` behind a cursor's name.
    pub fn arguments(&mut self, cursor: &str) -> Result<(), Misread> {
        if !self.take("(") {
            return Ok(());
        }
        let known = self.cursors.iter().find(|(name, _)| name == cursor);
        let into = known.map(|(_, parameters)| parameters.clone()).unwrap_or_default();
        loop {
            let is_named = self.peek_at(1).is_some_and(|token| token.is_symbol(":=") || token.is_symbol("=>"));
            if is_named {
                self.name()?;
                self.next()?;
            }
            let (expression, end) = self.sql_until(&[",", ")"])?;
            self.piece(Piece::Value { expression, into: into.clone() })?;
            if end == ")" {
                return Ok(());
            }
        }
    }

    pub fn ends(&mut self, words: &[&str]) -> Result<(), Misread> {
        words.iter().try_for_each(|word| self.expect(word))
    }
}

/// A variable's name as an expression.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
