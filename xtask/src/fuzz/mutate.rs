//! Inputs that are nearly right: a seed with a few bytes changed, moved, cut away or taken from another.

use xq_perf::flow::SplitMix64;

/// Longest input that grows out of a seed, beyond the seed's own length.
const GROWTH_MAX: usize = 1_024;

/// Draws inputs from seeds.
pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    draws: SplitMix64,
}

impl Mutator {
    /// There must be a seed.
    pub fn new(seeds: Vec<Vec<u8>>, seed: u64) -> Mutator {
        assert!(!seeds.is_empty(), "inputs grow out of seeds");
        Mutator {
            seeds,
            draws: SplitMix64::new(seed),
        }
    }

    /// A seed as it is.
    pub fn seed(&self, at: usize) -> &[u8] {
        &self.seeds[at]
    }

    /// A seed with one to four changes.
    pub fn next_input(&mut self) -> Vec<u8> {
        let at = self.below(self.seeds.len());
        let mut bytes = self.seeds[at].clone();
        for _ in 0..=self.draws.below(4) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return bytes.push(self.byte());
        }
        let at = self.below(bytes.len());
        let length = self.below((bytes.len() - at).min(64)) + 1;
        match self.draws.below(9) {
            0 | 1 => bytes[at] ^= 1 << self.draws.below(8),
            2 => bytes[at] = self.byte(),
            3 | 4 => self.number(&mut bytes[at..]),
            5 => drop(bytes.drain(at..at + length)),
            6 => bytes.truncate(at),
            7 => {
                let again = bytes[at..at + length].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let other = self.below(self.seeds.len());
                let from = self.below(self.seeds[other].len() + 1);
                let rest = &self.seeds[other][from..];
                bytes.truncate(at);
                bytes.extend_from_slice(&rest[..rest.len().min(at + GROWTH_MAX)]);
            }
        }
    }

    /// Writes a number near an edge over the bytes here, as wide as there is room for.
    fn number(&mut self, bytes: &mut [u8]) {
        let edges = [
            0,
            1,
            7,
            8,
            0x7F,
            0xFF,
            0x7FFF,
            0xFFFF,
            1 << 31,
            u64::from(u32::MAX),
            1 << 63,
            u64::MAX,
        ];
        let number = edges[self.below(edges.len())];
        let width = [1, 2, 4, 8][self.below(4)].min(bytes.len());
        bytes[..width].copy_from_slice(&number.to_le_bytes()[..width]);
    }

    fn byte(&mut self) -> u8 {
        self.draws.next_u64().to_le_bytes()[0]
    }

    /// In `0..bound`, which is small.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u32::try_from(bound).expect("inputs are small");
        usize::try_from(self.draws.below(bound)).expect("a 64-bit machine")
    }
}
