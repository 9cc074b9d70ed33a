//! Frames: a 40-byte header and a fixed-layout body, viewed in place.

use crate::meta::Message;
use crate::{Command, Event, Nanos, ReqSeq, Seq, SessionId, SessionMessage};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Length of a frame's header in bytes.
pub const HEADER_LEN: usize = size_of::<Header>();
/// Length of a ring slot in bytes; hot commands and all events fit one.
pub const SLOT_LEN: usize = 128;
/// Longest frame in bytes, header included.
pub const FRAME_MAX: usize = 1_024;
/// Longest event frame in bytes, header included.
pub const EVENT_MAX: usize = SLOT_LEN;
/// Id of the published schema.
pub const SCHEMA_ID: u16 = 1;
/// Version of the published schema that is written.
pub const SCHEMA_VERSION: u16 = 1;
/// Oldest version of the published schema that is read.
pub const SCHEMA_VERSION_OLDEST: u16 = 1;

/// The header of every frame.
///
/// ```text
///  0        2        4        6        8                16               24       28     30     32              40
///  | block  | templ- | schema | schema | seq            | time           | session| index| flags| req_seq       |
///  | length | ate id | id     | version| u64            | u64 ns UTC     | u32    | u16  | u16  | u64           |
/// ```
///
/// The first four fields are SBE's. A client leaves `seq`, `time`, `session`, `index` and `flags` zero: the exchange
/// fills them in. In an event, `seq` is the causing command's, `index` the event's place among that command's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(8))]
pub struct Header {
    /// Bytes of the body after the header.
    pub block_length: u16,
    /// Which message the body is.
    pub template_id: u16,
    /// Which schema: [`SCHEMA_ID`].
    pub schema_id: u16,
    /// Which version of the schema.
    pub version: u16,
    /// Place in the command journal of this command, or of the command that caused this event.
    pub seq: Seq,
    /// When the command entered the exchange.
    pub time: Nanos,
    /// Who spoke.
    pub session: SessionId,
    /// Place among the events of one command.
    pub index: u16,
    /// Bits: see [`Header::LAST`] and [`Header::REPEATED`].
    pub flags: u16,
    /// Number of the request within its session.
    pub req_seq: ReqSeq,
}

const _: () = assert!(size_of::<Header>() == 40);

impl Header {
    /// Flag: the last event of its command.
    pub const LAST: u16 = 1;
    /// Flag: told again as the original outcome of a repeated request; it has no number of its own in the session.
    pub const REPEATED: u16 = 2;

    /// A header as a client sends it: a request number and nothing else.
    pub fn request(req_seq: ReqSeq) -> Header {
        Header {
            req_seq,
            ..Header::default()
        }
    }
    /// Says whether this is the last event of its command.
    pub const fn is_last(&self) -> bool {
        self.flags & Self::LAST != 0
    }
    /// The first field that a client should have left zero, if any.
    pub fn client_field_not_zero(&self) -> Option<&'static str> {
        let fields = [
            (self.seq.is_zero(), "seq"),
            (self.time.is_zero(), "time"),
            (self.session.is_zero(), "session"),
            (self.index == 0, "index"),
            (self.flags == 0, "flags"),
        ];
        fields.iter().find(|(zero, _)| !zero).map(|(_, name)| *name)
    }
    /// Length of the whole frame in bytes.
    pub const fn frame_len(&self) -> usize {
        HEADER_LEN + self.block_length as usize
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than a frame of this kind has.
    #[error("truncated: {have} bytes, the frame has {need}")]
    Truncated {
        /// Bytes there.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// The block length makes the frame longer than any may be, or is no multiple of eight.
    #[error("block length {block_length}: it must be a multiple of 8, at most {}", FRAME_MAX - HEADER_LEN)]
    BadLength {
        /// As in the header.
        block_length: u16,
    },
    /// The bytes do not start at a multiple of eight in memory.
    #[error("frame is not aligned to 8 bytes")]
    Misaligned,
    /// Another schema.
    #[error("schema id {schema_id}: this exchange speaks {SCHEMA_ID}")]
    UnknownSchema {
        /// As in the header.
        schema_id: u16,
    },
    /// A version that is not spoken.
    #[error("schema version {version}: spoken are {SCHEMA_VERSION_OLDEST} to {SCHEMA_VERSION}")]
    UnknownVersion {
        /// As in the header.
        version: u16,
    },
    /// No message has this template id.
    #[error("template {template}: no such message here")]
    UnknownTemplate {
        /// As in the header.
        template: u16,
    },
    /// The block is not as long as its message.
    #[error("template {template} ({name}): block length {have}, it has {need}")]
    BlockLength {
        /// As in the header.
        template: u16,
        /// The message's name.
        name: &'static str,
        /// As in the header.
        have: usize,
        /// As in the schema.
        need: usize,
    },
    /// A field's bytes are no value of its type.
    #[error(
        "template {template} ({name}): field {field} at byte {offset} of the body holds no value of its type"
    )]
    BadField {
        /// As in the header.
        template: u16,
        /// The message's name.
        name: &'static str,
        /// The field's name.
        field: &'static str,
        /// Where it stands in the body.
        offset: usize,
    },
}

/// Views a body as one message.
#[inline]
pub(crate) fn view<M: Message>(body: &[u8]) -> Result<&M, DecodeError> {
    match M::try_ref_from_bytes(body) {
        Ok(message) => Ok(message),
        Err(_) => Err(diagnose::<M>(body)),
    }
}

/// Says what is wrong with a body that is not the message it should be.
#[cold]
fn diagnose<M: Message>(body: &[u8]) -> DecodeError {
    if body.len() != size_of::<M>() {
        let (have, need) = (body.len(), size_of::<M>());
        return DecodeError::BlockLength {
            template: M::TEMPLATE,
            name: M::NAME,
            have,
            need,
        };
    }
    for field in M::FIELDS {
        let bytes = body.get(field.offset..field.offset + field.length);
        if !bytes.is_some_and(field.is_valid) {
            let (field, offset) = (field.name, field.offset);
            return DecodeError::BadField {
                template: M::TEMPLATE,
                name: M::NAME,
                field,
                offset,
            };
        }
    }
    DecodeError::Misaligned
}

/// One frame, viewed in place.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Its header.
    pub header: &'a Header,
    /// Its body.
    pub body: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The length of the frame that starts here, as far as its header tells: none while the header is incomplete.
    ///
    /// # Errors
    /// [`DecodeError::BadLength`]: checked before anything is kept for the frame.
    pub fn peek_len(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
        let Some(first) = bytes.first_chunk::<2>() else {
            return Ok(None);
        };
        let block_length = u16::from_le_bytes(*first);
        let length = HEADER_LEN + usize::from(block_length);
        if length > FRAME_MAX || !length.is_multiple_of(8) {
            return Err(DecodeError::BadLength { block_length });
        }
        Ok(Some(length))
    }

    /// Views the frame at the start of `bytes`; the rest is what follows it.
    ///
    /// # Errors
    /// All that can be wrong with a header: [`DecodeError`]. The body is checked by [`Frame::command`] and its like.
    #[inline]
    pub fn split(bytes: &'a [u8]) -> Result<(Frame<'a>, &'a [u8]), DecodeError> {
        let (header, rest) = Header::ref_from_prefix(bytes).map_err(|_| header_error(bytes))?;
        let body_len = usize::from(header.block_length);
        if HEADER_LEN + body_len > FRAME_MAX || !body_len.is_multiple_of(8) {
            return Err(DecodeError::BadLength {
                block_length: header.block_length,
            });
        }
        // One comparison for nearly all: this schema's newest version.
        if [header.schema_id, header.version] != [SCHEMA_ID, SCHEMA_VERSION] {
            check_schema(header)?;
        }
        let need = HEADER_LEN + body_len;
        let Some((body, rest)) = rest.split_at_checked(body_len) else {
            return Err(DecodeError::Truncated {
                have: bytes.len(),
                need,
            });
        };
        let whole = bytes.get(..need).expect("header and body were split off it");
        Ok((
            Frame {
                header,
                body,
                bytes: whole,
            },
            rest,
        ))
    }

    /// The body as a command.
    ///
    /// # Errors
    /// Unknown template, wrong block length or a field out of its type: [`DecodeError`].
    #[inline]
    pub fn command(&self) -> Result<Command<'a>, DecodeError> {
        Command::decode(self.header.template_id, self.body)
    }
    /// The body as an event or report.
    ///
    /// # Errors
    /// As [`Frame::command`].
    #[inline]
    pub fn event(&self) -> Result<Event<'a>, DecodeError> {
        Event::decode(self.header.template_id, self.body)
    }
    /// The body as a session message.
    ///
    /// # Errors
    /// As [`Frame::command`].
    pub fn session_message(&self) -> Result<SessionMessage<'a>, DecodeError> {
        SessionMessage::decode(self.header.template_id, self.body)
    }
    /// Header and body as they stand.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Another schema, or a version that is not spoken.
#[cold]
fn check_schema(header: &Header) -> Result<(), DecodeError> {
    let (schema_id, version) = (header.schema_id, header.version);
    if schema_id != SCHEMA_ID {
        return Err(DecodeError::UnknownSchema { schema_id });
    }
    if !(SCHEMA_VERSION_OLDEST..=SCHEMA_VERSION).contains(&version) {
        return Err(DecodeError::UnknownVersion { version });
    }
    Ok(())
}

#[cold]
fn header_error(bytes: &[u8]) -> DecodeError {
    if bytes.len() < HEADER_LEN {
        return DecodeError::Truncated {
            have: bytes.len(),
            need: HEADER_LEN,
        };
    }
    DecodeError::Misaligned
}

/// Memory for one frame of at most `8 × WORDS` bytes, aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameBuf<const WORDS: usize> {
    words: [u64; WORDS],
}

/// Memory for one event: one ring slot.
pub type EventFrame = FrameBuf<{ EVENT_MAX / 8 }>;
/// Memory for the longest frame.
pub type CommandFrame = FrameBuf<{ FRAME_MAX / 8 }>;

impl<const WORDS: usize> Default for FrameBuf<WORDS> {
    fn default() -> Self {
        FrameBuf { words: [0; WORDS] }
    }
}

impl<const WORDS: usize> FrameBuf<WORDS> {
    /// A frame of this message; of the header, SBE's four fields are filled in here.
    pub fn new<M: Message>(header: Header, body: &M) -> Self {
        let mut frame = Self::default();
        frame.write(header, body);
        frame
    }

    /// Writes header and body; of the header, SBE's four fields are filled in here.
    #[inline]
    pub fn write<M: Message>(&mut self, header: Header, body: &M) {
        const { assert!(HEADER_LEN + size_of::<M>() <= 8 * WORDS) };
        let header = Header {
            block_length: const { size_of::<M>() as u16 },
            template_id: M::TEMPLATE,
            schema_id: SCHEMA_ID,
            version: SCHEMA_VERSION,
            ..header
        };
        let bytes = self.words.as_mut_bytes();
        header
            .write_to_prefix(bytes)
            .expect("the buffer is longer than a header");
        body.write_to_prefix(&mut bytes[HEADER_LEN..])
            .expect("the buffer holds the body, as asserted above");
    }

    /// A copy of a frame's bytes; none when it does not fit.
    pub fn copy_of(frame: &Frame<'_>) -> Option<Self> {
        let mut copy = Self::default();
        copy.words
            .as_mut_bytes()
            .get_mut(..frame.bytes().len())?
            .copy_from_slice(frame.bytes());
        Some(copy)
    }

    /// The header.
    #[inline]
    pub fn header(&self) -> &Header {
        Header::ref_from_prefix(self.words.as_bytes())
            .expect("words are aligned and longer than a header")
            .0
    }
    /// The header, to be filled in.
    #[inline]
    pub fn header_mut(&mut self) -> &mut Header {
        Header::mut_from_prefix(self.words.as_mut_bytes())
            .expect("words are aligned and longer than a header")
            .0
    }
    /// The frame's bytes, as long as its header says.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let length = self.header().frame_len().min(8 * WORDS);
        &self.words.as_bytes()[..length]
    }
    /// The whole memory, aligned to eight bytes.
    pub fn words(&self) -> &[u64; WORDS] {
        &self.words
    }
    /// The whole memory, to be filled with a frame's words.
    pub fn words_mut(&mut self) -> &mut [u64; WORDS] {
        &mut self.words
    }
    /// The frame, viewed.
    ///
    /// # Errors
    /// As [`Frame::split`]: only when no frame was written here.
    pub fn frame(&self) -> Result<Frame<'_>, DecodeError> {
        Frame::split(self.words.as_bytes()).map(|(frame, _)| frame)
    }
    /// The event in it.
    ///
    /// # Errors
    /// As [`Frame::split`] and [`Frame::event`].
    pub fn event(&self) -> Result<Event<'_>, DecodeError> {
        self.frame()?.event()
    }
}
