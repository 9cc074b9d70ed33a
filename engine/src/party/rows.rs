//! Participants, keys, fee schedules and accounts as rows of a snapshot.

use super::{
    Account, AccountFile, Duties, EMPTY_FILE, Exposure, Freeze, KEYS_MAX, Killed, Mmp, NOBODY, Participant,
    Parties, Rates, Rebates, UNOPENED,
};
use crate::fees::PPM_MAX;
use crate::jobs::MMPS_MAX;
use crate::order::{NIL, index};
use crate::snapshot::{BadSnapshot, SectionKind, bad};
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{
    AccountId, Amount, CaseId, Count, Hash, KeyPurpose, KeyState, Nanos, ParticipantId, Ppm, Qty, Reserved,
    Role, ScheduleId, Seq, SetKey,
};

/// A participant's number of its role where it is none.
const NO_ROLE: u8 = u8::MAX;

/// The participant of the next number; its lists of accounts.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct ParticipantRow {
    pub owned: u32,
    pub operated: u32,
    pub role: u8,
    pub killed: u8,
}

/// A key that is valid.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct KeyRow {
    pub fingerprint: [u8; 32],
    pub participant: u32,
}

/// The fee schedule of the next number.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct ScheduleRow {
    pub taker: i32,
    pub maker: i32,
}

/// The account of the next number. What is open of it follows from its orders.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct AccountRow {
    pub order_notional_max: u64,
    pub open_notional_max: u64,
    pub position_max: u64,
    pub daily_max: u64,
    pub traded: u64,
    pub limited_since: u64,
    pub case: u64,
    pub owner: u32,
    pub actor: u32,
    pub open_orders_max: u32,
    pub order_qty_max: u32,
    pub newest_order: u32,
    pub older_owned: u32,
    pub older_operated: u32,
    pub traded_on: u32,
    pub schedule: u16,
    pub freeze: u8,
    pub duties: u8,
}

/// A market maker's protection, and what its quotes have traded since the window began.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct MmpRow {
    pub qty_max: u64,
    pub notional_max: u64,
    pub window: u64,
    pub begun: u64,
    pub qty: u64,
    pub notional: u64,
    pub account: u32,
    pub trades_max: u32,
    pub trades: u32,
}

impl Parties {
    /// Every number up to the highest.
    pub fn participant_rows(&self) -> impl Iterator<Item = ParticipantRow> + '_ {
        self.participants.iter().skip(1).map(|participant| {
            let Participant {
                role,
                killed,
                owned,
                operated,
            } = *participant;
            ParticipantRow {
                owned: owned.0,
                operated: operated.0,
                role: role.map_or(NO_ROLE, Role::byte),
                killed: u8::from(killed == Killed::Yes),
            }
        })
    }

    /// Every valid key, by participant, in the order they were given.
    pub fn key_rows(&self) -> impl Iterator<Item = KeyRow> + '_ {
        let row = |participant: u32, key: &Hash| KeyRow {
            fingerprint: key.0,
            participant,
        };
        let of_one = move |(id, keys): (&ParticipantId, &'_ Vec<Hash>)| {
            let id = id.0;
            keys.iter().map(move |key| row(id, key)).collect::<Vec<_>>()
        };
        self.keys.iter().flat_map(of_one)
    }

    /// Keys that are valid.
    pub fn keys_used(&self) -> usize {
        self.holders.len()
    }

    /// Every fee schedule.
    pub fn schedule_rows(&self) -> impl Iterator<Item = ScheduleRow> + '_ {
        self.schedules.iter().map(|rates| {
            let Rates { taker, maker } = *rates;
            ScheduleRow {
                taker: taker.0,
                maker: maker.0,
            }
        })
    }

    /// Every number up to the highest.
    pub fn account_rows(&self) -> impl Iterator<Item = AccountRow> + '_ {
        let both = self.accounts.iter().zip(&self.files);
        both.skip(1).map(|(account, file)| account_row(account, file))
    }

    /// Registers the participant of the next number, or leaves the number free.
    pub fn restore_participant(&mut self, row: &ParticipantRow) -> Result<(), BadSnapshot> {
        let kind = SectionKind::Participants;
        if self.participants.is_empty() {
            self.participants.push(NOBODY);
        }
        let role = match row.role {
            NO_ROLE => None,
            byte => match Role::from_byte(byte).filter(|role| *role != Role::House) {
                Some(role) => Some(role),
                None => return bad(kind, "an unknown role"),
            },
        };
        let killed = match (row.killed, role) {
            (0, _) => Killed::No,
            (1, Some(_)) => Killed::Yes,
            _ => return bad(kind, "a kill switch that is neither thrown nor released"),
        };
        if self.participants.len() > index(self.participants_max) {
            return bad(kind, "more participants than there is room for");
        }
        self.killed += u32::from(killed == Killed::Yes);
        self.participants.push(Participant {
            role,
            killed,
            owned: AccountId(row.owned),
            operated: AccountId(row.operated),
        });
        Ok(())
    }

    /// Gives a participant a key.
    pub fn restore_key(&mut self, row: &KeyRow) -> Result<(), BadSnapshot> {
        let key = SetKey {
            participant: ParticipantId(row.participant),
            purpose: KeyPurpose::Session,
            state: KeyState::Valid,
            reserved: Reserved::ZERO,
            fingerprint: Hash(row.fingerprint),
        };
        match self.admit_key(&key) {
            Ok(()) => self.set_key(&key),
            Err(reason) => return bad(SectionKind::Keys, format!("a key that was never given: {reason}")),
        }
        assert!(self.keys[&key.participant].len() <= KEYS_MAX);
        Ok(())
    }

    /// Sets the rates of the schedule of this number.
    pub fn restore_schedule(&mut self, number: usize, row: &ScheduleRow) -> Result<(), BadSnapshot> {
        let allowed = -PPM_MAX..=PPM_MAX;
        let both = allowed.contains(&row.taker) && allowed.contains(&row.maker);
        match (self.schedules.get_mut(number), both) {
            (Some(rates), true) => {
                (rates.taker, rates.maker) = (Ppm(row.taker), Ppm(row.maker));
                Ok(())
            }
            _ => bad(SectionKind::Schedules, format!("schedule {number}")),
        }
    }

    /// Whether rebates may have been promised to any order, which no schedule in force may say any more.
    pub fn restore_rebates(&mut self, promised: Rebates) {
        self.rebates = promised;
    }

    /// Opens the account of the next number, or leaves the number free.
    pub fn restore_account(&mut self, row: &AccountRow) -> Result<(), BadSnapshot> {
        let kind = SectionKind::Accounts;
        if self.accounts.is_empty() {
            self.accounts.push(UNOPENED);
            self.files.push(EMPTY_FILE);
        }
        let freeze = match row.freeze {
            0 => Freeze::None,
            1 => Freeze::Placed,
            2 => Freeze::Lifting,
            _ => return bad(kind, "an unknown state of its freeze"),
        };
        if self.accounts.len() > index(self.accounts_max)
            || index(row.schedule.into()) >= self.schedules.len()
        {
            return bad(
                kind,
                "more accounts than there is room for, or an unknown fee schedule",
            );
        }
        let account = Account {
            owner: ParticipantId(row.owner),
            actor: ParticipantId(row.actor),
            open_orders_max: Count(row.open_orders_max),
            order_qty_max: Qty(row.order_qty_max),
            newest_order: row.newest_order,
            order_notional_max: Amount(row.order_notional_max),
            open_notional_max: Amount(row.open_notional_max),
            schedule: ScheduleId(row.schedule),
            freeze,
            duties: Duties(row.duties),
            ..UNOPENED
        };
        let exposure = Exposure {
            position_max: Amount(row.position_max),
            daily_max: Amount(row.daily_max),
            traded: Amount(row.traded),
            day: row.traded_on,
            since: Seq(row.limited_since),
        };
        let limited = row.position_max > 0 || row.daily_max > 0;
        let protected = !account.duties.has(Duties::TRIPPED) || account.duties.has(Duties::PROTECTED);
        if !Duties::ALL.has(account.duties) || account.duties.has(Duties::LIMITED) != limited || !protected {
            return bad(kind, "what is asked of it besides");
        }
        let is_open = self.participant(account.owner).is_ok() && self.participant(account.actor).is_ok();
        let is_free = account.owner.is_zero() && account.actor.is_zero() && account.newest_order == NIL;
        if !is_open && !is_free {
            return bad(kind, "an account of nobody");
        }
        self.accounts.push(account);
        self.files.push(AccountFile {
            case: CaseId(row.case),
            newest_row: 0,
            older_owned: AccountId(row.older_owned),
            older_operated: AccountId(row.older_operated),
            exposure,
        });
        Ok(())
    }

    /// Every protection, by account.
    pub fn mmp_rows(&self) -> impl Iterator<Item = MmpRow> + '_ {
        self.mmps.iter().map(|(account, mmp)| {
            let Mmp {
                trades_max,
                qty_max,
                notional_max,
                window,
                begun,
                trades,
                qty,
                notional,
            } = *mmp;
            MmpRow {
                qty_max: qty_max.0,
                notional_max: notional_max.0,
                window: window.0,
                begun: begun.0,
                qty: qty.0,
                notional: notional.0,
                account: account.0,
                trades_max: trades_max.0,
                trades: trades.0,
            }
        })
    }

    /// Protects an account that says it is; `now` is the exchange's time.
    pub fn restore_mmp(&mut self, row: &MmpRow, now: Nanos) -> Result<(), BadSnapshot> {
        let id = AccountId(row.account);
        let is_protected = self
            .account(id)
            .is_ok_and(|account| account.duties.has(Duties::PROTECTED));
        let limited = row.trades_max > 0 || row.qty_max > 0 || row.notional_max > 0;
        let right = is_protected && limited && row.window > 0 && row.begun <= now.0;
        let mmp = Mmp {
            trades_max: Count(row.trades_max),
            qty_max: Amount(row.qty_max),
            notional_max: Amount(row.notional_max),
            window: Nanos(row.window),
            begun: Nanos(row.begun),
            trades: Count(row.trades),
            qty: Amount(row.qty),
            notional: Amount(row.notional),
        };
        if !right || self.mmps.len() >= MMPS_MAX || self.mmps.insert(id, mmp).is_some() {
            return bad(SectionKind::Protections, format!("account {id}"));
        }
        Ok(())
    }

    /// Says whether every account that is protected has its protection.
    pub fn check_protections(&self) -> Result<(), BadSnapshot> {
        let is_protected = |account: &&Account| account.duties.has(Duties::PROTECTED);
        match self.accounts.iter().filter(is_protected).count() == self.mmps.len() {
            true => Ok(()),
            false => bad(SectionKind::Protections, "an account's is missing"),
        }
    }

    /// Walks every participant's lists: each account stands once in its owner's and once in its actor's.
    pub fn check_lists(&self) -> Result<(), BadSnapshot> {
        let (mut owned, mut operated) = (0_usize, 0_usize);
        for (id, participant) in (0_u32..).zip(&self.participants) {
            let owns = |account: &Account| account.owner.0 == id;
            let acts = |account: &Account| account.actor.0 == id;
            owned += self.walk(participant.owned, owns, |file| file.older_owned)?;
            operated += self.walk(participant.operated, acts, |file| file.older_operated)?;
        }
        let open = self.account_ids().count();
        match (owned, operated) == (open, open) {
            true => Ok(()),
            false => bad(SectionKind::Accounts, "an account stands in no list, or in two"),
        }
    }

    fn walk(
        &self,
        newest: AccountId,
        is_its: impl Fn(&Account) -> bool,
        older: impl Fn(&AccountFile) -> AccountId,
    ) -> Result<usize, BadSnapshot> {
        let (mut at, mut count) = (newest, 0);
        while !at.is_zero() {
            let found = self.account(at).is_ok_and(&is_its);
            if !found || count > self.accounts.len() {
                return bad(SectionKind::Accounts, "a list of accounts that leads elsewhere");
            }
            (at, count) = (older(self.file(at)), count + 1);
        }
        Ok(count)
    }
}

fn account_row(account: &Account, file: &AccountFile) -> AccountRow {
    let Account {
        owner,
        actor,
        open_orders: _,
        open_orders_max,
        order_qty_max,
        newest_order,
        open_notional: _,
        order_notional_max,
        open_notional_max,
        // What was looked up last is only quicker found again.
        recent_coupon: _,
        recent_coupon_row: _,
        recent_cash_row: _,
        schedule,
        freeze,
        duties,
    } = *account;
    let AccountFile {
        case,
        newest_row: _,
        older_owned,
        older_operated,
        exposure,
    } = *file;
    let Exposure {
        position_max,
        daily_max,
        traded,
        day,
        since,
    } = exposure;
    AccountRow {
        order_notional_max: order_notional_max.0,
        open_notional_max: open_notional_max.0,
        position_max: position_max.0,
        daily_max: daily_max.0,
        traded: traded.0,
        limited_since: since.0,
        case: case.0,
        owner: owner.0,
        actor: actor.0,
        open_orders_max: open_orders_max.0,
        order_qty_max: order_qty_max.0,
        newest_order,
        older_owned: older_owned.0,
        older_operated: older_operated.0,
        traded_on: day,
        schedule: schedule.0,
        duties: duties.0,
        freeze: match freeze {
            Freeze::None => 0,
            Freeze::Placed => 1,
            Freeze::Lifting => 2,
        },
    }
}
