//! What inputs grow out of: golden frames, the scenarios' lines, commands that mean something, whole small journals.

use super::targets::apply::{CHUNK, SPEAKERS};
use super::targets::event_journal;
use crate::shell;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use xq_journal::{
    Append, CommandSettings, EventSettings, SimulatedDisk, UnrecoveredEvents, UnrecoveredJournal,
};
use xq_protocol::text::{Names, parse_command, print_command};
use xq_protocol::{COMMANDS, CommandFrame, EVENTS, Frame, HEADER_LEN, Header, Seq};

/// Every message's golden frame, and the golden packets of market data.
pub fn frames_and_packets() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut all = golden("protocol/golden")?;
    all.extend(golden("protocol/golden/packets")?);
    Ok(all)
}

fn golden(folder: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let folder = shell::root().join(folder);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "hex"));
    paths.sort();
    let frame = |path: &PathBuf| {
        let text = std::fs::read_to_string(path)?;
        hex::decode(text.split_whitespace().collect::<String>()).with_context(|| path.display().to_string())
    };
    paths.iter().map(frame).collect()
}

/// Every line of the scenarios that says a command, the scenarios that are short, and every command as it is printed.
pub fn lines() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut paths = Vec::new();
    scenarios(&shell::root().join("scenarios"), &mut paths)?;
    paths.sort();
    let mut seeds = Vec::new();
    for bytes in golden("protocol/golden")? {
        let frame = Frame::split(&bytes)?.0;
        if frame.command().is_ok() {
            seeds.push(print_command(&frame, &Names::new()).into_bytes());
        }
    }
    for path in paths {
        let text = std::fs::read_to_string(&path)?;
        let said = |line: &&str| !line.is_empty() && !line.starts_with([' ', '#']);
        seeds.extend(text.lines().filter(said).map(|line| line.as_bytes().to_vec()));
        if text.len() <= 1_024 {
            seeds.push(text.into_bytes());
        }
    }
    seeds.sort();
    seeds.dedup();
    Ok(seeds)
}

fn scenarios(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => scenarios(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}

/// What is said on the venue of the target, by the place of who says it. Participants are numbers there, and accounts
/// 10 and 11 belong to the last two.
const SAID: &[(u8, &str)] = &[
    (4, "sell #10 5 #1 @ 10000 as s1"),
    (5, "buy #11 3 #1 @ 10000 as b1"),
    (5, "buy #11 9 #1 @ 10100 ioc as b2"),
    (4, "buy #10 1000 #1 @ 9900 as b3"),
    (5, "sell #11 7 #1 @ 9900 fok as s2"),
    (4, "cancel #10 s1"),
    (5, "mass-cancel #11"),
    (0, "phase #1 halt"),
    (0, "phase #1 continuous"),
    (0, "account #12 owner=#10"),
    (2, "deposit #10 100.00 CNY ref=x date=2023-11-14"),
    (0, "issue-units #1 #10 1"),
];

/// Each command alone, then several in a row.
pub fn commands() -> anyhow::Result<Vec<Vec<u8>>> {
    let chunks: Vec<Vec<u8>> = SAID
        .iter()
        .map(|(speaker, line)| {
            let parsed = parse_command(line, &mut Names::new());
            let parsed = parsed.map_err(|error| anyhow::anyhow!("`{line}`: {error}"))?;
            chunk(*speaker, &parsed.frame)
        })
        .collect::<anyhow::Result<_>>()?;
    let golden = golden("protocol/golden")?;
    let golden = golden.iter().filter_map(|bytes| {
        let frame = Frame::split(bytes).ok()?.0;
        frame.command().ok()?;
        CommandFrame::copy_of(&frame)
    });
    // What no line above says is said by an operator, with its golden body.
    let others: Vec<Vec<u8>> = golden
        .map(|frame| chunk(0, &frame))
        .collect::<anyhow::Result<_>>()?;
    let mut seeds = chunks.clone();
    for rows in 2..=chunks.len() {
        seeds.push(chunks[..rows].concat());
        seeds.push(chunks[chunks.len() - rows..].concat());
    }
    for rows in others.chunks(4) {
        seeds.push([&chunks[..4], rows].concat().concat());
    }
    Ok(seeds)
}

fn chunk(speaker: u8, frame: &CommandFrame) -> anyhow::Result<Vec<u8>> {
    ensure!(usize::from(speaker) < SPEAKERS.len(), "nobody speaks there");
    let template = frame.header().template_id;
    let place = COMMANDS.iter().position(|row| row.0 == template);
    let place = u8::try_from(place.context("a command")?)?;
    let mut bytes = vec![place, speaker];
    bytes.extend_from_slice(&frame.bytes()[HEADER_LEN..]);
    bytes.resize(CHUNK, 0);
    Ok(bytes)
}

/// Commands, one a batch and many a batch.
pub fn command_journal() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut images = Vec::new();
    for (batches, each) in [(1_u64, 1_u64), (5, 1), (3, 20), (1, 100)] {
        let disk = SimulatedDisk::new(1 << 30, 1);
        let settings = CommandSettings {
            segment_size: 64 << 10,
            batch_bytes: 32 << 10,
            ..CommandSettings::default()
        };
        let journal = UnrecoveredJournal::open(disk.storage(), settings)?;
        let (mut journal, _) = journal.recover(&[], event_journal::ID)?;
        for _ in 0..batches {
            for _ in 0..each {
                let seq = journal.next_seq();
                let (template, .., length) = COMMANDS[place(seq, COMMANDS.len())?];
                let frame = blank(
                    template,
                    length,
                    Header {
                        seq,
                        ..Header::default()
                    },
                )?;
                ensure!(
                    journal.append(frame.bytes())? == Append::Taken(seq),
                    "a batch has room"
                );
            }
            journal.commit()?;
        }
        images.push(disk.read("command-0000000001.xqj").context("it was written")?);
    }
    Ok(images)
}

/// Events, one to three a command.
pub fn event_journal() -> anyhow::Result<Vec<Vec<u8>>> {
    let mut images = Vec::new();
    for commands in [1_u64, 5, 40, 100] {
        let disk = SimulatedDisk::new(1 << 30, 1);
        let settings: EventSettings = event_journal::settings();
        let found = UnrecoveredEvents::open(disk.storage(), settings, event_journal::ID)?;
        let mut recovery = found.recover()?;
        for seq in (1..=commands).map(Seq) {
            let count = u16::try_from(seq.0 % 3)? + 1;
            for index in 0..count {
                let (template, .., length) = EVENTS[place(seq, EVENTS.len())?];
                let flags = if index + 1 == count { Header::LAST } else { 0 };
                let header = Header {
                    seq,
                    index,
                    flags,
                    ..Header::default()
                };
                recovery.feed(blank(template, length, header)?.bytes())?;
            }
        }
        recovery.finish()?.0.sync()?;
        images.push(disk.read("event-0000000001.xqj").context("it was written")?);
    }
    Ok(images)
}

fn place(seq: Seq, rows: usize) -> anyhow::Result<usize> {
    Ok(usize::try_from(seq.0)? % rows)
}

/// A frame whose body is all zeros: the journals look at headers only.
fn blank(template_id: u16, length: usize, header: Header) -> anyhow::Result<CommandFrame> {
    let mut frame = CommandFrame::default();
    *frame.header_mut() = Header {
        block_length: u16::try_from(length)?,
        template_id,
        schema_id: xq_protocol::SCHEMA_ID,
        version: xq_protocol::SCHEMA_VERSION,
        ..header
    };
    Ok(frame)
}
