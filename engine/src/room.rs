//! How full the tables are, and how much memory each takes.

use crate::exchange::{Exchange, Venue};
use crate::{bank_refs, client_ids, ledger, levels, order, party, proposals, series, session, terms};
use xq_protocol::{Genesis, SeriesId};

/// A table whose capacity Genesis and SetConfig say. Past it, what needs a new row is refused with R410.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Participants, by their highest number.
    Participants,
    /// Accounts, by their highest number.
    Accounts,
    /// Series, by their highest number.
    Series,
    /// Balances: one an account and asset.
    Balances,
    /// Orders that rest.
    Orders,
    /// Pages of 64 ticks in which orders rest.
    LevelPages,
    /// Sessions that were ever up.
    Sessions,
    /// Commands that wait for approval.
    Proposals,
    /// Banks' references of the last 400 days.
    BankRefs,
}

impl Table {
    /// Every table, in the order of their numbers.
    pub const ALL: [Table; 9] = [
        Table::Participants,
        Table::Accounts,
        Table::Series,
        Table::Balances,
        Table::Orders,
        Table::LevelPages,
        Table::Sessions,
        Table::Proposals,
        Table::BankRefs,
    ];

    /// Its name, which with `_max` is that of its capacity.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Participants => "participants",
            Table::Accounts => "accounts",
            Table::Series => "series",
            Table::Balances => "balances",
            Table::Orders => "orders",
            Table::LevelPages => "level_pages",
            Table::Sessions => "sessions",
            Table::Proposals => "proposals",
            Table::BankRefs => "bank_refs",
        }
    }

    /// Its capacity in a venue opened like this.
    pub const fn capacity(self, genesis: &Genesis) -> u32 {
        match self {
            Table::Participants => genesis.participants_max.0,
            Table::Accounts => genesis.accounts_max.0,
            Table::Series => genesis.series_max.0,
            Table::Balances => genesis.balances_max.0,
            Table::Orders => genesis.orders_max.0,
            Table::LevelPages => genesis.level_pages_max.0,
            Table::Sessions => genesis.sessions_max.0,
            Table::Proposals => genesis.proposals_max.0,
            Table::BankRefs => genesis.bank_refs_max.0,
        }
    }

    /// Whether SetConfig can enlarge it.
    pub const fn can_grow(self) -> bool {
        !matches!(self, Table::Proposals)
    }

    /// Bytes that so many rows take, every index included: reserved at once, touched as rows are used.
    pub fn bytes(self, rows: u32) -> u64 {
        let rows = usize::try_from(rows).expect("32 bits fit");
        let bytes = match self {
            Table::Participants => rows * party::PARTICIPANT_BYTES,
            Table::Accounts => rows * party::ACCOUNT_BYTES,
            Table::Series => rows * (series::ROW_BYTES + 2 * size_of::<SeriesId>()),
            Table::Balances => rows * ledger::ROW_BYTES + hashed(ledger::KEY_BYTES, rows),
            Table::Orders => rows * order::ROW_BYTES + client_ids::bytes(rows) + terms::bytes(rows),
            Table::LevelPages => rows * levels::PAGE_BYTES,
            Table::Sessions => rows * session::ROW_BYTES + hashed(session::KEY_BYTES, rows),
            Table::Proposals => rows * proposals::ROW_BYTES,
            Table::BankRefs => rows * bank_refs::ROW_BYTES + hashed(bank_refs::KEY_BYTES, rows),
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// How full a table is, in rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Rows in use.
    pub used: u64,
    /// Rows there are.
    pub capacity: u64,
}

/// Bytes of a hash index for so many entries: a power of two of places, at most 7/8 of them used, a byte of each to
/// say so.
fn hashed(entry_bytes: usize, entries: usize) -> usize {
    (entries * 8 / 7).next_power_of_two() * (entry_bytes + 1)
}

impl Exchange {
    /// How full each table is, in the order of [`Table::ALL`]; nothing is, before Genesis. A few loads.
    pub fn fills(&self) -> [Fill; Table::ALL.len()] {
        self.venue().map_or_else(Default::default, |venue| {
            Table::ALL.map(|table| Fill {
                used: used(venue, table),
                capacity: u64::from(table.capacity(&venue.config)),
            })
        })
    }
}

fn used(venue: &Venue, table: Table) -> u64 {
    let used = match table {
        Table::Participants => venue.floor.parties.participants_used(),
        Table::Accounts => venue.floor.parties.accounts_used(),
        Table::Series => venue.series.used(),
        Table::Balances => venue.floor.ledger.used(),
        Table::Orders => return u64::from(venue.floor.orders.live()),
        Table::LevelPages => return u64::from(venue.floor.levels.used()),
        Table::Sessions => venue.sessions.used(),
        Table::Proposals => venue.proposals.used(),
        Table::BankRefs => venue.bank_refs.used(),
    };
    u64::try_from(used).unwrap_or(u64::MAX)
}
