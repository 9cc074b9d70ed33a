//! The configuration: a TOML file over documented defaults; what is wrong is named by its key.

mod check;
mod overlay;
mod print;

use crate::exit::Failure;
use crate::wait::Layout;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use xq_protocol::Role;

/// The defaults, with what every key means; the one place where they stand.
pub const DEFAULTS: &str = include_str!("default.toml");

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The door.
    pub server: Server,
    /// The journals.
    pub journal: Journal,
    /// The follower.
    pub follower: Follower,
    /// What is kept of the journals and of snapshots.
    pub retention: Retention,
    /// The rings.
    pub rings: Rings,
    /// Threads and cores.
    pub threads: Threads,
    /// What stands in the journal's first record.
    pub exchange: Exchange,
    /// What a session may do.
    pub sessions: Sessions,
    /// Market data.
    pub market_data: MarketData,
    /// The log.
    pub log: Log,
    /// The operations page.
    pub metrics: Metrics,
    /// Participants registered by the house.
    #[serde(default)]
    pub participants: Vec<Participant>,
}

/// The door and its keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address of the QUIC door.
    pub listen: String,
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Authorities of participants' certificates, PEM.
    pub authority: PathBuf,
}

/// Sizes and folder of the journals.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Folder of both.
    pub folder: PathBuf,
    /// MiB of a command segment.
    pub command_segment_mib: u64,
    /// MiB of an event segment.
    pub event_segment_mib: u64,
    /// Bytes that batches are padded to.
    pub block_bytes: usize,
    /// KiB of commands in one batch.
    pub batch_kib: usize,
    /// Segments made ready ahead.
    pub prepared_segments: usize,
    /// How often events are synced.
    pub event_sync_interval_ms: u64,
}

/// The follower and its snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Follower {
    /// Whether there is one.
    pub enabled: bool,
    /// A snapshot after so many commands.
    pub snapshot_every_commands: u64,
    /// A snapshot after so long.
    pub snapshot_every_s: u64,
}

/// What is kept of the journals and of snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Where segments go; empty: they stay.
    pub archive: PathBuf,
    /// How old they become before.
    pub keep_hours: u64,
    /// How much they take before; 0 for no bound.
    pub sealed_gib_max: u64,
    /// Snapshots that stay.
    pub snapshots: usize,
    /// How old others become.
    pub keep_snapshots_hours: u64,
}

/// Sizes of the rings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rings {
    /// Slots of the command ring.
    pub command_slots: usize,
    /// Slots of the event ring.
    pub event_slots: usize,
}

/// How threads use cores.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threads {
    /// `pinned`, `shared` or `auto`.
    pub layout: String,
    /// Cores of matcher, journaler and publisher.
    pub cores: Vec<usize>,
    /// Real-time priority of the journaler where threads share cores; 0: none.
    pub real_time_priority: u8,
    /// How often time passes.
    pub tick_interval_ms: u64,
}

/// What the journal's first record says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// ISO 4217 codes.
    pub currencies: Vec<String>,
    /// Participants that can be registered.
    pub participants_max: u32,
    /// Accounts that can be opened.
    pub accounts_max: u32,
    /// Series that can be drafted.
    pub series_max: u32,
    /// Balances that can exist.
    pub balances_max: u32,
    /// Orders that can rest.
    pub orders_max: u32,
    /// Sessions that can exist.
    pub sessions_max: u32,
    /// Pages of price levels.
    pub level_pages_max: u32,
    /// Proposals that can wait.
    pub proposals_max: u32,
    /// Bank references remembered.
    pub bank_refs_max: u32,
    /// How long a proposal can be approved.
    pub proposal_ttl_s: u64,
    /// When markets reopen after a restart.
    pub reopen_after_ms: u64,
    /// How long orders outlive their session.
    pub disconnect_grace_ms: u64,
}

/// What a session may do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Requests a second.
    pub throttle_rate: u32,
    /// Requests at once.
    pub throttle_burst: u32,
    /// Drop copies at once.
    pub drop_copies_max: usize,
}

/// Market data.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketData {
    /// Address of market data; empty for none.
    pub listen: String,
    /// Subscribers at once.
    pub subscribers_max: usize,
    /// Channels.
    pub channels: u16,
    /// Messages of each channel that can be told again.
    pub kept_messages: u64,
    /// Orders of a snapshot.
    pub snapshot_orders_max: usize,
    /// How often changed levels are told.
    pub conflation_ms: u64,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// What is logged.
    pub level: String,
}

/// The operations page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Address of the page; empty for none.
    pub listen: String,
}

/// A participant whom the house registers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Participant {
    /// Its number.
    pub number: u32,
    /// Its role, as in the protocol's notation.
    pub role: String,
    /// Its certificates, PEM.
    #[serde(default)]
    pub certificates: Vec<PathBuf>,
}

impl Participant {
    /// The role; the check has found it.
    pub fn role(&self) -> Role {
        Role::from_text(&self.role).expect("a checked configuration holds known roles")
    }
}

impl Config {
    /// The defaults and nothing else.
    pub fn defaults() -> Config {
        Config::from_text("").expect("the defaults are a whole configuration")
    }

    /// A file over the defaults.
    ///
    /// # Errors
    /// [`Failure::Configuration`], naming the file, the key, its value and what is allowed.
    pub fn from_file(path: &Path) -> Result<Config, Failure> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::Configuration(format!("{}: {e}", path.display())))?;
        Config::from_text(&text).map_err(|failure| match failure {
            Failure::Configuration(what) => Failure::Configuration(format!("{}: {what}", path.display())),
            other => other,
        })
    }

    /// What a file says over the defaults; the defaults alone without one.
    ///
    /// # Errors
    /// As [`Config::from_file`].
    pub fn of_file(path: Option<&Path>) -> Result<Config, Failure> {
        path.map_or_else(|| Ok(Config::defaults()), Config::from_file)
    }

    /// A text over the defaults.
    ///
    /// # Errors
    /// As [`Config::from_file`].
    pub fn from_text(text: &str) -> Result<Config, Failure> {
        let wrong = |what: String| Failure::Configuration(what);
        let given: toml::Table = text.parse().map_err(|e| wrong(format!("no TOML: {e}")))?;
        let mut whole: toml::Table = DEFAULTS.parse().expect("the defaults are TOML");
        overlay::overlay(&mut whole, given, "").map_err(wrong)?;
        let config: Config = whole.try_into().map_err(|e| wrong(e.to_string()))?;
        check::check(&config).map_err(wrong)?;
        Ok(config)
    }

    /// The annotated text with these values in place of the defaults.
    pub fn annotated(text: &str) -> Result<String, Failure> {
        Config::from_text(text)?;
        let given: toml::Table = text.parse().expect("it was parsed just now");
        Ok(print::annotated(&given))
    }

    /// The address of the door.
    pub fn listen(&self) -> SocketAddr {
        self.server.listen.parse().expect("the check has parsed it")
    }

    /// The address of the operations page, if there is to be one.
    pub fn page(&self) -> Option<SocketAddr> {
        let listen = &self.metrics.listen;
        (!listen.is_empty()).then(|| listen.parse().expect("the check has parsed it"))
    }

    /// The address of market data, if there is to be any.
    pub fn market_data(&self) -> Option<SocketAddr> {
        let listen = &self.market_data.listen;
        (!listen.is_empty()).then(|| listen.parse().expect("the check has parsed it"))
    }

    /// The layout, chosen by the number of cores where it is left open.
    pub fn layout(&self) -> Layout {
        match self.threads.layout.as_str() {
            "pinned" => Layout::Pinned,
            "shared" => Layout::Shared,
            _ => Layout::for_cores(std::thread::available_parallelism().map_or(1, usize::from)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Config::from_text(text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn the_defaults_are_whole_and_within_their_bounds() {
        let config = Config::defaults();
        assert_eq!(config.rings.command_slots, 16_384);
        assert!(config.participants.is_empty());
    }

    #[test]
    fn a_session_is_throttled_as_the_gateway_means_it() {
        let (sessions, limits) = (Config::defaults().sessions, xq_gateway::Limits::default());
        assert_eq!(
            (
                sessions.throttle_rate,
                sessions.throttle_burst,
                sessions.drop_copies_max
            ),
            (
                limits.throttle_rate.0,
                limits.throttle_burst.0,
                limits.drop_copies_max
            )
        );
    }

    #[test]
    fn a_file_changes_what_it_names_and_nothing_else() {
        let config = Config::from_text("[rings]\nevent_slots = 2048\n").expect("it is right");
        assert_eq!(config.rings.event_slots, 2_048);
        assert_eq!(config.rings.command_slots, Config::defaults().rings.command_slots);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("[ring]\nx = 1", "unknown key `ring`"),
            ("[rings]\ncomand_slots = 1", "unknown key `rings.comand_slots`"),
            (
                "[rings]\ncommand_slots = \"x\"",
                "`rings.command_slots` = \"x\": a whole number is wanted",
            ),
            (
                "[rings]\ncommand_slots = 5000",
                "`rings.command_slots` = 5000: a power of two from 8192 to 1048576",
            ),
            ("[rings]\ncommand_slots = -1", "`rings.command_slots` = -1"),
            ("[journal]\nblock_bytes = 513", "`journal.block_bytes` = 513"),
            (
                "[threads]\nlayout = \"fast\"",
                "`threads.layout` = \"fast\": auto, pinned or shared",
            ),
            ("[threads]\ncores = [1, 1, 2]", "`threads.cores`"),
            (
                "[exchange]\ncurrencies = [\"XXX\"]",
                "`exchange.currencies` = \"XXX\"",
            ),
            (
                "[exchange]\nsessions_max = 0",
                "`exchange.sessions_max` = 0: 1 to 65536",
            ),
            ("[server]\nlisten = \"here\"", "`server.listen` = \"here\""),
            (
                "[retention]\nsnapshots = 1",
                "`retention.snapshots` = 1: 2 to 1000",
            ),
            (
                "[retention]\nkeep_hours = 1000000",
                "`retention.keep_hours` = 1000000: 0 to 876000",
            ),
            (
                "[retention]\nsealed_gib_max = 5",
                "`retention.sealed_gib_max` = 5: 0, as long as `retention.archive` is empty,",
            ),
            (
                "[retention]\narchive = \"./data/\"",
                "`retention.archive` = \"./data/\": another folder than `journal.folder`",
            ),
            (
                "[retention]\narchive = \"old\"\n[follower]\nenabled = false",
                "`retention.archive` = \"old\": nothing, or a follower (`follower.enabled`),",
            ),
            (
                "[market_data]\nlisten = \"4701\"",
                "`market_data.listen` = \"4701\"",
            ),
            (
                "[market_data]\nchannels = 65",
                "`market_data.channels` = 65: 1 to 64",
            ),
            (
                "[market_data]\nsubscribers_max = 0",
                "`market_data.subscribers_max` = 0: 1 to 4096",
            ),
            ("[log]\nlevel = \"loud\"", "`log.level` = \"loud\""),
            ("[metrics]\nlisten = \"9470\"", "`metrics.listen` = \"9470\""),
            ("[metrics]\nlisten = \"0.0.0.0:9470\"", "on loopback"),
            (
                "[[participants]]\nnumber = 1\nrole = \"king\"",
                "`participants[0].role` = \"king\"",
            ),
            (
                "[[participants]]\nnumber = 1\nrole = \"bank\"\nname = \"x\"",
                "name",
            ),
            (
                "[[participants]]\nnumber = 0\nrole = \"bank\"",
                "`participants[0].number` = 0",
            ),
            (
                "[[participants]]\nnumber = 1\nrole = \"bank\"\n[[participants]]\nnumber = 1\nrole = \"bank\"",
                "`participants[1].number` = 1",
            ),
            ("rings = 5", "`rings` = 5: a table is wanted"),
            ("x", "no TOML"),
        ];
        for (text, part) in cases {
            let said = refusal(text);
            assert!(said.contains(part), "{text}\nsaid: {said}\nwanted: {part}");
        }
    }

    #[test]
    fn every_key_is_printed_with_what_it_means_and_reads_back_as_itself() {
        let given = "[rings]\nevent_slots = 2048\n[[participants]]\nnumber = 3\nrole = \"bank\"\n";
        let printed = Config::annotated(given).expect("it is right");
        assert!(printed.contains("# Slots of the event ring") && printed.contains("event_slots = 2048"));
        let (again, once) = (Config::from_text(&printed), Config::from_text(given));
        assert_eq!(again.expect("it is right"), once.expect("it is right"));
        let defaults = Config::annotated("").expect("it is right");
        assert_eq!(defaults, DEFAULTS, "no value given: the defaults as they stand");
    }
}
