//! Random bytes, from a fixed seed, into the session machine.

use super::tests::{Bench, START};
use crate::frames::each;
use xq_protocol::{COMMANDS, Role, TerminateReason};

#[test]
fn an_impossible_length_is_not_waited_for() {
    let mut bench = Bench::up(Role::Trader);
    let used = bench
        .session
        .received(START, &[0xFF, 0xFF], &bench.register, &mut bench.out);
    assert_eq!(
        (used, bench.bye().map(|b| b.0)),
        (0, Some(TerminateReason::Malformed))
    );
}

/// Bytes of any kind never make it panic, and never get anything but whole valid commands into the ring.
#[test]
fn any_bytes_are_survived() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = seed;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    };
    let (mut entered, mut closed) = (0, 0);
    for round in 0..20_000 {
        let mut bench = if round % 4 == 0 {
            Bench::new(Role::Operator)
        } else {
            Bench::up(Role::Operator)
        };
        let mut words: Vec<u64> = Vec::new();
        for _ in 0..random() % 4 {
            let (template, .., length) = COMMANDS[usize::try_from(random()).unwrap_or(0) % COMMANDS.len()];
            let block = u64::try_from(length).expect("short");
            let header = block | u64::from(template) << 16 | 1 << 32 | 1 << 48;
            words.extend([header, 0, 0, 0, random() % 9]);
            words.extend((0..length / 8).map(|_| if random() % 3 == 0 { random() } else { 0 }));
        }
        words.extend((0..random() % 8).map(|_| random()));
        if random() % 2 == 0 && !words.is_empty() {
            let at = usize::try_from(random()).unwrap_or(0) % words.len();
            words[at] ^= 1 << (random() % 64);
        }
        let bytes = zerocopy::IntoBytes::as_bytes(&words[..]);
        let cut = usize::try_from(random()).unwrap_or(0) % (bytes.len() + 1);
        let used = bench
            .session
            .received(START, &bytes[..cut], &bench.register, &mut bench.out);
        assert!(used <= cut && used.is_multiple_of(8));
        for frame in each(bench.out.commands.bytes()) {
            frame.command().expect("only commands enter");
            entered += 1;
        }
        closed += usize::from(bench.session.is_closed());
    }
    assert!(
        entered > 1_000 && closed > 1_000,
        "{entered} entered, {closed} closed: both were reached"
    );
}
