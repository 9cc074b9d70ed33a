//! The whole engine, one thread: admission, match, ledger, fees, events, over the pinned flows.
//!
//! Rates are of thread CPU time, best of five beside a fixed loop. Service times are of every eighth command in a run
//! of its own, by `Instant`, whose cost for an empty reading is told and not taken off.

use anyhow::Context;
use clap::Parser;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xq_benches::{clock, machine, timed_commands};
use xq_perf::flow::FlowName;
use xq_perf::venue::{MAKER, Naming, TAKER, VenueFlow};

/// One command of so many has its service time taken.
const SAMPLED: usize = 8;

#[derive(Parser)]
struct Args {
    /// Only these flows; the four that are held to a rate when none is named.
    flows: Vec<String>,
    /// Timed commands.
    #[arg(long, default_value_t = 3_000_000)]
    commands: usize,
    /// Runs, of which the best counts.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Orders are named by the client's ids.
    #[arg(long)]
    client_ids: bool,
    /// Applies 10,000,000 commands of mix1_10k once instead.
    #[arg(long)]
    replay: bool,
    /// The folder in which a file of the results is written.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let hiccups = clock::hiccups(Duration::from_secs(1));
    let empty_reading_ns = clock::empty_reading_ns();
    let (file, rows) = if args.replay {
        ("engine_replay.json", vec![replay()])
    } else {
        let rows: anyhow::Result<Vec<_>> = names(&args)?
            .into_iter()
            .map(|name| measure(name, &args))
            .collect();
        ("engine_flow.json", rows?)
    };
    let result = json!({
        "commit": machine::commit(),
        "machine": machine::describe(),
        "hiccups_in_1_s": { "over_10_us": hiccups.over_10_us, "over_100_us": hiccups.over_100_us,
            "over_1_ms": hiccups.over_1_ms },
        "empty_clock_reading_ns": empty_reading_ns,
        "service_time_sampled_1_in": SAMPLED,
        "fees_ppm": { "taker": TAKER.0, "maker": MAKER.0 },
        "orders_named_by": if args.client_ids { "client" } else { "exchange" },
        "flows": rows,
    });
    if let Some(folder) = &args.out {
        let path = folder.join(file);
        std::fs::write(&path, serde_json::to_string_pretty(&result)? + "\n")
            .with_context(|| path.display().to_string())?;
    }
    println!(
        "commit {}, {} · gaps in 1 s: {hiccups:?} · empty clock reading {empty_reading_ns} ns",
        result["commit"], result["machine"]
    );
    Ok(())
}

fn names(args: &Args) -> anyhow::Result<Vec<FlowName>> {
    if args.flows.is_empty() {
        return Ok(vec![
            FlowName::Ec1At1k,
            FlowName::Ec1At10k,
            FlowName::Mix1At10k,
            FlowName::Sweep,
        ]);
    }
    let find = |text: &String| FlowName::from_text(text).with_context(|| format!("{text}: no such flow"));
    args.flows.iter().map(find).collect()
}

fn measure(name: FlowName, args: &Args) -> anyhow::Result<Value> {
    let naming = if args.client_ids {
        Naming::Client
    } else {
        Naming::Exchange
    };
    let frames = VenueFlow::build(&name.build(args.commands), naming);
    let mut rates = Vec::new();
    for _ in 0..args.runs {
        let mut running = frames.start();
        let calibration = clock::calibration_ns();
        let (_, took) = clock::timed(|| timed_commands(&mut running, &frames.timed));
        rates.push((count(args.commands) / took.as_secs_f64() / 1e6, calibration));
    }
    rates.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (best, calibration) = rates[0];
    let worst = rates[rates.len() - 1].0;
    let times = service_times(&frames)?;
    let outcome = frames.outcome;
    let each = |number: u64| number as f64 / count(args.commands);
    let quantile = |q: f64| times.value_at_quantile(q);
    println!(
        "{:<9} {best:5.2} M/s best, {worst:5.2} worst of {} · calibration {calibration:.3} ns a step · p50 {} p99 {} \
         p99.9 {} max {} ns · {:.1} event bytes, {:.3} events, {:.3} trades a command · {} refused",
        name.text(),
        args.runs,
        quantile(0.5),
        quantile(0.99),
        quantile(0.999),
        times.max(),
        each(outcome.event_bytes),
        each(outcome.events),
        each(outcome.trades),
        outcome.refused,
    );
    Ok(json!({
        "flow": name.text(),
        "commands": args.commands,
        "million_a_second_best": best,
        "million_a_second_all": rates.iter().map(|rate| rate.0).collect::<Vec<_>>(),
        "calibration_ns_a_step": calibration,
        "commands_in_calibration_steps": 1e3 / best / calibration,
        "service_ns": { "p50": quantile(0.5), "p99": quantile(0.99), "p99_9": quantile(0.999), "max": times.max() },
        "event_bytes_a_command": each(outcome.event_bytes),
        "events_a_command": each(outcome.events),
        "trades_a_command": each(outcome.trades),
        "refused": outcome.refused,
        "frame_bytes_a_command": count(frames.timed.bytes()) / count(args.commands),
    }))
}

/// Times of every eighth command.
fn service_times(frames: &VenueFlow) -> anyhow::Result<Histogram<u64>> {
    let mut running = frames.start();
    let mut times = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    for (at, frame) in frames.timed.frames().enumerate() {
        if at % SAMPLED == 0 {
            let start = Instant::now();
            std::hint::black_box(running.apply(&frame));
            times.record(u64::try_from(start.elapsed().as_nanos())?.max(1))?;
        } else {
            std::hint::black_box(running.apply(&frame));
        }
    }
    Ok(times)
}

/// The engine's part of replaying ten million commands.
fn replay() -> Value {
    const COMMANDS: usize = 10_000_000;
    let frames = VenueFlow::build(&FlowName::Mix1At10k.build(COMMANDS), Naming::Exchange);
    let mut running = frames.start();
    let calibration = clock::calibration_ns();
    let start = Instant::now();
    let (events, took) = clock::timed(|| timed_commands(&mut running, &frames.timed));
    let wall = start.elapsed();
    println!(
        "replay of {COMMANDS} commands of mix1_10k, engine alone: {:.2} s of CPU, {:.2} s by the clock, {events} events, \
         calibration {calibration:.3} ns a step",
        took.as_secs_f64(),
        wall.as_secs_f64()
    );
    json!({
        "flow": "mix1_10k",
        "commands": COMMANDS,
        "cpu_s": took.as_secs_f64(),
        "wall_s": wall.as_secs_f64(),
        "calibration_ns_a_step": calibration,
        "events": events,
    })
}

fn count(number: usize) -> f64 {
    number as f64
}
