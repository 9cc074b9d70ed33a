//! Series as rows of a snapshot.

use super::{AllSeries, Series, SeriesBalances, Watch};
use crate::band::{Band, SavedBand};
use crate::levels::{Ladder, RUNGS_MAX};
use crate::order::index;
use crate::party::Killed;
use crate::snapshot::{BadSnapshot, SectionKind, bad};
use crate::stops::Stops;
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{
    Amount, Bps, Currency, Hash, ParticipantId, Phase, Price, Qty, SeriesId, SeriesState, Side, Symbol,
};

const SERIES: SectionKind = SectionKind::Series;

/// A series. Its book follows from its orders, its balances from their places.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct SeriesRow {
    pub terms_hash: [u8; 32],
    pub band: SavedBand,
    pub symbol: [u8; 16],
    pub tick: u64,
    pub face: u64,
    pub collar_low: u64,
    pub collar_high: u64,
    pub valid_to: u64,
    pub redeem_value: u64,
    pub issue_cap: u64,
    pub outstanding: u64,
    pub id: u32,
    /// The last trade's price in ticks, and the highest and lowest that stops were reached by.
    pub last: u32,
    pub highest: u32,
    pub lowest: u32,
    pub lot: u32,
    pub qty_min: u32,
    pub qty_max: u32,
    pub collar: u32,
    pub issuer: u32,
    pub currency: u16,
    pub state: u8,
    pub phase: u8,
    pub killed: u8,
}

impl AllSeries {
    /// Every series, by its number.
    pub fn rows(&self) -> impl Iterator<Item = SeriesRow> + '_ {
        self.iter().map(|(id, series)| series_row(id, series))
    }

    /// Drafts a series as it stands; numbers ascend.
    pub fn restore(&mut self, row: &SeriesRow, balances: SeriesBalances) -> Result<(), BadSnapshot> {
        if row.id == 0 || row.id > self.max || index(row.id) < self.series.len() {
            return bad(SERIES, format!("series {}: its number", row.id));
        }
        let series = series_of(row, balances)?;
        if !self.symbols.insert(series.symbol) {
            return bad(SERIES, format!("series {}: another's symbol", row.id));
        }
        while self.series.len() < index(row.id) {
            self.series.push(None);
        }
        self.series.push(Some(series));
        Ok(())
    }
}

fn series_row(id: SeriesId, series: &Series) -> SeriesRow {
    let Series {
        symbol,
        state,
        phase,
        killed,
        currency,
        lot,
        tick,
        face,
        qty_min,
        qty_max,
        collar,
        collar_low,
        collar_high,
        valid_to,
        bids: _,
        asks: _,
        last,
        watch: _,
        ref stops,
        ref band,
        issuer,
        redeem_value,
        issue_cap,
        outstanding,
        terms_hash,
        fees: _,
        rebates: _,
        custody: _,
        escrow: _,
        free_escrow: _,
        registrar: _,
    } = *series;
    SeriesRow {
        terms_hash: terms_hash.0,
        band: band.saved(),
        symbol: symbol.0,
        tick: tick.0,
        face: face.0,
        collar_low: collar_low.0,
        collar_high: collar_high.0,
        valid_to,
        redeem_value: redeem_value.0,
        issue_cap: issue_cap.0,
        outstanding: outstanding.0,
        id: id.0,
        last,
        highest: stops.range().0,
        lowest: stops.range().1,
        lot: lot.0,
        qty_min: qty_min.0,
        qty_max: qty_max.0,
        collar: collar.0,
        issuer: issuer.0,
        currency: currency.0,
        state: state.byte(),
        phase: phase.byte(),
        killed: u8::from(killed == Killed::Yes),
    }
}

fn series_of(row: &SeriesRow, balances: SeriesBalances) -> Result<Series, BadSnapshot> {
    let words = (SeriesState::from_byte(row.state), Phase::from_byte(row.phase));
    let (Some(state), Some(phase)) = words else {
        return bad(SERIES, format!("series {}: an unknown choice", row.id));
    };
    let killed = match row.killed {
        0 => Killed::No,
        1 => Killed::Yes,
        _ => return bad(SERIES, format!("series {}: its kill switch", row.id)),
    };
    // What admission asks of terms: prices and amounts of orders fit because of these.
    let whole = row.tick > 0 && row.lot > 0 && row.face >= row.tick;
    if !whole || row.face / row.tick > RUNGS_MAX || row.face > i64::MAX.unsigned_abs() / u64::from(u32::MAX) {
        return bad(SERIES, format!("series {}: terms that nobody can have", row.id));
    }
    let rungs = row.face / row.tick;
    if [row.last, row.highest]
        .iter()
        .any(|rung| u64::from(*rung) > rungs)
    {
        return bad(
            SERIES,
            format!("series {}: a trade beyond its face value", row.id),
        );
    }
    let Some(band) = Band::restored(&row.band) else {
        return bad(SERIES, format!("series {}: its dynamic collar", row.id));
    };
    let is_price = |price: u64| price.is_multiple_of(row.tick) && price / row.tick <= rungs;
    if !is_price(row.collar_low) || !is_price(row.collar_high) || row.redeem_value > row.face {
        return bad(SERIES, format!("series {}: prices beyond its face value", row.id));
    }
    let mut series = Series {
        symbol: Symbol(row.symbol),
        state,
        phase,
        killed,
        currency: Currency(row.currency),
        lot: Qty(row.lot),
        tick: Price(row.tick),
        face: Price(row.face),
        qty_min: Qty(row.qty_min),
        qty_max: Qty(row.qty_max),
        collar: Bps(row.collar),
        collar_low: Price(row.collar_low),
        collar_high: Price(row.collar_high),
        valid_to: row.valid_to,
        bids: Ladder::new(Side::Buy, rungs),
        asks: Ladder::new(Side::Sell, rungs),
        last: row.last,
        watch: Watch::Off,
        stops: Stops::restored(rungs, (row.highest, row.lowest)),
        band,
        issuer: ParticipantId(row.issuer),
        redeem_value: Price(row.redeem_value),
        issue_cap: Amount(row.issue_cap),
        outstanding: Amount(row.outstanding),
        terms_hash: Hash(row.terms_hash),
        fees: balances.house.fees,
        rebates: balances.house.rebates,
        custody: balances.house.custody,
        escrow: balances.escrow,
        free_escrow: balances.free_escrow,
        registrar: balances.registrar,
    };
    series.settle_watch();
    Ok(series)
}
