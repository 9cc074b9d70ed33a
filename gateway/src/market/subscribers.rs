//! Subscribers: what each asked for, what waits to be written to it, and how much it may ask.

use super::limits::MarketLimits;
use super::market::Market;
use super::packer::Packer;
use crate::pipe::Pipe;
use crate::register::Map;
use crate::throttle::Throttle;
use bytes::Bytes;
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::sync::Notify;
use xq_protocol::{
    ChannelMask, Count, Hash, HashWanted, JournalId, LevelsWanted, MarketMessage, MarketRefused,
    MarketWelcome, Message, Nanos, Packet, PacketMessage, ParticipantId, RejectReason, RepairTold,
    RepairWanted, ReqSeq, Reserved, SeriesId, SnapshotWanted, Stamp, TerminateReason,
};

/// Orders that a snapshot costs beside those that it has: also one of an empty book is work.
const SNAPSHOT_COST: usize = 64;

/// Names one subscriber of this exchange; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriberId(pub u64);

/// A snapshot that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    series: SeriesId,
    request: ReqSeq,
}

/// A subscriber.
pub struct Subscriber {
    /// Whose key it showed.
    pub participant: ParticipantId,
    /// The key.
    pub fingerprint: Hash,
    /// Channels whose datagrams it wants.
    pub channels: ChannelMask,
    /// Answers and repairs.
    pub answers: Pipe,
    /// Levels, trades, statistics, candles.
    pub levels: Pipe,
    /// Rung when a snapshot can be taken to be written.
    pub snapshot_bell: Rc<Notify>,
    snapshots: VecDeque<Wanted>,
    following: Vec<SeriesId>,
    budget: Throttle,
    requests: Throttle,
}

/// All of them.
pub struct Subscribers {
    all: Map<SubscriberId, Subscriber>,
    last: u64,
    /// Those over their limit.
    slow: Vec<SubscriberId>,
    /// Repairs told, until they are counted.
    repairs: usize,
    limits: MarketLimits,
}

/// What a request asks the market for.
struct Ask<'a> {
    market: &'a mut Market,
    limits: &'a MarketLimits,
    id: SubscriberId,
    now: Nanos,
    repairs: usize,
}

impl Subscribers {
    /// None.
    pub fn new(limits: MarketLimits) -> Subscribers {
        let (all, slow) = (Map::default(), Vec::new());
        Subscribers {
            all,
            last: 0,
            slow,
            repairs: 0,
            limits,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }
    /// A subscriber.
    pub fn get_mut(&mut self, id: SubscriberId) -> Option<&mut Subscriber> {
        self.all.get_mut(&id)
    }

    /// A new one, who is welcomed.
    ///
    /// # Errors
    /// R410: there are as many as there may be, in all or of this participant.
    pub fn open(
        &mut self,
        (participant, fingerprint): (ParticipantId, Hash),
        journal_id: JournalId,
    ) -> Result<SubscriberId, RejectReason> {
        let own = self.all.values().filter(|other| other.participant == participant);
        if self.all.len() >= self.limits.subscribers_max || own.count() >= self.limits.subscribers_each {
            return Err(RejectReason::Capacity);
        }
        self.last += 1;
        let (id, limits) = (SubscriberId(self.last), &self.limits);
        let orders = u32::try_from(limits.snapshot_orders_max + SNAPSHOT_COST).unwrap_or(u32::MAX);
        let mut subscriber = Subscriber {
            participant,
            fingerprint,
            channels: ChannelMask::ZERO,
            answers: Pipe::new(limits.outbox_max),
            levels: Pipe::new(limits.outbox_max),
            snapshot_bell: Rc::default(),
            snapshots: VecDeque::new(),
            following: Vec::new(),
            budget: Throttle::new(limits.snapshot_orders_rate, Count(orders)),
            requests: Throttle::new(limits.requests_rate, limits.requests_rate),
        };
        subscriber.answer(&MarketWelcome {
            journal_id,
            channels: Count(u32::from(limits.channels)),
            repair_max: limits.repair_max,
            levels_max: limits.levels_max,
            reserved: Reserved::ZERO,
            conflation: limits.conflation,
            heartbeat: limits.heartbeat,
        });
        self.all.insert(id, subscriber);
        Ok(id)
    }

    /// One is gone.
    pub fn forget(&mut self, id: SubscriberId, market: &mut Market) {
        let Some(subscriber) = self.all.remove(&id) else {
            return;
        };
        for series in subscriber.following {
            if let Some(followers) = market.followers(series) {
                followers.retain(|follower| *follower != id);
            }
        }
    }

    /// Reads a packet of requests; the refusals, for counting.
    pub fn asked(
        &mut self,
        id: SubscriberId,
        packet: &Packet<'_>,
        (market, now): (&mut Market, Nanos),
    ) -> Vec<RejectReason> {
        let Some(subscriber) = self.all.get_mut(&id) else {
            return Vec::new();
        };
        let limits = &self.limits;
        let mut ask = Ask {
            market,
            limits,
            id,
            now,
            repairs: 0,
        };
        let mut refused = Vec::new();
        for message in packet.messages() {
            let Ok(message) = message else {
                subscriber.refuse((ReqSeq::ZERO, 0), RejectReason::Malformed);
                subscriber.close(TerminateReason::Malformed);
                refused.push(RejectReason::Malformed);
                break;
            };
            if let Err((request, reason)) = subscriber.take_in(&message, &mut ask) {
                subscriber.refuse((request, message.message.template()), reason);
                refused.push(reason);
            }
        }
        self.repairs += ask.repairs;
        if subscriber.answers.is_over() || subscriber.levels.is_over() {
            self.slow.push(id);
        }
        refused
    }

    /// Tells what changed of a series' levels to one who follows them.
    pub fn tell_levels(&mut self, id: SubscriberId, packets: &[u8]) {
        let Some(subscriber) = self.all.get_mut(&id) else {
            return;
        };
        subscriber.levels.put(packets);
        if subscriber.levels.is_over() {
            self.slow.push(id);
        }
    }

    /// Those who want a channel's datagrams.
    pub fn of_channel(&self, channel: u16) -> impl Iterator<Item = SubscriberId> + '_ {
        let wants = move |subscriber: &Subscriber| subscriber.channels.0 >> channel & 1 == 1;
        self.all
            .iter()
            .filter(move |(_, subscriber)| wants(subscriber))
            .map(|(id, _)| *id)
    }

    /// Closes those who read too slowly; how many.
    pub fn drop_slow(&mut self) -> usize {
        let mut dropped = 0;
        for id in std::mem::take(&mut self.slow) {
            if let Some(subscriber) = self.all.get_mut(&id).filter(|s| s.answers.closing().is_none()) {
                subscriber.answers.clear();
                subscriber.close(TerminateReason::TooSlow);
                dropped += 1;
            }
        }
        dropped
    }

    /// Repairs told since this was asked last.
    pub fn take_repairs(&mut self) -> usize {
        std::mem::take(&mut self.repairs)
    }

    /// Rings for those who wait for a snapshot.
    pub fn ring_for_snapshots(&self) {
        for subscriber in self
            .all
            .values()
            .filter(|subscriber| !subscriber.snapshots.is_empty())
        {
            subscriber.snapshot_bell.notify_one();
        }
    }

    /// Closes those who showed a key that does not hold any more.
    pub fn revoke(&mut self, fingerprint: &Hash) {
        for subscriber in self.all.values_mut().filter(|s| s.fingerprint == *fingerprint) {
            subscriber.close(TerminateReason::NotAuthorised);
        }
    }

    /// Closes all.
    pub fn stop(&mut self) {
        for subscriber in self.all.values_mut() {
            subscriber.close(TerminateReason::ServerStopping);
        }
    }
}

impl Subscriber {
    fn answer<M: Message>(&mut self, message: &M) {
        self.answer_about(SeriesId::ZERO, message);
    }

    fn answer_about<M: Message>(&mut self, series: SeriesId, message: &M) {
        let mut packer = Packer::default();
        packer.push(
            Stamp {
                series,
                ..Stamp::default()
            },
            message,
        );
        self.answers.put(&packer.finish());
    }

    fn refuse(&mut self, (request, template): (ReqSeq, u16), reason: RejectReason) {
        self.answer(&MarketRefused {
            request,
            template: Count(u32::from(template)),
            code: reason.code(),
            reserved: Reserved::ZERO,
        });
    }

    /// It is told nothing more.
    pub fn close(&mut self, reason: TerminateReason) {
        self.channels = ChannelMask::ZERO;
        self.snapshots.clear();
        self.levels.clear();
        self.levels.close(reason);
        self.answers.close(reason);
    }

    /// The next snapshot that it waits for.
    pub fn next_snapshot(&mut self) -> Option<Wanted> {
        self.snapshots.pop_front()
    }

    fn take_in(
        &mut self,
        message: &PacketMessage<'_>,
        ask: &mut Ask<'_>,
    ) -> Result<(), (ReqSeq, RejectReason)> {
        let series = message.head.series;
        let (request, done) = match message.message {
            MarketMessage::SeriesWanted(wanted) => {
                let admitted = self.admit(ask);
                (
                    wanted.request,
                    admitted.and_then(|()| self.describe(wanted.symbol, ask)),
                )
            }
            MarketMessage::ChannelsWanted(wanted) => {
                let admitted = self.admit(ask);
                (
                    wanted.request,
                    admitted.and_then(|()| self.want_channels(wanted.channels, ask)),
                )
            }
            MarketMessage::SnapshotWanted(SnapshotWanted { request }) => {
                let wanted = Wanted {
                    series,
                    request: *request,
                };
                (
                    *request,
                    self.admit(ask).and_then(|()| self.want_snapshot(wanted, ask)),
                )
            }
            MarketMessage::RepairWanted(wanted) => (
                wanted.request,
                self.admit(ask).and_then(|()| self.repair(wanted, ask)),
            ),
            MarketMessage::HashWanted(HashWanted { request }) => {
                let admitted = self.admit(ask);
                (*request, admitted.and_then(|()| self.hash(series, *request, ask)))
            }
            MarketMessage::LevelsWanted(LevelsWanted { request }) => {
                let admitted = self.admit(ask);
                (
                    *request,
                    admitted.and_then(|()| self.want_levels(series, *request, ask)),
                )
            }
            MarketMessage::RestingAdded(_)
            | MarketMessage::RestingExecuted(_)
            | MarketMessage::RestingReduced(_)
            | MarketMessage::RestingDeleted(_)
            | MarketMessage::RestingMoved(_)
            | MarketMessage::TradeTold(_)
            | MarketMessage::TradeBroken(_)
            | MarketMessage::PhaseTold(_)
            | MarketMessage::SeriesTold(_)
            | MarketMessage::LevelsBegan(_)
            | MarketMessage::LevelTold(_)
            | MarketMessage::BestTold(_)
            | MarketMessage::SnapshotBegan(_)
            | MarketMessage::BookHashed(_)
            | MarketMessage::StatisticsTold(_)
            | MarketMessage::CandleTold(_)
            | MarketMessage::MarketWelcome(_)
            | MarketMessage::MarketRefused(_)
            | MarketMessage::RepairTold(_) => (ReqSeq::ZERO, Err(RejectReason::UnsupportedMessage)),
        };
        done.map_err(|reason| (request, reason))
    }

    fn admit(&mut self, ask: &Ask<'_>) -> Result<(), RejectReason> {
        match self.requests.take(ask.now) {
            true => Ok(()),
            false => Err(RejectReason::Throttled),
        }
    }

    /// Charges the exchange's work, counted in orders.
    fn charge(&mut self, orders: usize, ask: &Ask<'_>) -> Result<(), RejectReason> {
        let cost = u64::try_from(orders).unwrap_or(u64::MAX);
        match self.budget.take_many(ask.now, cost) {
            true => Ok(()),
            false => Err(RejectReason::Throttled),
        }
    }

    fn hash(&mut self, series: SeriesId, request: ReqSeq, ask: &Ask<'_>) -> Result<(), RejectReason> {
        let listing = ask.market.listing(series).ok_or(RejectReason::UnknownSeries)?;
        // Nothing is copied or written: that is an eighth of the work.
        self.charge(listing.book.len() / 8 + 1, ask)?;
        let hashed = ask.market.hashed(series, request).expect("looked up above");
        self.answer_about(series, &hashed);
        Ok(())
    }

    fn describe(&mut self, symbol: xq_protocol::Symbol, ask: &Ask<'_>) -> Result<(), RejectReason> {
        let series = ask.market.find(&symbol).ok_or(RejectReason::UnknownSeries)?;
        let told = ask.market.listing(series).expect("a symbol is a series'").told;
        self.answer_about(series, &told);
        Ok(())
    }

    fn want_channels(&mut self, channels: ChannelMask, ask: &Ask<'_>) -> Result<(), RejectReason> {
        if u64::BITS - channels.0.leading_zeros() > u32::from(ask.limits.channels) {
            return Err(RejectReason::Malformed);
        }
        self.channels = channels;
        Ok(())
    }

    fn want_snapshot(&mut self, wanted: Wanted, ask: &Ask<'_>) -> Result<(), RejectReason> {
        let listing = ask
            .market
            .listing(wanted.series)
            .ok_or(RejectReason::UnknownSeries)?;
        let orders = listing.book.len();
        if orders > ask.limits.snapshot_orders_max || self.snapshots.len() >= ask.limits.snapshots_waiting_max
        {
            return Err(RejectReason::Capacity);
        }
        self.charge(orders + SNAPSHOT_COST, ask)?;
        self.snapshots.push_back(wanted);
        self.snapshot_bell.notify_one();
        Ok(())
    }

    fn repair(&mut self, wanted: &RepairWanted, ask: &mut Ask<'_>) -> Result<(), RejectReason> {
        let number = u16::try_from(wanted.channel.0).map_err(|_| RejectReason::Malformed)?;
        let channel = ask.market.channel(number).ok_or(RejectReason::Malformed)?;
        if wanted.count > ask.limits.repair_max || wanted.count.is_zero() {
            return Err(RejectReason::Malformed);
        }
        let packets = channel.again(wanted.from, u64::from(wanted.count.0));
        let packets: Vec<Bytes> = packets.ok_or(RejectReason::StaleRequest)?;
        for packet in &packets {
            self.answers.put(packet);
        }
        ask.repairs += 1;
        self.answer(&RepairTold {
            request: wanted.request,
            packets: Count(u32::try_from(packets.len()).expect("fewer than messages")),
            reserved: Reserved::ZERO,
        });
        Ok(())
    }

    fn want_levels(
        &mut self,
        series: SeriesId,
        request: ReqSeq,
        ask: &mut Ask<'_>,
    ) -> Result<(), RejectReason> {
        let listing = ask.market.listing(series).ok_or(RejectReason::UnknownSeries)?;
        self.charge(listing.book.len() + SNAPSHOT_COST, ask)?;
        if !self.following.contains(&series) {
            if self.following.len() >= usize::try_from(ask.limits.levels_max.0).unwrap_or(usize::MAX) {
                return Err(RejectReason::Capacity);
            }
            self.following.push(series);
            let followers = ask.market.followers(series).expect("looked up above");
            followers.push(ask.id);
        }
        let levels = ask.market.levels(series, request).expect("looked up above");
        self.levels.put(&levels);
        Ok(())
    }
}

impl Wanted {
    /// The snapshot as it is now; none when the book has grown beyond what a snapshot may have.
    pub fn make(self, market: &Market) -> Option<Bytes> {
        market.snapshot(self.series, self.request)
    }
}
