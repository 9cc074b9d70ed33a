//! Trades that are undone: both legs and both fees go back, on the business day on which they happened.
//!
//! The engine does not keep trades. What is to be undone stands in the command, which two people of the house have seen;
//! whoever has the journal can compare it with the trade's own event.

use crate::events::Events;
use crate::exchange::Venue;
use crate::floor::Floor;
use crate::ledger::{RowId, Spot};
use crate::party::{Duties, Freeze};
use crate::refusal::{Refusal, beyond};
use crate::series::Series;
use crate::snapshot::{BadSnapshot, SectionKind, bad};
use rkyv::{Archive, Deserialize, Serialize};
use xq_protocol::{
    AccountId, Amount, AssetId, BustTrade, Count, Fee, RejectReason, Reserved, Seq, SeriesId, Side,
    TradeBusted,
};

/// Most trades that can be undone on a business day; room for them is laid out at start.
const BUSTS_MAX: usize = 4_096;

/// The trades of the business day that were undone.
pub(crate) struct Busts {
    /// The command that began the day.
    pub day_began: Seq,
    /// Each by its command and its place among that command's events, in order.
    pub undone: Vec<(Seq, Count)>,
}

impl Default for Busts {
    fn default() -> Self {
        Busts {
            day_began: Seq::ZERO,
            undone: Vec::with_capacity(BUSTS_MAX),
        }
    }
}

/// A trade that was undone, as a snapshot has it.
#[derive(Archive, Serialize, Deserialize)]
pub(crate) struct BustRow {
    pub trade: u64,
    pub index: u32,
}

impl Busts {
    /// Adds a trade, if it was not undone before.
    fn undo(&mut self, trade: (Seq, Count)) -> bool {
        let place = self.undone.binary_search(&trade);
        if let Err(place) = place {
            self.undone.insert(place, trade);
        }
        place.is_err()
    }

    /// Every trade of the day that was undone.
    pub fn rows(&self) -> impl Iterator<Item = BustRow> + '_ {
        let row = |(trade, index): &(Seq, Count)| BustRow {
            trade: trade.0,
            index: index.0,
        };
        self.undone.iter().map(row)
    }

    /// Takes up a trade that was undone; `now` is the last command.
    pub fn restore(&mut self, row: &BustRow, now: Seq) -> Result<(), BadSnapshot> {
        let (trade, index) = (Seq(row.trade), Count(row.index));
        let is_of_today = (self.day_began..now).contains(&trade);
        let has_room = self.undone.len() < BUSTS_MAX;
        match is_of_today && has_room && self.undo((trade, index)) {
            true => Ok(()),
            false => bad(
                SectionKind::Busts,
                format!("the trade of command {trade}: twice, of another day, or too many"),
            ),
        }
    }

    /// A business day begins: trades of the one before stand.
    pub fn roll(&mut self, began: Seq) {
        self.day_began = began;
        self.undone.clear();
    }
}

/// One side of a trade that is to be undone.
#[derive(Clone, Copy)]
struct Party {
    account: AccountId,
    fee: Fee,
    cash: RowId,
    units: RowId,
}

/// What goes back, and between whom.
struct Undoing {
    buyer: Party,
    seller: Party,
    amount: Amount,
}

/// What a side paid.
fn paid(fee: Fee) -> Amount {
    Amount(u64::try_from(fee.0).unwrap_or(0))
}

/// What a side was paid.
fn rebate(fee: Fee) -> Amount {
    Amount(u64::try_from(fee.0.saturating_neg()).unwrap_or(0))
}

impl Venue {
    /// Undoes a trade. Its orders stay as they are, and so does the last price.
    pub(crate) fn bust_trade(&mut self, c: &BustTrade, events: &mut Events) -> Result<(), Refusal> {
        let Undoing {
            buyer,
            seller,
            amount,
        } = self.admit_bust(c)?;
        let series = self.series.get(c.series)?;
        let (currency, floor) = (series.currency, &mut self.floor);
        floor.fee_back(series, seller);
        let (from, to) = (Spot::Available(seller.cash), Spot::Available(buyer.cash));
        floor.ledger.transfer(from, to, amount);
        floor.fee_back(series, buyer);
        let (from, to) = (Spot::Available(buyer.units), Spot::Available(seller.units));
        floor.ledger.transfer(from, to, c.qty.into());
        for party in [buyer, seller] {
            if floor.parties.duties(party.account).has(Duties::LIMITED) {
                floor.uncount_traded(party.account, c.trade, amount);
            }
        }
        self.busts.undo((c.trade, c.index));
        events.emit(&TradeBusted {
            trade: c.trade,
            index: c.index,
            series: c.series,
            price: c.price,
            amount,
            maker_order: c.maker_order,
            taker_order: c.taker_order,
            maker_fee: c.maker_fee,
            taker_fee: c.taker_fee,
            qty: c.qty,
            maker_session: c.maker_session,
            taker_session: c.taker_session,
            maker_account: c.maker_account,
            taker_account: c.taker_account,
            currency,
            taker_side: c.taker_side,
            reserved: Reserved::ZERO,
        });
        Ok(())
    }

    fn admit_bust(&self, c: &BustTrade) -> Result<Undoing, Refusal> {
        let series = self.series.get(c.series)?;
        for account in [c.maker_account, c.taker_account] {
            if self.floor.parties.account(account)?.freeze != Freeze::None {
                return Err(RejectReason::AccountFrozen.into());
            }
        }
        let busts = &self.busts;
        let of_today = (busts.day_began..self.floor.seq).contains(&c.trade);
        let is_undone = busts.undone.binary_search(&(c.trade, c.index)).is_ok();
        if !of_today || is_undone || c.maker_account == c.taker_account {
            return Err(RejectReason::TradeNotBustable.into());
        }
        if busts.undone.len() >= BUSTS_MAX {
            let max = u64::try_from(BUSTS_MAX).expect("a small number");
            return Err(beyond(RejectReason::Capacity, max, max));
        }
        let amount = c.price.times(c.qty).filter(|amount| !amount.is_zero());
        let amount = amount.ok_or(RejectReason::TradeNotBustable)?;
        let party = |account, fee| self.floor.party_to(series, c.series, account, fee);
        let maker = party(c.maker_account, c.maker_fee)?;
        let taker = party(c.taker_account, c.taker_fee)?;
        let (buyer, seller) = match c.taker_side {
            Side::Buy => (taker, maker),
            Side::Sell => (maker, taker),
        };
        let undoing = Undoing {
            buyer,
            seller,
            amount,
        };
        self.admit_fees_back(series, &undoing)?;
        self.admit_legs_back(&undoing, c.qty.into())?;
        Ok(undoing)
    }

    /// No more goes back than was ever paid.
    fn admit_fees_back(&self, series: &Series, undoing: &Undoing) -> Result<(), Refusal> {
        let ledger = &self.floor.ledger;
        let both = [undoing.buyer.fee, undoing.seller.fee];
        let sum = |part: fn(Fee) -> Amount| both.iter().map(|fee| i128::from(part(*fee).0)).sum::<i128>();
        let within = both.iter().all(|fee| fee.0.unsigned_abs() <= undoing.amount.0);
        match within
            && sum(paid) <= ledger.system(series.fees)
            && sum(rebate) <= -ledger.system(series.rebates)
        {
            true => Ok(()),
            false => Err(RejectReason::TradeNotBustable.into()),
        }
    }

    /// Each side still has, free to use, what it must give back.
    fn admit_legs_back(&self, undoing: &Undoing, units: Amount) -> Result<(), Refusal> {
        let (ledger, seller) = (&self.floor.ledger, undoing.seller);
        let wide = |amount: Amount| u128::from(amount.0);
        let narrow = |amount: u128| u64::try_from(amount).unwrap_or(u64::MAX);
        let needs = wide(undoing.amount) + wide(rebate(seller.fee));
        let has = wide(ledger.row(seller.cash).available) + wide(paid(seller.fee));
        if needs > has {
            return Err(beyond(RejectReason::InsufficientCash, narrow(needs), narrow(has)));
        }
        let has = ledger.row(undoing.buyer.units).available;
        match units > has {
            true => Err(beyond(RejectReason::InsufficientUnits, units.0, has.0)),
            false => Ok(()),
        }
    }
}

impl Floor {
    /// A side of a trade: who traded has both balances.
    fn party_to(
        &self,
        series: &Series,
        units: SeriesId,
        account: AccountId,
        fee: Fee,
    ) -> Result<Party, RejectReason> {
        let find = |asset: AssetId| self.ledger.find(account, asset);
        let rows = find(series.currency.into()).zip(find(units.into()));
        let (cash, units) = rows.ok_or(RejectReason::TradeNotBustable)?;
        Ok(Party {
            account,
            fee,
            cash,
            units,
        })
    }

    /// A side's fee comes back to it; a rebate goes back to the house.
    fn fee_back(&mut self, series: &Series, party: Party) {
        let (cash, ledger) = (Spot::Available(party.cash), &mut self.ledger);
        match party.fee.0 {
            0 => {}
            1.. => ledger.transfer(Spot::System(series.fees), cash, paid(party.fee)),
            ..0 => ledger.transfer(cash, Spot::System(series.rebates), rebate(party.fee)),
        }
    }
}
