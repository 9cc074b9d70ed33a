//! `xq-perf`: measurements with a verb each, raw limit and ours in the same run.

mod bridge;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "xq-perf")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// The bridge: catching up beside what COPY alone takes of the same rows, and its lag at a steady rate of trades.
    Bridge(bridge::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Bridge(args) => bridge::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xq-perf: {error:#}");
            ExitCode::FAILURE
        }
    }
}
