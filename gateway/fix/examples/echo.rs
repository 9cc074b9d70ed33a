//! An acceptor in the configuration of other people's acceptance tests, which echoes what it is sent.
//!
//! `echo DICTIONARY.xml` listens at a free port of loopback and prints it. Its one session is ISLD ⇄ TW44, whose numbers
//! begin anew at each Logon. Orders and security definitions come back as they were sent, their fields sorted; a
//! PossResend of a ClOrdID that it has seen is dropped; all else is refused with a business reject.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};
use xq_fix::dictionary::Dictionary;
use xq_fix::door::{Application, Door, Found, Numbered, Up};
use xq_fix::floor::{DeskId, DeskSettings, Floor};
use xq_fix::reject::put_routes;
use xq_fix::session::{Again, Reset, Say};
use xq_fix::tag;
use xq_fix::transport::{Limits, Transport};
use xq_fix::wire::{Message, put};
use xq_protocol::{Hash, Nanos};

/// The header's fields, which are not echoed.
const HEADER: [u32; 15] = [8, 9, 35, 34, 43, 49, 52, 56, 97, 115, 116, 122, 128, 129, 10];

#[derive(Default)]
struct Echo {
    seen: HashSet<Vec<u8>>,
}

impl Application for Echo {
    fn up(&mut self, _: Nanos, _: DeskId, _: (&Message<'_>, Option<&Hash>)) -> Up {
        Up::Now(1)
    }
    fn down(&mut self, _: Nanos, _: DeskId, _: u64) {}
    fn takes(&self) -> bool {
        true
    }
    fn say(&mut self, _: Nanos, _: DeskId, _: u64) -> Numbered {
        Numbered::Now
    }
    fn reset(&mut self, _: Nanos, _: DeskId) -> Numbered {
        self.seen.clear();
        Numbered::Now
    }
    fn message(&mut self, _: Nanos, _: DeskId, message: &Message<'_>, says: &mut Vec<Say>) {
        match message.kind() {
            b"D" | b"d" => {
                let id = message.get(tag::CL_ORD_ID).unwrap_or_default().to_vec();
                let is_new = self.seen.insert(id);
                if is_new || !message.says_yes(tag::POSS_RESEND) {
                    says.push(echo(message));
                }
            }
            other => {
                let mut say = Say::new(b'j', Again::Told);
                put_routes(message, &mut say.body);
                let say = say
                    .with_number(tag::REF_SEQ_NUM, message.number(tag::MSG_SEQ_NUM).unwrap_or(0))
                    .with(tag::TEXT, b"Unsupported Message Type")
                    .with(tag::REF_MSG_TYPE, other)
                    .with_number(tag::BUSINESS_REJECT_REASON, 3);
                says.push(say);
            }
        }
    }
    fn flush(&mut self, _: Nanos) {}
    fn poll(&mut self, _: Nanos, _: &mut Floor) -> Found {
        Found::Nothing
    }
}

fn echo(message: &Message<'_>) -> Say {
    let mut fields: Vec<_> = message
        .fields()
        .filter(|(tag, _)| !HEADER.contains(tag))
        .collect();
    fields.sort_by_key(|(tag, _)| *tag);
    let mut say = Say::of(message.kind(), Again::Told);
    for (tag, value) in fields {
        put(&mut say.body, tag, value);
    }
    say
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: echo DICTIONARY.xml")?;
    let dictionary = Dictionary::parse(&std::fs::read_to_string(path)?)?;
    let desk = DeskSettings {
        comp_id: "TW44".to_owned(),
        reset: Reset::OnLogon,
    };
    let door = Door::new(Echo::default(), dictionary, "ISLD", (&[desk], 1 << 20));
    let limits = Limits {
        connections_max: 16,
        per_address_max: 16,
        logon_within: Nanos(5_000_000_000),
    };
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    };
    let transport = Transport::listen(([127, 0, 0, 1], 0).into(), door, limits, Box::new(now))?;
    println!("{}", transport.address()?);
    transport.run()?;
    Ok(())
}
