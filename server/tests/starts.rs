//! Starts that must fail, each with its exit code and a message that names the culprit; and a disk that fills up.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use support::raw::Raw;
use support::venue::{Desk, Site, Venue};
use xq_protocol::*;
use xq_server::config::Config;
use xq_server::{
    ClockLeap, Exit, Journals, Pipeline, PipelineConfig, Server, SteadyClock, recover, wall_now,
};

const XQ: &str = env!("CARGO_BIN_EXE_xq");

/// The site's configuration as a file.
fn write_config(site: &Site, listen: SocketAddr) -> std::path::PathBuf {
    let path = site.folder.path().join("xq.toml");
    std::fs::write(&path, site.toml(listen)).expect("a file can be written");
    path
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// Starts `xq serve`, which must end by itself: its exit code and what it said.
fn refused(site: &Site, listen: SocketAddr, more: &[&str]) -> (Option<i32>, String) {
    let config = write_config(site, listen);
    let child = Command::new(XQ)
        .arg("serve")
        .arg("--config")
        .arg(config)
        .args(more)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("`xq` starts");
    let begun = Instant::now();
    while child.try_wait().expect("it can be asked").is_none() {
        // One that serves is a failure, too: its exit code will not be the one that is wanted.
        if begun.elapsed() > Duration::from_secs(60) {
            child.kill().expect("it can be ended");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().expect("it has ended");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn assert_refused(site: &Site, exit: Exit, parts: &[&str]) {
    let (code, said) = refused(site, any_port(), &[]);
    assert_eq!(code, Some(i32::from(exit.code())), "{said}");
    parts
        .iter()
        .for_each(|part| assert!(said.contains(part), "`{part}` is not in: {said}"));
}

/// A process that is ended with the test.
struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = BufReader::new(child.stdout.take().expect("a pipe"));
        Process { child, said }
    }

    /// Where it listens, once it does.
    fn address(&mut self) -> SocketAddr {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("text");
        let address = line
            .trim()
            .strip_prefix("listening at ")
            .and_then(|address| address.parse().ok());
        address.unwrap_or_else(|| {
            let mut errors = String::new();
            // What can be read of it is all there is to show.
            let _ = self
                .child
                .stderr
                .take()
                .expect("a pipe")
                .read_to_string(&mut errors);
            panic!("it does not listen: {line}{errors}")
        })
    }
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_touched() {
    let (site, taken) = (Site::prepare(), UdpSocket::bind(any_port()).expect("a port"));
    let address = taken.local_addr().expect("it is bound");
    let (code, said) = refused(&site, address, &[]);
    assert_eq!(code, Some(i32::from(Exit::CannotCreate.code())), "{said}");
    assert!(
        said.contains(&address.to_string()) && said.contains("server.listen"),
        "{said}"
    );
    assert!(!site.journals().exists(), "no journal was begun");
}

#[test]
fn a_folder_in_use_is_named() {
    let venue = Venue::start();
    let folder = venue.site.journals();
    assert_refused(
        &venue.site,
        Exit::CannotCreate,
        &["in use", &folder.display().to_string()],
    );
    // Its threads would else work on in a folder that is gone, and end the process.
    venue.server.stop().expect("it stops");
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_alone() {
    for name in ["command-0000000001.xqj", "event-0000000001.xqj"] {
        let venue = Venue::start();
        venue.server.stop().expect("it stops");
        let file = venue.site.journals().join(name);
        let mut bytes = std::fs::read(&file).expect("the first segment");
        bytes[12] = 99;
        std::fs::write(&file, &bytes).expect("it can be written");
        assert_refused(&venue.site, Exit::NewerJournal, &[name, "version 99"]);
        assert!(
            std::fs::read(&file).expect("the first segment") == bytes,
            "nothing was changed"
        );
    }
}

/// A journal whose only command was said at this time.
fn journal_of(site: &Site, time: Nanos) {
    let (config, clock) = (site.config(), SteadyClock::starting_at(time));
    let recovered =
        recover(&Journals::of(&config), &clock, ClockLeap::Refuse, &mut |_, _| {}).expect("it is new");
    let genesis = xq_server::opening::genesis(&config.exchange, recovered.journal_id());
    let pipeline =
        Pipeline::start(&PipelineConfig::of(&config, clock, Vec::new()), recovered).expect("it starts");
    let header = Header {
        time,
        ..Header::default()
    };
    let frame = CommandFrame::new(header, &genesis);
    assert_eq!(pipeline.ingress().offer(frame.bytes()), frame.bytes().len());
    pipeline.stop().expect("it stops");
}

#[test]
fn a_clock_before_the_journal_or_a_day_after_it_is_refused() {
    const DAYS_2: u64 = 2 * 86_400_000_000_000;
    let ahead = Site::prepare();
    journal_of(&ahead, Nanos(wall_now().0 + DAYS_2));
    assert_refused(
        &ahead,
        Exit::ClockRefused,
        &["clock", "later; set the clock right"],
    );

    let behind = Site::prepare();
    journal_of(&behind, Nanos(wall_now().0 - DAYS_2));
    assert_refused(&behind, Exit::ClockRefused, &["clock", "--accept-clock-leap"]);
    let config = behind.config();
    let server = Server::start(&config, ClockLeap::Accept, &mut |_, _| {}).expect("the operator says so");
    server.stop().expect("it stops");
}

#[test]
fn a_wrong_configuration_is_named_by_its_key() {
    let site = Site::prepare();
    let path = write_config(&site, any_port());
    let text = std::fs::read_to_string(&path).expect("written just now") + "certificats = []\n";
    std::fs::write(&path, &text).expect("a file can be written");
    let output = Command::new(XQ)
        .arg("serve")
        .arg("--config")
        .arg(&path)
        .output()
        .expect("`xq` starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(i32::from(Exit::Configuration.code())),
        "{said}"
    );
    assert!(said.contains("certificats"), "{said}");
    assert!(Config::from_text(&text).is_err());
}

#[test]
fn a_core_that_is_not_there_is_named_and_nothing_is_touched() {
    let site = Site::prepare();
    let path = write_config(&site, any_port());
    let text = std::fs::read_to_string(&path).expect("written just now")
        + "[threads]\nlayout = \"pinned\"\ncores = [0, 1, 4095]\n";
    std::fs::write(&path, text).expect("a file can be written");
    let output = Command::new(XQ).arg("serve").arg("--config").arg(&path).output();
    let output = output.expect("`xq` starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(i32::from(Exit::Configuration.code())),
        "{said}"
    );
    assert!(said.contains("threads.cores") && said.contains("4095"), "{said}");
    assert!(!site.journals().exists(), "no journal was begun");
}

/// Starts twice more: the journal is begun, and then gone on with.
fn assert_starts_twice(site: &Site) {
    for _ in 0..2 {
        let started = Server::start(&site.config(), ClockLeap::Refuse, &mut |_, _| {});
        started.expect("the exchange starts").stop().expect("it stops");
    }
}

#[test]
fn a_first_start_that_ended_before_its_first_command_is_gone_on_with() {
    let recovered = |site: &Site| {
        let (journals, clock) = (Journals::of(&site.config()), SteadyClock::start());
        recover(&journals, &clock, ClockLeap::Refuse, &mut |_, _| {}).expect("it is new")
    };
    // Ended between recovery and Genesis: there is an event segment and no command.
    let before = Site::prepare();
    let id = recovered(&before).journal_id();
    assert_eq!(recovered(&before).journal_id(), id, "it keeps its name");
    assert_starts_twice(&before);

    // Ended while Genesis was written: there is a command segment's header, and nothing after it.
    let within = Site::prepare();
    drop(recovered(&within));
    assert_starts_twice(&within);
    let file = within.journals().join("command-0000000001.xqj");
    let mut bytes = std::fs::read(&file).expect("the first segment");
    bytes[4096..].fill(0);
    std::fs::write(&file, bytes).expect("it can be written");
    for entry in std::fs::read_dir(within.journals()).expect("lists") {
        let entry = entry.expect("an entry");
        if entry.file_name().to_string_lossy().starts_with("event-") {
            std::fs::remove_file(entry.path()).expect("it is there");
        }
    }
    assert_starts_twice(&within);
}

/// Whether a file is there and begins with something: its header was written.
fn is_begun(file: &std::path::Path) -> bool {
    let mut head = [0; 8];
    std::fs::File::open(file).is_ok_and(|mut file| file.read_exact(&mut head).is_ok() && head != [0; 8])
}

#[test]
fn a_first_start_can_be_killed_at_any_moment() {
    type Moment = fn(&std::path::Path) -> bool;
    let moments: [Moment; 4] = [
        |data| data.exists(),
        |data| data.join("command-0000000001.xqj").exists(),
        |data| data.join("event-0000000001.xqj").exists(),
        |data| is_begun(&data.join("event-0000000001.xqj")),
    ];
    for moment in moments {
        let site = Site::prepare();
        let config = write_config(&site, any_port());
        let process = Process::start(Command::new(XQ).arg("serve").arg("--config").arg(config));
        let by = Instant::now() + Duration::from_secs(20);
        while !moment(&site.journals()) {
            assert!(Instant::now() < by, "it comes so far in time");
            std::hint::spin_loop();
        }
        drop(process);
        assert_starts_twice(&site);
    }
}

/// Places orders until one finds the disk low; how many were taken.
async fn fill(raw: &mut Raw, number: &mut u64, sell: &PlaceOrder) -> usize {
    for taken in 0.. {
        raw.request(*number, sell).await;
        let answer = raw.answer(*number).await;
        *number += 1;
        let last = answer.last().expect("an answer").frame().expect("a frame");
        if let Ok(SessionMessage::DoorRejected(refused)) = last.session_message() {
            assert_eq!(
                RejectReason::from_code(refused.code),
                Some(RejectReason::EngineBusy)
            );
            return taken;
        }
    }
    unreachable!("the disk is finite")
}

#[test]
fn on_a_full_disk_orders_are_refused_and_cancels_still_work() {
    let site = Site::prepare();
    let (config, data) = (write_config(&site, any_port()), site.journals());
    std::fs::create_dir(&data).expect("a folder");
    // The small disk lives and dies with the process: a mount of its own, in a user namespace where there is no root.
    let script = format!("mount -t tmpfs -o size=5m none {data:?} && exec {XQ:?} serve --config {config:?}");
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new("unshare");
    command.args(if is_root {
        &["--mount"][..]
    } else {
        &["--map-root-user", "--mount"]
    });
    let mut process = Process::start(command.args(["sh", "-c", &script]));
    let address = process.address();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let filling = async {
        let mut desk = Desk::at(&site, address);
        desk.open_market().await;
        let (mut acme, mut number) = desk.session("acme", 5).await;
        let cl_ord_id = ClOrdId::from_text("kept").expect("short");
        let sell = PlaceOrder {
            cl_ord_id,
            ..resting_sell()
        };
        acme.request(number, &sell).await;
        acme.answer(number).await;
        // Refused for its quantity: it fills the journals and nothing else.
        let filler = PlaceOrder {
            qty: Qty(1_000_000),
            ..resting_sell()
        };
        number += 1;
        let taken = fill(&mut acme, &mut number, &filler).await;
        assert!(taken > 100, "only {taken} orders before the disk was full");
        let cancel = CancelOrder {
            account: sell.account,
            reduce_qty: Qty::ZERO,
            order: OrderId::ZERO,
            cl_ord_id,
        };
        acme.request(number, &cancel).await;
        let answer = acme.answer(number).await;
        let canceled = |frame: &CommandFrame| frame.header().template_id == OrderCanceled::TEMPLATE;
        assert!(answer.iter().any(canceled), "the cancel was taken");
        assert_eq!(
            fill(&mut acme, &mut { number + 1 }, &filler).await,
            0,
            "orders are still refused"
        );
    };
    runtime.block_on(async {
        let within = tokio::time::timeout(Duration::from_secs(60), filling);
        within.await.expect("the disk fills within a minute");
    });
}

fn resting_sell() -> PlaceOrder {
    PlaceOrder {
        account: AccountId(1),
        series: SeriesId(1),
        qty: Qty(1),
        side: Side::Sell,
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: Price(2_500),
        expire_at: Nanos::ZERO,
        cl_ord_id: ClOrdId::from_text("f").expect("short"),
        on_disconnect: OnDisconnect::Cancel,
        reserved: Reserved::ZERO,
    }
}
