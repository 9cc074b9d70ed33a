//! How well market makers have met their obligations: for how much of continuous trading each had both sides of a quote
//! in the book, large enough and close enough together.
//!
//! A projection of the event journal; nothing of it is in the engine.

use crate::open_orders::{Open, OpenOrders};
use std::collections::BTreeMap;
use xq_engine::{Exchange, SeriesView};
use xq_protocol::{
    AccountId, Date, Event, Header, KillSwitchSet, KillTarget, Nanos, OrderId, ParticipantId, Phase, Price,
    Role, Seq, SeriesId, Side, SwitchState,
};

/// What is asked of a market maker.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Coupons on each side.
    pub qty: u64,
    /// Ask less bid, of their mean, basis points.
    pub spread_bps: u64,
}

/// One market maker's account in one series on one business day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Time of continuous trading, its own and the series' kill switch released, since the account first quoted in the series, nanoseconds.
    pub open_ns: u64,
    /// Of it, the time for which the terms were met.
    pub met_ns: u64,
    /// Coupons that its resting orders traded, but for trades undone.
    pub made: u64,
}

/// One line of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The business date; zero before the first day began.
    pub date: Date,
    /// The account.
    pub account: AccountId,
    /// The series.
    pub series: SeriesId,
    /// What was seen.
    pub presence: Presence,
}

/// An account's open orders in a series, and what was seen of it today.
#[derive(Default)]
struct Quoting {
    buys: BTreeMap<Price, u64>,
    sells: BTreeMap<Price, u64>,
    presence: Presence,
    /// The terms are met as it stands.
    met: bool,
}

impl Quoting {
    fn level(&mut self, order: &Open, by: impl Fn(u64) -> u64) {
        let side = match order.side {
            Side::Buy => &mut self.buys,
            Side::Sell => &mut self.sells,
        };
        let qty = side.entry(order.price).or_default();
        *qty = by(*qty);
        if *qty == 0 {
            side.remove(&order.price);
        }
    }

    /// Whether both sides are large enough within the spread.
    fn meets(&self, terms: Terms) -> bool {
        let bid = deep_enough(self.buys.iter().rev(), terms.qty);
        let ask = deep_enough(self.sells.iter(), terms.qty);
        bid.zip(ask).is_some_and(|(bid, ask)| {
            let (bid, ask) = (u128::from(bid.0), u128::from(ask.0));
            ask.saturating_sub(bid) * 20_000 <= u128::from(terms.spread_bps) * (ask + bid)
        })
    }
}

/// The price down to which so many coupons are open, best price first.
fn deep_enough<'a>(levels: impl Iterator<Item = (&'a Price, &'a u64)>, qty: u64) -> Option<Price> {
    let mut sum = 0_u64;
    for (price, open) in levels {
        sum = sum.saturating_add(*open);
        if sum >= qty {
            return Some(*price);
        }
    }
    None
}

/// Whether a series can be traded.
#[derive(Clone, Copy)]
struct Market {
    phase: Phase,
    switch: SwitchState,
}

impl Default for Market {
    fn default() -> Self {
        Market {
            phase: Phase::Closed,
            switch: SwitchState::Released,
        }
    }
}

impl Market {
    fn is_open(&self) -> bool {
        self.phase == Phase::Continuous && self.switch == SwitchState::Released
    }
}

/// Follows the events and measures.
pub struct Obligations {
    terms: Terms,
    /// Every market maker, and whether it may trade.
    makers: BTreeMap<ParticipantId, SwitchState>,
    /// Every market maker's account, and whose it is.
    accounts: BTreeMap<AccountId, ParticipantId>,
    orders: OpenOrders,
    quoting: BTreeMap<(SeriesId, AccountId), Quoting>,
    markets: BTreeMap<SeriesId, Market>,
    venue: Phase,
    date: Date,
    last: Nanos,
    /// The last command before the first event: what it and those before traded was not seen.
    behind: Seq,
    rows: Vec<Row>,
}

impl Obligations {
    /// Behind what was executed so far: orders in the book count from here on. One that waits for its stop does not, even when
    /// it comes into the book later.
    pub fn behind(terms: Terms, exchange: &Exchange) -> Obligations {
        let mut measured = Obligations::new(terms);
        measured.venue = exchange.phase();
        measured.date = exchange.business_date();
        measured.last = exchange.time();
        measured.behind = exchange.last_seq();
        for (account, owner, switch) in exchange.accounts_of(Role::MarketMaker) {
            measured.makers.insert(owner, switch);
            measured.accounts.insert(account, owner);
        }
        for view in exchange.each_series() {
            let SeriesView {
                series,
                phase,
                switch,
                ..
            } = view;
            measured.markets.insert(series, Market { phase, switch });
            for (side, order) in exchange.each_resting(series) {
                if measured.accounts.contains_key(&order.account) {
                    measured.stands(order.order, Open::resting(series, side, &order));
                }
            }
        }
        measured
    }

    /// An order stands in the book.
    fn stands(&mut self, id: OrderId, order: Open) {
        self.orders.begin_with(id, order);
        let quoting = self.quoting.entry((order.series, order.account)).or_default();
        quoting.level(&order, |qty| qty + order.shown());
        quoting.met = quoting.meets(self.terms);
    }

    /// Before the first event.
    pub fn new(terms: Terms) -> Obligations {
        Obligations {
            terms,
            makers: BTreeMap::new(),
            accounts: BTreeMap::new(),
            orders: OpenOrders::default(),
            quoting: BTreeMap::new(),
            markets: BTreeMap::new(),
            venue: Phase::Continuous,
            date: Date::ZERO,
            last: Nanos::ZERO,
            behind: Seq::ZERO,
            rows: Vec::new(),
        }
    }

    /// Follows one event.
    pub fn follow(&mut self, header: &Header, event: &Event<'_>) {
        self.pass_until(header.time);
        match event {
            Event::ParticipantRegistered(e) if e.role == Role::MarketMaker => {
                self.makers.insert(e.participant, SwitchState::Released);
            }
            Event::AccountOpened(e) if self.makers.contains_key(&e.owner) => {
                self.accounts.insert(e.account, e.owner);
            }
            Event::PhaseSet(e) if e.series.is_zero() => self.venue = e.phase,
            Event::PhaseSet(e) => self.market(e.series).phase = e.phase,
            Event::MarketHalted(e) => self.market(e.series).phase = Phase::Halt,
            Event::KillSwitchSet(e) => self.switched(e),
            Event::TradeBusted(e)
                if e.trade > self.behind && self.accounts.contains_key(&e.maker_account) =>
            {
                let quoting = self.quoting.entry((e.series, e.maker_account)).or_default();
                quoting.presence.made = quoting.presence.made.saturating_sub(e.qty.0.into());
            }
            Event::SessionsEnded(e) if !e.reopen_at.is_zero() => self.venue = Phase::Halt,
            Event::DayRolled(e) => self.end_day(e.date),
            // All else either is about an order or changes nothing here.
            _ => self.follow_order(event),
        }
    }

    fn market(&mut self, series: SeriesId) -> &mut Market {
        self.markets.entry(series).or_default()
    }

    fn switched(&mut self, e: &KillSwitchSet) {
        match e.target {
            KillTarget::Series => self.market(e.series).switch = e.state,
            KillTarget::Participant => {
                if let Some(switch) = self.makers.get_mut(&e.participant) {
                    *switch = e.state;
                }
            }
        }
    }

    fn follow_order(&mut self, event: &Event<'_>) {
        let Obligations {
            orders,
            quoting,
            accounts,
            terms,
            ..
        } = self;
        if let Event::Traded(e) = event
            && let Some(maker) = orders.get(e.maker_order)
        {
            let quoting = quoting.entry((maker.series, maker.account)).or_default();
            quoting.presence.made += u64::from(e.qty.0);
        }
        let wanted = |account: AccountId, _: SeriesId| accounts.contains_key(&account);
        orders.follow(event, &wanted, &mut |before, after| {
            let Some(order) = before.or(after) else { return };
            let quoting = quoting.entry((order.series, order.account)).or_default();
            if let Some(order) = before {
                quoting.level(&order, |qty| qty - order.shown());
            }
            if let Some(order) = after {
                quoting.level(&order, |qty| qty + order.shown());
            }
            quoting.met = quoting.meets(*terms);
        });
    }

    /// Time passes with everything as it stands.
    fn pass_until(&mut self, now: Nanos) {
        let passed = now.0.saturating_sub(self.last.0);
        self.last = self.last.max(now);
        if passed == 0 || self.venue != Phase::Continuous {
            return;
        }
        let Obligations {
            quoting,
            markets,
            makers,
            accounts,
            ..
        } = self;
        for ((series, account), quoting) in quoting {
            let maker = accounts.get(account).and_then(|owner| makers.get(owner));
            let may_trade = maker == Some(&SwitchState::Released);
            if may_trade && markets.get(series).is_some_and(Market::is_open) {
                quoting.presence.open_ns += passed;
                quoting.presence.met_ns += if quoting.met { passed } else { 0 };
            }
        }
    }

    fn end_day(&mut self, next: Date) {
        for ((series, account), quoting) in &mut self.quoting {
            let presence = std::mem::take(&mut quoting.presence);
            let row = Row {
                date: self.date,
                account: *account,
                series: *series,
                presence,
            };
            if presence != Presence::default() {
                self.rows.push(row);
            }
        }
        self.date = next;
    }

    /// All that was seen, day by day.
    pub fn rows(mut self) -> Vec<Row> {
        self.end_day(Date::ZERO);
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::*;

    const MM: AccountId = AccountId(4);
    const SERIES: SeriesId = SeriesId(7);
    const SECOND: u64 = 1_000_000_000;

    fn accepted(order: u64, side: Side, price: u64, qty: u32) -> OrderAccepted {
        OrderAccepted {
            order: OrderId(order),
            account: MM,
            series: SERIES,
            cl_ord_id: ClOrdId::ZERO,
            limit: Price(price),
            expire_at: Nanos::ZERO,
            held: Amount::ZERO,
            qty: Qty(qty),
            currency: Currency(156),
            side,
            order_type: OrderType::Limit,
            tif: TimeInForce::Gtc,
            execution: Execution::Any,
            on_disconnect: OnDisconnect::Cancel,
            reserved: Reserved::ZERO,
        }
    }

    fn phase(series: SeriesId, phase: Phase) -> PhaseSet {
        PhaseSet {
            series,
            phase,
            reserved: Reserved::ZERO,
        }
    }

    fn traded(maker: u64, qty: u32, maker_leaves: u32) -> Traded {
        Traded {
            series: SERIES,
            currency: Currency(156),
            taker_side: Side::Sell,
            reserved: Reserved::ZERO,
            price: Price(1_000),
            amount: Amount(0),
            qty: Qty(qty),
            maker_leaves: Qty(maker_leaves),
            taker_leaves: Qty::ZERO,
            maker_session: SessionId::HOUSE,
            maker_order: OrderId(maker),
            taker_order: OrderId(99),
            maker_account: MM,
            taker_account: AccountId(9),
            maker_fee: Fee(0),
            taker_fee: Fee(0),
            released: Amount::ZERO,
        }
    }

    /// Quoting 10 on each side within 5 % is asked of account 4, a market maker's.
    fn measured() -> Obligations {
        let mut measured = Obligations::new(Terms {
            qty: 10,
            spread_bps: 500,
        });
        let header = Header::default();
        let registered = ParticipantRegistered {
            participant: ParticipantId(2),
            role: Role::MarketMaker,
            reserved: Reserved::ZERO,
            reference: Hash::ZERO,
        };
        measured.follow(&header, &Event::ParticipantRegistered(&registered));
        let opened = AccountOpened {
            account: MM,
            owner: ParticipantId(2),
            operated_by: ParticipantId::ZERO,
            schedule: ScheduleId(0),
            reserved: Reserved::ZERO,
        };
        measured.follow(&header, &Event::AccountOpened(&opened));
        measured
    }

    #[test]
    fn time_with_both_sides_large_and_close_enough_counts() {
        let mut measured = measured();
        let mut at = |second: u64, event: &Event<'_>| {
            let header = Header {
                time: Nanos(second * SECOND),
                ..Header::default()
            };
            measured.follow(&header, event);
        };
        at(0, &Event::PhaseSet(&phase(SERIES, Phase::Continuous)));
        at(10, &Event::OrderAccepted(&accepted(1, Side::Buy, 980, 10)));
        // One side alone for ten seconds, then too far apart for ten, then as asked.
        at(20, &Event::OrderAccepted(&accepted(2, Side::Sell, 1_100, 10)));
        at(30, &Event::OrderAccepted(&accepted(3, Side::Sell, 1_020, 10)));
        // As asked for five seconds, then too little on the one side for five.
        at(35, &Event::Traded(&traded(1, 4, 6)));
        // Two orders together are enough; a halt does not count.
        at(40, &Event::OrderAccepted(&accepted(4, Side::Buy, 990, 4)));
        at(47, &Event::PhaseSet(&phase(SERIES, Phase::Halt)));
        at(60, &Event::PhaseSet(&phase(SERIES, Phase::Continuous)));
        at(61, &Event::PhaseSet(&phase(SeriesId::ZERO, Phase::Halt)));
        let rolled = DayRolled {
            date: Date(20_260_103),
            reserved: Reserved::ZERO,
        };
        at(70, &Event::DayRolled(&rolled));
        at(80, &Event::PhaseSet(&phase(SeriesId::ZERO, Phase::Continuous)));
        at(
            90,
            &Event::TimeAdvanced(&TimeAdvanced {
                now: Nanos(90 * SECOND),
                jobs: Count(0),
                open_orders: Count(4),
            }),
        );
        let rows = measured.rows();
        let seen = |row: &Row| {
            let Presence {
                open_ns,
                met_ns,
                made,
            } = row.presence;
            (row.date.0, open_ns / SECOND, met_ns / SECOND, made)
        };
        let seen: Vec<_> = rows.iter().map(seen).collect();
        assert_eq!(seen, [(0, 37 + 1, 5 + 7 + 1, 4), (20_260_103, 10, 10, 0)]);
        assert!(rows.iter().all(|row| (row.account, row.series) == (MM, SERIES)));
    }

    #[test]
    fn what_an_iceberg_hides_does_not_count_and_nobody_else_is_measured() {
        let mut measured = measured();
        let header = Header::default();
        measured.follow(&header, &Event::PhaseSet(&phase(SERIES, Phase::Continuous)));
        measured.follow(&header, &Event::OrderAccepted(&accepted(1, Side::Buy, 990, 50)));
        let terms = TermsAccepted {
            order: OrderId(1),
            account: MM,
            series: SERIES,
            stop: Price::ZERO,
            min_qty: Qty::ZERO,
            display_qty: Qty(5),
            currency: Currency(156),
            side: Side::Buy,
            self_trade: SelfTradePrevention::CancelNewest,
            reserved: Reserved::ZERO,
        };
        measured.follow(&header, &Event::TermsAccepted(&terms));
        measured.follow(
            &header,
            &Event::OrderAccepted(&accepted(2, Side::Sell, 1_000, 50)),
        );
        let other = OrderAccepted {
            account: AccountId(5),
            ..accepted(3, Side::Buy, 990, 50)
        };
        measured.follow(&header, &Event::OrderAccepted(&other));
        let later = Header {
            time: Nanos(SECOND),
            ..header
        };
        measured.follow(&later, &Event::PhaseSet(&phase(SERIES, Phase::Closed)));
        let rows = measured.rows();
        assert_eq!(rows.len(), 1);
        let presence = rows[0].presence;
        assert_eq!((presence.open_ns, presence.met_ns), (SECOND, 0));
    }

    #[test]
    fn time_does_not_count_while_a_kill_switch_is_thrown_nor_a_trade_that_was_undone() {
        let mut measured = measured();
        let mut at = |second: u64, event: &Event<'_>| {
            let header = Header {
                time: Nanos(second * SECOND),
                ..Header::default()
            };
            measured.follow(&header, event);
        };
        let switched =
            |participant: u32, series: u32, target: KillTarget, state: SwitchState| KillSwitchSet {
                participant: ParticipantId(participant),
                series: SeriesId(series),
                target,
                state,
                reserved: Reserved::ZERO,
            };
        at(0, &Event::PhaseSet(&phase(SERIES, Phase::Continuous)));
        at(0, &Event::OrderAccepted(&accepted(1, Side::Buy, 990, 20)));
        at(10, &Event::Traded(&traded(1, 4, 16)));
        for (second, target, state) in [
            (10, KillTarget::Series, SwitchState::Engaged),
            (30, KillTarget::Series, SwitchState::Released),
            (35, KillTarget::Participant, SwitchState::Engaged),
            (50, KillTarget::Participant, SwitchState::Released),
        ] {
            at(second, &Event::KillSwitchSet(&switched(2, 7, target, state)));
        }
        let told = Header {
            seq: Seq(5),
            ..Header::default()
        };
        let bust = BustTrade::of(&told, &traded(1, 4, 16));
        let busted = TradeBusted {
            trade: bust.trade,
            index: bust.index,
            series: bust.series,
            price: bust.price,
            amount: Amount(4_000),
            maker_order: bust.maker_order,
            taker_order: bust.taker_order,
            maker_fee: bust.maker_fee,
            taker_fee: bust.taker_fee,
            qty: bust.qty,
            maker_session: bust.maker_session,
            taker_session: bust.taker_session,
            maker_account: bust.maker_account,
            taker_account: bust.taker_account,
            currency: Currency(156),
            taker_side: bust.taker_side,
            reserved: Reserved::ZERO,
        };
        at(51, &Event::TradeBusted(&busted));
        let rows = measured.rows();
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.presence.open_ns / SECOND, row.presence.made))
            .collect();
        assert_eq!(seen, [(10 + 5 + 1, 0)]);
    }

    #[test]
    fn of_an_iceberg_what_is_shown_just_now_counts() {
        let mut measured = measured();
        let mut at = |second: u64, event: &Event<'_>| {
            let header = Header {
                time: Nanos(second * SECOND),
                ..Header::default()
            };
            measured.follow(&header, event);
        };
        let terms = TermsAccepted {
            order: OrderId(1),
            account: MM,
            series: SERIES,
            stop: Price::ZERO,
            min_qty: Qty::ZERO,
            display_qty: Qty(10),
            currency: Currency(156),
            side: Side::Buy,
            self_trade: SelfTradePrevention::CancelNewest,
            reserved: Reserved::ZERO,
        };
        let refreshed = OrderRefreshed {
            order: OrderId(1),
            account: MM,
            series: SERIES,
            display_qty: Qty(10),
            leaves: Qty(40),
            session: SessionId::HOUSE,
            currency: Currency(156),
            side: Side::Buy,
            reserved: Reserved::ZERO,
        };
        at(0, &Event::PhaseSet(&phase(SERIES, Phase::Continuous)));
        at(0, &Event::OrderAccepted(&accepted(2, Side::Sell, 1_000, 50)));
        at(0, &Event::OrderAccepted(&accepted(1, Side::Buy, 990, 50)));
        at(0, &Event::TermsAccepted(&terms));
        // Ten are shown, then four, then ten again.
        at(5, &Event::Traded(&traded(1, 6, 44)));
        at(8, &Event::Traded(&traded(1, 4, 40)));
        at(8, &Event::OrderRefreshed(&refreshed));
        at(9, &Event::PhaseSet(&phase(SERIES, Phase::Closed)));
        let presence = measured.rows()[0].presence;
        assert_eq!((presence.open_ns, presence.met_ns), (9 * SECOND, 6 * SECOND));
    }
}
