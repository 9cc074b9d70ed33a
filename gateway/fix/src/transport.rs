//! Sockets: one poll loop on a thread of its own, many connections, every buffer bounded.
//!
//! A connection that does not log on in time is closed, and one address has only so many. Reading is edge-triggered:
//! a socket is read until it has no more or its turn is over; those with more left come again in the next turn.

use crate::door::{Application, Door, Found};
use crate::floor::LinkId;
use crate::wire::MESSAGE_MAX;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use xq_protocol::Nanos;

const LISTENER: Token = Token(0);
const BELL: Token = Token(1);
/// Tokens of connections come after these two.
const TOKENS_BEFORE: u64 = 2;
/// How often time passes for the sessions.
const TICK: Duration = Duration::from_millis(50);
/// Bytes read from a connection in one turn.
const TURN_BYTES: usize = 64 << 10;
/// Connections accepted in one turn.
const ACCEPTS: usize = 64;

/// Limits of the transport.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once of one address.
    pub per_address_max: usize,
    /// Time from a connection's start until its Logon.
    pub logon_within: Nanos,
}

/// Wakes the loop; its clones are one.
#[derive(Clone)]
pub struct Bell {
    inner: Arc<(Waker, AtomicBool, AtomicBool)>,
}

impl Bell {
    fn new(poll: &Poll) -> std::io::Result<Bell> {
        let waker = Waker::new(poll.registry(), BELL)?;
        Ok(Bell {
            inner: Arc::new((waker, AtomicBool::new(false), AtomicBool::new(false))),
        })
    }
    /// There is news.
    pub fn ring(&self) {
        // Rung already and not yet heard: once is enough, and waking costs a call into the kernel.
        if !self.inner.1.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }
    /// The loop is to end.
    pub fn stop(&self) {
        self.inner.2.store(true, Ordering::Release);
        self.wake();
    }
    fn wake(&self) {
        // It fails only when the loop is gone.
        let _ = self.inner.0.wake();
    }
    fn heard(&self) {
        self.inner.1.store(false, Ordering::Release);
    }
    fn is_stopped(&self) -> bool {
        self.inner.2.load(Ordering::Acquire)
    }
}

struct Connection {
    stream: TcpStream,
    from: IpAddr,
    opened: Nanos,
    inbound: Vec<u8>,
    /// The socket may have more to read.
    readable: bool,
    /// The socket takes no more at the moment.
    full: bool,
}

/// The loop.
pub struct Transport<A> {
    door: Door<A>,
    poll: Poll,
    bell: Bell,
    listener: TcpListener,
    connections: BTreeMap<LinkId, Connection>,
    from: HashMap<IpAddr, usize>,
    /// Connections that may have more to read, or whose bytes were left.
    unread: BTreeSet<LinkId>,
    limits: Limits,
    clock: Box<dyn Fn() -> Nanos + Send>,
    scratch: Vec<u8>,
}

impl<A: Application> Transport<A> {
    /// Listens at an address.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn listen(
        address: SocketAddr,
        door: Door<A>,
        limits: Limits,
        clock: Box<dyn Fn() -> Nanos + Send>,
    ) -> std::io::Result<Transport<A>> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let bell = Bell::new(&poll)?;
        Ok(Transport {
            door,
            poll,
            bell,
            listener,
            connections: BTreeMap::new(),
            from: HashMap::new(),
            unread: BTreeSet::new(),
            limits,
            clock,
            scratch: vec![0; TURN_BYTES + MESSAGE_MAX],
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What wakes and stops it.
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// What the system refuses of the loop itself; a connection's own errors end that connection.
    pub fn run(mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1_024);
        let mut ticked = (self.clock)();
        // Nobody may come in before all that was told is known again.
        while self.door.poll(ticked) == Found::Some {}
        let mut more = Found::Nothing;
        while !self.bell.is_stopped() {
            let idle = more == Found::Nothing && self.unread.is_empty();
            let wait = if idle { TICK } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
            self.bell.heard();
            for event in &events {
                self.ready(event);
            }
            let now = (self.clock)();
            self.read_all(now);
            more = self.door.poll(now);
            if now.0.saturating_sub(ticked.0) >= u64::try_from(TICK.as_nanos()).unwrap_or(0) {
                ticked = now;
                self.tick(now);
            }
            self.write_touched(now);
        }
        self.end()
    }

    fn ready(&mut self, event: &mio::event::Event) {
        match event.token() {
            LISTENER => self.accept(),
            BELL => {}
            Token(number) => {
                let number = u64::try_from(number).expect("tokens are connections' numbers");
                let id = LinkId(number - TOKENS_BEFORE);
                let Some(connection) = self.connections.get_mut(&id) else {
                    return;
                };
                if event.is_readable() || event.is_read_closed() {
                    connection.readable = true;
                    self.unread.insert(id);
                }
                if event.is_writable() {
                    connection.full = false;
                    let now = (self.clock)();
                    self.write(now, id);
                }
            }
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            match self.listener.accept() {
                Ok((stream, address)) => self.welcome(stream, address.ip()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // One connection that failed says nothing about the next.
                Err(error) => tracing::debug!(%error, "a FIX connection was not accepted"),
            }
        }
        // There may be more, and the poll will not say so again: ring for another turn.
        let _ = self
            .poll
            .registry()
            .reregister(&mut self.listener, LISTENER, Interest::READABLE);
    }

    fn welcome(&mut self, mut stream: TcpStream, from: IpAddr) {
        let of_address = self.from.get(&from).copied().unwrap_or(0);
        if self.connections.len() >= self.limits.connections_max || of_address >= self.limits.per_address_max
        {
            return;
        }
        let id = self.door.open(None);
        let token = usize::try_from(id.0 + TOKENS_BEFORE).expect("connections are counted");
        let both = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, Token(token), both);
        if registered.and_then(|()| stream.set_nodelay(true)).is_err() {
            return self.door.closed((self.clock)(), id);
        }
        *self.from.entry(from).or_default() += 1;
        let opened = (self.clock)();
        let connection = Connection {
            stream,
            from,
            opened,
            inbound: Vec::new(),
            readable: true,
            full: false,
        };
        self.connections.insert(id, connection);
        self.unread.insert(id);
    }

    fn read_all(&mut self, now: Nanos) {
        for id in std::mem::take(&mut self.unread) {
            if let Some(Left::Some) = self.read(now, id) {
                self.unread.insert(id);
            }
        }
    }

    /// Reads one connection; none when it is gone.
    fn read(&mut self, now: Nanos, id: LinkId) -> Option<Left> {
        let connection = self.connections.get_mut(&id)?;
        // What was left of the last turn comes first; one buffer serves all connections, so that an idle one has none.
        let before = connection.inbound.len();
        self.scratch[..before].copy_from_slice(&connection.inbound);
        let (count, ended) = connection.fill(&mut self.scratch[before..]);
        let bytes = &self.scratch[..before + count];
        let done = self.door.received(now, id, bytes);
        connection.keep(&bytes[done..]);
        if ended == Ended::Yes {
            self.drop_connection(id);
            return None;
        }
        let moved = count > 0 || done > 0;
        Some(if connection.readable && moved {
            Left::Some
        } else {
            Left::Nothing
        })
    }

    fn write_touched(&mut self, now: Nanos) {
        for id in self.door.touched() {
            self.write(now, id);
            // What was left unread while its session came up can be read now.
            if self
                .connections
                .get(&id)
                .is_some_and(|connection| !connection.inbound.is_empty())
            {
                self.unread.insert(id);
            }
        }
    }

    /// Writes what a connection's outbox has, as far as the socket takes it.
    fn write(&mut self, now: Nanos, id: LinkId) {
        while let Some(connection) = self
            .connections
            .get_mut(&id)
            .filter(|connection| !connection.full)
            && let Some(outbox) = self.door.outbox(id)
        {
            let closing = outbox.closing.is_some();
            if outbox.bytes.is_empty() {
                if closing {
                    self.drop_connection(id);
                }
                return;
            }
            match connection.stream.write(&outbox.bytes) {
                Ok(count) => {
                    outbox.bytes.drain(..count);
                    if outbox.bytes.is_empty() && !closing {
                        self.door.written(now, id);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.full = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.drop_connection(id),
            }
        }
    }

    fn drop_connection(&mut self, id: LinkId) {
        let Some(mut connection) = self.connections.remove(&id) else {
            return;
        };
        // It was registered, and is closed right after: failing changes nothing.
        let _ = self.poll.registry().deregister(&mut connection.stream);
        if let Some(count) = self.from.get_mut(&connection.from) {
            *count -= 1;
            if *count == 0 {
                self.from.remove(&connection.from);
            }
        }
        self.unread.remove(&id);
        self.door.closed((self.clock)(), id);
    }

    fn tick(&mut self, now: Nanos) {
        self.door.tick(now);
        // What was left because the application took no more may be taken now.
        let left = self
            .connections
            .iter()
            .filter(|(_, connection)| !connection.inbound.is_empty());
        self.unread.extend(left.map(|(id, _)| *id));
        let limit = self.limits.logon_within.0;
        let door = &self.door;
        let late: Vec<LinkId> = self
            .connections
            .iter()
            .filter(|(id, connection)| {
                now.0.saturating_sub(connection.opened.0) >= limit && !door.has_logged_on(**id)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.drop_connection(id);
        }
    }

    /// Tells every session that the exchange stops, gives each a moment to be told, and ends.
    fn end(mut self) -> std::io::Result<()> {
        let asked = (self.clock)();
        self.door.stop(asked);
        let mut events = Events::with_capacity(1_024);
        let until = asked.0 + 1_000_000_000;
        while !self.connections.is_empty() && (self.clock)().0 < until {
            let now = (self.clock)();
            self.door.poll(now);
            self.write_touched(now);
            self.poll.poll(&mut events, Some(Duration::from_millis(5)))?;
            for event in &events {
                if event.token() != LISTENER {
                    self.ready(event);
                }
            }
        }
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.drop_connection(id);
        }
        Ok(())
    }
}

/// Whether bytes are left to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Some,
}

/// Whether a connection has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    No,
    Yes,
}

impl Connection {
    /// Reads what is there, as much as there is room for.
    fn fill(&mut self, room: &mut [u8]) -> (usize, Ended) {
        let mut at = 0;
        while at < room.len() && self.readable {
            match self.stream.read(&mut room[at..]) {
                Ok(0) => return (at, Ended::Yes),
                Ok(count) => at += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return (at, Ended::Yes),
            }
        }
        (at, Ended::No)
    }

    /// Keeps what was not read on.
    fn keep(&mut self, bytes: &[u8]) {
        self.inbound.clear();
        self.inbound.extend_from_slice(bytes);
        if bytes.is_empty() {
            self.inbound.shrink_to(0);
        }
    }
}
