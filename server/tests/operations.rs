//! What operations ask of a running exchange: is it alive, is it ready, what does it count; and keys that are renewed.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::SOON;
use support::venue::{Desk, Site, Venue};
use xq_server::Page;

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// What the page answers: its status, and its text.
fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the page listens");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: exchange\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in text");
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), text.to_owned())
}

/// Asks until the answer is as it should become; the last one.
fn ask_until(address: SocketAddr, path: &str, right: impl Fn(&(u16, String)) -> bool) -> (u16, String) {
    let begun = Instant::now();
    loop {
        let answer = ask(address, path);
        if right(&answer) || begun.elapsed() > SOON {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A metric's value, by its name and labels as they are written.
fn value(text: &str, metric: &str) -> f64 {
    let line = text.lines().find(|line| line.split(' ').next() == Some(metric));
    let value = line.and_then(|line| line.split(' ').nth(1));
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("{metric} is not in:\n{text}"))
}

#[tokio::test]
async fn the_page_tells_alive_ready_and_what_is_counted() {
    let page = Page::open(any_port(), Duration::from_millis(100)).expect("a free port");
    let at = page.address();
    assert_eq!(ask(at, "/livez"), (200, "alive\n".to_owned()));
    let (status, text) = ask(at, "/readyz");
    assert_eq!((status, text.lines().next()), (503, Some("recovered: no")));
    assert_eq!(ask(at, "/metrics"), (200, "# EOF\n".to_owned()));
    assert_eq!(ask(at, "/elsewhere").0, 404);

    let venue = Venue::start();
    page.show(venue.server.readings());
    let mut desk = venue.desk();
    desk.open_market().await;
    desk.assert_goes_on().await;
    let refused = desk.say("buy bob 1 COFFEE @ 0.00 as z").await;
    assert!(refused[0].starts_with("rejected"), "{refused:?}");
    let (status, text) = ask_until(at, "/readyz", |(status, _)| *status == 200);
    assert_eq!(status, 200, "{text}");

    let rejects = |(_, text): &(u16, String)| text.contains("xq_exchange_rejects_total{code=\"318\"} 1");
    let (_, text) = ask_until(at, "/metrics", rejects);
    assert!(
        text.ends_with("# EOF\n") && value(&text, "xq_exchange_rejects_total{code=\"318\"}") == 1.0,
        "{text}"
    );
    assert!(value(&text, "xq_durable_sequence") > 20.0);
    assert!(value(&text, "xq_commit_seconds_count") > 5.0);
    assert!(value(&text, "xq_told_after_seconds_count") > 5.0);
    assert_eq!(value(&text, "xq_sessions"), 4.0, "operator, bank, acme and bob");
    assert!(value(&text, "xq_ring_seconds_count") > 0.0 && value(&text, "xq_match_seconds_count") > 0.0);
    assert_eq!(value(&text, "xq_table_capacity_rows{table=\"orders\"}"), 4_096.0);
    assert_eq!(value(&text, "xq_table_rows{table=\"series\"}"), 1.0);
    assert_eq!(value(&text, "xq_disk_low"), 0.0);
    assert!(value(&text, "xq_disk_free_bytes") > 0.0);
    let now = f64::from(u32::try_from(xq_server::wall_now().0 / 1_000_000_000).expect("before 2106"));
    let ends = value(&text, "xq_certificate_end_timestamp_seconds");
    assert!(ends > now, "{ends} at {now}");
    drop(desk);
    venue.server.stop().expect("it stops");
    let (status, text) = ask(at, "/readyz");
    assert!(status == 503 && text.contains("open: no"), "{text}");
    // Nothing is journaled any more: that is noticed, too.
    let (_, text) = ask_until(at, "/readyz", |(_, text)| text.contains("durable: no"));
    assert!(text.contains("durable: no"), "{text}");
}

#[test]
fn the_view_is_lines_of_text_too_and_names_a_page_that_is_not_there() {
    let page = Page::open(any_port(), Duration::from_millis(100)).expect("a free port");
    let venue = Venue::start();
    page.show(venue.server.readings());
    let top = |address: SocketAddr| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xq"));
        let address = address.to_string();
        let output = command
            .args(["top", "--once", "--every-ms", "300", "--address", &address])
            .output();
        output.expect("`xq` runs")
    };
    let shown = top(page.address());
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success(), "{shown:?}");
    let durable = text.lines().find(|line| line.starts_with("made durable"));
    assert!(
        durable.is_some_and(|line| !line.contains(" 0/s")),
        "ticks are commands: {text}"
    );
    assert!(text.contains("orders                   0 of 4096 rows"), "{text}");
    venue.server.stop().expect("it stops");
    let nobody = free_port();
    let refused = top(nobody);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains(&nobody.to_string()) && !refused.status.success(),
        "{said}"
    );
}

/// Whoever connects and says nothing has little time, and keeps nobody from asking for longer.
#[test]
fn idle_connections_do_not_shut_the_page() {
    let page = Page::open(any_port(), Duration::from_millis(100)).expect("a free port");
    let idle: Vec<TcpStream> = (0..40)
        .map(|_| TcpStream::connect(page.address()).expect("it listens"))
        .collect();
    assert_eq!(ask(page.address(), "/livez").0, 200);
    drop(idle);
}

#[test]
fn an_address_of_the_page_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind(any_port()).expect("a port");
    let address = taken.local_addr().expect("it is bound");
    let Err(refused) = Page::open(address, Duration::from_millis(100)) else {
        panic!("two cannot have it")
    };
    let said = refused.to_string();
    assert!(
        said.contains(&format!("`metrics.listen` = \"{address}\"")),
        "{said}"
    );
    assert_eq!(refused.exit(), xq_server::Exit::CannotCreate);
}

/// The names that Prometheus keeps of a page, and a histogram's own.
fn series_of(text: &str) -> Vec<String> {
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .flat_map(|(family, kind)| {
            let suffixes: &[&str] = match kind {
                "gauge" => &[""],
                "counter" => &["_total"],
                "info" => &["_info"],
                "histogram" => &["", "_bucket", "_sum", "_count"],
                other => panic!("{family} is a {other}"),
            };
            suffixes.iter().map(move |suffix| format!("{family}{suffix}"))
        })
        .collect()
}

#[test]
fn the_unit_does_not_start_again_what_a_person_has_to_look_at_first() {
    let read = |file: &str| {
        let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("the file is there")
    };
    let unit = read("ops/xq.service");
    let codes = unit
        .lines()
        .find(|line| line.starts_with("RestartPreventExitStatus="));
    let codes = codes.expect("the unit names them");
    assert!(
        read("docs/operations.md").contains(codes),
        "docs/operations.md has not {codes}"
    );
}

/// A file of the project.
fn file(path: &str) -> String {
    let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).expect("the file is there")
}

/// Whether a metric of the expression is shown with a label of this name.
fn has_label(text: &str, expression: &str, label: &str) -> bool {
    let shown = text.lines().filter_map(|line| line.split_once('{'));
    shown
        .filter(|(name, _)| expression.contains(name))
        .any(|(_, labels)| labels.contains(&format!("{label}=\"")))
}

/// Labels that the board's legends name are there.
#[tokio::test]
async fn the_board_asks_what_can_be_answered() {
    let page = Page::open(any_port(), Duration::from_millis(100)).expect("a free port");
    let venue = Venue::start();
    page.show(venue.server.readings());
    let mut desk = venue.desk();
    desk.open_market().await;
    let refused = desk.say("buy bob 1 COFFEE @ 0.00 as z").await;
    assert!(refused[0].starts_with("rejected"), "{refused:?}");
    let rejects = |(_, text): &(u16, String)| text.contains("xq_exchange_rejects_total{");
    let (_, text) = ask_until(page.address(), "/metrics", rejects);

    let board: serde_json::Value = serde_json::from_str(&file("ops/grafana.json")).expect("it is JSON");
    let panels = board["panels"].as_array().expect("panels");
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let targets: Vec<(&str, &str)> = targets
        .map(|target| {
            let text = |key: &str| target[key].as_str().expect("a text");
            (text("expr"), text("legendFormat"))
        })
        .collect();
    assert!(targets.len() > 20);
    for (expression, legend) in targets {
        let labels = legend
            .split("{{")
            .skip(1)
            .map(|rest| rest.split("}}").next().expect("it ends"));
        for label in labels.filter(|_| !expression.contains("door_rejects")) {
            assert!(
                has_label(&text, expression, label),
                "{expression} has no {label} in:\n{text}"
            );
        }
    }
    drop(desk);
    venue.server.stop().expect("it stops");
}

/// Every metric that the operations' documents and rules name is one that the page shows.
#[tokio::test]
async fn every_metric_that_is_named_exists() {
    let page = Page::open(any_port(), Duration::from_millis(100)).expect("a free port");
    let venue = Venue::start();
    page.show(venue.server.readings());
    let (_, text) = ask(page.address(), "/metrics");
    let families: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    let series = series_of(&text);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut named = 0;
    for file in ["docs/operations.md", "ops/alerts.yml", "ops/grafana.json"] {
        let document = std::fs::read_to_string(format!("{root}/{file}")).expect("the file is there");
        let words = document.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| word.starts_with("xq_")) {
            named += 1;
            let exists = series.iter().any(|name| name == word);
            assert!(exists, "{file} names {word}; there are {families:?}");
        }
    }
    assert!(named > families.len(), "the documents name metrics: {named}");
    for family in &families {
        let document = std::fs::read_to_string(format!("{root}/docs/operations.md")).expect("it is there");
        assert!(
            document.contains(&format!("`{family}")),
            "docs/operations.md does not explain {family}"
        );
    }
    venue.server.stop().expect("it stops");
}

/// The server's own certificate, as a new connection is shown it.
async fn shown(desk: &Desk<'_>) -> Vec<u8> {
    let raw = desk.connect("alice").await.expect("the handshake succeeds");
    let identity = raw.connection.peer_identity().expect("it has shown one");
    let chain = identity.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>();
    chain.expect("certificates")[0].as_ref().to_vec()
}

#[tokio::test]
async fn keys_are_renewed_without_a_restart_and_bad_ones_are_not_taken() {
    let venue = Venue::start();
    let mut desk = venue.desk();
    desk.open_market().await;
    let (first, keys) = (shown(&desk).await, venue.site.folder.path().join("keys"));
    std::fs::write(keys.join("server.key"), "nothing").expect("it can be written");
    let refused = venue.server.renew_keys().expect_err("there is no key");
    assert!(refused.to_string().contains("server.key"), "{refused}");
    assert_eq!(shown(&desk).await, first, "the old ones stay in use");
    std::fs::remove_file(keys.join("server.key")).expect("it was there");
    std::fs::remove_file(keys.join("server.pem")).expect("it was there");
    let made = venue.site.authority.server("server", &["localhost", "127.0.0.1"]);
    made.expect("keys are made");
    venue.server.renew_keys().expect("they are fit");
    assert_ne!(shown(&desk).await, first);
    desk.assert_goes_on().await;
    drop(desk);
    venue.server.stop().expect("it stops");
}

/// A process that is ended with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_signal_to_hang_up_renews_the_keys_and_ends_nothing() {
    let site = Site::prepare();
    let page = free_port();
    let log = site.folder.path().join("log");
    let config = site.folder.path().join("xq.toml");
    let text = format!("[metrics]\nlisten = \"{page}\"\n{}", site.toml(any_port()));
    std::fs::write(&config, text).expect("a file can be written");
    let child = Command::new(env!("CARGO_BIN_EXE_xq"))
        .arg("serve")
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).expect("a file can be made"))
        .spawn();
    let mut process = Process(child.expect("`xq` starts"));
    let begun = Instant::now();
    while TcpStream::connect(page).is_err() && begun.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (status, text) = ask_until(page, "/readyz", |(status, _)| *status == 200);
    assert_eq!(status, 200, "{text}");
    let said = |part: &str| std::fs::read_to_string(&log).expect("the log").contains(part);
    let pid = rustix::process::Pid::from_child(&process.0);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("it is there");
    let begun = Instant::now();
    while !said("were read again") && begun.elapsed() < SOON {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(said("were read again"));
    assert_eq!(ask(page, "/readyz").0, 200);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    assert_eq!(process.0.wait().expect("it ends").code(), Some(0));
}

fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind(any_port()).expect("a free port");
    listener.local_addr().expect("it is bound")
}
