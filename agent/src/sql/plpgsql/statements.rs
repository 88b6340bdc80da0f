//! Statements that are neither blocks nor loops.

use super::{ANSWER, Misread, Piece, lexer::Is, parser::Parser};

impl Parser<'_> {
    /// Any statement: `proc_stmt` of the server's grammar.
    pub fn statement(&mut self) -> Result<(), Misread> {
        self.label()?;
        if self.is_assignment() {
            return self.assignment();
        }
        let Some(Is::Word(word)) = self.peek().map(|token| &token.is) else { return self.fail() };
        let word = word.clone();
        match word.as_str() {
            "declare" | "begin" => {
                self.block()?;
                self.expect(";")
            }
            "if" => self.taken().conditional(),
            "case" => self.taken().case(),
            "loop" => self.taken().repeated(),
            "while" => self.taken().while_loop(),
            "for" => self.taken().for_loop(),
            "foreach" => self.taken().foreach_loop(),
            "exit" | "continue" => self.taken().exit(),
            "return" => self.taken().returned(),
            "raise" => self.taken().raise(),
            "assert" => self.taken().assertion(),
            "execute" => self.taken().execute(),
            "perform" => {
                let text = self.taken().sql(";")?;
                self.piece(Piece::Statement { text: format!("SELECT {text}"), into: Vec::new() })
            }
            "get" => self.taken().diagnostics(),
            "open" => self.taken().open(),
            "fetch" => self.taken().fetch(false),
            "move" => self.taken().fetch(true),
            "close" => {
                self.taken().target()?;
                self.expect(";")
            }
            "null" => self.taken().expect(";"),
            "commit" | "rollback" => self.taken().transaction_end(),
            "all" | "by" | "else" | "end" | "from" | "in" | "into" | "not" | "or" | "strict" | "then" | "to"
            | "using" | "when" => self.fail(),
            _ => self.sql_statement(),
        }
    }

    fn taken(&mut self) -> &mut Self {
        let _ = self.next();
        self
    }

    fn assignment(&mut self) -> Result<(), Misread> {
        let start = self.peek().ok_or(Misread::Ends)?.start;
        let target = self.target()?;
        while !(self.take(":=") || self.take("=")) {
            match self.next()?.text {
                "[" => drop(self.sql("]")?),
                "." => drop(self.name()?),
                _ => return self.fail(),
            }
        }
        self.sql(";")?;
        let end = self.before(0).map_or(start, |token| token.start);
        let text = self.body.get(start..end).unwrap_or_default().trim().to_owned();
        self.piece(Piece::Assignment { text, target })
    }

    /// `EXIT [label] [WHEN condition]`
    fn exit(&mut self) -> Result<(), Misread> {
        if !self.is_next("when") && !self.is_next(";") {
            self.end_label()?;
        }
        if self.take("when") {
            let test = self.sql(";")?;
            return self.piece(Piece::Condition(test));
        }
        self.expect(";")
    }

    fn returned(&mut self) -> Result<(), Misread> {
        let has = |name: &str| self.code.variables.iter().any(|known| known == name);
        // Variables of these names would be meant.
        if (self.is_next("next") && has("next")) || (self.is_next("query") && has("query")) {
            return self.fail();
        }
        if self.take("query") {
            if self.take("execute") {
                return self.dynamic(vec![ANSWER.to_owned()], false);
            }
            let text = self.sql(";")?;
            return self.piece(Piece::ReturnedQuery(text));
        }
        self.take("next");
        if self.take(";") {
            return Ok(());
        }
        let expression = self.sql(";")?;
        self.piece(Piece::Returned(expression))
    }

    /// `RAISE [level] [condition | SQLSTATE '…' | 'format' [, expression …]] [USING option = expression, …]`
    fn raise(&mut self) -> Result<(), Misread> {
        if self.take(";") {
            return Ok(());
        }
        let _ = ["exception", "warning", "notice", "info", "log", "debug"].iter().any(|level| self.take(level));
        let mut end = "";
        if self.peek().is_some_and(|token| token.is == Is::Literal) {
            self.next()?;
            if self.take(",") {
                end = ",";
            }
            while end == "," {
                let (expression, next) = self.sql_until(&[",", ";", "using"])?;
                self.piece(Piece::Said(expression))?;
                end = next;
            }
        } else if self.take("sqlstate") {
            self.next()?;
        } else if !self.is_next("using") && !self.is_next(";") {
            self.name()?;
        }
        if end.is_empty() {
            end = if self.take("using") { "using" } else { ";" };
            if end == ";" {
                self.expect(";")?;
            }
        }
        if end == "using" {
            while end != ";" {
                self.name()?;
                if !(self.take("=") || self.take(":=")) {
                    return self.fail();
                }
                let (expression, next) = self.sql_until(&[",", ";"])?;
                self.piece(Piece::Said(expression))?;
                end = next;
            }
        }
        Ok(())
    }

    /// `ASSERT condition [, message]`
    fn assertion(&mut self) -> Result<(), Misread> {
        let (test, end) = self.sql_until(&[",", ";"])?;
        self.piece(Piece::Condition(test))?;
        if end == "," {
            let message = self.sql(";")?;
            self.piece(Piece::Said(message))?;
        }
        Ok(())
    }

    fn execute(&mut self) -> Result<(), Misread> {
        self.dynamic(Vec::new(), true)
    }

    /// `expression [INTO targets] [USING expression, …] ;`, in either order.
    fn dynamic(&mut self, into: Vec<String>, may_assign: bool) -> Result<(), Misread> {
        let (expression, mut end) = self.sql_until(&["into", "using", ";"])?;
        let (mut into, mut using) = (into, Vec::new());
        while end != ";" {
            if end == "into" {
                if !may_assign || !into.is_empty() {
                    return self.fail();
                }
                self.take("strict");
                into = self.targets()?;
                end = if self.take("using") { "using" } else { ";" };
                if end == ";" {
                    self.expect(";")?;
                }
                continue;
            }
            let (parameter, next) = self.sql_until(&[",", "into", ";"])?;
            using.push(parameter);
            end = if next == "," { "using" } else { next };
        }
        self.piece(Piece::Dynamic { expression, using, into })
    }

    /// `GET [CURRENT | STACKED] DIAGNOSTICS target = item, …`
    fn diagnostics(&mut self) -> Result<(), Misread> {
        let is_stacked = self.take("stacked");
        self.take("current");
        self.expect("diagnostics")?;
        let mut into = Vec::new();
        loop {
            into.push(self.target()?);
            if !(self.take("=") || self.take(":=")) {
                return self.fail();
            }
            self.name()?;
            if self.take(";") {
                break;
            }
            self.expect(",")?;
        }
        if is_stacked { self.piece(Piece::Diagnostics(into)) } else { Ok(()) }
    }

    /// `OPEN cursor [(arguments)]`, `OPEN cursor [[NO] SCROLL] FOR query`, `… FOR EXECUTE expression`
    fn open(&mut self) -> Result<(), Misread> {
        let cursor = self.target()?;
        self.piece(Piece::Open)?;
        if self.is_next("(") || self.is_next(";") {
            self.arguments(&cursor)?;
            return self.expect(";");
        }
        self.take("no");
        self.take("scroll");
        self.expect("for")?;
        if self.take("execute") {
            return self.dynamic(vec![cursor], false);
        }
        let query = self.sql(";")?;
        self.piece(Piece::Cursor { name: cursor, query })
    }

    /// `FETCH [direction] [FROM | IN] cursor INTO targets`; MOVE answers nothing.
    fn fetch(&mut self, moves: bool) -> Result<(), Misread> {
        let is_end = |text: &str| matches!(text, "from" | "in" | "into" | ";");
        let mut ahead = 0;
        while self
            .peek_at(ahead)
            .is_some_and(|token| !matches!(&token.is, Is::Word(word) if is_end(word)) && !token.is_symbol(";"))
        {
            ahead += 1;
        }
        let is_directed = self.peek_at(ahead).is_some_and(|token| token.is_word("from") || token.is_word("in"));
        if is_directed {
            let _ = ["absolute", "relative", "forward", "backward", "next", "prior", "first", "last"]
                .iter()
                .any(|direction| self.take(direction));
            if !(self.take("from") || self.take("in")) {
                let (count, _) = self.sql_until(&["from", "in"])?;
                if count != "all" {
                    self.piece(Piece::Condition(count))?;
                }
            }
        } else if ahead == 2
            && !["next", "prior", "first", "last", "forward", "backward"].iter().any(|word| self.take(word))
        {
            return self.fail();
        }
        let cursor = self.target()?;
        if moves {
            return self.expect(";");
        }
        self.expect("into")?;
        let into = self.targets()?;
        self.expect(";")?;
        self.piece(Piece::Fetch { cursor, into })
    }

    /// `COMMIT [AND [NO] CHAIN]`
    fn transaction_end(&mut self) -> Result<(), Misread> {
        if self.take("and") {
            self.take("no");
            self.expect("chain")?;
        }
        self.expect(";")
    }

    /// Anything else is SQL, up to a semicolon, with an INTO anywhere: `make_execsql_stmt` of the server.
    fn sql_statement(&mut self) -> Result<(), Misread> {
        let start = self.peek().ok_or(Misread::Ends)?.start;
        let imports = self.is_next("import");
        let mut depth = 0usize;
        let mut found: Option<(usize, usize, Vec<String>)> = None;
        let end = loop {
            let token = self.next()?;
            let (at, text, is_symbol, is_into) =
                (token.start, token.text, token.is == Is::Symbol, token.is_word("into"));
            match text {
                "(" if is_symbol => depth += 1,
                ")" if is_symbol => depth = depth.saturating_sub(1),
                ";" if is_symbol && depth == 0 => break at,
                // In CREATE RULE, where servers of several versions read differently.
                ";" if is_symbol => return self.fail(),
                _ if is_into && !imports && !self.is_into_of_a_table()? => {
                    if found.is_some() {
                        return self.fail();
                    }
                    self.take("strict");
                    let into = self.targets()?;
                    found = Some((at, self.peek().ok_or(Misread::Ends)?.start, into));
                }
                _ => {}
            }
        };
        let text = |from, to| self.body.get(from..to).unwrap_or_default().trim();
        let (text, into) = match found {
            Some((before, after, into)) => (format!("{} {}", text(start, before), text(after, end)), into),
            None => (text(start, end).to_owned(), Vec::new()),
        };
        self.piece(Piece::Statement { text, into })
    }

    /// Whether the INTO that was just read belongs to INSERT or MERGE.
    fn is_into_of_a_table(&self) -> Result<bool, Misread> {
        let belongs = self.before(1).is_some_and(|token| token.is_word("insert") || token.is_word("merge"));
        // A column of that name: how many parts its name has decides what the server makes of it.
        if belongs && self.before(2).is_some_and(|token| token.is_symbol(".")) { self.fail() } else { Ok(belongs) }
    }
}
