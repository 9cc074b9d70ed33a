//! Messages on the wire: found in a stream of bytes, viewed field by field, written with length and checksum.
//!
//! ```text
//!  8=FIX.4.4 | 9=length | 35=type | … length counts from here … | 10=sum of all bytes before it, modulo 256 |
//! ```
//!
//! A message whose length or checksum is not right, or whose fields are none, is *garbled*: the specification has it
//! ignored, and its number is asked for again when the next message comes. Where it ends is found by its `10=`.
//!
//! # Cost
//! One pass over a message to sum it, one to find its fields; nothing is copied or allocated, since the fields' places
//! are kept in memory that is used again.

use crate::tag;

/// What ends each field.
pub const SOH: u8 = 1;
/// Longest message that is taken, in bytes: longer is not read on.
pub const MESSAGE_MAX: usize = 16 << 10;
/// Longest BeginString that is looked at, its tag included.
const BEGIN_MAX: usize = 16;
/// Most fields of a message.
const FIELDS_MAX: usize = 2_048;

/// What lies at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framed {
    /// No whole message yet.
    Incomplete,
    /// So many bytes are no message: they are to be ignored.
    Garbled(usize),
    /// A message of so many bytes, of the right length and checksum.
    Whole(usize),
    /// More than a message may have, and no end of it.
    TooLong,
}

/// Finds the message at the start of `bytes`.
pub fn frame(bytes: &[u8]) -> Framed {
    if !starts(bytes) {
        return Framed::Garbled(next_start(bytes, 0));
    }
    let framed = match body_end(bytes) {
        Ok(Some(claimed)) => trailer(bytes, claimed),
        Ok(None) => Framed::Incomplete,
        Err(()) => Framed::Garbled(next_start(bytes, 2)),
    };
    match framed {
        Framed::Incomplete if bytes.len() >= MESSAGE_MAX => Framed::TooLong,
        Framed::Incomplete | Framed::Garbled(_) | Framed::Whole(_) | Framed::TooLong => framed,
    }
}

fn starts(bytes: &[u8]) -> bool {
    let known = bytes.len().min(2);
    bytes[..known] == b"8="[..known]
}

/// Where the next message may start, at or after `from`.
fn next_start(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let found = rest.windows(2).position(|two| two == b"8=");
    // The last byte may be the first half of a start.
    let keep = usize::from(rest.last() == Some(&b'8'));
    from.min(bytes.len()) + found.unwrap_or(rest.len() - keep)
}

/// Where the body ends as its length claims; none while that is not known.
fn body_end(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let head = &bytes[..bytes.len().min(BEGIN_MAX)];
    let Some(begin) = head.iter().position(|byte| *byte == SOH) else {
        return if head.len() < BEGIN_MAX { Ok(None) } else { Err(()) };
    };
    let after = &bytes[begin + 1..];
    let known = after.len().min(2);
    if after[..known] != b"9="[..known] {
        return Err(());
    }
    let mut length = 0_usize;
    for (place, byte) in after.iter().enumerate().skip(2) {
        match byte {
            b'0'..=b'9' if place < 9 => length = length * 10 + usize::from(byte - b'0'),
            &SOH if place > 2 => {
                let end = begin + 1 + place + 1 + length;
                return if end <= MESSAGE_MAX {
                    Ok(Some(end))
                } else {
                    Err(())
                };
            }
            _ => return Err(()),
        }
    }
    Ok(None)
}

/// Finds the checksum at or after the claimed end of the body.
fn trailer(bytes: &[u8], claimed: usize) -> Framed {
    let from = claimed - 1;
    let rest = bytes.get(from..).unwrap_or_default();
    let Some(place) = rest.windows(4).position(|four| four == b"\x0110=") else {
        return Framed::Incomplete;
    };
    let digits = from + place + 4;
    let Some(length) = bytes[digits..].iter().position(|byte| *byte == SOH) else {
        return Framed::Incomplete;
    };
    let end = digits + length + 1;
    let sum = checksum(&bytes[..from + place + 1]);
    let right = place == 0 && bytes[digits..digits + length] == three_digits(sum);
    if right {
        Framed::Whole(end)
    } else {
        Framed::Garbled(end)
    }
}

/// The sum of all bytes, modulo 256.
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte))
}

fn three_digits(value: u8) -> [u8; 3] {
    [b'0' + value / 100, b'0' + value / 10 % 10, b'0' + value % 10]
}

/// Where one field stands in its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its tag; a negative number or one beyond all tags counts as itself only in the message's text.
    pub tag: u32,
    name: u32,
    value: u32,
    end: u32,
}

/// Where the fields of a message stand; used again for the next message.
#[derive(Debug, Default)]
pub struct Places {
    fields: Vec<Place>,
}

/// The length field of a data field, whose value may hold any bytes.
fn length_of(data: u32) -> Option<u32> {
    Some(match data {
        89 => 93,
        91 => 90,
        96 => 95,
        213 => 212,
        349 => 348,
        351 => 350,
        353 => 352,
        355 => 354,
        357 => 356,
        359 => 358,
        361 => 360,
        363 => 362,
        365 => 364,
        446 => 445,
        619 => 618,
        622 => 621,
        _ => return None,
    })
}

impl Places {
    /// Finds the fields of a whole message; none when some of it is no field.
    pub fn read<'a>(&'a mut self, bytes: &'a [u8]) -> Option<Message<'a>> {
        self.fields.clear();
        let mut at = 0;
        let mut declared = (0_u32, 0_usize);
        while at < bytes.len() {
            if self.fields.len() == FIELDS_MAX {
                return None;
            }
            let (tag, value) = name(bytes, at)?;
            let data = length_of(tag).filter(|length| *length == declared.0);
            let end = match data {
                Some(_) => value.checked_add(declared.1)?,
                None => value + bytes[value..].iter().position(|byte| *byte == SOH)?,
            };
            if bytes.get(end) != Some(&SOH) {
                return None;
            }
            declared = (
                tag,
                number(&bytes[value..end])
                    .and_then(|n| usize::try_from(n).ok())
                    .unwrap_or(0),
            );
            let place = |at: usize| u32::try_from(at).ok();
            let (name, start, stop) = (place(at)?, place(value)?, place(end)?);
            self.fields.push(Place {
                tag,
                name,
                value: start,
                end: stop,
            });
            at = end + 1;
        }
        Some(Message {
            bytes,
            fields: &self.fields,
        })
    }
}

/// Reads `tag=` at a place; gives the tag and where its value starts.
fn name(bytes: &[u8], at: usize) -> Option<(u32, usize)> {
    let mut tag = 0_u32;
    let rest = &bytes[at..];
    let minus = usize::from(rest.first() == Some(&b'-'));
    for (place, byte) in rest.iter().enumerate().skip(minus) {
        match byte {
            b'0'..=b'9' => tag = tag.saturating_mul(10).saturating_add(u32::from(byte - b'0')),
            // A negative tag is none: zero is none either.
            b'=' if place > minus => return Some((if minus > 0 { 0 } else { tag }, at + place + 1)),
            _ => return None,
        }
    }
    None
}

/// A whole number without sign; none when it is none or too large.
pub fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| match byte {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

/// A message, viewed in place.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    fields: &'a [Place],
}

impl<'a> Message<'a> {
    /// All its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
    /// Its fields in order: tag and value.
    pub fn fields(&self) -> impl Iterator<Item = (u32, &'a [u8])> {
        let message = *self;
        self.fields
            .iter()
            .map(move |place| (place.tag, message.value(place)))
    }
    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.fields.len()
    }
    /// Whether it has none; no whole message is so.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
    /// The field at a place, from 0.
    pub fn at(&self, place: usize) -> Option<(u32, &'a [u8])> {
        self.fields.get(place).map(|place| (place.tag, self.value(place)))
    }
    /// The tag at a place as it is written there.
    pub fn tag_text(&self, place: usize) -> &'a [u8] {
        let written = self
            .fields
            .get(place)
            .map(|place| (index(place.name), index(place.value)));
        written
            .and_then(|(from, to)| self.bytes.get(from..to.saturating_sub(1)))
            .unwrap_or_default()
    }
    /// The first field of this tag.
    pub fn get(&self, tag: u32) -> Option<&'a [u8]> {
        self.fields
            .iter()
            .find(|place| place.tag == tag)
            .map(|place| self.value(place))
    }
    /// The first field of this tag as a whole number.
    pub fn number(&self, tag: u32) -> Option<u64> {
        self.get(tag).and_then(number)
    }
    /// Whether the first field of this tag says Y.
    pub fn says_yes(&self, tag: u32) -> bool {
        self.get(tag) == Some(b"Y")
    }
    /// What kind of message it is, field 35.
    pub fn kind(&self) -> &'a [u8] {
        self.get(tag::MSG_TYPE).unwrap_or_default()
    }

    fn value(&self, place: &Place) -> &'a [u8] {
        &self.bytes[index(place.value)..index(place.end)]
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).expect("places are within a message")
}

/// Writes a field whose value is text.
#[inline]
pub fn put(to: &mut Vec<u8>, tag: u32, value: &[u8]) {
    put_tag(to, tag);
    to.extend_from_slice(value);
    to.push(SOH);
}

/// Writes a field whose value is a whole number.
#[inline]
pub fn put_number(to: &mut Vec<u8>, tag: u32, value: u64) {
    put_tag(to, tag);
    digits(to, value);
    to.push(SOH);
}

/// Writes `tag=`.
#[inline]
pub fn put_tag(to: &mut Vec<u8>, tag: u32) {
    digits(to, u64::from(tag));
    to.push(b'=');
}

/// Writes a number in decimal.
#[inline]
pub fn digits(to: &mut Vec<u8>, mut value: u64) {
    let mut text = [0_u8; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        let digit = value % 10;
        text[at] = b'0' + u8::try_from(digit).expect("a digit");
        value /= 10;
        if value == 0 {
            break;
        }
    }
    to.extend_from_slice(&text[at..]);
}

/// Writes a whole message: what stands between its length and its checksum is given in two parts.
#[inline]
pub fn put_message(to: &mut Vec<u8>, head: &[u8], body: [&[u8]; 2]) {
    let start = to.len();
    to.extend_from_slice(b"8=FIX.4.4\x019=");
    let length = head.len() + body[0].len() + body[1].len();
    digits(to, u64::try_from(length).expect("a message is short"));
    to.push(SOH);
    to.extend_from_slice(head);
    to.extend_from_slice(body[0]);
    to.extend_from_slice(body[1]);
    let sum = checksum(&to[start..]);
    to.extend_from_slice(b"10=");
    to.extend_from_slice(&three_digits(sum));
    to.push(SOH);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_message(&mut bytes, body.replace('|', "\x01").as_bytes(), [&[], &[]]);
        bytes
    }

    #[test]
    fn a_message_cut_anywhere_is_waited_for() {
        let whole = message("35=0|34=2|49=A|52=20260101-00:00:00|56=B|");
        for cut in 0..whole.len() {
            assert_eq!(frame(&whole[..cut]), Framed::Incomplete, "cut at {cut}");
        }
        assert_eq!(frame(&whole), Framed::Whole(whole.len()));
    }

    #[test]
    fn what_is_no_message_is_passed_over() {
        let good = message("35=0|34=2|");
        for (junk, skipped) in [
            ("hello ", 6),
            ("9=5|35=0|", 9),
            ("8=FIX.4.4|7=1|", 14),
            ("8=FIX.4.4|9=x|", 14),
        ] {
            let bytes = [junk.replace('|', "\x01").as_bytes(), &good].concat();
            let mut at = 0;
            while let Framed::Garbled(count) = frame(&bytes[at..]) {
                assert!(count > 0);
                at += count;
            }
            assert_eq!(at, skipped, "{junk}");
            assert_eq!(frame(&bytes[at..]), Framed::Whole(good.len()));
        }
    }

    #[test]
    fn a_wrong_length_or_sum_garbles_up_to_the_next_trailer() {
        let good = message("35=0|34=2|");
        let short = b"8=FIX.4.4\x019=3\x0135=0\x0134=2\x0110=000\x01";
        assert_eq!(frame(short), Framed::Garbled(short.len()));
        let long = b"8=FIX.4.4\x019=25\x0135=0\x0134=2\x0110=000\x01";
        let both = [&long[..], &good].concat();
        assert_eq!(
            frame(&both),
            Framed::Garbled(both.len()),
            "it takes the next one with it"
        );
        for sum in ["256", "0", "1234", "abc"] {
            let text = [&good[..good.len() - 4], sum.as_bytes(), b"\x01"].concat();
            assert_eq!(frame(&text), Framed::Garbled(text.len()), "{sum}");
        }
    }

    #[test]
    fn what_never_ends_is_too_long() {
        let mut endless = b"8=FIX.4.4\x019=100\x01".to_vec();
        endless.resize(MESSAGE_MAX, b'x');
        assert_eq!(frame(&endless), Framed::TooLong);
        let huge = b"8=FIX.4.4\x019=99999999\x01".to_vec();
        assert_eq!(frame(&huge), Framed::Garbled(huge.len()));
        let digits = [&b"8=FIX.4.4\x019="[..], &[b'1'; 40]].concat();
        assert!(matches!(frame(&digits), Framed::Garbled(_)));
    }

    #[test]
    fn fields_are_found_and_data_may_hold_anything() {
        let mut places = Places::default();
        let bytes = b"8=FIX.4.4\x0135=B\x01354=5\x01355=a\x01b=c\x0158=end\x01";
        let read = places.read(bytes).expect("it is well formed");
        assert_eq!(read.get(355), Some(&b"a\x01b=c"[..]));
        assert_eq!(
            (read.get(58), read.len(), read.kind()),
            (Some(&b"end"[..]), 5, &b"B"[..])
        );
        for wrong in [
            &b"x\x01"[..],
            b"35\x01",
            b"=1\x01",
            b"4a9=1\x01",
            b"35=A",
            b"354=9\x01355=a\x01",
            b"\x01",
        ] {
            assert!(places.read(wrong).is_none(), "{wrong:?}");
        }
        let odd = places.read(b"-1=HI\x0199999999999=x\x01").expect("a field each");
        assert_eq!((odd.at(0), odd.tag_text(0)), (Some((0, &b"HI"[..])), &b"-1"[..]));
    }
}
