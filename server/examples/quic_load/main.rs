//! How fast one session is over QUIC against a whole exchange: `xq serve` in a process of its own, a market opened at
//! its door, orders in batches of 16 over one session, each counted when its durable outcome was reported.
//!
//! Every order buys one coupon of a large resting one: it is accepted, it trades, and both are reported. Without a rate
//! as many orders are under way as the exchange remembers of a session; with one, each batch has its scheduled time,
//! and latency is counted from there until the last report of its last order.

#[path = "../measured/mod.rs"]
mod measured;
mod venue;

use clap::Parser;
use measured::{cpu_an_order, due, f64_of, load, ns_of, percentiles, process_cpu_ns, report, threads_cpu};
use serde_json::{Value, json};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use venue::{Venue, order};
use xq_client::{Client, Report, Reports, Sender};
use xq_protocol::{Event, ReqSeq};

/// Longest sleep of the thread that sends.
const NAP: Duration = Duration::from_micros(50);

#[derive(Parser)]
struct Arguments {
    /// How many orders.
    #[arg(default_value_t = 1_000_000)]
    orders: u64,
    /// Orders a second; 0: as fast as they are answered.
    #[arg(default_value_t = 0)]
    rate: u64,
    /// Orders sent in one go.
    #[arg(long, default_value_t = 16)]
    batch: u64,
    /// Orders sent before the clock starts.
    #[arg(long, default_value_t = 20_000)]
    warm: u64,
    /// Largest UDP payload, as the client wants it; 0 discovers it.
    #[arg(long, default_value_t = 6_000)]
    mtu: u16,
    /// How often to run.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// Write `quic_load_<rate>.json` into this folder.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The exchange's binary; `xq` beside this program's folder when none is given.
    #[arg(long)]
    xq: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let runs: Vec<Value> = (0..arguments.times)
        .map(|_| runtime.block_on(run(&arguments)))
        .collect();
    let name = match arguments.rate {
        0 => "quic_load_flat_out".to_owned(),
        rate => format!("quic_load_{rate}"),
    };
    report(&name, arguments.out.as_deref(), &runs);
}

/// The exchange's binary lies where this program's folder does.
fn exchange(arguments: &Arguments) -> PathBuf {
    let beside = || {
        let own = std::env::current_exe().expect("this program has a path");
        own.ancestors()
            .nth(2)
            .expect("it lies in target/release/examples")
            .join("xq")
    };
    arguments.xq.clone().unwrap_or_else(beside)
}

async fn run(arguments: &Arguments) -> Value {
    let venue = Venue::open(&exchange(arguments)).await;
    let mtu = (arguments.mtu > 0).then_some(arguments.mtu);
    let client = Client::connect(venue.taker(mtu)).await.expect("a session");
    let (sender, mut reports) = client.split();
    let first = first_number(&mut reports).await;
    let warm = Flow::begin(&sender, (first, arguments.warm), (arguments.batch, 0));
    warm.hear(&mut reports).await;
    let first = ReqSeq(first.0 + arguments.warm);

    let server = venue.pid().to_string();
    let (before, load) = ([threads_cpu("self"), threads_cpu(&server)], load());
    let cpu_before = [process_cpu_ns("self"), process_cpu_ns(&server)];
    let flow = Flow::begin(
        &sender,
        (first, arguments.orders),
        (arguments.batch, arguments.rate),
    );
    let start = flow.start;
    let latencies = flow.hear(&mut reports).await;
    let took = start.elapsed();
    let after = [threads_cpu("self"), threads_cpu(&server)];
    let orders = arguments.orders;
    let whole = |place: usize, pid: &str| (process_cpu_ns(pid) - cpu_before[place]) / orders;
    let figures = json!({
        "orders": orders,
        "batch": arguments.batch,
        "offered_a_second": arguments.rate,
        "orders_a_second": f64_of(orders) / took.as_secs_f64(),
        "batch_scheduled_to_reported_us": percentiles(latencies),
        "cpu_ns_an_order": {
            "client": cpu_an_order(&before[0], &after[0], orders),
            "exchange": cpu_an_order(&before[1], &after[1], orders),
            "client_in_all": whole(0, "self"),
            "exchange_in_all": whole(1, &server),
        },
        "mtu": arguments.mtu,
        "load_1_min": load,
    });
    println!("{figures}");
    sender.close();
    venue.stop();
    figures
}

/// The number of the session's first request.
async fn first_number(reports: &mut Reports) -> ReqSeq {
    match reports.next().await.expect("the session is up") {
        Report::Up(ack) => ack.next_req_seq,
        other => panic!("the session comes up first: {other:?}"),
    }
}

/// A stretch of orders under way.
struct Flow {
    start: Instant,
    batch_every: Duration,
    batch: u64,
    first: ReqSeq,
    orders: u64,
    sending: std::thread::JoinHandle<()>,
}

impl Flow {
    /// Sends from a thread of its own, as a trading program does.
    fn begin(sender: &Sender, (first, orders): (ReqSeq, u64), (batch, rate): (u64, u64)) -> Flow {
        let start = Instant::now() + Duration::from_millis(5);
        let batch_every = Duration::from_nanos((1_000_000_000 * batch).checked_div(rate).unwrap_or(0));
        let sender = sender.clone();
        let sending = std::thread::Builder::new().name("sends".to_owned());
        let sending = sending.spawn(move || send(&sender, orders, (start, batch, batch_every)));
        let sending = sending.expect("a thread");
        Flow {
            start,
            batch_every,
            batch,
            first,
            orders,
            sending,
        }
    }

    /// Hears until the last order is answered; how late each batch was, nanoseconds.
    async fn hear(self, reports: &mut Reports) -> Vec<u64> {
        let (mut answered, mut latencies) = (0, Vec::new());
        latencies.reserve(usize::try_from(self.orders / self.batch + 1).expect("few"));
        while answered < self.orders {
            for report in reports.next_batch().await.expect("the session stays up") {
                let Report::Event { frame, .. } = &report else {
                    panic!("every order is taken: {report:?}");
                };
                let rejected = matches!(report.event(), Some(Event::Rejected(_)));
                assert!(!rejected, "no order is refused: {:?}", report.event());
                let header = frame.header();
                if !header.is_last() {
                    continue;
                }
                let place = header.req_seq.0 - self.first.0;
                assert_eq!(place, answered, "orders are answered in their order");
                answered += 1;
                if answered.is_multiple_of(self.batch) {
                    let place = usize::try_from(place / self.batch).expect("few");
                    let due = due(self.start, self.batch_every, place);
                    latencies.push(ns_of(Instant::now().saturating_duration_since(due)));
                }
            }
        }
        self.sending.join().expect("it sent all");
        if self.batch_every.is_zero() {
            latencies.clear();
        }
        latencies
    }
}

fn send(sender: &Sender, orders: u64, (start, batch, every): (Instant, u64, Duration)) {
    // Refused, naps are longer, and latency is counted as it is.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
    let mut sent = 0;
    while sent < orders {
        let due = due(start, every, usize::try_from(sent / batch).expect("few"));
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(NAP));
        }
        let end = (sent + batch).min(orders);
        while sent < end {
            match sender.queue(&order(sent)).expect("the session stays up") {
                Some(_) => sent += 1,
                None => {
                    sender.flush();
                    std::thread::sleep(NAP);
                }
            }
        }
        sender.flush();
    }
}
