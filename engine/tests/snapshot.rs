//! Snapshots: what is restored goes on exactly as what was saved; whatever else is in a section is refused or harmless.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use support::doors::{Sections, restored, saved};
use support::*;
use xq_engine::{Events, Exchange, Restoring, SECTION_BYTES_MAX, SectionKind};
use xq_protocol::*;

const TRADERS: u32 = 5;

/// Draws a command of a trader: orders of every time in force, cancels, replacements, mass cancels, and time.
fn draw(draws: &mut Draws, number: u64) -> (u32, CommandFrame) {
    let account = TRADER + u32::try_from(draws.below(TRADERS.into())).expect("small");
    let side = [Side::Buy, Side::Sell][usize::try_from(draws.below(2)).expect("small")];
    let qty = 1 + u32::try_from(draws.below(30)).expect("small");
    let order = limit(
        account,
        side,
        qty,
        5_000 + draws.below(400),
        &format!("c{number}"),
    );
    let older = ClOrdId::from_text(&format!("c{}", number - draws.below(40).min(number))).expect("short");
    let (header, account) = (Header::default(), AccountId(account));
    let frame = match draws.below(20) {
        0..10 => CommandFrame::new(header, &order),
        10 => CommandFrame::new(
            header,
            &PlaceOrder {
                tif: TimeInForce::Gtd,
                expire_at: Nanos(1_700_000_000_000_000_000 + draws.below(10_000_000)),
                ..order
            },
        ),
        11..17 => CommandFrame::new(
            header,
            &CancelOrder {
                account,
                reduce_qty: Qty(u32::try_from(draws.below(4)).expect("small")),
                order: OrderId::ZERO,
                cl_ord_id: older,
            },
        ),
        17 => CommandFrame::new(
            header,
            &MassCancel {
                account,
                series: SeriesId::ZERO,
                sides: Sides::Sells,
                reserved: Reserved::ZERO,
            },
        ),
        _ => return (0, CommandFrame::new(header, &Tick {})),
    };
    (account.0, frame)
}

/// Says drawn commands; all that followed.
fn play(venue: &mut Venue, draws: &mut Draws, numbers: std::ops::Range<u64>) -> Vec<EventFrame> {
    let mut told = Vec::new();
    for number in numbers {
        let (trader, mut frame) = draw(draws, number);
        venue.now = Nanos(venue.now.0 + 1_000);
        frame.header_mut().time = venue.now;
        if trader != 0 {
            let session = SessionId::of(ParticipantId(trader), 0).expect("small");
            let req_seq = venue.req_seqs.entry(session).or_default();
            *req_seq += 1;
            frame.header_mut().session = session;
            frame.header_mut().req_seq = ReqSeq(*req_seq);
        }
        told.extend_from_slice(venue.apply(&frame));
    }
    told
}

/// A venue after a random flow.
fn traded(seed: u64, commands: u64) -> (Venue, Draws) {
    let (mut venue, mut draws) = (Venue::trading(TRADERS), Draws(seed));
    play(&mut venue, &mut draws, 0..commands);
    venue.exchange.check();
    (venue, draws)
}

#[test]
fn what_is_restored_goes_on_as_what_was_saved() {
    for seed in 1..=12 {
        let (mut venue, mut draws) = traded(seed, 3_000);
        let sections = saved(&venue.exchange);
        let exchange = restored(&sections).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert!(
            saved(&exchange) == sections,
            "seed {seed}: saved again, the same bytes"
        );
        let mut again = Venue {
            exchange,
            events: Events::new(),
            req_seqs: venue.req_seqs.clone(),
            ..Venue::new()
        };
        (again.seq, again.now) = (venue.seq, venue.now);
        let (state, there) = (draws.0, play(&mut venue, &mut draws, 3_000..6_000));
        let here = play(&mut again, &mut Draws(state), 3_000..6_000);
        if let Some(at) = there
            .iter()
            .zip(&here)
            .position(|(there, here)| there.bytes() != here.bytes())
        {
            let (there, here) = (there[at].event(), here[at].event());
            panic!("seed {seed}, event {at}: {there:?} is {here:?} after the restore");
        }
        assert_eq!(there.len(), here.len(), "seed {seed}");
        let trades = there
            .iter()
            .filter(|event| matches!(event.event(), Ok(Event::Traded(_))));
        assert!(trades.count() > 100, "seed {seed}: there was trade");
        assert!(
            saved(&venue.exchange) == saved(&again.exchange),
            "seed {seed}: the same state"
        );
        again.exchange.check();
    }
}

#[test]
fn nothing_is_allocated_after_a_restore_that_was_not_before() {
    let (venue, mut draws) = traded(3, 3_000);
    let mut again = Venue {
        exchange: restored(&saved(&venue.exchange)).expect("a state"),
        req_seqs: venue.req_seqs.clone(),
        ..Venue::new()
    };
    (again.seq, again.now) = (venue.seq, venue.now);
    let frames: Vec<CommandFrame> = (3_000..4_000).map(|number| draw(&mut draws, number).1).collect();
    // Orders of nobody's session are looked at and refused; time passes and sweeps.
    let count = allocation_counter::measure(|| {
        for frame in &frames {
            again.apply(frame);
        }
        for _ in 0..100 {
            again.house(&Tick {});
        }
    });
    assert_eq!(count.count_total, 0, "{count:?}");
    let fills = |exchange: &Exchange| exchange.fills().map(|fill| fill.capacity);
    assert_eq!(fills(&venue.exchange), fills(&again.exchange));
}

/// What a damaged section is good for: nothing, or a state in which the laws hold.
fn judge(sections: &Sections, what: &str) -> bool {
    let tried = catch_unwind(AssertUnwindSafe(|| restored(sections)));
    match tried.unwrap_or_else(|_| panic!("{what}: panicked")) {
        Ok(exchange) => {
            exchange.check();
            false
        }
        Err(_) => true,
    }
}

#[test]
fn a_flipped_byte_is_refused_or_breaks_no_law() {
    let (venue, _) = traded(7, 40);
    let mut sections = saved(&venue.exchange);
    let (mut refused, mut all) = (0, 0);
    for section in 0..sections.len() {
        // Windows and schedules are long and all alike.
        let step = 1 + sections[section].1.len() / 500;
        for at in (0..sections[section].1.len()).step_by(step) {
            for bits in [1_u8, 0x80] {
                sections[section].1[at] ^= bits;
                let what = format!("{:?} byte {at} ^ {bits:#x}", sections[section].0);
                refused += usize::from(judge(&sections, &what));
                all += 1;
                sections[section].1[at] ^= bits;
            }
        }
    }
    assert!(refused > all / 3, "{refused} of {all} were refused");
}

#[test]
fn sections_that_are_missing_doubled_cut_or_out_of_order_are_refused() {
    let (venue, _) = traded(9, 500);
    let whole = saved(&venue.exchange);
    assert!(restored(&whole).is_ok() && restored(&Vec::new()).is_err());
    for section in 0..whole.len() {
        let kind = whole[section].0;
        let mut missing = whole.clone();
        missing.remove(section);
        assert!(judge(&missing, "missing"), "{kind:?} is missing");
        let mut doubled = whole.clone();
        doubled.insert(section, whole[section].clone());
        assert!(judge(&doubled, "doubled"), "{kind:?} is there twice");
        let mut cut = whole.clone();
        cut[section].1.pop();
        assert!(judge(&cut, "cut"), "{kind:?} is cut");
        if section + 1 < whole.len() {
            let mut swapped = whole.clone();
            swapped.swap(section, section + 1);
            assert!(judge(&swapped, "swapped"), "{kind:?} comes after the next");
        }
    }
    let mut long = Restoring::new();
    assert!(
        long.section(SectionKind::Venue, &vec![0; SECTION_BYTES_MAX + 1])
            .is_err()
    );
    assert!(
        Restoring::new()
            .section(SectionKind::Orders, &whole[0].1)
            .is_err()
    );
}

#[test]
fn how_long_the_sections_will_be_is_known_before() {
    let (venue, _) = traded(5, 3_000);
    let bytes: usize = saved(&venue.exchange).iter().map(|(_, bytes)| bytes.len()).sum();
    let expected = usize::try_from(venue.exchange.snapshot_bytes()).expect("small");
    assert!(
        expected >= bytes && expected < bytes + bytes / 8 + 4_096,
        "{expected} were expected, {bytes} came"
    );
    assert_eq!(Exchange::new().snapshot_bytes(), 0);
}

#[test]
fn before_genesis_there_is_nothing_to_save() {
    assert!(saved(&Exchange::new()).is_empty());
    assert!(Restoring::new().finish().is_err());
    for (number, kind) in (1..).zip(SectionKind::ALL) {
        assert_eq!(
            (kind.number(), SectionKind::from_number(number)),
            (number, Some(kind))
        );
    }
    assert_eq!(SectionKind::from_number(0), None);
    assert_eq!(SectionKind::from_number(20), None);
}
