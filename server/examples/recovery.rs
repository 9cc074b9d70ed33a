//! How long recovery takes: reads and verifies both journals of a folder, executes every command again, compares every
//! event. `in_process ORDERS --keep FOLDER` leaves such a folder.

#[path = "../tests/in_process/mod.rs"]
mod in_process;
mod measured;

use clap::Parser;
use in_process::{journals, recovered};
use measured::{f64_of, load, process_cpu_ns, report};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// The journals' folder.
    folder: PathBuf,
    /// How often to run.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// Write `recovery.json` into this folder.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let run = |_| {
        let (before, load) = (process_cpu_ns("self"), load());
        let recovered = recovered(&journals(&arguments.folder));
        let report = &recovered.report;
        let figures = json!({
            "commands": report.commands.last_seq.0,
            "events_compared": report.events.compared,
            "events_made_again": report.events.appended,
            "took_s": report.took.as_secs_f64(),
            "cpu_s": f64_of(process_cpu_ns("self") - before) / 1e9,
            "event_hash": report.event_hash.to_string(),
            "load_1_min": load,
        });
        println!("{figures}");
        figures
    };
    let runs: Vec<Value> = (0..arguments.times).map(run).collect();
    report("recovery", arguments.out.as_deref(), &runs);
}
