//! Commands that are set aside: a chained record beside the journals, each entry signed by two operators.
//!
//! A command that ends the exchange ends every start, which executes it again. With an entry, whoever executes it refuses
//! it with R113 instead. The entry names the command by its hash, so that it speaks of no other; the journals stay as they
//! are.

use crate::exit::Failure;
use crate::known::Known;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use xq_gateway::fingerprint_of;
use xq_journal::{Access, QUARANTINE, Storage, read_file};
use xq_protocol::{Frame, Hash, JournalId, KeyState, ParticipantId, Role, Seq};

/// The file's name. Each line is an entry.
const FILE: &str = QUARANTINE;
const TEMPORARY: &str = "preparing-quarantine.tmp";
/// What signatures and the chain begin with: they are of no other use.
const PURPOSE: &[u8] = b"XQQUARANTINE";
/// Entries that there can be: more is no poison, but another fault.
const ENTRIES_MAX: usize = 64;
/// Ways to sign, in the order they are preferred.
const SCHEMES: [SignatureScheme; 5] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA512,
];

/// What is set aside.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    entries: BTreeMap<Seq, Entry>,
    chain: [u8; 32],
    /// The lines of the file.
    text: String,
}

/// A command that is set aside.
#[derive(Debug)]
struct Entry {
    command: Hash,
    /// Whose keys have signed.
    signers: [(ParticipantId, Hash); 2],
}

/// An operator who signs: number, and the PEM files of certificate and key.
pub(crate) struct Papers<'a> {
    pub(crate) certificate: &'a Path,
    pub(crate) key: &'a Path,
}

/// An entry as it is written.
#[derive(Serialize, Deserialize)]
struct Line {
    seq: u64,
    /// SHA-256 of the command's frame.
    command: String,
    signers: [Signer; 2],
    /// SHA-256 of the value before and of all that is in this line.
    chain: String,
}

#[derive(Serialize, Deserialize)]
struct Signer {
    participant: u32,
    /// The certificate, DER.
    certificate: String,
    scheme: u16,
    signature: String,
}

impl Quarantine {
    /// Reads and verifies what there is for a journal; nothing where there is no file.
    ///
    /// # Errors
    /// [`Failure::Quarantine`], naming the line; [`Failure::CannotCreate`] when it cannot be read.
    pub(crate) fn read(storage: &Arc<dyn Storage>, id: JournalId) -> Result<Quarantine, Failure> {
        let mut quarantine = Quarantine {
            chain: Sha256::new()
                .chain_update(PURPOSE)
                .chain_update(id.0)
                .finalize()
                .into(),
            ..Quarantine::default()
        };
        let names = storage.list().map_err(|source| cannot(storage, source))?;
        if !names.iter().any(|name| name == FILE) {
            return Ok(quarantine);
        }
        let bytes = read_file(&**storage, FILE).map_err(|source| cannot(storage, source))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| bad(1, &"it is no text"))?;
        for (number, line) in (1..).zip(text.lines()) {
            let line: Line = serde_json::from_str(line).map_err(|error| bad(number, &error))?;
            quarantine.take(line).map_err(|what| bad(number, &what))?;
        }
        Ok(quarantine)
    }

    /// Adds an entry signed by two operators whose keys the journal knows, and makes it durable.
    ///
    /// # Errors
    /// [`Failure::Quarantine`]: who may not sign, a key that is not its certificate's; [`Failure::CannotCreate`].
    pub(crate) fn add(
        mut self,
        storage: &Arc<dyn Storage>,
        (seq, frame): (Seq, &Frame<'_>),
        papers: [Papers<'_>; 2],
        known: &Known,
    ) -> Result<(), Failure> {
        let number = self.entries.len() + 1;
        let command = hash_of(frame);
        let message = self.message(seq, &command);
        let [one, other] = papers.map(|papers| sign(&papers, &message, known));
        let mut line = Line {
            seq: seq.0,
            command: hex::encode(command.0),
            signers: [one?, other?],
            chain: String::new(),
        };
        line.chain = hex::encode(self.chained(&line));
        // What is written now is read as strictly as it will be later.
        self.take(line).map_err(|what| bad(number, &what))?;
        self.entries[&seq].check(frame, known)?;
        let written = storage.create(TEMPORARY, Access::Mapped).and_then(|file| {
            file.write_at(0, self.text.as_bytes())?;
            file.sync()?;
            storage.rename(TEMPORARY, FILE)?;
            storage.sync_folder()
        });
        written.map_err(|source| cannot(storage, source))
    }

    /// Whether a command is set aside.
    ///
    /// # Errors
    /// [`Failure::Quarantine`] when the entry is of another command, or was signed by who may not.
    #[inline]
    pub(crate) fn holds(&self, seq: Seq, frame: &Frame<'_>, known: &Known) -> Result<bool, Failure> {
        match self.entries.get(&seq) {
            None => Ok(false),
            Some(entry) => entry.check(frame, known).map(|()| true),
        }
    }

    /// Takes the next line, if it continues the others and both signatures hold.
    fn take(&mut self, line: Line) -> Result<(), String> {
        if self.entries.len() == ENTRIES_MAX {
            return Err(format!("more than {ENTRIES_MAX} commands"));
        }
        let chain = self.chained(&line);
        if line.chain != hex::encode(chain) {
            return Err("its chain does not continue from the line before".to_owned());
        }
        let command = hex::decode(&line.command)
            .ok()
            .and_then(|bytes| Some(Hash(bytes.try_into().ok()?)));
        let command = command.ok_or("its command is no SHA-256")?;
        let seq = Seq(line.seq);
        let message = self.message(seq, &command);
        let [one, other] = &line.signers;
        let signers = [verified(one, &message)?, verified(other, &message)?];
        if signers[0].0 == signers[1].0 {
            return Err(format!("participant {} has signed twice", signers[0].0));
        }
        if self.entries.insert(seq, Entry { command, signers }).is_some() {
            return Err(format!("command {seq} is set aside already"));
        }
        self.chain = chain;
        self.text += &serde_json::to_string(&line).expect("text and numbers");
        self.text.push('\n');
        Ok(())
    }

    /// What is signed.
    fn message(&self, seq: Seq, command: &Hash) -> Vec<u8> {
        [PURPOSE, &self.chain, &seq.0.to_le_bytes(), &command.0].concat()
    }

    fn chained(&self, line: &Line) -> [u8; 32] {
        let Line {
            seq,
            command,
            signers,
            chain: _,
        } = line;
        let mut hasher = Sha256::new()
            .chain_update(self.chain)
            .chain_update(seq.to_le_bytes());
        hasher.update(Sha256::digest(command));
        for signer in signers {
            hasher.update(signer.participant.to_le_bytes());
            hasher.update(signer.scheme.to_le_bytes());
            hasher.update(Sha256::digest(&signer.certificate));
            hasher.update(Sha256::digest(&signer.signature));
        }
        hasher.finalize().into()
    }
}

impl Entry {
    /// Requires that it speaks of this command, and that both who signed were operators with these keys before it.
    fn check(&self, frame: &Frame<'_>, known: &Known) -> Result<(), Failure> {
        let seq = frame.header.seq;
        let refuse = |what: String| Err(Failure::Quarantine(format!("{FILE}: command {seq}: {what}")));
        if hash_of(frame) != self.command {
            return refuse("it is another one that was set aside".to_owned());
        }
        for (participant, key) in &self.signers {
            let is_operator = known.participants.get(participant) == Some(&Role::Operator);
            let is_valid = known.keys.get(&(*participant, *key)) == Some(&KeyState::Valid);
            if !is_operator || !is_valid {
                return refuse(format!("participant {participant} is no operator with this key"));
            }
        }
        Ok(())
    }
}

/// Signs with the key of a certificate that the journal knows.
fn sign(papers: &Papers<'_>, message: &[u8], known: &Known) -> Result<Signer, Failure> {
    let cannot = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::Quarantine(format!("{}: {error}", path.display()))
    };
    let certificate = CertificateDer::from_pem_file(papers.certificate);
    let certificate = certificate.map_err(|error| cannot(papers.certificate, &error))?;
    let fingerprint = fingerprint_of(&certificate);
    let owner = known.keys.keys().find(|(_, key)| *key == fingerprint);
    let (participant, _) = owner.ok_or_else(|| {
        cannot(
            papers.certificate,
            &"the journal knows no participant with this key",
        )
    })?;
    let key = PrivateKeyDer::from_pem_file(papers.key).map_err(|error| cannot(papers.key, &error))?;
    let key = default_provider().key_provider.load_private_key(key);
    let key = key.map_err(|error| cannot(papers.key, &error))?;
    let signer = key
        .choose_scheme(&SCHEMES)
        .ok_or_else(|| cannot(papers.key, &"it signs in no way that is known here"))?;
    let signature = signer.sign(message).map_err(|error| cannot(papers.key, &error))?;
    Ok(Signer {
        participant: participant.0,
        certificate: hex::encode(&certificate),
        scheme: signer.scheme().into(),
        signature: hex::encode(signature),
    })
}

/// Who has signed, when the signature holds.
fn verified(signer: &Signer, message: &[u8]) -> Result<(ParticipantId, Hash), String> {
    let participant = ParticipantId(signer.participant);
    let no = |what: &str| format!("the signature of participant {participant}: {what}");
    let certificate = hex::decode(&signer.certificate).map_err(|_| no("no certificate"))?;
    let certificate = CertificateDer::from(certificate);
    let signature = hex::decode(&signer.signature).map_err(|_| no("no signature"))?;
    let scheme = SignatureScheme::from(signer.scheme);
    let ways = default_provider().signature_verification_algorithms.mapping;
    let ways = ways.iter().find(|(of, _)| *of == scheme && SCHEMES.contains(of));
    let (_, ways) = ways.ok_or_else(|| no("made in a way that is not known here"))?;
    let shown = webpki::EndEntityCert::try_from(&certificate).map_err(|error| no(&error.to_string()))?;
    let holds = ways
        .iter()
        .any(|way| shown.verify_signature(*way, message, &signature).is_ok());
    match holds {
        true => Ok((participant, fingerprint_of(&certificate))),
        false => Err(no("it does not hold")),
    }
}

fn hash_of(frame: &Frame<'_>) -> Hash {
    Hash(Sha256::digest(frame.bytes()).into())
}

fn bad(line: usize, what: &dyn std::fmt::Display) -> Failure {
    Failure::Quarantine(format!("{FILE}: line {line}: {what}"))
}

fn cannot(storage: &Arc<dyn Storage>, source: std::io::Error) -> Failure {
    Failure::CannotCreate {
        what: format!("{FILE} in journal folder {}", storage.place()),
        source,
    }
}
