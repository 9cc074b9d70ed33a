//! How full the engine's tables are: stored by the matcher, loaded by anyone; warned of before they are full.

use std::sync::atomic::{AtomicU64, Ordering};
use xq_engine::{Fill, Table};

const TABLES: usize = Table::ALL.len();
/// A table is warned of when it is as full as this, in percent, and again after it has been less full than the other.
const WARN_AT: u64 = 80;
const CALM_BELOW: u64 = 75;

/// Rows in use and capacity of each table, in the order of [`Table::ALL`].
#[derive(Debug, Default)]
pub struct Fills {
    used: [AtomicU64; TABLES],
    capacity: [AtomicU64; TABLES],
}

impl Fills {
    /// Stores what the engine tells.
    pub(crate) fn store(&self, fills: &[Fill; TABLES]) {
        for (place, fill) in fills.iter().enumerate() {
            self.used[place].store(fill.used, Ordering::Relaxed);
            self.capacity[place].store(fill.capacity, Ordering::Relaxed);
        }
    }

    /// Each table, and how full it was when the matcher last looked.
    pub fn load(&self) -> [(Table, Fill); TABLES] {
        std::array::from_fn(|place| {
            let fill = Fill {
                used: self.used[place].load(Ordering::Relaxed),
                capacity: self.capacity[place].load(Ordering::Relaxed),
            };
            (Table::ALL[place], fill)
        })
    }
}

/// Notices tables that fill up.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    warned: [bool; TABLES],
}

impl Watch {
    /// The tables that have become fuller than the bound since they were last below it.
    pub(crate) fn look(&mut self, fills: &Fills) -> Vec<(Table, Fill)> {
        let mut filling = Vec::new();
        for (warned, (table, fill)) in self.warned.iter_mut().zip(fills.load()) {
            let at = |percent: u64| fill.capacity > 0 && fill.used * 100 >= fill.capacity * percent;
            if at(WARN_AT) && !*warned {
                filling.push((table, fill));
                *warned = true;
            } else if !at(CALM_BELOW) {
                *warned = false;
            }
        }
        filling
    }

    /// Warns of them in the log.
    pub(crate) fn warn(&mut self, fills: &Fills) {
        for (table, Fill { used, capacity }) in self.look(fills) {
            let table_name = table.name();
            if table.can_grow() {
                tracing::warn!(
                    table = table_name,
                    used,
                    capacity,
                    "a table fills up: enlarge `exchange.{table_name}_max`"
                );
            } else {
                tracing::warn!(
                    table = table_name,
                    used,
                    capacity,
                    "a table fills up, and its size is fixed"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_warned_of_once_until_it_is_emptier() {
        let (fills, mut watch) = (Fills::default(), Watch::default());
        let orders = |used| {
            let mut all = [Fill::default(); TABLES];
            all[4] = Fill { used, capacity: 100 };
            all
        };
        let mut told = Vec::new();
        for used in [79, 80, 99, 76, 80, 74, 85] {
            fills.store(&orders(used));
            let filling = watch.look(&fills);
            assert!(filling.iter().all(|(table, _)| *table == Table::Orders));
            told.extend(filling.iter().map(|(_, fill)| fill.used));
        }
        assert_eq!(told, [80, 85]);
    }
}
