//! A command that ends every start is set aside by two operators; from then on it is refused, wherever it is executed.

mod support;

use std::path::Path;
use std::process::{Command, Output};
use support::venue::{Desk, Site, Venue};
use tokio::runtime::{Builder, Runtime};
use xq_server::config::Config;
use xq_server::{ClockLeap, Exit, Server};

const XQ: &str = env!("CARGO_BIN_EXE_xq");

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

fn start(site: Site) -> Result<Venue, Exit> {
    let text = site.toml("127.0.0.1:0".parse().expect("an address")) + "[follower]\nenabled = false\n";
    let config = Config::from_text(&text).expect("it is right");
    let server = Server::start(&config, ClockLeap::Refuse, &mut |_, _| {});
    let server = server.map_err(|failure| failure.exit())?;
    Ok(Venue { server, site })
}

fn xq(arguments: &[&str], data: &Path) -> Output {
    let mut command = Command::new(XQ);
    command.args(arguments).arg("--data").arg(data);
    command.output().expect("`xq` starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Sets a command aside that does not end the exchange, signed by these participants.
fn set_aside(site: &Site, seq: u64, signers: &[&str]) -> (Option<i32>, String) {
    set_aside_as(site, seq, signers, &["--untried"])
}

fn set_aside_as(site: &Site, seq: u64, signers: &[&str], further: &[&str]) -> (Option<i32>, String) {
    let keys = site.folder.path().join("keys");
    let seq = seq.to_string();
    let mut arguments = vec!["journal".to_owned(), "quarantine".to_owned(), seq];
    for name in signers {
        let files = ["pem", "key"].map(|kind| keys.join(format!("{name}.{kind}")).display().to_string());
        arguments.push("--operator".to_owned());
        arguments.extend(files);
    }
    arguments.extend(further.iter().map(ToString::to_string));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = xq(&arguments, &site.journals());
    (output.status.code(), said(&output))
}

#[test]
fn a_command_that_two_operators_set_aside_is_refused_at_every_start() {
    let runtime = runtime();
    let venue = start(Site::prepare()).expect("it starts");
    let (mut names, mut poison) = (None, 0);
    runtime.block_on(async {
        let mut desk = venue.desk();
        desk.open_market().await;
        poison = venue.server.pipeline().durable().seq().0 + 1;
        desk.say_all(&["sell acme 5 COFFEE @ 25.00 gtc persist as poison"])
            .await;
        names = Some(desk.into_names());
    });
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));
    // Time passes, too: the order is the last command but for ticks and the end of sessions.
    let dump = said(&xq(&["dump"], &site.journals()));
    let line = dump
        .lines()
        .find(|line| line.contains("as poison"))
        .expect("it is there");
    let digits = line
        .split(|c: char| !c.is_ascii_digit())
        .find(|digits| !digits.is_empty());
    poison = digits.and_then(|digits| digits.parse().ok()).unwrap_or(poison);

    it_is_set_aside(&site, poison);
    let verified = xq(&["verify"], &site.journals());
    assert!(verified.status.success(), "{}", said(&verified));
    // A backup has it, too.
    let (backup, elsewhere) = (site.folder.path().join("backup"), site.folder.path().join("new"));
    let to = backup.display().to_string();
    for (task, data) in [("backup", site.journals()), ("restore", elsewhere.clone())] {
        let copied = xq(&[task, &to], &data);
        assert!(copied.status.success(), "{}", said(&copied));
    }
    assert!(xq(&["verify"], &elsewhere).status.success());
    let told = said(&xq(&["state"], &site.journals()));
    assert!(!told.contains("poison"), "{told}");
    let site = a_record_that_was_changed_is_refused(site);
    let venue = start(site).expect("it starts");
    runtime.block_on(async {
        let names = names.expect("they were kept");
        let mut desk = Desk::knowing(&venue.site, venue.server.address(), names);
        desk.say_all(&["phase venue continuous"]).await;
        desk.assert_goes_on().await;
    });
    let Venue { site, server } = venue;
    drop(server.stop().expect("it stops"));
    let dump = said(&xq(&["dump"], &site.journals()));
    assert!(dump.contains("R113") || dump.contains("QUARANTINED"), "{dump}");
}

fn it_is_set_aside(site: &Site, poison: u64) {
    let exit = |exit: Exit| Some(i32::from(exit.code()));
    let (code, text) = set_aside(site, poison, &["operator", "operator2"]);
    assert_eq!(code, exit(Exit::Refused), "{text}");
    assert!(
        text.contains("was executed, and what followed was told"),
        "{text}"
    );
    // As if it had ended the exchange: nothing that followed from it was ever told.
    for entry in std::fs::read_dir(site.journals()).expect("lists") {
        let path = entry.expect("an entry").path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("event-"))
        {
            std::fs::remove_file(path).expect("it is there");
        }
    }
    who_may_not_is_refused(site, poison);
    // Events may be lost of what was told: a command that can be executed ended nothing.
    let (code, text) = set_aside_as(site, poison, &["operator", "operator2"], &[]);
    assert_eq!(code, exit(Exit::Refused), "{text}");
    assert!(text.contains("can be executed"), "{text}");
    let (code, text) = set_aside(site, poison, &["operator", "operator2"]);
    assert_eq!(code, exit(Exit::Done), "{text}");
    assert!(
        text.contains(&format!("command {poison}, PlaceOrder of session")),
        "{text}"
    );
    let (code, text) = set_aside(site, poison, &["operator2", "operator"]);
    assert_eq!(code, exit(Exit::JournalCorrupt), "{text}");
    assert!(text.contains("set aside already"), "{text}");
}

fn who_may_not_is_refused(site: &Site, poison: u64) {
    let exit = |exit: Exit| Some(i32::from(exit.code()));
    for (signers, code, part) in [
        (
            &["operator", "operator"][..],
            Exit::JournalCorrupt,
            "has signed twice",
        ),
        (
            &["operator", "alice"],
            Exit::JournalCorrupt,
            "is no operator with this key",
        ),
        (
            &["operator", "server"],
            Exit::JournalCorrupt,
            "no participant with this key",
        ),
        (&["operator"], Exit::Usage, "wanted twice"),
    ] {
        let (found, text) = set_aside(site, poison, signers);
        assert_eq!(found, exit(code), "{signers:?}: {text}");
        assert!(text.contains(part), "{signers:?}: {text}");
    }
    for seq in [0, 1, 999_999_999] {
        let (found, text) = set_aside(site, seq, &["operator", "operator2"]);
        assert_eq!(found, exit(Exit::Refused), "{seq}: {text}");
    }
    assert!(!site.journals().join("quarantine.jsonl").exists());
}

fn a_record_that_was_changed_is_refused(site: Site) -> Site {
    let file = site.journals().join("quarantine.jsonl");
    let right = std::fs::read_to_string(&file).expect("it is there");
    let other = |from: &str, to: &str| right.replacen(from, to, 1);
    let signature = right
        .split("\"signature\":\"")
        .nth(1)
        .expect("one")
        .split('"')
        .next()
        .expect("its end");
    for wrong in [
        other("\"seq\":", "\"seq\":1"),
        other("\"command\":\"", "\"command\":\"00"),
        other(signature, &signature.chars().rev().collect::<String>()),
        other("\"chain\":\"", "\"chain\":\"0"),
        format!("{right}{right}"),
        "no record\n".to_owned(),
    ] {
        std::fs::write(&file, &wrong).expect("it can be written");
        let refused = xq(&["verify"], &site.journals());
        assert_eq!(
            refused.status.code(),
            Some(Exit::JournalCorrupt.code().into()),
            "{}",
            said(&refused)
        );
        assert!(said(&refused).contains("quarantine"), "{}", said(&refused));
    }
    let config = site.config();
    let refused = Server::start(&config, ClockLeap::Refuse, &mut |_, _| {}).err();
    assert_eq!(refused.map(|failure| failure.exit()), Some(Exit::JournalCorrupt));
    std::fs::write(&file, right).expect("it can be written");
    site
}
