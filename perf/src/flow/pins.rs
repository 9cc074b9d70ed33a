//! What every flow must come out as: the SHA-256 of its prefill and first commands, and their measured mix.

use super::{Flow, Mix};

/// The pinned outcome of building a flow with so many commands.
pub struct Pin {
    /// The flow.
    pub flow: &'static str,
    /// Timed commands.
    pub commands: usize,
    /// SHA-256 of prefill and commands, in hex.
    pub sha256: &'static str,
    /// What they were and did.
    pub mix: Mix,
}

const fn pin(flow: &'static str, commands: usize, sha256: &'static str, counts: [u64; 8]) -> Pin {
    let [gtc, ioc, cancel, moved, reduce, trades, resting, levels] = counts;
    Pin {
        flow,
        commands,
        sha256,
        mix: Mix {
            gtc,
            ioc,
            cancel,
            moved,
            reduce,
            trades,
            resting,
            levels,
        },
    }
}

impl Pin {
    /// Says what differs, when something does.
    pub fn check(&self, flow: &Flow) -> Result<(), String> {
        let sha256 = flow.sha256();
        if sha256 == self.sha256 && flow.mix == self.mix {
            return Ok(());
        }
        Err(format!(
            "{} at {} commands came out as {sha256} {:?}, pinned is {} {:?}",
            self.flow, self.commands, flow.mix, self.sha256, self.mix
        ))
    }
}

/// The first 100,000 commands of each flow: quick enough for every test run. The last needs the data folder.
pub const QUICK: &[Pin] = &[
    pin(
        "ec1_1k",
        100_000,
        "313568c18ab3a74d087f900d3ae3ad9a6f696d03dc686b2ea6ccdcbfb313188d",
        [10_126, 2_466, 7_676, 79_732, 0, 4_698, 1_028, 772],
    ),
    pin(
        "ec1_10k",
        100_000,
        "b82da782217ebb84a3acfe68d974774c1c0e214fa0ee934827b41bde1cdc05bb",
        [10_054, 2_482, 7_447, 80_017, 0, 4_988, 9_883, 2_796],
    ),
    pin(
        "mix1_10k",
        100_000,
        "b153824a5f91431e899e4ae484f61dd48bfae9a3ddd68a741c1938242383fb1b",
        [49_680, 8_891, 33_330, 8_099, 0, 24_364, 10_001, 525],
    ),
    pin(
        "sweep",
        100_000,
        "5ccb5e1e244a0112c39b7367e5766c5bd302421501c404eb62ed14424e8aee1d",
        [99_800, 200, 0, 0, 0, 100_000, 19_800, 4_996],
    ),
    pin(
        "ec1000",
        100_000,
        "904cec2e7d85d66824f61ffecf66c55c4add49c95eebcc1984d073cfb2e35cdb",
        [2_154, 4_375, 5_562, 87_909, 0, 12_356, 987_053, 486_752],
    ),
    pin(
        "lobster",
        100_000,
        "79d3f2e478a8dd2fe8458f9cdb3e8f622b79e075494f88be5f70e7b59b8db8e4",
        [49_427, 5_199, 44_776, 0, 598, 5_199, 865, 525],
    ),
];

/// The first 1,000,000 commands of each flow, for the conformance run. The last needs the data folder.
pub const FULL: &[Pin] = &[
    pin(
        "ec1_1k",
        1_000_000,
        "d2d17b525c9929879699b43c28be8422ef7d9dda1c9972dfc871e7ab45f8005e",
        [100_774, 24_720, 75_491, 799_015, 0, 47_963, 1_031, 771],
    ),
    pin(
        "ec1_10k",
        1_000_000,
        "9ebdb92d819631200ae6b26ad6bda4a9057f2588adb5f899d686d1b789e147e3",
        [100_463, 24_895, 74_886, 799_756, 0, 48_437, 9_994, 2_900],
    ),
    pin(
        "mix1_10k",
        1_000_000,
        "54667dd403fa2178224c401b0d0686f52bdee6ddbc6d4526827c943fd3658e84",
        [504_729, 89_812, 325_536, 79_923, 0, 259_447, 10_000, 565],
    ),
    pin(
        "sweep",
        1_000_000,
        "39a85937c2e615f8d068c9e6448bb87e2fc9e9d92a95cc9491c7201f7ac5ee75",
        [998_003, 1_997, 0, 0, 0, 998_500, 19_503, 4_878],
    ),
    pin(
        "ec1000",
        1_000_000,
        "4e8959a4bb3f73b054498b4b6c7dff41eb887d99fe9fd1d498feea1fdb99641e",
        [81_325, 29_622, 70_116, 818_937, 0, 80_814, 955_897, 481_842],
    ),
    pin(
        "lobster",
        1_000_000,
        "906100a2b86ccf4bee2116387843c06e430f6f4713419ab297dbaa35c42d0750",
        [494_128, 50_305, 449_786, 0, 5_781, 50_305, 7_392, 4_487],
    ),
];

/// The pin of a flow among these.
pub fn find(pins: &'static [Pin], flow: &str) -> Option<&'static Pin> {
    pins.iter().find(|pin| pin.flow == flow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::FlowName;

    #[test]
    fn the_flows_are_the_pinned_ones() {
        for name in FlowName::ALL {
            let pin = find(QUICK, name.text()).expect("every flow is pinned");
            pin.check(&name.build(pin.commands))
                .expect("the flow is the pinned one");
        }
    }

    #[test]
    fn a_longer_flow_begins_with_the_shorter_one() {
        let (short, long) = (FlowName::Mix1At10k.build(1_000), FlowName::Mix1At10k.build(2_000));
        assert_eq!((short.timed.len(), long.timed.len()), (1_000, 2_000));
        assert!(short.prefill.iter().eq(long.prefill.iter()));
        assert!(short.timed.iter().eq(long.timed.iter().take(1_000)));
    }
}
