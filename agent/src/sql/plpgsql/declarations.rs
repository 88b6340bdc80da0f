//! DECLARE: variables and cursors.

use super::{Misread, Piece, parser::Parser};

impl Parser<'_> {
    /// Everything between DECLARE and BEGIN.
    pub fn declarations(&mut self) -> Result<(), Misread> {
        loop {
            if self.is_next("begin") {
                return Ok(());
            }
            // "Allow useless extra DECLAREs."
            if self.take("declare") {
                continue;
            }
            self.declaration()?;
        }
    }

    fn declaration(&mut self) -> Result<(), Misread> {
        let name = self.name()?;
        // Two names of one variable would be two variables here.
        if self.is_next("alias") && self.peek_at(1).is_some_and(|token| token.is_word("for")) {
            return self.fail();
        }
        let scrolls = self.take("scroll") || (self.is_next("no") && self.take("no") && self.take("scroll"));
        if self.take("cursor") {
            return self.cursor(name);
        }
        if scrolls {
            return self.fail();
        }
        self.take("constant");
        self.type_until(&[";", "collate", "not", "=", ":=", "default"])?;
        if self.take("collate") {
            self.name()?;
            while self.take(".") {
                self.name()?;
            }
        }
        if self.take("not") {
            self.expect("null")?;
        }
        self.declare(name.clone())?;
        if self.take(";") {
            return Ok(());
        }
        if !(self.take("=") || self.take(":=") || self.take("default")) {
            return self.fail();
        }
        let expression = self.sql(";")?;
        self.piece(Piece::Value { expression, into: vec![name] })
    }

    /// `CURSOR [(name type, …)] FOR query`
    fn cursor(&mut self, name: String) -> Result<(), Misread> {
        let mut parameters = Vec::new();
        if self.take("(") {
            loop {
                let parameter = self.name()?;
                self.type_until(&[",", ")"])?;
                self.declare(parameter.clone())?;
                parameters.push(parameter);
                if self.take(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        if !(self.take("for") || self.take("is")) {
            return self.fail();
        }
        let query = self.sql(";")?;
        self.declare(name.clone())?;
        self.cursors.push((name.clone(), parameters));
        self.piece(Piece::Cursor { name, query })
    }

    /// The name of a type, up to one of these, which is not taken: `read_datatype` of the server.
    fn type_until(&mut self, ends: &[&str]) -> Result<(), Misread> {
        let start = self.peek().ok_or(Misread::Ends)?.start;
        let (mut end, mut depth, mut is_copied) = (start, 0usize, false);
        loop {
            let token = self.peek().ok_or(Misread::Ends)?;
            if depth == 0 && ends.iter().any(|end| token.is_end(end)) {
                break;
            }
            match token.text {
                "(" | "[" => depth += 1,
                ")" | "]" => match depth.checked_sub(1) {
                    Some(outer) => depth = outer,
                    None => return self.fail(),
                },
                ";" => return self.fail(),
                "%" => is_copied = true,
                _ => {}
            }
            end = token.end;
            self.next()?;
        }
        match self.body.get(start..end).map(str::trim) {
            None | Some("") => self.fail(),
            Some(text) => self.piece(Piece::Type((!is_copied).then(|| text.to_owned()))),
        }
    }
}
