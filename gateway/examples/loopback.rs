//! Measures orders a second through one session on loopback: client, gateway and a fake exchange on one machine.
//!
//! `cargo run --release -p xq-gateway --example loopback [ORDERS] [BATCH]`

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};
use support::{Venue, limits, order};
use xq_client::{Client, Report};
use xq_gateway::{Limits, Transport};
use xq_protocol::{Count, PlaceOrder, Side};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let number = |at: usize, default: usize| {
        std::env::args()
            .nth(at)
            .and_then(|a| a.parse().ok())
            .unwrap_or(default)
    };
    let (orders, batch) = (number(1, 1_000_000), number(2, 16));
    for mtu in [None, Some(6_000)] {
        let (took, cpu) = run(orders, batch, mtu).await;
        let rate = f64::from(u32::try_from(orders).expect("few")) / took.as_secs_f64();
        println!(
            "mtu {mtu:?}: {orders} orders in batches of {batch}: {took:?}, {rate:.0} orders/s, {cpu} ticks of CPU"
        );
    }
}

async fn run(orders: usize, batch: usize, mtu: Option<u16>) -> (Duration, u64) {
    let unthrottled = Limits {
        throttle_rate: Count(u32::MAX),
        throttle_burst: Count(u32::MAX),
        ..limits()
    };
    let venue = Venue::open(
        unthrottled,
        Transport {
            mtu,
            ..Transport::default()
        },
    );
    let config = xq_client::Config {
        mtu,
        ..venue.client_config(0, None)
    };
    let (sender, mut reports) = Client::connect(config).await.expect("up").split();
    let before = ticks();
    let start = Instant::now();
    let sending = tokio::spawn(async move {
        let batch: Vec<PlaceOrder> = vec![order(Side::Buy, 100); batch];
        for _ in 0..orders / batch.len() {
            sender.send_all(&batch).await.expect("open");
            tokio::task::yield_now().await;
        }
    });
    let mut told = 0;
    while told < orders {
        for report in reports.next_batch().await.expect("open") {
            match report {
                Report::Event { .. } => told += 1,
                Report::Up(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    sending.await.expect("no panic");
    (start.elapsed(), ticks() - before)
}

/// User and system time of this process, in hundredths of a second.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after = stat.rsplit(')').next().expect("a line");
    let field = |n: usize| -> u64 {
        after
            .split_whitespace()
            .nth(n)
            .and_then(|f| f.parse().ok())
            .unwrap_or(0)
    };
    field(11) + field(12)
}
