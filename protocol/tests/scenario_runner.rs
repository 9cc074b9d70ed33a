//! The scenario runner against a door that only acknowledges: order of speaking, numbering, shorthands, blessing.

use xq_protocol::text::{Door, Failure, Scenario, outcomes, run};
use xq_protocol::*;

/// Accepts every order and credit, proposes what needs approval, opens the day; remembers who said what.
#[derive(Default)]
struct Clerk {
    said: Vec<(SessionId, Header, String)>,
}

impl Clerk {
    fn answer(command: &Command<'_>, order: u64) -> EventFrame {
        let header = Header {
            flags: Header::LAST,
            ..Header::default()
        };
        match command {
            Command::PlaceOrder(c) => EventFrame::new(
                header,
                &OrderAccepted {
                    order: OrderId(1 << 32 | order),
                    account: c.account,
                    series: c.series,
                    cl_ord_id: c.cl_ord_id,
                    limit: c.limit,
                    expire_at: c.expire_at,
                    held: c.limit.times(c.qty).expect("small numbers"),
                    qty: c.qty,
                    currency: Currency(156),
                    side: c.side,
                    order_type: c.order_type,
                    tif: c.tif,
                    execution: c.execution,
                    on_disconnect: c.on_disconnect,
                    reserved: Reserved::ZERO,
                },
            ),
            Command::Genesis(c) => EventFrame::new(
                header,
                &ExchangeOpened {
                    journal_id: c.journal_id,
                    rules_version: c.rules_version,
                    reserved: Reserved::ZERO,
                    currencies: c.currencies,
                },
            ),
            Command::CancelOrder(c) => EventFrame::new(
                header,
                &Rejected {
                    template: Count(103),
                    code: RejectReason::UnknownOrder.code(),
                    reserved: Reserved::ZERO,
                    cl_ord_id: c.cl_ord_id,
                    order: c.order,
                    account: c.account,
                    series: SeriesId::ZERO,
                    observed: Observed::ZERO,
                    allowed: Observed::ZERO,
                },
            ),
            // Anything else just takes time.
            _ => {
                let (now, jobs, open_orders) = (Nanos(1), Count::ZERO, Count::ZERO);
                EventFrame::new(
                    header,
                    &TimeAdvanced {
                        now,
                        jobs,
                        open_orders,
                    },
                )
            }
        }
    }
}

impl Door for Clerk {
    fn submit(&mut self, speaker: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        let frame = command.frame().expect("the runner writes frames");
        let command = frame.command().expect("the runner writes commands");
        self.said
            .push((speaker, *frame.header, command.name().to_owned()));
        let order = u64::try_from(self.said.len()).expect("few");
        let mut event = Clerk::answer(&command, order);
        event.header_mut().seq = Seq(order);
        event.header_mut().session = frame.header.session;
        vec![event]
    }
}

const HOLDS: &str = "\
# An order that can be paid for is accepted and held.

issue COFFEE acme 30.00 100
deposit alice 1000.00
# A remark.
buy alice 15 COFFEE @ 27.00 as b1
    accepted b1
    alice -> alice.held: 405.00
cancel alice b2 req=9
    rejected R402 UNKNOWN_ORDER
";

fn scenario(text: &str) -> Scenario {
    Scenario::parse("test.scn", text).expect("a scenario")
}

#[test]
fn speakers_numbers_and_times_are_filled_in() {
    let mut clerk = Clerk::default();
    run(&scenario(HOLDS), &mut clerk).unwrap_or_else(|failure| panic!("{failure}"));
    let names: Vec<&str> = clerk.said.iter().map(|said| said.2.as_str()).collect();
    let [
        ..,
        draft,
        escrow,
        register,
        issue,
        phase,
        p,
        k,
        s,
        a,
        credit,
        place,
        cancel,
    ] = names.as_slice()
    else {
        panic!("{names:?}");
    };
    assert_eq!(
        [*draft, *escrow, *register],
        ["DraftSeries", "PostEscrow", "RegisterSeries"]
    );
    assert_eq!([*issue, *phase], ["IssueUnits", "SetPhase"]);
    assert_eq!(
        [*p, *k, *s, *a],
        ["RegisterParticipant", "SetKey", "SessionUp", "OpenAccount"]
    );
    assert_eq!(
        [*credit, *place, *cancel],
        ["CreditCash", "PlaceOrder", "CancelOrder"]
    );
    let [.., place, cancel] = clerk.said.as_slice() else {
        panic!("as above")
    };
    assert_eq!(place.0, cancel.0);
    assert_eq!((place.1.req_seq, cancel.1.req_seq), (ReqSeq(1), ReqSeq(9)));
    assert!(
        clerk
            .said
            .iter()
            .all(|said| said.1.time == Nanos(1_767_315_600_000_000_000))
    );
    assert!(clerk.said.iter().all(|said| said.1.session == said.0));
}

#[test]
fn a_mismatch_names_file_line_expected_and_got() {
    let wrong = HOLDS.replace("405.00", "405.01");
    let failure = run(&scenario(&wrong), &mut Clerk::default()).expect_err("another amount");
    let text = failure.to_string();
    assert!(
        text.starts_with("test.scn:6: `buy alice 15 COFFEE @ 27.00 as b1`"),
        "{text}"
    );
    assert!(
        text.contains("    accepted b1\n  - alice -> alice.held: 405.01\n  + alice -> alice.held: 405.00"),
        "{text}"
    );
}

#[test]
fn a_missing_expectation_is_a_mismatch_and_blessing_writes_it() {
    let bare: String = HOLDS
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(matches!(
        run(&scenario(&bare), &mut Clerk::default()),
        Err(Failure::Mismatch { line: 6, .. })
    ));
    let outcomes = outcomes(&scenario(&bare), &mut Clerk::default()).expect("it runs");
    assert_eq!(scenario(&bare).blessed(&outcomes), HOLDS);
}

#[test]
fn a_scenario_may_change_its_genesis() {
    let text = "# A venue in dollars.\ngenesis orders=2 currencies=USD\n    opened journal=5851000000000000000000000000002a \
                rules=2 currencies=USD\n";
    run(&scenario(text), &mut Clerk::default()).unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn a_bad_file_or_line_names_where() {
    for (text, line) in [
        ("buy", 1),
        ("# Rule.\n    accepted b1\n", 2),
        ("# Rule.\n\n  buy x\n", 3),
    ] {
        assert_eq!(Scenario::parse("test.scn", text).expect_err(text).line, line);
    }
    let failure = run(
        &scenario("# Rule.\nbuy nobody 5 COFFEE @ 1.00\n"),
        &mut Clerk::default(),
    )
    .expect_err("nobody");
    assert!(
        failure
            .to_string()
            .starts_with("test.scn:2: line 2, column 5: expected an account"),
        "{failure}"
    );
}
