//! The program `xq` as its surroundings treat it: output that nobody reads, and signals at any time.

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::venue::{Desk, Site, Venue};
use xq_server::Exit;

const XQ: &str = env!("CARGO_BIN_EXE_xq");

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn write_config(site: &Site) -> PathBuf {
    let path = site.folder.path().join("xq.toml");
    std::fs::write(&path, site.toml(any_port())).expect("a file can be written");
    path
}

/// Runs `xq` with a standard output that nobody reads: its exit code and what it said on standard error.
fn unread(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = Command::new(XQ)
        .args(arguments)
        .current_dir(folder)
        .stdout(writer)
        .stderr(Stdio::piped())
        .output();
    let output = output.expect("`xq` starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

#[test]
fn output_that_nobody_reads_ends_a_subcommand_quietly() {
    let venue = Venue::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        desk.say_all(&["sell acme 1 COFFEE @ 20.00 as s"]).await;
    });
    let folder = venue.site.folder.path().to_owned();
    venue.server.stop().expect("it stops");
    write_config(&venue.site);
    let rows: [&[&str]; 8] = [
        &["errors"],
        &["errors", "401"],
        &["config"],
        &["config", "--print"],
        &["keys", "--folder", "others", "carol"],
        &["dump", "--data", "data"],
        &["explain", "s", "--data", "data"],
        &["verify", "--data", "data"],
    ];
    for arguments in rows {
        let (code, said) = unread(&folder, arguments);
        assert_eq!(
            code,
            Some(i32::from(Exit::Unread.code())),
            "{arguments:?}: {said}"
        );
        assert_eq!(said, "", "{arguments:?}");
    }
    assert!(
        folder.join("others/carol.pem").exists(),
        "what was asked for was done"
    );
}

#[test]
fn a_key_that_is_there_is_not_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = |names: &[&str]| {
        let mut command = Command::new(XQ);
        command.arg("keys").args(names).current_dir(folder.path());
        command.output().expect("`xq` runs")
    };
    assert!(keys(&["carol"]).status.success());
    let made = std::fs::read(folder.path().join("keys/carol.pem")).expect("it was made");
    let refused = keys(&["dave", "carol"]);
    assert_eq!(refused.status.code(), Some(i32::from(Exit::CannotCreate.code())));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("keys/carol.pem is there already"), "{said}");
    let still = std::fs::read(folder.path().join("keys/carol.pem")).expect("it is there");
    assert_eq!(still, made);
    assert!(
        !folder.path().join("keys/dave.pem").exists(),
        "nothing was done by halves"
    );
}

/// `xq serve`, whose log is read line by line; ended with the test.
struct Serving {
    child: Child,
    log: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Serving {
    fn start(site: &Site, out: impl Into<Stdio>) -> Serving {
        Serving::configured(&write_config(site), out)
    }

    fn configured(config: &Path, out: impl Into<Stdio>) -> Serving {
        let mut child = Command::new(XQ)
            .args(["serve", "--config"])
            .arg(config)
            .stdout(out)
            .stderr(Stdio::piped())
            .spawn()
            .expect("`xq` starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Serving { child, log }
    }

    /// Reads its log until a line has this in it.
    fn wait_for(&mut self, part: &str) {
        let mut lines = self.log.by_ref().map(|line| line.expect("text"));
        assert!(
            lines.any(|line| line.contains(part)),
            "the log ended without `{part}`"
        );
    }

    /// Asks it to stop; its exit code.
    fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it still runs");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signal_before_the_exchange_listens_ends_it_cleanly() {
    let site = Site::prepare();
    // The start waits for the first certificate's bytes, which nobody writes.
    let certificate = site.folder.path().join("keys/operator.pem");
    std::fs::remove_file(&certificate).expect("it was made");
    let made = Command::new("mkfifo")
        .arg(&certificate)
        .status()
        .expect("`mkfifo` starts");
    assert!(made.success());
    let mut serving = Serving::start(&site, Stdio::null());
    serving.wait_for("recovering");
    assert_eq!(serving.terminate(), Some(i32::from(Exit::Done.code())));
    serving.wait_for("before recovery was over");
    assert!(!site.journals().exists(), "no journal was begun");
}

#[test]
fn a_signal_at_any_time_of_a_start_ends_it_cleanly() {
    let site = Site::prepare();
    for _ in 0..5 {
        // A fresh start journals its first commands; the others recover what the one before left.
        let mut serving = Serving::start(&site, Stdio::null());
        serving.wait_for("recovering");
        assert_eq!(serving.terminate(), Some(i32::from(Exit::Done.code())));
    }
    let mut serving = Serving::start(&site, Stdio::null());
    serving.wait_for("listening");
    assert_eq!(serving.terminate(), Some(i32::from(Exit::Done.code())));
    serving.wait_for("stopped");
}

#[test]
fn an_exchange_goes_on_when_nobody_reads_where_it_listens() {
    let (site, (reader, writer)) = (Site::prepare(), std::io::pipe().expect("a pipe"));
    drop(reader);
    let mut serving = Serving::start(&site, writer);
    serving.wait_for("recovered and listening");
    assert_eq!(serving.terminate(), Some(i32::from(Exit::Done.code())));
    serving.wait_for("stopped");
}

#[test]
fn an_exchange_that_logs_errors_only_serves_until_it_is_asked_to_stop() {
    let site = Site::prepare();
    let config = write_config(&site);
    let text = std::fs::read_to_string(&config).expect("written just now") + "[log]\nlevel = \"error\"\n";
    std::fs::write(&config, text).expect("a file can be written");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut serving = Serving::configured(&config, writer);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).expect("text");
    let address = line.trim().strip_prefix("listening at ").expect("it listens");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut desk = Desk::at(&site, address.parse().expect("an address"));
        desk.open_market().await;
        desk.assert_goes_on().await;
    });
    assert_eq!(serving.terminate(), Some(i32::from(Exit::Done.code())));
}
