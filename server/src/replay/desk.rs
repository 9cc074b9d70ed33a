//! Sessions of the configured participants: their keys, and one command at a time with its answer.

use super::ReplayError;
use crate::config::{Config, Participant};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use xq_client::{Client, Report};
use xq_protocol::{Event, Message, ParticipantId, Rejected, Role, SessionId};

/// Of a participant's sixteen sessions, the one that replays use: others stay as they are.
const SLOT: u32 = 14;

/// Whose keys lie where, and where the exchange is.
pub struct Keyring<'a> {
    /// Participants and their certificates.
    pub config: &'a Config,
    /// Where the exchange listens.
    pub address: SocketAddr,
    /// The folder of the keys, where it is not the configuration's.
    pub folder: Option<PathBuf>,
}

impl Keyring<'_> {
    /// The first participant of a role that has a certificate.
    pub fn first(&self, role: Role) -> Option<&Participant> {
        self.config
            .participants
            .iter()
            .find(|guest| guest.role() == role && !guest.certificates.is_empty())
    }

    fn path(&self, configured: &Path) -> PathBuf {
        match (&self.folder, configured.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            (Some(_), None) | (None, _) => configured.to_owned(),
        }
    }

    /// What a client needs to speak for a participant: its key lies beside its certificate, as `NAME.key`.
    pub fn client(&self, guest: &Participant) -> Option<xq_client::Config> {
        let cert = self.path(guest.certificates.first()?);
        Some(xq_client::Config {
            addr: self.address,
            server_name: "localhost".to_owned(),
            ca: self.path(&self.config.server.authority),
            key: cert.with_extension("key"),
            cert,
            session: SessionId::of(ParticipantId(guest.number), SLOT)?,
            resume: None,
            mtu: None,
        })
    }
}

/// A session that says one thing at a time.
pub(super) struct Desk {
    who: String,
    client: Client,
}

impl Desk {
    pub async fn open(keyring: &Keyring<'_>, role: Role, nobody: &'static str) -> Result<Desk, ReplayError> {
        let guest = keyring.first(role).ok_or(ReplayError::Nobody(nobody))?;
        let config = keyring.client(guest).ok_or(ReplayError::Nobody(nobody))?;
        let who = format!("{role} {} at {}", guest.number, config.addr);
        match Client::connect(config).await {
            Ok(client) => Ok(Desk { who, client }),
            Err(error) => Err(ReplayError::Client { who, error }),
        }
    }

    /// Says a command and hears its outcome: done, or why not.
    pub async fn ask<M: Message>(&mut self, command: &M) -> Result<Result<(), Rejected>, ReplayError> {
        let lost = |error| ReplayError::Client {
            who: self.who.clone(),
            error,
        };
        let number = self.client.send(command).await.map_err(lost)?;
        loop {
            let report = self.client.next_event().await.map_err(lost)?;
            let mine = report.req_seq() == number;
            match report {
                Report::Event { frame, .. } if mine => match frame.event() {
                    Ok(Event::Rejected(rejected)) => return Ok(Err(*rejected)),
                    Ok(_) | Err(_) if frame.header().is_last() => return Ok(Ok(())),
                    Ok(_) | Err(_) => {}
                },
                Report::Refused(refused) if mine => {
                    let what = format!("a command of the {}", self.who);
                    return Err(ReplayError::Refused {
                        what,
                        why: reason(refused.code),
                    });
                }
                Report::Down(error) if !error.is_passing() => return Err(lost(error)),
                Report::Up(_)
                | Report::Event { .. }
                | Report::Missed { .. }
                | Report::Refused(_)
                | Report::Down(_) => {}
            }
        }
    }

    /// Says a command that must be done.
    pub async fn tell<M: Message>(&mut self, what: &str, command: &M) -> Result<(), ReplayError> {
        self.ask(command).await?.map_err(|rejected| ReplayError::Refused {
            what: what.to_owned(),
            why: rejected.to_string(),
        })
    }

    pub async fn close(self) {
        self.client.close().await;
    }
}

/// A reject code in words.
pub(super) fn reason(code: xq_protocol::RejectCode) -> String {
    match xq_protocol::RejectReason::from_code(code) {
        Some(reason) => format!("{reason}: {}", reason.text()),
        None => format!("R{code}"),
    }
}
