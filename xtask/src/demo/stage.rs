//! What the audience sees: numbered steps, commands as typed, their real output, and what it shows.

use std::cell::RefCell;

use console::{strip_ansi_codes, style};

/// Counts and prints the steps.
pub struct Stage {
    step: usize,
    steps: usize,
    /// Every line that the audience has seen, without colours.
    shown: RefCell<Vec<String>>,
}

impl Stage {
    pub fn new(steps: usize) -> Self {
        Self { step: 0, steps, shown: RefCell::default() }
    }

    /// The step that is being played.
    pub fn step(&self) -> usize {
        self.step
    }

    pub fn step_into(&mut self, title: &str) {
        self.step += 1;
        self.say("");
        self.say(&format!("{} {}", style(format!("[{}/{}]", self.step, self.steps)).cyan(), style(title).bold()));
    }

    /// A command as one would type it.
    pub fn command(&self, program: &str, arguments: &[&str]) {
        let quoted = arguments.iter().map(|word| match word.contains([' ', '*', '\'', '>', ';']) {
            true => format!("\"{word}\""),
            false => (*word).to_owned(),
        });
        self.say(&format!("{} {program} {}", style("$").green(), quoted.collect::<Vec<_>>().join(" ")));
    }

    /// What is typed into the program that was started last.
    pub fn typed(&self, text: &str) {
        for line in text.lines() {
            self.say(&format!("{} {line}", style("shop=>").green()));
        }
    }

    /// Prints what a command printed.
    pub fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            self.say(&format!("  {line}"));
        }
    }

    /// What the step has shown.
    pub fn claim(&self, claim: &str) {
        self.say(&format!("{} {claim}", style("✓").green()));
    }

    pub fn say(&self, text: &str) {
        println!("{text}");
        self.shown.borrow_mut().extend(text.lines().map(|line| strip_ansi_codes(line).trim_end().to_owned()));
    }

    /// Whether this line was seen.
    pub fn has_shown(&self, line: &str) -> bool {
        self.shown.borrow().iter().any(|shown| shown == line)
    }
}
