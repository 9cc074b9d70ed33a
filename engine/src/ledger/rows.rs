//! Balances as rows of a snapshot.

use super::{Ledger, Row, RowId, System, hash, key_hash};
use crate::order::index;
use crate::snapshot::{BadSnapshot, Entry, SectionKind, bad};
use hashbrown::hash_table;
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{AccountId, Amount, AssetId, ParticipantId, Place, SeriesId};

/// What an account has of an asset. Rows of an account follow each other in the order they were opened.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct BalanceRow {
    pub available: u64,
    pub held: u64,
    pub frozen: u64,
    pub account: u32,
    pub asset: u32,
}

/// A balance that is nobody's account.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct SystemRow {
    pub balance: i128,
    pub asset: u32,
    /// The issuer or the series, where the place has one.
    pub id: u32,
    pub place: u8,
}

impl Ledger {
    /// Every balance of accounts, in the order they were opened.
    pub fn rows(&self) -> impl Iterator<Item = BalanceRow> + '_ {
        self.rows.iter().skip(1).map(|row| {
            let Row {
                account,
                asset,
                available,
                held,
                frozen,
            } = *row;
            BalanceRow {
                available: available.0,
                held: held.0,
                frozen: frozen.0,
                account: account.0,
                asset: asset.0,
            }
        })
    }

    /// Every other balance, in the order they were opened.
    pub fn system_rows(&self) -> impl Iterator<Item = SystemRow> + '_ {
        self.systems.iter().map(|system| {
            let System {
                place,
                asset,
                balance,
            } = *system;
            let (number, id) = match place {
                Place::Custody => (0, 0),
                Place::FreeEscrow(issuer) => (1, issuer.0),
                Place::Escrow(series) => (2, series.0),
                Place::Fees => (3, 0),
                Place::Rebates => (4, 0),
                Place::Registrar => (5, 0),
                Place::Account(..) => unreachable!("accounts have rows of their own"),
            };
            SystemRow {
                balance,
                asset: asset.0,
                id,
                place: number,
            }
        })
    }

    /// Balances that are nobody's account.
    pub fn systems_used(&self) -> usize {
        self.systems.len()
    }

    /// Fills the balance of this number, opening it when the venue was not opened with it.
    pub fn restore_system(&mut self, number: usize, row: &SystemRow) -> Result<(), BadSnapshot> {
        let place = match (row.place, row.id) {
            (0, 0) => Place::Custody,
            (1, issuer) => Place::FreeEscrow(ParticipantId(issuer)),
            (2, series) => Place::Escrow(SeriesId(series)),
            (3, 0) => Place::Fees,
            (4, 0) => Place::Rebates,
            (5, 0) => Place::Registrar,
            _ => return bad(SectionKind::Systems, "a balance of an unknown place"),
        };
        let asset = AssetId(row.asset);
        let id = match self.find_system(place, asset) {
            Some(id) => id,
            None => self.open_system(place, asset),
        };
        if index(id) != number {
            return bad(
                SectionKind::Systems,
                format!("{place} is there twice, or out of its order"),
            );
        }
        let system = &mut self.systems[number];
        system.balance = row.balance;
        // No sum of 63-bit amounts comes so far, so that sums of these fit.
        let fits = row.balance.unsigned_abs() < 1 << 100;
        match fits && (row.balance >= 0 || system.may_be_negative()) {
            true => Ok(()),
            false => bad(
                SectionKind::Systems,
                format!("{place} is negative, or no sum of amounts"),
            ),
        }
    }

    /// Opens a balance with what it has; `older` is the account's newest so far. None when there is no room for it. It is
    /// found by the hash told with its place once it was entered.
    pub fn restore_row(&mut self, row: &BalanceRow, older: RowId) -> Option<Entry> {
        if !self.has_room(1) {
            return None;
        }
        let id = RowId::try_from(self.rows.len()).expect("capacity is a u32");
        let (account, asset) = (AccountId(row.account), AssetId(row.asset));
        self.rows.push(Row {
            account,
            asset,
            available: Amount(row.available),
            held: Amount(row.held),
            frozen: Amount(row.frozen),
        });
        self.older.push(older);
        Some((key_hash(&self.hasher, account, asset), id))
    }

    /// Places of the table by which balances are found: its capacity is seven eighths of them.
    pub fn places(&self) -> usize {
        self.by_key.capacity().next_power_of_two()
    }

    /// Enters balances to be found. The first of which there is another already is named.
    pub fn enter(&mut self, entries: &[Entry]) -> Result<(), RowId> {
        let Ledger {
            rows, by_key, hasher, ..
        } = self;
        let key = |id: &RowId| (rows[index(*id)].account, rows[index(*id)].asset);
        for (key_hash, id) in entries {
            // One search says that it is not there, and where it goes.
            let hash_of = |id: &RowId| hash(hasher, &rows[index(*id)]);
            match by_key.entry(*key_hash, |other| key(other) == key(id), hash_of) {
                hash_table::Entry::Occupied(_) => return Err(*id),
                hash_table::Entry::Vacant(place) => place.insert(*id),
            };
        }
        Ok(())
    }

    /// Says whether there is such a row.
    pub fn has_row(&self, id: RowId) -> bool {
        (1..self.rows.len()).contains(&index(id))
    }
}
