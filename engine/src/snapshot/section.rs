//! A section: rows of one table, archived back to back.

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::de::Pool;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::vec::ArchivedVec;
use rkyv::{Archive, Deserialize, Serialize};

/// Longest section, bytes.
pub const SECTION_BYTES_MAX: usize = 64 << 20;
/// Bytes of rows after which a section is put: short of the longest, so that little is written, or judged, at once.
const SECTION_BYTES: usize = 1 << 20;

/// What stands in a section. Sections come in the order of these; a new kind is added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SectionKind {
    /// Configuration, time, phase, and how many rows each table has.
    Venue,
    /// Participants, by their number.
    Participants,
    /// Keys, by participant, in the order they were given.
    Keys,
    /// Fee schedules, by their number.
    Schedules,
    /// Accounts, by their number.
    Accounts,
    /// Balances that are nobody's account, in the order they were opened.
    Systems,
    /// Balances of accounts, in the order they were opened.
    Balances,
    /// Series, by their number.
    Series,
    /// Sessions, in the order they first came up.
    Sessions,
    /// What each session's last request numbers were used for.
    Windows,
    /// Places of orders that are free, the next to be used first.
    FreePlaces,
    /// Resting orders, book by book, in priority.
    Orders,
    /// Larger jobs that go on, the oldest first.
    Jobs,
    /// Commands that wait for approval, the oldest first.
    Proposals,
    /// Banks' references, the oldest first.
    BankRefs,
    /// Series with stops that were reached while their orders could not arrive.
    Stirred,
    /// Market makers' protections, by account.
    Protections,
    /// Series that the dynamic collar halted.
    Halted,
    /// Trades of the day that were undone.
    Busts,
}

impl SectionKind {
    /// Every kind, in order.
    pub const ALL: [SectionKind; 19] = [
        SectionKind::Venue,
        SectionKind::Participants,
        SectionKind::Keys,
        SectionKind::Schedules,
        SectionKind::Accounts,
        SectionKind::Systems,
        SectionKind::Balances,
        SectionKind::Series,
        SectionKind::Sessions,
        SectionKind::Windows,
        SectionKind::FreePlaces,
        SectionKind::Orders,
        SectionKind::Jobs,
        SectionKind::Proposals,
        SectionKind::BankRefs,
        SectionKind::Stirred,
        SectionKind::Protections,
        SectionKind::Halted,
        SectionKind::Busts,
    ];

    /// Its place among all kinds.
    pub(crate) fn place(self) -> usize {
        let place = SectionKind::ALL.iter().position(|kind| *kind == self);
        place.expect("all kinds are listed")
    }

    /// Its number in a file, from 1.
    pub fn number(self) -> u32 {
        u32::try_from(self.place() + 1).expect("kinds are few")
    }

    /// The kind that has this number.
    pub fn from_number(number: u32) -> Option<SectionKind> {
        SectionKind::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// Sections that are no state of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSnapshot {
    /// Where.
    pub section: SectionKind,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for BadSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "section {:?}: {}", self.section, self.what)
    }
}

impl std::error::Error for BadSnapshot {}

/// Refuses a section.
pub(crate) fn bad<T>(section: SectionKind, what: impl Into<String>) -> Result<T, BadSnapshot> {
    let what = what.into();
    Err(BadSnapshot { section, what })
}

/// What takes sections, one after another.
pub type PutSection<'a, E> = dyn FnMut(SectionKind, &[u8]) -> Result<(), E> + 'a;

/// Where sections are put.
pub(crate) struct Sections<'a, E> {
    put: &'a mut PutSection<'a, E>,
    scratch: AlignedVec,
}

impl<'a, E> Sections<'a, E> {
    pub fn new(put: &'a mut PutSection<'a, E>) -> Sections<'a, E> {
        let scratch = AlignedVec::new();
        Sections { put, scratch }
    }

    /// Puts rows, in as many sections as they need; no section when there are none.
    pub fn put<R>(&mut self, kind: SectionKind, rows: impl Iterator<Item = R>) -> Result<(), E>
    where
        R: for<'s> Serialize<HighSerializer<AlignedVec, ArenaHandle<'s>, Error>>,
    {
        let at_once = (SECTION_BYTES / size_of::<R>()).max(1);
        let mut gathered = Vec::new();
        for row in rows {
            gathered.push(row);
            if gathered.len() == at_once {
                self.put_section(kind, &gathered)?;
                gathered.clear();
            }
        }
        match gathered.is_empty() {
            true => Ok(()),
            false => self.put_section(kind, &gathered),
        }
    }

    fn put_section<R>(&mut self, kind: SectionKind, rows: &Vec<R>) -> Result<(), E>
    where
        R: for<'s> Serialize<HighSerializer<AlignedVec, ArenaHandle<'s>, Error>>,
    {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let bytes = rkyv::api::high::to_bytes_in::<_, Error>(rows, scratch)
            .expect("rows are numbers, and memory grows as they need");
        assert!(bytes.len() <= SECTION_BYTES_MAX, "a section is bounded");
        (self.put)(kind, &bytes)?;
        self.scratch = bytes;
        Ok(())
    }
}

/// The rows of a section, as [`each_row`] gives them.
pub(crate) fn rows_of<R>(kind: SectionKind, bytes: &[u8]) -> Result<Vec<R>, BadSnapshot>
where
    R: Archive,
    R::Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<R, HighDeserializer<Error>>,
{
    let mut rows = Vec::new();
    each_row(kind, bytes, |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// Gives each row of a section, all of whose structure is checked before; `bytes` may lie anywhere.
pub(crate) fn each_row<R>(
    kind: SectionKind,
    bytes: &[u8],
    mut take: impl FnMut(R) -> Result<(), BadSnapshot>,
) -> Result<(), BadSnapshot>
where
    R: Archive,
    R::Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<R, HighDeserializer<Error>>,
{
    if bytes.len() > SECTION_BYTES_MAX {
        return bad(
            kind,
            format!("{} bytes: longer than a section may be", bytes.len()),
        );
    }
    // In a mapped file it lies right, and is read where it is.
    let mut aligned: AlignedVec = AlignedVec::new();
    let bytes = match bytes.as_ptr().align_offset(AlignedVec::<16>::ALIGNMENT) {
        0 => bytes,
        _ => {
            aligned.extend_from_slice(bytes);
            &aligned
        }
    };
    let broken = |error: &Error| bad(kind, format!("its structure does not hold: {error}"));
    let rows = match rkyv::access::<ArchivedVec<R::Archived>, Error>(bytes) {
        Ok(rows) if rows.is_empty() => return bad(kind, "a section without a row"),
        Ok(rows) => rows,
        Err(error) => return broken(&error),
    };
    let mut shared = Pool::new();
    for row in rows.as_slice() {
        match rkyv::api::deserialize_using::<R, Pool, Error>(row, &mut shared) {
            Ok(row) => take(row)?,
            Err(error) => return broken(&error),
        }
    }
    Ok(())
}
