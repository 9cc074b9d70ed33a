//! One command for each habit of the project: `cargo xtask <habit>`.

mod books;
mod conformance;
mod oracle;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The habits of the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    habit: Habit,
}

#[derive(Subcommand)]
enum Habit {
    /// Plays other people's tests and real orders; needs the data folder (XQ_DATA, or ../shared/data).
    Conformance(conformance::Args),
    /// Plays random orders through every book beside the naive one.
    Oracle(oracle::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().habit {
        Habit::Conformance(args) => conformance::run(&args),
        Habit::Oracle(args) => oracle::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
