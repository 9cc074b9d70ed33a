//! Market data before a fake exchange.
#![allow(dead_code, reason = "each test file uses its part")]

use super::support::*;
use std::time::Duration;
use tokio::time::timeout;
use xq_client::market::{MarketConfig as Subscriber, MarketData, Update};
use xq_gateway::{MarketConfig, MarketDoor, MarketLimits, Transport, TrialAuthority, TrialKey};
use xq_protocol::*;

/// What is waited for comes within this time, or never.
pub const SOON: Duration = Duration::from_secs(30);

/// Market data before a fake exchange, with keys for participants 1 and 2.
pub struct House {
    pub fake: Fake,
    pub door: MarketDoor,
    pub authority: TrialAuthority,
    pub keys: [TrialKey; 2],
    _folder: tempfile::TempDir,
}

impl House {
    pub fn open(limits: MarketLimits) -> House {
        let folder = tempfile::tempdir().expect("a folder for the keys");
        let authority = TrialAuthority::create(folder.path()).expect("keys can be made");
        let server = authority
            .server("server", &["localhost"])
            .expect("keys can be made");
        let keys = ["alice", "bob"].map(|name| authority.client(name).expect("keys can be made"));
        let fake = Fake::opened();
        fake.participant(1, Role::Trader, &keys[0]);
        fake.participant(2, Role::Trader, &keys[1]);
        fake.series(SERIES, "COFFEE");
        let config = MarketConfig {
            listen: "127.0.0.1:0".parse().expect("an address"),
            cert: server.cert,
            key: server.key,
            client_ca: authority.cert(),
            limits,
            transport: Transport::default(),
        };
        let exchange = fake.clone();
        let door = MarketDoor::start(config, move || exchange.market_borders(limits)).expect("it starts");
        House {
            fake,
            door,
            authority,
            keys,
            _folder: folder,
        }
    }

    pub fn config(&self, key: &TrialKey) -> Subscriber {
        Subscriber {
            addr: self.door.address(),
            server_name: "localhost".to_owned(),
            ca: self.authority.cert(),
            cert: key.cert.clone(),
            key: key.key.clone(),
            mtu: None,
        }
    }

    pub async fn connect(&self, who: usize) -> MarketData {
        let config = self.config(&self.keys[who]);
        MarketData::connect(&config).await.expect("the key holds")
    }

    pub fn place(&self, id: u64, side: Side, price: u64) {
        self.fake
            .event(session_of(1), &accepted(&order(side, price), OrderId(id)));
    }
}

pub fn limits() -> MarketLimits {
    MarketLimits {
        conflation: Nanos(10_000_000),
        heartbeat: Nanos(20_000_000),
        ..MarketLimits::default()
    }
}

/// Hears until what is wanted comes.
pub async fn until(market: &mut MarketData, mut wanted: impl FnMut(&Update) -> bool) -> Update {
    let heard = async {
        loop {
            let update = market.next().await.expect("it stays connected");
            if wanted(&update) {
                return update;
            }
        }
    };
    timeout(SOON, heard).await.expect("it is heard soon")
}

/// Hears until the book is right.
pub async fn valid(market: &mut MarketData) {
    until(market, |update| *update == Update::Valid(SERIES)).await;
}
