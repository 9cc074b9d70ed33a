//! What is printed is parsed back to the same bytes, for every command; every event prints; bad lines are named.

mod support;

use support::{Random, all_messages, frame_of, random_body};
use xq_protocol::text::{Names, parse_command, print_command, print_event};
use xq_protocol::*;

/// Names for about half of the small numbers that random bodies use.
fn some_names() -> Names {
    let mut names = Names::new();
    for id in (0..40).step_by(2) {
        names.name_participant(&format!("p{id}"), ParticipantId(id));
        names.name_account(&format!("p{id}"), AccountId(id));
        let currency = [Currency(156), Currency(392), Currency(999)][usize::try_from(id).expect("small") % 3];
        names.name_series(&format!("S{id}"), SeriesId(id), currency);
    }
    let currencies = "genesis currencies=CNY,USD";
    parse_command(currencies, &mut names).expect("a genesis line");
    names
}

#[test]
fn every_command_is_parsed_back_from_its_line() {
    for seed in 0..600 {
        for row in COMMANDS {
            let mut random = Random(seed ^ u64::from(row.0) << 32);
            let mut frame = frame_of(row.0, &random_body(&mut random, row));
            if matches!(row.0, Tick::TEMPLATE) {
                frame.header_mut().time = Nanos(random.next());
            }
            if matches!(row.0, SessionUp::TEMPLATE | SessionDown::TEMPLATE) {
                frame.header_mut().session = SessionId(u32::try_from(random.below(600)).expect("small"));
            }
            for mut names in [Names::new(), some_names()] {
                let line = print_command(&frame.frame().expect("a frame"), &names);
                let parsed =
                    parse_command(&line, &mut names).unwrap_or_else(|e| panic!("seed {seed}: {line}: {e}"));
                assert_eq!(parsed.frame.bytes(), frame.bytes(), "seed {seed}: {line}");
            }
        }
    }
}

#[test]
fn a_sequenced_command_names_its_speaker_when_it_is_not_the_usual_one() {
    let mut names = some_names();
    for (line, printed) in [
        ("phase S2 halt by p4/3", "phase S2 halt by p4/3"),
        ("mass-cancel * by p6", "mass-cancel * by p6"),
        ("roll-day 2026-01-05 by house", "roll-day 2026-01-05 by house"),
    ] {
        let parsed = parse_command(line, &mut names).expect("a line");
        let mut frame = parsed.frame;
        frame.header_mut().seq = Seq(7);
        frame.header_mut().session = parsed.speaker.expect("it says who");
        assert_eq!(print_command(&frame.frame().expect("a frame"), &names), printed);
    }
}

#[test]
fn every_event_prints_without_the_names_and_with_them() {
    for seed in 0..100 {
        for row in EVENTS {
            let mut random = Random(seed ^ u64::from(row.0) << 32);
            let frame = frame_of(row.0, &random_body(&mut random, row));
            for mut names in [Names::new(), some_names()] {
                let view = frame.frame().expect("a frame");
                let text = print_event(&view, &names);
                assert!(!text.is_empty() && !text.contains("no event"), "{text}");
                assert!(text.lines().all(|line| !line.is_empty()), "{text}");
                names.learn(&view);
            }
        }
    }
    assert!(all_messages().count() > EVENTS.len());
}

#[test]
fn a_bad_line_names_the_column_the_culprit_and_what_was_expected() {
    let mut names = some_names();
    for (line, column, culprit, expected) in [
        ("", 1, "", "a command"),
        ("bye alice", 1, "bye", "a command"),
        ("buy nobody 15 S0 @ 27.00", 5, "nobody", "an account"),
        ("buy p2 15.5 S0 @ 27.00", 8, "15.5", "a quantity"),
        ("buy p2 4294967296 S0 @ 27.00", 8, "4294967296", "a quantity"),
        ("buy p2 15 TEA @ 27.00", 11, "TEA", "a series"),
        (
            "buy p2 15 S0 @ 27.0",
            16,
            "27.0",
            "an amount of CNY with 2 decimals",
        ),
        ("buy p2 15 S0 @ 27", 16, "27", "an amount of CNY with 2 decimals"),
        (
            "buy p2 15 S10 @ 27.00",
            17,
            "27.00",
            "an amount of JPY with 0 decimals",
        ),
        ("buy p2 15 S0", 13, "", "`@` and a price"),
        ("buy p2 15 S0 @", 15, "", "something after `@`"),
        ("buy p2 15 S0 @ 1.00 soon", 21, "soon", "the end of the line"),
        ("buy p2 15 S0 @ 1.00 ioc fok", 25, "fok", "the end of the line"),
        (
            "buy p2 15 S0 @ 1.00 as seventeen-letters",
            24,
            "seventeen-letters",
            "a label",
        ),
        ("phase S2 open", 10, "open", "closed, continuous or halt"),
        ("session p2 sideways", 12, "sideways", "up or down"),
        ("approve p9", 9, "p9", "a known proposal"),
        ("deposit p2 5.00 XXX", 17, "XXX", "a currency"),
        (
            "at 2026-02-29T00:00:00.000000000Z",
            4,
            "2026-02-29T00:00:00.000000000Z",
            "an instant",
        ),
        ("fees 0 taker=1%", 14, "1%", "parts per million"),
    ] {
        let error = parse_command(line, &mut names).expect_err(line);
        assert_eq!(
            (error.column, error.culprit.as_str()),
            (column, culprit),
            "{line}: {error}"
        );
        assert!(error.expected.contains(expected), "{line}: {error}");
    }
}
