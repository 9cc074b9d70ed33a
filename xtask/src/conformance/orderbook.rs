//! Unit scenarios of three matching engines, and the edge cases and workloads of the public harness.

use super::Count;
use crate::books::{BookName, BookUnderTest, Domain};
use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;
use xq_engine::oracle::{LimitOrder, Refusal, Trade};
use xq_protocol::{Execution, Side, TimeInForce};

#[derive(Deserialize)]
struct Scenarios {
    scenarios: Vec<Scenario>,
}

/// `[N,id,side,price,qty,tif] [C,id] [R,id,by] [M,id,price]`, and what must come of them.
#[derive(Deserialize)]
struct Scenario {
    source: String,
    name: String,
    commands: Vec<ScenarioCommand>,
    trades: Vec<(u64, u64, i64, u32)>,
    bids: Vec<(i64, u64)>,
    asks: Vec<(i64, u64)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ScenarioCommand {
    New(String, u64, String, i64, u32, String),
    WithNumber(String, u64, i64),
    WithId(String, u64),
}

#[derive(Deserialize)]
struct EdgeCases {
    cases: Vec<EdgeCase>,
}

/// `[kind, side, ioc, qty, id, price]`.
type EdgeMessage = (u8, u8, u8, u32, u64, i64);

#[derive(Deserialize)]
struct EdgeCase {
    name: String,
    /// None for the one that is too long to write down.
    messages: Option<Vec<EdgeMessage>>,
    reports: Option<Vec<String>>,
    sha256: String,
}

/// One message of the harness.
#[derive(Clone, Copy)]
struct HarnessMessage {
    kind: u8,
    side: Side,
    ioc: bool,
    qty: u32,
    seq: u64,
    id: u64,
    price: i64,
}

const NEW: u8 = 0;
const CANCEL: u8 = 1;
const MODIFY: u8 = 2;

/// The 35 scenarios: trades in order, and both sides of the book at the end.
pub fn scenarios(data: &Path, name: BookName) -> anyhow::Result<Vec<Count>> {
    let file: Scenarios =
        serde_json::from_slice(&xq_perf::data::read(&data.join("orderbook/scenarios.json"))?)?;
    let mut count = Count::new("unit scenarios", 35);
    for scenario in &file.scenarios {
        let prices = scenario.commands.iter().filter_map(|command| match command {
            ScenarioCommand::New(_, _, _, price, _, _) => Some(*price),
            ScenarioCommand::WithNumber(kind, _, price) if kind == "M" => Some(*price),
            ScenarioCommand::WithNumber(..) | ScenarioCommand::WithId(..) => None,
        });
        let mut book = name.open(Domain::spanning(prices, 1));
        let mut trades = Vec::new();
        for command in &scenario.commands {
            // What is refused trades nothing, and the book read at the end shows that it changed nothing.
            trades.extend(play_scenario_command(book.as_mut(), command)?.unwrap_or_default());
        }
        let trades: Vec<_> = trades
            .iter()
            .map(|trade| (trade.maker, trade.taker, trade.price, trade.qty))
            .collect();
        let (bids, asks) = (
            book.depth(Side::Buy, usize::MAX),
            book.depth(Side::Sell, usize::MAX),
        );
        let right = trades == scenario.trades && bids == scenario.bids && asks == scenario.asks;
        count.require(right, || {
            format!(
                "{} {}: trades {trades:?} bids {bids:?} asks {asks:?}",
                scenario.source, scenario.name
            )
        });
    }
    Ok(vec![count])
}

fn play_scenario_command(
    book: &mut dyn BookUnderTest,
    command: &ScenarioCommand,
) -> anyhow::Result<Result<Vec<Trade>, Refusal>> {
    Ok(match command {
        ScenarioCommand::New(kind, id, side, price, qty, tif) => {
            ensure!(kind == "N", "six fields are a new order, not {kind}");
            let side = if side == "B" { Side::Buy } else { Side::Sell };
            let tif = TimeInForce::from_text(&tif.to_lowercase()).context("an unknown time in force")?;
            let execution = Execution::Any;
            book.limit(LimitOrder {
                id: *id,
                side,
                price: *price,
                qty: *qty,
                tif,
                execution,
            })
        }
        ScenarioCommand::WithNumber(kind, id, number) => match kind.as_str() {
            "R" => book.reduce(*id, u32::try_from(*number)?).map(|_| Vec::new()),
            "M" => {
                let find = |side| {
                    book.queue(side, usize::MAX)
                        .into_iter()
                        .find(|order| order.id == *id)
                };
                match find(Side::Buy).or_else(|| find(Side::Sell)) {
                    Some(order) => book.requeue(*id, *number, order.qty),
                    None => Err(Refusal::UnknownOrder),
                }
            }
            _ => bail!("an unknown command {kind}"),
        },
        ScenarioCommand::WithId(kind, id) => {
            ensure!(kind == "C", "two fields are a cancel, not {kind}");
            book.cancel(*id).map(|_| Vec::new())
        }
    })
}

/// The 34 edge cases: every report line, and the hash over them.
pub fn edge_cases(data: &Path, name: BookName) -> anyhow::Result<Vec<Count>> {
    let file: EdgeCases =
        serde_json::from_slice(&xq_perf::data::read(&data.join("orderbook/edge_cases.json"))?)?;
    let mut count = Count::new("edge cases of the public harness", 34);
    for case in &file.cases {
        let messages = match &case.messages {
            Some(rows) => rows
                .iter()
                .zip(0..)
                .map(|(row, seq)| from_row(*row, seq))
                .collect(),
            None => deep_sweep(),
        };
        let lines = drive(name, &messages)?;
        let sha256 = hex::encode(Sha256::digest(lines.join("\n")));
        let right = sha256 == case.sha256 && case.reports.as_ref().is_none_or(|reports| *reports == lines);
        count.require(right, || format!("{}: {lines:?}", case.name));
    }
    Ok(vec![count])
}

/// `deep_recursive_sweep_5000`: 5,000 sells of one, and a buy of all.
fn deep_sweep() -> Vec<HarnessMessage> {
    let sells = (0..5_000).map(|at| from_row((NEW, 1, 0, 1, at + 1, 100), at));
    sells
        .chain([from_row((NEW, 0, 0, 5_000, 5_001, 100), 5_000)])
        .collect()
}

fn from_row((kind, side, ioc, qty, id, price): EdgeMessage, seq: u64) -> HarnessMessage {
    HarnessMessage {
        kind,
        side: side_of(side),
        ioc: ioc == 1,
        qty,
        seq,
        id,
        price,
    }
}

fn side_of(byte: u8) -> Side {
    if byte == 0 { Side::Buy } else { Side::Sell }
}

/// The ten workloads: the text of all reports, byte for byte.
pub fn workloads(data: &Path, name: BookName) -> anyhow::Result<Vec<Count>> {
    let folder = data.join("orderbook/workloads");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| format!("{}: not found", folder.display()))?
        .collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let mut count = Count::new("workloads of the public harness", 10);
    let mut reports = Count::new("report lines of the workloads", 434_904);
    for file in files {
        let file_name = file.file_name().to_string_lossy().into_owned();
        let Some(workload) = file_name
            .strip_prefix("orders_")
            .and_then(|rest| rest.strip_suffix(".bin.gz"))
        else {
            continue;
        };
        let messages = parse_workload(&unpack(&file.path())?).with_context(|| file_name.clone())?;
        let expected = unpack(&folder.join(format!("{workload}.reports.txt.gz")))?;
        let lines = drive(name, &messages)?;
        let text = lines.join("\n");
        let expected = String::from_utf8(expected)?;
        let expected = expected.strip_suffix('\n').unwrap_or(&expected);
        count.require(text == expected, || workload.to_owned());
        for (at, (line, expected)) in lines.iter().zip(expected.lines()).enumerate() {
            reports.require(line == expected, || {
                format!("{workload} line {}: {line} for {expected}", at + 1)
            });
        }
    }
    ensure!(
        count.of == 10,
        "{} has {} workloads, not ten",
        folder.display(),
        count.of
    );
    Ok(vec![count, reports])
}

fn unpack(path: &Path) -> anyhow::Result<Vec<u8>> {
    let packed = xq_perf::data::read(path)?;
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_end(&mut bytes)
        .with_context(|| path.display().to_string())?;
    Ok(bytes)
}

/// Header `<QII` (magic, 1, count), then records `<BBBBIQQqq`: kind, side, ioc, 0, qty, seq, id, price, 0.
fn parse_workload(bytes: &[u8]) -> anyhow::Result<Vec<HarnessMessage>> {
    let (header, body) = bytes.split_at_checked(16).context("shorter than its header")?;
    ensure!(word(&header[8..12]) == 1, "a version other than 1");
    let (records, rest) = body.as_chunks::<40>();
    ensure!(rest.is_empty(), "the last record is cut");
    ensure!(
        u64::try_from(records.len())? == word(&header[12..16]),
        "not as many records as announced"
    );
    let parse = |record: &[u8; 40]| {
        Ok(HarnessMessage {
            kind: record[0],
            side: side_of(record[1]),
            ioc: record[2] == 1,
            qty: u32::try_from(word(&record[4..8]))?,
            seq: word(&record[8..16]),
            id: word(&record[16..24]),
            price: word(&record[24..32]).cast_signed(),
        })
    };
    records.iter().map(parse).collect()
}

/// Up to eight little-endian bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Plays messages through a book; gives the report lines, sorted by sequence and type.
fn drive(name: BookName, messages: &[HarnessMessage]) -> anyhow::Result<Vec<String>> {
    let prices = messages
        .iter()
        .filter(|message| message.kind != CANCEL)
        .map(|message| message.price);
    let mut book = name.open(Domain::spanning(prices, 1));
    let mut reports = Vec::new();
    for message in messages {
        play_message(book.as_mut(), message, &mut reports)?;
    }
    reports.sort_by_key(|report| (report.seq, report.kind));
    Ok(reports
        .into_iter()
        .map(|report| format!("{},{},{}", report.kind, report.seq, report.rest))
        .collect())
}

struct Report {
    seq: u64,
    kind: u8,
    rest: String,
}

fn play_message(
    book: &mut dyn BookUnderTest,
    message: &HarnessMessage,
    reports: &mut Vec<Report>,
) -> anyhow::Result<()> {
    let HarnessMessage {
        kind,
        side,
        ioc,
        qty,
        seq,
        id,
        price,
    } = *message;
    let mut report = |kind: u8, rest: String| reports.push(Report { seq, kind, rest });
    let trade_text = |trade: &Trade| format!("{},{},{},{}", trade.price, trade.qty, trade.maker, trade.taker);
    match kind {
        NEW => {
            let tif = if ioc { TimeInForce::Ioc } else { TimeInForce::Gtc };
            let order = LimitOrder {
                id,
                side,
                price,
                qty,
                tif,
                execution: Execution::Any,
            };
            let trades = book
                .limit(order)
                .map_err(|refusal| anyhow::anyhow!("message {seq}: {refusal:?}"))?;
            report(0, format!("{},{id},{price},{qty}", side.byte()));
            trades.iter().for_each(|trade| report(1, trade_text(trade)));
            if ioc && trades.iter().map(|trade| trade.qty).sum::<u32>() < qty {
                report(2, format!("{},{id},{price}", side.byte()));
            }
        }
        CANCEL => match book.cancel(id) {
            Ok(order) => report(2, format!("{},{id},{}", order.side.byte(), order.price)),
            Err(_) => report(4, id.to_string()),
        },
        MODIFY => match book.requeue(id, price, qty) {
            Ok(trades) => {
                trades.iter().for_each(|trade| report(1, trade_text(trade)));
                report(3, format!("{},{id},{price},{qty}", side.byte()));
            }
            Err(_) => report(5, id.to_string()),
        },
        other => bail!("message {seq} has the unknown type {other}"),
    }
    Ok(())
}
