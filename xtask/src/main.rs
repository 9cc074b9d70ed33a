//! One command for each habit of the project: `cargo xtask <habit>`.

mod bench;
mod books;
mod ci;
mod conformance;
mod crash;
mod exchange;
mod fix;
mod fuzz;
mod mutants;
mod oracle;
mod run;
mod settled;
mod shell;
mod test;
mod tidy;

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
    /// Runs an exchange with a small market in it, shown live; or with real orders (--orders).
    Run(run::Args),
    /// Plays other people's tests and real orders; needs the data folder (XQ_DATA, or ../shared/data).
    Conformance(conformance::Args),
    /// Plays the acceptance definitions of FIX sessions; needs python3 and the data folder.
    FixAcceptance(fix::Args),
    /// Plays random orders through every book beside the naive one.
    Oracle(oracle::Args),
    /// Counts instructions a command of each flow against their limits, and measures rates.
    Bench(bench::Args),
    /// Kills the exchange under load, again and again, and looks for what it acknowledged.
    Crash(crash::Args),
    /// Runs every fuzz target with a bounded number of inputs.
    Fuzz(fuzz::Args),
    /// Runs everything that must pass: form, lints, tidiness, tests.
    Test,
    /// Runs what a clean checkout must show: all of these, the long ones in a short form; needs the data folder.
    Ci,
    /// Compiles each deliberate defect and requires that the tests named for it notice it.
    Mutants,
    /// Checks the rules of style that a program can check.
    Tidy,
    /// Writes every generated file anew: golden bytes, schema, documents, scenarios' outcomes.
    Bless,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().habit {
        Habit::Run(args) => run::run(&args),
        Habit::Conformance(args) => conformance::run(&args),
        Habit::FixAcceptance(args) => fix::run_acceptance(&args),
        Habit::Oracle(args) => oracle::run(&args),
        Habit::Bench(args) => bench::run(&args),
        Habit::Crash(args) => crash::run(&args),
        Habit::Fuzz(args) => fuzz::run(&args),
        Habit::Test => test::test(),
        Habit::Ci => ci::ci(),
        Habit::Mutants => mutants::mutants(),
        Habit::Tidy => tidy::tidy(),
        Habit::Bless => test::bless(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
