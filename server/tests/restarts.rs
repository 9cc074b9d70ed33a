//! Restarts keep everything: events, hashes, balances; sessions end, markets halt and reopen by themselves.

mod in_process;

use in_process::{House, MAKER, SERIES, START, TRADER, genesis, journals, recovered};
use std::sync::Arc;
use xq_engine::{Events, Exchange};
use xq_journal::{Append, FileStorage, Storage, UnrecoveredEvents, UnrecoveredJournal};
use xq_protocol::*;
use xq_server::{ClockLeap, Exit, SteadyClock, recover};

fn rejection(events: &[EventFrame]) -> Option<RejectReason> {
    match events.first().map(EventFrame::event) {
        Some(Ok(Event::Rejected(rejected))) => RejectReason::from_code(rejected.code),
        Some(Ok(_) | Err(_)) | None => None,
    }
}

fn sell(label: &str) -> PlaceOrder {
    PlaceOrder {
        account: AccountId(MAKER.0),
        series: SERIES,
        qty: Qty(5),
        side: Side::Sell,
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: Price(5_000),
        expire_at: Nanos::ZERO,
        cl_ord_id: ClOrdId::from_text(label).expect("short"),
        on_disconnect: OnDisconnect::Cancel,
        reserved: Reserved::ZERO,
    }
}

/// All events of a journal, byte for byte.
fn told(house: &House) -> Vec<Vec<u8>> {
    let mut source = house.pipeline.source().expect("the journal is mapped");
    let mut all = Vec::new();
    while let Some(frame) = source.next_event().expect("the journal is whole") {
        all.push(frame.bytes().to_vec());
    }
    all
}

#[test]
fn a_restart_keeps_every_event_and_every_balance() {
    let folder = tempfile::tempdir().expect("a folder");
    let journals = journals(folder.path());
    let mut house = House::open(&journals);
    let opening = told(&house).len();
    house.flow(0..20_000);
    let events = told(&house);
    assert!(events.len() > opening + 25_000, "they traded");
    let stopped = house.stop();
    let (hash, seq) = (stopped.events.event_hash(), stopped.commands.durable());
    let balances = stopped.exchange.balances();
    stopped.exchange.check();
    drop(stopped);

    let again = recovered(&journals);
    assert_eq!(again.last_seq(), seq);
    assert_eq!(again.report.event_hash, hash);
    assert_eq!(
        again.report.events.compared,
        u64::try_from(events.len()).expect("small")
    );
    assert_eq!(
        again.report.events.appended, 0,
        "a clean stop leaves nothing to be made again"
    );
    let house = House::start(again);
    assert_eq!(told(&house), events);
    let stopped = house.stop();
    assert_eq!(
        format!("{:?}", stopped.exchange.balances()),
        format!("{balances:?}")
    );
}

#[test]
fn events_that_a_crash_took_are_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let journals = journals(folder.path());
    let mut house = House::open(&journals);
    house.say(MAKER, &sell("s1"));
    let events = told(&house);
    let stopped = house.stop();
    let hash = stopped.events.event_hash();
    drop(stopped);
    for entry in std::fs::read_dir(folder.path()).expect("lists") {
        let entry = entry.expect("an entry");
        if entry.file_name().to_string_lossy().starts_with("event-") {
            std::fs::remove_file(entry.path()).expect("removes");
        }
    }
    let again = recovered(&journals);
    assert_eq!(again.report.event_hash, hash);
    assert_eq!(
        again.report.events.appended,
        u64::try_from(events.len()).expect("small")
    );
    let house = House::start(again);
    assert_eq!(told(&house), events);
    house.stop();
}

#[test]
fn after_a_restart_sessions_are_down_markets_halted_and_both_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let journals = journals(folder.path());
    let mut house = House::open(&journals);
    let placed = house.say(MAKER, &sell("s1"));
    assert!(matches!(placed[0].event(), Ok(Event::OrderAccepted(_))));
    let numbers = house.numbers.clone();
    house.stop();

    let mut house = House::resume(&journals);
    house.numbers = numbers;
    let ended = house.house(&AllSessionsDown {});
    let Ok(Event::SessionsEnded(ended)) = ended[0].event() else {
        panic!("{:?}", ended[0].event());
    };
    assert_eq!(ended.sessions, Count(5));
    let (cancel_at, reopen_at) = (ended.cancel_at, ended.reopen_at);
    assert_eq!(
        rejection(&house.ask(MAKER, &sell("s2"))),
        Some(RejectReason::SessionNotEstablished)
    );
    house.connect(TRADER, 2);
    let buy = PlaceOrder {
        account: AccountId(TRADER.0),
        side: Side::Buy,
        ..sell("b1")
    };
    assert_eq!(rejection(&house.ask(TRADER, &buy)), Some(RejectReason::Halted));
    // The maker did not come back: its order goes before anyone trades again.
    assert!(cancel_at < reopen_at);
    house.now = Nanos(cancel_at.0 + 1);
    let gone = house.house(&Tick {});
    let canceled = |event: &EventFrame| matches!(event.event(), Ok(Event::OrderCanceled(c)) if c.reason == CancelReason::Disconnect);
    assert!(gone.iter().any(canceled), "{gone:?}");
    house.now = Nanos(reopen_at.0 + 1);
    house.house(&Tick {});
    house.say(TRADER, &buy);
    house.stop();
}

#[test]
fn a_second_genesis_is_refused_and_the_first_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let journals = journals(folder.path());
    let mut house = House::open(&journals);
    assert!(rejection(&house.house(&genesis())).is_some());
    house.stop();
    let again = recovered(&journals);
    assert_eq!(again.known.genesis, Some(genesis()));
    assert_eq!(again.known.participants.get(&TRADER), Some(&Role::Trader));
    assert!(again.known.keys.values().all(|state| *state == KeyState::Valid));
}

#[test]
fn a_journal_under_rules_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let journals = journals(folder.path());
    let newer = Genesis {
        rules_version: Count(xq_engine::RULES_VERSION + 1),
        ..genesis()
    };
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(folder.path()).expect("nobody writes"));
    let begun = UnrecoveredJournal::open(storage, journals.commands.clone());
    let recovered = begun.and_then(|begun| begun.recover(&[], newer.journal_id));
    let (mut journal, _) = recovered.expect("nothing is there");
    let header = Header {
        time: START,
        ..Header::default()
    };
    let taken = journal.append(CommandFrame::new(header, &newer).bytes());
    assert!(matches!(taken, Ok(Append::Taken(_))));
    journal.commit().expect("there is room");
    drop(journal);
    // The newer program has told what followed.
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(folder.path()).expect("nobody writes"));
    let events = UnrecoveredEvents::open(storage, journals.events.clone(), newer.journal_id);
    let recovery = events.and_then(UnrecoveredEvents::recover);
    let (mut events, _) = recovery
        .and_then(|recovery| recovery.finish())
        .expect("nothing is there");
    let (mut exchange, mut told) = (Exchange::new(), Events::new());
    let command = CommandFrame::new(header, &newer);
    exchange.apply(Seq(1), &command.frame().expect("a frame"), &mut told);
    for event in told.frames() {
        events.append(event.bytes()).expect("there is room");
    }
    events.sync().expect("there is room");
    drop(events);
    let started = recover(
        &journals,
        &SteadyClock::start(),
        ClockLeap::Accept,
        &mut |_, _| {},
    );
    let refused = started.err().expect("it cannot go on");
    assert_eq!(refused.exit(), Exit::NewerJournal, "{refused}");
    assert!(
        refused.to_string().contains("version 3 of the rules"),
        "{refused}"
    );
}
