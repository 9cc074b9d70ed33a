//! The door: bytes of each connection to its session machine, what that wants to the application behind, and back.
//!
//! One thread drives it. What is to be written is left in each connection's outbox, and nothing here waits: what needs
//! an answer of the application's goes on when that answer is polled.

use crate::dictionary::Dictionary;
use crate::floor::{DeskId, DeskSettings, Floor, LinkId, Numbers, Outbox};
use crate::session::{Closed, Output, Say, Session, Step};
use crate::tag;
use crate::wire::{Framed, Message, Places, frame};
use xq_protocol::{Hash, Nanos};

/// Whether a session comes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Up {
    /// It is up: the number of the next message in.
    Now(u64),
    /// [`Floor::up`] or [`Floor::refused`] is called later.
    Later,
    /// It does not.
    Refused,
}

/// When something gets its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbered {
    /// At once.
    Now,
    /// When [`Floor::said`] or [`Floor::reset`] is called.
    Later,
}

/// What the door needs of whatever is behind it.
pub trait Application {
    /// A client that named a session asks for it to come up, with what it has shown of itself.
    fn up(&mut self, now: Nanos, desk: DeskId, shown: (&Message<'_>, Option<&Hash>)) -> Up;
    /// A session's connection is gone; the number of the next message in is this.
    fn down(&mut self, now: Nanos, desk: DeskId, next_in: u64);
    /// Whether messages are taken at the moment: not while too many answers wait for room.
    fn takes(&self) -> bool;
    /// A message is to be said; the number of the next message in is this by now.
    fn say(&mut self, now: Nanos, desk: DeskId, next_in: u64) -> Numbered;
    /// Both numbers of a session begin anew.
    fn reset(&mut self, now: Nanos, desk: DeskId) -> Numbered;
    /// A message of a session's, valid and in its turn; what is answered at once goes to `says`.
    fn message(&mut self, now: Nanos, desk: DeskId, message: &Message<'_>, says: &mut Vec<Say>);
    /// All that came in at once was read.
    fn flush(&mut self, now: Nanos);
    /// Tells what there is, bounded; says whether there was any.
    fn poll(&mut self, now: Nanos, floor: &mut Floor) -> Found;
}

/// Whether there was something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// Something, and there may be more.
    Some,
}

/// The door.
pub struct Door<A> {
    application: A,
    dictionary: Dictionary,
    floor: Floor,
    fields: Places,
}

impl<A: Application> Door<A> {
    /// A door for these sessions; each keeps so many bytes of what it was told.
    pub fn new(
        application: A,
        dictionary: Dictionary,
        ours: &str,
        desks: (&[DeskSettings], usize),
    ) -> Door<A> {
        let floor = Floor::new(ours, desks.0, desks.1);
        Door {
            application,
            dictionary,
            floor,
            fields: Places::default(),
        }
    }

    /// The application.
    pub fn application(&mut self) -> &mut A {
        &mut self.application
    }

    /// A new connection, with the fingerprint of the certificate that it showed.
    pub fn open(&mut self, fingerprint: Option<Hash>) -> LinkId {
        self.floor.open(fingerprint)
    }

    /// Whether a connection's Logon has come.
    pub fn has_logged_on(&self, id: LinkId) -> bool {
        self.floor
            .links
            .get(&id)
            .is_some_and(|link| link.session.is_some())
    }

    /// What is to be written to a connection.
    pub fn outbox(&mut self, id: LinkId) -> Option<&mut Outbox> {
        self.floor.links.get_mut(&id).map(|link| &mut link.outbox)
    }

    /// The connections whose outbox has something new, or that may read on, since this was asked last.
    pub fn touched(&mut self) -> Vec<LinkId> {
        self.floor.touched()
    }

    /// A connection is gone.
    pub fn closed(&mut self, now: Nanos, id: LinkId) {
        let next_in = self.floor.session(id).map_or(1, |session| session.next_in());
        if let Some(desk) = self.floor.forget(id) {
            self.application.down(now, desk, next_in);
        }
    }

    /// Bytes came on a connection; says how many of them are done with.
    pub fn received(&mut self, now: Nanos, id: LinkId, bytes: &[u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() && self.floor.reads(id) && self.application.takes() {
            match frame(&bytes[done..]) {
                Framed::Incomplete => break,
                Framed::Garbled(count) => done += count,
                Framed::Whole(count) => {
                    self.whole(now, id, &bytes[done..done + count]);
                    done += count;
                }
                Framed::TooLong => self.floor.close(id),
            }
        }
        self.application.flush(now);
        let closing = self.outbox(id).is_none_or(|outbox| outbox.closing.is_some());
        if closing { bytes.len() } else { done }
    }

    fn whole(&mut self, now: Nanos, id: LinkId, bytes: &[u8]) {
        self.read(now, id, bytes);
        // Those that waited for this one are in their turn now.
        while self.floor.reads(id)
            && let Some(early) = self.floor.session(id).and_then(Session::next_early)
        {
            self.read(now, id, &early);
        }
    }

    fn read(&mut self, now: Nanos, id: LinkId, bytes: &[u8]) {
        let mut fields = std::mem::take(&mut self.fields);
        if let Some(message) = fields.read(bytes) {
            match self.floor.links.get(&id).and_then(|link| link.desk) {
                None => self.logon(now, id, &message),
                Some(desk) => self.message(now, (id, desk), &message),
            }
        }
        self.fields = fields;
    }

    /// Takes the first message of a connection. Who has not said who he is is not told who is here.
    fn logon(&mut self, now: Nanos, id: LinkId, message: &Message<'_>) {
        let name = |tag| message.get(tag).unwrap_or_default();
        let desk = self
            .floor
            .vacant(name(tag::SENDER_COMP_ID), name(tag::TARGET_COMP_ID));
        let is_logon = name(tag::BEGIN_STRING) == b"FIX.4.4" && message.kind() == b"A";
        let Some(desk) = desk.filter(|_| is_logon && self.dictionary.check(message).is_ok()) else {
            return self.floor.close(id);
        };
        let place = &self.floor.places[desk.0];
        let mut session = Session::new(place.desk.names().clone(), place.reset, now);
        let link = self.floor.links.get_mut(&id).expect("its bytes are being read");
        if !session.logon(now, message, &mut Output::default()) {
            return self.floor.close(id);
        }
        match self
            .application
            .up(now, desk, (message, link.fingerprint.as_ref()))
        {
            Up::Refused => self.floor.close(id),
            Up::Later => self.sit(id, desk, session),
            Up::Now(next_in) => {
                self.sit(id, desk, session);
                self.established(now, desk, next_in);
            }
        }
    }

    fn sit(&mut self, id: LinkId, desk: DeskId, session: Session) {
        let link = self.floor.links.get_mut(&id).expect("its bytes are being read");
        (link.desk, link.session) = (Some(desk), Some(session));
        self.floor.places[desk.0].link = Some(id);
    }

    fn established(&mut self, now: Nanos, desk: DeskId, next_in: u64) {
        let place = &mut self.floor.places[desk.0];
        let Some(id) = place.link else { return };
        place.desk.connect();
        let next_out = place.desk.next_out();
        let mut out = Output::default();
        if let Some(session) = self.floor.session(id) {
            session.established(now, (next_in, next_out), &mut out);
        }
        self.act(now, (id, desk), out);
    }

    fn message(&mut self, now: Nanos, (id, desk): (LinkId, DeskId), message: &Message<'_>) {
        let mut out = Output::default();
        let Some(session) = self
            .floor
            .links
            .get_mut(&id)
            .and_then(|link| link.session.as_mut())
        else {
            return;
        };
        if session.received(now, message, &self.dictionary, &mut out) == Step::Deliver {
            self.application.message(now, desk, message, &mut out.says);
        }
        self.act(now, (id, desk), out);
    }

    /// Does what a machine asked for.
    fn act(&mut self, now: Nanos, (id, desk): (LinkId, DeskId), mut out: Output) {
        if out.reset.is_some() {
            match self.application.reset(now, desk) {
                Numbered::Now => self.floor.reset(desk),
                Numbered::Later => self.floor.places[desk.0].numbers = Numbers::BeginAnew,
            }
        }
        if let Some(numbers) = out.resend {
            self.floor.places[desk.0].desk.resend(numbers);
            self.floor.write(now, id);
        }
        let next_in = self.floor.session(id).map_or(1, |session| session.next_in());
        for say in out.says.drain(..) {
            match self.application.say(now, desk, next_in) {
                Numbered::Now => self.floor.tell(now, desk, (say.kind, say.again), &say.body),
                Numbered::Later => self.floor.places[desk.0].waiting.push_back(say),
            }
        }
        if out.close.is_some() {
            self.floor.close_when_said(id, desk);
        }
    }

    /// A connection's outbox has room again.
    pub fn written(&mut self, now: Nanos, id: LinkId) {
        self.floor.write(now, id);
    }

    /// Tells what the application has to tell; says whether there was any.
    pub fn poll(&mut self, now: Nanos) -> Found {
        let found = self.application.poll(now, &mut self.floor);
        for (desk, next_in) in std::mem::take(&mut self.floor.ups) {
            self.established(now, desk, next_in);
        }
        self.application.flush(now);
        found
    }

    /// Time passed.
    pub fn tick(&mut self, now: Nanos) {
        self.each(now, |session, out| session.tick(now, out));
    }

    /// The exchange stops: every session is told so.
    pub fn stop(&mut self, now: Nanos) {
        self.each(now, |session, out| {
            session.leave(now, b"The exchange stops", out);
            out.close = Some(Closed);
        });
    }

    fn each(&mut self, now: Nanos, ask: impl Fn(&mut Session, &mut Output)) {
        for desk in (0..self.floor.places.len()).map(DeskId) {
            let Some(id) = self.floor.places[desk.0].link else {
                continue;
            };
            let mut out = Output::default();
            if let Some(session) = self.floor.session(id) {
                ask(session, &mut out);
            }
            self.act(now, (id, desk), out);
        }
        self.application.flush(now);
    }
}
