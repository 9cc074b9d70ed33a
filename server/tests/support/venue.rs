//! A venue in process: keys, a whole exchange, participants with money and a market; they speak in the text notation.

use super::raw::{Raw, endpoint, quic, tls};
use quinn::Endpoint;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use tempfile::TempDir;
use xq_gateway::{TrialAuthority, TrialKey};
use xq_protocol::text::{Names, parse_command, print_event};
use xq_protocol::{
    AccountId, CancelOrder, ClOrdId, Frame, OrderId, ParticipantId, Qty, RejectReason, ReqSeq, SessionId,
    SessionMessage,
};
use xq_server::config::Config;
use xq_server::{ClockLeap, Server};

/// Who takes part: name, number, role.
pub const GUESTS: [(&str, u32, &str); 6] = [
    ("operator", 1, "operator"),
    ("operator2", 2, "operator"),
    ("bank", 3, "bank"),
    ("acme", 4, "issuer"),
    ("alice", 10, "trader"),
    ("bob", 11, "trader"),
];

/// What is said to open a market of one series, in which acme has coupons, alice and bob have money.
const OPENING: &[&str] = &[
    "account acme",
    "account alice",
    "account bob",
    "deposit alice 1000000.00 CNY",
    "deposit bob 1000000.00 CNY",
    "draft COFFEE acme CNY face=30.00 redeem=30.00 tick=0.01 lot=1 cap=1000000 from=+0s to=+365d \
     terms=7465726d7365726d7365726d7365726d7365726d7365726d7365726d7365726d",
    "escrow COFFEE 30000.00",
    "register COFFEE",
    "issue-units COFFEE acme 1000",
    "phase venue continuous",
    "phase COFFEE continuous",
];

/// Small tables and segments: a start takes no time.
const SMALL: &str = "[market_data]\nlisten = \"127.0.0.1:0\"\n[journal]\ncommand_segment_mib = 1\nevent_segment_mib = 1\nprepared_segments = 1\n\
                     [rings]\ncommand_slots = 8192\nevent_slots = 1024\n\
                     [exchange]\naccounts_max = 64\norders_max = 4096\nbalances_max = 512\nsessions_max = 64\n\
                     level_pages_max = 256\nreopen_after_ms = 0\n";

/// Keys and configuration of a venue, which may not be running.
pub struct Site {
    pub folder: TempDir,
    pub authority: TrialAuthority,
    pub keys: BTreeMap<&'static str, TrialKey>,
}

impl Site {
    /// Keys for everyone.
    pub fn prepare() -> Site {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let authority = TrialAuthority::create(&folder.path().join("keys")).expect("keys are made");
        authority
            .server("server", &["localhost", "127.0.0.1"])
            .expect("keys are made");
        let key =
            |(name, ..): (&'static str, u32, &str)| (name, authority.client(name).expect("keys are made"));
        let keys = GUESTS.into_iter().map(key).collect();
        Site {
            folder,
            authority,
            keys,
        }
    }

    /// The configuration as text, with the journals in this folder.
    pub fn toml(&self, listen: SocketAddr) -> String {
        let keys = self.folder.path().join("keys");
        let (keys, data) = (keys.display(), self.journals());
        let mut text = SMALL.replace("[journal]\n", &format!("[journal]\nfolder = {data:?}\n"));
        text += &format!(
            "[server]\nlisten = \"{listen}\"\ncertificate = \"{keys}/server.pem\"\nkey = \"{keys}/server.key\"\n\
             authority = \"{keys}/ca.pem\"\n"
        );
        for (name, number, role) in GUESTS {
            text += &format!(
                "[[participants]]\nnumber = {number}\nrole = \"{role}\"\ncertificates = [\"{keys}/{name}.pem\"]\n"
            );
        }
        text
    }

    /// The folder of the journals.
    pub fn journals(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The configuration.
    pub fn config(&self) -> Config {
        Config::from_text(&self.toml("127.0.0.1:0".parse().expect("an address"))).expect("it is right")
    }
}

/// A running venue.
pub struct Venue {
    pub site: Site,
    pub server: Server,
}

impl Venue {
    /// Starts one with a new journal.
    pub fn start() -> Venue {
        let site = Site::prepare();
        let server =
            Server::start(&site.config(), ClockLeap::Refuse, &mut |_, _| {}).expect("the exchange starts");
        Venue { site, server }
    }

    /// A desk with nobody at it yet.
    pub fn desk(&self) -> Desk<'_> {
        Desk::at(&self.site, self.server.address())
    }
}

/// A cancel of nothing, as any trader may send it.
pub const CANCEL: CancelOrder = CancelOrder {
    account: AccountId(1),
    reduce_qty: Qty(0),
    order: OrderId(1),
    cl_ord_id: ClOrdId::ZERO,
};

/// Where participants speak, each over a connection of its own.
pub struct Desk<'a> {
    site: &'a Site,
    address: SocketAddr,
    pub endpoint: Endpoint,
    names: Names,
    speakers: BTreeMap<SessionId, (Raw, u64)>,
}

/// The participant who has this name.
pub fn number_of(name: &str) -> ParticipantId {
    let guest = GUESTS.iter().find(|guest| guest.0 == name);
    ParticipantId(guest.expect("one of the guests").1)
}

impl<'a> Desk<'a> {
    /// A desk of the exchange that listens there.
    pub fn at(site: &'a Site, address: SocketAddr) -> Desk<'a> {
        let mut names = Names::new();
        for (name, number, _) in GUESTS {
            names.name_participant(name, ParticipantId(number));
        }
        Desk {
            site,
            address,
            endpoint: endpoint(),
            names,
            speakers: BTreeMap::new(),
        }
    }

    /// A desk that knows what another has learned.
    pub fn knowing(site: &'a Site, address: SocketAddr, names: Names) -> Desk<'a> {
        Desk {
            names,
            ..Desk::at(site, address)
        }
    }

    /// The names of accounts, series and orders, as far as it was told of them.
    pub fn into_names(self) -> Names {
        self.names
    }

    /// A connection with a participant's certificate; nothing is said yet.
    ///
    /// # Errors
    /// What the handshake ended with.
    pub async fn connect(&self, name: &str) -> Result<Raw, quinn::ConnectionError> {
        let config = quic(tls(&self.site.authority.cert(), &self.site.keys[name]));
        Raw::connect(&self.endpoint, self.address, config).await
    }

    /// A session of a participant, and its next request number.
    pub async fn session(&self, name: &str, slot: u32) -> (Raw, u64) {
        let session = SessionId::of(number_of(name), slot).expect("few participants");
        let mut raw = self.connect(name).await.expect("the handshake succeeds");
        let ack = raw.establish(session).await.expect("the session comes up");
        (raw, ack.next_req_seq.0)
    }

    /// Says a line as whoever says such lines; what it brought about, line by line.
    pub async fn say(&mut self, line: &str) -> Vec<String> {
        let parsed = parse_command(line, &mut self.names).unwrap_or_else(|error| panic!("`{line}`: {error}"));
        let session = parsed.speaker.expect("the names tell who speaks");
        if !self.speakers.contains_key(&session) {
            let is_guest = |guest: &&(&str, u32, &str)| guest.1 == session.participant().0;
            let name = GUESTS.iter().find(is_guest).expect("one of the guests").0;
            let up = self.session(name, session.0 & 15).await;
            self.speakers.insert(session, up);
        }
        let (raw, next) = self.speakers.get_mut(&session).expect("up since just now");
        let (mut frame, number) = (parsed.frame, *next);
        *next += 1;
        frame.header_mut().req_seq = ReqSeq(number);
        raw.say(frame.bytes()).await;
        let answer = raw.answer(number).await;
        let own = answer.iter().map(|frame| frame.frame().expect("a frame"));
        let own: Vec<Frame<'_>> = own
            .filter(|frame| frame.header.req_seq == ReqSeq(number) || is_refusal(frame))
            .collect();
        own.iter()
            .flat_map(|frame| told(frame, &mut self.names))
            .collect()
    }

    /// Says lines of which none may be refused.
    pub async fn say_all(&mut self, lines: &[&str]) {
        for line in lines {
            let told = self.say(line).await;
            let refused = told
                .iter()
                .any(|line| line.starts_with("rejected") || line.starts_with("at the door"));
            assert!(!refused, "`{line}`: {told:?}");
        }
    }

    /// Opens the market.
    pub async fn open_market(&mut self) {
        self.say_all(OPENING).await;
    }

    /// One trade between those who were not disturbed: the exchange goes on.
    pub async fn assert_goes_on(&mut self) {
        let sold = self.say("sell acme 1 COFFEE @ 20.00 as s").await;
        assert!(sold[0].starts_with("accepted"), "{sold:?}");
        let bought = self.say("buy bob 1 COFFEE @ 20.00 as b").await;
        assert!(
            bought.iter().any(|line| line.starts_with("executed b 1 @ 20.00")),
            "{bought:?}"
        );
    }
}

fn is_refusal(frame: &Frame<'_>) -> bool {
    matches!(frame.session_message(), Ok(SessionMessage::DoorRejected(_)))
}

fn told(frame: &Frame<'_>, names: &mut Names) -> Vec<String> {
    if let Ok(SessionMessage::DoorRejected(refused)) = frame.session_message() {
        let reason = RejectReason::from_code(refused.code).expect("a code of the list");
        return vec![format!("at the door {reason}")];
    }
    let lines = print_event(frame, names).lines().map(str::to_owned).collect();
    names.learn(frame);
    lines
}
