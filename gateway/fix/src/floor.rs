//! Sessions and connections: where each message told meets whoever is there to read it.

use crate::desk::Desk;
use crate::session::{Again, Closed, Names, Reset, Say, Session};
use std::collections::{BTreeMap, HashMap, VecDeque};
use xq_protocol::{Hash, Nanos};

/// Bytes that wait to be written to one connection, after which its reader is too slow.
const OUTBOX_MAX: usize = 4 << 20;

/// A session's place among all, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeskId(pub usize);

/// Names one connection; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A session as it is configured.
#[derive(Clone, Debug)]
pub struct DeskSettings {
    /// The client's name, SenderCompID of what it sends.
    pub comp_id: String,
    /// When its numbers begin anew.
    pub reset: Reset,
}

/// Bytes to be written to a connection.
#[derive(Debug, Default)]
pub struct Outbox {
    /// They.
    pub bytes: Vec<u8>,
    /// Nothing comes after them.
    pub closing: Option<Closed>,
}

/// Whether a session's numbers are about to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    Hold,
    BeginAnew,
}

/// A connection.
pub(crate) struct Link {
    pub fingerprint: Option<Hash>,
    pub desk: Option<DeskId>,
    /// None until its Logon.
    pub session: Option<Session>,
    pub outbox: Outbox,
}

/// A desk, who sits at it, and what was said to it without a number yet.
pub(crate) struct Place {
    pub desk: Desk,
    pub reset: Reset,
    pub link: Option<LinkId>,
    pub waiting: VecDeque<Say>,
    pub numbers: Numbers,
    /// Its connection closes when nothing waits any more.
    pub closing: Option<Closed>,
}

/// All of them.
pub struct Floor {
    names: HashMap<Box<[u8]>, DeskId>,
    pub(crate) places: Vec<Place>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    last_link: u64,
    touched: Vec<LinkId>,
    /// Sessions that came up, and the number of their next message in.
    pub(crate) ups: Vec<(DeskId, u64)>,
}

impl Floor {
    /// A floor of these sessions; each keeps so many bytes of what it was told.
    pub fn new(ours: &str, desks: &[DeskSettings], kept: usize) -> Floor {
        let mut floor = Floor {
            names: HashMap::new(),
            places: Vec::new(),
            links: BTreeMap::new(),
            last_link: 0,
            touched: Vec::new(),
            ups: Vec::new(),
        };
        for (place, settings) in desks.iter().enumerate() {
            let names = Names {
                ours: ours.as_bytes().into(),
                theirs: settings.comp_id.as_bytes().into(),
            };
            floor.names.insert(names.theirs.clone(), DeskId(place));
            floor.places.push(Place {
                desk: Desk::new(names, kept),
                reset: settings.reset,
                link: None,
                waiting: VecDeque::new(),
                numbers: Numbers::Hold,
                closing: None,
            });
        }
        floor
    }

    /// The desk of a client's name, when nobody sits there.
    pub(crate) fn vacant(&self, sender: &[u8], target: &[u8]) -> Option<DeskId> {
        let desk = self.names.get(sender).copied()?;
        let place = &self.places[desk.0];
        (place.link.is_none() && *place.desk.names().ours == *target).then_some(desk)
    }

    pub(crate) fn open(&mut self, fingerprint: Option<Hash>) -> LinkId {
        self.last_link += 1;
        let id = LinkId(self.last_link);
        self.links.insert(
            id,
            Link {
                fingerprint,
                desk: None,
                session: None,
                outbox: Outbox::default(),
            },
        );
        id
    }

    pub(crate) fn touched(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.touched)
    }

    pub(crate) fn session(&mut self, id: LinkId) -> Option<&mut Session> {
        self.links.get_mut(&id).and_then(|link| link.session.as_mut())
    }

    /// Whether what a connection sends is read: not while its session is coming up, nor once it closes.
    pub(crate) fn reads(&self, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id) else {
            return false;
        };
        let anew = link
            .desk
            .is_some_and(|desk| self.places[desk.0].numbers == Numbers::BeginAnew);
        link.outbox.closing.is_none() && !anew && link.session.as_ref().is_none_or(Session::is_up)
    }

    /// A connection is gone; the desk that it had.
    pub(crate) fn forget(&mut self, id: LinkId) -> Option<DeskId> {
        let desk = self.links.remove(&id)?.desk?;
        let place = &mut self.places[desk.0];
        (place.link, place.closing) = (None, None);
        Some(desk)
    }

    /// Whether somebody sits at a desk.
    pub fn is_taken(&self, desk: DeskId) -> bool {
        self.places[desk.0].link.is_some()
    }

    /// A session came up: the number of the next message in.
    pub fn up(&mut self, desk: DeskId, next_in: u64) {
        self.ups.push((desk, next_in));
    }

    /// A session does not come up, or ends at once.
    pub fn refused(&mut self, desk: DeskId) {
        if let Some(id) = self.places[desk.0].link {
            self.close(id);
        }
    }

    /// A message gets its number, and is written when somebody is there.
    pub fn tell(&mut self, at: Nanos, desk: DeskId, what: ([u8; 2], Again), body: &[u8]) {
        let place = &mut self.places[desk.0];
        let link = place
            .link
            .and_then(|id| self.links.get_mut(&id).map(|link| (id, link)));
        let Some((id, link)) = link.filter(|(_, link)| link.session.as_ref().is_some_and(Session::is_up))
        else {
            return place.desk.tell(at, what, body, None);
        };
        place.desk.tell(at, what, body, Some(&mut link.outbox.bytes));
        if let Some(session) = &mut link.session {
            session.said(at);
        }
        self.touched.push(id);
        if link.outbox.bytes.len() > OUTBOX_MAX {
            self.close(id);
        }
    }

    /// The message that waits longest for its number gets it.
    pub fn said(&mut self, at: Nanos, desk: DeskId) {
        let place = &mut self.places[desk.0];
        // Before a restart, somebody else said it: its number is used all the same.
        let say = place.waiting.pop_front().unwrap_or_default();
        let close = place.waiting.is_empty() && place.closing.is_some();
        let id = place.link.filter(|_| close);
        self.tell(at, desk, (say.kind, say.again), &say.body);
        if let Some(id) = id {
            self.close(id);
        }
    }

    /// Both numbers of a session begin anew.
    pub fn reset(&mut self, desk: DeskId) {
        let place = &mut self.places[desk.0];
        place.numbers = Numbers::Hold;
        place.desk.reset();
    }

    /// Writes what a connection still has to be told, as far as not too much waits.
    pub(crate) fn write(&mut self, now: Nanos, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let Some(desk) = link
            .desk
            .filter(|_| link.session.as_ref().is_some_and(Session::is_up))
        else {
            return;
        };
        self.places[desk.0].desk.write(now, &mut link.outbox.bytes);
        self.touched.push(id);
    }

    /// Closes a connection once what was said to it has its number.
    pub(crate) fn close_when_said(&mut self, id: LinkId, desk: DeskId) {
        let place = &mut self.places[desk.0];
        place.closing = Some(Closed);
        if place.waiting.is_empty() {
            self.close(id);
        }
    }

    /// Closes a connection once its outbox is written.
    pub(crate) fn close(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.outbox.closing = Some(Closed);
            if let Some(session) = &mut link.session {
                session.closed();
            }
            self.touched.push(id);
        }
    }
}
