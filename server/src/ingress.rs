//! The way into the command ring: copies whole frames into slots, takes fewer when it is full, never waits.
//!
//! # Cost
//! One copy of the frame and one publication a batch; no allocation. A batch of 16 costs an order of magnitude less
//! a command than one at a time: the ring's producers meet in one atomic each time they publish.

use crate::ring::{CommandProducer, Gauges, URGENT_SHARE, slots_of};
use crate::wait::Waker;
use disruptor::Producer;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use xq_protocol::{Frame, SLOT_LEN, is_urgent};

/// Most slots in one publication, so that readers see the first frames of a large offer early.
const BATCH_SLOTS: usize = 1_024;

/// One producer of commands; cloned for every door.
#[derive(Clone)]
pub struct Ingress {
    producer: CommandProducer,
    gauges: Arc<Gauges>,
    slots: u64,
    journaler: Waker,
}

/// The first frames of an offer that fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fit {
    bytes: usize,
    slots: usize,
}

impl Ingress {
    pub(crate) fn new(
        producer: CommandProducer,
        gauges: Arc<Gauges>,
        slots: usize,
        journaler: Waker,
    ) -> Self {
        let slots = u64::try_from(slots).expect("a ring has fewer than 2^64 slots");
        Ingress {
            producer,
            gauges,
            slots,
            journaler,
        }
    }

    /// Takes the whole frames that lie back to back in `bytes`, in order, and answers how many bytes it took: fewer when
    /// the ring is full. It stops at the first that does not fit; the caller refuses that one with R111 and may offer
    /// the rest again. The last eighth of the ring takes urgent commands only, and so does the whole ring
    /// while the disk is low.
    ///
    /// # Panics
    /// When `bytes` are not whole frames: doors check them before.
    pub fn offer(&mut self, bytes: &[u8]) -> usize {
        let (mut rest, mut taken) = (bytes, 0);
        while !rest.is_empty() {
            let fit = self.fit(rest);
            if fit.bytes == 0 || !self.publish(&rest[..fit.bytes], fit.slots) {
                break;
            }
            taken += fit.bytes;
            rest = &rest[fit.bytes..];
        }
        if taken > 0 {
            self.journaler.wake();
        }
        taken
    }

    /// Slots of the ring that are in use, in 1/1000 of all.
    pub fn occupied_permille(&self) -> u64 {
        self.gauges.occupied() * 1_000 / self.slots
    }

    /// Whether the disk has no room for another segment, so that only urgent commands are taken.
    pub(crate) fn is_disk_low(&self) -> bool {
        self.gauges.disk_is_low.load(Ordering::Relaxed)
    }

    fn fit(&self, bytes: &[u8]) -> Fit {
        let mut fit = Fit::default();
        if self.gauges.closed.load(Ordering::Acquire) {
            return fit;
        }
        let free = self.slots.saturating_sub(self.gauges.occupied());
        let urgent_only = self.slots / URGENT_SHARE;
        let disk_is_low = self.gauges.disk_is_low.load(Ordering::Relaxed);
        let ordinary = if disk_is_low {
            0
        } else {
            free.saturating_sub(urgent_only)
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let (length, template) = first_of(rest);
            let slots = fit.slots + slots_of(length);
            let room = if is_urgent(template) { free } else { ordinary };
            let fits = u64::try_from(slots).is_ok_and(|slots| slots <= room);
            if !fits || slots > BATCH_SLOTS {
                break;
            }
            fit = Fit {
                bytes: fit.bytes + length,
                slots,
            };
            rest = &rest[length..];
        }
        fit
    }

    fn publish(&mut self, bytes: &[u8], slots: usize) -> bool {
        let published = self.producer.try_batch_publish(slots, |places| {
            let (mut rest, mut left) = (bytes, 0);
            for place in places {
                if left == 0 {
                    (left, _) = first_of(rest);
                }
                let part = left.min(SLOT_LEN);
                place.fill(&rest[..part]);
                rest = &rest[part..];
                left -= part;
            }
            assert!(rest.is_empty() && left == 0, "as many slots as the frames need");
        });
        if published.is_ok() {
            let slots = u64::try_from(slots).expect("a batch is short");
            self.gauges.published.fetch_add(slots, Ordering::AcqRel);
        }
        published.is_ok()
    }
}

/// Length in bytes and template id of the frame that `bytes` begin with, wherever in memory they lie.
fn first_of(bytes: &[u8]) -> (usize, u16) {
    let length = Frame::peek_len(bytes).expect("doors offer checked frames");
    let length = length.filter(|length| *length <= bytes.len());
    let template = bytes
        .get(2..4)
        .and_then(|two| two.try_into().ok())
        .map(u16::from_le_bytes);
    length.zip(template).expect("doors offer whole frames")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Assembler, CommandPoller, RING_SLOTS_MIN, command_ring};
    use xq_protocol::{
        CancelOrder, CommandFrame, Hash, Header, ParticipantId, RegisterParticipant, ReqSeq, Role, SessionId,
    };

    fn ring() -> (Ingress, CommandPoller, CommandPoller, Arc<Gauges>) {
        let (producer, matcher, journaler) = command_ring(RING_SLOTS_MIN);
        let gauges = Arc::new(Gauges::default());
        let ingress = Ingress::new(producer, Arc::clone(&gauges), RING_SLOTS_MIN, Default::default());
        (ingress, matcher, journaler, gauges)
    }

    fn ordinary(number: u64) -> Vec<u8> {
        let header = Header {
            session: SessionId(17),
            ..Header::request(ReqSeq(number))
        };
        let command = RegisterParticipant {
            participant: ParticipantId(3),
            role: Role::Trader,
            reserved: Default::default(),
            reference: Hash([1; 32]),
        };
        CommandFrame::new(header, &command).bytes().to_vec()
    }

    fn urgent() -> Vec<u8> {
        let cancel = CancelOrder {
            account: xq_protocol::AccountId(1),
            reduce_qty: xq_protocol::Qty(0),
            order: xq_protocol::OrderId(9),
            cl_ord_id: xq_protocol::ClOrdId::ZERO,
        };
        CommandFrame::new(Header::request(ReqSeq(1)), &cancel)
            .bytes()
            .to_vec()
    }

    fn drain(poller: &mut CommandPoller) -> Vec<u64> {
        let (mut seen, mut assembler) = (Vec::new(), Assembler::default());
        while let Ok(mut slots) = poller.poll() {
            for slot in &mut slots {
                seen.extend(assembler.take(slot).map(|frame| frame.header.req_seq.0));
            }
        }
        seen
    }

    #[test]
    fn a_full_ring_takes_fewer_and_its_last_eighth_takes_urgent_commands_only() {
        let (mut ingress, mut matcher, mut journaler, gauges) = ring();
        let many: Vec<u8> = (1..=10_000).flat_map(ordinary).collect();
        let one = ordinary(1).len();
        assert_eq!(
            ingress.offer(&many) / one,
            RING_SLOTS_MIN / 8 * 7,
            "seven eighths"
        );
        assert_eq!(ingress.offer(&ordinary(1)), 0, "nothing ordinary after that");
        let urgents: Vec<u8> = (0..RING_SLOTS_MIN).flat_map(|_| urgent()).collect();
        assert_eq!(
            ingress.offer(&urgents) / urgent().len(),
            RING_SLOTS_MIN / 8,
            "the last eighth"
        );
        assert_eq!(ingress.offer(&urgent()), 0, "full is full");

        assert_eq!(drain(&mut matcher).len(), RING_SLOTS_MIN);
        gauges
            .matched
            .store(gauges.published.load(Ordering::Acquire), Ordering::Release);
        assert_eq!(ingress.offer(&urgent()), 0, "the slower reader counts");
        assert_eq!(drain(&mut journaler).len(), RING_SLOTS_MIN);
        gauges
            .journaled
            .store(gauges.published.load(Ordering::Acquire), Ordering::Release);
        assert_eq!(ingress.offer(&ordinary(5)), one);
        assert_eq!(drain(&mut matcher), [5]);
    }

    #[test]
    fn a_low_disk_lets_urgent_commands_pass_and_a_closed_ring_nothing() {
        let (mut ingress, mut matcher, _journaler, gauges) = ring();
        gauges.disk_is_low.store(true, Ordering::Relaxed);
        let short = urgent().len();
        assert_eq!(
            ingress.offer(&[urgent(), ordinary(1), urgent()].concat()),
            short,
            "stops at the order"
        );
        assert_eq!(ingress.offer(&urgent()), short);
        gauges.disk_is_low.store(false, Ordering::Relaxed);
        assert_eq!(ingress.offer(&ordinary(2)), ordinary(2).len());
        gauges.closed.store(true, Ordering::Release);
        assert_eq!(ingress.offer(&urgent()), 0);
        assert_eq!(drain(&mut matcher), [1, 1, 2]);
    }

    #[test]
    fn producers_on_several_threads_keep_their_own_order_and_their_frames_whole() {
        let (ingress, mut matcher, mut journaler, gauges) = ring();
        let each = 20_000_u64;
        let threads: Vec<_> = (0..3_u64)
            .map(|thread| {
                let mut ingress = ingress.clone();
                std::thread::spawn(move || {
                    let numbers: Vec<u64> = (0..each).map(|n| thread * each + n).collect();
                    for batch in numbers.chunks(100) {
                        let frames: Vec<u8> = batch.iter().flat_map(|n| long_or_short(*n)).collect();
                        let mut done = 0;
                        while done < frames.len() {
                            done += ingress.offer(&frames[done..]);
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let (mut seen, mut other) = (Vec::new(), Vec::new());
        let (mut ours, mut theirs) = (Assembler::default(), Assembler::default());
        let all = usize::try_from(3 * each).expect("small");
        while seen.len() < all || other.len() < all {
            // Odd limits, so that frames are cut at the end of a look.
            read(&mut matcher, &mut ours, &mut seen, &gauges.matched);
            read(&mut journaler, &mut theirs, &mut other, &gauges.journaled);
        }
        threads
            .into_iter()
            .for_each(|t| t.join().expect("a producer ends"));
        assert_eq!(seen, other, "both readers see one order");
        for thread in 0..3 {
            let own: Vec<u64> = seen.iter().copied().filter(|n| n / each == thread).collect();
            assert!(own.is_sorted() && own.len() == all / 3);
        }
    }

    fn long_or_short(number: u64) -> Vec<u8> {
        if !number.is_multiple_of(3) {
            return ordinary(number);
        }
        // The longest frame, of no known message: the ring does not ask what a frame means.
        let mut frame = vec![0_u8; xq_protocol::FRAME_MAX];
        frame[..xq_protocol::HEADER_LEN].copy_from_slice(&ordinary(number)[..xq_protocol::HEADER_LEN]);
        let body = u16::try_from(xq_protocol::FRAME_MAX - xq_protocol::HEADER_LEN).expect("short");
        frame[..2].copy_from_slice(&body.to_le_bytes());
        let tag = number.to_le_bytes();
        frame[xq_protocol::HEADER_LEN..]
            .chunks_mut(8)
            .for_each(|word| word.copy_from_slice(&tag));
        frame
    }

    fn read(
        poller: &mut CommandPoller,
        assembler: &mut Assembler,
        seen: &mut Vec<u64>,
        progress: &std::sync::atomic::AtomicU64,
    ) {
        let Ok(mut slots) = poller.take(37) else {
            return;
        };
        let mut count = 0;
        for slot in &mut slots {
            count += 1;
            if let Some(frame) = assembler.take(slot) {
                let number = frame.header.req_seq.0;
                if number.is_multiple_of(3) {
                    assert!(frame.body.chunks(8).all(|word| word == number.to_le_bytes()));
                }
                seen.push(number);
            }
        }
        drop(slots);
        progress.fetch_add(count, Ordering::AcqRel);
    }
}
