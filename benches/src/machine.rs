//! Where and of what a figure was measured.

use serde_json::{Value, json};
use std::process::Command;

/// Processor, cores, memory, kernel, load.
pub fn describe() -> Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "processor": first_of("/proc/cpuinfo", "model name"),
        "cores": cores,
        "memory": first_of("/proc/meminfo", "MemTotal"),
        "kernel": rustix::system::uname().release().to_string_lossy(),
        "load_1_min": load.split(' ').next().unwrap_or_default(),
    })
}

/// The value of the first line `key : value` of a file of such lines.
fn first_of(path: &str, key: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or(String::new(), |(_, value)| value.trim().to_owned())
}

/// The commit that was measured, with a mark when the sources differ from it.
pub fn commit() -> String {
    let said = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = said(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_default();
    match said(&["status", "--porcelain", "--", "engine", "protocol", "perf/src"]) {
        Some(changed) if changed.is_empty() => commit,
        Some(_) | None => commit + "+changes",
    }
}
