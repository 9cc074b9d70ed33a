//! The sockets against who means no good: slow, half open, endless, too many.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use xq_fix::dictionary::Dictionary;
use xq_fix::door::{Application, Door, Found, Numbered, Up};
use xq_fix::floor::{DeskId, DeskSettings, Floor};
use xq_fix::session::{Reset, Say};
use xq_fix::transport::{Bell, Limits, Transport};
use xq_fix::wire::Message;
use xq_protocol::{Hash, Nanos};

/// Lets everyone in and answers nothing.
struct Mute;

impl Application for Mute {
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
        Numbered::Now
    }
    fn message(&mut self, _: Nanos, _: DeskId, _: &Message<'_>, _: &mut Vec<Say>) {}
    fn flush(&mut self, _: Nanos) {}
    fn poll(&mut self, _: Nanos, _: &mut Floor) -> Found {
        Found::Nothing
    }
}

struct Venue {
    address: SocketAddr,
    time: Arc<AtomicU64>,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

impl Venue {
    fn open(limits: Limits) -> Venue {
        let xml = "<fix><header/><trailer/><messages/><components/><fields/></fix>";
        let dictionary = Dictionary::parse(xml).expect("it is a dictionary");
        let desk = DeskSettings {
            comp_id: "SHOP".to_owned(),
            reset: Reset::Never,
        };
        let door = Door::new(Mute, dictionary, "XQ", (&[desk], 1_024));
        let time = Arc::new(AtomicU64::new(1_000_000_000));
        let clock = Arc::clone(&time);
        let now = Box::new(move || Nanos(clock.load(Ordering::Acquire)));
        let transport =
            Transport::listen(([127, 0, 0, 1], 0).into(), door, limits, now).expect("a free port");
        let (address, bell) = (transport.address().expect("it listens"), transport.bell());
        let thread = std::thread::spawn(move || transport.run().expect("the loop goes on"));
        Venue {
            address,
            time,
            bell,
            thread: Some(thread),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a socket");
        stream
    }

    /// Whether a connection is closed while time passes.
    fn closes(&self, stream: &mut TcpStream) -> bool {
        let soon = Some(Duration::from_millis(20));
        stream.set_read_timeout(soon).expect("a socket");
        (0..1_000).any(|_| {
            let read = stream.read(&mut [0; 64]);
            self.pass(1);
            let waits = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
            read.map_or_else(|error| !waits.contains(&error.kind()), |count| count == 0)
        })
    }

    /// Lets time pass.
    fn pass(&self, seconds: u64) {
        self.time.fetch_add(seconds * 1_000_000_000, Ordering::AcqRel);
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        self.pass(10);
        self.bell.stop();
        self.pass(10);
        if let Some(thread) = self.thread.take() {
            // The loop's last second is counted by the venue's clock.
            while !thread.is_finished() {
                self.pass(1);
                std::thread::yield_now();
            }
            thread.join().expect("the loop ended well");
        }
    }
}

const LIMITS: Limits = Limits {
    connections_max: 8_192,
    per_address_max: 8_192,
    logon_within: Nanos(5_000_000_000),
};

/// Whether the peer has closed; what came before is thrown away.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 1_024];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn who_never_ends_a_message_is_closed() {
    let venue = Venue::open(LIMITS);
    let mut stream = venue.connect();
    let piece = [b'x'; 1 << 16];
    stream.write_all(b"8=FIX.4.4\x019=9000\x01").expect("it is open");
    // A hundred megabytes without an end; the peer closes long before.
    let sent = (0..1_600)
        .take_while(|_| stream.write_all(&piece).is_ok())
        .count();
    assert!(sent < 1_600);
    assert!(is_closed(&mut stream));
}

#[test]
fn what_is_no_fix_is_passed_over_without_memory_of_it() {
    let venue = Venue::open(LIMITS);
    let mut stream = venue.connect();
    let piece = [b'x'; 1 << 16];
    for _ in 0..160 {
        stream.write_all(&piece).expect("it is read");
    }
    venue.pass(6);
    assert!(is_closed(&mut stream), "no Logon came");
}

#[test]
fn five_thousand_half_open_connections_are_closed_in_time() {
    let venue = Venue::open(LIMITS);
    let limit = 5_000;
    let mut streams: Vec<TcpStream> = (0..limit).map(|_| venue.connect()).collect();
    for stream in streams.iter_mut().step_by(2) {
        // One byte at a time is no Logon either.
        stream.write_all(b"8").expect("it is open");
    }
    // Another one still gets in, and out.
    let mut late = venue.connect();
    assert!(
        streams
            .iter_mut()
            .chain([&mut late])
            .all(|stream| venue.closes(stream))
    );
}

#[test]
fn one_address_has_only_so_many() {
    let venue = Venue::open(Limits {
        per_address_max: 3,
        ..LIMITS
    });
    let mut all: Vec<TcpStream> = (0..4).map(|_| venue.connect()).collect();
    assert!(is_closed(&mut all[3]), "the fourth of one address");
    drop(all);
}
