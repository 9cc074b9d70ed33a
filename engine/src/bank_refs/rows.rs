//! Banks' references as rows of a snapshot.

use super::{BankRefs, Entry, key_hash, place};
use crate::snapshot::{BadSnapshot, SectionKind, bad};
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{BankRef, ParticipantId};

/// A reference that was used.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct BankRefRow {
    pub reference: [u8; 16],
    pub day: i64,
    pub bank: u32,
}

impl BankRefs {
    /// Every reference that is remembered, the oldest first.
    pub fn rows(&self) -> impl Iterator<Item = BankRefRow> + '_ {
        self.entries.iter().map(|entry| {
            let Entry { bank, reference, day } = *entry;
            BankRefRow {
                reference: reference.0,
                day,
                bank: bank.0,
            }
        })
    }

    /// Remembers a reference after all others.
    pub fn restore(&mut self, row: &BankRefRow) -> Result<(), BadSnapshot> {
        let entry = Entry {
            bank: ParticipantId(row.bank),
            reference: BankRef(row.reference),
            day: row.day,
        };
        let kind = SectionKind::BankRefs;
        if self.entries.len() >= self.max || self.contains(entry.bank, entry.reference) {
            return bad(kind, "a reference that is there twice, or no room");
        }
        // A time of the exchange is a u64 of nanoseconds, so that its days are few.
        let is_day = (0..1 << 20).contains(&entry.day);
        if !is_day || self.entries.back().is_some_and(|newest| newest.day > entry.day) {
            return bad(kind, "references out of their order");
        }
        let number = self.forgotten + u64::try_from(self.entries.len()).expect("a count fits");
        self.entries.push_back(entry);
        let BankRefs {
            entries,
            by_key,
            hasher,
            forgotten,
            ..
        } = self;
        by_key.insert_unique(key_hash(hasher, &entry), number, |n| {
            key_hash(hasher, &entries[place(*n, *forgotten)])
        });
        Ok(())
    }
}
