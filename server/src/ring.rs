//! The two rings between the doors and the journals: slots, frames in slots, and who reads them.

use crossbeam::utils::CachePadded;
use disruptor::{
    BusySpin, EventPoller, MultiConsumerBarrier, MultiProducer, MultiProducerBarrier, SingleConsumerBarrier,
    SingleProducer, SingleProducerBarrier, build_multi_producer, build_single_producer,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use xq_protocol::{CommandFrame, EventFrame, FRAME_MAX, Frame, SLOT_LEN};
use zerocopy::IntoBytes;

/// Words of a slot.
pub const SLOT_WORDS: usize = SLOT_LEN / 8;
/// Smallest command ring: below it a ring hop is not hidden by batching.
pub const RING_SLOTS_MIN: usize = 8_192;
/// The part of the command ring that only urgent commands may use: one in so many.
pub const URGENT_SHARE: u64 = 8;

/// One place in a ring: a short frame, or a part of a longer one.
///
/// ```text
///  0        40                              128
///  ├────────┼───────────────────────────────┤
///  │ header │ body (up to 88 bytes)         │  first slot of a frame
///  ├────────┴───────────────────────────────┤
///  │ body, continued (up to 128 bytes)      │  the slots after it, published in the same batch
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(128))]
pub struct Slot {
    words: [u64; SLOT_WORDS],
}

const _: () = assert!(size_of::<Slot>() == SLOT_LEN);

impl Slot {
    /// The slot's bytes, aligned to eight.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.words.as_bytes()
    }

    /// Copies up to a slot's length of bytes into it; what follows them stays as it was.
    #[inline]
    pub fn fill(&mut self, bytes: &[u8]) {
        self.words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    }

    /// Copies an event's whole memory into it.
    #[inline]
    pub fn fill_event(&mut self, event: &EventFrame) {
        self.words = *event.words();
    }
}

/// How many slots a frame of so many bytes takes.
#[inline]
pub const fn slots_of(frame_len: usize) -> usize {
    frame_len.div_ceil(SLOT_LEN)
}

/// Puts frames together again from the slots they were laid into.
///
/// The slots of one frame are published as one batch, yet become readable 64 at a time, and a batch may be cut
/// anywhere by the number a reader takes: so what was gathered of a frame stays here from one look to the next.
#[derive(Debug, Default)]
pub struct Assembler {
    scratch: CommandFrame,
    have: usize,
    need: usize,
}

impl Assembler {
    /// Takes the next slot; a whole frame when it was the frame's last.
    #[inline]
    pub fn take<'a>(&'a mut self, slot: &'a Slot) -> Option<Frame<'a>> {
        if self.need == 0 {
            let frame = Frame::split(slot.bytes());
            if let Ok((frame, _)) = frame {
                return Some(frame);
            }
        }
        self.take_part(slot)
    }

    #[cold]
    fn take_part(&mut self, slot: &Slot) -> Option<Frame<'_>> {
        if self.need == 0 {
            let length = Frame::peek_len(slot.bytes()).expect("only checked frames enter the ring");
            self.need = slots_of(length.expect("a slot is longer than a header"));
            assert!(self.need > 1, "a frame of one slot is read in place");
        }
        let at = self.have * SLOT_WORDS;
        self.scratch.words_mut()[at..at + SLOT_WORDS].copy_from_slice(&slot.words);
        self.have += 1;
        assert!(
            self.have <= self.need,
            "a frame has no more slots than it announced"
        );
        if self.have < self.need {
            return None;
        }
        (self.have, self.need) = (0, 0);
        Some(self.scratch.frame().expect("only checked frames enter the ring"))
    }

    /// Whether it stands between two frames.
    pub fn is_between_frames(&self) -> bool {
        self.need == 0
    }
}

const _: () = assert!(FRAME_MAX.is_multiple_of(SLOT_LEN));

/// How far everyone is with the command ring, in slots since the start, each on cache lines of its own; and whether
/// it takes anything.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Slots published by all producers.
    pub published: CachePadded<AtomicU64>,
    /// Slots that the matcher has done with.
    pub matched: CachePadded<AtomicU64>,
    /// Slots that the journaler has copied.
    pub journaled: CachePadded<AtomicU64>,
    /// Set when the exchange is asked to stop: the door shuts, and sessions are ended.
    pub stopping: AtomicBool,
    /// Set when that is done: nothing more is taken.
    pub closed: AtomicBool,
    /// Set when the disk has no room for another segment: only urgent commands are taken.
    pub disk_is_low: AtomicBool,
    /// Set when two executions differ: nothing more is told while the process ends.
    pub muted: AtomicBool,
}

impl Gauges {
    /// Slots in use: published and not yet released by both readers.
    #[inline]
    pub fn occupied(&self) -> u64 {
        let matched = self.matched.load(Ordering::Acquire);
        let released = matched.min(self.journaled.load(Ordering::Acquire));
        // A producer counts after it publishes, so a quick reader may be ahead of the count for a moment.
        self.published.load(Ordering::Acquire).saturating_sub(released)
    }
}

/// Writes commands into the command ring; cloned for every door.
pub type CommandProducer = MultiProducer<Slot, MultiConsumerBarrier>;
/// Reads the command ring: one for the matcher, one for the journaler.
pub type CommandPoller = EventPoller<Slot, MultiProducerBarrier>;
/// Writes events into the event ring: the matcher's.
pub type EventProducer = SingleProducer<Slot, SingleConsumerBarrier>;
/// Reads the event ring: the publisher's.
pub type EventRingPoller = EventPoller<Slot, SingleProducerBarrier>;

/// Builds the command ring: its producer, and the pollers of matcher and journaler.
pub fn command_ring(slots: usize) -> (CommandProducer, CommandPoller, CommandPoller) {
    let builder = build_multi_producer(slots, Slot::default, BusySpin);
    let (matcher, builder) = builder.new_event_poller();
    let (journaler, builder) = builder.new_event_poller();
    (builder.build(), matcher, journaler)
}

/// Builds the event ring: its producer, and the publisher's poller.
pub fn event_ring(slots: usize) -> (EventProducer, EventRingPoller) {
    let builder = build_single_producer(slots, Slot::default, BusySpin);
    let (publisher, builder) = builder.new_event_poller();
    (builder.build(), publisher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::{DraftSeries, HEADER_LEN, Header, ReqSeq, Symbol, Tick};

    fn long() -> CommandFrame {
        let draft = DraftSeries {
            series: xq_protocol::SeriesId(7),
            issuer: xq_protocol::ParticipantId(1),
            symbol: Symbol::from_text("COFFEE").expect("a symbol"),
            currency: xq_protocol::Currency(156),
            reserved: Default::default(),
            lot: xq_protocol::Qty(1),
            tick: xq_protocol::Price(1),
            face: xq_protocol::Price(3_000),
            redeem_value: xq_protocol::Price(3_000),
            issue_cap: xq_protocol::Amount(10),
            valid_from: xq_protocol::Nanos(1),
            valid_to: xq_protocol::Nanos(2),
            terms_hash: xq_protocol::Hash([9; 32]),
        };
        CommandFrame::new(Header::request(ReqSeq(1)), &draft)
    }

    fn lay(bytes: &[u8]) -> Vec<Slot> {
        bytes
            .chunks(SLOT_LEN)
            .map(|part| {
                let mut slot = Slot::default();
                slot.fill(part);
                slot
            })
            .collect()
    }

    #[test]
    fn long_frames_come_out_of_their_slots_whole_and_short_ones_in_between() {
        let (long, short) = (long(), EventFrame::new(Header::request(ReqSeq(2)), &Tick {}));
        assert!(slots_of(long.bytes().len()) > 1);
        assert_eq!(short.bytes().len(), HEADER_LEN);
        let mut assembler = Assembler::default();
        let mut seen = Vec::new();
        for _ in 0..2 {
            for slot in lay(long.bytes()).iter().chain(&lay(short.bytes())) {
                if let Some(frame) = assembler.take(slot) {
                    seen.push(frame.bytes().to_vec());
                }
            }
            assert!(assembler.is_between_frames());
        }
        let once = [long.bytes().to_vec(), short.bytes().to_vec()];
        assert_eq!(seen, [once.clone(), once].concat());
    }
}
