//! Rejects: what is wrong with a message, told to whom it came from.

use crate::dictionary::Fault;
use crate::session::{Again, Output, Say};
use crate::tag;
use crate::wire::{Message, put};

/// The way back of a message that was sent on behalf of someone else.
const ROUTES: [(u32, u32); 6] = [
    (tag::DELIVER_TO_COMP_ID, tag::ON_BEHALF_OF_COMP_ID),
    (tag::DELIVER_TO_SUB_ID, tag::ON_BEHALF_OF_SUB_ID),
    (tag::DELIVER_TO_LOCATION_ID, tag::ON_BEHALF_OF_LOCATION_ID),
    (tag::ON_BEHALF_OF_COMP_ID, tag::DELIVER_TO_COMP_ID),
    (tag::ON_BEHALF_OF_SUB_ID, tag::DELIVER_TO_SUB_ID),
    (tag::ON_BEHALF_OF_LOCATION_ID, tag::DELIVER_TO_LOCATION_ID),
];

/// The fields that lead an answer back to whom a message came from.
pub fn put_routes(message: &Message<'_>, body: &mut Vec<u8>) {
    for (from, to) in ROUTES {
        if let Some(name) = message.get(from) {
            put(body, to, name);
        }
    }
}

/// Rejects a message.
pub fn reject(message: &Message<'_>, fault: &Fault, out: &mut Output) {
    let mut say = Say::new(b'3', Again::Never);
    put_routes(message, &mut say.body);
    let (reason, text) = fault.kind.told();
    say = say
        .with_number(tag::REF_SEQ_NUM, message.number(tag::MSG_SEQ_NUM).unwrap_or(0))
        .with(tag::TEXT, text.as_bytes());
    if let Some(place) = fault.place {
        say = say.with(tag::REF_TAG_ID, message.tag_text(place));
    } else if let Some(tag) = fault.tag {
        say = say.with_number(tag::REF_TAG_ID, u64::from(tag));
    }
    say = say
        .with(tag::REF_MSG_TYPE, message.kind())
        .with_number(tag::SESSION_REJECT_REASON, reason);
    out.says.push(say);
}
