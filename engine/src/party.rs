//! Participants and accounts: who there is, who acts for whom, within which limits.

pub(crate) mod rows;

use crate::exposure::Exposure;
use crate::ledger::RowId;
use crate::matching::Meets;
use crate::order::{Marks, NIL, Slot, index};
use crate::quotes::Mmp;
use std::collections::BTreeMap;
use xq_protocol::{
    AccountId, Amount, AssetId, CaseId, Count, Hash, KeyState, ParticipantId, Ppm, Qty, RejectReason, Role,
    ScheduleId, SetKey,
};

/// Most keys of a participant that are valid at once.
const KEYS_MAX: usize = 2;
/// Fee schedules there are.
pub(crate) const SCHEDULES: usize = 256;

/// A participant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Participant {
    /// None until it is registered.
    pub role: Option<Role>,
    /// Whether its kill switch is thrown.
    pub killed: Killed,
    /// The newest account that it owns.
    pub owned: AccountId,
    /// The newest account that its sessions act for.
    pub operated: AccountId,
}

/// Whether a kill switch is thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    No,
    Yes,
}

/// Whether an account is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Freeze {
    /// It is free.
    None,
    /// It is frozen.
    Placed,
    /// Its freeze is being lifted.
    Lifting,
}

/// An account, as far as orders read it: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Account {
    /// Zero until it is opened.
    pub owner: ParticipantId,
    /// Whose sessions act for it.
    pub actor: ParticipantId,
    /// Orders open.
    pub open_orders: u32,
    /// Zero for no limit.
    pub open_orders_max: Count,
    /// Zero for no limit.
    pub order_qty_max: Qty,
    /// Its newest order.
    pub newest_order: Slot,
    /// Price × quantity of its open orders.
    pub open_notional: Amount,
    /// Zero for no limit.
    pub order_notional_max: Amount,
    /// Zero for no limit.
    pub open_notional_max: Amount,
    /// The coupon that its last order was for.
    pub recent_coupon: AssetId,
    /// Its row of that coupon; 0 before its first order.
    pub recent_coupon_row: RowId,
    /// Its row of the currency that its last order was in; 0 before its first order.
    pub recent_cash_row: RowId,
    /// Its fees.
    pub schedule: ScheduleId,
    /// Whether it is frozen.
    pub freeze: Freeze,
    /// What besides is asked of it.
    pub duties: Duties,
}

const _: () = assert!(size_of::<Account>() == 64);

/// What is asked of few accounts, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Duties(u8);

impl Duties {
    /// Nothing.
    pub const NONE: Duties = Duties(0);
    /// Its quotes are protected: what they trade is counted.
    pub const PROTECTED: Duties = Duties(1);
    /// Its protection was set off.
    pub const TRIPPED: Duties = Duties(1 << 1);
    /// It has limits of position or of the day.
    pub const LIMITED: Duties = Duties(Marks::COUNTED.byte());

    /// All of these.
    pub const ALL: Duties = Duties(Duties::PROTECTED.0 | Duties::TRIPPED.0 | Duties::LIMITED.0);

    /// Says whether it has all of these.
    #[inline(always)]
    pub fn has(self, duties: Duties) -> bool {
        self.0 & duties.0 == duties.0
    }
    /// How its orders are marked: what those of a limited account trade is counted.
    #[inline(always)]
    pub fn marks(self) -> Marks {
        Marks::of_byte(self.0 & Duties::LIMITED.0)
    }
    /// With these too.
    pub fn with(self, duties: Duties) -> Duties {
        Duties(self.0 | duties.0)
    }
    /// Without these.
    pub fn without(self, duties: Duties) -> Duties {
        Duties(self.0 & !duties.0)
    }
}

/// What orders do not read of an account.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountFile {
    /// The case under which it is frozen.
    pub case: CaseId,
    /// Its newest ledger row.
    pub newest_row: RowId,
    /// The account of the same owner opened before it.
    pub older_owned: AccountId,
    /// The account of the same actor opened before it.
    pub older_operated: AccountId,
    /// Its limits of position and of the day.
    pub exposure: Exposure,
}

const NOBODY: Participant = Participant {
    role: None,
    killed: Killed::No,
    owned: AccountId::ZERO,
    operated: AccountId::ZERO,
};

const UNOPENED: Account = Account {
    owner: ParticipantId::ZERO,
    actor: ParticipantId::ZERO,
    open_orders: 0,
    open_orders_max: Count::ZERO,
    order_qty_max: Qty::ZERO,
    newest_order: NIL,
    open_notional: Amount::ZERO,
    order_notional_max: Amount::ZERO,
    open_notional_max: Amount::ZERO,
    recent_coupon: AssetId::ZERO,
    recent_coupon_row: 0,
    recent_cash_row: 0,
    schedule: ScheduleId::ZERO,
    freeze: Freeze::None,
    duties: Duties::NONE,
};

static EMPTY_FILE: AccountFile = AccountFile {
    case: CaseId::ZERO,
    newest_row: 0,
    older_owned: AccountId::ZERO,
    older_operated: AccountId::ZERO,
    exposure: Exposure::NONE,
};

/// Rates of a fee schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub taker: Ppm,
    pub maker: Ppm,
}

impl Rates {
    /// The higher of the rates that a buy order may come to pay: one that meets nothing rests and pays as maker.
    #[inline]
    pub fn worst(self, meets: Meets) -> Ppm {
        match meets {
            Meets::Orders => self.taker.max(self.maker),
            Meets::Nothing => self.maker,
        }
    }
}

/// Whether rebates may have been promised to any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rebates {
    Never,
    Promised,
}

/// Every participant and account; numbers are places.
pub(crate) struct Parties {
    participants: Vec<Participant>,
    accounts: Vec<Account>,
    files: Vec<AccountFile>,
    keys: BTreeMap<ParticipantId, Vec<Hash>>,
    /// Whose each valid key is: nobody's key is another's.
    holders: BTreeMap<Hash, ParticipantId>,
    schedules: Vec<Rates>,
    /// The protection of accounts that quote.
    pub mmps: BTreeMap<AccountId, Mmp>,
    /// Participants whose kill switch is thrown.
    killed: u32,
    /// Whether a schedule ever had a negative rate.
    rebates: Rebates,
    participants_max: u32,
    accounts_max: u32,
}

/// Bytes of a participant, and of an account.
pub(crate) const PARTICIPANT_BYTES: usize = size_of::<Participant>();
pub(crate) const ACCOUNT_BYTES: usize = size_of::<Account>() + size_of::<AccountFile>();

impl Parties {
    /// Room for numbers 1 to these.
    pub fn new(participants_max: u32, accounts_max: u32) -> Parties {
        let mut parties = Parties {
            participants: Vec::new(),
            accounts: Vec::new(),
            files: Vec::new(),
            keys: BTreeMap::new(),
            holders: BTreeMap::new(),
            schedules: vec![
                Rates {
                    taker: Ppm::ZERO,
                    maker: Ppm::ZERO
                };
                SCHEDULES
            ],
            mmps: BTreeMap::new(),
            killed: 0,
            rebates: Rebates::Never,
            participants_max: 0,
            accounts_max: 0,
        };
        parties.grow(participants_max, accounts_max);
        parties
    }

    /// Makes room for numbers 1 to these.
    pub fn grow(&mut self, participants_max: u32, accounts_max: u32) {
        assert!(participants_max >= self.participants_max && accounts_max >= self.accounts_max);
        let participants = index(participants_max) + 1;
        let accounts = index(accounts_max) + 1;
        self.participants
            .reserve_exact(participants.saturating_sub(self.participants.len()));
        self.accounts
            .reserve_exact(accounts.saturating_sub(self.accounts.len()));
        self.files
            .reserve_exact(accounts.saturating_sub(self.files.len()));
        (self.participants_max, self.accounts_max) = (participants_max, accounts_max);
    }

    /// The highest number of a participant.
    pub fn participants_used(&self) -> usize {
        self.participants.len().saturating_sub(1)
    }
    /// The highest number of an account.
    pub fn accounts_used(&self) -> usize {
        self.accounts.len().saturating_sub(1)
    }
    /// The participant, if it is registered.
    #[inline]
    pub fn participant(&self, id: ParticipantId) -> Result<&Participant, RejectReason> {
        let found = self.participants.get(index(id.0)).filter(|p| p.role.is_some());
        found.ok_or(RejectReason::UnknownParticipant)
    }
    /// The account, if it is open.
    #[inline]
    pub fn account(&self, id: AccountId) -> Result<&Account, RejectReason> {
        self.accounts
            .get(index(id.0))
            .filter(|a| !a.owner.is_zero())
            .ok_or(RejectReason::UnknownAccount)
    }
    /// An account that is known to be open.
    #[inline]
    pub fn open_account(&mut self, id: AccountId) -> &mut Account {
        &mut self.accounts[index(id.0)]
    }
    /// What besides is asked of an account that is known to be open.
    pub fn duties(&self, id: AccountId) -> Duties {
        self.accounts[index(id.0)].duties
    }
    /// Says whether this participant's kill switch is thrown.
    #[inline]
    pub fn is_killed(&self, id: ParticipantId) -> bool {
        self.killed > 0 && self.participant(id).is_ok_and(|p| p.killed == Killed::Yes)
    }
    /// Throws or releases the kill switch of a participant that is known to be registered.
    pub fn set_killed(&mut self, id: ParticipantId, killed: Killed) {
        let before = std::mem::replace(&mut self.registered(id).killed, killed);
        self.killed -= u32::from(before == Killed::Yes);
        self.killed += u32::from(killed == Killed::Yes);
    }
    /// What orders do not read of an account; of one that is not open, nothing.
    pub fn file(&self, id: AccountId) -> &AccountFile {
        self.files.get(index(id.0)).unwrap_or(&EMPTY_FILE)
    }
    /// The same of an account that is known to be open, to be changed.
    pub fn file_mut(&mut self, id: AccountId) -> &mut AccountFile {
        &mut self.files[index(id.0)]
    }
    /// A participant that is known to be registered.
    fn registered(&mut self, id: ParticipantId) -> &mut Participant {
        &mut self.participants[index(id.0)]
    }
    /// The role of whoever speaks; the house is no participant.
    #[inline]
    pub fn role(&self, id: ParticipantId) -> Result<Role, RejectReason> {
        match id {
            ParticipantId::ZERO => Ok(Role::House),
            id => self
                .participant(id)
                .map(|p| p.role.expect("registered, so it has a role")),
        }
    }
    /// The rates of a schedule.
    #[inline]
    pub fn rates(&self, schedule: ScheduleId) -> Rates {
        self.schedules[usize::from(schedule.0)]
    }
    /// Whether rebates may have been promised to any order.
    #[inline]
    pub fn rebates(&self) -> Rebates {
        self.rebates
    }
    /// Sets the rates of a schedule.
    pub fn set_rates(&mut self, schedule: ScheduleId, rates: Rates) {
        if rates.taker < Ppm::ZERO || rates.maker < Ppm::ZERO {
            self.rebates = Rebates::Promised;
        }
        self.schedules[usize::from(schedule.0)] = rates;
    }

    /// Says whether a new participant may have this number.
    pub fn admit_participant(&self, id: ParticipantId) -> Result<(), RejectReason> {
        if id.is_zero() || id.0 > self.participants_max {
            return Err(RejectReason::Capacity);
        }
        match self.participant(id) {
            Ok(_) => Err(RejectReason::NotAuthorised),
            Err(_) => Ok(()),
        }
    }
    /// Registers a participant that was admitted.
    pub fn register(&mut self, id: ParticipantId, role: Role) {
        if self.participants.len() <= index(id.0) {
            self.participants.resize(index(id.0) + 1, NOBODY);
        }
        let participant = &mut self.participants[index(id.0)];
        assert!(participant.role.is_none(), "admitted, so it is new");
        participant.role = Some(role);
    }

    /// Says whether a new account may have this number.
    pub fn admit_account(&self, id: AccountId) -> Result<(), RejectReason> {
        if id.is_zero() || id.0 > self.accounts_max {
            return Err(RejectReason::Capacity);
        }
        match self.account(id) {
            Ok(_) => Err(RejectReason::NotAuthorised),
            Err(_) => Ok(()),
        }
    }
    /// Opens an account that was admitted.
    pub fn open(&mut self, id: AccountId, owner: ParticipantId, actor: ParticipantId, schedule: ScheduleId) {
        if self.accounts.len() <= index(id.0) {
            self.accounts.resize(index(id.0) + 1, UNOPENED);
            self.files.resize(index(id.0) + 1, EMPTY_FILE);
        }
        let older_owned = std::mem::replace(&mut self.registered(owner).owned, id);
        let older_operated = std::mem::replace(&mut self.registered(actor).operated, id);
        let account = &mut self.accounts[index(id.0)];
        assert!(account.owner.is_zero(), "admitted, so it is new");
        *account = Account {
            owner,
            actor,
            schedule,
            ..UNOPENED
        };
        self.files[index(id.0)] = AccountFile {
            older_owned,
            older_operated,
            ..EMPTY_FILE
        };
    }

    /// Says whether a key may be set so.
    pub fn admit_key(&self, key: &SetKey) -> Result<(), RejectReason> {
        self.participant(key.participant)?;
        let valid = self.keys.get(&key.participant).map_or(&[][..], Vec::as_slice);
        let known = valid.contains(&key.fingerprint);
        match key.state {
            KeyState::Valid if self.holders.contains_key(&key.fingerprint) => {
                Err(RejectReason::NotAuthorised)
            }
            KeyState::Valid if valid.len() >= KEYS_MAX => Err(RejectReason::Capacity),
            KeyState::Revoked if !known => Err(RejectReason::NotAuthorised),
            KeyState::Valid | KeyState::Revoked => Ok(()),
        }
    }
    /// Sets a key that was admitted.
    pub fn set_key(&mut self, key: &SetKey) {
        let keys = self.keys.entry(key.participant).or_default();
        let holder = match key.state {
            KeyState::Valid => {
                keys.push(key.fingerprint);
                self.holders.insert(key.fingerprint, key.participant)
            }
            KeyState::Revoked => {
                keys.retain(|k| *k != key.fingerprint);
                let holder = self.holders.remove(&key.fingerprint);
                holder.filter(|holder| *holder != key.participant)
            }
        };
        assert!(keys.len() <= KEYS_MAX && holder.is_none());
    }
    /// Says whether the key is valid now.
    pub fn has_key(&self, participant: ParticipantId, fingerprint: Hash) -> bool {
        self.keys
            .get(&participant)
            .is_some_and(|keys| keys.contains(&fingerprint))
    }

    /// Every open account's number.
    pub fn account_ids(&self) -> impl Iterator<Item = AccountId> + '_ {
        (1u32..)
            .zip(self.accounts.iter().skip(1))
            .filter(|(_, a)| !a.owner.is_zero())
            .map(|(id, _)| AccountId(id))
    }
}
