//! All that follows from the commands and is kept in memory: the exchange, and what the server knows beside it; as a
//! snapshot, and back.

use crate::exit::{Failure, check_rules};
use crate::known::Known;
use crate::quarantine::Quarantine;
use std::sync::Arc;
use xq_engine::{BadSnapshot, Events, Exchange, Restoring, SectionKind};
use xq_gateway::{BadRegister, BadTradings, Begun, Register, Tradings};
use xq_journal::{Error, Snapshot, SnapshotHead, Start, Storage, snapshots};
use xq_protocol::{Frame, JournalId, Nanos, Seq};

/// Kinds of sections beside the engine's, which count from 1.
const KNOWN: u32 = 1_001;
const REGISTER: u32 = 2_001;
const TRADINGS: u32 = 2_002;

/// What takes sections, each with its kind.
pub(crate) type Put<'a, E> = dyn FnMut(u32, &[u8]) -> Result<(), E> + 'a;

/// Everything up to one command.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) exchange: Exchange,
    pub(crate) known: Known,
    pub(crate) register: Register,
    pub(crate) tradings: Tradings,
    /// Commands that are set aside; no part of a snapshot.
    pub(crate) quarantine: Arc<Quarantine>,
}

/// Why a snapshot is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("{file}: {source}")]
    Engine { file: String, source: BadSnapshot },
    #[error("{file}: {source}")]
    Register { file: String, source: BadRegister },
    #[error("{file}: {source}")]
    Tradings { file: String, source: BadTradings },
    #[error("{file}: section of kind {kind} is unknown or damaged")]
    Section { file: String, kind: u32 },
}

impl State {
    /// Executes a command, or refuses it when it is set aside; what follows from it is left in `events`.
    ///
    /// # Errors
    /// [`Failure::Quarantine`]: it is set aside, and not by whom it may be; [`Failure::NewerRules`].
    pub(crate) fn apply(&mut self, seq: Seq, frame: &Frame<'_>, events: &mut Events) -> Result<(), Failure> {
        self.known.note_command(frame);
        match self.quarantine.holds(seq, frame, &self.known)? {
            true => self.exchange.set_aside(seq, frame, events),
            false => self.exchange.apply(seq, frame, events),
        }
        for event in events.frames() {
            let event = event.frame().expect("the exchange writes whole events");
            self.known.note_event(&event);
            self.tradings.watch(&event);
        }
        check_rules(&self.exchange)
    }

    /// Counts what is told of the events in hand, as the gateway does.
    pub(crate) fn watch(&mut self, events: &Events) {
        for event in events.frames() {
            self.register
                .watch(&event.frame().expect("the exchange writes whole events"));
        }
    }

    /// Puts all of it, section by section, each with its kind; the same state gives the same bytes.
    ///
    /// # Errors
    /// What `put` answers; it is not called again then.
    pub(crate) fn save<E>(&self, put: &mut Put<'_, E>) -> Result<(), E> {
        let State {
            exchange,
            known,
            register,
            tradings,
            quarantine: _,
        } = self;
        exchange.save(&mut |kind, bytes| put(kind.number(), bytes))?;
        put(KNOWN, &known.save())?;
        register.save(&mut |piece| put(REGISTER, piece))?;
        tradings.save(&mut |piece| put(TRADINGS, piece))
    }

    /// How a snapshot differs from this state, if it does.
    pub(crate) fn difference(&self, snapshot: &Snapshot) -> Option<String> {
        let (mut there, mut number) = (snapshot.sections(), 0);
        let compared = self.save(&mut |kind, bytes| {
            let is_equal = there.next() == Some((kind, bytes));
            number += 1;
            match is_equal {
                true => Ok(()),
                false => Err(format!(
                    "its section {number}, which should be of kind {kind}, differs"
                )),
            }
        });
        let is_longer = there.next().is_some();
        compared
            .err()
            .or_else(|| is_longer.then(|| format!("it has more than {number} sections")))
    }

    /// From a snapshot all of whose bytes were verified.
    pub(crate) fn restored(snapshot: &Snapshot) -> Result<State, Unusable> {
        let file = || snapshot.name().to_owned();
        let engine = |source| Unusable::Engine { file: file(), source };
        let (mut restoring, mut known) = (Restoring::new(), None);
        let (mut register, mut tradings) = (Register::default(), Tradings::default());
        for (kind, bytes) in snapshot.sections() {
            if let Some(kind) = SectionKind::from_number(kind) {
                restoring.section(kind, bytes).map_err(engine)?;
                continue;
            }
            let taken = match kind {
                KNOWN => {
                    known = Known::restored(bytes);
                    known.is_some()
                }
                REGISTER => {
                    let taken = register.restore(bytes);
                    taken.map_err(|source| Unusable::Register { file: file(), source })?;
                    true
                }
                TRADINGS => {
                    let taken = tradings.restore(bytes);
                    taken.map_err(|source| Unusable::Tradings { file: file(), source })?;
                    true
                }
                _ => false,
            };
            if !taken {
                return Err(Unusable::Section { file: file(), kind });
            }
        }
        let exchange = restoring.finish().map_err(engine)?;
        let right = exchange.last_seq() == snapshot.head().start.seq;
        match known.filter(|_| right) {
            Some(known) => Ok(State {
                exchange,
                known,
                register,
                tradings,
                quarantine: Arc::default(),
            }),
            None => Err(Unusable::Section {
                file: file(),
                kind: KNOWN,
            }),
        }
    }

    /// What the gateway begins with when its source stands behind this.
    pub(crate) fn begun(&mut self) -> Begun {
        Begun {
            register: std::mem::take(&mut self.register),
            covered: self.exchange.last_seq(),
        }
    }
}

/// In which order snapshots are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    NewestFirst,
    OldestFirst,
}

/// Which snapshots are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Any,
    /// Those that cover no command after this one.
    UpTo(Seq),
    /// Those whose last command came before this instant.
    Before(Nanos),
}

/// A snapshot that can be used.
pub(crate) struct Found<T> {
    pub(crate) head: SnapshotHead,
    pub(crate) state: State,
    /// What whoever looked for it made of it.
    pub(crate) accepted: T,
}

/// What a search found.
pub(crate) struct Searched<T> {
    pub(crate) found: Option<Found<T>>,
    /// The last command of the newest that is whole and cannot be used: its commands were durable all the same.
    pub(crate) unused: Option<Seq>,
}

/// The first snapshot that can be used, is wanted, and is accepted by `accept`; each that cannot be used is told of in
/// the log.
///
/// # Errors
/// Those of the disk, and what `accept` refuses for another reason than that the events do not reach so far.
pub(crate) fn usable<T>(
    storage: &Arc<dyn Storage>,
    id: JournalId,
    (order, wanted): (Order, Wanted),
    mut accept: impl FnMut(&Start) -> Result<T, Failure>,
) -> Result<Searched<T>, Failure> {
    let (mut there, mut unused) = (snapshots(&**storage)?, None);
    if order == Order::OldestFirst {
        there.reverse();
    }
    let passed_over = |seq: Seq, why: &dyn std::fmt::Display| {
        tracing::warn!(seq = seq.0, error = %why, "a snapshot cannot be used: another is tried");
    };
    for seq in there {
        if matches!(wanted, Wanted::UpTo(last) if seq > last) {
            continue;
        }
        let snapshot = match Snapshot::open(&**storage, seq, Some(id)) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                passed_over(seq, &error);
                continue;
            }
        };
        if matches!(wanted, Wanted::Before(time) if snapshot.head().time_ns >= time.0) {
            continue;
        }
        match used(&snapshot, &mut accept)? {
            Ok(found) => {
                let found = Some(found);
                return Ok(Searched { found, unused });
            }
            Err(why) => {
                passed_over(seq, &why);
                unused = unused.max(Some(seq));
            }
        }
    }
    Ok(Searched { found: None, unused })
}

/// The state of a whole snapshot, or why it cannot be used.
fn used<T>(
    snapshot: &Snapshot,
    accept: &mut impl FnMut(&Start) -> Result<T, Failure>,
) -> Result<Result<Found<T>, String>, Failure> {
    let accepted = match accept(&snapshot.head().start) {
        Ok(accepted) => accepted,
        Err(Failure::Journal(error @ Error::NotCovered { .. })) => return Ok(Err(error.to_string())),
        Err(other) => return Err(other),
    };
    Ok(match State::restored(snapshot) {
        Ok(state) => Ok(Found {
            head: *snapshot.head(),
            state,
            accepted,
        }),
        Err(unusable) => Err(unusable.to_string()),
    })
}

/// What the snapshots of a folder are worth by themselves, the oldest first: the command that each covers, and why it is
/// refused, if it is.
///
/// # Errors
/// Those of the disk.
pub(crate) fn examined(
    storage: &Arc<dyn Storage>,
    id: JournalId,
) -> Result<Vec<(Seq, Option<Error>)>, Failure> {
    let there = snapshots(&**storage)?.into_iter().rev();
    Ok(there
        .map(|seq| (seq, Snapshot::open(&**storage, seq, Some(id)).err()))
        .collect())
}
