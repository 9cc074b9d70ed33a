//! Entries on their way into a hash table: entered by where they go, so that filling it walks through memory once, where
//! one after the other they would each wait for a place of their own.
//!
//! # Cost
//! 32 bytes for each of at most [`AT_ONCE`] entries; two passes over them.

/// Entries that are entered at once: some hundred of them go to each part.
const AT_ONCE: usize = 1 << 20;
/// Parts of a table, each of which stays in a near cache while it is filled.
const PARTS: usize = 1 << 10;

/// A hash, and what it finds.
pub(crate) type Entry = (u64, u32);

/// Entries that wait.
#[derive(Default)]
pub(crate) struct Gathered {
    waiting: Vec<Entry>,
    sorted: Vec<Entry>,
}

impl Gathered {
    /// One more; says whether it is time to enter them.
    pub fn push(&mut self, entry: Entry) -> Time {
        self.waiting.push(entry);
        match self.waiting.len() < AT_ONCE {
            true => Time::Early,
            false => Time::Due,
        }
    }

    /// Takes all of them, by the part of a table of so many places, a power of two, that their hash leads to.
    pub fn take(&mut self, places: usize) -> &[Entry] {
        assert!(places.is_power_of_two());
        let (mask, shift) = (places - 1, (places / PARTS).max(1).trailing_zeros());
        let part = |entry: &Entry| (low(entry.0) & mask) >> shift;
        let mut ends = [0_usize; PARTS];
        self.waiting.iter().for_each(|entry| ends[part(entry)] += 1);
        let mut begin = 0;
        for end in &mut ends {
            begin += std::mem::replace(end, begin);
        }
        self.sorted.clear();
        self.sorted.resize(self.waiting.len(), (0, 0));
        for entry in self.waiting.drain(..) {
            let place = &mut ends[part(&entry)];
            self.sorted[*place] = entry;
            *place += 1;
        }
        &self.sorted
    }
}

/// Whether entries are to be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    Early,
    Due,
}

/// The low half of a hash, as tables use it.
fn low(hash: u64) -> usize {
    usize::try_from(hash & u64::from(u32::MAX)).expect("32 bits fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_taken_once_by_where_they_go() {
        for places in [1, 256, PARTS, 1 << 16] {
            let mut gathered = Gathered::default();
            let mut wanted: Vec<Entry> = (0..5_000_u32)
                .map(|id| (u64::from(id).wrapping_mul(0x9E37_79B9_7F4A_7C15), id))
                .collect();
            for entry in &wanted {
                assert_eq!(gathered.push(*entry), Time::Early);
            }
            let mut taken = gathered.take(places).to_vec();
            let part = |entry: &Entry| (low(entry.0) & (places - 1)) / (places / PARTS).max(1);
            assert!(taken.is_sorted_by_key(part), "{places} places");
            taken.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(taken, wanted);
            assert!(gathered.take(places).is_empty(), "each once");
        }
    }
}
