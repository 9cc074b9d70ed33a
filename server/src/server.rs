//! The whole exchange: recovered, its first commands journaled, then its door opened; and stopped in the other order.

use crate::clock::{ClockLeap, SteadyClock};
use crate::config::Config;
use crate::exit::Failure;
use crate::follower::{Cadence, FollowerWatch, Following};
use crate::ingress::Ingress;
use crate::market::{Seed, market_config};
use crate::metrics::Readings;
use crate::opening;
use crate::pipeline::{Pipeline, PipelineConfig, Stopped};
use crate::publisher::Bell;
use crate::recovery::{Journals, Progress, Report, recover};
use crate::retention::Retention;
use crate::ring::Gauges;
use crate::wait::PARK_MAX;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use xq_engine::RULES_VERSION;
use xq_gateway::{
    Borders, Delays, Durations, Gateway, GatewayConfig, GatewayError, Limits, MarketDoor, Transport,
};
use xq_journal::{CommandSettings, EventSettings};
use xq_protocol::{COMMANDS, CommandFrame, Count, Event, Rejected, Seq};

const MIB: u64 = 1 << 20;
/// How long a start waits on a full disk for one of its first commands to be told.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// A running exchange.
pub struct Server {
    gateway: Gateway,
    market: Option<MarketDoor>,
    delays: Arc<Delays>,
    pipeline: Pipeline,
    hiccups: Arc<Durations>,
    /// None without a follower.
    followed: Option<Arc<FollowerWatch>>,
    clock: SteadyClock,
    report: Report,
    folder: PathBuf,
    command_slots: usize,
}

impl Server {
    /// Recovers, journals what a start begins with, and listens.
    ///
    /// # Errors
    /// All that keeps the exchange from starting, each with its exit code; nobody was let in then.
    pub fn start(config: &Config, leap: ClockLeap, progress: Progress<'_>) -> Result<Server, Failure> {
        let clock = SteadyClock::start();
        let guests = opening::guests(&config.participants)?;
        // Keys that are missing, a port that is taken, a core that is not there are found before a journal is touched.
        gateway_config(config).check().map_err(failure_of)?;
        UdpSocket::bind(config.listen()).map_err(|source| cannot_listen(config.listen(), source))?;
        let market = market_config(config);
        if let Some(listen) = config.market_data() {
            UdpSocket::bind(listen).map_err(|source| cannot_listen(listen, source))?;
        }
        let (bell, market_bell, delays) = (Arc::default(), Arc::default(), Arc::<Delays>::default());
        let bells = market
            .iter()
            .map(|_| rings(&market_bell))
            .chain([rings(&bell)])
            .collect();
        let threads = PipelineConfig::of(config, clock, bells);
        threads.check()?;
        let mut recovered = recover(&Journals::of(config), &clock, leap, progress)?;
        let begun = std::mem::take(&mut recovered.begun);
        let last = recovered.last_seq();
        let first = opening::commands(
            &config.exchange,
            &guests,
            &recovered.known,
            (recovered.journal_id(), clock.now()),
        )?;
        let report = recovered.report.clone();
        let seed = market.as_ref().map(|market| Seed::of(&recovered, market.limits));
        let id = recovered.journal_id();
        let mut pipeline = Pipeline::start(&threads, recovered)?;
        let opened = open(&pipeline, last, &first).and_then(|()| {
            pipeline.tick_every(Duration::from_millis(config.threads.tick_interval_ms), clock)?;
            let borders = Borders {
                ingress: Box::new(pipeline.ingress()),
                source: Box::new(pipeline.source_behind(report.snapshot)?),
                clock: Arc::new(clock),
                bell,
                delays: Arc::clone(&delays),
                begun,
            };
            let gateway = Gateway::start(gateway_config(config), borders).map_err(failure_of)?;
            let market = market
                .zip(seed)
                .map(|(market, seed)| -> Result<MarketDoor, Failure> {
                    let (source, delays) = (pipeline.source()?, Arc::clone(&delays));
                    let borders = move || seed.borders(source, (clock, market_bell, delays));
                    let borders = move || borders().unwrap_or_else(|failure| failure.end_process());
                    MarketDoor::start(market, borders).map_err(failure_of)
                });
            let following = config.follower.enabled.then(|| Following::of(config));
            let followed = following.map(|following| pipeline.follow((id, report.snapshot), following));
            let hiccups = pipeline.watch_hiccups()?;
            Ok((gateway, market.transpose()?, followed.transpose()?, hiccups))
        });
        match opened {
            Ok((gateway, market, followed, hiccups)) => Ok(Server {
                gateway,
                market,
                delays,
                hiccups,
                followed,
                pipeline,
                clock,
                report,
                folder: config.journal.folder.clone(),
                command_slots: config.rings.command_slots,
            }),
            Err(failure) => {
                pipeline.stop()?;
                Err(failure)
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Where market data listens, if there is any.
    pub fn market_data(&self) -> Option<SocketAddr> {
        self.market.as_ref().map(MarketDoor::address)
    }

    /// What the follower tells, if there is one.
    pub fn followed(&self) -> Option<&FollowerWatch> {
        self.followed.as_deref()
    }

    /// What recovery found.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The pipeline behind the door.
    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// What can be read of it as metrics.
    pub fn readings(&self) -> Readings {
        Readings {
            stats: Arc::clone(self.gateway.stats()),
            market: self.market.as_ref().map(|market| Arc::clone(market.stats())),
            delays: Arc::clone(&self.delays),
            gauges: self.pipeline.gauges(),
            durable: self.pipeline.durable(),
            commits: self.pipeline.commits(),
            watched: self.pipeline.watched(),
            hiccups: Arc::clone(&self.hiccups),
            waits: self.pipeline.waits_for_disk(),
            pools: self.pipeline.pools().clone(),
            folder: self.folder.clone(),
            command_slots: self.command_slots,
            recovery: self.report.took,
            follower: self.followed.clone(),
            clock: self.clock,
        }
    }

    /// Reads certificates, key and authorities again, for those who connect from now on.
    ///
    /// # Errors
    /// [`Failure::Configuration`], naming the file; the old ones stay in use.
    pub fn renew_keys(&self) -> Result<(), Failure> {
        self.gateway.renew_keys().map_err(failure_of)?;
        self.market
            .iter()
            .try_for_each(MarketDoor::renew_keys)
            .map_err(failure_of)
    }

    /// Closes the door, journals the end of all sessions (markets halt, orders go by cancel on disconnect), works
    /// off what was taken and syncs both journals.
    ///
    /// # Errors
    /// What the disk refused.
    pub fn stop(self) -> Result<Stopped, Failure> {
        self.pipeline.gauges().stopping.store(true, Ordering::Release);
        self.gateway.stop();
        if let Some(market) = self.market {
            market.stop();
        }
        let last = opening::all_sessions_down(self.clock.now());
        if offer(&mut self.pipeline.ingress(), &self.pipeline.gauges(), &[last]).is_err() {
            tracing::warn!(
                "the disk is full: the end of all sessions is left to the next start, which says it anyway"
            );
        }
        self.pipeline.stop()
    }
}

/// A bell that wakes whoever waits for this.
fn rings(bell: &Arc<Notify>) -> Bell {
    let bell = Arc::clone(bell);
    Arc::new(move || bell.notify_one())
}

impl Following {
    /// As configured.
    fn of(config: &Config) -> Following {
        let (follower, retention) = (&config.follower, &config.retention);
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let archive = &retention.archive;
        Following {
            cadence: Cadence {
                commands: follower.snapshot_every_commands,
                time: Duration::from_secs(follower.snapshot_every_s),
            },
            retention: Retention {
                archive: (!archive.as_os_str().is_empty()).then(|| archive.clone()),
                keep: hours(retention.keep_hours),
                bytes_max: (retention.sealed_gib_max > 0).then_some(retention.sealed_gib_max << 30),
                snapshots: retention.snapshots,
                keep_snapshots: hours(retention.keep_snapshots_hours),
            },
        }
    }
}

impl Journals {
    /// As configured.
    pub fn of(config: &Config) -> Journals {
        let journal = &config.journal;
        Journals {
            folder: journal.folder.clone(),
            commands: CommandSettings {
                segment_size: journal.command_segment_mib * MIB,
                block: journal.block_bytes,
                batch_bytes: journal.batch_kib * 1_024,
                prepared_segments: journal.prepared_segments,
                ..CommandSettings::default()
            },
            events: EventSettings {
                segment_size: journal.event_segment_mib * MIB,
                prepared_segments: journal.prepared_segments,
                ..EventSettings::default()
            },
        }
    }
}

impl PipelineConfig {
    /// As configured.
    pub fn of(config: &Config, clock: SteadyClock, bells: Vec<Bell>) -> PipelineConfig {
        PipelineConfig {
            command_slots: config.rings.command_slots,
            event_slots: config.rings.event_slots,
            layout: config.layout(),
            cores: config.threads.cores.as_slice().try_into().ok(),
            real_time_priority: Some(config.threads.real_time_priority).filter(|priority| *priority > 0),
            clock,
            event_sync_interval: Duration::from_millis(config.journal.event_sync_interval_ms),
            bells,
        }
    }
}

pub(crate) fn gateway_config(config: &Config) -> GatewayConfig {
    let listen = config.listen();
    GatewayConfig {
        listen,
        cert: config.server.certificate.clone(),
        key: config.server.key.clone(),
        client_ca: config.server.authority.clone(),
        limits: Limits {
            throttle_rate: Count(config.sessions.throttle_rate),
            throttle_burst: Count(config.sessions.throttle_burst),
            rules_version_max: Count(RULES_VERSION),
            drop_copies_max: config.sessions.drop_copies_max,
            ..Limits::default()
        },
        transport: Transport {
            // The path is known there, and large datagrams cost less each byte.
            mtu: listen.ip().is_loopback().then_some(6_500),
            ..Transport::default()
        },
    }
}

/// Offers frames until all are taken: the ring is empty before the door opens and becomes so after it closed.
///
/// # Errors
/// [`Failure::DiskFull`] when one is not taken and the disk is full: nobody empties the ring then, or it takes no such
/// command, and waiting might never end.
fn offer(ingress: &mut Ingress, gauges: &Gauges, frames: &[CommandFrame]) -> Result<(), Failure> {
    for frame in frames {
        while ingress.offer(frame.bytes()) == 0 {
            if gauges.disk_is_low.load(Ordering::Relaxed) {
                return Err(Failure::DiskFull(
                    "the journals have no room for another segment: make room, then start again",
                ));
            }
            std::thread::park_timeout(PARK_MAX);
        }
    }
    Ok(())
}

/// Journals the first commands and waits until they are told; none may be refused.
fn open(pipeline: &Pipeline, last: Seq, first: &[CommandFrame]) -> Result<(), Failure> {
    let mut source = pipeline.source()?;
    source.skip_to(last.next())?;
    let gauges = pipeline.gauges();
    offer(&mut pipeline.ingress(), &gauges, first)?;
    let (mut done, mut told) = (0, Instant::now());
    while done < first.len() {
        let Some(frame) = source.next_event()? else {
            // They may fit into the segments in use, so that a full disk alone is no reason to give up.
            if gauges.disk_is_low.load(Ordering::Relaxed) && told.elapsed() > DISK_PATIENCE {
                return Err(Failure::DiskFull(
                    "the first commands of this start find no room: make room, then start again",
                ));
            }
            std::thread::park_timeout(PARK_MAX);
            continue;
        };
        told = Instant::now();
        if let Ok(Event::Rejected(rejected)) = frame.event() {
            return Err(refused(rejected));
        }
        done += usize::from(frame.header.is_last());
    }
    Ok(())
}

fn refused(rejected: &Rejected) -> Failure {
    let template = rejected.template.0;
    let name = COMMANDS
        .iter()
        .find(|command| u32::from(command.0) == template)
        .map_or("?", |command| command.1);
    Failure::Configuration(format!(
        "the exchange refuses {name}, which follows from the configuration: {rejected}"
    ))
}

fn cannot_listen(address: SocketAddr, source: std::io::Error) -> Failure {
    Failure::CannotCreate {
        what: format!("`server.listen` = \"{address}\""),
        source,
    }
}

fn failure_of(error: GatewayError) -> Failure {
    match error {
        GatewayError::Key { path, reason } => Failure::Configuration(format!("{}: {reason}", path.display())),
        GatewayError::Listen { address, source } => cannot_listen(address, source),
        GatewayError::Start(source) => Failure::CannotCreate {
            what: "the gateway".to_owned(),
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ring::{RING_SLOTS_MIN, command_ring};
    use xq_protocol::{JournalId, Nanos};

    /// A ring that nobody reads, as while the journaler waits for room.
    fn on_a_full_disk(frames: &[CommandFrame]) -> Result<(), Failure> {
        let (producer, _matcher, _journaler) = command_ring(RING_SLOTS_MIN);
        let gauges = Arc::new(Gauges::default());
        let mut ingress = Ingress::new(producer, Arc::clone(&gauges), RING_SLOTS_MIN, Default::default());
        gauges.disk_is_low.store(true, Ordering::Relaxed);
        offer(&mut ingress, &gauges, frames)
    }

    #[test]
    fn a_start_and_a_stop_do_not_wait_for_a_full_disk() {
        let exchange = Config::defaults().exchange;
        let ends = opening::all_sessions_down(Nanos(5));
        let opens = opening::commands(
            &exchange,
            &[],
            &Default::default(),
            (JournalId([7; 16]), Nanos(5)),
        );
        let opens = opens.expect("the configuration is right");
        let refused = on_a_full_disk(&opens).expect_err("Genesis is not urgent");
        assert_eq!(refused.exit(), crate::exit::Exit::DiskFull);
        on_a_full_disk(&[ends]).expect("the end of sessions is urgent, and there is room in the ring");
        on_a_full_disk(&vec![ends; RING_SLOTS_MIN + 1]).expect_err("the ring is full and stays so");
    }
}
