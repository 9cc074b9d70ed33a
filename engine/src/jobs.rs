//! Larger jobs: a state that stops matching for its scope first, then a bounded piece of work at each tick.

pub(crate) mod rows;

use crate::order::{Details, Marks, NIL, Order, Slot};
use crate::party::Parties;
use std::collections::VecDeque;
use xq_protocol::{
    AccountId, CancelReason, FreezeAction, JobKind, OnDisconnect, ParticipantId, Seq, SeriesId, SessionId,
    Side, Sides,
};

/// Jobs that can go on at once besides one for each session.
pub(crate) const JOBS_SPARE: usize = 1_024;
/// Mass cancels that can go on at once for one participant who acts.
pub(crate) const MASS_CANCELS_MAX: usize = 8;
/// Accounts whose quotes can be protected: each has at most one job that cancels them.
pub(crate) const MMPS_MAX: usize = 1_024;
/// Pieces of work of all jobs together at one tick, and of one job in the command that begins it.
pub(crate) const PIECES_MAX: u32 = 1_024;

/// Whose orders a job cancels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One account's.
    Account(AccountId),
    /// All accounts' that the participant's sessions act for.
    Operated(ParticipantId),
    /// The same, and all accounts' that it owns.
    Participant(ParticipantId),
    /// All that a session placed, but those that persist.
    Session(SessionId),
    /// One series'.
    Series(SeriesId),
    /// One account's quotes.
    Quotes(AccountId),
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// At this order of this account, walking to older ones; then at older accounts of the list.
    Orders {
        account: AccountId,
        order: Slot,
        list: List,
    },
    /// At the best order of either side of a series.
    Book,
    /// At this ledger row of the account, walking to older ones.
    Rows { row: u32 },
    /// At the end.
    Done,
}

/// Which list of accounts a job walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    /// Only the one.
    Single,
    /// Those a participant's sessions act for.
    Operated,
    /// Those that list, then those it owns.
    OperatedThenOwned,
    /// Those it owns.
    Owned,
}

/// A larger job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub kind: JobKind,
    pub scope: Scope,
    /// Only this series' orders; zero for all.
    pub series: SeriesId,
    /// Only these sides'.
    pub sides: Sides,
    /// The command that began it: only orders placed before are meant.
    pub began: Seq,
    pub cursor: Cursor,
    pub canceled: u32,
}

impl Job {
    /// A job that cancels all orders of a scope.
    pub fn cancel(kind: JobKind, scope: Scope, began: Seq, parties: &Parties) -> Job {
        let walk = |account: AccountId, list: List| {
            let order = parties.account(account).map_or(NIL, |a| a.newest_order);
            Cursor::Orders { account, order, list }
        };
        let operated = |id: ParticipantId, list: List| {
            walk(
                parties.participant(id).map_or(AccountId::ZERO, |p| p.operated),
                list,
            )
        };
        let cursor = match scope {
            Scope::Account(account) => walk(account, List::Single),
            Scope::Operated(id) => operated(id, List::Operated),
            Scope::Participant(id) => operated(id, List::OperatedThenOwned),
            Scope::Session(session) => operated(session.participant(), List::Operated),
            Scope::Series(_) => Cursor::Book,
            Scope::Quotes(account) => walk(account, List::Single),
        };
        Job {
            kind,
            scope,
            series: SeriesId::ZERO,
            sides: Sides::Both,
            began,
            cursor,
            canceled: 0,
        }
    }

    /// Says whether an order is one that this job cancels.
    pub fn means(&self, order: &Order, details: &Details, parties: &Parties) -> bool {
        let account = AccountId(order.account);
        let in_scope = match self.scope {
            Scope::Account(id) => account == id,
            Scope::Operated(id) => parties.account(account).is_ok_and(|a| a.actor == id),
            Scope::Participant(id) => parties
                .account(account)
                .is_ok_and(|a| a.actor == id || a.owner == id),
            Scope::Session(id) => details.session == id.0 && details.on_disconnect == OnDisconnect::Cancel,
            Scope::Series(id) => order.series == id.0,
            Scope::Quotes(id) => account == id && order.marks.has(Marks::QUOTE),
        };
        let on_side = match self.sides {
            Sides::Both => true,
            Sides::Buys => order.side == Side::Buy,
            Sides::Sells => order.side == Side::Sell,
        };
        let of_series = self.series.is_zero() || order.series == self.series.0;
        self.reason().is_some() && in_scope && on_side && of_series && self.is_meant(details)
    }

    /// Whether an order was there when the job began. What a quote placed in the very command that set its protection off
    /// goes, too.
    fn is_meant(&self, details: &Details) -> bool {
        let began = self.began.0 + u64::from(self.kind == JobKind::Protection);
        details.seq < began
    }

    /// Why its orders are cancelled; none when it cancels none.
    pub fn reason(&self) -> Option<CancelReason> {
        match self.kind {
            JobKind::MassCancel => Some(CancelReason::MassCancel),
            JobKind::Disconnect => Some(CancelReason::Disconnect),
            JobKind::KillSwitch => Some(CancelReason::KillSwitch),
            JobKind::Freeze => Some(CancelReason::Freeze),
            JobKind::Expiry => Some(CancelReason::Expired),
            JobKind::Protection => Some(CancelReason::Protection),
            JobKind::Lift => None,
        }
    }

    /// Whether it moves its account's balances after the orders are gone, and which way.
    pub fn moves(&self) -> Option<FreezeAction> {
        match self.kind {
            JobKind::Freeze => Some(FreezeAction::Place),
            JobKind::Lift => Some(FreezeAction::Lift),
            JobKind::MassCancel
            | JobKind::Disconnect
            | JobKind::KillSwitch
            | JobKind::Expiry
            | JobKind::Protection => None,
        }
    }

    /// The walk after the last order of an account.
    pub fn next_account(&self, account: AccountId, list: List, parties: &Parties) -> Cursor {
        let from = |next: AccountId, list: List| match parties.account(next) {
            Ok(found) => Cursor::Orders {
                account: next,
                order: found.newest_order,
                list,
            },
            Err(_) => Cursor::Done,
        };
        let here = parties.file(account);
        match list {
            List::Single => Cursor::Done,
            List::Operated => from(here.older_operated, list),
            List::Owned => from(here.older_owned, list),
            List::OperatedThenOwned => {
                let next = here.older_operated;
                match (next, self.scope) {
                    (AccountId::ZERO, Scope::Participant(id)) => from(
                        parties.participant(id).map_or(AccountId::ZERO, |p| p.owned),
                        List::Owned,
                    ),
                    (next, _) => from(next, list),
                }
            }
        }
    }
}

/// The jobs that go on, the oldest first.
pub(crate) struct Jobs {
    going: VecDeque<Job>,
    max: usize,
}

/// Jobs that there can be: kill switches and freezes, mass cancels beside them, one for each session and protection.
fn max_of(sessions_max: usize) -> usize {
    sessions_max + JOBS_SPARE + JOBS_SPARE / 2 + MMPS_MAX
}

impl Jobs {
    /// Room for one job a session and some more.
    pub fn new(sessions_max: usize) -> Jobs {
        Jobs {
            going: VecDeque::with_capacity(max_of(sessions_max)),
            max: max_of(sessions_max),
        }
    }
    /// Makes room for so many sessions.
    pub fn grow(&mut self, sessions_max: usize) {
        self.max = max_of(sessions_max);
        self.going.reserve_exact(self.max - self.going.len());
    }
    /// Says whether one more kill switch or freeze can begin: one place a session is kept for its end.
    pub fn has_room(&self) -> bool {
        self.going.len() < JOBS_SPARE
    }
    /// Says whether one more mass cancel of accounts that this participant acts for can begin. Half of the places are
    /// kept for those who stop others, and nobody has more than a few.
    pub fn has_room_for(&self, actor: ParticipantId, parties: &Parties) -> bool {
        let of_actor = |job: &&Job| match job.scope {
            Scope::Account(id) => parties.account(id).is_ok_and(|account| account.actor == actor),
            Scope::Operated(id) => id == actor,
            Scope::Participant(_) | Scope::Session(_) | Scope::Series(_) | Scope::Quotes(_) => false,
        };
        let mass_cancels = || self.going.iter().filter(|job| job.kind == JobKind::MassCancel);
        mass_cancels().count() < JOBS_SPARE / 2 && mass_cancels().filter(of_actor).count() < MASS_CANCELS_MAX
    }
    /// How many go on.
    #[inline]
    pub fn len(&self) -> usize {
        self.going.len()
    }
    /// Lets a new job go on after all others.
    pub fn add(&mut self, job: Job) {
        assert!(
            self.going.len() < self.max,
            "there is a place for each session's end"
        );
        self.going.push_back(job);
    }
    /// Takes the oldest job, to be worked on.
    pub fn take_oldest(&mut self) -> Option<Job> {
        self.going.pop_front()
    }
    /// Lets the oldest job, which was taken, go on.
    pub fn put_back(&mut self, job: Job) {
        self.going.push_front(job);
    }
    /// Says whether a job of this kind and scope goes on.
    pub fn has(&self, kind: JobKind, scope: Scope) -> bool {
        self.going
            .iter()
            .any(|job| job.kind == kind && job.scope == scope)
    }
    /// Why an order will not trade any more, if a job means it.
    pub fn doom(&self, order: &Order, details: &Details, parties: &Parties) -> Option<CancelReason> {
        self.going
            .iter()
            .find(|job| job.means(order, details, parties))
            .and_then(Job::reason)
    }
    /// An order goes: jobs that stand at it step to the account's order placed before it.
    #[inline]
    pub fn step_over(&mut self, slot: Slot, older: Slot) {
        for job in &mut self.going {
            if let Cursor::Orders { order, .. } = &mut job.cursor
                && *order == slot
            {
                *order = older;
            }
        }
    }
}
