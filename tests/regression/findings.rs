//! Figures of a run, and what was lost in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    claim::{Claim, Links, Loss},
    oracle::Observed,
};

/// Losses that are known and argued: a file of the suite or `*`, a loss as it is printed, a word of the text, and why.
const EXCEPTIONS: &str = include_str!("exceptions.txt");

/// One text with what was said of it and what it did.
pub struct Text<'a> {
    pub sql: String,
    pub claim: &'a Claim<'a>,
    pub observed: &'a Observed,
}

#[derive(Default)]
pub struct Findings {
    file: String,
    texts: usize,
    statements: usize,
    complete: usize,
    run: usize,
    compared_relations: usize,
    /// Texts that do more than their own words say.
    beyond: usize,
    unknown: BTreeMap<String, usize>,
    excepted: BTreeMap<String, usize>,
    pub lost: usize,
}

impl Findings {
    pub fn open(&mut self, file: &str) {
        file.clone_into(&mut self.file);
    }

    pub fn note(&mut self, text: &Text<'_>, links: &Links) {
        let Text { sql, claim, observed } = text;
        self.texts += 1;
        self.statements += claim.classified.statements.len().max(1);
        self.run += usize::from(observed.error.is_none());
        if let Some(reason) = claim.unknown() {
            *self.unknown.entry(general(&reason)).or_default() += 1;
            return;
        }
        self.complete += 1;
        self.beyond += usize::from(claim.goes_beyond(links));
        self.compared_relations += observed.named.len() + observed.locked.len();
        let losses: BTreeSet<Loss> = claim.losses(observed, links);
        for loss in losses {
            let shown = loss.to_string();
            if let Some(reason) = exception(&self.file, &shown, sql) {
                *self.excepted.entry(reason.to_owned()).or_default() += 1;
                continue;
            }
            // At once: a run may take long.
            println!("LOST {}: {shown}\n    {}", self.file, sql.replace('\n', "\n    "));
            self.lost += 1;
        }
    }

    fn share(&self) -> f64 {
        if self.texts == 0 { 0.0 } else { self.complete as f64 * 100.0 / self.texts as f64 }
    }

    pub fn json(&self, files: usize) -> Value {
        json!({
            "files": files,
            "texts": self.texts,
            "run": self.run,
            "statements": self.statements,
            "complete": self.complete,
            "complete_percent": (self.share() * 10.0).round() / 10.0,
            "beyond": self.beyond,
            "relations": self.compared_relations,
            "lost": self.lost,
            "excepted": self.excepted,
            "unknown": self.unknown,
        })
    }

    pub fn text(&self, files: usize) -> String {
        let mut text = format!(
            "{files} files, {} texts, of which the server ran {} without an error\n\
             {} classified completely ({:.1} %), the rest is unknown and so denied\n\
             {} uses of relations compared: {} lost, {} excepted\n",
            self.texts,
            self.run,
            self.complete,
            self.share(),
            self.compared_relations,
            self.lost,
            self.excepted.values().sum::<usize>(),
        );
        let mut reasons: Vec<_> = self.unknown.iter().collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), reason.as_str()));
        for (reason, count) in reasons.iter().take(25) {
            text.push_str(&format!("  unknown {count:>6}  {reason}\n"));
        }
        for (reason, count) in &self.excepted {
            text.push_str(&format!("  excepted {count:>5}  {reason}\n"));
        }
        text
    }
}

/// A reason without the names in it.
fn general(reason: &str) -> String {
    let words = reason.split(' ').take(9).map(|word| if word.contains(['"', '.', '(', '\'']) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Why a loss is none, if it is a known one.
fn exception(file: &str, loss: &str, sql: &str) -> Option<&'static str> {
    let fits = |pattern: &str, text: &str| pattern == "*" || text.contains(pattern);
    EXCEPTIONS.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut parts = line.splitn(4, " | ");
        let (of, what, word, why) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        (fits(of, file) && fits(what, loss) && fits(word, &sql.to_lowercase())).then_some(why)
    })
}
