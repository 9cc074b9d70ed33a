//! `ec1000`: `ec1` over 1,000 series of very unequal weight, 1,000,000 resting orders, 100,000 accounts.
//!
//! What the description leaves open is settled so:
//! - Weights are Pareto(0.001, 1.5): scale / U^(2/3), of which the scale cancels out; U is one less a 32-bit fraction
//!   of the generator of seed 1234, so never zero, and the power is an integer cube root.
//! - The generator of seed 42 first draws each series' base price, then prefills series by series; each command
//!   then draws its series by weight.
//! - A series' share of the resting orders is its share of the weight, at least two orders.

use super::draw::SplitMix64;
use super::ec::Session;
use super::tape::{Flow, Shape, Tape};

const SERIES: u32 = 1_000;
const RESTING: u64 = 1_000_000;

/// The flow with so many commands.
pub(super) fn ec1000(name: &'static str, commands: usize) -> Flow {
    let mut tape = Tape::new(
        Shape {
            name,
            series: SERIES,
            accounts: 100_000,
        },
        42,
    );
    let weights = weights();
    let total: u64 = weights.iter().sum();
    let bounds: Vec<u64> = weights
        .iter()
        .scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect();
    let mut sessions: Vec<Session> = Vec::new();
    for (series, weight) in (0..SERIES).zip(&weights) {
        let resting = u32::try_from(RESTING * weight / total).expect("a share of a million");
        sessions.push(Session::new(series, base_price(&mut tape.draw), resting));
    }
    sessions.iter_mut().for_each(|session| session.prefill(&mut tape));
    tape.end_prefill();
    while tape.len() < commands {
        let product = u128::from(tape.draw.next_u64()) * u128::from(total);
        let point = u64::try_from(product >> 64).expect("below the total");
        let series = bounds.partition_point(|bound| *bound <= point);
        sessions[series].step(&mut tape);
    }
    tape.finish()
}

/// The weight of each series, in units of 2^−(64/3) of the scale: `U^(−2/3)` as `cbrt(2^126 / u^2)`.
fn weights() -> Vec<u64> {
    let mut draw = SplitMix64::new(1_234);
    let weight = |_| {
        let uniform = (1_u128 << 32) - u128::from(draw.fraction());
        u64::try_from(cube_root((1 << 126) / (uniform * uniform))).expect("at most 2^42")
    };
    (0..SERIES).map(weight).collect()
}

/// The largest number whose cube is not above.
fn cube_root(of: u128) -> u128 {
    let mut root = 0;
    for bit in (0..43).rev() {
        let tried: u128 = root | 1 << bit;
        if tried * tried * tried <= of {
            root = tried;
        }
    }
    root
}

/// A base price: `10^(3.3 + 1.5·U + 1.5·U)`, 1,995 to 1,995,262 ticks.
fn base_price(draw: &mut SplitMix64) -> u32 {
    // The sum of two 32-bit fractions, times 1.5, is the exponent's part above 3.3, in units of 2^−33.
    let exponent = 3 * (u64::from(draw.fraction()) + u64::from(draw.fraction()));
    // 10^3.3 in units of 2^−32, then ten to each whole and each binary place of the exponent.
    let mut price: u128 = 8_569_586_389_732;
    price *= 10_u128.pow(u32::try_from(exponent >> 33).expect("at most 2"));
    // 10 in units of 2^−60; the root of each step is the next binary place.
    let mut factor: u128 = 10 << 60;
    for place in (0..33).rev() {
        factor = (factor << 60).isqrt();
        if exponent >> place & 1 == 1 {
            price = (price * factor) >> 60;
        }
    }
    u32::try_from(price >> 32).expect("at most 10^6.3 ticks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_is_ten_to_3_point_3() {
        // (10^3.3)^10 = 10^33, checked by squaring in units of 2^−32 with room to spare.
        let base: u128 = 8_569_586_389_732;
        let squared = (base * base) >> 32;
        let fifth = (((squared * squared) >> 32) * base) >> 32;
        // 10^16.5 = 31,622,776,601,683,793.3
        assert!(
            (fifth >> 32).abs_diff(31_622_776_601_683_793) < 100_000,
            "{}",
            fifth >> 32
        );
    }

    #[test]
    fn weights_are_unequal_as_stated() {
        let weights = weights();
        let (total, most) = (
            weights.iter().sum::<u64>(),
            weights.iter().max().expect("there are some"),
        );
        let per_mille = most * 1_000 / total;
        assert_eq!(per_mille, 49, "the heaviest has {per_mille} of 1,000");
        assert_eq!(weights.len(), 1_000);
    }
}
