//! The exchange under load: keys, configuration, the process, and a market with one large order to be bought from.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use xq_client::{Client, ClientError, Config, Report};
use xq_gateway::TrialAuthority;
use xq_protocol::*;

const GUESTS: [(&str, u32, &str); 5] = [
    ("operator", 1, "operator"),
    ("bank", 3, "bank"),
    ("acme", 4, "issuer"),
    ("maker", 10, "trader"),
    ("taker", 11, "trader"),
];
const OPERATOR: usize = 0;
const BANK: usize = 1;
const ISSUER: usize = 2;
const MAKER: usize = 3;
const TAKER: usize = 4;

const SERIES: SeriesId = SeriesId(1);
const CNY: Currency = Currency(156);
const UNITS: Qty = Qty(1 << 30);
const PRICE: Price = Price(2_000);
const TODAY: Date = Date(20_260_102);
/// How long a start may take.
const SOON: Duration = Duration::from_secs(60);

/// A running exchange with an open market; dropped, its process is killed.
pub struct Venue {
    folder: TempDir,
    address: SocketAddr,
    child: Child,
}

/// The flow's order under this number: one coupon at the price that rests.
pub fn order(number: u64) -> PlaceOrder {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number + 1).to_le_bytes());
    limit_order(TAKER, (Side::Buy, Qty(1)), ClOrdId(id))
}

fn limit_order(guest: usize, (side, qty): (Side, Qty), cl_ord_id: ClOrdId) -> PlaceOrder {
    PlaceOrder {
        account: AccountId(GUESTS[guest].1),
        series: SERIES,
        qty,
        side,
        order_type: OrderType::Limit,
        tif: TimeInForce::Gtc,
        execution: Execution::Any,
        limit: PRICE,
        expire_at: Nanos::ZERO,
        cl_ord_id,
        on_disconnect: OnDisconnect::Persist,
        reserved: Reserved::ZERO,
    }
}

impl Venue {
    /// Makes keys, starts the exchange and opens the market.
    pub async fn open(binary: &Path) -> Venue {
        // Beside the working folder: temporary folders may lie in memory.
        let folder = tempfile::tempdir_in(".").expect("a folder on a real disk");
        let keys = folder.path().join("keys");
        let authority = TrialAuthority::create(&keys).expect("keys are made");
        authority
            .server("server", &["localhost", "127.0.0.1"])
            .expect("keys are made");
        for (name, ..) in GUESTS {
            authority.client(name).expect("keys are made");
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        drop(socket);
        std::fs::write(folder.path().join("xq.toml"), configuration(address)).expect("a file is written");
        let child = Command::new(binary)
            .args(["serve", "--config", "xq.toml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("`xq` was built: cargo build --release -p xq-server");
        let venue = Venue {
            folder,
            address,
            child,
        };
        venue.open_market().await;
        venue
    }

    /// The process' number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the one who trades connects with.
    pub fn taker(&self, mtu: Option<u16>) -> Config {
        Config {
            mtu,
            ..self.config(TAKER)
        }
    }

    /// Asks the process to stop, and waits until it has.
    pub fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "a clean stop: {status}");
    }

    fn config(&self, guest: usize) -> Config {
        let (keys, (name, number, _)) = (self.folder.path().join("keys"), GUESTS[guest]);
        Config {
            addr: self.address,
            server_name: "localhost".to_owned(),
            ca: keys.join("ca.pem"),
            cert: keys.join(format!("{name}.pem")),
            key: keys.join(format!("{name}.key")),
            session: SessionId::of(ParticipantId(number), 0).expect("small numbers"),
            resume: None,
            mtu: None,
        }
    }

    /// Connects as soon as the exchange listens.
    async fn connect(&self, guest: usize) -> Client {
        let by = Instant::now() + SOON;
        loop {
            match Client::connect(self.config(guest)).await {
                Ok(client) => return client,
                Err(error) => assert!(may_come(&error) && Instant::now() < by, "{error}"),
            }
        }
    }

    async fn open_market(&self) {
        let mut operator = self.connect(OPERATOR).await;
        let mut bank = self.connect(BANK).await;
        for guest in [MAKER, TAKER] {
            let account = AccountId(GUESTS[guest].1);
            let owner = ParticipantId(GUESTS[guest].1);
            let (operated_by, schedule, reserved) = (ParticipantId::ZERO, ScheduleId::ZERO, Reserved::ZERO);
            let open = OpenAccount {
                account,
                owner,
                operated_by,
                schedule,
                reserved,
            };
            tell(&mut operator, &open).await;
            let credit = CreditCash {
                account,
                currency: CNY,
                reserved: Reserved::ZERO,
                amount: Amount(1 << 50),
                bank_ref: reference(&format!("C{owner}")),
                value_date: TODAY,
                reserved2: Reserved::ZERO,
            };
            tell(&mut bank, &credit).await;
        }
        tell(&mut operator, &draft()).await;
        let escrow = PostEscrow {
            series: SERIES,
            reserved: Reserved::ZERO,
            amount: Amount(u64::from(UNITS.0)),
            bank_ref: reference("E1"),
            value_date: TODAY,
            reserved2: Reserved::ZERO,
        };
        tell(&mut bank, &escrow).await;
        let reserved = Reserved::ZERO;
        tell(
            &mut operator,
            &RegisterSeries {
                series: SERIES,
                reserved,
            },
        )
        .await;
        let (account, reserved) = (AccountId(GUESTS[MAKER].1), Reserved::ZERO);
        tell(
            &mut operator,
            &IssueUnits {
                series: SERIES,
                account,
                qty: UNITS,
                reserved,
            },
        )
        .await;
        for series in [SeriesId::ZERO, SERIES] {
            let (phase, reserved) = (Phase::Continuous, Reserved::ZERO);
            tell(
                &mut operator,
                &SetPhase {
                    series,
                    phase,
                    reserved,
                },
            )
            .await;
        }
        let mut maker = self.connect(MAKER).await;
        let id = ClOrdId::from_text("m1").expect("short");
        tell(&mut maker, &limit_order(MAKER, (Side::Sell, UNITS), id)).await;
        for client in [operator, bank, maker] {
            client.close().await;
        }
    }
}

impl Drop for Venue {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether it may only be that the exchange does not listen yet.
fn may_come(error: &ClientError) -> bool {
    error.is_passing()
}

fn configuration(address: SocketAddr) -> String {
    let mut text = format!(
        "[server]\nlisten = \"{address}\"\n[journal]\ncommand_segment_mib = 128\nevent_segment_mib = 128\n\
         [sessions]\nthrottle_rate = 100000000\nthrottle_burst = 100000000\n[log]\nlevel = \"warn\"\n"
    );
    for (name, number, role) in GUESTS {
        text += &format!(
            "[[participants]]\nnumber = {number}\nrole = \"{role}\"\ncertificates = [\"keys/{name}.pem\"]\n"
        );
    }
    text
}

fn draft() -> DraftSeries {
    DraftSeries {
        series: SERIES,
        issuer: ParticipantId(GUESTS[ISSUER].1),
        symbol: Symbol::from_text("COFFEE").expect("short"),
        currency: CNY,
        reserved: Reserved::ZERO,
        lot: Qty(1),
        tick: Price(1),
        face: Price(100_000),
        redeem_value: Price(1),
        issue_cap: Amount(u64::from(UNITS.0)),
        valid_from: Nanos(1),
        valid_to: Nanos(u64::MAX / 2),
        terms_hash: Hash([1; 32]),
    }
}

fn reference(text: &str) -> BankRef {
    BankRef::from_text(text).expect("short")
}

/// Sends a command and waits for its answer, which must be no refusal.
async fn tell<M: Message>(client: &mut Client, command: &M) {
    let number = client.send(command).await.expect("the session is up");
    loop {
        let report = client.next_event().await.expect("the session is up");
        match &report {
            Report::Event { frame, .. } if frame.header().req_seq == number => {
                let rejected = matches!(report.event(), Some(Event::Rejected(_)));
                assert!(!rejected, "{}: {:?}", M::NAME, report.event());
                if frame.header().is_last() {
                    return;
                }
            }
            Report::Event { .. } | Report::Missed { .. } | Report::Up(_) => {}
            Report::Refused(refused) => panic!("{} was refused at the door: {refused:?}", M::NAME),
            Report::Down(error) => panic!("{}: {error}", M::NAME),
        }
    }
}
