//! Applies a flow's timed commands once, to be counted: `valgrind --tool=callgrind --toggle-collect=*timed_commands*`.

use anyhow::Context;
use clap::Parser;
use xq_perf::flow::FlowName;
use xq_perf::venue::{Naming, VenueFlow};

#[derive(Parser)]
struct Args {
    /// The flow.
    flow: String,
    /// Its timed commands.
    #[arg(default_value_t = 100_000)]
    commands: usize,
    /// Orders are named by the client's ids.
    #[arg(long)]
    client_ids: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let name = FlowName::from_text(&args.flow).with_context(|| format!("{}: no such flow", args.flow))?;
    let naming = if args.client_ids {
        Naming::Client
    } else {
        Naming::Exchange
    };
    let frames = VenueFlow::build(&name.build(args.commands), naming);
    let mut running = frames.start();
    let events = xq_benches::timed_commands(&mut running, &frames.timed);
    println!(
        "{} {} commands, {events} events, {:?}",
        args.flow, args.commands, frames.outcome
    );
    Ok(())
}
