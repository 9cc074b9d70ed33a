//! Packs messages outside of channels: answers, snapshots, levels.

use bytes::{Bytes, BytesMut};
use xq_protocol::{Message, PacketBuf, Stamp};

/// Packets, filled one after another.
pub struct Packer {
    packet: PacketBuf,
    done: BytesMut,
}

impl Default for Packer {
    fn default() -> Self {
        Packer {
            packet: PacketBuf::apart(),
            done: BytesMut::new(),
        }
    }
}

impl Packer {
    /// Appends a message.
    pub fn push<M: Message>(&mut self, stamp: Stamp, message: &M) {
        if !self.packet.push(stamp, message) {
            self.close();
            let fits = self.packet.push(stamp, message);
            assert!(fits, "an empty packet holds any message");
        }
    }

    fn close(&mut self) {
        if !self.packet.is_empty() {
            self.done.extend_from_slice(self.packet.finish());
            self.packet = PacketBuf::apart();
        }
    }

    /// Appends packets as they are.
    pub fn append(&mut self, packets: &[u8]) {
        self.close();
        self.done.extend_from_slice(packets);
    }

    /// All packets, one after another.
    pub fn finish(mut self) -> Bytes {
        self.close();
        self.done.freeze()
    }
}
