//! Runs a scenario through a door of the exchange and compares what happens with what it expects.

use super::shorthand::{PROLOGUE, expand, overridden};
use super::{Names, Scenario, Step, TextError, parse_command, print_event};
use crate::{CommandFrame, EventFrame, HouseOnly, ReqSeq, SessionId, rule};
use std::collections::BTreeMap;
use std::fmt;

/// A way into the exchange: the engine itself, a replay, a server.
pub trait Door {
    /// Says one command and returns every event that followed from it, in order. The frame's header holds the
    /// speaker's session, the request number and the time at which it is said; a door that keeps these itself takes
    /// its clock from there and zeroes what a client must leave zero.
    fn submit(&mut self, speaker: SessionId, command: &CommandFrame) -> Vec<EventFrame>;
}

/// Why a scenario does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A line cannot be read.
    Text {
        /// The file.
        file: String,
        /// Where and why.
        error: TextError,
    },
    /// A line that sets the scene was refused.
    Refused {
        /// The file.
        file: String,
        /// The line, from 1; 0 in what every scenario begins with.
        line: usize,
        /// The command that was refused.
        command: String,
        /// What happened.
        got: Vec<String>,
    },
    /// Something else happened.
    Mismatch {
        /// The file.
        file: String,
        /// The command's line, from 1.
        line: usize,
        /// The command.
        command: String,
        /// What should have happened.
        expected: Vec<String>,
        /// What happened.
        got: Vec<String>,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Text { file, error } => write!(f, "{file}:{}: {error}", error.line),
            Failure::Refused {
                file,
                line,
                command,
                got,
            } => {
                write!(f, "{file}:{line}: `{command}` should not be refused, got:")?;
                got.iter().try_for_each(|line| write!(f, "\n  + {line}"))
            }
            Failure::Mismatch {
                file,
                line,
                command,
                expected,
                got,
            } => {
                write!(f, "{file}:{line}: `{command}`: - expected, + got:")?;
                write_difference(f, expected, got)
            }
        }
    }
}

impl std::error::Error for Failure {}

/// Line by line, by the longest common subsequence.
fn write_difference(f: &mut fmt::Formatter<'_>, expected: &[String], got: &[String]) -> fmt::Result {
    let (rows, columns) = (expected.len(), got.len());
    let mut common = vec![vec![0_usize; columns + 1]; rows + 1];
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            common[i][j] = match expected[i] == got[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < rows || j < columns {
        if i < rows && j < columns && expected[i] == got[j] {
            write!(f, "\n    {}", expected[i])?;
            (i, j) = (i + 1, j + 1);
        } else if j == columns || (i < rows && common[i + 1][j] >= common[i][j + 1]) {
            write!(f, "\n  - {}", expected[i])?;
            i += 1;
        } else {
            write!(f, "\n  + {}", got[j])?;
            j += 1;
        }
    }
    Ok(())
}

/// Runs a scenario: every compared step must bring about exactly what it expects, every other must not be refused.
///
/// # Errors
/// The first [`Failure`].
pub fn run(scenario: &Scenario, door: &mut impl Door) -> Result<(), Failure> {
    play(scenario, door, |step, got| match step.expected == *got {
        true => Ok(()),
        false => Err(Failure::Mismatch {
            file: scenario.file.clone(),
            line: step.line,
            command: step.command.clone(),
            expected: step.expected.clone(),
            got: got.to_vec(),
        }),
    })
    .map(drop)
}

/// Runs a scenario and returns what each step brought about, for [`Scenario::blessed`].
///
/// # Errors
/// A line that cannot be read, or a scene that cannot be set: [`Failure`].
pub fn outcomes(scenario: &Scenario, door: &mut impl Door) -> Result<Vec<Vec<String>>, Failure> {
    play(scenario, door, |_, _| Ok(()))
}

fn play(
    scenario: &Scenario,
    door: &mut impl Door,
    check: impl Fn(&Step, &[String]) -> Result<(), Failure>,
) -> Result<Vec<Vec<String>>, Failure> {
    let mut stage = Stage {
        file: &scenario.file,
        names: Names::new(),
        requests: BTreeMap::new(),
        door,
    };
    let mut all = Vec::new();
    let (own_genesis, steps) = match scenario.steps.split_first() {
        Some((first, rest)) if first.verb() == "genesis" => (Some(first), rest),
        Some(_) | None => (None, scenario.steps.as_slice()),
    };
    for line in PROLOGUE {
        match own_genesis.filter(|_| line.starts_with("genesis")) {
            Some(step) => {
                let others: Vec<&str> = step.command.split_whitespace().skip(1).collect();
                let got = stage.perform(step, &overridden(line, &others))?;
                if step.is_compared() {
                    check(step, &got)?;
                }
                all.push(got);
            }
            None => stage.set(0, line)?,
        }
    }
    for step in steps {
        let got = stage.perform(step, &step.command)?;
        if step.is_compared() {
            check(step, &got)?;
        }
        all.push(got);
    }
    Ok(all)
}

/// Where a scenario plays: what is known by name, the requests of each session, and the door.
struct Stage<'a, D> {
    file: &'a str,
    names: Names,
    requests: BTreeMap<SessionId, ReqSeq>,
    door: &'a mut D,
}

impl<D: Door> Stage<'_, D> {
    /// Says a step's commands; the lines that followed from the last.
    fn perform(&mut self, step: &Step, line: &str) -> Result<Vec<String>, Failure> {
        let commands = expand(line, &self.names).map_err(|error| self.unreadable(step.line, error))?;
        let (last, before) = commands.split_last().expect("a line expands to itself at least");
        for command in before {
            self.set(step.line, command)?;
        }
        match step.is_compared() {
            true => self.say(last).map_err(|error| self.unreadable(step.line, error)),
            false => self.set(step.line, last).map(|()| Vec::new()),
        }
    }

    fn unreadable(&self, line: usize, error: TextError) -> Failure {
        Failure::Text {
            file: self.file.to_owned(),
            error: TextError { line, ..error },
        }
    }

    /// Says a command that must not be refused.
    fn set(&mut self, line: usize, command: &str) -> Result<(), Failure> {
        // The prologue's first line only sets the clock: nothing can be said before Genesis.
        if line == 0 && command.starts_with("at ") {
            parse_command(command, &mut self.names).map_err(|error| self.unreadable(line, error))?;
            return Ok(());
        }
        let got = self.say(command).map_err(|error| self.unreadable(line, error))?;
        let refused = got.is_empty() || got.iter().any(|line| line.starts_with("rejected "));
        match refused {
            false => Ok(()),
            true => {
                let (file, command) = (self.file.to_owned(), command.to_owned());
                Err(Failure::Refused {
                    file,
                    line,
                    command,
                    got,
                })
            }
        }
    }

    /// Says one command; all lines that followed from it.
    fn say(&mut self, line: &str) -> Result<Vec<String>, TextError> {
        let parsed = parse_command(line, &mut self.names)?;
        let Some(speaker) = parsed.speaker else {
            let expected = "who speaks: `by` and a name".to_owned();
            return Err(TextError {
                line: 1,
                column: 1,
                culprit: line.to_owned(),
                expected,
            });
        };
        let mut frame = parsed.frame;
        let last = self.requests.get(&speaker).copied().unwrap_or_default();
        let now = self.names.now();
        let header = frame.header_mut();
        header.session = speaker;
        if header.time.is_zero() {
            header.time = now;
        }
        let is_house = rule(header.template_id).is_some_and(|rule| rule.house_only == HouseOnly::Yes);
        if header.req_seq.is_zero() && !is_house && speaker != SessionId::HOUSE {
            header.req_seq = ReqSeq(last.0 + 1);
        }
        self.requests.insert(speaker, last.max(header.req_seq));
        let events = self.door.submit(speaker, &frame);
        Ok(self.told(&events, parsed.label.as_deref()))
    }

    fn told(&mut self, events: &[EventFrame], label: Option<&str>) -> Vec<String> {
        let mut lines = Vec::new();
        for event in events {
            let frame = match event.frame() {
                Ok(frame) => frame,
                Err(error) => {
                    lines.push(format!("no event: {error}"));
                    continue;
                }
            };
            if let Some(label) = label {
                self.names.name_command(label, frame.header.seq);
            }
            lines.extend(print_event(&frame, &self.names).lines().map(str::to_owned));
            self.names.learn(&frame);
        }
        lines
    }
}
