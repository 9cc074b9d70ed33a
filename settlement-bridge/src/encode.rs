//! Rows as PostgreSQL's COPY takes and gives them in its binary format: written by hand, read back for comparison.
//!
//! # Cost
//! A column is its length and its bytes behind each other in one buffer; nothing is allocated but the buffer's growth.

use xq_protocol::{Date, Nanos};

/// What begins a binary copy: signature, no flags, no extension.
pub(crate) const COPY_HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What ends it.
pub(crate) const COPY_TRAILER: &[u8; 2] = &[0xFF, 0xFF];
/// PostgreSQL counts from 2000-01-01, microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A number that BIGINT, or the column it belongs in, cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beyond(pub &'static str);

/// A row that is being written.
pub(crate) struct Row<'a> {
    to: &'a mut Vec<u8>,
    beyond: bool,
}

impl<'a> Row<'a> {
    pub(crate) fn begin(to: &'a mut Vec<u8>, columns: usize) -> Row<'a> {
        let columns = i16::try_from(columns).expect("a table has a few dozen columns");
        to.extend_from_slice(&columns.to_be_bytes());
        Row { to, beyond: false }
    }

    /// Ends the row; `what` is named when a number in it could not be held.
    pub(crate) fn end(&mut self, what: &'static str) -> Result<(), Beyond> {
        if self.beyond { Err(Beyond(what)) } else { Ok(()) }
    }

    fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        let length = i32::try_from(bytes.len()).expect("a column is short");
        self.to.extend_from_slice(&length.to_be_bytes());
        self.to.extend_from_slice(bytes);
        self
    }

    pub(crate) fn null(&mut self) -> &mut Self {
        self.to.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    pub(crate) fn small(&mut self, value: i16) -> &mut Self {
        self.sized(&value.to_be_bytes())
    }

    /// SMALLINT of a number that fits it.
    pub(crate) fn small_of(&mut self, value: u16) -> &mut Self {
        match i16::try_from(value) {
            Ok(value) => self.small(value),
            Err(_) => self.cannot(),
        }
    }

    pub(crate) fn int(&mut self, value: i32) -> &mut Self {
        self.sized(&value.to_be_bytes())
    }

    pub(crate) fn signed(&mut self, value: i64) -> &mut Self {
        self.sized(&value.to_be_bytes())
    }

    pub(crate) fn big(&mut self, value: impl Into<u64>) -> &mut Self {
        match i64::try_from(value.into()) {
            Ok(value) => self.signed(value),
            Err(_) => self.cannot(),
        }
    }

    pub(crate) fn big_or_null(&mut self, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.big(value),
            None => self.null(),
        }
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.sized(value.as_bytes())
    }

    pub(crate) fn text_or_null(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.sized(value)
    }

    /// Bytes without the zeros at their end.
    pub(crate) fn padded(&mut self, value: &[u8]) -> &mut Self {
        let length = value
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        self.sized(&value[..length])
    }

    /// The instant as TIMESTAMPTZ, rounded down to the microsecond.
    pub(crate) fn instant(&mut self, at: Nanos) -> &mut Self {
        let micros = i64::try_from(at.0 / 1_000).expect("2^64 nanoseconds are fewer microseconds");
        self.signed(micros - EPOCH_MICROS)
    }

    /// The instant twice: as TIMESTAMPTZ and in nanoseconds.
    pub(crate) fn at(&mut self, at: Nanos) -> &mut Self {
        self.instant(at).big(at.0)
    }

    /// A business date; null before the first.
    pub(crate) fn date(&mut self, date: Date) -> &mut Self {
        if date.is_zero() {
            return self.null();
        }
        match days_since_2000(date) {
            Some(days) => self.int(days),
            None => self.cannot(),
        }
    }

    /// NUMERIC(20,0), as PostgreSQL itself would write it: no zero digits at either end.
    pub(crate) fn numeric(&mut self, value: u64) -> &mut Self {
        let (mut digits, mut rest, mut count) = ([0_i16; 5], value, 0);
        while rest > 0 {
            digits[count] = i16::try_from(rest % 10_000).expect("below 10,000");
            rest /= 10_000;
            count += 1;
        }
        let zeros = digits[..count].iter().take_while(|digit| **digit == 0).count();
        let weight = count.saturating_sub(1);
        let stored = &digits[zeros..count];
        let length = i32::try_from(8 + 2 * stored.len()).expect("at most 18");
        self.to.extend_from_slice(&length.to_be_bytes());
        for number in [stored.len(), weight, 0, 0] {
            let number = i16::try_from(number).expect("at most 5");
            self.to.extend_from_slice(&number.to_be_bytes());
        }
        for digit in stored.iter().rev() {
            self.to.extend_from_slice(&digit.to_be_bytes());
        }
        self
    }

    pub(crate) fn numeric_or_null(&mut self, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.numeric(value),
            None => self.null(),
        }
    }

    fn cannot(&mut self) -> &mut Self {
        self.beyond = true;
        self.null()
    }
}

/// Days from 2000-01-01 to a date given as year x 10,000 + month x 100 + day; none when it is no date.
pub(crate) fn days_since_2000(date: Date) -> Option<i32> {
    let (year, month, day) = (date.0 / 10_000, date.0 / 100 % 100, date.0 % 100);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [
        31,
        if is_leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let place = usize::try_from(month.checked_sub(1)?).ok()?;
    if !(1..=*lengths.get(place)?).contains(&day) || !(1..=9999).contains(&year) {
        return None;
    }
    let before = year - 1;
    let days =
        365 * before + before / 4 - before / 100 + before / 400 + lengths[..place].iter().sum::<u32>() + day;
    // 730,120 days end with 2000-01-01.
    Some(i32::try_from(days).ok()? - 730_120)
}

/// The date so many days after 2000-01-01.
pub(crate) fn date_of(days: i32) -> Date {
    let mut left = i64::from(days) + 730_119;
    let mut year = left / 366 + 1;
    let before = |year: i64| 365 * (year - 1) + (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    while before(year + 1) <= left {
        year += 1;
    }
    left -= before(year);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [
        31,
        if is_leap { 29 } else { 28 },
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    Date(u32::try_from(year * 10_000 + month * 100 + left + 1).unwrap_or(0))
}

/// What a column holds, for reading it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Small,
    Int,
    Big,
    Text,
    Bytes,
    Date,
    Instant,
    Numeric,
}

impl Kind {
    /// A value as a person reads it.
    pub(crate) fn show(self, value: Option<&[u8]>) -> String {
        let Some(bytes) = value else {
            return "null".to_owned();
        };
        let number = |bytes: &[u8]| {
            let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
            let start = if negative { -1_i64 } else { 0 };
            bytes.iter().fold(start, |sum, byte| sum << 8 | i64::from(*byte))
        };
        match self {
            Kind::Small | Kind::Int | Kind::Big => number(bytes).to_string(),
            Kind::Instant => format!("{} us", number(bytes) + EPOCH_MICROS),
            Kind::Date => date_of(i32::try_from(number(bytes)).unwrap_or(0)).to_string(),
            Kind::Text => String::from_utf8_lossy(bytes).into_owned(),
            Kind::Bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Kind::Numeric => show_numeric(bytes),
        }
    }
}

fn show_numeric(bytes: &[u8]) -> String {
    let words: Vec<i64> = bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(|w| i64::from(i16::from_be_bytes(*w)))
        .collect();
    let [_, weight, sign, _, digits @ ..] = &words[..] else {
        return "?".to_owned();
    };
    let whole = usize::try_from(weight + 1).unwrap_or(0).max(digits.len());
    let value = (0..whole).fold(0_i128, |sum, place| {
        sum.saturating_mul(10_000) + i128::from(digits.get(place).copied().unwrap_or(0))
    });
    format!("{}{value}", if *sign == 0 { "" } else { "-" })
}

/// Splits the first row off binary rows: its bytes, and the rest. None at their end, or when they are no rows.
pub(crate) fn split_row(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let columns = i16::from_be_bytes(*bytes.first_chunk::<2>()?);
    let mut at = 2;
    for _ in 0..usize::try_from(columns).ok()? {
        let length = i32::from_be_bytes(*bytes.get(at..)?.first_chunk::<4>()?);
        at += 4 + usize::try_from(length).unwrap_or(0);
    }
    bytes.split_at_checked(at)
}

/// The columns of a row.
pub(crate) fn columns(row: &[u8]) -> Vec<Option<&[u8]>> {
    let mut columns = Vec::new();
    let mut rest = row.get(2..).unwrap_or(&[]);
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, after) = after
            .split_at_checked(length.unwrap_or(0))
            .unwrap_or((after, &[]));
        columns.push(length.map(|_| value));
        rest = after;
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_and_days_are_dates() {
        for (date, days) in [
            (20_000_101, 0),
            (20_000_301, 60),
            (19_991_231, -1),
            (20_261_123, 9_823),
            (99_991_231, 2_921_939),
        ] {
            assert_eq!(days_since_2000(Date(date)), Some(days), "{date}");
            assert_eq!(date_of(days), Date(date));
        }
        for wrong in [20_230_229, 20_231_301, 20_231_100, 0, 20_230_431] {
            assert_eq!(days_since_2000(Date(wrong)), None, "{wrong}");
        }
    }

    #[test]
    fn numerics_read_as_they_were_written() {
        for value in [
            0,
            1,
            9_999,
            10_000,
            10_001,
            100_000_000,
            123_400_000_000,
            u64::MAX,
        ] {
            let mut row = Vec::new();
            let mut writing = Row::begin(&mut row, 1);
            writing.numeric(value).end("a value").expect("it is held");
            let columns = columns(&row);
            assert_eq!(Kind::Numeric.show(columns[0]), value.to_string());
        }
    }

    #[test]
    fn what_is_beyond_a_column_is_told() {
        let mut row = Vec::new();
        let mut writing = Row::begin(&mut row, 1);
        assert_eq!(writing.big(1_u64 << 63).end("amount"), Err(Beyond("amount")));
        assert_eq!(
            Row::begin(&mut Vec::new(), 1).small_of(40_000).end("code"),
            Err(Beyond("code"))
        );
    }

    #[test]
    fn rows_split_where_they_end() {
        let mut rows = Vec::new();
        Row::begin(&mut rows, 2).text("ab").null().end("").expect("held");
        let first = rows.len();
        Row::begin(&mut rows, 1).signed(-7).end("").expect("held");
        let (one, rest) = split_row(&rows).expect("two rows");
        assert_eq!(one.len(), first);
        assert_eq!(columns(one), [Some(&b"ab"[..]), None]);
        assert_eq!(Kind::Big.show(columns(rest)[0]), "-7");
        assert!(split_row(&rest[..5]).is_none());
    }
}
