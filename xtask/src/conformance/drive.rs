//! Real orders through the front door: a session over QUIC, the ring, the matcher, the journal, and back as reports;
//! then the exchange is killed, started again, and stopped, and its journals are verified.

use super::Count;
use super::lobster::{AAPL_BEST, AAPL_MESSAGES};
use crate::exchange::{self, Guest, Trial};
use anyhow::{Context, ensure};
use serde::Deserialize;
use std::path::Path;
use std::process::Stdio;

/// Who takes part: the traders' numbers decide who speaks.
const GUESTS: [Guest; 5] = [
    Guest::new("operator", 1, "operator"),
    Guest::new("bank", 2, "bank"),
    Guest::new("issuer", 3, "issuer"),
    Guest::new("buyer", 4, "trader"),
    Guest::new("seller", 5, "trader"),
];

/// Executions in the file, and how many must fill exactly LOBSTER's order.
const EXECUTIONS: usize = 2_079;
const EXECUTIONS_REQUIRED: usize = 2_060;

/// What `xq replay-orders --json` tells.
#[derive(Deserialize)]
struct Told {
    messages: usize,
    seeded: usize,
    commands: usize,
    executions: usize,
    filled: usize,
    not_at_head: usize,
    away_from_best: usize,
    crossed: usize,
    rows_equal: usize,
    rows_expected: usize,
    first_difference: Option<String>,
    seconds: f64,
    orders_a_second: f64,
}

/// Starts an exchange, drives it with half an hour of orders, kills it, starts and stops it, and verifies its journals.
pub fn drive(data: &Path) -> anyhow::Result<Vec<Count>> {
    let binary = exchange::build()?;
    let folder = tempfile::tempdir()?;
    let trial = Trial::prepare(&binary, folder.path(), exchange::free_address()?, &GUESTS)?;
    let running = trial.start()?;
    let told = replay(&trial, data)?;
    running.kill()?;
    trial.start()?.terminate()?;
    println!(
        "     {} messages, {} orders seeded, {} commands in {:.2} s: {} orders/s, each durable before it was told",
        told.messages, told.seeded, told.commands, told.seconds, told.orders_a_second
    );
    println!(
        "     {} executions not at the head of the queue",
        told.not_at_head
    );
    let mut counts = counts(&told);
    counts.extend(verify(&trial)?);
    Ok(counts)
}

fn replay(trial: &Trial, data: &Path) -> anyhow::Result<Told> {
    let absolute = |file: &str| {
        let path = data.join(file);
        path.canonicalize().with_context(|| path.display().to_string())
    };
    let (messages, best) = (absolute(AAPL_MESSAGES)?, absolute(AAPL_BEST)?);
    let mut command = trial.xq(&["replay-orders", "--config", "xq.toml", "--json", "--best"]);
    command
        .arg(best)
        .arg(messages)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let output = command.output().context("cannot start `xq replay-orders`")?;
    // It fails when a row differs, and tells its counts nevertheless.
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().last().context("`xq replay-orders` told nothing")?;
    serde_json::from_str(line).with_context(|| format!("`xq replay-orders` told `{line}`"))
}

fn counts(told: &Told) -> Vec<Count> {
    let count = |what: &str, right: usize, of: usize, total: usize| Count {
        right,
        of,
        required: total,
        ..Count::new(what, total)
    };
    let mut rows = count(
        "LOBSTER drive, rows of best ask and bid",
        told.rows_equal,
        told.rows_expected,
        14_205,
    );
    rows.first_wrong.clone_from(&told.first_difference);
    let mut filled = count(
        "LOBSTER drive, executions as orders that filled exactly that one",
        told.filled,
        told.executions,
        EXECUTIONS,
    );
    filled.required = EXECUTIONS_REQUIRED;
    let at_best = told.executions - told.away_from_best;
    let uncrossed = told.commands - told.crossed;
    vec![
        rows,
        filled,
        count(
            "LOBSTER drive, executions at the best price",
            at_best,
            told.executions,
            EXECUTIONS,
        ),
        count(
            "LOBSTER drive, states not crossed",
            uncrossed,
            told.commands,
            told.commands,
        ),
    ]
}

/// `xq verify`: every asset sums to zero, and executing the journal again gives the events' hash that the exchange had
/// when it stopped.
fn verify(trial: &Trial) -> anyhow::Result<Vec<Count>> {
    let said = trial.ask(&["verify", "--config", "xq.toml"])?;
    let mut assets = Count::new("LOBSTER drive, assets that sum to zero", 0);
    for line in said.lines() {
        println!("     {line}");
        if let Some((_, sum)) = line.split_once(" sums to ") {
            assets.total += 1;
            assets.require(sum.trim() == "0", || line.to_owned());
        }
    }
    ensure!(assets.total >= 2, "`xq verify` sums no assets:\n{said}");
    let again = said
        .lines()
        .find_map(|line| line.strip_prefix("event hash"))
        .map(str::trim);
    let again = again.context("`xq verify` tells no event hash")?;
    let log = trial.log()?;
    let stopped = log
        .lines()
        .rev()
        .find(|line| line.contains("\"stopped\""))
        .context("the exchange did not stop")?;
    let mut hashes = Count::new("LOBSTER drive, event hash of replay as that of the exchange", 1);
    hashes.require(stopped.contains(again), || format!("{again} is not in {stopped}"));
    Ok(vec![assets, hashes])
}
