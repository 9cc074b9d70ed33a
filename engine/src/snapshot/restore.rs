//! The state from sections: each row judged as it comes, the laws when all have come.

use super::gathered::{Gathered, Time};
use super::save::VenueRow;
use super::{BadSnapshot, SectionKind, bad, each_row, rows_of};
use crate::bust::BustRow;
use crate::exchange::{Exchange, Venue};
use crate::jobs::{Cursor, Job, Scope};
use crate::ledger::rows::{BalanceRow, SystemRow};
use crate::order::rows::{FreePlaceRow, OrderRow};
use crate::order::{Marks, NIL, Slot};
use crate::party::Rebates;
use crate::party::rows::{AccountRow, KeyRow, MmpRow, ParticipantRow, ScheduleRow};
use crate::proposals::rows::{ProposalRow, frame_of};
use crate::series::SeriesBalances;
use crate::series::rows::SeriesRow;
use crate::session::rows::SessionRow;
use crate::stops::Listed;
use crate::{bank_refs::rows::BankRefRow, jobs::rows::JobRow};
use rkyv::rancor::Error;
use rkyv::{Archive, Deserialize};
use xq_protocol::{
    AccountId, Amount, AssetId, Command, Currency, JobKind, Nanos, ParticipantId, Phase, Place, Qty, Seq,
    SeriesId, SessionId, Side,
};

/// Kinds of sections.
const KINDS: usize = SectionKind::ALL.len();

/// An exchange on its way back from its sections.
#[derive(Default)]
pub struct Restoring {
    venue: Option<Box<Venue>>,
    /// Rows that there must be of each kind, and that have come.
    wanted: [u64; KINDS],
    come: [u64; KINDS],
    /// The kind of the last section.
    last: Option<SectionKind>,
    /// The free place that came last.
    last_free: Slot,
    /// The session, and the number in its window, that comes next.
    window: (u32, u64),
    /// Balances and clients' ids that are to be found by their hash.
    balances: Gathered,
    ids: Gathered,
}

impl Restoring {
    /// Before the first section.
    pub fn new() -> Restoring {
        Restoring::default()
    }

    /// Takes the next section.
    ///
    /// # Errors
    /// [`BadSnapshot`]: nothing more is to be made of the sections.
    pub fn section(&mut self, kind: SectionKind, bytes: &[u8]) -> Result<(), BadSnapshot> {
        if self.last.is_some_and(|last| kind < last) || self.last.is_none() != (kind == SectionKind::Venue) {
            return bad(kind, "sections out of their order");
        }
        if self.last != Some(kind) {
            self.enter_balances()?;
            self.enter_ids()?;
        }
        self.last = Some(kind);
        if kind == SectionKind::Venue {
            return self.open(bytes);
        }
        match kind {
            SectionKind::Venue => unreachable!("taken above"),
            SectionKind::Participants => self.each(kind, bytes, Restoring::participant),
            SectionKind::Keys => self.each(kind, bytes, |all, row: &KeyRow| {
                all.venue().floor.parties.restore_key(row)
            }),
            SectionKind::Schedules => self.each(kind, bytes, |all, row: &ScheduleRow| {
                let number = usize::try_from(all.come[SectionKind::Schedules.place()]).unwrap_or(usize::MAX);
                all.venue().floor.parties.restore_schedule(number, row)
            }),
            SectionKind::Accounts => self.each(kind, bytes, |all, row: &AccountRow| {
                all.venue().floor.parties.restore_account(row)
            }),
            SectionKind::Systems => self.each(kind, bytes, |all, row: &SystemRow| {
                let number = usize::try_from(all.come[SectionKind::Systems.place()]).unwrap_or(usize::MAX);
                all.venue().floor.ledger.restore_system(number, row)
            }),
            SectionKind::Balances => self.each(kind, bytes, Restoring::balance),
            SectionKind::Series => self.each(kind, bytes, Restoring::series),
            SectionKind::Sessions => self.each(kind, bytes, Restoring::session),
            SectionKind::Windows => self.windows(bytes),
            SectionKind::FreePlaces => self.each(kind, bytes, Restoring::free_place),
            SectionKind::Orders => self.each(kind, bytes, Restoring::order),
            SectionKind::Jobs => self.each(kind, bytes, Restoring::job),
            SectionKind::Proposals => self.each(kind, bytes, |all, row: &ProposalRow| {
                let venue = all.venue();
                venue.proposals.restore(row, venue.floor.seq)
            }),
            SectionKind::Stirred => self.each(kind, bytes, Restoring::stirred),
            SectionKind::Halted => self.each(kind, bytes, Restoring::halted),
            SectionKind::Protections => self.each(kind, bytes, |all, row: &MmpRow| {
                let floor = &mut all.venue().floor;
                floor.parties.restore_mmp(row, floor.now)
            }),
            SectionKind::Busts => self.each(kind, bytes, |all, row: &BustRow| {
                let venue = all.venue();
                venue.busts.restore(row, venue.floor.seq)
            }),
            SectionKind::BankRefs => self.each(kind, bytes, |all, row: &BankRefRow| {
                all.venue().bank_refs.restore(row)
            }),
        }
    }

    /// The exchange, when every section has come: it goes on where it was saved.
    ///
    /// # Errors
    /// [`BadSnapshot`]: rows are missing, or a law does not hold.
    pub fn finish(mut self) -> Result<Exchange, BadSnapshot> {
        if self.venue.is_none() {
            return bad(SectionKind::Venue, "no section");
        }
        self.enter_balances()?;
        self.enter_ids()?;
        for kind in SectionKind::ALL {
            let (wanted, come) = (self.wanted[kind.place()], self.come[kind.place()]);
            if wanted != come {
                return bad(kind, format!("{come} rows of {wanted}"));
            }
        }
        let venue = self.venue();
        venue.floor.parties.check_lists()?;
        venue.floor.parties.check_protections()?;
        venue.link_orders()?;
        // That each client finds its orders was seen when their ids were entered.
        let broken = venue.audit_sums().err();
        match broken {
            None => Ok(Exchange::of(*self.venue.expect("asked above"))),
            Some(law) => bad(SectionKind::Venue, format!("a law does not hold: {law}")),
        }
    }

    fn venue(&mut self) -> &mut Venue {
        self.venue.as_mut().expect("its section came first")
    }

    /// Takes each row of a section in turn.
    fn each<R>(
        &mut self,
        kind: SectionKind,
        bytes: &[u8],
        take: impl Fn(&mut Restoring, &R) -> Result<(), BadSnapshot>,
    ) -> Result<(), BadSnapshot>
    where
        R: Archive,
        R::Archived: for<'a> rkyv::bytecheck::CheckBytes<rkyv::api::high::HighValidator<'a, Error>>
            + Deserialize<R, rkyv::api::high::HighDeserializer<Error>>,
    {
        each_row(kind, bytes, |row| {
            take(self, &row)?;
            self.come[kind.place()] += 1;
            Ok(())
        })
    }

    /// Enters the balances that wait to be found by their account and asset.
    fn enter_balances(&mut self) -> Result<(), BadSnapshot> {
        let Some(venue) = &mut self.venue else {
            return Ok(());
        };
        let ledger = &mut venue.floor.ledger;
        match ledger.enter(self.balances.take(ledger.places())) {
            Ok(()) => Ok(()),
            Err(row) => {
                let account = ledger.row(row).account;
                bad(
                    SectionKind::Balances,
                    format!("account {account}: a balance is there twice"),
                )
            }
        }
    }

    /// Enters the clients' ids that wait to be found.
    fn enter_ids(&mut self) -> Result<(), BadSnapshot> {
        let Some(venue) = &mut self.venue else {
            return Ok(());
        };
        let floor = &mut venue.floor;
        match floor
            .client_ids
            .enter(self.ids.take(floor.client_ids.places()), &floor.orders)
        {
            Ok(()) => Ok(()),
            Err(slot) => bad(
                SectionKind::Orders,
                format!("order in place {slot}: its client has another of this id"),
            ),
        }
    }

    fn open(&mut self, bytes: &[u8]) -> Result<(), BadSnapshot> {
        let kind = SectionKind::Venue;
        let rows: Vec<VenueRow> = rows_of(kind, bytes)?;
        let [row] = rows.as_slice() else {
            return bad(kind, "there is one venue");
        };
        let frame = frame_of(&row.config);
        let Some(Ok(Command::Genesis(config))) = frame
            .as_ref()
            .and_then(|frame| frame.frame().ok())
            .map(|frame| frame.command())
        else {
            return bad(kind, "no configuration");
        };
        let Ok(mut venue) = Venue::empty(config, Nanos(row.now)) else {
            return bad(
                kind,
                "a configuration that was never admitted, or rules of another version",
            );
        };
        let Some(phase) = Phase::from_byte(row.phase) else {
            return bad(kind, "an unknown phase");
        };
        let rebates = match row.rebates {
            0 => Rebates::Never,
            1 => Rebates::Promised,
            _ => return bad(kind, "rebates neither promised nor not"),
        };
        if row.sweep == 0 || row.order_places_end < 1 || row.counts[kind.place()] != 1 {
            return bad(kind, "numbers that count from 1");
        }
        venue.floor.orders.restore_places(row.order_places_end)?;
        let orders = row.counts[SectionKind::Orders.place()];
        venue
            .floor
            .client_ids
            .begin_with(usize::try_from(orders).unwrap_or(usize::MAX));
        venue.floor.parties.restore_rebates(rebates);
        venue.floor.day = row.day;
        venue.busts.day_began = Seq(row.day_began);
        (venue.phase, venue.reopen_at) = (phase, Nanos(row.reopen_at));
        (venue.floor.seq, venue.sweep) = (Seq(row.seq), row.sweep);
        self.wanted = row.counts;
        self.come[kind.place()] = 1;
        self.venue = Some(Box::new(venue));
        Ok(())
    }

    fn stirred(&mut self, id: &u32) -> Result<(), BadSnapshot> {
        let venue = self.venue();
        let is_new = venue
            .series
            .get(SeriesId(*id))
            .is_ok_and(|series| series.stops.listed == Listed::No);
        if !is_new {
            return bad(
                SectionKind::Stirred,
                format!("series {id} is there twice, or unknown"),
            );
        }
        venue.series.known_mut(*id).stops.listed = Listed::Yes;
        venue.stirred.push_back(SeriesId(*id));
        Ok(())
    }

    fn halted(&mut self, id: &u32) -> Result<(), BadSnapshot> {
        let venue = self.venue();
        let is_known = venue.series.get(SeriesId(*id)).is_ok();
        if !is_known || venue.series.known_mut(*id).band.list() == Listed::Yes {
            return bad(
                SectionKind::Halted,
                format!("series {id} is there twice, or unknown"),
            );
        }
        venue.floor.halted.push_back(SeriesId(*id));
        Ok(())
    }

    fn participant(&mut self, row: &ParticipantRow) -> Result<(), BadSnapshot> {
        self.venue().floor.parties.restore_participant(row)
    }

    fn balance(&mut self, row: &BalanceRow) -> Result<(), BadSnapshot> {
        let (account, asset) = (AccountId(row.account), AssetId(row.asset));
        let floor = &mut self.venue().floor;
        let amounts = [row.available, row.held, row.frozen];
        let sum = amounts.into_iter().try_fold(0_u64, u64::checked_add);
        let what = || format!("account {account}, asset {}: too much, or nobody's", asset.0);
        if sum.is_none() || floor.parties.account(account).is_err() {
            return bad(SectionKind::Balances, what());
        }
        let newest = &mut floor.parties.file_mut(account).newest_row;
        let Some((hash, id)) = floor.ledger.restore_row(row, *newest) else {
            return bad(SectionKind::Balances, what());
        };
        *newest = id;
        match self.balances.push((hash, id)) {
            Time::Early => Ok(()),
            Time::Due => self.enter_balances(),
        }
    }

    fn series(&mut self, row: &SeriesRow) -> Result<(), BadSnapshot> {
        let venue = self.venue();
        let (currency, id) = (Currency(row.currency), SeriesId(row.id));
        let cash = AssetId::from(currency);
        let find = |place, asset| venue.floor.ledger.find_system(place, asset);
        let issuer = ParticipantId(row.issuer);
        let places = (
            venue.house.get(&currency).copied(),
            find(Place::Escrow(id), cash),
            find(Place::FreeEscrow(issuer), cash),
            find(Place::Registrar, id.into()),
        );
        let (Some(house), Some(escrow), Some(free_escrow), Some(registrar)) = places else {
            return bad(SectionKind::Series, format!("series {id} has no balances"));
        };
        let balances = SeriesBalances {
            house,
            escrow,
            free_escrow,
            registrar,
        };
        venue.series.restore(row, balances)
    }

    fn session(&mut self, row: &SessionRow) -> Result<(), BadSnapshot> {
        let venue = self.venue();
        let participant = SessionId(row.id).participant();
        match venue
            .floor
            .parties
            .participant(participant)
            .map(|found| found.role)
        {
            Ok(Some(role)) => venue.sessions.restore(row, role),
            Ok(None) | Err(_) => bad(SectionKind::Sessions, format!("session {} is nobody's", row.id)),
        }
    }

    fn windows(&mut self, bytes: &[u8]) -> Result<(), BadSnapshot> {
        let rows: Vec<u64> = rows_of(SectionKind::Windows, bytes)?;
        let mut at = self.window;
        let venue = self.venue();
        venue.sessions.restore_windows(&rows, &mut at, venue.floor.seq)?;
        self.window = at;
        self.come[SectionKind::Windows.place()] += u64::try_from(rows.len()).expect("a count fits");
        Ok(())
    }

    fn free_place(&mut self, row: &FreePlaceRow) -> Result<(), BadSnapshot> {
        let before = std::mem::replace(&mut self.last_free, row.slot);
        self.venue().floor.orders.restore_free(row, before)
    }

    /// Puts an order last at its price: orders come in priority.
    fn order(&mut self, row: &OrderRow) -> Result<(), BadSnapshot> {
        let venue = self.venue();
        let kind = SectionKind::Orders;
        let account = AccountId(row.account);
        let (Ok(found), Ok(series)) = (
            venue.floor.parties.account(account).copied(),
            venue.series.get(SeriesId(row.series)),
        ) else {
            return bad(kind, format!("order in place {}: whose, or of what", row.slot));
        };
        let limit = row.limit_rung();
        let rungs = 1..=series.face.0 / series.tick.0;
        let is_price = [row.rung, limit]
            .iter()
            .all(|rung| rungs.contains(&u64::from(*rung)));
        let open = series.price(limit).times(Qty(row.leaves)).filter(|_| is_price);
        let all = open.and_then(|open| open.checked_add(Amount(row.rested_notional)));
        let fits = all.is_some_and(|all| i64::try_from(all.0).is_ok());
        let within = |ppm: i32| ppm.unsigned_abs() <= crate::fees::PPM_MAX.unsigned_abs();
        let is_rate = within(row.maker_ppm) && within(row.taker_ppm);
        let (cash, units) = (
            AssetId::from(series.currency),
            AssetId::from(SeriesId(row.series)),
        );
        let is_row = |id, asset| {
            venue.floor.ledger.has_row(id)
                && venue.floor.ledger.row(id).account == account
                && venue.floor.ledger.row(id).asset == asset
        };
        let rows = match Side::from_byte(row.side) {
            Some(Side::Buy) => is_row(row.hold_row, cash) && is_row(row.counter_row, units),
            Some(Side::Sell) => is_row(row.hold_row, units) && is_row(row.counter_row, cash),
            None => false,
        };
        if !fits || !is_rate || !rows || row.seq > venue.floor.seq.0 {
            return bad(
                kind,
                format!("order in place {}: its price, amounts or balances", row.slot),
            );
        }
        let slot = venue.floor.orders.restore(row, found.owner.0)?;
        if let Some(terms) = row.terms() {
            if !venue.floor.terms.has_room() {
                return bad(kind, "more orders with further terms than there is room for");
            }
            venue.floor.orders.details_mut(slot).terms = venue.floor.terms.add(terms);
        }
        let hash = venue.enter_restored(slot, open.expect("it fits"))?;
        match self.ids.push((hash.into(), slot)) {
            Time::Early => Ok(()),
            Time::Due => self.enter_ids(),
        }
    }

    fn job(&mut self, row: &JobRow) -> Result<(), BadSnapshot> {
        let venue = self.venue();
        let job = venue.floor.jobs.restore(row)?;
        match venue.can_go_on(&job) {
            true => Ok(()),
            false => bad(
                SectionKind::Jobs,
                format!("the job begun by command {}", job.began),
            ),
        }
    }
}

impl Venue {
    /// Enters an order into its level and the counts; the hash by which its client finds it.
    fn enter_restored(&mut self, slot: Slot, open: Amount) -> Result<u32, BadSnapshot> {
        let floor = &mut self.floor;
        let (node, details) = floor.orders.both_mut(slot);
        let (account, series) = (AccountId(node.account), self.series.known_mut(node.series));
        details.cl_hash = floor.client_ids.hash(account, details.cl_ord_id);
        let (hash, rung, side, marks) = (details.cl_hash, node.rung, node.side, node.marks);
        floor.expiring += u32::from(marks.has(Marks::ENDS));
        let of_account = floor.parties.open_account(account);
        of_account.open_orders += 1;
        let notional = of_account.open_notional.checked_add(open);
        let waits = marks.has(Marks::WAITS);
        series.stops.waiting += u32::from(waits);
        series.settle_watch();
        let ladder = match waits {
            true => series.stops.ladder_mut(side),
            false => series.ladder_mut(side),
        };
        let (Some(notional), true) = (notional, floor.levels.has_room_at(ladder, rung)) else {
            return bad(
                SectionKind::Orders,
                format!("order in place {slot}: no room for it"),
            );
        };
        of_account.open_notional = notional;
        floor.levels.push(ladder, &mut floor.orders, slot);
        Ok(hash)
    }

    /// Walks every account's orders from the newest on, and links them the other way: each stands in one list once.
    fn link_orders(&mut self) -> Result<(), BadSnapshot> {
        let floor = &mut self.floor;
        let mut linked = 0;
        for number in 1..=floor.parties.accounts_used() {
            let id = AccountId(u32::try_from(number).expect("capacity is a u32"));
            let Ok(account) = floor.parties.account(id) else {
                continue;
            };
            let (mut at, mut newer, mut count) = (account.newest_order, NIL, 0);
            while at != NIL {
                let is_its = floor.orders.is_live(at) && floor.orders.node(at).account == id.0;
                if !is_its || count == account.open_orders {
                    return bad(SectionKind::Orders, format!("account {id}: its list of orders"));
                }
                let details = floor.orders.details_mut(at);
                details.newer = newer;
                (newer, at, count) = (at, details.older, count + 1);
            }
            linked += count;
        }
        match linked == floor.orders.live() {
            true => Ok(()),
            false => bad(SectionKind::Orders, "an order stands in no account's list"),
        }
    }

    /// Says whether a job refers to what is there.
    fn can_go_on(&self, job: &Job) -> bool {
        let parties = &self.floor.parties;
        let scope = match job.scope {
            Scope::Account(id) | Scope::Quotes(id) => parties.account(id).is_ok(),
            Scope::Operated(id) | Scope::Participant(id) => parties.participant(id).is_ok(),
            Scope::Session(id) => self.sessions.find(id).is_some(),
            Scope::Series(id) => self.series.get(id).is_ok(),
        };
        let of_account = matches!(job.scope, Scope::Account(_));
        let cursor = match job.cursor {
            Cursor::Orders { account, order, .. } => {
                let orders = &self.floor.orders;
                let is_its = order == NIL || orders.is_live(order) && orders.node(order).account == account.0;
                is_its && (account.is_zero() || parties.account(account).is_ok())
            }
            Cursor::Book => matches!(job.scope, Scope::Series(_)),
            Cursor::Rows { row } => {
                let ledger = &self.floor.ledger;
                let is_its =
                    row == 0 || ledger.has_row(row) && Scope::Account(ledger.row(row).account) == job.scope;
                is_its && job.moves().is_some()
            }
            Cursor::Done => true,
        };
        // A session's end, a freeze and a kill of a series are told by their scope when they end.
        let kind = match job.kind {
            JobKind::Freeze | JobKind::Lift => of_account,
            JobKind::Disconnect => matches!(job.scope, Scope::Session(_)),
            JobKind::Protection => matches!(job.scope, Scope::Quotes(_)),
            JobKind::MassCancel | JobKind::KillSwitch | JobKind::Expiry => true,
        };
        let cleans = match job.scope {
            Scope::Session(id) => self.cleans_up(id),
            Scope::Account(_)
            | Scope::Operated(_)
            | Scope::Participant(_)
            | Scope::Series(_)
            | Scope::Quotes(_) => true,
        };
        scope && cursor && kind && cleans && job.began <= self.floor.seq
    }

    /// Says whether the session waits for a job's end, and no other job is about it.
    fn cleans_up(&self, id: SessionId) -> bool {
        let goes = self
            .sessions
            .find(id)
            .is_some_and(|place| self.sessions.at(place).cleanup == crate::session::Cleanup::Goes);
        goes && self.floor.jobs.count(Scope::Session(id)) == 1
    }
}
