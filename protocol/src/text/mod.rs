//! The text notation: one line a command, one line an event and one a transfer. The scenarios' language, and what
//! administration, dumps, explanations and logs use.
//!
//! Grammar, in brief: a verb, its subjects by name (`alice`, `COFFEE`, `b1`) or by number (`#12`), then `key=value`
//! options and flags in any order. Amounts carry all of their currency's decimals (`27.00`), or are plain minor units
//! where the currency is not known. Options left out are zero; so what is zero is not printed. Every line may end in
//! `as LABEL`, `by NAME` or `by NAME/SLOT` (who speaks), `req=N` (the request number).

mod bust;
mod command;
mod event;
mod line;
mod names;
mod orders;
mod protect;
mod reference;
mod run;
mod scenario;
mod shorthand;
mod values;
mod words;

pub use command::{print_command, write_command};
pub use event::{print_event, write_event};
pub use line::{Parsed, parse_command};
pub use names::Names;
pub use run::{Door, Failure, outcomes, run};
pub use scenario::{Scenario, Step};
pub use values::{instant, read_instant};

/// Why a text is not what it should be: where, what stands there, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {}", shown(.culprit))]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What stands there; empty at the line's end.
    pub culprit: String,
    /// What should stand there.
    pub expected: String,
}

fn shown(culprit: &str) -> String {
    match culprit {
        "" => "the end of the line".to_owned(),
        text => format!("`{text}`"),
    }
}
