//! What the journal says of configuration, participants and keys: kept from its events, compared with the TOML at start.

use std::collections::BTreeMap;
use xq_protocol::{Command, Event, Frame, Genesis, Hash, KeyState, Message, ParticipantId, Role, SetConfig};
use zerocopy::{IntoBytes, TryFromBytes};

/// Configuration, participants and keys as the journal has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The journal's first record.
    pub genesis: Option<Genesis>,
    /// The configuration in force.
    pub config: Option<SetConfig>,
    /// Roles.
    pub participants: BTreeMap<ParticipantId, Role>,
    /// Keys by the SHA-256 of their certificate.
    pub keys: BTreeMap<(ParticipantId, Hash), KeyState>,
}

impl Known {
    /// Takes note of a command: of Genesis, whose capacities no event repeats.
    pub fn note_command(&mut self, frame: &Frame<'_>) {
        if self.genesis.is_some() {
            return;
        }
        if let Ok(Command::Genesis(genesis)) = frame.command() {
            self.genesis = Some(*genesis);
            self.config = Some(config_of(genesis));
        }
    }

    /// Takes note of an event.
    pub fn note_event(&mut self, frame: &Frame<'_>) {
        use xq_protocol::{ConfigSet, KeySet, ParticipantRegistered};
        let wanted = [
            ConfigSet::TEMPLATE,
            KeySet::TEMPLATE,
            ParticipantRegistered::TEMPLATE,
        ];
        if !wanted.contains(&frame.header.template_id) {
            return;
        }
        match frame.event() {
            Ok(Event::ConfigSet(set)) => {
                self.config = Some(SetConfig {
                    participants_max: set.participants_max,
                    accounts_max: set.accounts_max,
                    series_max: set.series_max,
                    balances_max: set.balances_max,
                    orders_max: set.orders_max,
                    sessions_max: set.sessions_max,
                    level_pages_max: set.level_pages_max,
                    bank_refs_max: set.bank_refs_max,
                    proposal_ttl: set.proposal_ttl,
                    reopen_after: set.reopen_after,
                    disconnect_grace: set.disconnect_grace,
                });
            }
            Ok(Event::KeySet(key)) => {
                self.keys.insert((key.participant, key.fingerprint), key.state);
            }
            Ok(Event::ParticipantRegistered(registered)) => {
                self.participants.insert(registered.participant, registered.role);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

impl Known {
    /// As one piece; the same knowledge gives the same bytes.
    pub fn save(&self) -> Vec<u8> {
        let Known {
            genesis,
            config,
            participants,
            keys,
        } = self;
        let mut piece = Vec::new();
        let mut row = |kind: u8, bytes: &[u8]| {
            piece.push(kind);
            piece.extend_from_slice(&u16::try_from(bytes.len()).expect("rows are short").to_le_bytes());
            piece.extend_from_slice(bytes);
        };
        if let Some(genesis) = genesis {
            row(GENESIS, genesis.as_bytes());
        }
        if let Some(config) = config {
            row(CONFIG, config.as_bytes());
        }
        for (participant, role) in participants {
            row(ROLE, &[&participant.0.to_le_bytes()[..], &[role.byte()]].concat());
        }
        for ((participant, fingerprint), state) in keys {
            let participant = participant.0.to_le_bytes();
            row(KEY, &[&participant[..], &fingerprint.0, &[state.byte()]].concat());
        }
        piece
    }

    /// From such a piece; none when it is anything else.
    pub fn restored(piece: &[u8]) -> Option<Known> {
        let (mut known, mut rest) = (Known::default(), piece);
        while let Some((kind, after)) = rest.split_first() {
            let (length, after) = after.split_first_chunk::<2>()?;
            let (row, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
            known.restore_row(*kind, row)?;
            rest = after;
        }
        Some(known)
    }

    fn restore_row(&mut self, kind: u8, row: &[u8]) -> Option<()> {
        match kind {
            GENESIS => self.genesis = Some(Genesis::try_read_from_bytes(row).ok()?),
            CONFIG => self.config = Some(SetConfig::try_read_from_bytes(row).ok()?),
            ROLE => {
                let (participant, role) = row.split_first_chunk::<4>()?;
                let [role] = role.try_into().ok()?;
                let participant = ParticipantId(u32::from_le_bytes(*participant));
                self.participants.insert(participant, Role::from_byte(role)?);
            }
            KEY => {
                let (participant, row) = row.split_first_chunk::<4>()?;
                let (fingerprint, state) = row.split_first_chunk::<32>()?;
                let [state] = state.try_into().ok()?;
                let key = (
                    ParticipantId(u32::from_le_bytes(*participant)),
                    Hash(*fingerprint),
                );
                self.keys.insert(key, KeyState::from_byte(state)?);
            }
            _ => return None,
        }
        Some(())
    }
}

/// Kinds of rows of what is saved.
const GENESIS: u8 = 1;
const CONFIG: u8 = 2;
const ROLE: u8 = 3;
const KEY: u8 = 4;

/// The part of Genesis that can change later.
pub fn config_of(genesis: &Genesis) -> SetConfig {
    SetConfig {
        participants_max: genesis.participants_max,
        accounts_max: genesis.accounts_max,
        series_max: genesis.series_max,
        balances_max: genesis.balances_max,
        orders_max: genesis.orders_max,
        sessions_max: genesis.sessions_max,
        level_pages_max: genesis.level_pages_max,
        bank_refs_max: genesis.bank_refs_max,
        proposal_ttl: genesis.proposal_ttl,
        reopen_after: genesis.reopen_after,
        disconnect_grace: genesis.disconnect_grace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use xq_protocol::JournalId;

    #[test]
    fn what_is_saved_is_restored_and_nothing_else() {
        let genesis = crate::opening::genesis(&Config::defaults().exchange, JournalId([1; 16]));
        let mut known = Known {
            genesis: Some(genesis),
            config: Some(config_of(&genesis)),
            ..Known::default()
        };
        known.participants.insert(ParticipantId(7), Role::Bank);
        known
            .keys
            .insert((ParticipantId(7), Hash([2; 32])), KeyState::Revoked);
        let piece = known.save();
        assert_eq!(Known::restored(&piece).as_ref(), Some(&known));
        assert_eq!(Known::restored(&[]), Some(Known::default()));
        let whole = (1..piece.len())
            .filter(|end| Known::restored(&piece[..*end]).is_some())
            .count();
        assert_eq!(
            whole, 3,
            "cut between rows it is a shorter one, cut within a row none"
        );
        assert_eq!(Known::restored(&[9, 0, 0]), None);
    }
}
