//! The first commands of a start: Genesis for a new journal, else the end of all sessions, and what the TOML adds.

use crate::config::{Exchange, Participant};
use crate::exit::Failure;
use crate::known::{Known, config_of};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use xq_engine::RULES_VERSION;
use xq_protocol::{
    AllSessionsDown, CommandFrame, Count, Currencies, Currency, Genesis, Hash, Header, JournalId, KeyPurpose,
    KeyState, Message, Nanos, ParticipantId, RegisterParticipant, Reserved, SetConfig, SetKey,
};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// A participant with the fingerprints of its certificates.
#[derive(Clone, Debug)]
pub struct Guest {
    number: ParticipantId,
    role: xq_protocol::Role,
    keys: Vec<Hash>,
}

/// Reads the certificates of the configured participants.
///
/// # Errors
/// [`Failure::Configuration`], naming the file.
pub fn guests(participants: &[Participant]) -> Result<Vec<Guest>, Failure> {
    participants
        .iter()
        .map(|participant| {
            let keys = participant.certificates.iter().map(|path| fingerprint(path));
            Ok(Guest {
                number: ParticipantId(participant.number),
                role: participant.role(),
                keys: keys.collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

/// SHA-256 of the first certificate in a PEM file.
///
/// # Errors
/// [`Failure::Configuration`], naming the file.
pub fn fingerprint(path: &Path) -> Result<Hash, Failure> {
    let certificate = CertificateDer::from_pem_file(path)
        .map_err(|e| Failure::Configuration(format!("certificate {}: {e}", path.display())))?;
    Ok(xq_gateway::fingerprint_of(&certificate))
}

/// Genesis as the configuration describes it.
pub fn genesis(exchange: &Exchange, journal_id: JournalId) -> Genesis {
    let mut currencies = [Currency::ZERO; 8];
    for (place, code) in currencies.iter_mut().zip(&exchange.currencies) {
        *place = Currency::from_code(code).expect("a checked configuration holds known currencies");
    }
    Genesis {
        journal_id,
        rules_version: Count(RULES_VERSION),
        participants_max: Count(exchange.participants_max),
        accounts_max: Count(exchange.accounts_max),
        series_max: Count(exchange.series_max),
        balances_max: Count(exchange.balances_max),
        orders_max: Count(exchange.orders_max),
        sessions_max: Count(exchange.sessions_max),
        level_pages_max: Count(exchange.level_pages_max),
        proposals_max: Count(exchange.proposals_max),
        bank_refs_max: Count(exchange.bank_refs_max),
        proposal_ttl: Nanos(exchange.proposal_ttl_s * SECOND),
        reopen_after: Nanos(exchange.reopen_after_ms * MILLISECOND),
        disconnect_grace: Nanos(exchange.disconnect_grace_ms * MILLISECOND),
        currencies: Currencies(currencies),
    }
}

/// The commands that a start journals before anyone is let in.
///
/// # Errors
/// [`Failure::Configuration`], naming the key, when the TOML asks for less than the journal has, or for something else.
pub fn commands(
    exchange: &Exchange,
    guests: &[Guest],
    known: &Known,
    (journal_id, now): (JournalId, Nanos),
) -> Result<Vec<CommandFrame>, Failure> {
    let mut first = Commands {
        now,
        frames: Vec::new(),
    };
    let wanted = genesis(exchange, journal_id);
    match &known.genesis {
        None => first.push(&wanted),
        Some(genesis) => {
            first.push(&AllSessionsDown {});
            fixed_since_genesis(genesis, &wanted)?;
            let (now, wanted) = (known.config.unwrap_or(config_of(genesis)), config_of(&wanted));
            if only_enlarges(&now, &wanted)? {
                first.push(&wanted);
            }
        }
    }
    for guest in guests {
        welcome(&mut first, guest, known)?;
    }
    Ok(first.frames)
}

struct Commands {
    now: Nanos,
    frames: Vec<CommandFrame>,
}

impl Commands {
    fn push<M: Message>(&mut self, command: &M) {
        let header = Header {
            time: self.now,
            ..Header::default()
        };
        self.frames.push(CommandFrame::new(header, command));
    }
}

/// The end of all sessions, as one frame: what a clean stop journals last.
pub fn all_sessions_down(now: Nanos) -> CommandFrame {
    let mut last = Commands {
        now,
        frames: Vec::new(),
    };
    last.push(&AllSessionsDown {});
    last.frames[0]
}

fn fixed_since_genesis(genesis: &Genesis, wanted: &Genesis) -> Result<(), Failure> {
    let refuse = |key: &str| {
        Err(Failure::Configuration(format!(
            "`exchange.{key}` differs from the journal's first record, and is fixed since then"
        )))
    };
    if genesis.currencies != wanted.currencies {
        return refuse("currencies");
    }
    if genesis.proposals_max != wanted.proposals_max {
        return refuse("proposals_max");
    }
    Ok(())
}

/// Whether `wanted` has more somewhere, and less nowhere.
fn only_enlarges(now: &SetConfig, wanted: &SetConfig) -> Result<bool, Failure> {
    let count = |count: Count| u64::from(count.0);
    let rows = [
        (
            "participants_max",
            count(now.participants_max),
            count(wanted.participants_max),
        ),
        (
            "accounts_max",
            count(now.accounts_max),
            count(wanted.accounts_max),
        ),
        ("series_max", count(now.series_max), count(wanted.series_max)),
        (
            "balances_max",
            count(now.balances_max),
            count(wanted.balances_max),
        ),
        ("orders_max", count(now.orders_max), count(wanted.orders_max)),
        (
            "sessions_max",
            count(now.sessions_max),
            count(wanted.sessions_max),
        ),
        (
            "level_pages_max",
            count(now.level_pages_max),
            count(wanted.level_pages_max),
        ),
        (
            "bank_refs_max",
            count(now.bank_refs_max),
            count(wanted.bank_refs_max),
        ),
        (
            "proposal_ttl_s",
            now.proposal_ttl.0 / SECOND,
            wanted.proposal_ttl.0 / SECOND,
        ),
        (
            "reopen_after_ms",
            now.reopen_after.0 / MILLISECOND,
            wanted.reopen_after.0 / MILLISECOND,
        ),
        (
            "disconnect_grace_ms",
            now.disconnect_grace.0 / MILLISECOND,
            wanted.disconnect_grace.0 / MILLISECOND,
        ),
    ];
    if let Some((key, now, wanted)) = rows.iter().find(|(_, now, wanted)| wanted < now) {
        return Err(Failure::Configuration(format!(
            "`exchange.{key}` = {wanted}: the journal says {now}, and a start may only enlarge it"
        )));
    }
    Ok(rows.iter().any(|(_, now, wanted)| wanted > now))
}

fn welcome(first: &mut Commands, guest: &Guest, known: &Known) -> Result<(), Failure> {
    let number = guest.number;
    match known.participants.get(&number) {
        None => first.push(&RegisterParticipant {
            participant: number,
            role: guest.role,
            reserved: Reserved::ZERO,
            reference: Hash::ZERO,
        }),
        Some(role) if *role == guest.role => {}
        Some(role) => {
            return Err(Failure::Configuration(format!(
                "participant {number}: role {} is configured, the journal says {role}",
                guest.role
            )));
        }
    }
    for key in &guest.keys {
        match known.keys.get(&(number, *key)) {
            Some(KeyState::Valid) => {}
            Some(KeyState::Revoked) => {
                return Err(Failure::Configuration(format!(
                    "participant {number}: the certificate with fingerprint {key} was revoked by order of the journal"
                )));
            }
            None => first.push(&SetKey {
                participant: number,
                purpose: KeyPurpose::Session,
                state: KeyState::Valid,
                reserved: Reserved::ZERO,
                fingerprint: *key,
            }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use xq_protocol::{Command, Role};

    const ID: JournalId = JournalId([7; 16]);

    fn known_from(exchange: &Exchange) -> Known {
        let genesis = genesis(exchange, ID);
        Known {
            config: Some(config_of(&genesis)),
            genesis: Some(genesis),
            ..Known::default()
        }
    }

    fn said(exchange: &Exchange, guests: &[Guest], known: &Known) -> Result<Vec<u16>, String> {
        commands(exchange, guests, known, (ID, Nanos(5)))
            .map(|frames| frames.iter().map(|f| f.header().template_id).collect())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_new_journal_begins_with_genesis_and_the_configured_participants() {
        let exchange = Config::defaults().exchange;
        let guest = Guest {
            number: ParticipantId(3),
            role: Role::Bank,
            keys: vec![Hash([1; 32])],
        };
        let frames = commands(&exchange, &[guest], &Known::default(), (ID, Nanos(5))).expect("it is right");
        let view = |i: usize| frames[i].frame().expect("a frame").command().expect("a command");
        assert!(
            matches!(view(0), Command::Genesis(g) if g.journal_id == ID && g.currencies.0[0] == Currency(156))
        );
        assert!(
            matches!(view(1), Command::RegisterParticipant(p) if p.participant.0 == 3 && p.role == Role::Bank)
        );
        assert!(matches!(view(2), Command::SetKey(k) if k.fingerprint == Hash([1; 32])));
        assert!(
            frames
                .iter()
                .all(|f| f.header().time == Nanos(5) && f.header().session.is_zero())
        );
    }

    #[test]
    fn a_later_start_ends_all_sessions_enlarges_and_refuses_less_by_name() {
        let mut exchange = Config::defaults().exchange;
        let known = known_from(&exchange);
        assert_eq!(said(&exchange, &[], &known), Ok(vec![AllSessionsDown::TEMPLATE]));
        exchange.orders_max += 1;
        let both = vec![AllSessionsDown::TEMPLATE, SetConfig::TEMPLATE];
        assert_eq!(said(&exchange, &[], &known), Ok(both));
        exchange.reopen_after_ms -= 1;
        let refusal = said(&exchange, &[], &known).expect_err("less");
        assert!(
            refusal.contains("`exchange.reopen_after_ms` = 9999: the journal says 10000"),
            "{refusal}"
        );
        let mut other = Config::defaults().exchange;
        other.currencies = vec!["EUR".to_owned()];
        assert!(
            said(&other, &[], &known)
                .expect_err("fixed")
                .contains("exchange.currencies")
        );
    }

    #[test]
    fn a_known_participant_keeps_its_role_and_a_revoked_key_stays_revoked() {
        let exchange = Config::defaults().exchange;
        let mut known = known_from(&exchange);
        known.participants.insert(ParticipantId(3), Role::Bank);
        let mut guest = Guest {
            number: ParticipantId(3),
            role: Role::Bank,
            keys: vec![Hash([1; 32])],
        };
        let with_key = vec![AllSessionsDown::TEMPLATE, SetKey::TEMPLATE];
        assert_eq!(
            said(&exchange, std::slice::from_ref(&guest), &known),
            Ok(with_key)
        );
        known
            .keys
            .insert((ParticipantId(3), Hash([1; 32])), KeyState::Revoked);
        let refusal = said(&exchange, std::slice::from_ref(&guest), &known).expect_err("revoked");
        assert!(refusal.contains("participant 3") && refusal.contains("revoked"));
        guest.role = Role::Trader;
        let refusal = said(&exchange, &[guest], &known).expect_err("another role");
        assert!(
            refusal.contains("role trader is configured, the journal says bank"),
            "{refusal}"
        );
    }
}
