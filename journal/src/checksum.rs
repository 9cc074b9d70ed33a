//! The two sums of the journals: CRC32C against accidents, a SHA-256 chain against tampering.

use crate::{ChainHash, JournalId};
use crc_fast::{CrcAlgorithm, Digest as CrcDigest};
use sha2::{Digest, Sha256};

/// CRC32C (Castagnoli, RFC 3720) of one piece.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC32C of a piece that comes in parts.
#[derive(Debug)]
pub(crate) struct Crc32c(CrcDigest);

impl Crc32c {
    pub(crate) fn new() -> Self {
        Self(CrcDigest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn value(&self) -> u32 {
        u32::try_from(self.0.finalize()).expect("a CRC32 has 32 bits")
    }
}

/// The chain value before the first record of a journal: it names the journal and its kind.
pub(crate) fn chain_origin(kind: &'static [u8; 8], id: JournalId) -> ChainHash {
    ChainHash(
        Sha256::new()
            .chain_update(kind)
            .chain_update(id.0)
            .finalize()
            .into(),
    )
}

/// The chain value after `contents` that followed `previous`.
pub(crate) fn chain_after(previous: ChainHash, contents: [&[u8]; 2]) -> ChainHash {
    let [first, second] = contents;
    let hash = Sha256::new()
        .chain_update(previous.0)
        .chain_update(first)
        .chain_update(second);
    ChainHash(hash.finalize().into())
}
