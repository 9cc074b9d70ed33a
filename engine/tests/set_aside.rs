//! A command that is set aside: refused, its number used, nothing else of it done.

mod support;

use support::*;
use xq_protocol::*;

#[test]
fn a_command_that_is_set_aside_is_refused_and_its_number_is_used() {
    let mut venue = Venue::trading(2);
    let order = limit(TRADER, Side::Buy, 3, 5_000, "poison");
    let (session, before) = (
        SessionId::of(ParticipantId(TRADER), 0).expect("small"),
        venue.exchange.balances(),
    );
    let number = venue.req_seqs.entry(session).or_default();
    *number += 1;
    let number = ReqSeq(*number);
    let header = Header {
        session,
        req_seq: number,
        time: venue.now,
        ..Header::default()
    };
    let frame = CommandFrame::new(header, &order);
    let say = |venue: &mut Venue, aside: bool| -> Vec<EventFrame> {
        venue.seq = venue.seq.next();
        let frame = frame.frame().expect("a frame");
        match aside {
            true => venue.exchange.set_aside(venue.seq, &frame, &mut venue.events),
            false => venue.exchange.apply(venue.seq, &frame, &mut venue.events),
        }
        venue.events.frames().to_vec()
    };
    let told = say(&mut venue, true);
    let original = venue.seq;
    let [told] = told.as_slice() else {
        panic!("one event: {told:?}");
    };
    let Ok(Event::Rejected(rejected)) = told.event() else {
        panic!("{told:?}");
    };
    assert_eq!(rejected.code, RejectReason::Quarantined.code());
    assert_eq!(rejected.template.0, u32::from(PlaceOrder::TEMPLATE));
    assert_eq!((told.header().req_seq, told.header().seq), (number, original));
    assert_eq!(venue.exchange.balances(), before);
    // Sent again, it is what it was; set aside again, too.
    for aside in [false, true] {
        let told = say(&mut venue, aside);
        assert!(
            matches!(told[0].event(), Ok(Event::RequestRepeated(repeated)) if repeated.original == original),
            "{told:?}"
        );
    }
    venue.exchange.check();
}
