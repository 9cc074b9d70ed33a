//! What can be read of a running exchange as metrics, in base units, taken when it is asked for.
//!
//! Architecture invariant: a reading only loads what others have counted; nobody waits for it. For its sake the data path
//! times each commit, and the gateway one command in each look at the events.

use crate::clock::{SteadyClock, wall_now};
use crate::follower::FollowerWatch;
use crate::matcher::Watched;
use crate::progress::Durable;
use crate::ring::Gauges;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use xq_engine::{RULES_VERSION, Table};
use xq_gateway::{DURATION_STEPS, Delays, Durations, MarketStats, Stats};
use xq_journal::SegmentPool;
use xq_protocol::RejectReason;

/// Everything that is read.
#[derive(Clone)]
pub struct Readings {
    pub(crate) stats: Arc<Stats>,
    /// None where there is no market data.
    pub(crate) market: Option<Arc<MarketStats>>,
    pub(crate) delays: Arc<Delays>,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) durable: Durable,
    pub(crate) commits: Arc<Durations>,
    pub(crate) watched: Arc<Watched>,
    pub(crate) hiccups: Arc<Durations>,
    /// How often the publisher waited for the disk.
    pub(crate) waits: Arc<AtomicU64>,
    /// Segments made ready: of commands, of events.
    pub(crate) pools: [Arc<SegmentPool>; 2],
    /// The folder of the journals.
    pub(crate) folder: PathBuf,
    pub(crate) command_slots: usize,
    pub(crate) recovery: Duration,
    /// What the follower tells, if there is one.
    pub(crate) follower: Option<Arc<FollowerWatch>>,
    pub(crate) clock: SteadyClock,
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readings").finish_non_exhaustive()
    }
}

/// What is written of a metric: nothing else is known of it than its name, what it means, and its values.
pub(crate) struct Writer<'a>(pub(crate) DescriptorEncoder<'a>);

impl Writer<'_> {
    fn one(
        &mut self,
        (name, help): (&str, &str),
        kind: MetricType,
        value: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        value(self.0.encode_descriptor(name, help, None, kind)?)
    }

    pub(crate) fn gauge(&mut self, described: (&str, &str), value: f64) -> fmt::Result {
        self.one(described, MetricType::Gauge, |mut to| to.encode_gauge(&value))
    }

    pub(crate) fn count(&mut self, described: (&str, &str), value: u64) -> fmt::Result {
        self.one(described, MetricType::Counter, |mut to| {
            to.encode_counter::<NoLabelSet, _, f64>(&value, None)
        })
    }

    /// Counts told apart by one label.
    fn counts<'v>(
        &mut self,
        described: (&str, &str),
        label: &'static str,
        values: impl Iterator<Item = (String, u64)> + 'v,
    ) -> fmt::Result {
        self.one(described, MetricType::Counter, |mut to| {
            for (name, value) in values {
                to.encode_family(&[(label, name)])?
                    .encode_counter::<NoLabelSet, _, f64>(&value, None)?;
            }
            Ok(())
        })
    }

    fn tables<const N: usize>(&mut self, described: (&str, &str), values: [(Table, u64); N]) -> fmt::Result {
        self.gauges(
            described,
            "table",
            values.map(|(table, rows)| (table.name(), rows)),
        )
    }

    /// Gauges told apart by one label.
    fn gauges<const N: usize>(
        &mut self,
        described: (&str, &str),
        label: &str,
        values: [(&str, u64); N],
    ) -> fmt::Result {
        self.one(described, MetricType::Gauge, |mut to| {
            for (name, value) in values {
                to.encode_family(&[(label, name)])?
                    .encode_gauge(&value_of(value))?;
            }
            Ok(())
        })
    }

    fn durations(&mut self, described: (&str, &str), durations: &Durations) -> fmt::Result {
        self.one(described, MetricType::Histogram, |to| histogram(to, durations))
    }

    /// Durations told apart by one label.
    fn durations_by(
        &mut self,
        described: (&str, &str),
        label: &str,
        all: &[(&str, &Durations)],
    ) -> fmt::Result {
        self.one(described, MetricType::Histogram, |mut to| {
            for (name, durations) in all {
                histogram(to.encode_family(&[(label, *name)])?, durations)?;
            }
            Ok(())
        })
    }
}

fn histogram(mut to: MetricEncoder<'_>, durations: &Durations) -> fmt::Result {
    let steps = durations.steps();
    let longest = |step| Durations::longest(step).map_or(f64::INFINITY, |longest| longest.as_secs_f64());
    let buckets: [(f64, u64); DURATION_STEPS] = std::array::from_fn(|step| (longest(step), steps[step]));
    let (sum, count) = (durations.sum().as_secs_f64(), steps.iter().sum());
    to.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

/// A count as a gauge's value: exact below 2^52.
pub(crate) fn value_of(count: u64) -> f64 {
    let (high, low) = (count >> 32, count & 0xFFFF_FFFF);
    let exact = |half: u64| f64::from(u32::try_from(half).expect("32 bits"));
    exact(high) * 4_294_967_296.0 + exact(low)
}

impl Collector for Readings {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Writer(encoder);
        self.program(&mut to)?;
        self.pipeline(&mut to)?;
        self.engine(&mut to)?;
        self.journals(&mut to)?;
        self.follower(&mut to)?;
        self.door(&mut to)?;
        match &self.market {
            Some(market) => market_data(&mut to, market, &self.delays),
            None => Ok(()),
        }
    }
}

fn market_data(to: &mut Writer<'_>, market: &MarketStats, delays: &Delays) -> fmt::Result {
    let described = ("xq_market_data_subscribers", "Subscribers of market data.");
    to.gauge(described, value_of(market.subscribers.get()))?;
    let described = ("xq_market_data_events", "Events that market data has followed.");
    to.count(described, market.events.get())?;
    let described = (
        "xq_market_data_packets",
        "Packets made of them, each once, however many subscribers want it.",
    );
    to.count(described, market.packets.get())?;
    let described = ("xq_market_data_packet_bytes", "Bytes of those packets.");
    to.count(described, market.packet_bytes.get())?;
    let described = (
        "xq_market_data_datagrams",
        "Datagrams handed to subscribers' connections.",
    );
    to.count(described, market.datagrams.get())?;
    let described = ("xq_market_data_snapshots", "Snapshots told.");
    to.count(described, market.snapshots.get())?;
    let described = ("xq_market_data_repairs", "Repairs of small gaps told.");
    to.count(described, market.repairs.get())?;
    let described = (
        "xq_market_data_stream_bytes",
        "Bytes written to subscribers' streams: answers, repairs, snapshots, levels.",
    );
    to.count(described, market.stream_bytes.get())?;
    let described = (
        "xq_market_data_dropped_subscribers",
        "Subscribers dropped because they were too slow.",
    );
    to.count(described, market.dropped.get())?;
    let described = (
        "xq_market_data_rejects",
        "Requests and subscribers refused by market data, by code.",
    );
    let each = RejectReason::ALL.iter();
    let each = each.map(|reason| (reason.code().0.to_string(), market.refusals(reason.code())));
    to.counts(described, "code", each.filter(|(_, count)| *count > 0))?;
    let described = (
        "xq_market_data_delay_seconds",
        "Between private report and public message of the same command, by which came first; one command in 64.",
    );
    let first = [
        ("private", &delays.private_first),
        ("public", &delays.public_first),
    ];
    to.durations_by(described, "first", &first)
}

impl Readings {
    fn program(&self, to: &mut Writer<'_>) -> fmt::Result {
        let build = ("xq_build", "The program's version and the rules it decides by.");
        to.one(build, MetricType::Info, |mut to| {
            let rules = RULES_VERSION.to_string();
            to.encode_info(&[("version", env!("CARGO_PKG_VERSION")), ("rules_version", &rules)])
        })?;
        let recovery = ("xq_recovery_seconds", "How long recovery took at this start.");
        to.gauge(recovery, self.recovery.as_secs_f64())?;
        // Nanoseconds over nine digits are below what a reader of a clock's offset can want.
        let offset_us = self.clock.wall_offset_ns() / 1_000;
        let magnitude = value_of(offset_us.unsigned_abs()) / 1e6;
        let offset = if offset_us < 0 { -magnitude } else { magnitude };
        let described = (
            "xq_clock_offset_seconds",
            "How far the wall clock has moved away from the exchange's since the start; positive when it is ahead.",
        );
        to.gauge(described, offset)
    }

    fn pipeline(&self, to: &mut Writer<'_>) -> fmt::Result {
        let described = (
            "xq_durable_sequence",
            "The last command that survives a power cut.",
        );
        to.gauge(described, value_of(self.durable.seq().0))?;
        let described = ("xq_command_ring_slots", "Slots of the command ring in use.");
        to.gauge(described, value_of(self.gauges.occupied()))?;
        let described = ("xq_command_ring_capacity_slots", "Slots of the command ring.");
        to.gauge(
            described,
            value_of(u64::try_from(self.command_slots).unwrap_or(u64::MAX)),
        )?;
        let described = (
            "xq_publisher_waits",
            "How often the publisher waited for the disk.",
        );
        to.count(described, self.waits.load(Ordering::Relaxed))?;
        let described = (
            "xq_commit_seconds",
            "How long a batch of commands took to become durable, the disk's sync included.",
        );
        to.durations(described, &self.commits)?;
        let described = (
            "xq_told_after_seconds",
            "From a command's coming until what follows from it may be told; one command in each look at the events.",
        );
        to.durations(described, &self.stats.told_after)?;
        let described = (
            "xq_hiccup_seconds",
            "How much later than asked a thread woke that had nothing else to do, 200 times a second.",
        );
        to.durations(described, &self.hiccups)
    }

    fn engine(&self, to: &mut Writer<'_>) -> fmt::Result {
        let described = (
            "xq_ring_seconds",
            "From a command's coming until the matcher takes it; the oldest command of one look in eight.",
        );
        to.durations(described, &self.watched.ring)?;
        let described = (
            "xq_match_seconds",
            "How long a batch of commands took to be matched, waits for the publisher included; one look in eight.",
        );
        to.durations(described, &self.watched.batches)?;
        let fills = self.watched.fills.load();
        let rows = ("xq_table_rows", "Rows in use, by table of the engine.");
        let capacity = (
            "xq_table_capacity_rows",
            "Rows there are, by table of the engine; past them, what needs one is refused with R410.",
        );
        to.tables(rows, fills.map(|(table, fill)| (table, fill.used)))?;
        to.tables(capacity, fills.map(|(table, fill)| (table, fill.capacity)))
    }

    fn journals(&self, to: &mut Writer<'_>) -> fmt::Result {
        let names = ["command", "event"];
        let each = || names.iter().zip(&self.pools);
        let described = (
            "xq_journal_free_segments",
            "Segments made ready and not yet in use.",
        );
        to.one(described, MetricType::Gauge, |mut to| {
            for (name, pool) in each() {
                let free = value_of(u64::try_from(pool.free_segments()).unwrap_or(u64::MAX));
                to.encode_family(&[("journal", *name)])?.encode_gauge(&free)?;
            }
            Ok(())
        })?;
        let described = (
            "xq_journal_unprepared_segments",
            "Segments that a writer had to make itself, stalling, since none was ready.",
        );
        let unprepared = each().map(|(name, pool)| ((*name).to_owned(), pool.taken_unprepared()));
        to.counts(described, "journal", unprepared)?;
        // What cannot be asked is left out: a missing reading is an alarm, a wrong one is none.
        if let Ok(disk) = rustix::fs::statvfs(&self.folder) {
            let described = ("xq_disk_free_bytes", "Room left on the journals' file system.");
            to.gauge(described, value_of(disk.f_bavail.saturating_mul(disk.f_frsize)))?;
        }
        let described = (
            "xq_disk_low",
            "1 when there is no room for another segment, and orders are refused.",
        );
        let low = self.gauges.disk_is_low.load(Ordering::Relaxed);
        to.gauge(described, f64::from(u8::from(low)))
    }

    fn follower(&self, to: &mut Writer<'_>) -> fmt::Result {
        let Some(watch) = &self.follower else {
            return Ok(());
        };
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let described = (
            "xq_follower_lag_commands",
            "Durable commands that the follower has not executed yet.",
        );
        to.gauge(
            described,
            value_of(self.durable.seq().0.saturating_sub(load(&watch.executed))),
        )?;
        let described = (
            "xq_follower_compared_sequence",
            "The last command whose events the follower has compared.",
        );
        to.gauge(described, value_of(load(&watch.compared)))?;
        let described = (
            "xq_follower_commands_from_disk",
            "Commands that the follower read from the disk, since it last began, not having kept up in memory.",
        );
        to.count(described, load(&watch.from_disk))?;
        let described = (
            "xq_snapshot_sequence",
            "The last command that the newest snapshot covers.",
        );
        to.gauge(described, value_of(load(&watch.snapshot_seq)))?;
        let described = (
            "xq_follower_restarts",
            "How often the follower could not go on and began again.",
        );
        to.count(described, load(&watch.restarts))?;
        let described = ("xq_snapshots_failed", "Snapshots that could not be written.");
        to.count(described, load(&watch.failed))?;
        let described = (
            "xq_snapshot_age_seconds",
            "How long ago the newest snapshot was taken; while there is none, how long ago the follower began.",
        );
        let age = (wall_now().0 / 1_000_000_000).saturating_sub(load(&watch.snapshot_at));
        to.gauge(described, value_of(age))?;
        let described = ("xq_snapshot_bytes", "Size of the newest snapshot.");
        to.gauge(described, value_of(load(&watch.snapshot_bytes)))?;
        let described = ("xq_snapshot_seconds", "How long the newest snapshot took.");
        to.gauge(described, value_of(load(&watch.snapshot_us)) / 1e6)?;
        let retention = &watch.retention;
        let described = (
            "xq_retention_segments_moved",
            "Segments of both journals that were moved to the archive since the start.",
        );
        to.count(described, load(&retention.moved))?;
        let described = (
            "xq_retention_failures",
            "How often snapshots or segments that are needed no more could not be removed or moved.",
        );
        to.count(described, load(&retention.failed))?;
        let described = (
            "xq_retention_held_back_bytes",
            "Segments that are to be archived and stay: the oldest snapshot needs them, or a cursor does.",
        );
        let held = [
            ("snapshot", load(&retention.held_by_snapshot)),
            ("cursor", load(&retention.held_by_cursor)),
        ];
        to.gauges(described, "by", held)
    }

    fn door(&self, to: &mut Writer<'_>) -> fmt::Result {
        let stats = &self.stats;
        let described = (
            "xq_connections",
            "Connections that are open, handshakes included.",
        );
        to.gauge(described, value_of(stats.connections.get()))?;
        let described = ("xq_sessions", "Sessions that are up.");
        to.gauge(described, value_of(stats.sessions.get()))?;
        let ends = stats.certificate_ends.load(Ordering::Relaxed);
        let described = (
            "xq_certificate_end_timestamp_seconds",
            "When the server's certificate ceases to be valid, Unix time.",
        );
        to.gauge(described, value_of(ends.max(0).unsigned_abs()))?;
        let described = (
            "xq_connections_refused",
            "Connections turned away because there were too many.",
        );
        to.count(described, stats.connections_refused.get())?;
        let described = (
            "xq_door_commands",
            "Commands that entered the ring through the door.",
        );
        to.count(described, stats.commands.get())?;
        let described = (
            "xq_door_retransmitted_messages",
            "Messages told again to sessions that had missed them.",
        );
        to.count(described, stats.retransmitted.get())?;
        let described = (
            "xq_door_slow_readers",
            "Readers dropped because they were too slow.",
        );
        to.count(described, stats.too_slow.get())?;
        let described = ("xq_door_bytes", "Bytes read from streams and written to them.");
        let bytes = [("in", stats.bytes_in.get()), ("out", stats.bytes_out.get())];
        let bytes = bytes.into_iter().map(|(way, bytes)| (way.to_owned(), bytes));
        to.counts(described, "direction", bytes)?;
        let by_code = |count: fn(&Stats, RejectReason) -> u64| {
            let each = RejectReason::ALL.iter();
            each.map(move |reason| (reason.code().0.to_string(), count(stats, *reason)))
                .filter(|(_, count)| *count > 0)
        };
        let described = ("xq_door_rejects", "Requests refused at the door, by code.");
        to.counts(
            described,
            "code",
            by_code(|stats, reason| stats.rejects(reason.code())),
        )?;
        let described = (
            "xq_exchange_rejects",
            "Commands that the exchange refused, by code, since its journal began.",
        );
        to.counts(
            described,
            "code",
            by_code(|stats, reason| stats.exchange_rejects(reason.code())),
        )
    }
}
