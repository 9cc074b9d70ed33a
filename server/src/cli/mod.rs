//! The command line: one file a subcommand.

mod admin;
mod archive;
mod at_rest;
mod backup;
mod book;
mod bridge;
mod bust;
mod check;
mod config;
mod day;
mod door;
mod drop_copy;
mod dump;
mod errors;
mod explain;
mod keys;
mod moment;
mod obligations;
mod order;
mod quarantine;
mod reconcile;
mod replay_orders;
mod say;
mod serve;
mod signals;
mod size;
mod state;
mod top;
mod verify;

use crate::exit::{Exit, Failure};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;
use xq_settlement_bridge::Trouble;

/// The Xianquan coupon exchange.
#[derive(Parser)]
#[command(name = "xq", version, after_help = after_help())]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs the exchange.
    Serve(serve::Serve),
    /// Checks a configuration, or prints it with what every key means.
    Config(config::ConfigTask),
    /// Checks whether this machine is fit to run the exchange: keys, ports, memory, disk, clock.
    Check(check::Check),
    /// Tells what an exchange of a certain size needs: memory, disk a day, time to recover.
    Size(size::Size),
    /// Shows what the running exchange counts, as a live view.
    Top(top::Top),
    /// Shows a series' book, its trades and its day, as a live view.
    Book(book::Book),
    /// Makes trial keys: an authority, the server's certificate, participants' certificates.
    Keys(keys::Keys),
    /// Says any command to the running exchange, in the scenarios' notation.
    Admin(admin::Admin),
    /// Places or cancels an order.
    Order(order::Order),
    /// Proposes to undo a trade of the business day.
    Bust(bust::Bust),
    /// Verifies the journals: checksums, chain, execution, events, sums.
    Verify(verify::Verify),
    /// Prints all that a participant's sessions are told, from any event on, live.
    DropCopy(drop_copy::DropCopy),
    /// Prints commands and events as text.
    Dump(dump::Dump),
    /// Tells how well market makers have met their obligations.
    Obligations(obligations::ObligationsTask),
    /// Tells an order's life.
    Explain(explain::Explain),
    /// Prints who had what, how series were covered and which orders were open at any moment, as CSV.
    State(state::State),
    /// Copies the newest snapshot and both journals behind it to an empty folder, beside the running exchange.
    Backup(backup::Backup),
    /// Puts a backup into an empty folder of journals.
    Restore(backup::Restore),
    /// Moves segments that no start needs any more to another folder.
    Journal(archive::Journal),
    /// Writes every event into PostgreSQL, exactly once; runs beside the exchange.
    Bridge(bridge::BridgeTask),
    /// Compares PostgreSQL with a replay of the journal, and names every difference; may run beside the exchange.
    Reconcile(reconcile::Reconcile),
    /// Makes a business day's page for signing, and its tables as CSV files, from PostgreSQL.
    Day(day::DayTask),
    /// Plays real orders, as LOBSTER's files tell of them, through a session.
    ReplayOrders(replay_orders::ReplayOrders),
    /// Explains a reject code, or lists them all.
    Errors(errors::Errors),
}

fn after_help() -> String {
    let rows = Exit::ALL
        .iter()
        .map(|(exit, about)| format!("\n  {:>3} {}", exit.code(), about.trim()));
    format!("Exit codes:{}", rows.collect::<String>())
}

/// What went wrong in a subcommand, and the exit code that tells of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// It failed, and says why.
    #[error("{error}")]
    Failed {
        /// The code.
        exit: Exit,
        /// What is said.
        error: anyhow::Error,
    },
    /// Nobody reads standard output any more: nothing is said of it.
    #[error("nobody reads standard output")]
    Unread,
}

impl Ended {
    /// Ends with this code.
    pub(crate) fn with(exit: Exit, error: impl Into<anyhow::Error>) -> Ended {
        Ended::Failed {
            exit,
            error: error.into(),
        }
    }

    /// Tells of it, and with which code the program ends.
    fn told(&self) -> ExitCode {
        match self {
            Ended::Failed { exit, .. } => {
                // Nobody reads standard error, perhaps: the code says it, too.
                let _ = writeln!(std::io::stderr(), "xq: {self}");
                ExitCode::from(exit.code())
            }
            Ended::Unread => ExitCode::from(Exit::Unread.code()),
        }
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::with(failure.exit(), failure)
    }
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Ended {
        let exit = match &trouble {
            Trouble::Journal(_) => None,
            Trouble::Poison(_) => Some(Exit::Poison),
            Trouble::OtherJournal { .. }
            | Trouble::Ahead { .. }
            | Trouble::Archived { .. }
            | Trouble::OtherHistory(_) => Some(Exit::JournalCorrupt),
            Trouble::Weather(_) | Trouble::Unfit(_) | Trouble::Refused(_) | Trouble::Moved(_) => {
                Some(Exit::Refused)
            }
        };
        match (exit, trouble) {
            (None, Trouble::Journal(error)) => error.into(),
            (exit, trouble) => Ended::with(exit.unwrap_or(Exit::Refused), trouble),
        }
    }
}

impl From<xq_journal::Error> for Ended {
    fn from(error: xq_journal::Error) -> Ended {
        Failure::from(error).into()
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output and is no mistake.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage.code() } else { 0 });
        }
    };
    let ended = match arguments.task {
        Task::Serve(task) => task.run(),
        Task::Config(task) => task.run(),
        Task::Check(task) => task.run(),
        Task::Size(task) => task.run(),
        Task::Top(task) => task.run(),
        Task::Book(task) => task.run(),
        Task::Bust(task) => task.run(),
        Task::Keys(task) => task.run(),
        Task::Admin(task) => task.run(),
        Task::Order(task) => task.run(),
        Task::Verify(task) => task.run(),
        Task::DropCopy(task) => task.run(),
        Task::Dump(task) => task.run(),
        Task::Obligations(task) => task.run(),
        Task::Explain(task) => task.run(),
        Task::State(task) => task.run(),
        Task::Backup(task) => task.run(),
        Task::Restore(task) => task.run(),
        Task::Journal(task) => task.run(),
        Task::Bridge(task) => task.run(),
        Task::Reconcile(task) => task.run(),
        Task::Day(task) => task.run(),
        Task::ReplayOrders(task) => task.run(),
        Task::Errors(task) => task.run(),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => ended.told(),
    }
}
