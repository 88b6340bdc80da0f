//! Makes questions: statements over the world, composed at random from a seed, and ways to ask them.

mod expression;
mod from;
mod select;
mod statement;
mod template;

use std::{collections::BTreeMap, ops::Range};

use fastrand::Rng;

use crate::{
    message::Script,
    world::{Grade, Kind},
};

/// One question: what is sent, and what the comparison has to know of it.
#[derive(Debug)]
pub struct Question {
    pub script: Script,
    /// The statements, as a person would type them.
    pub text: String,
    /// Whether which rows come, or in which order, may depend on what secrets hold.
    pub infers: bool,
}

/// An expression or a column, and what it is.
#[derive(Clone, Debug)]
pub struct Value {
    sql: String,
    kind: Kind,
    grade: Grade,
}

/// Something in FROM: its name there and its columns.
#[derive(Clone, Debug)]
pub struct Item {
    alias: String,
    columns: Vec<Value>,
}

impl Item {
    fn grade(&self) -> Grade {
        self.columns.iter().map(|column| column.grade).max().unwrap_or(Grade::Clean)
    }
}

/// A query and the columns of its answer.
#[derive(Clone, Debug)]
pub struct Query {
    sql: String,
    columns: Vec<Value>,
}

/// Makes questions, each from its own number, so that one can be made again without those before it.
pub struct Generator {
    seed: u64,
    rng: Rng,
    templates: BTreeMap<Kind, Vec<template::Template>>,
    /// Common table expressions in scope.
    named: Vec<Item>,
    aliases: usize,
    infers: bool,
}

/// How deep queries nest.
const DEPTH_MAX: u32 = 3;
/// What stands between a question's number and its randomness, so that neighbours differ.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: Rng::with_seed(seed),
            templates: template::all(),
            named: Vec::new(),
            aliases: 0,
            infers: false,
        }
    }

    /// Makes the question of that number.
    pub fn question(&mut self, number: u64) -> Question {
        self.rng = Rng::with_seed(self.seed.wrapping_add(number.wrapping_mul(STRIDE)));
        self.named.clear();
        self.aliases = 0;
        self.infers = false;
        self.any_question()
    }

    fn depth(&mut self) -> u32 {
        self.rng.u32(1..=DEPTH_MAX)
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn number(&mut self, range: Range<usize>) -> usize {
        self.rng.usize(range)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        self.rng.choice(of)
    }

    /// One of some words.
    fn word(&mut self, of: &[&'static str]) -> &'static str {
        self.rng.choice(of).copied().unwrap_or_default()
    }

    /// A name that nothing else in the question has.
    fn alias(&mut self, prefix: &str) -> String {
        self.aliases += 1;
        format!("{prefix}{}", self.aliases)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_made_again_from_its_number() {
        let (mut first, mut second) = (Generator::new(5), Generator::new(5));
        let all: Vec<_> = (0..50).map(|number| first.question(number).text).collect();
        assert_eq!(second.question(31).text, all[31]);
        assert_ne!(Generator::new(6).question(31).text, all[31]);
    }

    #[test]
    fn what_is_made_can_be_parsed_by_its_parentheses() {
        let mut generator = Generator::new(9);
        for number in 0..500 {
            let text = generator.question(number).text;
            assert_eq!(text.matches('(').count(), text.matches(')').count(), "{text}");
        }
    }
}
