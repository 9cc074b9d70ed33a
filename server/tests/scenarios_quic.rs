//! The executable specification through a whole exchange: sessions over QUIC, rings, journals, restarts.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::quic_door::QuicDoor;
use xq_protocol::text::{Scenario, run};

/// What cannot be said through this door, and why.
const NOT_HERE: &[(&str, &str)] = &[];

/// Scenarios that run at a time: each waits for its disk most of the time.
const AT_A_TIME: usize = 6;

/// Every scenario file, in order.
fn corpus() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder of scenarios") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "scn") {
                let name = path
                    .strip_prefix(&root)
                    .expect("it lies there")
                    .display()
                    .to_string();
                files.push((name, path));
            }
        }
    }
    files.sort();
    assert!(files.len() > 40, "there are scenarios");
    files
}

/// Plays one; gives what went wrong, and how many commands went over QUIC.
fn play(name: &str, path: &Path) -> (Option<String>, usize) {
    let text = std::fs::read_to_string(path).expect("a scenario is text");
    let scenario = Scenario::parse(name, &text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut door = QuicDoor::open();
        let outcome = run(&scenario, &mut door);
        (outcome.err().map(|failure| failure.to_string()), door.over_quic)
    }));
    played.unwrap_or_else(|_| (Some(format!("{name}: panicked, see above")), 0))
}

#[test]
fn every_scenario_holds_over_quic_too() {
    let files = corpus();
    let (next, over_quic) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some((name, path)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (failed, count) = play(name, path);
                    over_quic.fetch_add(count, Ordering::Relaxed);
                    let excepted = NOT_HERE.iter().any(|(file, _)| file == name);
                    let wrong = match (failed, excepted) {
                        (None, false) | (Some(_), true) => continue,
                        (None, true) => format!("{name} holds over QUIC: strike it from the list"),
                        (Some(failure), false) => failure,
                    };
                    failures
                        .lock()
                        .expect("nobody panics while holding it")
                        .push(wrong);
                }
            });
        }
    });
    let failures = failures.into_inner().expect("nobody panicked");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    let over_quic = over_quic.into_inner();
    assert!(over_quic > 1_000, "only {over_quic} commands went over QUIC");
    println!("{} scenarios, {over_quic} commands over QUIC", files.len());
}
