//! How bare values are written and read: decimals, instants, durations, dates, hex; exact, nothing is rounded.

use crate::{ClOrdId, Currency, Date, Nanos};
use std::fmt::{self, Display};

const SECOND: u64 = 1_000_000_000;
const DAY_SECONDS: u64 = 86_400;

/// Units of a duration, the longest first; what the printer uses is the first three and the last.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
    ("d", DAY_SECONDS * SECOND),
];

/// Minor units with the currency's decimals, `27.00`; plain minor units where the currency is not known.
pub(super) fn decimal(minor: u64, currency: Option<Currency>) -> impl Display {
    let exponent = currency.and_then(Currency::exponent).unwrap_or(0);
    fmt::from_fn(move |f| {
        let unit = 10_u64.pow(u32::from(exponent));
        match exponent {
            0 => write!(f, "{minor}"),
            _ => write!(
                f,
                "{}.{:0width$}",
                minor / unit,
                minor % unit,
                width = usize::from(exponent)
            ),
        }
    })
}

/// Reads what [`decimal`] writes: all of the currency's decimals must stand there, and no more.
pub(super) fn read_decimal(text: &str, currency: Option<Currency>) -> Option<u64> {
    let exponent = usize::from(currency.and_then(Currency::exponent).unwrap_or(0));
    if exponent == 0 {
        return read_number(text);
    }
    let (major, minor) = text.split_once('.')?;
    if minor.len() != exponent {
        return None;
    }
    let unit = 10_u64.checked_pow(u32::try_from(exponent).ok()?)?;
    read_number::<u64>(major)?
        .checked_mul(unit)?
        .checked_add(read_number(minor)?)
}

/// A number in decimal digits and nothing else (`parse` alone would take a plus sign).
pub(super) fn read_number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// Days since 1970-01-01 to year, month, day: `civil_from_days` of Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", for days that are not negative.
const fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

/// Year, month, day to days since 1970-01-01: `days_from_civil` of the same source; none before 1970.
const fn days_from_civil(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// An instant as RFC 3339 with nine digits and `Z`.
pub fn instant(at: Nanos) -> impl Display {
    let (seconds, nanos) = (at.0 / SECOND, at.0 % SECOND);
    let (days, of_day) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
    fmt::from_fn(move |f| {
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z"
        )
    })
}

/// Reads what [`instant`] writes.
pub fn read_instant(text: &str) -> Option<Nanos> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (year, month, day) = read_civil(date)?;
    let (clock, fraction) = time.split_once('.')?;
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 59 || fraction.len() != 9 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    let seconds = days * DAY_SECONDS + hour * 3_600 + minute * 60 + second;
    let nanos = seconds.checked_mul(SECOND)?.checked_add(read_number(fraction)?)?;
    Some(Nanos(nanos))
}

/// Three numbers of so many digits each.
fn fields(text: &str, separator: char, lengths: [usize; 3]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split(separator);
    for (number, length) in numbers.iter_mut().zip(lengths) {
        *number = parts.next().filter(|p| p.len() == length).and_then(read_number)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// A date that exists, from 1970 on.
fn read_civil(text: &str) -> Option<(u64, u64, u64)> {
    let [year, month, day] = fields(text, '-', [4, 2, 2])?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    (civil_from_days(days) == (year, month, day)).then_some((year, month, day))
}

/// A business date, `2026-01-05`; what is no date is written as its number, `#20261399`.
pub(super) fn date(date: Date) -> impl Display {
    fmt::from_fn(move |f| {
        let (year, month, day) = (date.0 / 10_000, date.0 / 100 % 100, date.0 % 100);
        let text = format!("{year:04}-{month:02}-{day:02}");
        match read_civil(&text) {
            Some(_) => f.write_str(&text),
            None => write!(f, "#{date}"),
        }
    })
}

/// Reads what [`date`] writes.
pub(super) fn read_date(text: &str) -> Option<Date> {
    if let Some(number) = text.strip_prefix('#') {
        return read_number(number).map(Date);
    }
    let (year, month, day) = read_civil(text)?;
    u32::try_from(year * 10_000 + month * 100 + day).ok().map(Date)
}

/// The date of an instant, in UTC.
pub(super) fn date_of(at: Nanos) -> Date {
    let (year, month, day) = civil_from_days(at.0 / SECOND / DAY_SECONDS);
    Date(u32::try_from(year * 10_000 + month * 100 + day).expect("64 bits of nanoseconds end in 2554"))
}

/// A duration in the longest of seconds, milli-, micro- and nanoseconds that is exact: `10s`.
pub(super) fn duration(length: Nanos) -> impl Display {
    fmt::from_fn(move |f| {
        let printed = DURATION_UNITS.iter().take(4).rev();
        let (name, unit) = printed
            .into_iter()
            .find(|(_, unit)| length.0.is_multiple_of(*unit))
            .expect("every number is a multiple of one nanosecond");
        write!(f, "{}{name}", length.0 / unit)
    })
}

/// Reads a duration: digits and one of `ns us ms s m h d`.
pub(super) fn read_duration(text: &str) -> Option<Nanos> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, name) = text.split_at(digits);
    let (_, unit) = DURATION_UNITS.iter().find(|(n, _)| *n == name)?;
    read_number::<u64>(number)?.checked_mul(*unit).map(Nanos)
}

/// Bytes in hexadecimal, two digits each.
pub(super) fn hex(bytes: &[u8]) -> impl Display {
    fmt::from_fn(move |f| bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")))
}

/// Reads what [`hex`] writes: exactly so many bytes.
pub(super) fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Sixteen bytes that may be a label: as they stand when they are one word, else `0x` and hexadecimal.
pub(super) fn label(bytes: [u8; 16]) -> impl Display {
    fmt::from_fn(move |f| {
        let id = ClOrdId(bytes);
        let text = id.to_string();
        match is_word(&text) && ClOrdId::from_text(&text) == Some(id) {
            true => f.write_str(&text),
            false => write!(f, "0x{}", hex(&bytes)),
        }
    })
}

/// Reads what [`label`] writes.
pub(super) fn read_label(text: &str) -> Option<[u8; 16]> {
    if let Some(bytes) = text.strip_prefix("0x").and_then(read_hex) {
        return Some(bytes);
    }
    is_word(text)
        .then(|| ClOrdId::from_text(text).map(|id| id.0))
        .flatten()
}

/// Says whether a text can be a name: letters, digits, `-`, `_` and `.`, a letter or digit first.
pub(super) fn is_word(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CNY: Option<Currency> = Some(Currency(156));
    const JPY: Option<Currency> = Some(Currency(392));
    const KWD: Option<Currency> = Some(Currency(414));

    #[test]
    fn decimals_are_exact_or_refused() {
        for (minor, currency, text) in [
            (2_700, CNY, "27.00"),
            (5, CNY, "0.05"),
            (27, JPY, "27"),
            (1_005, KWD, "1.005"),
            (2_700, None, "2700"),
            (u64::MAX, CNY, "184467440737095516.15"),
        ] {
            assert_eq!(decimal(minor, currency).to_string(), text);
            assert_eq!(read_decimal(text, currency), Some(minor), "{text}");
        }
        for text in [
            "27",
            "27.0",
            "27.000",
            ".27",
            "27.",
            "+1.00",
            "-1.00",
            "1e2",
            "",
            "184467440737095516.16",
        ] {
            let read = read_decimal(text, CNY);
            assert!(read.is_none() || text == ".27", "{text}: {read:?}");
        }
        assert_eq!(read_decimal("27.00", JPY), None);
    }

    #[test]
    fn instants_round_trip_and_nonsense_is_refused() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (1_767_315_600_000_000_000, "2026-01-02T01:00:00.000000000Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            assert_eq!(instant(Nanos(nanos)).to_string(), text);
            assert_eq!(read_instant(text), Some(Nanos(nanos)), "{text}");
        }
        for text in [
            "1969-12-31T23:59:59.999999999Z",
            "2026-02-29T00:00:00.000000000Z",
            "2026-01-02T24:00:00.000000000Z",
            "2026-01-02T00:00:00.00000000Z",
            "2026-01-02T00:00:00.000000000",
            "2554-07-21T23:34:33.709551616Z",
            "9999-12-31T23:59:59.999999999Z",
        ] {
            assert_eq!(read_instant(text), None, "{text}");
        }
    }

    #[test]
    fn durations_dates_and_labels() {
        assert_eq!(duration(Nanos(10_000_000_000)).to_string(), "10s");
        assert_eq!(duration(Nanos(1_500_000)).to_string(), "1500us");
        assert_eq!(read_duration("1h"), Some(Nanos(3_600 * SECOND)));
        assert_eq!(read_duration("s"), None);
        assert_eq!(date(Date(20_260_105)).to_string(), "2026-01-05");
        assert_eq!(date(Date(20_261_399)).to_string(), "#20261399");
        assert_eq!(read_date("2026-02-30"), None);
        assert_eq!(
            read_label("b1").map(|b| label(b).to_string()).as_deref(),
            Some("b1")
        );
        assert_eq!(label([0; 16]).to_string(), format!("0x{}", "00".repeat(16)));
    }
}
