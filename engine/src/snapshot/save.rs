//! The state as sections.

use super::{PutSection, SectionKind, Sections};
use crate::bank_refs::rows::BankRefRow;
use crate::bust::BustRow;
use crate::exchange::{Exchange, Venue};
use crate::floor::Floor;
use crate::jobs::rows::JobRow;
use crate::ledger::rows::{BalanceRow, SystemRow};
use crate::order::Slot;
use crate::order::rows::{FreePlaceRow, OrderRow};
use crate::party::Rebates;
use crate::party::rows::{AccountRow, KeyRow, MmpRow, ParticipantRow, ScheduleRow};
use crate::proposals::rows::ProposalRow;
use crate::series::rows::SeriesRow;
use crate::session::rows::SessionRow;
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{CommandFrame, Header, Side};

/// Kinds of sections.
const KINDS: usize = SectionKind::ALL.len();

/// What there is one of.
#[derive(Archive, Serialize, Deserialize)]
pub(super) struct VenueRow {
    /// Genesis as a command, with the configuration in force.
    pub config: Vec<u8>,
    /// Rows of each kind, in the order of the kinds.
    pub counts: [u64; KINDS],
    pub seq: u64,
    pub now: u64,
    pub reopen_at: u64,
    pub day: u32,
    /// The command that began the day.
    pub day_began: u64,
    /// Where the sweep for expired orders goes on.
    pub sweep: u32,
    /// One past the highest place of an order ever used.
    pub order_places_end: u32,
    pub phase: u8,
    pub rebates: u8,
}

impl Exchange {
    /// Puts the whole state, section by section; nothing before Genesis. The same state gives the same bytes.
    ///
    /// # Errors
    /// What `put` answers; it is not called again then.
    pub fn save<E>(&self, put: &mut PutSection<'_, E>) -> Result<(), E> {
        match self.venue() {
            Some(venue) => venue.save(&mut Sections::new(put)),
            None => Ok(()),
        }
    }
}

impl Exchange {
    /// How many bytes the sections will have, about.
    pub fn snapshot_bytes(&self) -> u64 {
        let Some(venue) = self.venue() else {
            return 0;
        };
        let bytes = |kind: SectionKind| venue.rows_of(kind).saturating_mul(row_bytes(kind));
        SectionKind::ALL.into_iter().map(bytes).sum()
    }
}

/// Bytes of a row in its section, about: commands that wait are of varying length.
fn row_bytes(kind: SectionKind) -> u64 {
    let bytes = match kind {
        SectionKind::Venue => 2_048,
        SectionKind::Participants => size_of::<ParticipantRow>(),
        SectionKind::Keys => size_of::<KeyRow>(),
        SectionKind::Schedules => size_of::<ScheduleRow>(),
        SectionKind::Accounts => size_of::<AccountRow>(),
        SectionKind::Systems => size_of::<SystemRow>(),
        SectionKind::Balances => size_of::<BalanceRow>(),
        SectionKind::Series => size_of::<SeriesRow>(),
        SectionKind::Sessions => size_of::<SessionRow>(),
        SectionKind::Windows => size_of::<u64>(),
        SectionKind::FreePlaces => size_of::<FreePlaceRow>(),
        SectionKind::Orders => size_of::<OrderRow>(),
        SectionKind::Jobs => size_of::<JobRow>(),
        SectionKind::Proposals => 1_024 + size_of::<ProposalRow>(),
        SectionKind::BankRefs => size_of::<BankRefRow>(),
        SectionKind::Stirred | SectionKind::Halted => size_of::<u32>(),
        SectionKind::Protections => size_of::<MmpRow>(),
        SectionKind::Busts => size_of::<BustRow>(),
    };
    u64::try_from(bytes).expect("a size fits")
}

impl Venue {
    fn save<E>(&self, sections: &mut Sections<'_, E>) -> Result<(), E> {
        let Venue {
            config: _,
            floor,
            series,
            sessions,
            proposals,
            bank_refs,
            // The house's balances are found by their places.
            house: _,
            phase: _,
            reopen_at: _,
            sweep: _,
            stirred,
            busts,
            permissions: _,
        } = self;
        let Floor {
            orders,
            levels: _,
            ledger,
            parties,
            jobs,
            client_ids: _,
            terms,
            expiring: _,
            now: _,
            day: _,
            seq: _,
            // They follow from the configuration.
            rules: _,
            halted,
        } = floor;
        sections.put(SectionKind::Venue, std::iter::once(self.row()))?;
        sections.put(SectionKind::Participants, parties.participant_rows())?;
        sections.put(SectionKind::Keys, parties.key_rows())?;
        sections.put(SectionKind::Schedules, parties.schedule_rows())?;
        sections.put(SectionKind::Accounts, parties.account_rows())?;
        sections.put(SectionKind::Systems, ledger.system_rows())?;
        sections.put(SectionKind::Balances, ledger.rows())?;
        sections.put(SectionKind::Series, series.rows())?;
        sections.put(SectionKind::Sessions, sessions.rows())?;
        sections.put(SectionKind::Windows, sessions.window_rows())?;
        sections.put(SectionKind::FreePlaces, orders.free_rows())?;
        let row = |slot| {
            let id = orders.details(slot).terms;
            orders.row(slot, (id != 0).then(|| terms.get(id)))
        };
        sections.put(SectionKind::Orders, self.all_slots().map(row))?;
        sections.put(SectionKind::Jobs, jobs.rows())?;
        sections.put(SectionKind::Proposals, proposals.rows())?;
        sections.put(SectionKind::BankRefs, bank_refs.rows())?;
        sections.put(SectionKind::Stirred, stirred.iter().map(|id| id.0))?;
        sections.put(SectionKind::Protections, parties.mmp_rows())?;
        sections.put(SectionKind::Halted, halted.iter().map(|id| id.0))?;
        sections.put(SectionKind::Busts, busts.rows())
    }

    /// Every order: series by number, those that rest in priority, then those that wait for their stop.
    pub(crate) fn all_slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.series.iter().flat_map(move |(_, series)| {
            let books = [
                series.ladder(Side::Buy),
                series.ladder(Side::Sell),
                series.stops.ladder(Side::Buy),
                series.stops.ladder(Side::Sell),
            ];
            books.into_iter().flat_map(move |book| self.walk(book))
        })
    }

    fn row(&self) -> VenueRow {
        let floor = &self.floor;
        let rebates = match floor.parties.rebates() {
            Rebates::Never => 0,
            Rebates::Promised => 1,
        };
        VenueRow {
            config: CommandFrame::new(Header::default(), &self.config)
                .bytes()
                .to_vec(),
            counts: SectionKind::ALL.map(|kind| self.rows_of(kind)),
            seq: floor.seq.0,
            now: floor.now.0,
            reopen_at: self.reopen_at.0,
            day: floor.day,
            day_began: self.busts.day_began.0,
            sweep: self.sweep,
            order_places_end: floor.orders.end(),
            phase: self.phase.byte(),
            rebates,
        }
    }

    /// How many rows of a kind there are.
    fn rows_of(&self, kind: SectionKind) -> u64 {
        let floor = &self.floor;
        let count = match kind {
            SectionKind::Venue => 1,
            SectionKind::Participants => floor.parties.participants_used(),
            SectionKind::Keys => floor.parties.keys_used(),
            SectionKind::Schedules => floor.parties.schedule_rows().count(),
            SectionKind::Accounts => floor.parties.accounts_used(),
            SectionKind::Systems => floor.ledger.systems_used(),
            SectionKind::Balances => floor.ledger.used(),
            SectionKind::Series => self.series.iter().count(),
            SectionKind::Sessions => self.sessions.used(),
            SectionKind::Windows => return self.sessions.windows_used(),
            // Slot 0 is no place.
            SectionKind::FreePlaces => return u64::from(floor.orders.end() - 1 - floor.orders.live()),
            SectionKind::Orders => return u64::from(floor.orders.live()),
            SectionKind::Jobs => floor.jobs.len(),
            SectionKind::Proposals => self.proposals.used(),
            SectionKind::BankRefs => self.bank_refs.used(),
            SectionKind::Stirred => self.stirred.len(),
            SectionKind::Protections => floor.parties.mmps.len(),
            SectionKind::Halted => floor.halted.len(),
            SectionKind::Busts => self.busts.undone.len(),
        };
        u64::try_from(count).expect("a count fits")
    }
}
