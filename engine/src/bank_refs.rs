//! References of banks: each is used once, and remembered for 400 days.

pub(crate) mod rows;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use xq_protocol::{BankRef, Date, Nanos, ParticipantId, RejectReason};

/// Days that a reference is remembered; an older value date is refused, since nobody could tell.
const MEMORY_DAYS: i64 = 400;
const NANOS_A_DAY: u64 = 86_400_000_000_000;

#[derive(Clone, Copy)]
struct Entry {
    bank: ParticipantId,
    reference: BankRef,
    day: i64,
}

/// The references used in the last 400 days.
pub(crate) struct BankRefs {
    /// Oldest first. An entry's number is its place plus how many were forgotten.
    entries: VecDeque<Entry>,
    by_key: HashTable<u64>,
    forgotten: u64,
    hasher: FixedState,
    max: usize,
}

/// Bytes of a reference, and of what finds it.
pub(crate) const ROW_BYTES: usize = size_of::<Entry>();
pub(crate) const KEY_BYTES: usize = size_of::<u64>();

impl BankRefs {
    /// Room for `max` references.
    pub fn new(max: usize) -> BankRefs {
        let hasher = FixedState::with_seed(0);
        let mut refs = BankRefs {
            entries: VecDeque::new(),
            by_key: HashTable::new(),
            forgotten: 0,
            hasher,
            max: 0,
        };
        refs.grow(max);
        refs
    }

    /// References that are remembered.
    pub fn used(&self) -> usize {
        self.entries.len()
    }

    /// Makes room for `max` references.
    pub fn grow(&mut self, max: usize) {
        assert!(max >= self.max, "capacities only grow");
        self.entries.reserve_exact(max - self.entries.len());
        let BankRefs {
            entries,
            by_key,
            hasher,
            forgotten,
            ..
        } = self;
        by_key.reserve(max - entries.len(), |number| {
            key_hash(hasher, &entries[place(*number, *forgotten)])
        });
        self.max = max;
    }

    /// Says whether this reference can be used now.
    pub fn admit(
        &self,
        bank: ParticipantId,
        reference: BankRef,
        value: Date,
        now: Nanos,
    ) -> Result<(), RejectReason> {
        let today = i64::try_from(now.0 / NANOS_A_DAY).expect("days since 1970 are few");
        let day = day_number(value).filter(|day| today - day <= MEMORY_DAYS);
        if day.is_none() || reference.is_zero() || self.contains(bank, reference) {
            return Err(RejectReason::DupBankRef);
        }
        let oldest_goes = self.entries.front().is_some_and(|e| today - e.day > MEMORY_DAYS);
        if self.entries.len() >= self.max && !oldest_goes {
            return Err(RejectReason::Capacity);
        }
        Ok(())
    }

    /// Uses a reference that was admitted; forgets at most two that are too old to be asked for.
    pub fn remember(&mut self, bank: ParticipantId, reference: BankRef, now: Nanos) {
        let today = i64::try_from(now.0 / NANOS_A_DAY).expect("days since 1970 are few");
        for _ in 0..2 {
            if self.entries.front().is_some_and(|e| today - e.day > MEMORY_DAYS) {
                self.forget_oldest();
            }
        }
        assert!(self.entries.len() < self.max, "admission found room");
        self.entries.push_back(Entry {
            bank,
            reference,
            day: today,
        });
        let BankRefs {
            entries,
            by_key,
            hasher,
            forgotten,
            ..
        } = self;
        let number = *forgotten + u64::try_from(entries.len() - 1).expect("a count fits");
        let key = key_hash(hasher, &entries[entries.len() - 1]);
        by_key.insert_unique(key, number, |n| key_hash(hasher, &entries[place(*n, *forgotten)]));
    }

    fn forget_oldest(&mut self) {
        let oldest = *self.entries.front().expect("the caller saw it");
        let number = self.forgotten;
        let found = self
            .by_key
            .find_entry(key_hash(&self.hasher, &oldest), |n| *n == number);
        found.expect("every entry is in the table").remove();
        self.entries.pop_front();
        self.forgotten += 1;
    }

    fn contains(&self, bank: ParticipantId, reference: BankRef) -> bool {
        let wanted = Entry {
            bank,
            reference,
            day: 0,
        };
        let is_it = |number: &u64| {
            let entry = &self.entries[place(*number, self.forgotten)];
            entry.bank == bank && entry.reference == reference
        };
        self.by_key.find(key_hash(&self.hasher, &wanted), is_it).is_some()
    }
}

fn place(number: u64, forgotten: u64) -> usize {
    usize::try_from(number - forgotten).expect("an entry's place fits")
}

fn key_hash(hasher: &FixedState, entry: &Entry) -> u64 {
    hasher.hash_one((entry.bank, entry.reference))
}

/// Days since 1970-01-01 of a business date; none when there is no such day.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
pub(crate) fn day_number(date: Date) -> Option<i64> {
    let (year, month, day) = (
        i64::from(date.0 / 10_000),
        i64::from(date.0 / 100 % 100),
        i64::from(date.0 % 100),
    );
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Nanos = Nanos(20_000 * NANOS_A_DAY);

    fn reference(text: &str) -> BankRef {
        BankRef::from_text(text).expect("short ASCII")
    }

    #[test]
    fn dates_are_counted_from_1970() {
        assert_eq!(day_number(Date(19_700_101)), Some(0));
        assert_eq!(day_number(Date(20_000_229)), Some(11_016));
        assert_eq!(day_number(Date(20_241_004)), Some(20_000));
        assert_eq!(
            [20_230_229, 20_241_301, 20_240_431, 0].map(|d| day_number(Date(d))),
            [None; 4]
        );
    }

    #[test]
    fn a_reference_is_used_once_and_forgotten_when_too_old() {
        let bank = ParticipantId(1);
        let mut refs = BankRefs::new(1);
        assert_eq!(refs.admit(bank, reference("A"), Date(20_241_004), NOON), Ok(()));
        refs.remember(bank, reference("A"), NOON);
        assert_eq!(
            refs.admit(bank, reference("A"), Date(20_241_004), NOON),
            Err(RejectReason::DupBankRef)
        );
        assert_eq!(
            refs.admit(bank, reference("B"), Date(20_241_004), NOON),
            Err(RejectReason::Capacity)
        );
        let later = Nanos(NOON.0 + 401 * NANOS_A_DAY);
        assert_eq!(
            refs.admit(bank, reference("B"), Date(20_241_004), later),
            Err(RejectReason::DupBankRef)
        );
        assert_eq!(refs.admit(bank, reference("B"), Date(20_251_101), later), Ok(()));
        refs.remember(bank, reference("B"), later);
        assert_eq!((refs.entries.len(), refs.by_key.len()), (1, 1));
    }
}
