//! Which part of a command journal's bytes is intact: reads, decides, changes nothing.

use super::layout::{
    BATCH_HEADER, BLOCK_MAX, BLOCK_MIN, BatchHeader, HeaderState, SegmentHeader, Shape, command_chain_origin,
};
use crate::bytes::{all_zero, narrow, short, used_length, wide};
use crate::frame::{COMMAND_FRAME_MAX, first_of, seq_of, time_of};
use crate::{ChainHash, CommandStart, Error, JournalId, SegmentNumber, Seq, Witness};

/// One segment file, as it was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) name: &'a str,
    pub(crate) number: SegmentNumber,
    pub(crate) bytes: &'a [u8],
}

/// What the caller knows before reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expectation<'a> {
    pub(crate) id: Option<JournalId>,
    pub(crate) first: SegmentNumber,
    /// What the first segment must carry in, when a snapshot says so.
    pub(crate) start: Option<CommandStart>,
    /// Size of a segment where no header tells it, bytes.
    pub(crate) fresh_size: u64,
    pub(crate) witnesses: &'a [Witness],
    pub(crate) tail: Tail,
}

/// What stands behind the intact part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nobody writes it any more, so that it says whether something was damaged.
    AtRest,
    /// A writer may be at work in it, and parts of a batch may be seen in any order: it says nothing.
    Moving,
}

/// A segment whose every batch was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: SegmentNumber,
    /// First sequence in it.
    pub first_seq: Seq,
    /// Last sequence in it; one below `first_seq` when no batch was left in it.
    pub last_seq: Seq,
    /// Offset after its last intact batch, bytes.
    pub end: u64,
}

/// A range that recovery gave up: a last batch that was being written when the power went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Segment file.
    pub file: String,
    /// First byte given up.
    pub offset: u64,
    /// Number of bytes, up to the last that was not zero.
    pub bytes: u64,
    /// First and last sequence that the range claims to hold, when it can be read; not to be trusted.
    pub claimed: Option<(Seq, Seq)>,
}

/// The intact part of a command journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) shape: Option<Shape>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) last_seq: Seq,
    pub(crate) last_time_ns: u64,
    pub(crate) chain: ChainHash,
    pub(crate) cuts: Vec<Cut>,
}

/// Where the intact part ends: view, offset.
#[derive(Clone, Copy, Debug)]
struct End {
    view: usize,
    offset: usize,
}

/// Reads all segments from the first to the last.
///
/// # Errors
/// All that recovery refuses, see [`Error`].
pub(crate) fn scan(views: &[View<'_>], expect: &Expectation<'_>) -> Result<Scan, Error> {
    let (headers, shape) = check_headers(views, expect)?;
    let mut scan = Scan {
        shape,
        segments: Vec::new(),
        last_seq: Seq::ZERO,
        last_time_ns: 0,
        chain: ChainHash::default(),
        cuts: Vec::new(),
    };
    let end = match (shape, headers.first()) {
        (Some(shape), Some(HeaderState::Valid(first))) => {
            scan.start(&shape, first, expect);
            scan.walk(views, &headers, &shape)?
        }
        _ => End { view: 0, offset: 0 },
    };
    match expect.tail {
        Tail::AtRest => scan.judge_rest(views, &headers, end)?,
        Tail::Moving => {}
    }
    if let Some(witness) = expect
        .witnesses
        .iter()
        .find(|witness| witness.seq > scan.last_seq)
    {
        let file = views
            .get(end.view)
            .map_or_else(String::new, |view| view.name.to_owned());
        return Err(Error::Witnessed {
            file,
            offset: wide(end.offset),
            last: scan.last_seq,
            witness: *witness,
        });
    }
    Ok(scan)
}

/// Checks what can be said of the files before their batches are read: whose they are, which, how long.
fn check_headers(
    views: &[View<'_>],
    expect: &Expectation<'_>,
) -> Result<(Vec<HeaderState>, Option<Shape>), Error> {
    let mut headers = Vec::with_capacity(views.len());
    let mut id = expect.id;
    let mut shape: Option<Shape> = None;
    for view in views {
        let state = SegmentHeader::read(view.name, view.bytes)?;
        if let HeaderState::Valid(header) = state {
            let expected = *id.get_or_insert(header.id);
            if header.id != expected {
                let (file, found) = (view.name.to_owned(), header.id);
                return Err(Error::Foreign {
                    file,
                    found,
                    expected,
                    seq: header.first_seq,
                });
            }
            if header.number != view.number {
                let (file, found, named) = (view.name.to_owned(), header.number, view.number);
                return Err(Error::Misnamed {
                    file,
                    found,
                    named,
                    seq: header.first_seq,
                });
            }
            let (segment_size, block) = (header.segment_size, narrow(u64::from(header.block)));
            let known = *shape.get_or_insert(Shape {
                id: expected,
                segment_size,
                block,
            });
            if known
                != (Shape {
                    id: expected,
                    segment_size,
                    block,
                })
            {
                let at = (0, header.first_seq);
                return Err(Error::corrupt(
                    view.name,
                    at,
                    "its header names other sizes than the segments before",
                ));
            }
        }
        headers.push(state);
    }
    check_gaps(views, expect.first)?;
    let expected = shape.map_or(expect.fresh_size, |shape| shape.segment_size);
    match views.iter().find(|view| wide(view.bytes.len()) != expected) {
        Some(view) => Err(Error::WrongSize {
            file: view.name.to_owned(),
            found: wide(view.bytes.len()),
            expected,
        }),
        None => Ok((headers, shape)),
    }
}

fn check_gaps(views: &[View<'_>], first: SegmentNumber) -> Result<(), Error> {
    let mut due = first;
    for view in views {
        if view.number != due {
            let file = crate::names::segment_name(crate::names::Kind::Command, due);
            return Err(Error::MissingSegment {
                file,
                number: due,
                seq: Seq::ZERO,
            });
        }
        due = due.next();
    }
    Ok(())
}

impl Scan {
    fn start(&mut self, shape: &Shape, first: &SegmentHeader, expect: &Expectation<'_>) {
        if let Some(start) = expect.start {
            self.chain = start.chain;
            self.last_seq = Seq(start.first_seq.0.saturating_sub(1));
        } else if expect.first == SegmentNumber::FIRST {
            self.chain = command_chain_origin(shape.id);
        } else {
            // One segment alone: its header is where the history begins.
            self.chain = first.chain;
            self.last_seq = Seq(first.first_seq.0.saturating_sub(1));
        }
    }

    /// Follows intact segments; returns where the first one ends that is not followed by another.
    fn walk(&mut self, views: &[View<'_>], headers: &[HeaderState], shape: &Shape) -> Result<End, Error> {
        for (place, view) in views.iter().enumerate() {
            let HeaderState::Valid(header) = headers[place] else {
                return Ok(End {
                    view: place,
                    offset: 0,
                });
            };
            if header.first_seq != self.last_seq.next() || header.chain != self.chain {
                let what = "its header does not continue the segment before (first seq or chain differ)";
                return Err(Error::corrupt(view.name, (0, self.last_seq.next()), what));
            }
            let end = self.walk_batches(view, shape.block)?;
            let (number, first_seq, last_seq) = (view.number, header.first_seq, self.last_seq);
            self.segments.push(Segment {
                number,
                first_seq,
                last_seq,
                end: wide(end),
            });
            let is_last = !matches!(headers.get(place + 1), Some(HeaderState::Valid(_)));
            if !all_zero(&view.bytes[end..]) || (is_last && place + 1 == views.len()) {
                return Ok(End {
                    view: place,
                    offset: end,
                });
            }
        }
        Ok(End {
            view: views.len(),
            offset: 0,
        })
    }

    /// Follows intact batches; returns the offset after the last.
    fn walk_batches(&mut self, view: &View<'_>, block: usize) -> Result<usize, Error> {
        let mut offset = block;
        while let Some(header) = view
            .bytes
            .get(offset..)
            .and_then(|rest| BatchHeader::intact(rest, block))
        {
            let at = (wide(offset), self.last_seq.next());
            if header.segment != view.number || header.offset != wide(offset) {
                let what = format!(
                    "a batch that was written to segment {} offset {} stands here",
                    header.segment, header.offset
                );
                return Err(Error::corrupt(view.name, at, what));
            }
            if header.first_seq != at.1 {
                let what = format!("the batch here begins with seq {}", header.first_seq);
                return Err(Error::corrupt(view.name, at, what));
            }
            let bytes = &view.bytes[offset..];
            if !header.follows(bytes, self.chain) {
                return Err(Error::corrupt(
                    view.name,
                    at,
                    "the chain does not continue from the batch before",
                ));
            }
            self.take_frames(view, at, &header)?;
            self.chain = header.chain;
            offset += header.padded(block);
        }
        Ok(offset)
    }

    fn take_frames(&mut self, view: &View<'_>, at: (u64, Seq), header: &BatchHeader) -> Result<(), Error> {
        let mut rest = header.frames(&view.bytes[narrow(at.0)..]);
        let mut count = 0_usize;
        while let Some(frame) = first_of(rest, COMMAND_FRAME_MAX) {
            if seq_of(frame) != self.last_seq.next() {
                return Err(Error::corrupt(
                    view.name,
                    at,
                    "the frames of the batch are not numbered in order",
                ));
            }
            self.last_seq = self.last_seq.next();
            self.last_time_ns = time_of(frame);
            count += 1;
            rest = &rest[frame.len()..];
        }
        if !rest.is_empty() || short(count) != header.count {
            return Err(Error::corrupt(
                view.name,
                at,
                "the batch does not hold the frames it announces",
            ));
        }
        Ok(())
    }

    /// Decides about everything after the intact part: nothing, a torn last batch, or corruption.
    fn judge_rest(&mut self, views: &[View<'_>], headers: &[HeaderState], end: End) -> Result<(), Error> {
        let seq = self.last_seq.next();
        let mut begins = end.offset;
        let mut bad: Option<(&str, u64)> = None;
        for (place, view) in views.iter().enumerate().skip(end.view) {
            let rest = &view.bytes[begins..];
            if !all_zero(rest) {
                let (file, offset) = *bad.get_or_insert((view.name, wide(begins)));
                let opens = begins == 0 && place == end.view;
                let later = match headers[place] {
                    HeaderState::Valid(_) if begins == 0 => Some(0),
                    _ => self.find_intact(view, begins, opens),
                };
                if let Some(later) = later {
                    let what = format!(
                        "it is damaged, and a valid batch follows in {} at offset {later}",
                        view.name
                    );
                    return Err(Error::corrupt(file, (offset, seq), what));
                }
                self.cuts.push(self.cut(view, begins));
            }
            begins = 0;
        }
        Ok(())
    }

    /// Looks at every block boundary for a batch whose checksum holds. Where the header block of a segment is
    /// bad, the batch right after it was part of the same write and does not count as a later one.
    fn find_intact(&self, view: &View<'_>, from: usize, opens: bool) -> Option<usize> {
        let known = self.shape.map(|shape| shape.block);
        let (smallest, largest) = known.map_or((BLOCK_MIN, BLOCK_MAX), |block| (block, block));
        let mut at = from;
        while let Some(rest) = view.bytes.get(at..).filter(|rest| rest.len() >= BATCH_HEADER) {
            let blocks =
                std::iter::successors(Some(smallest), |block| Some(block * 2)).take_while(|b| *b <= largest);
            let found = blocks
                .filter_map(|block| Some((block, BatchHeader::intact(rest, block)?)))
                .next();
            match found {
                Some((block, header)) if opens && at == block && header.first_seq == self.last_seq.next() => {
                    at += header.padded(block);
                }
                Some(_) => return Some(at),
                None => at += smallest,
            }
        }
        None
    }

    fn cut(&self, view: &View<'_>, offset: usize) -> Cut {
        let used = used_length(view.bytes).max(offset);
        let block = self.shape.map_or(BLOCK_MAX, |shape| shape.block);
        let batch = if offset == 0 { block } else { offset };
        let header = view.bytes.get(batch..).and_then(BatchHeader::claimed);
        let plausible = header.filter(|header| header.segment == view.number && header.offset == wide(batch));
        let claimed = plausible.and_then(|header| Some((header.first_seq, header.last_seq()?)));
        Cut {
            file: view.name.to_owned(),
            offset: wide(offset),
            bytes: wide(used - offset),
            claimed,
        }
    }
}
