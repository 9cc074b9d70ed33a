//! Control: opening the journal, time, sessions, configuration, kill switches, and the work of larger jobs.

use crate::bank_refs::day_number;
use crate::events::Events;
use crate::exchange::{Speaker, Venue};
use crate::floor::{Floor, FloorSize};
use crate::jobs::{Cursor, Job, PIECES_MAX, Scope};
use crate::ledger::Spot;
use crate::order::{NIL, Slot, index};
use crate::party::{Freeze, Killed};
use crate::refusal::{Refusal, beyond};
use crate::rules::Rules;
use crate::series::{AllSeries, HouseBalances};
use crate::session::{Cleanup, Link, Sessions, WINDOW};
use std::collections::BTreeMap;
use xq_protocol::*;

/// Most sessions: each has a window of 64 KiB.
const SESSIONS_MAX: u32 = 1 << 16;
/// Most proposals that can wait: each is looked at when one is approved.
const PROPOSALS_MAX: u32 = 1_024;

fn size(config: &Genesis) -> FloorSize {
    FloorSize {
        participants: config.participants_max.0,
        accounts: config.accounts_max.0,
        balances: config.balances_max.0,
        orders: config.orders_max.0,
        pages: config.level_pages_max.0,
        sessions: config.sessions_max.0,
        series: config.series_max.0,
    }
}

/// Largest capacities: what one machine can hold, so that no configuration can make the exchange run out of memory.
fn capacities_max(config: &Genesis) -> [(Count, u32); 8] {
    [
        (config.participants_max, 1 << 24),
        (config.accounts_max, 1 << 24),
        (config.series_max, 1 << 20),
        (config.balances_max, 1 << 26),
        (config.orders_max, 1 << 25),
        (config.level_pages_max, 1 << 22),
        (config.sessions_max, SESSIONS_MAX),
        (config.bank_refs_max, 1 << 26),
    ]
}

/// Says whether an exchange can be made so.
fn admit_config(config: &Genesis) -> Result<(), Refusal> {
    let proposals = (config.proposals_max, PROPOSALS_MAX);
    for (wanted, max) in capacities_max(config).into_iter().chain([proposals]) {
        if !(1..=max).contains(&wanted.0) {
            return Err(beyond(RejectReason::Capacity, wanted.0.into(), max.into()));
        }
    }
    Ok(())
}

impl Venue {
    /// Opens the journal.
    pub(crate) fn open(genesis: &Genesis, now: Nanos, events: &mut Events) -> Result<Venue, Refusal> {
        let venue = Venue::empty(genesis, now)?;
        events.emit(&ExchangeOpened {
            journal_id: genesis.journal_id,
            rules_version: genesis.rules_version,
            reserved: Reserved::ZERO,
            currencies: genesis.currencies,
        });
        Ok(venue)
    }

    /// A venue of this configuration with nothing in it but the house's balances.
    pub(crate) fn empty(genesis: &Genesis, now: Nanos) -> Result<Venue, Refusal> {
        admit_config(genesis)?;
        let admitted = genesis.currencies.0.iter().filter(|c| !c.is_zero());
        let known = genesis
            .currencies
            .0
            .iter()
            .all(|c| c.is_zero() || c.exponent().is_some());
        if Rules::of(genesis.rules_version).is_none() || !known || admitted.clone().count() == 0 {
            return Err(RejectReason::Terms.into());
        }
        let mut floor = Floor::new(size(genesis));
        floor.now = now;
        let mut house = BTreeMap::new();
        for currency in admitted {
            // Before its balances are opened: each place is opened once.
            if house.contains_key(currency) {
                return Err(RejectReason::Terms.into());
            }
            let asset = AssetId::from(*currency);
            let mut open = |place| floor.ledger.open_system(place, asset);
            let balances = HouseBalances {
                custody: open(Place::Custody),
                fees: open(Place::Fees),
                rebates: open(Place::Rebates),
            };
            house.insert(*currency, balances);
        }
        let series = AllSeries::new(genesis.series_max.0);
        let sessions = Sessions::new(genesis.sessions_max.0);
        Ok(Venue::new(*genesis, floor, series, sessions, house))
    }

    /// Lets time pass.
    pub(crate) fn tick(&mut self, events: &mut Events) -> Result<(), Refusal> {
        let now = self.floor.now;
        while let Some(proposal) = self.proposals.take_expired(now) {
            events.emit(&ProposalExpired { proposal });
        }
        self.end_grace();
        let mut pieces = PIECES_MAX;
        self.work_on_jobs(&mut pieces, events);
        self.reopen_series(events);
        self.go_on_with_stops(events);
        self.sweep_expired(pieces, events);
        if !self.reopen_at.is_zero() && now >= self.reopen_at {
            self.reopen_at = Nanos::ZERO;
            self.phase = Phase::Continuous;
            events.emit(&PhaseSet {
                series: SeriesId::ZERO,
                phase: self.phase,
                reserved: Reserved::ZERO,
            });
        }
        let jobs = Count(u32::try_from(self.floor.jobs.len()).expect("jobs are few"));
        events.emit(&TimeAdvanced {
            now,
            jobs,
            open_orders: Count(self.floor.orders.live()),
        });
        Ok(())
    }

    /// Sessions whose grace is over lose their orders from here on; as many as one tick may.
    fn end_grace(&mut self) {
        if self.sessions.ending() == 0 {
            return;
        }
        let mut begun = 0;
        for place in self.sessions.places() {
            let session = *self.sessions.at(place);
            let is_over = !session.cancel_at.is_zero() && session.cancel_at <= self.floor.now;
            // A job of its last end that still goes on means none of the orders placed since: this end waits for it.
            if is_over && session.cleanup == Cleanup::None && begun < PIECES_MAX {
                begun += 1;
                self.sessions.stay(place);
                self.sessions.set_cleanup(place, Cleanup::Goes);
                self.floor.jobs.add(Job::cancel(
                    JobKind::Disconnect,
                    Scope::Session(session.id),
                    self.floor.seq,
                    &self.floor.parties,
                ));
            }
        }
    }

    fn work_on_jobs(&mut self, pieces: &mut u32, events: &mut Events) {
        while *pieces > 0
            && let Some(mut job) = self.floor.jobs.take_oldest()
        {
            match self.work(&mut job, pieces, events) {
                Progress::Continues => self.floor.jobs.put_back(job),
                Progress::Done => self.end_job(&job, events),
            }
        }
    }

    fn end_job(&mut self, job: &Job, events: &mut Events) {
        if let Scope::Session(id) = job.scope {
            let place = self.sessions.find(id).expect("it was up once");
            self.sessions.set_cleanup(place, Cleanup::None);
        }
        events.emit(&JobEnded {
            began: job.began,
            canceled: Count(job.canceled),
            kind: job.kind,
            reserved: Reserved::ZERO,
        });
    }

    /// Works on a job: each order or row looked at is a piece.
    pub(crate) fn work(&mut self, job: &mut Job, pieces: &mut u32, events: &mut Events) -> Progress {
        while *pieces > 0 {
            *pieces -= 1;
            match job.cursor {
                Cursor::Orders {
                    account,
                    order: NIL,
                    list,
                } => {
                    job.cursor = job.next_account(account, list, &self.floor.parties);
                    self.after_orders(job);
                }
                Cursor::Orders { account, order, list } => {
                    let older = self.floor.orders.details(order).older;
                    self.cancel_if_meant(job, order, events);
                    job.cursor = Cursor::Orders {
                        account,
                        order: older,
                        list,
                    };
                }
                Cursor::Book => self.cancel_best(job, events),
                Cursor::Rows { row: 0 } => job.cursor = self.end_of_rows(job),
                Cursor::Rows { row } => {
                    self.move_row(job, row, events);
                    job.cursor = Cursor::Rows {
                        row: self.floor.ledger.older(row),
                    };
                }
                Cursor::Done => return Progress::Done,
            }
        }
        if job.cursor == Cursor::Done {
            Progress::Done
        } else {
            Progress::Continues
        }
    }

    fn cancel_if_meant(&mut self, job: &mut Job, order: Slot, events: &mut Events) {
        let node = self.floor.orders.node(order);
        if !job.means(node, self.floor.orders.details(order), &self.floor.parties) {
            return;
        }
        let reason = job.reason().expect("a job that means an order has a reason");
        let series = self.series.known_mut(node.series);
        self.floor.cancel(series, order, reason, events);
        job.canceled += 1;
    }

    /// Cancels the best order of a series that is killed, the buy side first, then those that wait for their stop.
    fn cancel_best(&mut self, job: &mut Job, events: &mut Events) {
        let Scope::Series(id) = job.scope else {
            unreachable!("only a series has a book to walk")
        };
        let series = self.series.known_mut(id.0);
        let levels = &self.floor.levels;
        let books = [
            &series.bids,
            &series.asks,
            series.stops.ladder(Side::Buy),
            series.stops.ladder(Side::Sell),
        ];
        let best = books.into_iter().find_map(|book| levels.front(book));
        match best {
            Some(order) => {
                self.floor.cancel(series, order, CancelReason::KillSwitch, events);
                job.canceled += 1;
            }
            None => job.cursor = Cursor::Done,
        }
    }

    /// After the last order, a freeze moves the account's balances.
    fn after_orders(&self, job: &mut Job) {
        if job.cursor == Cursor::Done && job.moves().is_some() {
            let Scope::Account(account) = job.scope else {
                unreachable!("a freeze is of one account")
            };
            let row = self.floor.parties.file(account).newest_row;
            job.cursor = Cursor::Rows { row };
        }
    }

    fn move_row(&mut self, job: &Job, row: u32, events: &mut Events) {
        let action = job.moves().expect("only a job that moves balances walks rows");
        let found = *self.floor.ledger.row(row);
        let (from, to, amount) = match action {
            FreezeAction::Place => (Spot::Available(row), Spot::Frozen(row), found.available),
            FreezeAction::Lift => (Spot::Frozen(row), Spot::Available(row), found.frozen),
        };
        if amount.is_zero() {
            return;
        }
        self.floor.ledger.transfer(from, to, amount);
        let (account, asset) = (found.account, found.asset);
        events.emit(&BalanceFrozen {
            account,
            asset,
            amount,
            action,
            reserved: Reserved::ZERO,
        });
    }

    fn end_of_rows(&mut self, job: &Job) -> Cursor {
        let Scope::Account(account) = job.scope else {
            unreachable!("a freeze is of one account")
        };
        if job.kind == JobKind::Lift {
            self.floor.parties.open_account(account).freeze = Freeze::None;
        }
        Cursor::Done
    }

    /// Looks at the next orders for one whose time is over; each is found in the end, and none trades meanwhile.
    fn sweep_expired(&mut self, pieces: u32, events: &mut Events) {
        if self.floor.expiring == 0 {
            return;
        }
        for _ in 0..pieces {
            self.sweep = if self.sweep + 1 >= self.floor.orders.end() {
                1
            } else {
                self.sweep + 1
            };
            let slot = self.sweep;
            if self.floor.orders.is_live(slot) && self.floor.doom(slot) == Some(CancelReason::Expired) {
                let series = self.series.known_mut(self.floor.orders.node(slot).series);
                self.floor.cancel(series, slot, CancelReason::Expired, events);
            }
        }
    }

    /// Begins a business day.
    pub(crate) fn roll_day(&mut self, c: &RollDay, events: &mut Events) -> Result<(), Refusal> {
        if day_number(c.date).is_none() || c.date.0 <= self.floor.day {
            return Err(beyond(
                RejectReason::ValidityPeriod,
                c.date.0.into(),
                self.floor.day.into(),
            ));
        }
        self.floor.day = c.date.0;
        self.busts.roll(self.floor.seq);
        events.emit(&DayRolled {
            date: c.date,
            reserved: Reserved::ZERO,
        });
        Ok(())
    }

    /// Brings a session up.
    pub(crate) fn session_up(
        &mut self,
        speaker: Speaker,
        c: &SessionUp,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let participant = self.floor.parties.participant(speaker.participant())?;
        let role = participant.role.expect("registered, so it has a role");
        if !self.floor.parties.has_key(speaker.participant(), c.fingerprint) {
            return Err(RejectReason::NotAuthorised.into());
        }
        let place = self.sessions.find(speaker.session);
        let last = place.map_or(ConnectionId::ZERO, |place| self.sessions.at(place).connection);
        if c.connection <= last {
            return Err(beyond(RejectReason::StaleRequest, c.connection.0, last.0));
        }
        if place.is_none() && !self.sessions.has_room() {
            return Err(RejectReason::Capacity.into());
        }
        let session = self.sessions.up(speaker.session, role, c.connection);
        let window = Count(u32::try_from(WINDOW).expect("small"));
        let (connection, last_req_seq) = (session.connection, session.last_req_seq);
        events.emit(&SessionEstablished {
            connection,
            last_req_seq,
            window,
            reserved: Reserved::ZERO,
        });
        Ok(())
    }

    /// Takes a session down, unless a newer connection of it is up.
    pub(crate) fn session_down(
        &mut self,
        speaker: Speaker,
        c: &SessionDown,
        events: &mut Events,
    ) -> Result<(), Refusal> {
        let place = self
            .sessions
            .find(speaker.session)
            .ok_or(RejectReason::SessionNotEstablished)?;
        let session = self.sessions.at(place);
        if session.link == Link::Down || session.connection != c.connection {
            return Err(beyond(
                RejectReason::StaleRequest,
                c.connection.0,
                session.connection.0,
            ));
        }
        let cancel_at = self.grace_ends();
        self.sessions.down(place, cancel_at);
        events.emit(&SessionEnded {
            connection: c.connection,
            cancel_at,
        });
        Ok(())
    }

    fn grace_ends(&self) -> Nanos {
        Nanos(
            self.floor
                .now
                .0
                .saturating_add(self.config.disconnect_grace.0)
                .max(1),
        )
    }

    /// The exchange restarted.
    pub(crate) fn all_sessions_down(&mut self, events: &mut Events) -> Result<(), Refusal> {
        let cancel_at = self.grace_ends();
        let mut ended = 0;
        for place in self.sessions.places() {
            if self.sessions.at(place).link == Link::Up {
                self.sessions.down(place, cancel_at);
                ended += 1;
            }
        }
        // A venue that an operator closed or halted stays so; one that was to reopen waits again.
        if self.phase == Phase::Continuous || !self.reopen_at.is_zero() {
            self.phase = Phase::Halt;
            self.reopen_at = Nanos(self.floor.now.0.saturating_add(self.config.reopen_after.0).max(1));
        }
        let (sessions, reopen_at) = (Count(ended), self.reopen_at);
        events.emit(&SessionsEnded {
            sessions,
            reserved: Reserved::ZERO,
            cancel_at,
            reopen_at,
        });
        Ok(())
    }

    /// Changes the configuration; capacities only grow.
    pub(crate) fn set_config(&mut self, c: &SetConfig, events: &mut Events) -> Result<(), Refusal> {
        let old = self.config;
        let new = Genesis {
            participants_max: c.participants_max,
            accounts_max: c.accounts_max,
            series_max: c.series_max,
            balances_max: c.balances_max,
            orders_max: c.orders_max,
            sessions_max: c.sessions_max,
            level_pages_max: c.level_pages_max,
            bank_refs_max: c.bank_refs_max,
            proposal_ttl: c.proposal_ttl,
            reopen_after: c.reopen_after,
            disconnect_grace: c.disconnect_grace,
            ..old
        };
        admit_config(&new)?;
        let shrunk = capacities_max(&new)
            .into_iter()
            .zip(capacities_max(&old))
            .find(|((new, _), (old, _))| new < old);
        if let Some(((new, _), (old, _))) = shrunk {
            return Err(beyond(RejectReason::Capacity, new.0.into(), old.0.into()));
        }
        self.config = new;
        self.floor.grow(size(&new));
        self.series.grow(new.series_max.0);
        self.stirred
            .reserve_exact(index(new.series_max.0) - self.stirred.len());
        self.sessions.grow(new.sessions_max.0);
        self.bank_refs.grow(index(new.bank_refs_max.0));
        events.emit(&ConfigSet {
            participants_max: c.participants_max,
            accounts_max: c.accounts_max,
            series_max: c.series_max,
            balances_max: c.balances_max,
            orders_max: c.orders_max,
            sessions_max: c.sessions_max,
            level_pages_max: c.level_pages_max,
            bank_refs_max: c.bank_refs_max,
            proposal_ttl: c.proposal_ttl,
            reopen_after: c.reopen_after,
            disconnect_grace: c.disconnect_grace,
        });
        Ok(())
    }

    /// Throws or releases a kill switch.
    pub(crate) fn kill_switch(&mut self, c: &KillSwitch, events: &mut Events) -> Result<(), Refusal> {
        let scope = match c.target {
            KillTarget::Participant => {
                self.floor.parties.participant(c.participant)?;
                Scope::Participant(c.participant)
            }
            KillTarget::Series => {
                self.series.get(c.series)?;
                Scope::Series(c.series)
            }
        };
        if self.floor.jobs.has(JobKind::KillSwitch, scope) {
            return Err(RejectReason::TooLate.into());
        }
        let killed = match c.state {
            SwitchState::Engaged => Killed::Yes,
            SwitchState::Released => Killed::No,
        };
        if killed == Killed::Yes && !self.floor.jobs.has_room() {
            return Err(RejectReason::Capacity.into());
        }
        match scope {
            Scope::Series(id) => self.series.known_mut(id.0).killed = killed,
            Scope::Participant(id) => self.floor.parties.set_killed(id, killed),
            Scope::Account(_) | Scope::Operated(_) | Scope::Session(_) | Scope::Quotes(_) => {
                unreachable!("it aims at one of two")
            }
        }
        events.emit(&KillSwitchSet {
            participant: c.participant,
            series: c.series,
            target: c.target,
            state: c.state,
            reserved: Reserved::ZERO,
        });
        if killed == Killed::Yes {
            self.begin(
                Job::cancel(JobKind::KillSwitch, scope, self.floor.seq, &self.floor.parties),
                events,
            );
        }
        Ok(())
    }

    /// Places or lifts an account's freeze.
    pub(crate) fn set_freeze(&mut self, c: &SetFreeze, events: &mut Events) -> Result<(), Refusal> {
        let account = self.floor.parties.account(c.account)?;
        let scope = Scope::Account(c.account);
        if !self.floor.jobs.has_room() {
            return Err(RejectReason::Capacity.into());
        }
        let (kind, state) = match (c.action, account.freeze) {
            (FreezeAction::Place, Freeze::None) => (JobKind::Freeze, Freeze::Placed),
            (FreezeAction::Place, Freeze::Placed | Freeze::Lifting) => {
                return Err(RejectReason::FreezeExists.into());
            }
            (FreezeAction::Lift, Freeze::Placed) if self.floor.parties.file(c.account).case == c.case => {
                (JobKind::Lift, Freeze::Lifting)
            }
            (FreezeAction::Lift, Freeze::None | Freeze::Placed | Freeze::Lifting) => {
                return Err(RejectReason::FreezeUnknown.into());
            }
        };
        if self.floor.jobs.has(JobKind::Freeze, scope) {
            return Err(RejectReason::FreezeExists.into());
        }
        self.floor.parties.open_account(c.account).freeze = state;
        self.floor.parties.file_mut(c.account).case = c.case;
        events.emit(&FreezeSet {
            account: c.account,
            action: c.action,
            reserved: Reserved::ZERO,
            case: c.case,
        });
        let job = Job::cancel(kind, scope, self.floor.seq, &self.floor.parties);
        let rows = Cursor::Rows {
            row: self.floor.parties.file(c.account).newest_row,
        };
        let cursor = if kind == JobKind::Lift { rows } else { job.cursor };
        self.begin(Job { cursor, ..job }, events);
        Ok(())
    }
}
