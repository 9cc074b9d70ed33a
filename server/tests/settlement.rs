//! The bridge's verbs beside an exchange: written, reconciled, a day signed, its page, and a hand found out.

mod support;

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use support::venue::Venue;
use tokio::runtime::Builder;
use xq_cluster::{Cluster, Durability};
use xq_server::BridgePage;

fn xq(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xq"));
    command.args(arguments).output().expect("`xq` runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// What happens on the exchange; its sessions have gone when it returns.
fn trade(venue: &Venue) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        desk.assert_goes_on().await;
        desk.say("roll-day 2026-01-05").await;
        let refused = desk.say("buy bob 1 COFFEE @ 0.00 as z").await;
        assert!(refused[0].starts_with("rejected"), "{refused:?}");
    });
}

#[test]
fn an_exchange_is_written_reconciled_and_signed() {
    let cluster = Cluster::temporary(Durability::None).expect("a private PostgreSQL");
    let url = cluster.url("xq_bridge", "xq");
    let venue = Venue::start();
    trade(&venue);
    let journals = venue.site.journals();
    let data = journals.to_str().expect("a path").to_owned();
    // Beside the running exchange.
    let bridged = xq(&["bridge", "--once", "--postgres", &url, "--data", &data]);
    assert!(bridged.status.success(), "{}", said(&bridged));
    let reconcile = || xq(&["reconcile", "--postgres", &url, "--data", &data]);
    let compared = reconcile();
    assert!(
        compared.status.success() && said(&compared).contains("differences    0"),
        "{}",
        said(&compared)
    );

    let to = tempfile::tempdir().expect("a folder");
    let day = |date: &str| {
        xq(&[
            "day",
            date,
            "--postgres",
            &url,
            "--to",
            to.path().to_str().expect("a path"),
        ])
    };
    let signed = day("2026-01-05");
    assert!(signed.status.success(), "{}", said(&signed));
    let page = read(&to.path().join("day.html"));
    assert!(page.contains("Trial balance") && page.contains("R318"), "{page}");
    assert!(read(&to.path().join("trial_balance.csv")).contains("1100,custody,CNY,-"));
    assert!(read(&to.path().join("coverage.csv")).contains("COFFEE"));
    assert_eq!(read(&to.path().join("breaks.csv")).lines().count(), 1);
    assert_eq!(day("2026-01-06").status.code(), Some(1), "it has not begun");
    assert_eq!(day("soon").status.code(), Some(64));

    let mut admin = cluster.admin("xq").expect("the administrator");
    admin
        .batch_execute("UPDATE xq.balances SET amount = amount + 1 WHERE place = 4")
        .expect("a hand");
    let compared = reconcile();
    assert_eq!(compared.status.code(), Some(1));
    assert!(
        said(&compared).contains("differs        balances (place=4, owner=0"),
        "{}",
        said(&compared)
    );
    venue.server.stop().expect("it stops");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("it was written")
}

#[test]
fn the_page_has_every_metric_that_the_rules_name() {
    let listen: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let page = BridgePage::open(listen, std::sync::Arc::default()).expect("a free port");
    let mut stream = TcpStream::connect(page.address()).expect("it listens");
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n"
    )
    .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for file in ["docs/settlement.md", "ops/settlement-alerts.yml"] {
        let document = read(Path::new(&format!("{root}/{file}")));
        let words = document.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: Vec<&str> = words.filter(|word| word.starts_with("xq_bridge_")).collect();
        assert!(named.len() > 3, "{file}");
        for name in named {
            assert!(
                text.contains(&format!("\n{name} ")),
                "{file} names {name}:\n{text}"
            );
        }
    }
}

#[test]
fn a_password_comes_from_a_passfile_that_nobody_else_may_read() {
    let cluster = Cluster::temporary(Durability::None).expect("a private PostgreSQL");
    let mut admin = cluster.admin("postgres").expect("the administrator");
    admin
        .batch_execute("CREATE ROLE with_password LOGIN PASSWORD 'right'")
        .expect("a role");
    let (folder, url) = (
        tempfile::tempdir().expect("a folder"),
        cluster.url("with_password", "xq"),
    );
    let passfile = folder.path().join("passfile");
    let ended = |password: &str, mode: u32| {
        let line = format!("localhost:5432:xq:with_password:{password}\n");
        std::fs::write(&passfile, line).expect("it is written");
        std::fs::set_permissions(&passfile, Permissions::from_mode(mode)).expect("it is ours");
        let mut day = Command::new(env!("CARGO_BIN_EXE_xq"));
        day.args(["day", "2026-01-05", "--postgres", &url])
            .env("PGPASSFILE", &passfile);
        let output = day.output().expect("`xq` runs");
        assert_eq!(output.status.code(), Some(1));
        said(&output)
    };
    let refused = ended("wrong", 0o600);
    assert!(refused.contains("28P01"), "{refused}");
    let open = ended("right", 0o644);
    assert!(open.contains("mode 0600"), "{open}");
    // It is let in, and finds that no bridge has been here.
    let let_in = ended("right", 0o600);
    assert!(let_in.contains("42P01"), "{let_in}");
}
