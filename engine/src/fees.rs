//! Fees that do not depend on how fills split: what is due on a cumulative amount, less what has been charged.

use xq_protocol::{Amount, Fee, Ppm};

/// Parts of a part per million.
const MILLION: u64 = 1_000_000;
/// Highest rate: all of the amount.
pub(crate) const PPM_MAX: i32 = 1_000_000;
/// Below this, amount × rate fits 64 bits.
const NARROW: u64 = u64::MAX >> 20;

/// `floor(amount × rate / 10^6)`; the rate is at most a million, so the result is at most the amount.
#[inline]
fn share_floor(amount: Amount, rate: u32) -> u64 {
    if amount.0 <= NARROW {
        return amount.0 * u64::from(rate) / MILLION;
    }
    let wide = u128::from(amount.0) * u128::from(rate) / u128::from(MILLION);
    u64::try_from(wide).expect("a share of at most the whole fits")
}

/// What is due on a cumulative amount: a fee, or a rebate when the rate is negative, rounded toward zero.
#[inline]
pub(crate) fn due(cumulative: Amount, rate: Ppm) -> Fee {
    let share = share_floor(cumulative, rate.0.unsigned_abs());
    let share = i64::try_from(share).expect("amounts of an asset fit 63 bits");
    Fee(if rate.0 < 0 { -share } else { share })
}

/// The fee of one more fill: due after it, less due before it.
#[inline(always)]
pub(crate) fn of_fill(before: Amount, after: Amount, rate: Ppm) -> Fee {
    assert!(before <= after);
    let due_before = match before {
        Amount::ZERO => Fee::ZERO,
        _ => due(before, rate),
    };
    Fee(due(after, rate).0 - due_before.0)
}

/// What must be held for fees when `open` more may trade after `before`: nothing for a rebate.
#[inline(always)]
pub(crate) fn to_hold(before: Amount, open: Amount, rate: Ppm) -> Amount {
    if rate.0 <= 0 {
        return Amount::ZERO;
    }
    let after = before
        .checked_add(open)
        .expect("an order's amount fits, as admission checked");
    Amount(of_fill(before, after, rate).0.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_fills_changes_nothing() {
        let rate = Ppm(1_234);
        let mut charged = 0;
        let mut cumulative = Amount::ZERO;
        for amount in [1, 7, 999, 12_345, 1, 1, 800_001] {
            let after = Amount(cumulative.0 + amount);
            charged += of_fill(cumulative, after, rate).0;
            cumulative = after;
        }
        assert_eq!(charged, due(cumulative, rate).0);
        assert_eq!(charged, 813_355 * 1_234 / 1_000_000);
    }

    #[test]
    fn narrow_and_wide_agree_and_rebates_mirror_fees() {
        for amount in [0, 1, NARROW - 1, NARROW, NARROW + 1, u64::MAX / 2] {
            let wide = u128::from(amount) * 999_999 / 1_000_000;
            assert_eq!(u128::from(share_floor(Amount(amount), 999_999)), wide);
            assert_eq!(due(Amount(amount), Ppm(-5)).0, -due(Amount(amount), Ppm(5)).0);
        }
        assert_eq!(due(Amount(u64::MAX / 2), Ppm(PPM_MAX)).0, i64::MAX);
    }
}
