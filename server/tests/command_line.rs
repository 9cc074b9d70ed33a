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

/// What `xq` says in a folder: its exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(XQ);
    let output = command
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("`xq` runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The line of a check that tells of one thing.
fn line_of<'a>(checked: &'a str, about: &str) -> &'a str {
    let is_it = |line: &&str| line.get(6..).is_some_and(|rest| rest.starts_with(about));
    let found = checked.lines().find(is_it);
    found.unwrap_or_else(|| panic!("nothing of {about} in:\n{checked}"))
}

#[test]
fn a_check_names_what_keeps_the_exchange_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = std::net::UdpSocket::bind(any_port()).expect("a port");
    let listen = taken.local_addr().expect("it is bound");
    let config = format!(
        "[server]\nlisten = \"{listen}\"\n[journal]\nblock_bytes = 512\n[threads]\nlayout = \"shared\"\n\
         [exchange]\norders_max = 33554432\nbalances_max = 67108864\nlevel_pages_max = 4194304\n\
         sessions_max = 65536\naccounts_max = 16777216\n\
         [[participants]]\nnumber = 1\nrole = \"operator\"\ncertificates = [\"keys/nobody.pem\"]\n"
    );
    std::fs::write(folder.path().join("xq.toml"), config).expect("a file can be written");
    let (code, checked, said) = run(folder.path(), &["check", "--config", "xq.toml"]);
    assert_eq!(code, Some(i32::from(Exit::Refused.code())), "{checked}{said}");
    let keys = line_of(&checked, "keys");
    assert!(keys.starts_with("BAD") && keys.contains("keys/ca.pem"), "{keys}");
    let door = line_of(&checked, "door");
    assert!(
        door.starts_with("BAD") && door.contains(&listen.to_string()),
        "{door}"
    );
    let memory = line_of(&checked, "memory");
    // 32 million orders and 4 million pages take more than 10,000 MiB.
    let mib_taken = memory
        .split("take ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    assert!(mib_taken.is_some_and(|mib| mib.len() > 4), "{memory}");
    let participants = line_of(&checked, "participants");
    assert!(
        participants.starts_with("BAD") && participants.contains("keys/nobody.pem"),
        "{participants}"
    );
    assert!(
        line_of(&checked, "journals").contains("is to be made"),
        "{checked}"
    );
    assert!(said.contains("not fit to start"), "{said}");
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("it is there").count(),
        1,
        "nothing was changed"
    );

    drop(taken);
    let (_, _, said) = run(folder.path(), &["keys"]);
    assert_eq!(said, "");
    let (_, checked, _) = run(folder.path(), &["check", "-c", "xq.toml"]);
    assert!(line_of(&checked, "keys").starts_with("good"), "{checked}");
    assert!(line_of(&checked, "door").starts_with("good"), "{checked}");
}

#[test]
fn sizes_beyond_the_bounds_are_refused_and_others_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, told, _) = run(
        folder.path(),
        &["size", "--series", "10", "--orders", "1000", "--rate", "100"],
    );
    assert_eq!(code, Some(0));
    // A batch of one command takes a block, and ten are ticks: 110 × 86,400 × 4,096 bytes.
    assert!(told.contains("commands         36.25 GiB"), "{told}");
    assert!(
        told.contains("series_max = 10\n") && told.contains("orders_max = 1000\n"),
        "{told}"
    );
    let (code, _, said) = run(
        folder.path(),
        &["size", "--series", "10", "--orders", "0", "--rate", "100"],
    );
    assert_eq!(code, Some(i32::from(Exit::Usage.code())));
    assert!(said.contains("--orders"), "{said}");
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
