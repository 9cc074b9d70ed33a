//! Series: their terms, their cover, their market.

pub(crate) mod rows;

use crate::band::Band;
use crate::levels::{Ladder, RUNGS_MAX};
use crate::order::index;
use crate::party::Killed;
use crate::stops::Stops;
use std::collections::BTreeSet;
use xq_protocol::{
    Amount, Bps, Currency, DraftSeries, Nanos, ParticipantId, Phase, Price, Qty, RejectReason, SeriesId,
    SeriesState, SetInstrument, Side, Symbol,
};

/// Basis points of the whole.
const WHOLE: u64 = 10_000;

/// A series and its book.
pub(crate) struct Series {
    pub symbol: Symbol,
    pub state: SeriesState,
    pub phase: Phase,
    pub killed: Killed,
    pub currency: Currency,
    pub lot: Qty,
    pub tick: Price,
    pub face: Price,
    pub qty_min: Qty,
    pub qty_max: Qty,
    pub collar: Bps,
    pub collar_low: Price,
    pub collar_high: Price,
    pub valid_to: u64,
    pub bids: Ladder,
    pub asks: Ladder,
    /// The last trade's price in ticks, 0 before the first.
    pub last: u32,
    /// Whether anything follows from the prices of trades.
    pub watch: Watch,
    pub stops: Stops,
    pub band: Band,
    pub issuer: ParticipantId,
    pub redeem_value: Price,
    pub issue_cap: Amount,
    pub outstanding: Amount,
    pub terms_hash: xq_protocol::Hash,
    /// System balances: fees and rebates of the currency, the series' escrow and units, the issuer's free escrow.
    pub fees: u32,
    pub rebates: u32,
    pub custody: u32,
    pub escrow: u32,
    pub free_escrow: u32,
    pub registrar: u32,
}

/// Whether anything follows from the prices of trades: most series are never asked what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watch {
    Off,
    On,
}

/// System balances that a series posts to.
#[derive(Clone, Copy)]
pub(crate) struct SeriesBalances {
    pub house: HouseBalances,
    pub escrow: u32,
    pub free_escrow: u32,
    pub registrar: u32,
}

/// System balances of a currency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HouseBalances {
    pub custody: u32,
    pub fees: u32,
    pub rebates: u32,
}

impl Series {
    fn draft(terms: &DraftSeries, balances: SeriesBalances) -> Series {
        let rungs = terms.face.0 / terms.tick.0;
        Series {
            symbol: terms.symbol,
            state: SeriesState::Draft,
            phase: Phase::Closed,
            killed: Killed::No,
            currency: terms.currency,
            lot: terms.lot,
            tick: terms.tick,
            face: terms.face,
            qty_min: terms.lot,
            qty_max: Qty::MAX,
            collar: Bps::ZERO,
            collar_low: terms.tick,
            collar_high: Price(rungs * terms.tick.0),
            valid_to: terms.valid_to.0,
            bids: Ladder::new(Side::Buy, rungs),
            asks: Ladder::new(Side::Sell, rungs),
            last: 0,
            watch: Watch::Off,
            stops: Stops::new(rungs),
            band: Band::OFF,
            issuer: terms.issuer,
            redeem_value: terms.redeem_value,
            issue_cap: terms.issue_cap,
            outstanding: Amount::ZERO,
            terms_hash: terms.terms_hash,
            fees: balances.house.fees,
            rebates: balances.house.rebates,
            custody: balances.house.custody,
            escrow: balances.escrow,
            free_escrow: balances.free_escrow,
            registrar: balances.registrar,
        }
    }

    /// The side of the book that orders of this side rest on.
    #[inline]
    pub fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }
    /// The same, to be changed.
    #[inline]
    pub fn ladder_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
    /// Says whether the series trades now, in a venue of this phase.
    #[inline]
    pub fn admit_trading(&self, venue: Phase, now: Nanos) -> Result<(), RejectReason> {
        if self.state != SeriesState::Registered {
            return Err(RejectReason::SeriesState);
        }
        let phase = match venue {
            Phase::Continuous => self.phase,
            Phase::Closed | Phase::Halt => venue,
        };
        match phase {
            Phase::Closed => return Err(RejectReason::Phase),
            Phase::Halt => return Err(RejectReason::Halted),
            Phase::Continuous => {}
        }
        if now.0 >= self.valid_to {
            return Err(RejectReason::SeriesExpired);
        }
        Ok(())
    }
    /// Whether anything follows from the prices of trades from here on.
    pub fn settle_watch(&mut self) {
        self.watch = match self.stops.waiting > 0 || !self.band.width.is_zero() {
            true => Watch::On,
            false => Watch::Off,
        };
    }
    /// A trade at this price in ticks.
    #[inline]
    pub fn traded(&mut self, rung: u32) {
        self.last = rung;
        if self.watch == Watch::On {
            self.stops.reach(rung);
            self.band.traded();
        }
    }
    /// A limit in ticks, no further than the static collar reaches now.
    pub fn within_collar(&self, side: Side, rung: u32) -> u32 {
        let narrow =
            |price: Price| u32::try_from(price.0 / self.tick.0).expect("at most the face value in ticks");
        match side {
            Side::Buy => rung.min(narrow(self.collar_high)),
            Side::Sell => rung.max(narrow(self.collar_low)),
        }
    }
    /// The price of a rung.
    #[inline]
    pub fn price(&self, rung: u32) -> Price {
        Price(u64::from(rung) * self.tick.0)
    }
    /// The market that the command asks for, or why it cannot be.
    pub fn admit_instrument(&self, set: &SetInstrument) -> Result<Market, RejectReason> {
        let lots = |qty: Qty| qty.0 != 0 && qty.0.is_multiple_of(self.lot.0);
        if !lots(set.qty_min) {
            return Err(RejectReason::Lot);
        }
        if set.qty_min > set.qty_max {
            return Err(RejectReason::QtyMax);
        }
        if u64::from(set.collar.0) > WHOLE || set.reference.is_zero() != set.collar.is_zero() {
            return Err(RejectReason::CollarStatic);
        }
        // Before the collar's prices are computed: they fit because the reference is at most the face value.
        if set.reference > self.face {
            return Err(RejectReason::PriceBounds);
        }
        let (low, high) = self.collar(set.reference, set.collar);
        if low > high {
            return Err(RejectReason::CollarStatic);
        }
        Ok(Market {
            qty_min: set.qty_min,
            qty_max: set.qty_max,
            collar_low: low,
            collar_high: high,
        })
    }

    /// Prices within `collar` of the reference, rounded inward to the tick; all prices when there is no collar.
    fn collar(&self, reference: Price, collar: Bps) -> (Price, Price) {
        let top = self.face.0 / self.tick.0;
        if collar.is_zero() {
            return (self.tick, Price(top * self.tick.0));
        }
        let wide = |bps: u64| u128::from(reference.0) * u128::from(bps);
        let whole = u128::from(WHOLE);
        let tick = u128::from(self.tick.0);
        let low = wide(WHOLE - u64::from(collar.0))
            .div_ceil(whole)
            .div_ceil(tick)
            .max(1);
        let high = (wide(WHOLE + u64::from(collar.0)) / whole / tick).min(u128::from(top));
        let narrow = |rungs: u128| Price(u64::try_from(rungs * tick).expect("at most twice the face value"));
        (narrow(low), narrow(high))
    }
}

/// Sizes and collar of a market.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Market {
    pub qty_min: Qty,
    pub qty_max: Qty,
    pub collar_low: Price,
    pub collar_high: Price,
}

/// Every series; numbers are places.
pub(crate) struct AllSeries {
    series: Vec<Option<Series>>,
    symbols: BTreeSet<Symbol>,
    max: u32,
}

/// Bytes of a series.
pub(crate) const ROW_BYTES: usize = size_of::<Option<Series>>();

impl AllSeries {
    /// Room for numbers 1 to `max`.
    pub fn new(max: u32) -> AllSeries {
        let mut all = AllSeries {
            series: Vec::new(),
            symbols: BTreeSet::new(),
            max: 0,
        };
        all.grow(max);
        all
    }

    /// Makes room for numbers 1 to `max`.
    pub fn grow(&mut self, max: u32) {
        assert!(max >= self.max, "capacities only grow");
        self.series
            .reserve_exact((index(max) + 1).saturating_sub(self.series.len()));
        self.max = max;
    }

    /// The highest number of a series.
    pub fn used(&self) -> usize {
        self.series.len().saturating_sub(1)
    }
    /// The series, if it was drafted.
    #[inline]
    pub fn get(&self, id: SeriesId) -> Result<&Series, RejectReason> {
        self.series
            .get(index(id.0))
            .and_then(Option::as_ref)
            .ok_or(RejectReason::UnknownSeries)
    }
    /// A series that is known to have been drafted.
    #[inline]
    pub fn known(&self, id: u32) -> &Series {
        self.series[index(id)]
            .as_ref()
            .expect("admission found the series")
    }
    /// The same, to be changed.
    #[inline]
    pub fn known_mut(&mut self, id: u32) -> &mut Series {
        self.series[index(id)]
            .as_mut()
            .expect("admission found the series")
    }

    /// Says whether a series can be drafted with these terms.
    pub fn admit_draft(&self, terms: &DraftSeries, now: u64) -> Result<(), RejectReason> {
        if terms.series.is_zero() || terms.series.0 > self.max || terms.series.0 >= 1 << 31 {
            return Err(RejectReason::Capacity);
        }
        let symbol = terms.symbol.to_string();
        let clean = symbol
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if self.get(terms.series).is_ok() || self.symbols.contains(&terms.symbol) {
            return Err(RejectReason::SeriesState);
        }
        if !clean || Symbol::from_text(&symbol) != Some(terms.symbol) || terms.redeem_value.is_zero() {
            return Err(RejectReason::Terms);
        }
        let whole_tick = !terms.tick.is_zero() && !terms.lot.is_zero() && terms.face >= terms.tick;
        if !whole_tick || terms.face.0 / terms.tick.0 > RUNGS_MAX || terms.issue_cap.is_zero() {
            return Err(RejectReason::Terms);
        }
        if terms.face.0 > i64::MAX.unsigned_abs() / u64::from(u32::MAX) || terms.redeem_value > terms.face {
            return Err(RejectReason::FaceLimit);
        }
        if terms.valid_to.0 <= now || terms.valid_from >= terms.valid_to {
            return Err(RejectReason::ValidityPeriod);
        }
        Ok(())
    }

    /// Drafts a series that was admitted.
    pub fn draft(&mut self, terms: &DraftSeries, balances: SeriesBalances) {
        while self.series.len() <= index(terms.series.0) {
            self.series.push(None);
        }
        let place = &mut self.series[index(terms.series.0)];
        assert!(place.is_none(), "admitted, so it is new");
        *place = Some(Series::draft(terms, balances));
        self.symbols.insert(terms.symbol);
    }

    /// Every series drafted, with its number.
    pub fn iter(&self) -> impl Iterator<Item = (SeriesId, &Series)> {
        (0u32..)
            .zip(&self.series)
            .filter_map(|(id, s)| s.as_ref().map(|s| (SeriesId(id), s)))
    }
}
