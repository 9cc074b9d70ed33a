//! The venue of a run: who takes part, and what operators, bank and issuer say before anyone trades.

use crate::exchange::{Guest, Trial};
use anyhow::{Context, bail, ensure};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use xq_journal::{CommandReader, FileStorage, Verify};
use xq_protocol::text::instant;
use xq_protocol::{AccountId, Approve, Frame, Message, Nanos, PlaceOrder, Price, Seq, SeriesId};

const OPERATOR: Guest = Guest::new("operator", 1, "operator");
const OPERATOR2: Guest = Guest::new("operator2", 2, "operator");
const BANK: Guest = Guest::new("bank", 3, "bank");
const ISSUER: Guest = Guest::new("acme", 4, "issuer");
/// Quotes both sides.
pub const MAKER: Guest = Guest::new("maker", 5, "market-maker");
/// Take what is quoted.
pub const TAKERS: [Guest; 2] = [Guest::new("alice", 6, "trader"), Guest::new("bob", 7, "trader")];
/// For whoever types commands meanwhile.
const VISITOR: Guest = Guest::new("carol", 8, "trader");
/// Looks on.
pub const WATCHER: Guest = Guest::new("watcher", 9, "regulator");

/// All who take part.
pub const GUESTS: [Guest; 9] = [
    OPERATOR, OPERATOR2, BANK, ISSUER, MAKER, TAKERS[0], TAKERS[1], VISITOR, WATCHER,
];

/// The series that is traded.
pub const COFFEE: SeriesId = SeriesId(1);
/// What a coupon is worth at the beginning, in minor units.
pub const FAIR: Price = Price(2_700);
/// The market maker's account.
pub const MAKER_ACCOUNT: AccountId = AccountId(1);
/// The takers' accounts.
pub const TAKER_ACCOUNTS: [AccountId; 2] = [AccountId(2), AccountId(3)];

const DAY: u64 = 86_400_000_000_000;

/// Who says a line of the set-up.
type Said = (&'static str, String);

/// Everything up to the market's opening; each line can be said twice without harm.
fn set_up_lines(now: Nanos) -> Vec<Said> {
    let today = instant(now).to_string();
    let date = today.get(..10).unwrap_or_default();
    let until = instant(Nanos(now.0 + 365 * DAY));
    let terms = "78".repeat(32);
    let operator = |line: String| ("operator", line);
    let bank = |line: String| ("bank", format!("{line} date={date}"));
    let mut lines = vec![
        operator(format!(
            "draft COFFEE #{} CNY id=1 face=30.00 tick=0.01 lot=1 redeem=20.00 cap=1000000 from={} to={until} terms={terms}",
            ISSUER.number,
            instant(now),
        )),
        bank("escrow #1 2000000000 ref=coffee.escrow".to_owned()),
        operator("register #1".to_owned()),
        operator("instrument #1 min=1 max=10000 collar=1500 reference=2700".to_owned()),
    ];
    let traders = [
        (MAKER, 600_000),
        (TAKERS[0], 150_000),
        (TAKERS[1], 150_000),
        (VISITOR, 100_000),
    ];
    for ((guest, units), account) in traders.iter().zip(1..) {
        lines.push(operator(format!("account #{account} owner=#{}", guest.number)));
        // The escrow covers exactly what is issued here: said again, it is refused.
        lines.push(operator(format!("issue-units #1 #{account} {units}")));
        lines.push(bank(format!(
            "deposit #{account} 20000000.00 CNY ref=cash.{account}"
        )));
    }
    lines
}

/// What the journals of earlier runs hold of the set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There are no journals.
    Nothing,
    /// Some of it, perhaps: a run was ended while it set up.
    Part,
    /// All of it.
    Everything,
}

/// Looks into the journals of an exchange that does not run.
pub fn found(journals: &Path) -> Found {
    if !journals.is_dir() {
        return Found::Nothing;
    }
    match is_approved(journals) {
        Ok(true) => Found::Everything,
        // Whatever is wrong with the journals is for the exchange's recovery to say.
        Ok(false) | Err(_) => Found::Part,
    }
}

/// Whether the set-up's last line, the approval of the fees, was said; all orders come after it.
fn is_approved(journals: &Path) -> anyhow::Result<bool> {
    let storage = Arc::new(FileStorage::open_to_read(journals)?);
    let mut reader = CommandReader::open(storage, Verify::Checksums, Seq(1))?;
    while let Some(bytes) = reader.next_command(Seq(u64::MAX))? {
        match Frame::split(bytes)?.0.header.template_id {
            Approve::TEMPLATE => return Ok(true),
            PlaceOrder::TEMPLATE => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}

/// Sets up what is missing, and opens the markets.
pub fn open(trial: &Trial, before: Found) -> anyhow::Result<()> {
    if before != Found::Everything {
        set_up(trial, before)?;
    }
    open_markets(trial)
}

/// Says all that a venue needs; what is there already is refused and left at that.
fn set_up(trial: &Trial, before: Found) -> anyhow::Result<()> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock shows a time before 1970")?;
    let now = Nanos(u64::try_from(now.as_nanos()).context("the clock shows a time after 2554")?);
    for (who, line) in set_up_lines(now) {
        let told = say(trial, who, &line)?;
        let may_be_there = before == Found::Part;
        ensure!(
            told.is_done || may_be_there,
            "`{line}` was refused:\n{}",
            told.said
        );
    }
    // Said last: it tells the runs after this one that nothing is missing.
    set_fees(trial)
}

/// Fees need two operators: one proposes, the other approves.
fn set_fees(trial: &Trial) -> anyhow::Result<()> {
    let told = say(trial, "operator", "fees 0 taker=1000 maker=-200")?;
    let words = |line: &str| -> Option<String> {
        let (_, rest) = line.split_once("proposed #")?;
        let (seq, rest) = rest.split_once(' ')?;
        let hash = rest.split(',').next()?;
        Some(format!("approve #{seq} {hash}"))
    };
    let approve = told.said.lines().find_map(words);
    let approve = approve.with_context(|| format!("the fees were not proposed:\n{}", told.said))?;
    let told = say(trial, "operator2", &approve)?;
    ensure!(told.is_done, "`{approve}` was refused:\n{}", told.said);
    Ok(())
}

/// Opens the venue and its market: after a restart, markets are halted.
pub fn open_markets(trial: &Trial) -> anyhow::Result<()> {
    for line in ["phase venue continuous", "phase #1 continuous"] {
        let told = say(trial, "operator", line)?;
        ensure!(told.is_done, "`{line}` was refused:\n{}", told.said);
    }
    Ok(())
}

/// What the exchange answered.
struct Told {
    is_done: bool,
    said: String,
}

/// Says one line through `xq admin`.
fn say(trial: &Trial, who: &str, line: &str) -> anyhow::Result<Told> {
    let arguments = ["admin", "--config", "xq.toml", "--as", who, line];
    let output = trial
        .xq(&arguments)
        .stdin(Stdio::null())
        .output()
        .context("cannot start `xq admin`")?;
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(Told { is_done: true, said }),
        Some(1) if said.contains("refused") => Ok(Told { is_done: false, said }),
        Some(_) | None => bail!(
            "`xq admin --as {who} '{line}'` failed, {}:\n{said}",
            output.status
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_journal::{Append, CommandSettings, UnrecoveredJournal};
    use xq_protocol::JournalId;
    use xq_protocol::text::{Names, parse_command};

    #[test]
    fn every_line_is_a_command_by_itself() {
        for (who, line) in set_up_lines(Nanos(1_790_000_000_000_000_000)) {
            let parsed = parse_command(&line, &mut Names::new());
            assert!(parsed.is_ok(), "{who}: {line}: {}", parsed.expect_err("checked"));
        }
    }

    #[test]
    fn the_set_up_is_whole_once_the_fees_are_approved() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let journals = folder.path().join("data");
        assert_eq!(found(&journals), Found::Nothing);
        let settings = CommandSettings {
            segment_size: 1 << 20,
            ..CommandSettings::default()
        };
        let storage = Arc::new(FileStorage::open(&journals).expect("a new folder"));
        let journal = UnrecoveredJournal::open(storage, settings).expect("it is new");
        let (mut journal, _) = journal.recover(&[], JournalId([7; 16])).expect("it is new");
        assert_eq!(found(&journals), Found::Part);
        for (line, then) in [
            ("account #1 owner=#5", Found::Part),
            ("approve #1 78", Found::Everything),
            ("phase venue continuous", Found::Everything),
        ] {
            let line = line.replace("78", &"78".repeat(32));
            let parsed = parse_command(&line, &mut Names::new()).expect("a command");
            let mut frame = parsed.frame;
            let seq = journal.next_seq();
            frame.header_mut().seq = seq;
            assert_eq!(
                journal.append(frame.bytes()).expect("the disk is well"),
                Append::Taken(seq)
            );
            journal.commit().expect("the disk is well");
            assert_eq!(found(&journals), then, "{line}");
        }
    }
}
