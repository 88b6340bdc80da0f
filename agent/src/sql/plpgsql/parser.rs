//! Blocks, and what all statements are read with.

use super::{
    BLOCK_DEPTH_MAX, Code, Misread, PIECES_MAX, Piece, Target,
    lexer::{Is, Token, tokens},
};

/// Words that mean nothing but themselves in PL/pgSQL: `pl_reserved_kwlist.h`. No variable is called so without quotes.
const RESERVED: [&str; 24] = [
    "all", "begin", "by", "case", "declare", "else", "end", "execute", "for", "foreach", "from", "if", "in", "into",
    "loop", "not", "null", "or", "strict", "then", "to", "using", "when", "while",
];

pub struct Parser<'t> {
    pub body: &'t str,
    tokens: Vec<Token<'t>>,
    at: usize,
    depth: usize,
    pub code: Code,
    /// Variables of cursors, with those of their parameters.
    pub cursors: Vec<(String, Vec<String>)>,
}

impl<'t> Parser<'t> {
    pub fn new(body: &'t str, name: &str, known: &[&str]) -> Result<Self, Misread> {
        let variables = known.iter().map(|&name| name.to_owned()).collect();
        Ok(Self {
            body,
            tokens: tokens(body)?,
            at: 0,
            depth: 0,
            code: Code { variables, labels: vec![name.to_owned()], ..Code::default() },
            cursors: Vec::new(),
        })
    }

    /// A whole body: options, a block, the end.
    pub fn body(mut self) -> Result<Code, Misread> {
        while self.take("#") {
            self.option()?;
        }
        self.label()?;
        self.block()?;
        self.take(";");
        match self.peek() {
            Some(token) => Err(unexpected(token)),
            None => Ok(self.code),
        }
    }

    /// `#variable_conflict` and its kind. Columns and variables of the same name both count, whichever goes before.
    fn option(&mut self) -> Result<(), Misread> {
        let allowed: &[&str] = match self.word()?.as_str() {
            "variable_conflict" => &["error", "use_variable", "use_column"],
            "print_strict_params" => &["on", "off"],
            "option" => &["dump"],
            _ => &[],
        };
        match allowed.iter().any(|word| self.take(word)) {
            true => Ok(()),
            false => self.fail(),
        }
    }

    /// `<<name>>`, where there is one.
    pub fn label(&mut self) -> Result<(), Misread> {
        if self.take("<<") {
            let name = self.name()?;
            self.code.labels.push(name);
            self.expect(">>")?;
        }
        Ok(())
    }

    /// `[DECLARE …] BEGIN … [EXCEPTION …] END [label]`.
    pub fn block(&mut self) -> Result<(), Misread> {
        self.nested(|parser| {
            if parser.take("declare") {
                parser.declarations()?;
            }
            parser.expect("begin")?;
            parser.statements(&["end", "exception"])?;
            if parser.take("exception") {
                parser.handlers()?;
            }
            parser.expect("end")?;
            parser.end_label()
        })
    }

    fn handlers(&mut self) -> Result<(), Misread> {
        self.code.has_handlers = true;
        self.expect("when")?;
        loop {
            // `condition OR SQLSTATE '23505' OR …`
            while !self.take("then") {
                let token = self.next()?;
                if token.name().is_none() && token.is != Is::Literal {
                    return Err(unexpected(token));
                }
            }
            self.statements(&["end", "when"])?;
            if !self.take("when") {
                return Ok(());
            }
        }
    }

    /// The name of the block or loop that ends, where it is said again.
    pub fn end_label(&mut self) -> Result<(), Misread> {
        if self.peek().is_some_and(|token| token.name().is_some()) {
            let name = self.name()?;
            if !self.code.labels.contains(&name) {
                return self.fail();
            }
        }
        Ok(())
    }

    /// Statements up to one of these words, which is not taken.
    pub fn statements(&mut self, ends: &[&str]) -> Result<(), Misread> {
        loop {
            let token = self.peek().ok_or(Misread::Ends)?;
            if ends.iter().any(|end| token.is_word(end)) && !self.is_assignment() {
                return Ok(());
            }
            self.statement()?;
        }
    }

    /// Whether the statement at hand assigns: then its first word is a variable's name, whatever it says otherwise.
    pub fn is_assignment(&self) -> bool {
        let is_name = self.peek().is_some_and(|token| match &token.is {
            Is::Word(word) => !RESERVED.contains(&word.as_str()),
            Is::Quoted(_) => true,
            Is::Parameter | Is::Literal | Is::Symbol => false,
        });
        let assigns = |token: &Token<'_>| [":=", "=", "[", "."].iter().any(|symbol| token.is_symbol(symbol));
        is_name && self.tokens.get(self.at + 1).is_some_and(assigns)
    }

    /// Reads SQL up to one of these words or symbols outside of parentheses, and takes that. Gives the SQL, and which
    /// end it was: `read_sql_construct` of the server.
    pub fn sql_until(&mut self, ends: &[&'static str]) -> Result<(String, &'static str), Misread> {
        let start = self.peek().ok_or(Misread::Ends)?.start;
        let mut end = start;
        let mut depth = 0usize;
        loop {
            let token = self.next()?;
            if depth == 0
                && let Some(found) = ends.iter().find(|&&end| token.is_end(end))
            {
                let at = token.start;
                let text = self.body.get(start..end).unwrap_or_default().trim();
                if text.is_empty() {
                    return Err(Misread::Unexpected("SQL is missing".to_owned(), at));
                }
                return Ok((text.to_owned(), found));
            }
            match token.text {
                "(" | "[" if token.is == Is::Symbol => depth += 1,
                ")" | "]" if token.is == Is::Symbol => depth = depth.checked_sub(1).ok_or_else(|| unexpected(token))?,
                ";" if token.is == Is::Symbol => return Err(unexpected(token)),
                _ => {}
            }
            end = token.end;
        }
    }

    /// SQL up to one end.
    pub fn sql(&mut self, end: &'static str) -> Result<String, Misread> {
        self.sql_until(&[end]).map(|(text, _)| text)
    }

    /// `a, b.c, …`: the variables that values go into.
    pub fn targets(&mut self) -> Result<Vec<Target>, Misread> {
        let mut targets = vec![self.target()?];
        while self.take(",") {
            targets.push(self.target()?);
        }
        Ok(targets)
    }

    /// `variable`, `label.variable`, `variable.field`.
    pub fn target(&mut self) -> Result<Target, Misread> {
        let at = self.at;
        let first = self.name()?;
        let mut second = None;
        while self.take(".") {
            let name = self.name()?;
            second.get_or_insert(name);
        }
        let is_known = |name: &String| self.code.variables.contains(name);
        match second {
            _ if is_known(&first) => Ok(first),
            Some(second) if self.code.labels.contains(&first) && is_known(&second) => Ok(second),
            _ => {
                self.at = at;
                self.fail()
            }
        }
    }

    pub fn declare(&mut self, name: String) -> Result<(), Misread> {
        if self.code.variables.len() >= PIECES_MAX {
            return Err(Misread::Long);
        }
        if !self.code.variables.contains(&name) {
            self.code.variables.push(name);
        }
        Ok(())
    }

    pub fn piece(&mut self, piece: Piece) -> Result<(), Misread> {
        if self.code.pieces.len() >= PIECES_MAX {
            return Err(Misread::Long);
        }
        self.code.pieces.push(piece);
        Ok(())
    }

    pub fn peek(&self) -> Option<&Token<'t>> {
        self.tokens.get(self.at)
    }

    pub fn peek_at(&self, ahead: usize) -> Option<&Token<'t>> {
        self.tokens.get(self.at.checked_add(ahead)?)
    }

    /// The token before the one at hand, `back` further.
    pub fn before(&self, back: usize) -> Option<&Token<'t>> {
        self.tokens.get(self.at.checked_sub(back + 1)?)
    }

    pub fn next(&mut self) -> Result<&Token<'t>, Misread> {
        let token = self.tokens.get(self.at).ok_or(Misread::Ends)?;
        self.at += 1;
        Ok(token)
    }

    /// Takes a word or symbol, if it is next.
    pub fn take(&mut self, end: &str) -> bool {
        let is_next = self.peek().is_some_and(|token| token.is_end(end));
        self.at += usize::from(is_next);
        is_next
    }

    pub fn is_next(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is_end(word))
    }

    pub fn expect(&mut self, end: &str) -> Result<(), Misread> {
        if self.take(end) { Ok(()) } else { self.fail() }
    }

    /// A name that is not reserved.
    pub fn name(&mut self) -> Result<String, Misread> {
        match self.peek().map(|token| &token.is) {
            Some(Is::Word(name)) if RESERVED.contains(&name.as_str()) => self.fail(),
            Some(Is::Word(name) | Is::Quoted(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            Some(Is::Parameter | Is::Literal | Is::Symbol) | None => self.fail(),
        }
    }

    fn word(&mut self) -> Result<String, Misread> {
        match self.peek().map(|token| &token.is) {
            Some(Is::Word(word)) => {
                let word = word.clone();
                self.at += 1;
                Ok(word)
            }
            Some(Is::Quoted(_) | Is::Parameter | Is::Literal | Is::Symbol) | None => self.fail(),
        }
    }

    /// What is at hand is not what could be there.
    pub fn fail<T>(&self) -> Result<T, Misread> {
        Err(self.peek().map_or(Misread::Ends, unexpected))
    }

    /// Reads something one level deeper.
    pub fn nested(&mut self, read: impl FnOnce(&mut Self) -> Result<(), Misread>) -> Result<(), Misread> {
        self.depth += 1;
        if self.depth > BLOCK_DEPTH_MAX {
            return Err(Misread::Deep);
        }
        let result = read(self);
        self.depth -= 1;
        result
    }
}

/// Longest piece of code that is quoted, in characters.
const QUOTED_CHARS_MAX: usize = 40;

fn unexpected(token: &Token<'_>) -> Misread {
    let text: String = token.text.chars().take(QUOTED_CHARS_MAX).collect();
    Misread::Unexpected(format!("`{text}` is not understood"), token.start)
}
