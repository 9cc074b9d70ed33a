//! Any bytes as the one segment of a command journal: judged as recovery would, and read; whole, cut or named.

use super::Verdict;
use xq_journal::{CommandReader, Seq, SimulatedDisk, Verify, inspect_image};

pub fn run(bytes: &[u8]) -> Verdict {
    let found = inspect_image(bytes, 1, &[]);
    let last = match &found {
        Ok(report) => report.last_seq,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Seq(u64::MAX)
        }
    };
    let disk = SimulatedDisk::new(1 << 30, 1);
    disk.put("command-0000000001.xqj", bytes);
    for verify in [Verify::Order, Verify::Checksums, Verify::Chain] {
        let read = read(&disk, verify, last);
        assert!(
            found.is_err() || read == last.0,
            "{read} commands of {last} are read"
        );
    }
    Verdict::taken_if(|| found.is_ok_and(|report| report.last_seq > Seq::ZERO))
}

/// Reads up to the end or the first fault; how many commands there were.
fn read(disk: &SimulatedDisk, verify: Verify, last: Seq) -> u64 {
    let Ok(mut reader) = CommandReader::open(disk.storage(), verify, Seq(1)) else {
        return 0;
    };
    let mut read = 0;
    while let Ok(Some(frame)) = reader.next_command(last) {
        assert!(frame.len().is_multiple_of(8));
        read += 1;
    }
    read
}
