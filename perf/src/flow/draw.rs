//! The random numbers of the flows: splitmix64 and what is drawn from it, integers only.

/// Sebastiano Vigna's splitmix64: 64 bits of state, one addition and a mix a draw.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// The generator of this seed.
    pub fn new(seed: u64) -> SplitMix64 {
        SplitMix64(seed)
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `0..bound`: the high half of the product, one draw. `bound` is at least 1.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "nothing lies below zero");
        let product = u128::from(self.next_u64()) * u128::from(bound);
        u32::try_from(product >> 64).expect("the high half of the product is below the bound")
    }

    /// Uniform over all 32-bit numbers: the high half of a draw, read as a fraction of 2^32.
    #[inline]
    pub fn fraction(&mut self) -> u32 {
        u32::try_from(self.next_u64() >> 32).expect("half of 64 bits")
    }

    /// An index into something of this length. The length is at least 1 and below 2^32.
    #[inline]
    pub fn index(&mut self, len: usize) -> usize {
        let bound = u32::try_from(len).expect("a flow's tables have fewer than 2^32 places");
        super::book::index(self.below(bound))
    }

    /// A size: `1 + a·b·c`, each uniform in 0–5.
    #[inline]
    pub fn size(&mut self) -> u32 {
        1 + self.below(6) * self.below(6) * self.below(6)
    }
}

#[cfg(test)]
mod tests {
    use super::SplitMix64;

    #[test]
    fn splitmix64_is_the_published_one() {
        // The first outputs for seed 1234567 of the reference C code.
        let mut draw = SplitMix64::new(1_234_567);
        let first = [draw.next_u64(), draw.next_u64(), draw.next_u64()];
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn sizes_lie_between_1_and_126_and_average_16_6() {
        let mut draw = SplitMix64::new(1);
        let sizes: Vec<u32> = (0..100_000).map(|_| draw.size()).collect();
        assert!(sizes.iter().all(|size| (1..=126).contains(size)));
        let total: u32 = sizes.iter().sum();
        assert!((1_640_000..1_690_000).contains(&total), "{total}");
    }
}
