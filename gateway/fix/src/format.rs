//! Formats of values: which bytes a field of each type of the dictionary may hold; times and exact decimals.

use crate::wire::{digits, number};
use xq_protocol::Nanos;

/// How a field's value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Any text.
    #[default]
    Text,
    /// A whole number, of either sign.
    Whole,
    /// A whole number without sign.
    Count,
    /// A decimal number.
    Decimal,
    /// One character.
    Character,
    /// Y or N.
    Boolean,
    /// Values separated by spaces.
    Several,
    /// Date and time, UTC.
    Timestamp,
    /// A date.
    Date,
    /// A time of day.
    Time,
    /// A month.
    Month,
}

impl Format {
    /// The format of a type as dictionaries name it.
    pub fn named(name: &str) -> Format {
        match name {
            "INT" => Format::Whole,
            "LENGTH" | "SEQNUM" | "NUMINGROUP" | "DAYOFMONTH" => Format::Count,
            "FLOAT" | "PRICE" | "QTY" | "AMT" | "PERCENTAGE" | "PRICEOFFSET" => Format::Decimal,
            "CHAR" => Format::Character,
            "BOOLEAN" => Format::Boolean,
            "MULTIPLEVALUESTRING" | "MULTIPLESTRINGVALUE" | "MULTIPLECHARVALUE" => Format::Several,
            "UTCTIMESTAMP" => Format::Timestamp,
            "UTCDATE" | "UTCDATEONLY" | "LOCALMKTDATE" | "DATE" => Format::Date,
            "UTCTIMEONLY" => Format::Time,
            "MONTHYEAR" => Format::Month,
            _ => Format::Text,
        }
    }

    /// Whether a value is of this format.
    pub fn admits(self, value: &[u8]) -> bool {
        let unsigned = value.strip_prefix(b"-").unwrap_or(value);
        match self {
            Format::Text | Format::Several => true,
            Format::Whole => number(unsigned).is_some(),
            Format::Count => number(value).is_some(),
            Format::Decimal => is_decimal(unsigned),
            Format::Character => value.len() == 1,
            Format::Boolean => value == b"Y" || value == b"N",
            Format::Timestamp => timestamp(value).is_some(),
            Format::Date => date(value).is_some(),
            Format::Time => time_of_day(value).is_some(),
            Format::Month => value.len() >= 6 && number(&value[..6]).is_some(),
        }
    }
}

fn is_decimal(value: &[u8]) -> bool {
    let points = value.iter().filter(|byte| **byte == b'.').count();
    let figures = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    points <= 1 && figures > 0 && points + figures == value.len()
}

/// Why a decimal is no amount of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inexact {
    /// It is no decimal, or negative.
    NoNumber,
    /// It has more decimals than the unit, or is too large: it would have to be rounded.
    NotExact,
}

/// Reads a decimal as a count of units of 10 to the power of minus `decimals`.
///
/// # Errors
/// [`Inexact`]: nothing is ever rounded.
pub fn units(value: &[u8], decimals: u8) -> Result<u64, Inexact> {
    if !is_decimal(value) {
        return Err(Inexact::NoNumber);
    }
    let mut whole = value.split(|byte| *byte == b'.');
    let (whole, fraction) = (whole.next().unwrap_or_default(), whole.next().unwrap_or_default());
    let decimals = usize::from(decimals);
    if fraction.iter().skip(decimals).any(|byte| *byte != b'0') {
        return Err(Inexact::NotExact);
    }
    let kept = fraction.iter().chain(std::iter::repeat(&b'0')).take(decimals);
    whole
        .iter()
        .chain(kept)
        .try_fold(0_u64, |sum, byte| {
            sum.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
        })
        .ok_or(Inexact::NotExact)
}

/// Writes a count of units of 10 to the power of minus `decimals` as a decimal.
pub fn put_units(to: &mut Vec<u8>, units: u64, decimals: u8) {
    let scale = 10_u64.pow(u32::from(decimals));
    digits(to, units / scale);
    if decimals > 0 {
        to.push(b'.');
        put_padded(to, units % scale, decimals);
    }
}

/// Writes a number with leading zeros.
fn put_padded(to: &mut Vec<u8>, value: u64, places: u8) {
    let mut divisor = 10_u64.pow(u32::from(places));
    for _ in 0..places {
        divisor /= 10;
        to.push(b'0' + u8::try_from(value / divisor % 10).expect("a digit"));
    }
}

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Reads `YYYYMMDD-HH:MM:SS` with up to nine decimals.
pub fn timestamp(value: &[u8]) -> Option<Nanos> {
    let (day, time) = (value.get(..8)?, value.get(9..)?);
    if value.get(8) != Some(&b'-') {
        return None;
    }
    let (day, time) = (date(day)?, time_of_day(time)?);
    day.checked_mul(DAY)?.checked_add(time).map(Nanos)
}

/// Reads `HH:MM:SS` with up to nine decimals; nanoseconds of the day.
fn time_of_day(value: &[u8]) -> Option<u64> {
    let two = |from: usize| value.get(from..from + 2).and_then(number);
    let (hour, minute, second) = (two(0)?, two(3)?, two(6)?);
    let right = value.get(2) == Some(&b':') && value.get(5) == Some(&b':') && hour < 24 && minute < 60;
    // A leap second is taken, and counts as the first of the next minute.
    if !right || second > 60 {
        return None;
    }
    let fraction = match value.get(8..) {
        None | Some([]) => 0,
        Some([b'.', figures @ ..]) if (1..=9).contains(&figures.len()) => {
            number(figures)? * 10_u64.pow(9 - u32::try_from(figures.len()).ok()?)
        }
        Some(_) => return None,
    };
    Some((hour * 3_600 + minute * 60 + second) * SECOND + fraction)
}

/// Reads `YYYYMMDD`; days since 1970.
pub fn date(value: &[u8]) -> Option<u64> {
    if value.len() != 8 {
        return None;
    }
    let (year, month, day) = (number(&value[..4])?, number(&value[4..6])?, number(&value[6..])?);
    let right = (1970..=2554).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let days = right.then(|| days_of(year, month, day))?;
    (civil(days) == (year, month, day)).then_some(days)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that begin in March.
fn days_of(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, within) = (year / 400, year % 400);
    era * 146_097 + within * 365 + within / 4 - within / 100 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day of a day since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year + era * 400 + carry, month, day)
}

/// Writes an instant as `YYYYMMDD-HH:MM:SS.sss`.
pub fn put_timestamp(to: &mut Vec<u8>, at: Nanos) {
    put_date(to, at);
    let of_day = at.0 % DAY;
    let seconds = of_day / SECOND;
    to.push(b'-');
    put_padded(to, seconds / 3_600, 2);
    to.push(b':');
    put_padded(to, seconds / 60 % 60, 2);
    to.push(b':');
    put_padded(to, seconds % 60, 2);
    to.push(b'.');
    put_padded(to, of_day % SECOND / 1_000_000, 3);
}

/// Writes an instant's date as `YYYYMMDD`.
pub fn put_date(to: &mut Vec<u8>, at: Nanos) {
    let (year, month, day) = civil(at.0 / DAY);
    put_padded(to, year, 4);
    put_padded(to, month, 2);
    put_padded(to, day, 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        let cases = [
            ("27", 2, Ok(2_700)),
            ("27.5", 2, Ok(2_750)),
            ("27.50000", 2, Ok(2_750)),
            ("0.01", 2, Ok(1)),
            (".5", 2, Ok(50)),
            ("5.", 0, Ok(5)),
            ("002000.00", 0, Ok(2_000)),
            ("184467440737095516.15", 2, Ok(u64::MAX)),
            ("27.505", 2, Err(Inexact::NotExact)),
            ("1.5", 0, Err(Inexact::NotExact)),
            ("184467440737095516.16", 2, Err(Inexact::NotExact)),
            ("-1", 2, Err(Inexact::NoNumber)),
            ("+1", 2, Err(Inexact::NoNumber)),
            ("1e3", 2, Err(Inexact::NoNumber)),
            (".", 2, Err(Inexact::NoNumber)),
            ("1.2.3", 2, Err(Inexact::NoNumber)),
            ("", 2, Err(Inexact::NoNumber)),
        ];
        for (text, decimals, wanted) in cases {
            assert_eq!(units(text.as_bytes(), decimals), wanted, "{text}");
        }
        let written = |value, decimals| {
            let mut text = Vec::new();
            put_units(&mut text, value, decimals);
            String::from_utf8(text).expect("ASCII")
        };
        assert_eq!(
            (written(2_705, 2), written(5, 3), written(7, 0)),
            ("27.05".into(), "0.005".into(), "7".into())
        );
    }

    #[test]
    fn instants_are_read_as_they_are_written() {
        for seconds in [
            0,
            951_782_399,
            951_782_400,
            1_709_164_800,
            4_102_444_799,
            1_793_400_000,
        ] {
            let at = Nanos(seconds * SECOND + 123_000_000);
            let mut text = Vec::new();
            put_timestamp(&mut text, at);
            assert_eq!(timestamp(&text), Some(at), "{}", String::from_utf8_lossy(&text));
        }
        let mut text = Vec::new();
        put_timestamp(&mut text, Nanos(1_772_323_199 * SECOND));
        assert_eq!(text, b"20260228-23:59:59.000");
        for wrong in [
            "20260229-00:00:00",
            "20261301-00:00:00",
            "20260101-24:00:00",
            "20260101 00:00:00",
            "2026",
        ] {
            assert_eq!(timestamp(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
