//! Every state, every refusal, in virtual time.

use super::{Ask, Established, Limits, Output, Register, Session, ask};
use crate::frames::each;
use crate::register::LinkId;
use xq_protocol::*;

const ALICE: Hash = Hash([1; 32]);
const JOURNAL: JournalId = JournalId([9; 16]);
pub(super) const START: Nanos = Nanos(1_000_000_000_000);
const SESSION: SessionId = SessionId(1 << 4);

/// One machine, its register and what it asked for.
pub(super) struct Bench {
    pub(super) register: Register,
    pub(super) session: Session,
    pub(super) out: Output,
    now: Nanos,
}

fn limits() -> Limits {
    Limits {
        throttle_rate: Count(1_000),
        throttle_burst: Count(3),
        rules_version_max: Count(7),
        ..Limits::default()
    }
}

fn register(role: Role) -> Register {
    let mut register = Register::default();
    let opened = ExchangeOpened {
        journal_id: JOURNAL,
        rules_version: Count(1),
        reserved: Reserved::ZERO,
        currencies: Currencies::default(),
    };
    register.follow(&Event::ExchangeOpened(&opened));
    let registered = ParticipantRegistered {
        participant: ParticipantId(1),
        role,
        reserved: Reserved::ZERO,
        reference: Hash([0; 32]),
    };
    register.follow(&Event::ParticipantRegistered(&registered));
    register.follow(&Event::KeySet(&key(1, KeyState::Valid)));
    register
}

fn key(participant: u32, state: KeyState) -> KeySet {
    KeySet {
        participant: ParticipantId(participant),
        purpose: KeyPurpose::Session,
        state,
        reserved: Reserved::ZERO,
        fingerprint: ALICE,
    }
}

fn establish(session: SessionId, next_out_seq: u64, journal_id: JournalId) -> Establish {
    Establish {
        session,
        reserved: Reserved::ZERO,
        next_out_seq: ReqSeq(next_out_seq),
        journal_id,
    }
}

fn order() -> PlaceOrder {
    PlaceOrder {
        account: AccountId(1),
        series: SeriesId(1),
        qty: Qty(1),
        side: Side::Buy,
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: Price(1),
        expire_at: Nanos(0),
        cl_ord_id: ClOrdId([b'x'; 16]),
        on_disconnect: OnDisconnect::Cancel,
        reserved: Reserved::ZERO,
    }
}

fn cancel() -> CancelOrder {
    CancelOrder {
        account: AccountId(1),
        reduce_qty: Qty(0),
        order: OrderId(1),
        cl_ord_id: ClOrdId([b'c'; 16]),
    }
}

fn frame<M: Message>(req_seq: u64, body: &M) -> CommandFrame {
    CommandFrame::new(Header::request(ReqSeq(req_seq)), body)
}

impl Bench {
    pub(super) fn new(role: Role) -> Bench {
        let register = register(role);
        let session = Session::new(limits(), ALICE, START);
        Bench {
            register,
            session,
            out: Output::default(),
            now: START,
        }
    }

    pub(super) fn up(role: Role) -> Bench {
        let mut bench = Bench::new(role);
        bench.say(&frame(0, &establish(SESSION, 0, JournalId::ZERO)));
        bench.establish(ReqSeq(41));
        bench.out.clear();
        bench
    }

    fn say(&mut self, frame: &CommandFrame) {
        self.say_all(&[frame]);
    }

    fn say_all(&mut self, frames: &[&CommandFrame]) {
        let mut words: Vec<u64> = Vec::new();
        for frame in frames {
            words.extend(&frame.words()[..frame.bytes().len() / 8]);
        }
        let bytes = zerocopy::IntoBytes::as_bytes(&words[..]);
        let used = self
            .session
            .received(self.now, bytes, &self.register, &mut self.out);
        assert!(used <= bytes.len());
    }

    fn establish(&mut self, last_req_seq: ReqSeq) {
        let presence = self.out.up.take().expect("a SessionUp was asked for");
        let record = self.register.session_mut(presence.session);
        assert_eq!(record.next_connection(), presence.connection);
        record.up_offered(presence.connection, LinkId(1));
        let event = SessionEstablished {
            connection: presence.connection,
            last_req_seq,
            window: Count(8_192),
            reserved: Reserved::ZERO,
        };
        assert_eq!(
            self.register.session_mut(presence.session).established(&event),
            Some(LinkId(1))
        );
        let news = Established {
            event: &event,
            durable: Seq(5),
        };
        self.session
            .established(self.now, &news, &self.register, &mut self.out);
    }

    fn tick(&mut self, after: Nanos) {
        self.now = Nanos(self.now.0 + after.0);
        self.session.tick(self.now, ReqSeq(8), &mut self.out);
    }

    /// The codes of the door's refusals, with their numbers.
    fn refusals(&self) -> Vec<(u64, RejectReason)> {
        each(self.out.replies.bytes())
            .filter_map(|frame| match frame.session_message() {
                Ok(SessionMessage::DoorRejected(r)) => {
                    RejectReason::from_code(r.code).map(|c| (r.req_seq.0, c))
                }
                Ok(_) | Err(_) => None,
            })
            .collect()
    }

    pub(super) fn bye(&self) -> Option<(TerminateReason, RejectCode)> {
        let last = each(self.out.replies.bytes()).last()?;
        let frame = last.session_message();
        let Ok(SessionMessage::Terminate(bye)) = frame else {
            return None;
        };
        assert_eq!(self.out.close, Some(bye.reason), "what is said is done");
        assert!(self.session.is_closed());
        Some((bye.reason, bye.code))
    }

    fn entered(&self) -> Vec<u64> {
        each(self.out.commands.bytes())
            .map(|frame| frame.header.req_seq.0)
            .collect()
    }
}

#[test]
fn it_comes_up_when_its_session_up_is_durable() {
    let mut bench = Bench::new(Role::Trader);
    bench.say(&frame(0, &establish(SESSION, 1, JOURNAL)));
    assert!(
        bench.out.replies.is_empty() && bench.session.up().is_none(),
        "nothing is said before"
    );
    bench.establish(ReqSeq(41));
    let ack = each(bench.out.replies.bytes()).next().expect("an answer");
    let Ok(SessionMessage::EstablishAck(ack)) = ack.session_message() else {
        panic!("it is acknowledged");
    };
    assert_eq!(
        (ack.next_req_seq, ack.next_out_seq, ack.connection),
        (ReqSeq(42), ReqSeq(1), ConnectionId(1))
    );
    assert_eq!(
        (ack.journal_id, ack.durable, ack.window),
        (JOURNAL, Seq(5), Count(8_192))
    );
    assert_eq!((ack.throttle_rate, ack.throttle_burst), (Count(1_000), Count(3)));
    assert_eq!(bench.session.up().map(|p| p.session), Some(SESSION));
}

#[test]
fn rules_that_the_exchange_does_not_know_are_refused_at_the_door() {
    let mut bench = Bench::up(Role::Operator);
    let (version, reserved) = (Count(8), Reserved::ZERO);
    bench.say(&frame(42, &SetRules { version, reserved }));
    assert_eq!(bench.refusals(), [(42, RejectReason::UnsupportedMessage)]);
}

#[test]
fn the_first_message_must_be_establish_and_in_time() {
    let mut bench = Bench::new(Role::Trader);
    bench.say(&frame(1, &order()));
    let late = (
        TerminateReason::NotEstablished,
        RejectReason::SessionNotEstablished.code(),
    );
    assert_eq!(bench.bye(), Some(late));
    let mut bench = Bench::new(Role::Trader);
    bench.tick(Nanos(limits().establish_within.0 - 1));
    assert_eq!(bench.bye(), None);
    bench.tick(Nanos(1));
    assert_eq!((bench.bye(), bench.out.down), (Some(late), None));
}

#[test]
fn who_may_not_establish_is_told_why() {
    let refusal = |register: Register, establish: Establish| {
        let mut bench = Bench::new(Role::Trader);
        bench.register = register;
        bench.say(&frame(0, &establish));
        assert!(bench.out.up.is_none() && bench.out.down.is_none());
        bench.bye()
    };
    let good = || establish(SESSION, 0, JournalId::ZERO);
    let said = |reason, code: RejectReason| Some((reason, code.code()));
    let not_authenticated = said(TerminateReason::NotAuthorised, RejectReason::NotAuthenticated);
    let not_authorised = said(TerminateReason::NotAuthorised, RejectReason::NotAuthorised);
    let ahead = said(TerminateReason::SessionAhead, RejectReason::SessionAhead);
    assert_eq!(
        refusal(Register::default(), good()),
        not_authenticated,
        "unknown key"
    );
    let mut revoked = register(Role::Trader);
    revoked.follow(&Event::KeySet(&key(1, KeyState::Revoked)));
    assert_eq!(refusal(revoked, good()), not_authenticated, "revoked key");
    let others = establish(SessionId(2 << 4), 0, JournalId::ZERO);
    assert_eq!(
        refusal(register(Role::Trader), others),
        not_authorised,
        "another's session"
    );
    let mut of_the_house = register(Role::House);
    of_the_house.follow(&Event::KeySet(&key(0, KeyState::Valid)));
    let house = establish(SessionId::HOUSE, 0, JournalId::ZERO);
    assert_eq!(refusal(of_the_house, house), not_authorised, "the house");
    let beyond = establish(SESSION, 2, JOURNAL);
    assert_eq!(
        refusal(register(Role::Trader), beyond),
        ahead,
        "more than was told"
    );
    let other = establish(SESSION, 1, JournalId([8; 16]));
    assert_eq!(refusal(register(Role::Trader), other), ahead, "another journal");
}

#[test]
fn a_refused_session_owes_nothing() {
    let mut bench = Bench::new(Role::Trader);
    bench.say(&frame(0, &establish(SESSION, 0, JournalId::ZERO)));
    bench.session.refused(RejectReason::Capacity, &mut bench.out);
    assert_eq!(
        bench.bye(),
        Some((TerminateReason::Refused, RejectReason::Capacity.code()))
    );
    assert_eq!(bench.out.down, None);
}

#[test]
fn requests_before_it_is_up_are_refused() {
    let mut bench = Bench::new(Role::Trader);
    bench.say_all(&[
        &frame(0, &establish(SESSION, 0, JournalId::ZERO)),
        &frame(1, &order()),
    ]);
    assert_eq!(bench.refusals(), [(1, RejectReason::SessionNotEstablished)]);
    assert!(bench.out.up.is_some() && bench.out.commands.is_empty());
}

#[test]
fn commands_enter_with_session_and_time() {
    let mut bench = Bench::up(Role::Trader);
    bench.say_all(&[&frame(42, &order()), &frame(44, &cancel())]);
    let headers: Vec<Header> = each(bench.out.commands.bytes()).map(|f| *f.header).collect();
    assert_eq!(headers.iter().map(|h| h.req_seq.0).collect::<Vec<_>>(), [42, 44]);
    assert!(
        headers
            .iter()
            .all(|h| (h.session, h.time, h.seq) == (SESSION, START, Seq(0)))
    );
    let bodies: Vec<_> = each(bench.out.commands.bytes())
        .map(|f| f.body.to_vec())
        .collect();
    assert_eq!(
        bodies,
        [
            frame(0, &order()).frame().map(|f| f.body.to_vec()),
            frame(0, &cancel()).frame().map(|f| f.body.to_vec())
        ]
        .map(|b| b.expect("a frame"))
    );
}

#[test]
fn what_a_client_must_leave_zero_is_refused() {
    let fields: [fn(&mut Header); 6] = [
        |h| h.seq = Seq(1),
        |h| h.time = Nanos(1),
        |h| h.session = SESSION,
        |h| h.index = 1,
        |h| h.flags = Header::REPEATED,
        |h| h.req_seq = ReqSeq(0),
    ];
    for change in fields {
        let mut bench = Bench::up(Role::Trader);
        let mut bad = frame(42, &order());
        change(bad.header_mut());
        bench.say_all(&[&bad, &frame(43, &order())]);
        let number = bad.header().req_seq.0;
        assert_eq!(
            (bench.refusals(), bench.entered()),
            (vec![(number, RejectReason::Malformed)], vec![43])
        );
        assert!(!bench.session.is_closed());
    }
}

#[test]
fn a_role_may_send_its_commands_and_no_others() {
    for role in Role::ALL {
        for (template, name, .., length) in COMMANDS {
            let mut bench = Bench::up(*role);
            let mut any = CommandFrame::default();
            let block = u16::try_from(*length).expect("short");
            *any.header_mut() = Header {
                block_length: block,
                template_id: *template,
                schema_id: SCHEMA_ID,
                version: SCHEMA_VERSION,
                ..Header::request(ReqSeq(42))
            };
            bench.say(&any);
            let rule = rule(*template).expect("a command has a rule");
            let may = rule.allows(*role) && rule.house_only == HouseOnly::No;
            let expected = if may {
                vec![]
            } else {
                vec![(42, RejectReason::NotAuthorised)]
            };
            assert_eq!(bench.refusals(), expected, "{role} {name}");
            assert_eq!(bench.entered().len(), usize::from(may), "{role} {name}");
        }
    }
}

#[test]
fn what_is_no_command_is_refused() {
    let mut bench = Bench::up(Role::Trader);
    let mut unknown = frame(42, &order());
    unknown.header_mut().template_id = 65_000;
    let again = frame(43, &establish(SESSION, 0, JournalId::ZERO));
    bench.say_all(&[&unknown, &again]);
    let none = RejectReason::UnsupportedMessage;
    assert_eq!(bench.refusals(), [(42, none), (43, none)]);
    assert!(!bench.session.is_closed());
}

#[test]
fn a_bad_field_is_refused_and_told_with_the_clients_id() {
    let mut bench = Bench::up(Role::Trader);
    let mut bad = frame(42, &order());
    // The side's byte holds no side.
    bad.words_mut()[5 + 1] |= 0xFF << 32;
    bench.say_all(&[&bad, &frame(43, &cancel())]);
    assert_eq!(
        (bench.refusals(), bench.entered()),
        (vec![(42, RejectReason::Malformed)], vec![43])
    );
    bench.out.clear();
    bench.say_all(&[&frame(44, &order()); 4]);
    let refused = each(bench.out.replies.bytes())
        .next()
        .expect("the fourth is throttled");
    let Ok(SessionMessage::DoorRejected(refused)) = refused.session_message() else {
        panic!("a refusal");
    };
    let expected = (
        ClOrdId([b'x'; 16]),
        Count(u32::from(PlaceOrder::TEMPLATE)),
        RejectReason::Throttled.code(),
    );
    assert_eq!((refused.cl_ord_id, refused.template, refused.code), expected);
}

#[test]
fn broken_frames_end_the_session_whatever_its_state() {
    type Break = (fn(&mut Header), RejectReason);
    let breaks: [Break; 5] = [
        (|h| h.block_length = 65_535, RejectReason::Malformed),
        (|h| h.block_length = 3, RejectReason::Malformed),
        (|h| h.block_length -= 8, RejectReason::Malformed),
        (|h| h.version = 77, RejectReason::SchemaVersion),
        (|h| h.schema_id = 77, RejectReason::SchemaVersion),
    ];
    for (change, reason) in breaks {
        let mut bad = frame(42, &order());
        change(bad.header_mut());
        let mut words = frame(41, &order()).words()[..12].to_vec();
        words.extend(&bad.words()[..12]);
        let mut bench = Bench::up(Role::Trader);
        bench.session.received(
            START,
            zerocopy::IntoBytes::as_bytes(&words[..]),
            &bench.register,
            &mut bench.out,
        );
        assert_eq!(bench.entered(), [41], "what came before it holds");
        assert_eq!(bench.refusals().last(), Some(&(42, reason)));
        assert_eq!(bench.bye(), Some((TerminateReason::Malformed, reason.code())));
        assert!(bench.out.down.is_some());
    }
    let mut bench = Bench::new(Role::Trader);
    let mut bad = frame(0, &establish(SESSION, 0, JournalId::ZERO));
    bad.header_mut().version = 9;
    bench.say(&bad);
    assert_eq!(
        bench.bye(),
        Some((TerminateReason::Malformed, RejectReason::SchemaVersion.code()))
    );
}

#[test]
fn the_throttle_spares_what_takes_risk_away() {
    let mut bench = Bench::up(Role::Trader);
    let mass = MassCancel {
        account: AccountId(0),
        series: SeriesId(0),
        sides: Sides::Both,
        reserved: Reserved::ZERO,
    };
    let (order, cancel, mass) = (frame(1, &order()), frame(2, &cancel()), frame(3, &mass));
    bench.say_all(&[&order, &order, &order, &order, &cancel, &mass]);
    assert_eq!(bench.refusals(), [(1, RejectReason::Throttled)]);
    assert_eq!(bench.entered(), [1, 1, 1, 2, 3]);
    bench.out.clear();
    bench.tick(Nanos(1_000_000));
    bench.say_all(&[&order, &order]);
    assert_eq!(
        (bench.refusals().len(), bench.entered().len()),
        (1, 1),
        "one a millisecond"
    );
}

#[test]
fn what_the_ring_does_not_take_is_refused_but_urgent_ones_are_tried_again() {
    let mut bench = Bench::up(Role::Trader);
    bench.say_all(&[
        &frame(1, &order()),
        &frame(2, &order()),
        &frame(3, &cancel()),
        &frame(4, &order()),
    ]);
    let first = frame(1, &order()).bytes().len();
    bench.session.taken(first, &mut bench.out);
    let busy = RejectReason::EngineBusy;
    assert_eq!(
        (bench.refusals(), bench.entered()),
        (vec![(2, busy), (4, busy)], vec![3])
    );
    bench.session.urgent_taken(0, &mut bench.out);
    assert_eq!(
        (bench.refusals().last(), bench.entered()),
        (Some(&(3, busy)), vec![])
    );
}

#[test]
fn silence_is_filled_and_silence_ends_it() {
    let mut bench = Bench::up(Role::Trader);
    bench.tick(Nanos(limits().heartbeat.0 - 1));
    assert!(bench.out.replies.is_empty());
    bench.tick(Nanos(1));
    let beat = each(bench.out.replies.bytes()).next().expect("a heartbeat");
    assert!(matches!(beat.session_message(), Ok(SessionMessage::Sequence(s)) if s.next == ReqSeq(8)));
    bench.out.clear();
    bench.session.told(bench.now);
    bench.tick(Nanos(1));
    assert!(
        bench.out.replies.is_empty(),
        "what was told is as good as a heartbeat"
    );
    bench.say(&frame(0, &Sequence { next: ReqSeq(42) }));
    bench.tick(Nanos(limits().lapse.0 - 1));
    assert_eq!(bench.bye(), None, "it was heard a while ago");
    bench.tick(Nanos(1));
    assert_eq!(bench.bye(), Some((TerminateReason::HeartbeatLost, RejectCode(0))));
    assert_eq!(
        bench.out.down.map(|p| (p.session, p.connection.0)),
        Some((SESSION, 1))
    );
}

#[test]
fn each_end_is_said_and_owed_once() {
    let ends = [
        (TerminateReason::TakenOver, false),
        (TerminateReason::ServerStopping, true),
        (TerminateReason::TooSlow, true),
        (TerminateReason::Requested, true),
    ];
    for (reason, owed) in ends {
        let mut bench = Bench::up(Role::Trader);
        bench.session.end(reason, None, &mut bench.out);
        assert_eq!(
            (bench.bye().map(|b| b.0), bench.out.down.is_some()),
            (Some(reason), owed)
        );
        bench.out.clear();
        bench.session.end(reason, None, &mut bench.out);
        bench.say(&frame(42, &order()));
        bench.tick(Nanos(u64::MAX / 4));
        assert!(bench.out.replies.is_empty() && bench.out.commands.is_empty() && bench.out.down.is_none());
    }
    let mut bench = Bench::up(Role::Trader);
    let reason = TerminateReason::Requested;
    let (reserved, code, reserved2) = (Reserved::ZERO, RejectCode(0), Reserved::ZERO);
    bench.say(&frame(
        0,
        &Terminate {
            reason,
            reserved,
            code,
            reserved2,
        },
    ));
    assert_eq!(bench.bye().map(|b| b.0), Some(reason));
}

#[test]
fn a_further_stream_asks_for_messages_or_a_book() {
    let ask_for = |frame: &CommandFrame| ask(frame.bytes(), &limits());
    let request = |from, count| RetransmitRequest {
        from: ReqSeq(from),
        count: Count(count),
        reserved: Reserved::ZERO,
    };
    let all = Ask::Retransmit {
        from: ReqSeq(7),
        count: Count(4_096),
    };
    assert_eq!(
        ask_for(&frame(0, &request(7, u32::MAX))),
        Ok(Some(all)),
        "cut to the limit"
    );
    assert_eq!(ask_for(&frame(0, &request(0, 1))), Err(RejectReason::Malformed));
    let copy = DropCopyRequest {
        participant: ParticipantId(3),
        index: Count(1),
        seq: Seq(7),
    };
    assert_eq!(ask_for(&frame(0, &copy)), Ok(Some(Ask::DropCopy(copy))));
    assert_eq!(
        ask_for(&frame(1, &order())),
        Err(RejectReason::UnsupportedMessage)
    );
    assert_eq!(
        ask(&frame(0, &copy).bytes()[..40], &limits()),
        Ok(None),
        "incomplete"
    );
}
