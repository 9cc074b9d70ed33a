//! What the measuring programs share: percentiles, CPU of threads and processes, and the file of figures.
#![allow(dead_code, reason = "each program uses its part")]

use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use xq_benches::{clock, machine};

/// A whole number as a fraction, for rates and means.
pub fn f64_of(number: u64) -> f64 {
    f64::from(u32::try_from(number >> 20).expect("below 2^52")) * 1_048_576.0
        + f64::from(u32::try_from(number & 0xF_FFFF).expect("20 bits"))
}

/// Nanoseconds of a duration.
pub fn ns_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("below 500 years")
}

/// The time at which batch `place` is due, when one is due each `every`.
pub fn due(start: Instant, every: Duration, place: usize) -> Instant {
    start + every * u32::try_from(place).expect("few enough batches")
}

/// p50, p90, p99, p99.9 and the worst, in microseconds.
pub fn percentiles(mut latencies_ns: Vec<u64>) -> Value {
    if latencies_ns.is_empty() {
        return Value::Null;
    }
    latencies_ns.sort_unstable();
    let last = latencies_ns.len() - 1;
    let at = |permille: usize| f64_of(latencies_ns[(latencies_ns.len() * permille / 1_000).min(last)]) / 1e3;
    json!({"p50": at(500), "p90": at(900), "p99": at(990), "p99_9": at(999), "max": at(1_000)})
}

/// CPU time of the threads of a process by name, nanoseconds.
pub fn threads_cpu(pid: &str) -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process is there");
    let mut threads: Vec<(String, u64)> = Vec::new();
    for task in tasks {
        let path = task.expect("an entry").path();
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        let name = read("comm").trim().to_owned();
        let spent = read("schedstat").split(' ').next().and_then(|ns| ns.parse().ok());
        let spent: u64 = spent.unwrap_or(0);
        match threads.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += spent,
            None => threads.push((name, spent)),
        }
    }
    threads.sort();
    threads
}

/// User and system time of a process, its ended threads included, nanoseconds; the kernel counts it in 10 ms.
pub fn process_cpu_ns(pid: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process is there");
    let after_name = stat.rsplit(')').next().expect("a name in parentheses");
    let fields = after_name.split_whitespace();
    // The 14th and 15th field of the line; the name is the second.
    let ticks = fields.skip(11).take(2).map(|field| field.parse().unwrap_or(0));
    ticks.sum::<u64>() * 10_000_000
}

/// What each thread spent between two readings, nanoseconds an order.
pub fn cpu_an_order(before: &[(String, u64)], after: &[(String, u64)], orders: u64) -> Value {
    let spent = |name: &str, now: u64| {
        let then = before.iter().find(|(known, _)| known == name);
        now - then.map_or(0, |(_, then)| *then)
    };
    let each = after
        .iter()
        .map(|(name, now)| (name.clone(), spent(name, *now) / orders));
    each.filter(|(_, ns)| *ns > 0)
        .map(|(name, ns)| (name, json!(ns)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The first figure of the kernel's load, that of the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Time that the hypervisor took from this machine since it started, all cores together, in ticks of 10 ms.
pub fn stolen_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    // The first line is the sum of all cores: `cpu`, then user, nice, system, idle, iowait, irq, softirq, steal.
    let stolen = text.split_whitespace().nth(8);
    stolen.and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

/// Prints the runs, and writes them with machine, commit, load and hiccups into `<folder>/<name>.json`.
pub fn report(name: &str, out: Option<&Path>, runs: &[Value]) {
    let Some(folder) = out else { return };
    let hiccups = clock::hiccups(Duration::from_secs(1));
    let figures = json!({
        "commit": machine::commit(),
        "machine": machine::describe(),
        "hiccups_in_1_s": {
            "over_10_us": hiccups.over_10_us,
            "over_100_us": hiccups.over_100_us,
            "over_1_ms": hiccups.over_1_ms,
        },
        "runs": runs,
    });
    let text = serde_json::to_string_pretty(&figures).expect("it is JSON") + "\n";
    let path = folder.join(format!("{name}.json"));
    std::fs::write(&path, text).expect("the folder can be written");
    println!("{} written", path.display());
}
