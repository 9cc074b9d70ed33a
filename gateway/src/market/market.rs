//! The market as events make it: every series' book in the order of its priority, told change by change on channels.
//!
//! Whether an order rests is known at its command's last event: it does with what was not traded or cancelled until
//! then. A replaced order keeps its place when its price stays and its quantity does not grow; else it moves, or, when
//! it trades first, leaves the book and arrives anew.
//!
//! # Cost
//! About as much for the book as for the message. Without followers of levels nothing is kept for them.

use super::channel::Channel;
use super::limits::MarketLimits;
use super::listing::Listing;
use super::statistics::Trading;
use super::tradings::Tradings;
use crate::register::Map;
use bytes::Bytes;
use xq_protocol::{
    Date, Event, Header, Message, Nanos, OrderId, OrderRefreshed, OrderReplaced, OrderType, Phase, PhaseTold,
    Price, Qty, Reserved, RestingAdded, RestingDeleted, RestingExecuted, RestingMoved, RestingReduced, Seq,
    SeriesDrafted, SeriesId, SeriesTold, Side, Stamp, Standing, StatisticsTold, Symbol, TradeBroken,
    TradeBusted, Traded,
};

/// An order between its arrival and its rest.
#[derive(Clone, Copy, Debug)]
struct Arriving {
    order: OrderId,
    series: SeriesId,
    side: Side,
    price: Price,
    leaves: Qty,
    /// So many are shown at a time; zero shows all.
    display: Qty,
    /// It still stands in the book, where it stood before it was replaced.
    stands: bool,
}

/// A resting order of which a part is hidden.
#[derive(Clone, Copy, Debug)]
struct Iceberg {
    /// What is open, hidden quantity included.
    leaves: Qty,
    /// So many are shown at a time.
    display: Qty,
    /// Its price: while it is about to show more it stands in no book.
    price: Price,
}

/// What is shown of an order.
fn shown(leaves: Qty, display: Qty) -> Qty {
    match display {
        Qty::ZERO => leaves,
        display => display.min(leaves),
    }
}

/// The market.
pub struct Market {
    pub(super) listings: Vec<Option<Box<Listing>>>,
    symbols: Map<Symbol, SeriesId>,
    pub(super) channels: Vec<Channel>,
    /// Packets to be sent as datagrams, each with its channel.
    pub(super) out: Vec<(u16, Bytes)>,
    /// Series whose followers are to be told.
    pub(super) changed: Vec<SeriesId>,
    arriving: Option<Arriving>,
    /// What is not public of the orders that show a part of themselves.
    icebergs: Map<OrderId, Iceberg>,
    /// Channels of which the command in hand has told something, a bit each.
    touched: u64,
    /// Where the command in hand stands; its series is not told here.
    pub(super) stamp: Stamp,
    /// Events of the command in hand are still to come.
    pub(super) inside: bool,
    /// Phase of the whole venue.
    pub(super) venue: Phase,
    date: Date,
    pub(super) limits: MarketLimits,
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("a number is an index")
}

impl Market {
    /// A market without series.
    pub fn new(limits: MarketLimits) -> Market {
        assert!((1..=64).contains(&limits.channels), "channels are bits of a mask");
        Market {
            listings: Vec::new(),
            symbols: Map::default(),
            channels: (0..limits.channels)
                .map(|number| Channel::new(number, limits.kept))
                .collect(),
            out: Vec::new(),
            changed: Vec::new(),
            arriving: None,
            icebergs: Map::default(),
            touched: 0,
            stamp: Stamp::default(),
            inside: false,
            venue: Phase::Continuous,
            date: Date::ZERO,
            limits,
        }
    }

    /// Takes up a series that there is already.
    pub fn define(&mut self, series: SeriesId, told: SeriesTold) {
        let place = index(series.0);
        if place >= self.listings.len() {
            self.listings.resize_with(place + 1, || None);
        }
        assert!(self.listings[place].is_none(), "a series is defined once");
        self.symbols.insert(told.symbol, series);
        let mut listing = Box::new(Listing::new(told));
        listing.trading.roll(self.date);
        self.listings[place] = Some(listing);
    }

    /// Takes up an order that rests already; they come in priority. What it hides comes with it: what is open in all,
    /// and so many are shown at a time.
    pub fn rest(&mut self, series: SeriesId, order: &RestingAdded, hidden: Option<(Qty, Qty)>) {
        if let Some((leaves, display)) = hidden {
            let price = order.price;
            let iceberg = Iceberg {
                leaves,
                display,
                price,
            };
            self.icebergs.insert(order.order, iceberg);
        }
        let listing = self.listing_mut(series).expect("its series is defined first");
        listing
            .book
            .add(order.order, order.side, order.price, order.qty)
            .expect("the exchange's own order rests once, with something");
    }

    /// Takes up the venue's phase, its business date, and the command after which all this is so.
    pub fn stand(&mut self, venue: Phase, date: Date, (seq, time): (Seq, Nanos)) {
        (self.venue, self.date) = (venue, date);
        (self.stamp.seq, self.stamp.time) = (seq, time);
        self.each_listing(|listing| {
            listing.told.venue = venue;
            listing.trading.roll(date);
        });
    }

    /// Takes up what trading came to so far, after [`Market::stand`].
    pub fn recall(&mut self, tradings: &Tradings) {
        let date = self.date;
        for (number, listing) in (0..).zip(&mut self.listings) {
            if let Some((listing, trading)) = listing.as_mut().zip(tradings.of(SeriesId(number))) {
                listing.trading = Trading {
                    day: StatisticsTold { date, ..trading.day },
                    candles: trading.candles,
                    changed: 0,
                };
            }
        }
    }

    fn broken(&mut self, busted: &TradeBusted) {
        let series = busted.series;
        if let Some(listing) = self.listing_mut(series) {
            listing.broken(TradeBroken {
                trade: busted.trade,
                price: busted.price,
                qty: busted.qty,
                index: busted.index,
            });
            self.mark(series, None);
        }
    }

    pub(super) fn listing_mut(&mut self, series: SeriesId) -> Option<&mut Listing> {
        self.listings.get_mut(index(series.0))?.as_deref_mut()
    }
    /// A series, if it was defined.
    pub fn listing(&self, series: SeriesId) -> Option<&Listing> {
        self.listings.get(index(series.0))?.as_deref()
    }
    /// The series with this symbol.
    pub fn find(&self, symbol: &Symbol) -> Option<SeriesId> {
        self.symbols.get(symbol).copied()
    }
    /// The channel of a series.
    pub fn channel_of(&self, series: SeriesId) -> u16 {
        let channels = u32::from(self.limits.channels);
        u16::try_from(series.0 % channels).expect("below the number of channels")
    }
    /// A channel.
    pub fn channel(&self, channel: u16) -> Option<&Channel> {
        self.channels.get(usize::from(channel))
    }
    /// The last command that was followed, and its time.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Follows one event.
    #[inline]
    pub fn visit(&mut self, header: &Header, event: &Event<'_>) {
        (self.stamp.seq, self.stamp.time) = (header.seq, header.time);
        if let Event::OrderAccepted(accepted) = event {
            self.come_to_rest();
            let waits = matches!(accepted.order_type, OrderType::Stop | OrderType::StopLimit);
            self.arriving = (!waits).then_some(Arriving {
                order: accepted.order,
                series: accepted.series,
                side: accepted.side,
                price: accepted.limit,
                leaves: accepted.qty,
                display: Qty::ZERO,
                stands: false,
            });
        } else if let Event::Traded(traded) = event {
            self.traded(header, traded);
        } else if let Event::OrderCanceled(canceled) = event {
            self.canceled(canceled.series, canceled.order);
        } else if let Event::OrderReplaced(replaced) = event {
            self.replaced(replaced);
        } else if let Event::OrderReduced(reduced) = event {
            self.lowered(reduced.series, reduced.order, reduced.leaves);
        } else {
            self.visit_rare(event);
        }
        self.inside = !header.is_last();
        if header.is_last() {
            self.come_to_rest();
            self.end_command();
        }
    }

    fn visit_rare(&mut self, event: &Event<'_>) {
        if let Event::TermsAccepted(terms) = event {
            if let Some(arriving) = self.arriving.as_mut().filter(|a| a.order == terms.order) {
                arriving.display = terms.display_qty;
            }
        } else if let Event::StopTriggered(triggered) = event {
            self.come_to_rest();
            self.arriving = Some(Arriving {
                order: triggered.order,
                series: triggered.series,
                side: triggered.side,
                price: triggered.limit,
                leaves: triggered.leaves,
                display: Qty::ZERO,
                stands: false,
            });
        } else if let Event::OrderRefreshed(refreshed) = event {
            self.refreshed(refreshed);
        } else if let Event::SeriesDrafted(drafted) = event {
            self.drafted(drafted);
        } else if let Event::PhaseSet(set) = event {
            self.phase_set(set.series, set.phase);
        } else if let Event::MarketHalted(halted) = event {
            self.phase_set(halted.series, Phase::Halt);
        } else if let Event::SessionsEnded(ended) = event
            && !ended.reopen_at.is_zero()
        {
            self.phase_set(SeriesId::ZERO, Phase::Halt);
        } else if let Event::DayRolled(rolled) = event {
            self.roll(rolled.date);
        } else if let Event::TradeBusted(busted) = event {
            self.broken(busted);
        }
    }

    fn end_command(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        while touched != 0 {
            let channel = touched.trailing_zeros();
            touched &= touched - 1;
            self.channels[index(channel)].mark_last();
        }
    }

    /// Tells a message about a series on its channel.
    #[inline]
    fn tell<M: Message>(&mut self, series: SeriesId, message: &M) {
        let channel = self.channel_of(series);
        let stamp = Stamp { series, ..self.stamp };
        self.channels[usize::from(channel)].tell(stamp, message, &mut self.out);
        self.touched |= 1 << channel;
    }

    /// A level of a series changed, or its trading.
    #[inline]
    fn mark(&mut self, series: SeriesId, level: Option<(Side, Price)>) {
        let listing = self.listing_mut(series).expect("its book changed just now");
        if let Some((side, price)) = level {
            listing.touched(side, price);
        }
        if listing.begins_to_differ() {
            self.changed.push(series);
        }
    }

    /// What arrived and is neither traded nor cancelled comes to rest.
    #[inline]
    fn come_to_rest(&mut self) {
        let Some(arriving) = self.arriving.take().filter(|arriving| !arriving.leaves.is_zero()) else {
            return;
        };
        let Arriving {
            order,
            series,
            side,
            price,
            leaves,
            display,
            stands,
        } = arriving;
        let qty = shown(leaves, display);
        if !display.is_zero() {
            let iceberg = Iceberg {
                leaves,
                display,
                price,
            };
            self.icebergs.insert(order, iceberg);
        }
        if !stands {
            return self.add(series, (order, side, price, qty));
        }
        let Some(listing) = self.listing_mut(series) else {
            return;
        };
        let old = listing.book.order(order).expect("it stands in the book");
        listing
            .book
            .relocate(order, price, qty)
            .expect("it stands in the book and has something left");
        let reserved = Reserved::ZERO;
        let moved = RestingMoved {
            order,
            price,
            qty,
            reserved,
        };
        self.tell(series, &moved);
        self.mark(series, Some((side, old.price)));
        self.mark(series, Some((side, price)));
    }

    /// An order stands last at its price.
    fn add(&mut self, series: SeriesId, (order, side, price, qty): (OrderId, Side, Price, Qty)) {
        let Some(listing) = self.listing_mut(series) else {
            return;
        };
        listing
            .book
            .add(order, side, price, qty)
            .expect("an order comes to rest once");
        let reserved = Reserved::ZERO;
        let added = RestingAdded {
            order,
            price,
            qty,
            side,
            reserved,
        };
        self.tell(series, &added);
        self.mark(series, Some((side, price)));
    }

    /// An order whose shown quantity has traded shows more, last at its price.
    fn refreshed(&mut self, refreshed: &OrderRefreshed) {
        let order = refreshed.order;
        if let Some(iceberg) = self.icebergs.get(&order).copied() {
            let (side, qty) = (refreshed.side, refreshed.display_qty);
            self.take_off(refreshed.series, order);
            self.add(refreshed.series, (order, side, iceberg.price, qty));
        }
    }

    fn traded(&mut self, header: &Header, traded: &Traded) {
        let series = traded.series;
        if let Some(arriving) = self.arriving.as_mut().filter(|a| a.order == traded.taker_order) {
            arriving.leaves = traded.taker_leaves;
            if std::mem::take(&mut arriving.stands) {
                self.take_off(series, traded.taker_order);
            }
        }
        let Some(listing) = self.listing_mut(series) else {
            return;
        };
        let (order, price, qty) = (traded.maker_order, traded.price, traded.qty);
        let maker = listing.book.order(order).expect("the maker rests");
        let leaves = Qty(maker
            .qty
            .0
            .checked_sub(qty.0)
            .expect("a trade takes from what is shown"));
        listing
            .book
            .reduce(order, leaves)
            .expect("a trade takes from the maker");
        listing.traded(header, (price, qty, traded.taker_side));
        if traded.maker_leaves.is_zero() {
            self.icebergs.remove(&order);
        } else if let Some(iceberg) = self.icebergs.get_mut(&order) {
            iceberg.leaves = traded.maker_leaves;
        }
        self.tell(
            series,
            &RestingExecuted {
                order,
                price,
                qty,
                leaves,
            },
        );
        self.mark(series, Some((maker.side, maker.price)));
    }

    fn canceled(&mut self, series: SeriesId, order: OrderId) {
        if let Some(arriving) = self.arriving.take_if(|arriving| arriving.order == order)
            && !arriving.stands
        {
            return;
        }
        self.icebergs.remove(&order);
        self.take_off(series, order);
    }

    /// Takes an order off the book, if it rests.
    fn take_off(&mut self, series: SeriesId, order: OrderId) {
        let Some(listing) = self.listing_mut(series) else {
            return;
        };
        let Some(resting) = listing.book.order(order) else {
            return;
        };
        listing.book.reduce(order, Qty::ZERO).expect("it rests");
        self.tell(series, &RestingDeleted { order });
        self.mark(series, Some((resting.side, resting.price)));
    }

    fn replaced(&mut self, replaced: &OrderReplaced) {
        match replaced.standing {
            Standing::Waiting => return,
            Standing::Book => {}
        }
        let (series, order) = (replaced.series, replaced.order);
        let resting = self.listing(series).and_then(|listing| listing.book.order(order));
        let iceberg = self.icebergs.get(&order).copied();
        let keeps_place = resting.is_some_and(|resting| {
            let open = iceberg.map_or(resting.qty, |iceberg| iceberg.leaves);
            resting.price == replaced.limit && replaced.leaves <= open
        });
        if keeps_place {
            return self.lowered(series, order, replaced.leaves);
        }
        self.come_to_rest();
        self.arriving = Some(Arriving {
            order,
            series,
            side: replaced.side,
            price: replaced.limit,
            leaves: replaced.leaves,
            display: iceberg.map_or(Qty::ZERO, |iceberg| iceberg.display),
            stands: resting.is_some(),
        });
    }

    /// So much is left of an order, hidden quantity included.
    fn lowered(&mut self, series: SeriesId, order: OrderId, leaves: Qty) {
        if let Some(arriving) = self.arriving.as_mut().filter(|arriving| arriving.order == order) {
            arriving.leaves = leaves;
            return;
        }
        if let Some(iceberg) = self.icebergs.get_mut(&order) {
            iceberg.leaves = leaves;
        }
        let Some(listing) = self.listing_mut(series) else {
            return;
        };
        let Some(resting) = listing.book.order(order).filter(|resting| leaves < resting.qty) else {
            return;
        };
        listing.book.reduce(order, leaves).expect("it rests with more");
        let reserved = Reserved::ZERO;
        let reduced = RestingReduced {
            order,
            leaves,
            reserved,
        };
        self.tell(series, &reduced);
        self.mark(series, Some((resting.side, resting.price)));
    }

    fn drafted(&mut self, drafted: &SeriesDrafted) {
        let told = SeriesTold {
            symbol: drafted.symbol,
            tick: drafted.tick,
            face: drafted.face,
            valid_to: drafted.valid_to,
            lot: drafted.lot,
            currency: drafted.currency,
            phase: Phase::Closed,
            venue: self.venue,
        };
        self.define(drafted.series, told);
        self.tell(drafted.series, &told);
    }

    /// The phase of a series, or with zero of the venue: all channels hear of that.
    fn phase_set(&mut self, series: SeriesId, phase: Phase) {
        let told = PhaseTold {
            phase,
            reserved: Reserved::ZERO,
        };
        if let Some(listing) = self.listing_mut(series) {
            listing.told.phase = phase;
            listing.phase_changed();
            self.mark(series, None);
            self.tell(series, &told);
        } else if series.is_zero() {
            self.venue = phase;
            self.each_listing(|listing| {
                listing.told.venue = phase;
                listing.phase_changed();
            });
            for channel in 0..self.limits.channels {
                let stamp = self.stamp;
                self.channels[usize::from(channel)].tell(stamp, &told, &mut self.out);
                self.touched |= 1 << channel;
            }
        }
    }

    fn roll(&mut self, date: Date) {
        self.date = date;
        self.each_listing(|listing| listing.rolled(date));
    }

    /// Changes every series: what an operator does a few times a day.
    fn each_listing(&mut self, mut change: impl FnMut(&mut Listing)) {
        for (number, listing) in (0..).zip(&mut self.listings) {
            if let Some(listing) = listing {
                change(listing);
                if listing.begins_to_differ() {
                    self.changed.push(SeriesId(number));
                }
            }
        }
    }
}
