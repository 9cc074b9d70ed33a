//! How fast the pipeline is without a door: ring → match → durable → told. `in_process [orders] [rate a second]`
//!
//! Without a rate it offers as fast as the ring takes; with one, each order has its scheduled time, and latency is
//! counted from there to the moment at which its last event may be told.

#[path = "../tests/in_process/mod.rs"]
mod in_process;

use in_process::{House, flow_order, journals, wait_until_ready};
use std::time::{Duration, Instant};
use xq_protocol::EventFrame;

/// Orders offered at once.
const BATCH: usize = 16;

fn argument(place: usize, default: u64) -> u64 {
    std::env::args()
        .nth(place)
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn main() {
    let (orders, rate) = (argument(1, 1_000_000), argument(2, 0));
    let folder = tempfile::tempdir_in(".").expect("a folder on a real disk");
    let mut journals = journals(folder.path());
    journals.commands.segment_size = 128 << 20;
    journals.commands.batch_bytes = 1 << 20;
    journals.events.segment_size = 128 << 20;
    let mut house = House::open(&journals);
    house.flow(0..20_000);
    // Filling segments with zeros is work of a start, not of the flow.
    wait_until_ready(folder.path(), journals.commands.prepared_segments);
    let now = house.now;
    let frames: Vec<EventFrame> = (20_000..20_000 + orders)
        .map(|number| flow_order(number, now))
        .collect();
    let batches: Vec<Vec<u8>> = frames
        .chunks(BATCH)
        .map(|batch| batch.iter().flat_map(|o| o.bytes().to_vec()).collect())
        .collect();
    let mut ingress = house.ingress.clone();
    let start = Instant::now() + Duration::from_millis(5);
    let batch_every = Duration::from_nanos((1_000_000_000 * 16_u64).checked_div(rate).unwrap_or(0));
    let offering = std::thread::spawn(move || offer(&mut ingress, &batches, start, batch_every));
    let latencies_us = listen(&mut house, orders, (rate > 0).then_some((start, batch_every)));
    let took = start.elapsed();
    let busy = offering.join().expect("it ends");
    println!(
        "{orders} orders in {took:?}: {:.3} M/s; ring full {busy} times; waited for the disk {} times",
        f64::from(u32::try_from(orders).expect("fits")) / took.as_secs_f64() / 1e6,
        house.pipeline.waited_for_disk()
    );
    tell_latencies(rate, latencies_us);
    let stopped = house.stop();
    let written = stopped.commands.written();
    println!(
        "{} syncs, {:.2} bytes to disk for each appended",
        written.commits,
        f64::from(u32::try_from(written.disk_bytes / 1_024).expect("fits"))
            / f64::from(
                u32::try_from(written.appended_bytes / 1_024)
                    .expect("fits")
                    .max(1)
            )
    );
}

/// Hears every order's last event; with a schedule, how late each batch's first one was, in microseconds.
fn listen(house: &mut House, orders: u64, schedule: Option<(Instant, Duration)>) -> Vec<u128> {
    let mut latencies_us = Vec::with_capacity(usize::try_from(orders).expect("fits"));
    let mut heard = 0;
    while heard < orders {
        let mut any = false;
        while let Some(frame) = house.source.next_event().expect("the journal is whole") {
            any = true;
            if !frame.header.is_last() {
                continue;
            }
            if let Some((start, every)) = schedule.filter(|_| heard.is_multiple_of(16)) {
                let due = start + every * u32::try_from(heard / 16).expect("fits");
                latencies_us.push(Instant::now().saturating_duration_since(due).as_micros());
            }
            heard += 1;
        }
        if !any {
            std::thread::park_timeout(Duration::from_micros(50));
        }
    }
    latencies_us
}

fn tell_latencies(rate: u64, mut latencies_us: Vec<u128>) {
    latencies_us.sort_unstable();
    let at = |permille: usize| latencies_us.get(latencies_us.len() * permille / 1_000).copied();
    if let (Some(p50), Some(p99), Some(p999)) = (at(500), at(990), at(999)) {
        println!("at {rate}/s, scheduled to told, us: p50 {p50} p99 {p99} p99.9 {p999}");
    }
}

fn offer(ingress: &mut xq_server::Ingress, batches: &[Vec<u8>], start: Instant, every: Duration) -> u64 {
    let mut full = 0;
    for (place, batch) in batches.iter().enumerate() {
        let due = start + every * u32::try_from(place).expect("fits");
        while Instant::now() < due {
            std::thread::yield_now();
        }
        let mut taken = 0;
        while taken < batch.len() {
            let now = ingress.offer(&batch[taken..]);
            taken += now;
            if now == 0 {
                full += 1;
                std::thread::park_timeout(Duration::from_micros(50));
            }
        }
    }
    full
}
