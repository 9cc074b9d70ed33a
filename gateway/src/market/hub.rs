//! The middle of market data: follows the events, hands packets to whoever wants them, answers requests; no socket.

use super::counts::{Delays, MarketStats};
use super::limits::MarketLimits;
use super::market::Market;
use super::subscribers::{SubscriberId, Subscribers};
use crate::border::{Clock, EventSource};
use crate::frames::Inbound;
use crate::register::Map;
use bytes::Bytes;
use std::sync::Arc;
use xq_protocol::{
    DecodeError, Event, Hash, JournalId, KeyState, Nanos, Packet, ParticipantId, RejectReason, Seq,
    TerminateReason,
};

/// What market data needs of the rest of the exchange.
pub struct MarketBorders {
    /// The event journal, from the first event on that the market has not followed.
    pub source: Box<dyn EventSource>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Rung by the publisher once a durable batch.
    pub bell: Arc<tokio::sync::Notify>,
    /// The market as it was before that event.
    pub market: Market,
    /// Valid keys, and whose they are, as they were then.
    pub keys: Vec<(Hash, ParticipantId)>,
    /// Identity of the journal.
    pub journal_id: JournalId,
    /// Where private and public telling meet.
    pub delays: Arc<Delays>,
}

/// All that the one thread of market data shares between its connections.
pub struct MarketHub {
    market: Market,
    subscribers: Subscribers,
    keys: Map<Hash, ParticipantId>,
    source: Box<dyn EventSource>,
    clock: Arc<dyn Clock>,
    delays: Arc<Delays>,
    stats: Arc<MarketStats>,
    limits: MarketLimits,
    journal_id: JournalId,
    /// Commands whose public telling is timed, until their packets are sent.
    timed: Vec<Seq>,
    /// Snapshots that are being written.
    under_way: usize,
    levels_at: Nanos,
}

impl MarketHub {
    /// A hub that goes on from where the market stands.
    pub fn new(limits: MarketLimits, borders: MarketBorders, stats: Arc<MarketStats>) -> MarketHub {
        MarketHub {
            market: borders.market,
            subscribers: Subscribers::new(limits),
            keys: borders.keys.into_iter().collect(),
            source: borders.source,
            clock: borders.clock,
            delays: borders.delays,
            stats,
            limits,
            journal_id: borders.journal_id,
            timed: Vec::new(),
            under_way: 0,
            levels_at: Nanos::ZERO,
        }
    }

    /// The limits that hold.
    pub fn limits(&self) -> &MarketLimits {
        &self.limits
    }
    /// The market.
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// Follows a bounded number of events; `send` gets each packet for each subscriber of its channel. Returns how many
    /// events were followed and how many packets were made.
    pub fn poll(&mut self, send: &mut dyn FnMut(SubscriberId, &Bytes)) -> (usize, usize) {
        let (market, subscribers, keys) = (&mut self.market, &mut self.subscribers, &mut self.keys);
        let timed = &mut self.timed;
        let visited = self.source.poll(&mut |frame| {
            let event = frame.event().expect("the event journal holds events");
            market.visit(frame.header, &event);
            if Delays::is_timed(frame.header) {
                timed.push(frame.header.seq);
            }
            if let Event::KeySet(key) = event {
                match key.state {
                    KeyState::Valid => {
                        keys.insert(key.fingerprint, key.participant);
                    }
                    KeyState::Revoked => {
                        keys.remove(&key.fingerprint);
                        subscribers.revoke(&key.fingerprint);
                    }
                }
            }
        });
        let now = self.clock.now();
        let packets = self.market.take_packets(now);
        self.hand_out(&packets, send);
        for seq in self.timed.drain(..) {
            self.delays.told_publicly(seq, now);
        }
        self.subscribers_dropped();
        self.stats.events.add(visited);
        (visited, packets.len())
    }

    fn hand_out(&mut self, packets: &[(u16, Bytes)], send: &mut dyn FnMut(SubscriberId, &Bytes)) {
        for channel in 0..self.limits.channels {
            let of_channel = || packets.iter().filter(|(number, _)| *number == channel);
            for id in self.subscribers.of_channel(channel) {
                of_channel().for_each(|(_, bytes)| send(id, bytes));
            }
        }
        let bytes = packets.iter().map(|(_, bytes)| bytes.len()).sum();
        self.stats.packets.add(packets.len());
        self.stats.packet_bytes.add(bytes);
    }

    fn subscribers_dropped(&mut self) {
        let dropped = self.subscribers.drop_slow();
        self.stats.dropped.add(dropped);
    }

    /// Time passed: silent channels tell where they are, and changed levels are told when it is time.
    pub fn tick(&mut self, send: &mut dyn FnMut(SubscriberId, &Bytes)) {
        let now = self.clock.now();
        let silent = self.market.heartbeats(now);
        self.hand_out(&silent, send);
        if now.0.saturating_sub(self.levels_at.0) >= self.limits.conflation.0 {
            self.levels_at = now;
            for (series, packets) in self.market.take_levels() {
                let followers = self
                    .market
                    .listing(series)
                    .map(|listing| listing.followers.clone());
                for id in followers.unwrap_or_default() {
                    self.subscribers.tell_levels(id, &packets);
                }
            }
        }
        self.subscribers_dropped();
    }

    /// A new connection that showed this certificate.
    ///
    /// # Errors
    /// R101: nobody's valid key; R410: too many subscribers.
    pub fn open(&mut self, fingerprint: Hash) -> Result<SubscriberId, RejectReason> {
        let owner = self.keys.get(&fingerprint).copied();
        let opened = owner
            .ok_or(RejectReason::NotAuthenticated)
            .and_then(|owner| self.subscribers.open((owner, fingerprint), self.journal_id));
        self.stats.subscribers.set(self.subscribers.count());
        opened.inspect_err(|reason| self.stats.refused(*reason))
    }

    /// Bytes came on a subscriber's stream of requests.
    pub fn received(&mut self, id: SubscriberId, inbound: &mut Inbound) {
        let now = self.clock.now();
        loop {
            let (used, refused) = match Packet::split(inbound.bytes()) {
                Ok((packet, _)) => {
                    let asked = self.subscribers.asked(id, &packet, (&mut self.market, now));
                    (packet.bytes().len(), asked)
                }
                Err(DecodeError::Truncated { .. }) => break,
                Err(_) => {
                    self.end(id, TerminateReason::Malformed);
                    self.stats.refused(RejectReason::Malformed);
                    return;
                }
            };
            inbound.consumed(used);
            self.stats.repairs.add(self.subscribers.take_repairs());
            refused.into_iter().for_each(|reason| self.stats.refused(reason));
        }
        self.subscribers_dropped();
    }

    /// A subscriber.
    pub fn subscriber(&mut self, id: SubscriberId) -> Option<&mut super::subscribers::Subscriber> {
        self.subscribers.get_mut(id)
    }

    /// The next snapshot that a subscriber waits for, when one more may be under way; [`MarketHub::snapshot_written`]
    /// follows.
    pub fn take_snapshot(&mut self, id: SubscriberId) -> Option<Bytes> {
        if self.under_way >= self.limits.snapshots_at_once {
            return None;
        }
        let wanted = self.subscribers.get_mut(id)?.next_snapshot()?;
        let made = wanted.make(&self.market)?;
        self.under_way += 1;
        self.stats.snapshots.add(1);
        Some(made)
    }

    /// A snapshot was written, or its subscriber is gone: another one may be under way.
    pub fn snapshot_written(&mut self) {
        self.under_way -= 1;
        self.subscribers.ring_for_snapshots();
    }

    /// Ends a subscriber's connection.
    pub fn end(&mut self, id: SubscriberId, reason: TerminateReason) {
        if let Some(subscriber) = self.subscribers.get_mut(id) {
            subscriber.close(reason);
        }
    }

    /// A stream's reader took nothing for too long.
    pub fn stalled(&mut self, id: SubscriberId) {
        self.stats.dropped.add(1);
        self.end(id, TerminateReason::TooSlow);
    }

    /// A connection is gone.
    pub fn lost(&mut self, id: SubscriberId) {
        self.subscribers.forget(id, &mut self.market);
        self.stats.subscribers.set(self.subscribers.count());
    }

    /// The exchange stops.
    pub fn stop(&mut self) {
        self.subscribers.stop();
    }
}
