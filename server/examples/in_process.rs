//! How fast the pipeline is without a door: ring → match → durable → told.
//!
//! Without a rate it offers as fast as the ring takes; with one, each batch of 16 orders has its scheduled time, and
//! latency is counted from there to the moment at which all of it is durable, as whoever offers sees it, and to the moment
//! at which its first order's last event has been told, as whoever listens hears it. Whoever offers
//! sleeps until something is due: a generator that spins would take one of two cores from what is measured.
//!
//! On a machine that others share, a burst during which the hypervisor took time from it says little about the
//! exchange. So the orders come in bursts, each begun when the one before has been told, and the latencies of those
//! during which it took none (below the 10 ms in which it is counted) are also reported apart, with their number.

#[path = "../tests/in_process/mod.rs"]
mod in_process;
mod measured;

use clap::Parser;
use in_process::{House, flow_order, journals, wait_until_ready};
use measured::{cpu_an_order, due, f64_of, load, ns_of, percentiles, report, stolen_ticks, threads_cpu};
use serde_json::{Value, json};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use xq_protocol::{HEADER_LEN, PlaceOrder, Seq};
use xq_server::{Durable, PipelineConfig};

/// Orders offered at once.
const BATCH: usize = 16;
/// Bytes of an order's frame.
const ORDER_BYTES: usize = HEADER_LEN + size_of::<PlaceOrder>();
/// Longest sleep of those who offer and listen.
const NAP: Duration = Duration::from_micros(50);
/// Orders before the clock starts.
const WARM: u64 = 20_000;

#[derive(Parser)]
struct Arguments {
    /// How many orders.
    #[arg(default_value_t = 1_000_000)]
    orders: u64,
    /// Orders a second; 0: as fast as the ring takes them.
    #[arg(default_value_t = 0)]
    rate: u64,
    /// Real-time priority of the journaler; matcher and publisher have the one below.
    #[arg(long)]
    priority: Option<u8>,
    /// In how many bursts they come, each begun when the one before has been told.
    #[arg(long, default_value_t = 1)]
    bursts: u64,
    /// How often to run.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// Write `in_process_<rate>.json` into this folder.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Leave the journals in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn main() {
    let arguments = Arguments::parse();
    let runs: Vec<Value> = (0..arguments.times)
        .map(|run_before| {
            if run_before > 0 {
                // The file system discards the journals of the run before.
                std::thread::sleep(Duration::from_secs(3));
            }
            run(&arguments)
        })
        .collect();
    let name = match arguments.rate {
        0 => "in_process_flat_out".to_owned(),
        rate => format!("in_process_{rate}"),
    };
    report(&name, arguments.out.as_deref(), &runs);
}

fn run(arguments: &Arguments) -> Value {
    let (orders, rate) = (arguments.orders, arguments.rate);
    let temporary = tempfile::tempdir_in(".").expect("a folder on a real disk");
    let folder = arguments.keep.as_deref().unwrap_or(temporary.path());
    let mut journals = journals(folder);
    journals.commands.segment_size = 128 << 20;
    journals.commands.batch_bytes = 1 << 20;
    journals.events.segment_size = 128 << 20;
    let pipeline = PipelineConfig {
        real_time_priority: arguments.priority,
        ..PipelineConfig::default()
    };
    let mut house = House::open_on(&pipeline, &journals);
    house.flow(0..WARM);
    // Filling segments with zeros is work of a start, not of the flow.
    wait_until_ready(folder, journals.commands.prepared_segments);
    let now = house.now;
    let batches: Vec<Vec<u8>> = (WARM..WARM + orders)
        .step_by(BATCH)
        .map(|first| {
            let numbers = first..(first + 16).min(WARM + orders);
            numbers
                .flat_map(|number| flow_order(number, now).bytes().to_vec())
                .collect()
        })
        .collect();
    let (before, load) = (threads_cpu("self"), load());
    let every = Duration::from_nanos((1_000_000_000 * 16_u64).checked_div(rate).unwrap_or(0));
    let of_a_burst = batches
        .len()
        .div_ceil(usize::try_from(arguments.bursts).expect("fits").max(1));
    let mut heard = Heard::default();
    for batches in batches.chunks(of_a_burst) {
        burst(&mut house, batches, every, &mut heard);
    }
    let cpu = cpu_an_order(&before, &threads_cpu("self"), orders);
    let waited = house.pipeline.waits_for_disk().load(Ordering::Relaxed);
    let written = house.stop().commands.written();
    let figures = json!({
        "orders": orders,
        "offered_a_second": rate,
        "real_time_priority": arguments.priority,
        "m_orders_a_second": f64_of(orders) / heard.took.as_secs_f64() / 1e6,
        "scheduled_to_durable_us": percentiles(heard.durable),
        "quiet_scheduled_to_durable_us": percentiles(heard.quiet_durable),
        "scheduled_to_told_us": percentiles(heard.latencies),
        "quiet_scheduled_to_told_us": percentiles(heard.quiet_latencies),
        "bursts": heard.bursts,
        "quiet_bursts": heard.quiet_bursts,
        "cpu_ns_an_order": cpu,
        "load_1_min": load,
        "ring_full": heard.ring_full,
        "publisher_waited_for_disk": waited,
        "syncs": written.commits,
        "bytes_to_disk_for_each_appended":
            f64_of(written.disk_bytes) / f64_of(written.appended_bytes.max(1)),
    });
    println!("{figures}");
    figures
}

/// What all bursts together showed; latencies are empty when nothing was scheduled.
#[derive(Default)]
struct Heard {
    took: Duration,
    latencies: Vec<u64>,
    /// Those of bursts during which the hypervisor took nothing.
    quiet_latencies: Vec<u64>,
    /// The same two, until what was offered was durable.
    durable: Vec<u64>,
    quiet_durable: Vec<u64>,
    bursts: u64,
    quiet_bursts: u64,
    ring_full: u64,
}

/// Offers some batches at their pace and hears all that they cause.
fn burst(house: &mut House, batches: &[Vec<u8>], every: Duration, heard: &mut Heard) {
    let mut ingress = house.ingress.clone();
    let orders = batches
        .iter()
        .map(|batch| batch.len() / ORDER_BYTES)
        .sum::<usize>();
    let (stolen, start) = (stolen_ticks(), Instant::now() + Duration::from_millis(5));
    let durable = Follower::of(house.pipeline.durable(), start, every);
    let (latencies, (durable, ring_full)) = std::thread::scope(|scope| {
        let offering = std::thread::Builder::new().name("offers".to_owned());
        let offering = offering.spawn_scoped(scope, || offer(&mut ingress, batches, durable));
        let orders = u64::try_from(orders).expect("fits");
        let latencies = listen(house, orders, (!every.is_zero()).then_some((start, every)));
        (latencies, offering.expect("a thread").join().expect("it ends"))
    });
    heard.took += start.elapsed();
    heard.bursts += 1;
    heard.ring_full += ring_full;
    if stolen_ticks() == stolen {
        heard.quiet_bursts += 1;
        heard.quiet_latencies.extend(&latencies);
        heard.quiet_durable.extend(&durable);
    }
    heard.durable.extend(durable);
    heard.latencies.extend(latencies);
}

/// Hears every order's last event; with a schedule, how late each batch's first one was, in nanoseconds.
fn listen(house: &mut House, orders: u64, schedule: Option<(Instant, Duration)>) -> Vec<u64> {
    nap_exactly();
    let mut latencies = Vec::with_capacity(usize::try_from(orders / 16 + 1).expect("fits"));
    let mut heard = 0;
    while heard < orders {
        let mut any = false;
        while let Some(frame) = house.source.next_event().expect("the journal is whole") {
            any = true;
            if !frame.header.is_last() {
                continue;
            }
            if let Some((start, every)) = schedule.filter(|_| heard.is_multiple_of(16)) {
                let due = due(start, every, usize::try_from(heard / 16).expect("fits"));
                latencies.push(ns_of(Instant::now().saturating_duration_since(due)));
            }
            heard += 1;
        }
        if !any {
            std::thread::sleep(NAP);
        }
    }
    latencies
}

/// Follows how much of what was offered is durable.
struct Follower {
    durable: Durable,
    /// The last command before the burst; nobody else says anything during it.
    before: Seq,
    start: Instant,
    every: Duration,
    /// How late each batch was durable, in nanoseconds; without a schedule only their number counts.
    late: Vec<u64>,
}

impl Follower {
    fn of(durable: Durable, start: Instant, every: Duration) -> Follower {
        let (before, late) = (durable.seq(), Vec::new());
        Follower {
            durable,
            before,
            start,
            every,
            late,
        }
    }

    fn look(&mut self) {
        let done = usize::try_from(self.durable.seq().0 - self.before.0).expect("fits") / BATCH;
        let now = Instant::now();
        for place in self.late.len()..done {
            let due = due(self.start, self.every, place);
            self.late.push(ns_of(now.saturating_duration_since(due)));
        }
    }
}

/// Offers each batch when it is due, then waits until all are durable: how late they were, and how often the ring was
/// full.
fn offer(ingress: &mut xq_server::Ingress, batches: &[Vec<u8>], mut durable: Follower) -> (Vec<u64>, u64) {
    nap_exactly();
    let mut full = 0;
    for (place, batch) in batches.iter().enumerate() {
        let due = due(durable.start, durable.every, place);
        loop {
            durable.look();
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(NAP));
        }
        let mut taken = 0;
        while taken < batch.len() {
            let now = ingress.offer(&batch[taken..]);
            taken += now;
            if now == 0 {
                full += 1;
                std::thread::sleep(NAP);
            }
        }
    }
    let whole = batches.iter().filter(|batch| batch.len() == BATCH * ORDER_BYTES);
    let whole = whole.count();
    while durable.late.len() < whole {
        durable.look();
        std::thread::sleep(NAP);
    }
    if durable.every.is_zero() {
        durable.late.clear();
    }
    (durable.late, full)
}

/// Makes this thread's naps as short as they are meant.
fn nap_exactly() {
    // Refused, naps are longer, and latency is counted as it is.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1_000));
}
