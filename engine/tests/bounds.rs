//! Bounded work: what is too much for one command goes on at ticks, and loses nothing on the way.

mod support;

use support::doors::Engine;
use support::*;
use xq_engine::FILLS_MAX;
use xq_protocol::*;

const ALICE: ParticipantId = ParticipantId(TRADER);
const BOB: ParticipantId = ParticipantId(TRADER + 1);
/// Pieces of work that one command does.
const PIECES: u32 = 1_024;

/// Places `count` sell orders of one coupon for alice, at rising prices.
fn many_sells(venue: &mut Venue, count: u32) {
    for i in 0..count {
        let order = limit(
            TRADER,
            Side::Sell,
            1,
            5_000 + u64::from(i % 100),
            &format!("s{i}"),
        );
        venue.ok(ALICE, &order);
    }
}

fn canceled(events: &[EventFrame]) -> Vec<CancelReason> {
    let reason = |frame: &EventFrame| match frame.event() {
        Ok(Event::OrderCanceled(e)) => Some(e.reason),
        _ => None,
    };
    events.iter().filter_map(reason).collect()
}

fn trades(events: &[EventFrame]) -> usize {
    events
        .iter()
        .filter(|frame| matches!(frame.event(), Ok(Event::Traded(_))))
        .count()
}

fn refusal(events: &[EventFrame]) -> Option<RejectReason> {
    events.iter().find_map(|frame| match frame.event() {
        Ok(Event::Rejected(e)) => RejectReason::from_code(e.code),
        _ => None,
    })
}

/// Lets time pass until no job goes on; the orders cancelled, and the jobs that ended with what they tell.
fn settle(venue: &mut Venue) -> (usize, Vec<(JobKind, u32)>) {
    let (mut gone, mut ended) = (0, Vec::new());
    for _ in 0..20 {
        let events = venue.house(&Tick {});
        let now = canceled(events).len();
        assert!(now <= PIECES as usize, "one tick does a bounded piece");
        gone += now;
        let mut jobs = None;
        for frame in events {
            match frame.event() {
                Ok(Event::JobEnded(e)) => ended.push((e.kind, e.canceled.0)),
                Ok(Event::TimeAdvanced(e)) => jobs = Some(e.jobs.0),
                _ => {}
            }
        }
        venue.exchange.check();
        if jobs == Some(0) {
            return (gone, ended);
        }
    }
    panic!("the jobs do not end");
}

fn mass_cancel(account: AccountId) -> MassCancel {
    MassCancel {
        account,
        series: SeriesId::ZERO,
        sides: Sides::Both,
        reserved: Reserved::ZERO,
    }
}

fn kill(state: SwitchState) -> KillSwitch {
    KillSwitch {
        target: KillTarget::Series,
        state,
        reserved: Reserved::ZERO,
        participant: ParticipantId::ZERO,
        series: SERIES,
        reserved2: Reserved::ZERO,
    }
}

fn freeze(action: FreezeAction) -> SetFreeze {
    SetFreeze {
        account: AccountId(TRADER),
        action,
        reserved: Reserved::ZERO,
        case: CaseId(7),
    }
}

/// Proposes and approves; the events of the approval.
fn approved<M: Message>(venue: &mut Venue, body: &M) -> Vec<EventFrame> {
    let frame = venue.say(OPERATOR, body)[0];
    let Ok(Event::Proposed(proposed)) = frame.event() else {
        panic!("{} is not proposed", M::NAME)
    };
    let (proposal, hash) = (frame.header().seq, proposed.hash);
    venue.say(OPERATOR_2, &Approve { proposal, hash }).to_vec()
}

#[test]
fn one_order_makes_only_so_many_fills_and_the_rest_is_cancelled() {
    let mut venue = Venue::trading(2);
    let makers = u32::try_from(FILLS_MAX).expect("small") + 2;
    many_sells(&mut venue, makers);
    let events = venue
        .say(BOB, &limit(TRADER + 1, Side::Buy, makers, 6_000, "b"))
        .to_vec();
    assert_eq!(trades(&events), FILLS_MAX);
    assert_eq!(canceled(&events), [CancelReason::FillLimit]);
    assert_eq!(venue.exchange.open_orders(), 2);
    venue.exchange.check();
}

#[test]
fn a_mass_cancel_goes_on_at_ticks_and_its_orders_do_not_trade_meanwhile() {
    let mut venue = Venue::trading(2);
    many_sells(&mut venue, 3_000);
    let events = venue.say(ALICE, &mass_cancel(AccountId(TRADER))).to_vec();
    let Ok(Event::MassCanceled(told)) = events.last().expect("events").event() else {
        panic!("a mass cancel tells so")
    };
    assert_eq!((told.progress, told.canceled.0), (Progress::Continues, PIECES));
    // What is placed after it is not meant; what it means is cancelled on touch, and is not replaced any more.
    venue.ok(ALICE, &limit(TRADER, Side::Sell, 1, 5_000, "new"));
    let replace = ReplaceOrder {
        account: AccountId(TRADER),
        total_qty: Qty(2),
        order: OrderId::ZERO,
        limit: Price(5_000),
        orig_cl_ord_id: ClOrdId::from_text("s0").expect("short"),
        cl_ord_id: ClOrdId::ZERO,
    };
    assert_eq!(refusal(venue.say(ALICE, &replace)), Some(RejectReason::TooLate));
    let post_only = PlaceOrder {
        execution: Execution::PostOnly,
        ..limit(TRADER + 1, Side::Buy, 1, 5_000, "p")
    };
    assert_eq!(refusal(venue.say(BOB, &post_only)), Some(RejectReason::WouldTake));
    let events = venue
        .say(BOB, &limit(TRADER + 1, Side::Buy, 2, 5_000, "b"))
        .to_vec();
    assert_eq!(trades(&events), 1, "only the new one");
    let touched = canceled(&events);
    assert!(touched.iter().all(|reason| *reason == CancelReason::MassCancel));
    let (gone, ended) = settle(&mut venue);
    assert_eq!(gone + touched.len(), 3_000 - PIECES as usize);
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].0, JobKind::MassCancel);
    assert_eq!(venue.exchange.open_orders(), 1, "the buy order's rest");
}

#[test]
fn several_jobs_on_the_same_orders_lose_none() {
    let mut venue = Venue::trading(2);
    many_sells(&mut venue, 4_000);
    venue.say(ALICE, &mass_cancel(AccountId(TRADER)));
    venue.say(ALICE, &mass_cancel(AccountId::ZERO));
    venue.say(OPERATOR, &kill(SwitchState::Engaged));
    let (_, ended) = settle(&mut venue);
    assert_eq!(venue.exchange.open_orders(), 0);
    assert!(
        ended
            .iter()
            .all(|(kind, _)| [JobKind::MassCancel, JobKind::KillSwitch].contains(kind))
    );
}

#[test]
fn mass_cancels_of_one_leave_room_for_those_who_stop_others() {
    let mut venue = Venue::trading(2);
    many_sells(&mut venue, 2_048);
    // It looks at 1,024 sells, cancels none, and goes on: a job that costs who asks for it nothing.
    let buys = MassCancel {
        sides: Sides::Buys,
        ..mass_cancel(AccountId(TRADER))
    };
    let refused = |events: &[EventFrame]| refusal(events) == Some(RejectReason::Capacity);
    let asked = (0..100).filter(|_| !refused(venue.say(ALICE, &buys))).count();
    assert_eq!(asked, 8);
    assert_eq!(refusal(venue.say(BOB, &mass_cancel(AccountId(TRADER + 1)))), None);
    assert_eq!(refusal(venue.say(OPERATOR, &freeze(FreezeAction::Place))), None);
    assert_eq!(refusal(venue.say(OPERATOR, &kill(SwitchState::Engaged))), None);
    settle(&mut venue);
    assert_eq!(venue.exchange.open_orders(), 0);
    assert_eq!(
        refusal(venue.say(ALICE, &buys)),
        None,
        "its places are free again"
    );
}

#[test]
fn a_kill_switch_is_not_released_before_its_orders_are_gone() {
    let mut venue = Venue::trading(2);
    many_sells(&mut venue, 2_500);
    venue.say(OPERATOR, &kill(SwitchState::Engaged));
    assert!(venue.exchange.open_orders() > 0);
    assert_eq!(
        refusal(venue.say(OPERATOR, &kill(SwitchState::Engaged))),
        Some(RejectReason::TooLate)
    );
    let events = approved(&mut venue, &kill(SwitchState::Released));
    assert_eq!(refusal(&events), Some(RejectReason::TooLate));
    settle(&mut venue);
    assert_eq!(venue.exchange.open_orders(), 0);
    assert_eq!(refusal(&approved(&mut venue, &kill(SwitchState::Released))), None);
    venue.ok(ALICE, &limit(TRADER, Side::Sell, 1, 5_000, "again"));
}

#[test]
fn a_freeze_of_many_orders_ends_with_everything_frozen() {
    let mut venue = Venue::trading(2);
    many_sells(&mut venue, 2_500);
    venue.ok(OPERATOR, &freeze(FreezeAction::Place));
    // It is in force at once, and not lifted before it has done.
    let order = limit(TRADER, Side::Sell, 1, 5_000, "x");
    assert_eq!(
        refusal(venue.say(ALICE, &order)),
        Some(RejectReason::AccountFrozen)
    );
    let events = approved(&mut venue, &freeze(FreezeAction::Lift));
    assert_eq!(refusal(&events), Some(RejectReason::FreezeExists));
    let (_, ended) = settle(&mut venue);
    assert_eq!(ended, [(JobKind::Freeze, 2_500)]);
    let account = AccountId(TRADER);
    for (asset, all) in [
        (AssetId::from(SERIES), 1_000_000),
        (CNY.into(), 1_000_000_000_000),
    ] {
        assert_eq!(
            venue.exchange.balance(account, asset, Bucket::Frozen),
            Amount(all)
        );
        assert_eq!(
            venue.exchange.balance(account, asset, Bucket::Available),
            Amount::ZERO
        );
    }
    assert_eq!(refusal(&approved(&mut venue, &freeze(FreezeAction::Lift))), None);
    assert_eq!(
        venue.exchange.balance(account, SERIES.into(), Bucket::Available),
        Amount(1_000_000)
    );
}

#[test]
fn a_session_that_ends_twice_while_its_orders_go_keeps_none() {
    let mut venue = Venue::trading(2);
    many_sells(&mut venue, 5_000);
    let session = SessionId::of(ALICE, 0).expect("small");
    let header = Header {
        session,
        ..Header::default()
    };
    let connection = ConnectionId(1);
    venue.send(header, &SessionDown { connection });
    venue.now = Nanos(venue.now.0 + 5_000_000_000);
    venue.house(&Tick {});
    let up = SessionUp {
        connection: ConnectionId(2),
        fingerprint: Hash([10; 32]),
    };
    venue.send(header, &up);
    venue.ok(ALICE, &limit(TRADER, Side::Sell, 1, 5_000, "between"));
    let connection = ConnectionId(2);
    venue.send(header, &SessionDown { connection });
    venue.now = Nanos(venue.now.0 + 5_000_000_000);
    let (_, mut ended) = settle(&mut venue);
    if ended.len() == 1 {
        ended.extend(settle(&mut venue).1);
    }
    assert_eq!(
        venue.exchange.open_orders(),
        0,
        "the order between went with the second end"
    );
    assert_eq!(ended.iter().map(|(_, count)| count).sum::<u32>(), 5_001);
}

#[test]
fn the_sweep_finds_every_order_whose_time_is_over() {
    let mut venue = Venue::trading(2);
    for i in 0..3_000 {
        let order = limit(TRADER, Side::Sell, 1, 5_000, &format!("s{i}"));
        let tif = if i % 3 == 0 {
            TimeInForce::Gtc
        } else {
            TimeInForce::Day
        };
        venue.ok(ALICE, &PlaceOrder { tif, ..order });
    }
    let date = Date(20_231_115);
    venue.ok(
        OPERATOR,
        &RollDay {
            date,
            reserved: Reserved::ZERO,
        },
    );
    let mut gone = 0;
    for _ in 0..4 {
        gone += canceled(venue.house(&Tick {})).len();
        venue.exchange.check();
    }
    assert_eq!((gone, venue.exchange.open_orders()), (2_000, 1_000));
}

#[test]
fn only_the_house_lets_time_pass_and_brings_everything_down() {
    let mut venue = Venue::trading(1);
    let header = Header {
        session: SessionId::of(ALICE, 0).expect("small"),
        ..Header::default()
    };
    for events in [
        venue.send(header, &Tick {}).to_vec(),
        venue.send(header, &AllSessionsDown {}).to_vec(),
        venue.send(header, &genesis()).to_vec(),
        venue.house(&genesis()).to_vec(),
    ] {
        assert_eq!(refusal(&events), Some(RejectReason::NotAuthorised));
    }
    venue.ok(ALICE, &limit(TRADER, Side::Sell, 1, 5_000, "s"));
}

#[test]
fn bytes_that_are_no_command_are_refused_by_what_is_wrong_with_them() {
    let mut venue = Venue::trading(1);
    let session = SessionId::of(ALICE, 0).expect("small");
    let order = limit(TRADER, Side::Sell, 1, 5_000, "s");
    let header = |req_seq| Header {
        session,
        req_seq: ReqSeq(req_seq),
        ..Header::default()
    };
    let mut unknown = CommandFrame::new(header(1), &order);
    unknown.header_mut().template_id = 99;
    let mut event = CommandFrame::new(header(2), &order);
    event.header_mut().template_id = Traded::TEMPLATE;
    let mut short = CommandFrame::new(header(3), &order);
    short.header_mut().block_length -= 8;
    let mut no_side = CommandFrame::new(header(4), &order);
    no_side.words_mut()[6] |= 0xFF << 32;
    let no_number = CommandFrame::new(header(0), &order);
    for (frame, reason) in [
        (unknown, RejectReason::UnsupportedMessage),
        (event, RejectReason::UnsupportedMessage),
        (short, RejectReason::Malformed),
        (no_side, RejectReason::Malformed),
        (no_number, RejectReason::Malformed),
    ] {
        assert_eq!(refusal(venue.apply(&frame)), Some(reason));
    }
    // Each used its number, but the one that had none.
    let again = venue.apply(&CommandFrame::new(header(4), &order));
    assert!(matches!(again[0].event(), Ok(Event::RequestRepeated(_))));
}

#[test]
fn a_genesis_that_cannot_be_is_refused_and_another_may_follow() {
    let with_currencies = |currencies: [u16; 3]| {
        let mut admitted = Currencies::default();
        for (place, number) in admitted.0.iter_mut().zip(currencies) {
            *place = Currency(number);
        }
        Genesis {
            currencies: admitted,
            ..genesis()
        }
    };
    let with = |change: fn(&mut Genesis)| {
        let mut changed = genesis();
        change(&mut changed);
        changed
    };
    const HUGE: Count = Count(u32::MAX);
    let cases = [
        (with_currencies([0, 0, 0]), RejectReason::Terms),
        (with_currencies([156, 156, 0]), RejectReason::Terms),
        (with_currencies([156, 999, 0]), RejectReason::Terms),
        (with(|g| g.rules_version = Count::ZERO), RejectReason::Terms),
        (with(|g| g.orders_max = Count::ZERO), RejectReason::Capacity),
        (with(|g| g.participants_max = HUGE), RejectReason::Capacity),
        (with(|g| g.accounts_max = HUGE), RejectReason::Capacity),
        (with(|g| g.series_max = HUGE), RejectReason::Capacity),
        (with(|g| g.balances_max = HUGE), RejectReason::Capacity),
        (with(|g| g.orders_max = HUGE), RejectReason::Capacity),
        (with(|g| g.sessions_max = HUGE), RejectReason::Capacity),
        (with(|g| g.level_pages_max = HUGE), RejectReason::Capacity),
        (with(|g| g.proposals_max = HUGE), RejectReason::Capacity),
        (with(|g| g.bank_refs_max = HUGE), RejectReason::Capacity),
    ];
    let mut engine = Engine::default();
    for (genesis, reason) in cases {
        let events = engine.apply(&CommandFrame::new(Header::default(), &genesis));
        assert_eq!(refusal(events), Some(reason), "{genesis:?}");
    }
    let events = engine.apply(&CommandFrame::new(Header::default(), &genesis()));
    assert!(matches!(events[0].event(), Ok(Event::ExchangeOpened(_))));
}

#[test]
fn at_the_end_of_time_everything_is_over_and_nothing_wraps() {
    let mut venue = Venue::trading(2);
    let order = limit(TRADER, Side::Sell, 1, 5_000, "s");
    let gtd = PlaceOrder {
        tif: TimeInForce::Gtd,
        expire_at: Nanos::MAX,
        ..order
    };
    venue.ok(ALICE, &gtd);
    venue.say(OPERATOR, &kill(SwitchState::Released));
    venue.now = Nanos::MAX;
    assert_eq!(canceled(venue.house(&Tick {})), [CancelReason::Expired]);
    assert_eq!(refusal(venue.say(ALICE, &gtd)), Some(RejectReason::SeriesExpired));
    let events = venue.say(OPERATOR, &kill(SwitchState::Released)).to_vec();
    assert!(matches!(events[0].event(), Ok(Event::Proposed(_))));
    venue.house(&AllSessionsDown {});
    venue.house(&Tick {});
    venue.now = Nanos(1);
    venue.house(&Tick {});
    venue.exchange.check();
}

#[test]
fn fills_follow_what_is_in_the_tables() {
    let mut venue = Venue::trading(2);
    let fill = |venue: &Venue, table: xq_engine::Table| {
        let place = xq_engine::Table::ALL.iter().position(|each| *each == table);
        venue.exchange.fills()[place.expect("every table is in the list")]
    };
    let orders = |venue: &Venue| fill(venue, xq_engine::Table::Orders);
    let pages = |venue: &Venue| fill(venue, xq_engine::Table::LevelPages).used;
    assert_eq!((orders(&venue).used, orders(&venue).capacity), (0, 20_000));
    many_sells(&mut venue, 100);
    assert_eq!(orders(&venue).used, 100);
    assert!((1..=3).contains(&pages(&venue)));
    assert_eq!(
        fill(&venue, xq_engine::Table::Series),
        xq_engine::Fill {
            used: 1,
            capacity: 10
        }
    );
    assert!(fill(&venue, xq_engine::Table::Accounts).used >= u64::from(TRADER));
    let sessions = fill(&venue, xq_engine::Table::Sessions);
    assert!(sessions.used > 0 && sessions.used <= sessions.capacity);
}
