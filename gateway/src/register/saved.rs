//! The register as bytes and back: keys, roles, and what each session was told, each in the order of its number.

use super::{Register, SessionRecord};
use crate::told::{Mark, Told};
use xq_protocol::{ConnectionId, Hash, JournalId, ParticipantId, Role, Seq, SessionId};

/// Bytes after which a piece is put: a session's marks, at most 1.2 MiB, are never divided.
const PIECE: usize = 4 << 20;
const KEY: u8 = 1;
const ROLE: u8 = 2;
const SESSION: u8 = 3;
const JOURNAL: u8 = 4;

/// Bytes that are no register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the register of sessions, keys and roles cannot be read at byte {at} of a piece")]
pub struct BadRegister {
    /// Where.
    pub at: usize,
}

impl Register {
    /// Puts everything, piece by piece; the same register gives the same bytes.
    ///
    /// # Errors
    /// What `put` answers.
    pub fn save<E>(&self, put: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Register {
            keys,
            roles,
            sessions,
            journal,
        } = self;
        let mut piece = vec![JOURNAL];
        piece.extend_from_slice(&journal.0);
        let mut keys: Vec<_> = keys.iter().collect();
        keys.sort_unstable();
        for (fingerprint, participant) in keys {
            piece.push(KEY);
            piece.extend_from_slice(&fingerprint.0);
            piece.extend_from_slice(&participant.0.to_le_bytes());
        }
        let mut roles: Vec<_> = roles.iter().collect();
        roles.sort_unstable();
        for (participant, role) in roles {
            piece.push(ROLE);
            piece.extend_from_slice(&participant.0.to_le_bytes());
            piece.push(role.byte());
        }
        let mut ids: Vec<_> = sessions.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            if piece.len() >= PIECE {
                put(&piece)?;
                piece.clear();
            }
            put_session(&mut piece, id, &sessions[&id]);
        }
        put(&piece)
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// [`BadRegister`]: nothing more is to be made of it.
    pub fn restore(&mut self, piece: &[u8]) -> Result<(), BadRegister> {
        let mut from = Reader { piece, at: 0 };
        while from.at < piece.len() {
            let at = from.at;
            self.restore_one(&mut from).ok_or(BadRegister { at })?;
        }
        Ok(())
    }

    fn restore_one(&mut self, from: &mut Reader<'_>) -> Option<()> {
        let [kind] = from.take()?;
        match kind {
            JOURNAL => self.journal = JournalId(from.take()?),
            KEY => {
                let fingerprint = Hash(from.take()?);
                self.keys.insert(fingerprint, ParticipantId(from.u32()?));
            }
            ROLE => {
                let participant = ParticipantId(from.u32()?);
                let [role] = from.take()?;
                self.roles.insert(participant, Role::from_byte(role)?);
            }
            SESSION => {
                let (id, record) = session(from)?;
                let before = self.sessions.insert(id, record);
                before.is_none().then_some(())?;
            }
            _ => return None,
        }
        Some(())
    }
}

fn put_session(piece: &mut Vec<u8>, id: SessionId, record: &SessionRecord) {
    // Who is connected now, or waits to be, is gone with the process.
    let SessionRecord {
        told,
        link: _,
        connection,
        pending: _,
    } = record;
    let (marks, thinned, (seq, index)) = told.parts();
    piece.push(SESSION);
    piece.extend_from_slice(&id.0.to_le_bytes());
    piece.extend_from_slice(&connection.0.to_le_bytes());
    piece.extend_from_slice(&told.count().to_le_bytes());
    piece.extend_from_slice(&thinned.to_le_bytes());
    piece.extend_from_slice(&seq.0.to_le_bytes());
    piece.extend_from_slice(&index.to_le_bytes());
    piece.extend_from_slice(
        &u32::try_from(marks.len())
            .expect("marks are bounded")
            .to_le_bytes(),
    );
    for Mark { seq, index, number } in marks {
        piece.extend_from_slice(&seq.0.to_le_bytes());
        piece.extend_from_slice(&number.to_le_bytes());
        piece.extend_from_slice(&index.to_le_bytes());
    }
}

fn session(from: &mut Reader<'_>) -> Option<(SessionId, SessionRecord)> {
    let (id, connection, count) = (SessionId(from.u32()?), ConnectionId(from.u64()?), from.u64()?);
    let (thinned, seq, index) = (from.u32()?, Seq(from.u64()?), from.u16()?);
    let mut marks = Vec::new();
    for _ in 0..from.u32()? {
        let (seq, number, index) = (Seq(from.u64()?), from.u64()?, from.u16()?);
        marks.push(Mark { seq, index, number });
    }
    let told = Told::restored(count, marks, (thinned, (seq, index)))?;
    let record = SessionRecord {
        told,
        connection,
        ..SessionRecord::default()
    };
    Some((id, record))
}

struct Reader<'a> {
    piece: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = self.piece.get(self.at..self.at + N)?;
        self.at += N;
        bytes.try_into().ok()
    }
    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xq_protocol::Header;

    fn saved(register: &Register) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let put = &mut |piece: &[u8]| {
            pieces.push(piece.to_vec());
            Ok::<(), ()>(())
        };
        register.save(put).expect("a vector takes all");
        pieces
    }

    fn restored(pieces: &[Vec<u8>]) -> Result<Register, BadRegister> {
        let mut register = Register::default();
        pieces.iter().try_for_each(|piece| register.restore(piece))?;
        Ok(register)
    }

    fn filled() -> Register {
        let mut register = Register {
            journal: JournalId([3; 16]),
            ..Register::default()
        };
        for number in 1..200_u32 {
            register
                .keys
                .insert(Hash([number.to_le_bytes()[0]; 32]), ParticipantId(number));
            register.roles.insert(ParticipantId(number), Role::Trader);
            let record = register.session_mut(SessionId(number * 16));
            record.connection = ConnectionId(number.into());
            for message in 0..u64::from(number) * 300 {
                let header = Header {
                    seq: Seq(1 + message * 7),
                    ..Header::default()
                };
                record.told.counted(&header);
            }
        }
        register
    }

    #[test]
    fn what_is_saved_is_restored_and_goes_on() {
        let mut register = filled();
        let pieces = saved(&register);
        let mut again = restored(&pieces).expect("it was saved");
        assert_eq!(saved(&again), pieces);
        assert_eq!(again.journal(), JournalId([3; 16]));
        assert_eq!(again.role(ParticipantId(9)), Some(Role::Trader));
        let header = Header {
            seq: Seq(1 << 40),
            ..Header::default()
        };
        for one in [&mut register, &mut again] {
            one.session_mut(SessionId(16)).told.counted(&header);
        }
        assert_eq!(again.told(SessionId(16)), 301);
        assert_eq!(saved(&again), saved(&register));
    }

    #[test]
    fn bytes_that_are_no_register_are_refused() {
        let pieces = saved(&filled());
        let whole = &pieces[0];
        for end in (1..whole.len()).step_by(997) {
            // A piece may end between two rows, never within one.
            let cut = restored(&[whole[..end].to_vec()]);
            assert!(cut.is_ok() || cut.is_err_and(|bad| bad.at < end));
        }
        assert_eq!(restored(&[vec![9]]).err(), Some(BadRegister { at: 0 }));
        assert!(
            restored(&[pieces[0].clone(), pieces[0].clone()]).is_err(),
            "a session twice"
        );
    }
}
