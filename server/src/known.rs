//! What the journal says of configuration, participants and keys: kept from its events, compared with the TOML at start.

use std::collections::BTreeMap;
use xq_protocol::{Command, Event, Frame, Genesis, Hash, KeyState, Message, ParticipantId, Role, SetConfig};

/// Configuration, participants and keys as the journal has them.
#[derive(Clone, Debug, Default)]
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
