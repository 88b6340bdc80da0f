//! What the audience sees: numbered steps, commands as typed, their real output, and what it shows.

use console::style;

/// Counts and prints the steps.
pub struct Stage {
    step: usize,
    steps: usize,
}

impl Stage {
    pub fn new(steps: usize) -> Self {
        Self { step: 0, steps }
    }

    /// The step that is being played.
    pub fn step(&self) -> usize {
        self.step
    }

    pub fn step_into(&mut self, title: &str) {
        self.step += 1;
        println!("\n{} {}", style(format!("[{}/{}]", self.step, self.steps)).cyan(), style(title).bold());
    }

    /// A command as one would type it.
    pub fn command(&self, program: &str, arguments: &[&str]) {
        let quoted = arguments.iter().map(|word| match word.contains([' ', '*', '\'', '>', ';']) {
            true => format!("\"{word}\""),
            false => (*word).to_owned(),
        });
        println!("{} {program} {}", style("$").green(), quoted.collect::<Vec<_>>().join(" "));
    }

    /// What is typed into the program that was started last.
    pub fn typed(&self, text: &str) {
        for line in text.lines() {
            println!("{} {line}", style("shop=>").green());
        }
    }

    /// Prints what a command printed.
    pub fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("  {line}");
        }
    }

    /// What the step has shown.
    pub fn claim(&self, claim: &str) {
        println!("{} {claim}", style("✓").green());
    }

    pub fn say(&self, text: &str) {
        println!("{text}");
    }
}
