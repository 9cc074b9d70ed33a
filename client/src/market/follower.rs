//! The machine behind a subscription: packets in, right books and requests out; no socket, no clock.

use super::channel::{Channel, Gap, Place};
use super::update::{BookChange, LevelsTold, Origin, Update};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use xq_protocol::{
    Book, BookHash, BookHashed, CHANNELS_MAX, ChannelMask, ChannelSeq, ChannelsWanted, Count, DecodeError,
    HashWanted, LevelsWanted, MarketMessage, MarketRefused, MarketWelcome, Message, MessageHead, NO_CHANNEL,
    Packet, PacketBuf, PacketMessage, RejectReason, RepairWanted, ReqSeq, SeriesId, SeriesWanted,
    SnapshotBegan, SnapshotWanted, Stamp, Symbol,
};

/// Changes of a book that are kept while its snapshot is awaited.
const WAITING_MAX: usize = 262_144;

/// A book that is followed.
#[derive(Debug, Default)]
struct Followed {
    book: Book,
    state: State,
    /// The last message that changed it.
    changed: ChannelSeq,
    /// Answers to checks that the book has not come to yet.
    checks: Vec<(ChannelSeq, BookHash)>,
}

#[derive(Debug, Default)]
enum State {
    /// It is to be asked for.
    #[default]
    Wanted,
    /// A snapshot is under way.
    Waiting(Waiting),
    /// It is right, and reflects all messages before this one of its channel; later if this is ahead of the channel.
    Right { next: ChannelSeq },
}

#[derive(Debug, Default)]
struct Waiting {
    request: u64,
    /// Number of the first message that is among the kept changes, if it was told.
    since: Option<ChannelSeq>,
    changes: Vec<(Origin, BookChange)>,
    /// More came than are kept.
    overflowed: bool,
    /// The snapshot, as far as it has come.
    began: Option<SnapshotBegan>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages read in order.
    pub messages: u64,
    /// Gaps found.
    pub gaps: u64,
    /// Repairs asked for.
    pub repairs: u64,
    /// Snapshots asked for.
    pub snapshots: u64,
    /// Hashes that were compared and equal.
    pub equal: u64,
    /// Hashes that were compared and differed, and messages that a book could not follow.
    pub unequal: u64,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Follower {
    welcome: Option<MarketWelcome>,
    channels: Vec<Channel>,
    books: BTreeMap<SeriesId, Followed>,
    /// Series whose snapshots are to be asked for again, since they were refused for now.
    throttled: BTreeSet<SeriesId>,
    repair_later: BTreeSet<usize>,
    /// Series by the request that asked about them.
    asked: BTreeMap<u64, SeriesId>,
    requests: u64,
    out: Vec<u8>,
    updates: VecDeque<Update>,
    tally: Tally,
}

impl Follower {
    /// What the exchange said at first; none before.
    pub fn welcome(&self) -> Option<&MarketWelcome> {
        self.welcome.as_ref()
    }
    /// What was counted.
    pub fn tally(&self) -> Tally {
        self.tally
    }
    /// The book of a series, while it is right.
    pub fn book(&self, series: SeriesId) -> Option<&Book> {
        let followed = self.books.get(&series)?;
        let is_right = matches!(followed.state, State::Right { .. });
        (is_right
            && self
                .channel_of(series)
                .is_some_and(|channel| channel.gap().is_none()))
        .then_some(&followed.book)
    }
    /// Up to which message of its channel the book of a series is right.
    pub fn next(&self, series: SeriesId) -> Option<ChannelSeq> {
        match self.books.get(&series)?.state {
            State::Right { next } => Some(next.max(self.channel_of(series)?.next?)),
            State::Wanted | State::Waiting(_) => None,
        }
    }
    /// What was heard and not taken yet, in order.
    pub fn next_update(&mut self) -> Option<Update> {
        self.updates.pop_front()
    }
    /// Takes the requests that are to be sent.
    pub fn take_requests(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn channel_number(&self, series: SeriesId) -> Option<usize> {
        let channels = self.welcome?.channels.0;
        usize::try_from(series.0.checked_rem(channels)?).ok()
    }
    fn channel_of(&self, series: SeriesId) -> Option<&Channel> {
        self.channels.get(self.channel_number(series)?)
    }

    fn ask<M: Message>(&mut self, series: SeriesId, message: &M) {
        let stamp = Stamp {
            series,
            ..Stamp::default()
        };
        self.out.extend_from_slice(PacketBuf::of(stamp, message).finish());
    }

    fn number(&mut self) -> ReqSeq {
        self.requests += 1;
        ReqSeq(self.requests)
    }

    /// Follows the book of a series from now on.
    pub fn subscribe(&mut self, series: SeriesId) {
        if self.books.contains_key(&series) {
            return;
        }
        self.books.insert(series, Followed::default());
        if self.welcome.is_some() {
            self.want_channels();
            self.want_snapshot(series);
        }
    }

    /// Asks for what a series is: [`Update::Series`], or [`Update::Refused`].
    pub fn find(&mut self, symbol: Symbol) {
        let request = self.number();
        self.ask(SeriesId::ZERO, &SeriesWanted { request, symbol });
    }

    /// Follows the levels of a series from now on.
    pub fn follow_levels(&mut self, series: SeriesId) {
        let request = self.number();
        self.ask(series, &LevelsWanted { request });
    }

    /// Compares the hash of a series' book with the exchange's: [`Update::Checked`], or [`Update::Invalid`].
    pub fn check(&mut self, series: SeriesId) {
        let request = self.number();
        self.asked.insert(request.0, series);
        self.ask(series, &HashWanted { request });
    }

    /// Asks again for what was refused for now; to be called now and then.
    pub fn retry(&mut self) {
        for series in std::mem::take(&mut self.throttled) {
            self.want_snapshot(series);
        }
        for number in std::mem::take(&mut self.repair_later) {
            self.mend(number);
        }
    }

    fn want_channels(&mut self) {
        let numbers = self
            .books
            .keys()
            .filter_map(|series| self.channel_number(*series));
        let mask = numbers.fold(0, |mask, number| mask | 1 << number);
        let request = self.number();
        let channels = ChannelMask(mask);
        self.ask(SeriesId::ZERO, &ChannelsWanted { request, channels });
    }

    fn want_snapshot(&mut self, series: SeriesId) {
        let since = self.channel_of(series).and_then(|channel| channel.next);
        let request = self.number();
        let Some(followed) = self.books.get_mut(&series) else {
            return;
        };
        followed.checks.clear();
        followed.state = State::Waiting(Waiting {
            request: request.0,
            since,
            ..Waiting::default()
        });
        self.tally.snapshots += 1;
        self.asked.insert(request.0, series);
        self.ask(series, &SnapshotWanted { request });
    }

    /// Reads a packet, a datagram or the next one of a stream.
    ///
    /// # Errors
    /// What is no packet, or no message of one: nothing more can be believed on this connection.
    pub fn read(&mut self, packet: &Packet<'_>) -> Result<(), DecodeError> {
        if packet.header.channel == NO_CHANNEL {
            return packet.messages().try_for_each(|message| {
                self.hear(&message?);
                Ok(())
            });
        }
        let number = usize::from(packet.header.channel);
        let Some(channel) = self.channels.get_mut(number) else {
            // A datagram that overtook the welcome, or of no channel that there is: what it told is asked for.
            return Ok(());
        };
        let was_whole = channel.gap().is_none();
        if channel.place(packet) == Place::Next {
            self.follow(number, packet)?;
            while let Some(kept) = self.channels[number].take_next() {
                self.follow(number, &kept.packet())?;
            }
        }
        let is_whole = self.channels[number].gap().is_none();
        if was_whole != is_whole {
            self.tally.gaps += u64::from(was_whole);
            self.say_whether_right(number, is_whole);
        }
        self.compare_later(number);
        self.mend(number);
        Ok(())
    }

    fn series_of(&self, number: usize) -> Vec<SeriesId> {
        let of_channel = |series: &&SeriesId| self.channel_number(**series) == Some(number);
        self.books.keys().filter(of_channel).copied().collect()
    }

    fn say_whether_right(&mut self, number: usize, is_whole: bool) {
        for series in self.series_of(number) {
            if matches!(self.books[&series].state, State::Right { .. }) {
                self.updates.push_back(match is_whole {
                    true => Update::Valid(series),
                    false => Update::Invalid(series),
                });
            }
        }
    }

    /// Reads those messages of a packet that come next.
    fn follow(&mut self, number: usize, packet: &Packet<'_>) -> Result<(), DecodeError> {
        for (place, message) in (packet.header.ch_seq.0..).zip(packet.messages()) {
            let message = message?;
            let channel = &mut self.channels[number];
            if channel.next.is_some_and(|next| place < next.0) {
                continue;
            }
            channel.next = Some(ChannelSeq(place.saturating_add(1)));
            self.tally.messages += 1;
            let origin = Origin {
                number: ChannelSeq(place),
                seq: message.seq,
                time: message.time,
                is_last: message.head.flags & MessageHead::LAST != 0,
            };
            let series = message.head.series;
            if let Some(change) = BookChange::of(&message.message) {
                self.change(series, origin, change);
            } else if let MarketMessage::PhaseTold(told) = message.message {
                self.updates.push_back(Update::Phase(series, *told));
            } else if let MarketMessage::SeriesTold(told) = message.message {
                self.updates.push_back(Update::Series(series, *told));
            }
        }
        Ok(())
    }

    fn change(&mut self, series: SeriesId, origin: Origin, change: BookChange) {
        let Some(followed) = self.books.get_mut(&series) else {
            return;
        };
        match &mut followed.state {
            State::Wanted => {}
            State::Waiting(waiting) if waiting.changes.len() < WAITING_MAX => {
                waiting.changes.push((origin, change));
            }
            State::Waiting(waiting) => waiting.overflowed = true,
            State::Right { next } if origin.number < *next => {}
            State::Right { .. } => {
                self.compare(series, origin.number);
                let Some(followed) = self.books.get_mut(&series) else {
                    return;
                };
                // The comparison just made may have found it wrong.
                if !matches!(followed.state, State::Right { .. }) {
                    return self.change(series, origin, change);
                }
                if change.apply(&mut followed.book).is_err() {
                    return self.diverged(series);
                }
                followed.changed = origin.number;
                self.updates.push_back(Update::Changed {
                    series,
                    origin,
                    change,
                });
            }
        }
    }

    /// The book is not the exchange's: it is asked for.
    fn diverged(&mut self, series: SeriesId) {
        self.tally.unequal += 1;
        self.updates.push_back(Update::Invalid(series));
        self.want_snapshot(series);
    }

    /// Compares a book, as it is before this message, with the hashes that are known of it.
    fn compare(&mut self, series: SeriesId, before: ChannelSeq) {
        let Some(followed) = self.books.get_mut(&series) else {
            return;
        };
        if followed.checks.is_empty() {
            return;
        }
        let changed = followed.changed;
        let due: Vec<_> = followed
            .checks
            .extract_if(.., |(next, _)| *next <= before)
            .collect();
        let mut is_wrong = false;
        for (next, hash) in due {
            if changed >= next {
                self.updates.push_back(Update::Checked(series, None));
            } else if self.books[&series].book.hash() == hash {
                self.tally.equal += 1;
                self.updates.push_back(Update::Checked(series, Some(next)));
            } else {
                is_wrong = true;
            }
        }
        if is_wrong {
            self.diverged(series);
        }
    }

    /// Compares the books that have come to where a hash of them is known.
    fn compare_later(&mut self, number: usize) {
        let Some(next) = self.channels[number].next else {
            return;
        };
        let with_checks = self
            .books
            .iter()
            .filter(|(_, followed)| !followed.checks.is_empty());
        let due: Vec<SeriesId> = with_checks.map(|(series, _)| *series).collect();
        for series in due {
            if self.channel_number(series) == Some(number) {
                self.compare(series, next);
            }
        }
    }

    /// Asks for what is missing of a channel: again, or, when that is too much, for snapshots instead.
    fn mend(&mut self, number: usize) {
        let Some(welcome) = self.welcome else { return };
        let Some(channel) = self.channels.get(number) else {
            return;
        };
        let Some(Gap { from, count }) = channel.gap().filter(|_| channel.repair.is_none()) else {
            return;
        };
        if count > u64::from(welcome.repair_max.0) {
            return self.give_up(number);
        }
        let count = Count(u32::try_from(count).expect("at most repair_max"));
        let request = self.number();
        self.channels[number].repair = Some(request.0);
        self.tally.repairs += 1;
        let channel = Count(u32::try_from(number).expect("few channels"));
        let wanted = RepairWanted {
            request,
            from,
            count,
            channel,
        };
        self.ask(SeriesId::ZERO, &wanted);
    }

    /// What is missing cannot be had any more: the books are asked for instead.
    fn give_up(&mut self, number: usize) {
        self.channels[number].skip();
        for series in self.series_of(number) {
            match &mut self.books.get_mut(&series).expect("listed just now").state {
                State::Wanted => {}
                State::Waiting(waiting) => waiting.changes.clear(),
                State::Right { .. } => self.want_snapshot(series),
            }
        }
    }

    /// Hears a message outside of channels.
    fn hear(&mut self, message: &PacketMessage<'_>) {
        let series = message.head.series;
        let levels = match message.message {
            MarketMessage::MarketWelcome(welcome) => return self.welcomed(welcome),
            MarketMessage::MarketRefused(refused) => return self.refused(refused),
            MarketMessage::RepairTold(told) => return self.repaired(told.request.0),
            MarketMessage::SnapshotBegan(began) => return self.snapshot_began(series, began),
            MarketMessage::RestingAdded(_) => {
                if let Some(change) = BookChange::of(&message.message) {
                    self.snapshot_order(series, &change);
                }
                return;
            }
            MarketMessage::BookHashed(hashed) => return self.hashed(series, hashed),
            MarketMessage::SeriesTold(told) => return self.updates.push_back(Update::Series(series, *told)),
            MarketMessage::PhaseTold(told) => return self.updates.push_back(Update::Phase(series, *told)),
            MarketMessage::LevelsBegan(_) => LevelsTold::Began,
            MarketMessage::LevelTold(told) => LevelsTold::Level(*told),
            MarketMessage::BestTold(told) => LevelsTold::Best(*told),
            MarketMessage::TradeTold(told) => LevelsTold::Trade(*told),
            MarketMessage::TradeBroken(told) => LevelsTold::Broken(*told),
            MarketMessage::StatisticsTold(told) => LevelsTold::Statistics(*told),
            MarketMessage::CandleTold(told) => LevelsTold::Candle(*told),
            MarketMessage::RestingExecuted(_)
            | MarketMessage::RestingReduced(_)
            | MarketMessage::RestingDeleted(_)
            | MarketMessage::RestingMoved(_)
            | MarketMessage::SeriesWanted(_)
            | MarketMessage::ChannelsWanted(_)
            | MarketMessage::SnapshotWanted(_)
            | MarketMessage::RepairWanted(_)
            | MarketMessage::HashWanted(_)
            | MarketMessage::LevelsWanted(_) => return,
        };
        self.updates.push_back(Update::Levels(series, levels));
    }

    fn welcomed(&mut self, welcome: &MarketWelcome) {
        let channels = usize::try_from(welcome.channels.0.min(CHANNELS_MAX)).expect("few channels");
        self.welcome = Some(*welcome);
        self.channels.resize_with(channels, Channel::default);
        if !self.books.is_empty() {
            self.want_channels();
        }
        let all: Vec<SeriesId> = self.books.keys().copied().collect();
        all.into_iter().for_each(|series| self.want_snapshot(series));
    }

    fn refused(&mut self, refused: &MarketRefused) {
        let reason = RejectReason::from_code(refused.code);
        let series = self.asked.remove(&refused.request.0);
        let repair = self
            .channels
            .iter()
            .position(|c| c.repair == Some(refused.request.0));
        if let Some(number) = repair {
            self.channels[number].repair = None;
            match reason {
                Some(RejectReason::Throttled) => drop(self.repair_later.insert(number)),
                Some(_) | None => self.give_up(number),
            }
            return;
        }
        let is_snapshot = series.filter(|series| self.awaits(*series, refused.request.0));
        if let Some(series) = is_snapshot {
            if matches!(reason, Some(RejectReason::Throttled | RejectReason::Capacity)) {
                self.throttled.insert(series);
            } else {
                self.books.remove(&series);
            }
        }
        if reason != Some(RejectReason::Throttled) {
            let template = u16::try_from(refused.template.0).unwrap_or(0);
            self.updates.push_back(Update::Refused { template, reason });
        }
    }

    fn awaits(&self, series: SeriesId, request: u64) -> bool {
        let state = self.books.get(&series).map(|followed| &followed.state);
        matches!(state, Some(State::Waiting(waiting)) if waiting.request == request)
    }

    /// A repair was told: whatever is still missing is asked for anew.
    fn repaired(&mut self, request: u64) {
        if let Some(number) = self.channels.iter().position(|c| c.repair == Some(request)) {
            self.channels[number].repair = None;
            self.mend(number);
        }
    }

    fn snapshot_began(&mut self, series: SeriesId, began: &SnapshotBegan) {
        if !self.awaits(series, began.request.0) {
            return;
        }
        let followed = self.books.get_mut(&series).expect("it awaits a snapshot");
        if let State::Waiting(waiting) = &mut followed.state {
            waiting.began = Some(*began);
            followed.book = Book::default();
        }
    }

    fn snapshot_order(&mut self, series: SeriesId, change: &BookChange) {
        if let Some(followed) = self.books.get_mut(&series)
            && let State::Waiting(waiting) = &followed.state
            && waiting.began.is_some()
        {
            // What is wrong shows in the hash.
            let _ = change.apply(&mut followed.book);
        }
    }

    fn hashed(&mut self, series: SeriesId, hashed: &BookHashed) {
        self.asked.remove(&hashed.request.0);
        if self.awaits(series, hashed.request.0) {
            return self.snapshot_ended(series, hashed);
        }
        let channel_next = self.channel_of(series).and_then(|channel| channel.next);
        let Some(followed) = self.books.get_mut(&series) else {
            return;
        };
        match followed.state {
            State::Right { next } => {
                followed.checks.push((hashed.next, hashed.hash));
                let reached = channel_next.unwrap_or(next).max(next);
                self.compare(series, reached);
            }
            State::Wanted | State::Waiting(_) => self.updates.push_back(Update::Checked(series, None)),
        }
    }

    fn snapshot_ended(&mut self, series: SeriesId, hashed: &BookHashed) {
        let Some(number) = self.channel_number(series) else {
            return;
        };
        let channel = &mut self.channels[number];
        if channel.next.is_none() {
            channel.begin(hashed.next);
        }
        let (since, is_whole) = (channel.since, channel.gap().is_none());
        let followed = self.books.get_mut(&series).expect("it awaits a snapshot");
        let State::Waiting(waiting) = std::mem::take(&mut followed.state) else {
            return;
        };
        let since = waiting.since.map_or(since, |first| first.max(since));
        let is_right = followed.book.hash() == hashed.hash;
        self.tally.equal += u64::from(is_right);
        self.tally.unequal += u64::from(!is_right);
        let next = hashed.next;
        if !is_right || waiting.overflowed || next < since {
            return self.want_snapshot(series);
        }
        followed.state = State::Right { next };
        followed.changed = ChannelSeq(next.0.saturating_sub(1));
        if is_whole {
            self.updates.push_back(Update::Valid(series));
        }
        for (origin, change) in waiting.changes {
            self.change(series, origin, change);
        }
    }
}
