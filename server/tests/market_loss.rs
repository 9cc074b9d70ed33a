//! A subscriber that loses datagrams ends with the engine's book, whatever is lost: compared by hash at random points.

#[path = "support/market.rs"]
mod market;

use market::{BadLine, record};
use std::sync::Arc;
use xq_client::market::Tally;
use xq_gateway::MarketLimits;
use xq_perf::flow::FlowName;
use xq_protocol::Count;

/// So little is kept that some gaps are too large to be repaired.
fn limits() -> MarketLimits {
    MarketLimits {
        kept: 4_096,
        repair_max: Count(2_048),
        ..MarketLimits::default()
    }
}

#[test]
fn with_a_tenth_of_the_datagrams_lost_each_of_100_runs_ends_with_the_engines_book() {
    let flows = [(FlowName::Mix1At10k, 6_000), (FlowName::Sweep, 80)];
    let mut all = Tally::default();
    for (flow, commands) in flows {
        let recorded = Arc::new(record(flow, commands, commands / 16));
        for seed in 0..50 {
            let mut line = BadLine::new(&recorded, seed, limits());
            let compared = line.run();
            let tally = line.follower.tally();
            assert!(
                compared >= 2 && tally.gaps > 0,
                "{flow:?}, seed {seed}: {compared} compared, {tally:?}"
            );
            assert_eq!(tally.unequal, 0, "{flow:?}, seed {seed}");
            all.repairs += tally.repairs;
            all.snapshots += tally.snapshots;
            all.equal += tally.equal;
        }
    }
    assert!(
        all.repairs > 1_000 && all.equal > 300 && all.snapshots > 150,
        "both ways of healing: {all:?}"
    );
}
