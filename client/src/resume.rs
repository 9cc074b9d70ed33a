//! What a client keeps between its lives: how far it has spoken and heard.

use std::io;
use std::path::Path;
use xq_protocol::{JournalId, ReqSeq};

/// A session's state, as its client knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The number of the next message the client expects; 0 when it wants only what comes from now on.
    pub next_out_seq: ReqSeq,
    /// The number of the client's next request; 0 when it takes the exchange's word for it.
    pub next_req_seq: ReqSeq,
    /// The journal this is about; all zero for none.
    pub journal_id: JournalId,
}

impl Resume {
    /// From the first message on, whatever the journal.
    pub const FROM_THE_START: Resume = Resume {
        next_out_seq: ReqSeq(1),
        next_req_seq: ReqSeq(0),
        journal_id: JournalId::ZERO,
    };

    /// Writes it to a file: three lines of text. The file is replaced whole or not at all.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let text = format!(
            "{}\n{}\n{}\n",
            self.next_out_seq, self.next_req_seq, self.journal_id
        );
        let beside = path.with_extension("new");
        std::fs::write(&beside, text)?;
        std::fs::rename(&beside, path)
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// The file system's, or `InvalidData` when the file is none of these.
    pub fn load(path: &Path) -> io::Result<Resume> {
        let text = std::fs::read_to_string(path)?;
        parse(&text).ok_or_else(|| {
            let what = format!("{}: no saved session", path.display());
            io::Error::new(io::ErrorKind::InvalidData, what)
        })
    }
}

fn parse(text: &str) -> Option<Resume> {
    let mut lines = text.lines();
    let next_out_seq = ReqSeq(lines.next()?.parse().ok()?);
    let next_req_seq = ReqSeq(lines.next()?.parse().ok()?);
    let hex = lines.next()?;
    let mut id = [0; 16];
    if hex.len() != 32 || !hex.is_ascii() {
        return None;
    }
    for (byte, digits) in id.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    let journal_id = JournalId(id);
    Some(Resume {
        next_out_seq,
        next_req_seq,
        journal_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("session");
        let resume = Resume {
            next_out_seq: ReqSeq(7),
            next_req_seq: ReqSeq(u64::MAX),
            journal_id: JournalId([0xA5; 16]),
        };
        resume.save(&path).expect("writes");
        assert_eq!(Resume::load(&path).expect("reads"), resume);
        std::fs::write(&path, "7\n8\nnot hex").expect("writes");
        assert!(Resume::load(&path).is_err());
    }
}
