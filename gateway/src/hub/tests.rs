//! The hub before a ring and a journal in memory, without sockets.

use super::*;
use crate::frames::each;
use std::sync::{Mutex, MutexGuard};
use xq_protocol::*;

const ALICE: Hash = Hash([1; 32]);
const BOB: Hash = Hash([2; 32]);
const JOURNAL: JournalId = JournalId([9; 16]);

/// What stands behind the borders.
#[derive(Default)]
struct State {
    events: Vec<EventFrame>,
    followed: usize,
    /// Frames that were visited again.
    read_again: usize,
    /// The headers and first body words of what entered the ring.
    entered: Vec<(u16, SessionId, ReqSeq, u64)>,
    is_full: bool,
    /// Commands whose events cannot be visited again.
    gone: std::ops::Range<u64>,
}

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

impl Ingress for Fake {
    fn offer(&mut self, frames: &[u8]) -> usize {
        let mut state = self.state();
        if state.is_full {
            return 0;
        }
        for frame in each(frames) {
            let (word, _) = frame.body.split_first_chunk().expect("a command has a body");
            let header = frame.header;
            let word = u64::from_le_bytes(*word);
            state
                .entered
                .push((header.template_id, header.session, header.req_seq, word));
        }
        frames.len()
    }
}

impl EventSource for Fake {
    fn poll(&mut self, visit: &mut dyn FnMut(&Frame<'_>)) -> usize {
        let mut state = self.state();
        let from = state.followed;
        state.followed = state.events.len();
        for event in &state.events[from..] {
            visit(&event.frame().expect("events are frames"));
        }
        state.events.len() - from
    }
    fn read_from(&mut self, from: Seq, visit: &mut dyn FnMut(&Frame<'_>) -> ControlFlow<()>) -> Again {
        let mut state = self.state();
        let first = state.events.partition_point(|event| event.header().seq < from);
        for at in first..state.followed {
            if state.gone.contains(&state.events[at].header().seq.0) {
                return Again::Gone;
            }
            state.read_again += 1;
            if visit(&state.events[at].frame().expect("events are frames")).is_break() {
                break;
            }
        }
        Again::Visited
    }
    fn oldest(&mut self) -> Seq {
        let state = self.state();
        match state.gone.start {
            0 => Seq(state.gone.end.max(1)),
            _ => Seq(1),
        }
    }

    fn durable(&self) -> Seq {
        Seq(0)
    }
}

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Nanos {
        Nanos(1_000_000_000_000)
    }
}

/// A hub, what stands behind it, and the last command's number.
struct Bench {
    hub: Hub,
    fake: Fake,
    seq: Seq,
}

fn session_of(participant: u32) -> SessionId {
    SessionId::of(ParticipantId(participant), 0).expect("in range")
}

fn bytes_of(frames: &[CommandFrame]) -> Inbound {
    let mut inbound = Inbound::new(64 << 10);
    for frame in frames {
        let bytes = frame.bytes();
        inbound.spare()[..bytes.len()].copy_from_slice(bytes);
        inbound.filled(bytes.len());
    }
    inbound
}

impl Bench {
    /// Participants 1 and 2 are traders.
    fn new(limits: Limits) -> Bench {
        let fake = Fake::default();
        let borders = Borders {
            ingress: Box::new(fake.clone()),
            source: Box::new(fake.clone()),
            clock: Arc::new(StandingClock),
            bell: Arc::default(),
            delays: Arc::default(),
            begun: Begun::default(),
        };
        let hub = Hub::new(limits, borders, Arc::default());
        let seq = Seq(0);
        let mut bench = Bench { hub, fake, seq };
        let (rules_version, reserved) = (Count(1), Reserved::ZERO);
        bench.house(&ExchangeOpened {
            journal_id: JOURNAL,
            rules_version,
            reserved,
            currencies: Currencies::default(),
        });
        for (participant, fingerprint) in [(1, ALICE), (2, BOB)] {
            let participant = ParticipantId(participant);
            bench.house(&ParticipantRegistered {
                participant,
                role: Role::Trader,
                reserved: Reserved::ZERO,
                reference: Hash([0; 32]),
            });
            bench.house(&KeySet {
                participant,
                purpose: KeyPurpose::Session,
                state: KeyState::Valid,
                reserved: Reserved::ZERO,
                fingerprint,
            });
        }
        bench.follow();
        bench
    }

    fn house<M: Message>(&mut self, body: &M) {
        self.event(SessionId::HOUSE, ReqSeq(0), body);
    }

    /// A command's only event becomes durable.
    fn event<M: Message>(&mut self, session: SessionId, req_seq: ReqSeq, body: &M) -> Seq {
        self.events(session, req_seq, std::slice::from_ref(body))
    }

    /// A command's events become durable.
    fn events<M: Message>(&mut self, session: SessionId, req_seq: ReqSeq, bodies: &[M]) -> Seq {
        self.seq = Seq(self.seq.0 + 1);
        for (index, body) in bodies.iter().enumerate() {
            let is_last = index + 1 == bodies.len();
            let header = Header {
                seq: self.seq,
                session,
                req_seq,
                index: u16::try_from(index).expect("few"),
                flags: if is_last { Header::LAST } else { 0 },
                ..Header::default()
            };
            self.fake.state().events.push(EventFrame::new(header, body));
        }
        self.seq
    }

    fn follow(&mut self) {
        while self.hub.poll() > 0 {}
    }

    /// A connection that has asked for its session.
    fn connect(&mut self, participant: u32) -> LinkId {
        let fingerprint = if participant == 1 { ALICE } else { BOB };
        let (id, _) = self.hub.open(fingerprint);
        let establish = Establish {
            session: session_of(participant),
            reserved: Reserved::ZERO,
            next_out_seq: ReqSeq(0),
            journal_id: JournalId::ZERO,
        };
        self.say(id, &[CommandFrame::new(Header::default(), &establish)]);
        id
    }

    /// The SessionUp that entered last becomes durable.
    fn establish(&mut self, last_req_seq: u64) {
        let (template, session, _, connection) = *self.fake.state().entered.last().expect("it entered");
        assert_eq!(template, SessionUp::TEMPLATE);
        self.established(session, connection, last_req_seq);
    }

    fn established(&mut self, session: SessionId, connection: u64, last_req_seq: u64) {
        let established = SessionEstablished {
            connection: ConnectionId(connection),
            last_req_seq: ReqSeq(last_req_seq),
            window: Count(8_192),
            reserved: Reserved::ZERO,
        };
        self.event(session, ReqSeq(0), &established);
        self.follow();
    }

    fn up(&mut self, participant: u32) -> LinkId {
        let id = self.connect(participant);
        self.establish(0);
        self.heard(id);
        id
    }

    fn say(&mut self, id: LinkId, frames: &[CommandFrame]) {
        let mut inbound = bytes_of(frames);
        self.hub.received(id, &mut inbound);
    }

    /// What a connection is told since the last time: template, request number and flags; and why it ends.
    fn heard(&mut self, id: LinkId) -> (Vec<(u16, u64, u16)>, Option<TerminateReason>) {
        let taken = self.hub.take(id).expect("the connection is there");
        let words: Vec<u64> = taken
            .bytes
            .chunks(8)
            .map(|word| u64::from_le_bytes(word.try_into().expect("whole frames")))
            .collect();
        let frames = each(zerocopy::IntoBytes::as_bytes(&words[..]))
            .map(|frame| {
                (
                    frame.header.template_id,
                    frame.header.req_seq.0,
                    frame.header.flags,
                )
            })
            .collect();
        (frames, taken.closing)
    }
}

fn canceled() -> OrderCanceled {
    OrderCanceled {
        order: OrderId(1),
        account: AccountId(1),
        series: SeriesId(7),
        session: session_of(1),
        qty: Qty(1),
        released: Amount(0),
        currency: Currency(156),
        side: Side::Buy,
        reason: CancelReason::Requested,
        reserved: Reserved::ZERO,
    }
}

impl Bench {
    /// Each of these requests, used by the command `original`, is sent again so often.
    fn repeat(&mut self, participant: u32, original: Seq, times: usize) {
        for _ in 0..times {
            let req_seq = ReqSeq(1);
            self.event(
                session_of(participant),
                req_seq,
                &RequestRepeated { req_seq, original },
            );
        }
    }
}

#[test]
fn a_slow_reader_of_repeats_is_dropped_before_more_is_read_for_it() {
    let outbox_max = 64 << 10;
    let mut bench = Bench::new(Limits {
        outbox_max,
        ..Limits::default()
    });
    let alice = bench.up(1);
    let outcome = bench.events(session_of(1), ReqSeq(1), &vec![canceled(); 300]);
    bench.follow();
    bench.heard(alice);
    bench.repeat(1, outcome, 1_000);
    bench.follow();
    let frame = size_of::<Header>() + size_of::<OrderCanceled>();
    let read_again = bench.fake.state().read_again;
    assert!(
        read_again <= outbox_max / frame + 10,
        "{read_again} frames of 300,000 were read again"
    );
    let (frames, closing) = bench.heard(alice);
    assert_eq!(
        (frames.len(), closing),
        (1, Some(TerminateReason::TooSlow)),
        "it is told why, once"
    );
    assert_eq!(bench.hub.stats.too_slow.get(), 1);
    let entered = bench.fake.state().entered.last().map(|entered| entered.0);
    assert_eq!(entered, Some(SessionDown::TEMPLATE));
}

#[test]
fn repeats_are_told_some_at_a_time_and_by_turns() {
    let mut bench = Bench::new(Limits::default());
    let (alice, bob) = (bench.up(1), bench.up(2));
    let long = bench.events(session_of(1), ReqSeq(1), &vec![canceled(); 300]);
    let short = bench.events(session_of(2), ReqSeq(1), &[canceled()]);
    bench.follow();
    bench.heard(alice);
    bench.heard(bob);
    bench.repeat(1, long, 20);
    bench.repeat(2, short, 20);
    let (mut polls, mut of_alice, mut of_bob) = (0, 0, 0);
    let again = |flags: u16| flags & Header::REPEATED != 0;
    while bench.hub.poll() > 0 {
        polls += 1;
        let told = bench.heard(alice).0;
        assert!(told.len() <= 1_200, "{} at once", told.len());
        assert!(
            told.iter()
                .all(|(_, number, flags)| *number == 1 && again(*flags))
        );
        of_alice += told.len();
        of_bob += bench.heard(bob).0.len();
        assert!(
            of_bob == 20 || (of_bob + 1) * 300 >= of_alice,
            "bob waits for nobody"
        );
    }
    assert_eq!((of_alice, of_bob), (20 * 300, 20));
    assert!(polls >= 5, "{polls} polls");
}

#[test]
fn who_repeats_more_than_is_remembered_is_dropped() {
    let mut bench = Bench::new(Limits::default());
    let alice = bench.up(1);
    let outcome = bench.events(session_of(1), ReqSeq(1), &[canceled()]);
    bench.follow();
    bench.repeat(1, outcome, crate::repeats::WAITING_MAX + 1);
    bench.follow();
    assert_eq!(bench.heard(alice).1, Some(TerminateReason::TooSlow));
    assert!(
        bench.fake.state().read_again < 100,
        "nothing is read for it any more"
    );
}

#[test]
fn a_repeated_request_whose_outcome_is_archived_is_refused_with_its_number() {
    let mut bench = Bench::new(Limits::default());
    let alice = bench.up(1);
    let outcome = bench.events(session_of(1), ReqSeq(1), &[canceled(); 3]);
    bench.follow();
    bench.heard(alice);
    bench.fake.state().gone = 0..outcome.0 + 1;
    bench.repeat(1, outcome, 2);
    bench.follow();
    let refused = (DoorRejected::TEMPLATE, 1, 0);
    assert_eq!(bench.heard(alice), (vec![refused; 2], None), "and it stays up");
    let stats = &bench.hub.stats;
    assert_eq!(stats.rejects(RejectReason::StaleRequest.code()), 2);
}

#[test]
fn messages_that_are_gone_are_not_told_again_and_end_nothing_else() {
    let mut bench = Bench::new(Limits::default());
    let alice = bench.up(1);
    // A mark stands at the first message of every 4,096 commands, and at every 256th.
    let first = bench.events(session_of(1), ReqSeq(1), &vec![canceled(); 300]);
    let second = bench.events(session_of(1), ReqSeq(2), &vec![canceled(); 300]);
    bench.follow();
    bench.heard(alice);
    let told = |bench: &mut Bench, from| {
        let (mut replay, announced) = bench.hub.replay(session_of(1), from, 1_000);
        let (begins, mut bytes) = (replay.from().0, Vec::new());
        while bench.hub.replay_some(&mut replay, &mut bytes) {}
        let frame = size_of::<Header>() + size_of::<OrderCanceled>();
        (begins, announced, bytes.len() / frame)
    };
    assert_eq!(told(&mut bench, 1), (1, 600, 600));
    // What is archived is not announced.
    bench.fake.state().gone = 0..first.0 + 1;
    assert_eq!(told(&mut bench, 1), (513, 88, 88));
    // What cannot be read any more ends the answer, short of what was announced.
    bench.fake.state().gone = second.0..second.0 + 1;
    let (begins, announced, came) = told(&mut bench, 1);
    assert_eq!((begins, announced), (1, 600));
    assert_eq!(came, 300, "what is there was told");
    assert_eq!(bench.hub.poll(), 0);
}

fn cancel(req_seq: u64) -> CommandFrame {
    let cancel = CancelOrder {
        account: AccountId(1),
        reduce_qty: Qty(0),
        order: OrderId(1),
        cl_ord_id: ClOrdId::ZERO,
    };
    CommandFrame::new(Header::request(ReqSeq(req_seq)), &cancel)
}

impl Bench {
    /// The numbers of the cancels that entered the ring.
    fn cancels(&self) -> Vec<u64> {
        let state = self.fake.state();
        let cancels = state.entered.iter().filter(|e| e.0 == CancelOrder::TEMPLATE);
        cancels.map(|entered| entered.2.0).collect()
    }
}

#[test]
fn a_connection_sends_nothing_after_a_newer_ones_session_up() {
    let mut bench = Bench::new(Limits::default());
    let first = bench.up(1);
    bench.say(first, &[cancel(1)]);
    let second = bench.connect(1);
    bench.say(first, &[cancel(2)]);
    assert_eq!(bench.cancels(), [1], "the second one is told to go on with 2");
    assert_eq!(bench.heard(first), (vec![(DoorRejected::TEMPLATE, 2, 0)], None));

    // The second comes up when a third has asked: it is fenced off, too.
    let third = bench.connect(1);
    let session = session_of(1);
    bench.established(session, 2, 1);
    assert_eq!(bench.heard(first).1, Some(TerminateReason::TakenOver));
    bench.say(second, &[cancel(2)]);
    assert_eq!(bench.cancels(), [1]);
    bench.established(session, 3, 1);
    assert_eq!(bench.heard(second).1, Some(TerminateReason::TakenOver));
    bench.say(third, &[cancel(2)]);
    assert_eq!(bench.cancels(), [1, 2]);
    let down = |entered: &(u16, SessionId, ReqSeq, u64)| entered.0 == SessionDown::TEMPLATE;
    assert!(
        !bench.fake.state().entered.iter().any(down),
        "the session did not end"
    );
}

#[test]
fn a_connection_goes_on_when_the_newer_one_is_refused() {
    let mut bench = Bench::new(Limits::default());
    let first = bench.up(1);
    let second = bench.connect(1);
    bench.say(first, &[cancel(1)]);
    let refused = Rejected {
        template: Count(u32::from(SessionUp::TEMPLATE)),
        code: RejectReason::NotAuthorised.code(),
        reserved: Reserved::ZERO,
        cl_ord_id: ClOrdId::ZERO,
        order: OrderId(0),
        account: AccountId(0),
        series: SeriesId(0),
        observed: Observed(0),
        allowed: Observed(0),
    };
    bench.event(session_of(1), ReqSeq(0), &refused);
    bench.follow();
    assert_eq!(bench.heard(second).1, Some(TerminateReason::Refused));
    bench.say(first, &[cancel(2)]);
    assert_eq!(bench.cancels(), [2]);
}

#[test]
fn a_session_up_that_found_no_room_owes_no_end() {
    let mut bench = Bench::new(Limits::default());
    let (hasty, _) = bench.hub.open(ALICE);
    let establish = Establish {
        session: session_of(1),
        reserved: Reserved::ZERO,
        next_out_seq: ReqSeq(0),
        journal_id: JournalId::ZERO,
    };
    let mut broken = cancel(1);
    broken.header_mut().version = 99;
    bench.fake.state().is_full = true;
    bench.say(hasty, &[CommandFrame::new(Header::default(), &establish), broken]);
    assert_eq!(bench.heard(hasty).1, Some(TerminateReason::Malformed));
    // The next connection gets the same number, and nothing owed ends it.
    bench.fake.state().is_full = false;
    let next = bench.up(1);
    bench.hub.tick();
    let entered: Vec<_> = bench.fake.state().entered.iter().map(|e| (e.0, e.3)).collect();
    assert_eq!(entered, [(SessionUp::TEMPLATE, 1)]);
    assert_eq!(bench.heard(next).1, None);
}

#[test]
fn what_is_asked_for_beside_the_orders_passes_the_throttle() {
    let mut bench = Bench::new(Limits {
        throttle_burst: Count(2),
        ..Limits::default()
    });
    let alice = bench.connect(1);
    assert_eq!(
        bench.hub.admit_ask(alice),
        Err(RejectReason::SessionNotEstablished)
    );
    bench.establish(0);
    let presence = Presence {
        session: session_of(1),
        connection: ConnectionId(1),
    };
    let asked: Vec<_> = (0..3).map(|_| bench.hub.admit_ask(alice)).collect();
    assert_eq!(asked, [Ok(presence), Ok(presence), Err(RejectReason::Throttled)]);
}
