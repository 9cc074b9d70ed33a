//! Scenario files: a rule in one sentence, then command lines and, indented, the lines that must follow from them.

use super::TextError;

/// One command line and what it must bring about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its line in the file, from 1.
    pub line: usize,
    /// The command, or a shorthand.
    pub command: String,
    /// The lines expected, without their indentation.
    pub expected: Vec<String>,
}

/// Commands that set a scene: without expected lines they need only not be refused.
const SETTING: &[&str] = &[
    "genesis",
    "join",
    "issue",
    "participant",
    "account",
    "limits",
    "fees",
    "key",
    "revoke-key",
    "draft",
    "escrow",
    "register",
    "issue-units",
    "phase",
    "instrument",
    "deposit",
    "session",
    "set-config",
    "approve",
];

impl Step {
    /// The command's verb.
    pub fn verb(&self) -> &str {
        self.command.split(' ').next().unwrap_or_default()
    }
    /// Says whether what happens is compared line by line: always, except for scene-setting that expects nothing.
    pub fn is_compared(&self) -> bool {
        !self.expected.is_empty() || !SETTING.contains(&self.verb())
    }
}

/// A line of the file that stays as it is, or the place of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Step(usize),
}

/// A scenario, as its file says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The file's name, for messages.
    pub file: String,
    /// The rule, from its first line.
    pub rule: String,
    /// Its steps in order.
    pub steps: Vec<Step>,
    pieces: Vec<Piece>,
}

const INDENT: &str = "    ";

impl Scenario {
    /// Parses a file's text; the commands themselves are parsed when they are said.
    ///
    /// # Errors
    /// [`TextError`]: no rule in the first line, an expected line before any command, or another indentation than four.
    pub fn parse(file: &str, text: &str) -> Result<Scenario, TextError> {
        let first = text.lines().next().unwrap_or_default();
        let Some(rule) = first.strip_prefix("# ") else {
            return Err(error(1, first, "`# ` and the rule in one sentence"));
        };
        let (file, rule) = (file.to_owned(), rule.to_owned());
        let mut scenario = Scenario {
            file,
            rule,
            steps: Vec::new(),
            pieces: Vec::new(),
        };
        for (number, line) in (1..).zip(text.lines()) {
            scenario.take(number, line.trim_end())?;
        }
        Ok(scenario)
    }

    fn take(&mut self, number: usize, line: &str) -> Result<(), TextError> {
        if line.is_empty() || line.starts_with('#') {
            self.pieces.push(Piece::Text(line.to_owned()));
            return Ok(());
        }
        if let Some(expected) = line.strip_prefix(INDENT) {
            let Some(step) = self.steps.last_mut() else {
                return Err(error(number, line, "a command before what follows from it"));
            };
            step.expected.push(expected.to_owned());
            return Ok(());
        }
        if line.starts_with(char::is_whitespace) {
            return Err(error(
                number,
                line,
                "a command at the line's start, or four spaces before an expected line",
            ));
        }
        self.pieces.push(Piece::Step(self.steps.len()));
        self.steps.push(Step {
            line: number,
            command: line.to_owned(),
            expected: Vec::new(),
        });
        Ok(())
    }

    /// The file as it would read had it expected what happened: `outcomes` are the lines of each step.
    pub fn blessed(&self, outcomes: &[Vec<String>]) -> String {
        assert_eq!(outcomes.len(), self.steps.len(), "an outcome for each step");
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(line) => text.extend([line.as_str(), "\n"]),
                Piece::Step(i) => {
                    text.extend([self.steps[*i].command.as_str(), "\n"]);
                    for line in outcomes[*i].iter().filter(|_| self.steps[*i].is_compared()) {
                        text.extend([INDENT, line, "\n"]);
                    }
                }
            }
        }
        text
    }
}

fn error(line: usize, culprit: &str, expected: &str) -> TextError {
    TextError {
        line,
        column: 1,
        culprit: culprit.to_owned(),
        expected: expected.to_owned(),
    }
}
