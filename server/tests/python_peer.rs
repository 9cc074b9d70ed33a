//! A foreign client: a Python program that knows only the published schema logs on over QUIC and trades.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::venue::{Venue, number_of};
use xq_protocol::SessionId;

const HOW: &str = "the test needs Python 3.9 or later with venv and pip, and aioquic from PyPI: \
                   `apt-get install python3 python3-venv`, and a way to PyPI at the first run";

/// A Python that has aioquic: made once, below the target folder.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peer-venv");
    let python = folder.join("bin/python3");
    let has_aioquic = || {
        let asked = Command::new(&python).args(["-c", "import aioquic"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    if !has_aioquic() {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "aioquic==1.2.0"]));
        assert!(has_aioquic(), "{HOW}");
    }
    python
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; {HOW}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {said}; {HOW}");
}

#[test]
fn a_python_client_logs_on_and_trades() {
    let python = python();
    let venue = Venue::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    // Who sells must stay connected: its orders go with its session.
    let (mut desk, _entered) = {
        let entered = runtime.enter();
        (venue.desk(), entered)
    };
    runtime.block_on(async {
        desk.open_market().await;
        desk.say_all(&["sell acme 25 COFFEE @ 20.00 persist as s1"]).await;
    });
    let keys = venue.site.folder.path().join("keys");
    let session = SessionId::of(number_of("bob"), 3).expect("a slot");
    let mut peer = Command::new(python);
    peer.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../client/tests/peer.py"))
        .args(["--host", "127.0.0.1", "--server-name", "localhost"])
        .args(["--port", &venue.server.address().port().to_string()])
        .args([
            "--session",
            &session.0.to_string(),
            "--account",
            "3",
            "--series",
            "1",
        ])
        .args(["--side", "Buy", "--qty", "10", "--limit", "2000", "--orders", "4"]);
    for (option, file) in [("--ca", "ca.pem"), ("--cert", "bob.pem"), ("--key", "bob.key")] {
        peer.arg(option).arg(keys.join(file));
    }
    let output = peer.output().expect("Python starts");
    let (said, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "the peer failed: {said}{errors}");
    let told: serde_json::Value = serde_json::from_str(&said).expect("a line of JSON");
    // Four orders of 10 meet 25: two fill, one in part, and what rests of two is cancelled.
    let counts = ["placed", "accepted", "executed", "canceled", "rejected"].map(|key| told[key].as_u64());
    assert_eq!(counts, [4, 4, 3, 2, 0].map(Some), "{said}");
    let executed = told["heard"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|heard| heard["name"] == "Executed");
    let quantities: Vec<u64> = executed.filter_map(|heard| heard["qty"].as_u64()).collect();
    assert_eq!(quantities, [10, 10, 5], "{said}");
    drop(desk);
    venue.server.stop().expect("it stops cleanly");
}
