//! A session of the running exchange, for the subcommands that speak to it.

use super::{Ended, say};
use crate::clock::wall_now;
use crate::config::Config;
use crate::exit::Exit;
use crate::timer::tick;
use std::path::{Path, PathBuf};
use xq_client::{Client, ClientError, Report};
use xq_protocol::text::{Names, print_event};
use xq_protocol::{Command, Event, EventFrame, ParticipantId, RejectCode, RejectReason, ReqSeq, SessionId};

/// Which exchange, and as whom.
#[derive(clap::Args)]
pub(super) struct Door {
    /// Configuration file of the exchange: address, authority, participants.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Whose certificate: NAME.pem and NAME.key beside the authority's.
    #[arg(long = "as", value_name = "NAME", default_value = "operator")]
    name: String,
    /// The participant's number; else the one that the configuration gives the certificate.
    #[arg(long, value_name = "NUMBER")]
    participant: Option<u32>,
    /// Which of the participant's sixteen sessions.
    #[arg(long, default_value_t = 0)]
    slot: u32,
    /// The exchange's address, when it is not the configuration's.
    #[arg(long)]
    address: Option<std::net::SocketAddr>,
}

/// An open session.
pub(super) struct Session {
    client: Client,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was executed, or waits for approval.
    Done,
    /// It was refused.
    Refused,
}

impl Door {
    /// A session of whose certificate this is, at the configuration's exchange.
    pub(super) fn of(config: Option<PathBuf>, name: String, slot: u32) -> Door {
        Door {
            config,
            name,
            participant: None,
            slot,
            address: None,
        }
    }

    /// Opens the session.
    pub(super) async fn connect(&self) -> Result<Client, Ended> {
        let config = self.client_config()?;
        let address = config.addr;
        Client::connect(config).await.map_err(|error| {
            let error = anyhow::anyhow!("{address}: {error}");
            Ended::with(Exit::Refused, error)
        })
    }

    /// Runs a conversation on a runtime of its own.
    pub(super) fn converse<T>(
        &self,
        talk: impl AsyncFnOnce(&mut Session) -> Result<T, Ended>,
    ) -> Result<T, Ended> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Ended::with(Exit::CannotCreate, e))?;
        runtime.block_on(async {
            let client = self.connect().await?;
            let mut session = Session { client };
            let said = talk(&mut session).await;
            session.client.close().await;
            said
        })
    }

    /// Names for the notation: a participant is called like its certificate's file.
    pub(super) fn names(&self) -> Result<Names, Ended> {
        let mut names = Names::new();
        // What a line leaves to the time, as a deposit's value date, is of today.
        names.learn(&tick(wall_now()).frame().expect("a tick is a frame"));
        for participant in &self.exchange()?.participants {
            let stem = participant.certificates.first().and_then(|path| path.file_stem());
            if let Some(name) = stem.and_then(|stem| stem.to_str()) {
                names.name_participant(name, ParticipantId(participant.number));
            }
        }
        Ok(names)
    }

    /// The configuration's file, if one was named.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        self.config.clone()
    }

    /// The exchange's configuration.
    fn exchange(&self) -> Result<Config, Ended> {
        Ok(Config::of_file(self.config.as_deref())?)
    }

    fn client_config(&self) -> Result<xq_client::Config, Ended> {
        let config = self.exchange()?;
        let folder = config.server.authority.parent().unwrap_or(Path::new("."));
        let cert = folder.join(format!("{}.pem", self.name));
        let number = self.participant.or_else(|| number_of(&config, &self.name));
        let session = number.and_then(|number| SessionId::of(ParticipantId(number), self.slot));
        let Some(session) = session else {
            let error = anyhow::anyhow!(
                "`{}`: no participant of the configuration has such a certificate; give --participant, and a --slot below 16",
                self.name
            );
            return Err(Ended::with(Exit::Usage, error));
        };
        let addr = self.address.unwrap_or_else(|| config.listen());
        Ok(xq_client::Config {
            addr,
            server_name: "localhost".to_owned(),
            ca: config.server.authority.clone(),
            key: cert.with_extension("key"),
            cert,
            session,
            resume: None,
            mtu: None,
        })
    }
}

fn number_of(config: &Config, name: &str) -> Option<u32> {
    let bears = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem == name);
    let participant = config
        .participants
        .iter()
        .find(|p| p.certificates.iter().any(bears));
    participant.map(|participant| participant.number)
}

fn failed(error: ClientError) -> Ended {
    Ended::with(Exit::Refused, error)
}

impl Session {
    /// The client that keeps it up.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Says one command, prints everything that follows from it, and tells how it ended.
    pub(super) async fn say(&mut self, command: &Command<'_>, names: &mut Names) -> Result<Outcome, Ended> {
        let number = send(&self.client, command).await.map_err(failed)?;
        let mut outcome = Outcome::Done;
        loop {
            match self.client.next_event().await.map_err(failed)? {
                Report::Event { frame, .. } if frame.header().req_seq == number => {
                    show(&frame, names)?;
                    match frame.event() {
                        Ok(Event::Rejected(rejected)) => {
                            outcome = Outcome::Refused;
                            explain(rejected.code)?;
                        }
                        Ok(Event::OrderAccepted(accepted)) => {
                            say::line(format_args!("    # its number is {}", accepted.order.0))?;
                        }
                        Ok(_) | Err(_) => {}
                    }
                    if frame.header().is_last() {
                        return Ok(outcome);
                    }
                }
                Report::Refused(rejected) if rejected.req_seq == number => {
                    let reason = RejectReason::from_code(rejected.code);
                    let reason = reason.map_or_else(String::new, |r| r.to_string());
                    say::line(format_args!("    refused at the door: {reason}"))?;
                    explain(rejected.code)?;
                    return Ok(Outcome::Refused);
                }
                Report::Down(error) if !error.is_passing() => return Err(failed(error)),
                Report::Event { .. }
                | Report::Missed { .. }
                | Report::Refused(_)
                | Report::Up(_)
                | Report::Down(_) => {}
            }
        }
    }
}

/// What a reject means, in a sentence.
fn explain(code: RejectCode) -> Result<(), Ended> {
    match RejectReason::from_code(code) {
        Some(reason) => Ok(say::line(format_args!("    # {}", reason.text()))?),
        None => Ok(()),
    }
}

fn show(frame: &EventFrame, names: &mut Names) -> Result<(), Ended> {
    if let Ok(event) = frame.frame() {
        names.learn(&event);
        say::line(format_args!(
            "{} {}",
            event.header.seq,
            print_event(&event, names)
        ))?;
    }
    Ok(())
}

/// Sends any command that a client may; the client's method is one for each message.
async fn send(client: &Client, command: &Command<'_>) -> Result<ReqSeq, ClientError> {
    match command {
        Command::Genesis(c) => client.send(*c).await,
        Command::Tick(c) => client.send(*c).await,
        Command::RollDay(c) => client.send(*c).await,
        Command::SessionUp(c) => client.send(*c).await,
        Command::SessionDown(c) => client.send(*c).await,
        Command::AllSessionsDown(c) => client.send(*c).await,
        Command::SetConfig(c) => client.send(*c).await,
        Command::SetKey(c) => client.send(*c).await,
        Command::SetRules(c) => client.send(*c).await,
        Command::Approve(c) => client.send(*c).await,
        Command::KillSwitch(c) => client.send(*c).await,
        Command::RegisterParticipant(c) => client.send(*c).await,
        Command::OpenAccount(c) => client.send(*c).await,
        Command::SetRiskLimits(c) => client.send(*c).await,
        Command::SetFeeSchedule(c) => client.send(*c).await,
        Command::SetInstrument(c) => client.send(*c).await,
        Command::SetPhase(c) => client.send(*c).await,
        Command::DraftSeries(c) => client.send(*c).await,
        Command::PostEscrow(c) => client.send(*c).await,
        Command::RegisterSeries(c) => client.send(*c).await,
        Command::IssueUnits(c) => client.send(*c).await,
        Command::CreditCash(c) => client.send(*c).await,
        Command::TransferUnits(c) => client.send(*c).await,
        Command::SetFreeze(c) => client.send(*c).await,
        Command::PlaceOrder(c) => client.send(*c).await,
        Command::PlaceExtendedOrder(c) => client.send(*c).await,
        Command::CancelOrder(c) => client.send(*c).await,
        Command::ReplaceOrder(c) => client.send(*c).await,
        Command::MassCancel(c) => client.send(*c).await,
        Command::SetDynamicCollar(c) => client.send(*c).await,
        Command::SetMmp(c) => client.send(*c).await,
        Command::SetExposureLimits(c) => client.send(*c).await,
        Command::MassQuote(c) => client.send(*c).await,
        Command::ResetMmp(c) => client.send(*c).await,
        Command::QueryLimits(c) => client.send(*c).await,
        Command::BustTrade(c) => client.send(*c).await,
    }
}
