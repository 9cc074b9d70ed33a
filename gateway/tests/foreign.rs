//! A foreign peer: a Python client that knows nothing but the published schema logs on and trades.

mod support;

use std::path::Path;
use std::process::Command;
use support::Venue;
use support::session_of;

/// The peer needs `aioquic`; its absence is told by the peer itself and fails the test.
#[test]
fn a_python_client_trades() {
    let venue = Venue::standard();
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client/tests/peer.py");
    let address = venue.gateway.address();
    let path = |path: &Path| path.display().to_string();
    let output = Command::new("python3")
        .arg(peer)
        .args(["--host", "localhost", "--port", &address.port().to_string()])
        .args(["--ca", &path(&venue.authority.cert())])
        .args([
            "--cert",
            &path(&venue.keys[0].cert),
            "--key",
            &path(&venue.keys[0].key),
        ])
        .args([
            "--session",
            &session_of(0).to_string(),
            "--account",
            "1",
            "--series",
            "7",
        ])
        .output()
        .expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for fact in [
        "\"placed\": 4",
        "\"accepted\": 4",
        "\"canceled\": 4",
        "\"rejected\": 0",
        "\"terminated\": \"Requested\"",
    ] {
        assert!(said.contains(fact), "{fact} is missing in {said}");
    }
}
