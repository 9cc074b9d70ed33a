//! The door of the scenarios that leads through a whole exchange: what a client may send goes over QUIC, one
//! connection a session, and the rest, which is the house's, goes into the command ring beside the gateway.
//!
//! * The clock is the scenario's: the gateway stamps what the step says.
//! * A scenario's keys and journal are names for real certificates and the journal's own identity; events are told
//!   back under those names.
//! * `restart` ends pipeline and gateway, recovers the journals, and starts both again.
//! * A refusal at the door reads like the exchange's own. It consumed its number, so the exchange later calls that
//!   number not applied; these lines are left out here.

use super::SOON;
use super::raw::{Raw, endpoint, quic, tls};
use quinn::Endpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::timeout;
use xq_gateway::{
    Begun, Borders, Clock, Gateway, GatewayConfig, Limits, Transport, TrialAuthority, TrialKey,
};
use xq_journal::{CommandSettings, EventSettings};
use xq_protocol::text::Door;
use xq_protocol::*;
use xq_server::{Bell, ClockLeap, Journals, Layout, Pipeline, PipelineConfig, Source, SteadyClock, recover};

/// The scenario's clock.
#[derive(Clone, Default)]
struct StepClock(Arc<AtomicU64>);

impl Clock for StepClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Acquire))
    }
}

/// Pipeline and gateway while they run.
struct Running {
    pipeline: Pipeline,
    gateway: Gateway,
    source: Source,
    /// Rung when there are events to be read.
    bell: Arc<Notify>,
}

/// A session that is up over QUIC.
struct Speaker {
    raw: Raw,
    connection: ConnectionId,
    /// The scenario's name of the certificate it showed.
    key: Hash,
}

/// The door.
pub struct QuicDoor {
    folder: TempDir,
    authority: TrialAuthority,
    server_key: TrialKey,
    runtime: Runtime,
    endpoint: Endpoint,
    clock: StepClock,
    latest: Nanos,
    running: Option<Running>,
    /// Certificates by the scenario's name of them.
    certificates: BTreeMap<Hash, TrialKey>,
    valid: BTreeSet<(ParticipantId, Hash)>,
    speakers: BTreeMap<SessionId, Speaker>,
    /// What the scenario calls the journal.
    journal_name: JournalId,
    /// What it is called.
    journal_id: JournalId,
    /// The last connection number of each session.
    connections: BTreeMap<SessionId, ConnectionId>,
    /// Numbers consumed at the door, not yet called so by the exchange.
    consumed: BTreeSet<(SessionId, u64)>,
    /// How many commands went over QUIC.
    pub over_quic: usize,
}

/// Which way a command goes.
enum Way {
    House,
    Restart,
    Connect { key: Hash },
    Disconnect,
    Client,
}

/// Longer than any scenario lasts by its clock: sessions there end when a step says so.
const FOREVER: Nanos = Nanos(1 << 60);

impl QuicDoor {
    /// A new journal behind a door on a free port.
    pub fn open() -> QuicDoor {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let authority = TrialAuthority::create(&folder.path().join("keys")).expect("keys are made");
        let server_key = authority.server("server", &["localhost"]).expect("keys are made");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let endpoint = {
            let _entered = runtime.enter();
            endpoint()
        };
        QuicDoor {
            folder,
            authority,
            server_key,
            runtime,
            endpoint,
            clock: StepClock::default(),
            latest: Nanos::ZERO,
            running: None,
            certificates: BTreeMap::new(),
            valid: BTreeSet::new(),
            speakers: BTreeMap::new(),
            journal_name: JournalId::ZERO,
            journal_id: JournalId::ZERO,
            connections: BTreeMap::new(),
            consumed: BTreeSet::new(),
            over_quic: 0,
        }
    }

    fn start(&mut self, first: Option<&CommandFrame>) -> Vec<EventFrame> {
        let journals = Journals {
            folder: self.folder.path().join("data"),
            commands: CommandSettings {
                segment_size: 1 << 20,
                ..CommandSettings::default()
            },
            events: EventSettings {
                segment_size: 1 << 20,
                ..EventSettings::default()
            },
        };
        let clock = SteadyClock::starting_at(self.latest);
        let recovered =
            recover(&journals, &clock, ClockLeap::Accept, &mut |_, _| {}).expect("the journals are whole");
        let last = recovered.last_seq();
        self.journal_id = recovered.journal_id();
        let (bell, gateway_bell) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let ring = |bell: &Arc<Notify>| -> Bell {
            let bell = Arc::clone(bell);
            Arc::new(move || bell.notify_one())
        };
        let config = PipelineConfig {
            command_slots: 8_192,
            event_slots: 1_024,
            layout: Layout::Shared,
            bells: vec![ring(&bell), ring(&gateway_bell)],
            ..PipelineConfig::default()
        };
        let pipeline = Pipeline::start(&config, recovered).expect("the pipeline starts");
        let mut source = pipeline.source().expect("the event journal can be read");
        source
            .skip_to(last.next())
            .expect("the journal was read to its end");
        let events = first.map(|command| {
            offer(&pipeline, command);
            next_command(&self.runtime, &mut source, &bell)
        });
        let borders = Borders {
            ingress: Box::new(pipeline.ingress()),
            source: Box::new(pipeline.source().expect("the event journal can be read")),
            clock: Arc::new(self.clock.clone()),
            bell: gateway_bell,
            delays: Arc::default(),
            begun: Begun::default(),
        };
        let gateway = Gateway::start(self.gateway_config(), borders).expect("the gateway starts");
        self.running = Some(Running {
            pipeline,
            gateway,
            source,
            bell,
        });
        events.unwrap_or_default()
    }

    fn gateway_config(&self) -> GatewayConfig {
        GatewayConfig {
            listen: "127.0.0.1:0".parse().expect("an address"),
            cert: self.server_key.cert.clone(),
            key: self.server_key.key.clone(),
            client_ca: self.authority.cert(),
            limits: Limits {
                establish_within: FOREVER,
                heartbeat: FOREVER,
                lapse: FOREVER,
                throttle_burst: Count(u32::MAX),
                rules_version_max: Count(xq_engine::RULES_VERSION),
                ..Limits::default()
            },
            // A scenario's session says nothing for long while others speak.
            transport: Transport {
                idle: SOON * 6,
                ..Transport::default()
            },
        }
    }

    /// Ends everything without a word in the journal, as a crash would, but synced.
    fn end(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        // The ring first: what the gateway would say of lost connections must not enter it.
        let stopped = running.pipeline.stop().expect("the pipeline stops");
        for (_, speaker) in std::mem::take(&mut self.speakers) {
            speaker.raw.connection.close(0_u32.into(), b"");
        }
        self.runtime.block_on(async {
            let _ = timeout(SOON, self.endpoint.wait_idle()).await;
        });
        running.gateway.stop();
        drop(stopped);
    }

    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("started with the first command")
    }

    /// What followed from a command, which was the next to enter.
    fn next_events(&mut self, command: &CommandFrame) -> Vec<EventFrame> {
        let running = self.running.as_mut().expect("started with the first command");
        let events = next_command(&self.runtime, &mut running.source, &running.bell);
        let (event, said) = (events[0].header(), command.header());
        let cause = (event.session, event.req_seq);
        assert_eq!(
            cause,
            (said.session, said.req_seq),
            "nothing enters between two steps: {:?}",
            events[0].event()
        );
        events
    }

    fn way(&self, speaker: SessionId, command: &CommandFrame) -> Way {
        let frame = command.frame().expect("a step is a frame");
        let is_house = speaker == SessionId::HOUSE;
        match frame.command() {
            Ok(Command::AllSessionsDown(_)) if is_house => Way::Restart,
            Ok(Command::SessionUp(up)) => {
                let next = self
                    .connections
                    .get(&speaker)
                    .map_or(1, |last| last.0.saturating_add(1));
                let may = self.valid.contains(&(speaker.participant(), up.fingerprint));
                match may && up.connection.0 == next {
                    true => Way::Connect { key: up.fingerprint },
                    false => Way::House,
                }
            }
            Ok(Command::SessionDown(down)) => {
                let live = self
                    .speakers
                    .get(&speaker)
                    .is_some_and(|live| live.connection == down.connection);
                if live { Way::Disconnect } else { Way::House }
            }
            Ok(_) if !is_house_only(command) && self.speakers.contains_key(&speaker) => Way::Client,
            Ok(_) | Err(_) => Way::House,
        }
    }

    fn certificate(&mut self, name: Hash) -> TrialKey {
        let (authority, number) = (&self.authority, self.certificates.len());
        let made = || {
            authority
                .client(&format!("client-{number}"))
                .expect("keys are made")
        };
        self.certificates.entry(name).or_insert_with(made).clone()
    }

    /// The command with what is called by a name in place of the names.
    fn unnamed(&mut self, command: &CommandFrame) -> CommandFrame {
        let frame = command.frame().expect("a step is a frame");
        match frame.command() {
            Ok(Command::Genesis(genesis)) if self.journal_name.is_zero() => {
                self.journal_name = genesis.journal_id;
                CommandFrame::new(
                    *frame.header,
                    &Genesis {
                        journal_id: self.journal_id,
                        ..*genesis
                    },
                )
            }
            Ok(Command::SetKey(key)) => {
                let fingerprint = self.certificate(key.fingerprint).fingerprint;
                CommandFrame::new(*frame.header, &SetKey { fingerprint, ..*key })
            }
            Ok(Command::SessionUp(up)) => {
                let fingerprint = self.certificate(up.fingerprint).fingerprint;
                CommandFrame::new(*frame.header, &SessionUp { fingerprint, ..*up })
            }
            Ok(_) | Err(_) => *command,
        }
    }

    fn connect(&mut self, session: SessionId, key: Hash, command: &CommandFrame) -> Vec<EventFrame> {
        let config = quic(tls(&self.authority.cert(), &self.certificate(key)));
        let address = self.running().gateway.address();
        let endpoint = &self.endpoint;
        let (raw, answer) = self.runtime.block_on(async {
            let asked = Instant::now();
            loop {
                let mut raw = Raw::connect(endpoint, address, config.clone())
                    .await
                    .expect("the handshake succeeds");
                let answer = raw.establish(session).await;
                // The key holds since the last step; the gateway may have yet to read that it does.
                let is_early =
                    matches!(&answer, Err(bye) if bye.code == RejectReason::NotAuthenticated.code());
                if !is_early || asked.elapsed() > SOON {
                    break (raw, answer);
                }
            }
        });
        self.over_quic += 1;
        match answer {
            Ok(ack) => {
                let connection = ack.connection;
                self.speakers.insert(session, Speaker { raw, connection, key });
                self.next_events(command)
            }
            Err(bye) if bye.reason == TerminateReason::Refused => self.next_events(command),
            Err(bye) => vec![rejected(command, SessionUp::TEMPLATE, bye.code, ClOrdId::ZERO)],
        }
    }

    fn disconnect(&mut self, session: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        let speaker = self
            .speakers
            .remove(&session)
            .expect("the way led here because it is up");
        speaker.raw.connection.close(0_u32.into(), b"");
        self.over_quic += 1;
        self.next_events(command)
    }

    fn say(&mut self, session: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        let number = command.header().req_seq;
        let mut said = *command;
        *said.header_mut() = Header {
            seq: Seq::ZERO,
            time: Nanos::ZERO,
            session: SessionId::HOUSE,
            ..*command.header()
        };
        let speaker = self
            .speakers
            .get_mut(&session)
            .expect("the way led here because it is up");
        let heard = self.runtime.block_on(async {
            speaker.raw.say(said.bytes()).await;
            speaker.raw.answer(number.0).await
        });
        self.over_quic += 1;
        let last = heard
            .last()
            .expect("an answer has a last message")
            .frame()
            .expect("a frame");
        if let Ok(SessionMessage::DoorRejected(refused)) = last.session_message() {
            self.consumed.insert((session, number.0));
            return vec![rejected(
                command,
                refused_template(refused),
                refused.code,
                refused.cl_ord_id,
            )];
        }
        let events = self.next_events(command);
        assert_told(session, number, &heard, &events);
        events
    }

    /// Takes note of keys and sessions, and calls certificates by the scenario's names again.
    fn told(&mut self, events: Vec<EventFrame>) -> Vec<EventFrame> {
        let mut told = Vec::new();
        for event in events {
            let header = *event.header();
            match event.event().expect("the exchange tells events") {
                Event::KeySet(key) => {
                    let name = self
                        .certificates
                        .iter()
                        .find(|(_, c)| c.fingerprint == key.fingerprint);
                    let fingerprint = *name.expect("every key was made here").0;
                    match key.state {
                        KeyState::Valid => self.valid.insert((key.participant, fingerprint)),
                        KeyState::Revoked => self.valid.remove(&(key.participant, fingerprint)),
                    };
                    if key.state == KeyState::Revoked {
                        let showed = |(session, live): (&SessionId, &Speaker)| {
                            (live.key == fingerprint).then_some(*session)
                        };
                        let ended: Vec<SessionId> = self.speakers.iter().filter_map(showed).collect();
                        ended
                            .into_iter()
                            .for_each(|session| self.leave_to_the_gateway(session));
                    }
                    told.push(EventFrame::new(header, &KeySet { fingerprint, ..*key }));
                }
                Event::ExchangeOpened(opened) => {
                    let journal_id = self.journal_name;
                    told.push(EventFrame::new(
                        header,
                        &ExchangeOpened {
                            journal_id,
                            ..*opened
                        },
                    ));
                }
                Event::SessionEstablished(up) => {
                    let last = self.connections.entry(header.session).or_default();
                    *last = (*last).max(up.connection);
                    let taken_over = |live: &Speaker| live.connection != up.connection;
                    if self.speakers.get(&header.session).is_some_and(taken_over) {
                        self.leave_to_the_gateway(header.session);
                    }
                    told.push(event);
                }
                Event::NotApplied(numbers) if self.was_at_the_door(header.session, numbers) => {}
                _ => told.push(event),
            }
        }
        told
    }

    /// A session that ended by what the exchange decided: the gateway closes its connection once it has followed that.
    /// Closed from here, before, it would look like a client that left, and the gateway would say so to the ring.
    fn leave_to_the_gateway(&mut self, session: SessionId) {
        if let Some(speaker) = self.speakers.remove(&session) {
            let closed = self
                .runtime
                .block_on(async { timeout(SOON, speaker.raw.connection.closed()).await });
            closed.expect("the gateway closes what is over");
        }
    }

    /// Says whether all of these numbers were consumed by refusals at the door.
    fn was_at_the_door(&mut self, session: SessionId, numbers: &NotApplied) -> bool {
        let range = numbers.from.0..=numbers.to.0;
        let few = numbers.to.0 - numbers.from.0 < 100;
        few && range
            .into_iter()
            .all(|number| self.consumed.contains(&(session, number)))
    }
}

impl Door for QuicDoor {
    fn submit(&mut self, speaker: SessionId, command: &CommandFrame) -> Vec<EventFrame> {
        let now = command.header().time;
        self.clock.0.store(now.0, Ordering::Release);
        self.latest = self.latest.max(now);
        if self.running.is_none() {
            self.start(None);
        }
        let way = self.way(speaker, command);
        let real = self.unnamed(command);
        let events = match way {
            Way::House => {
                offer(&self.running().pipeline, &real);
                self.next_events(&real)
            }
            Way::Restart => {
                self.end();
                self.start(Some(&real))
            }
            Way::Connect { key } => self.connect(speaker, key, command),
            Way::Disconnect => self.disconnect(speaker, command),
            Way::Client => self.say(speaker, &real),
        };
        self.told(events)
    }
}

impl Drop for QuicDoor {
    fn drop(&mut self) {
        self.end();
    }
}

fn is_house_only(command: &CommandFrame) -> bool {
    rule(command.header().template_id).is_none_or(|rule| rule.house_only == HouseOnly::Yes)
}

fn offer(pipeline: &Pipeline, command: &CommandFrame) {
    let taken = pipeline.ingress().offer(command.bytes());
    assert_eq!(
        taken,
        command.bytes().len(),
        "one command at a time always has room"
    );
}

/// All events of the next command, waited for.
fn next_command(runtime: &Runtime, source: &mut Source, bell: &Notify) -> Vec<EventFrame> {
    let mut events: Vec<EventFrame> = Vec::new();
    loop {
        while let Some(frame) = source
            .next_event()
            .expect("the event journal is what was written")
        {
            events.push(EventFrame::copy_of(&frame).expect("an event fits its slot"));
            if frame.header.is_last() {
                return events;
            }
        }
        runtime.block_on(async {
            timeout(SOON, bell.notified())
                .await
                .expect("every command has events, soon")
        });
    }
}

/// What the speaker heard is what the journal says, byte for byte; a trade is told it as its own side of it.
fn assert_told(session: SessionId, number: ReqSeq, heard: &[CommandFrame], events: &[EventFrame]) {
    let is_repeated = |frame: &CommandFrame| frame.header().flags & Header::REPEATED != 0;
    let own = heard
        .iter()
        .filter(|frame| frame.header().req_seq == number && !is_repeated(frame));
    for frame in own {
        let header = frame.header();
        assert_eq!(header.session, session);
        let event = &events[usize::from(header.index)];
        if header.template_id == Executed::TEMPLATE {
            assert_eq!(event.header().template_id, Traded::TEMPLATE);
        } else {
            assert_eq!(frame.bytes(), event.bytes(), "told as it was journaled");
        }
    }
}

fn refused_template(refused: &DoorRejected) -> u16 {
    u16::try_from(refused.template.0).expect("a template id")
}

/// A refusal at the door, as the exchange would say it.
fn rejected(command: &CommandFrame, template: u16, code: RejectCode, cl_ord_id: ClOrdId) -> EventFrame {
    let header = Header {
        flags: Header::LAST,
        ..*command.header()
    };
    let rejected = Rejected {
        template: Count(u32::from(template)),
        code,
        reserved: Reserved::ZERO,
        cl_ord_id,
        order: OrderId::ZERO,
        account: AccountId::ZERO,
        series: SeriesId::ZERO,
        observed: Observed::ZERO,
        allowed: Observed::ZERO,
    };
    EventFrame::new(header, &rejected)
}
