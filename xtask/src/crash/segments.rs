//! How far the command journal's segments are filled, seen from outside: their files, read while they are written.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What batches are padded to.
const BLOCK: u64 = 4_096;

/// The segment in use and how full it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Its place among the segments, from 1.
    pub segment: usize,
    /// Blocks written.
    pub used: u64,
    /// Blocks it has.
    pub blocks: u64,
}

impl Fill {
    /// Says whether a segment ends about here: a twentieth is left at most, or the next has just begun.
    pub fn is_at_an_end(&self) -> bool {
        let nearly_full = self.used * 20 >= self.blocks * 19;
        let just_begun = self.segment > 1 && self.used * 40 <= self.blocks;
        nearly_full || just_begun
    }
}

/// Looks; none before the first batch.
pub fn fill(journals: &Path) -> Option<Fill> {
    let entries = std::fs::read_dir(journals).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut segments: Vec<String> = names
        .filter(|n| n.starts_with("command-") && n.ends_with(".xqj"))
        .collect();
    segments.sort_unstable();
    // Segments made ready ahead are all zeros: the last that is not is in use.
    (1..=segments.len()).rev().find_map(|segment| {
        let file = File::open(journals.join(&segments[segment - 1])).ok()?;
        let blocks = file.metadata().ok()?.len() / BLOCK;
        let used = used_blocks(&file, blocks);
        (used > 0).then_some(Fill {
            segment,
            used,
            blocks,
        })
    })
}

/// Blocks before the first that is all zeros: batches leave no gaps.
fn used_blocks(file: &File, blocks: u64) -> u64 {
    let is_used = |block: u64| {
        let mut bytes = [0; 4_096];
        file.read_exact_at(&mut bytes, block * BLOCK).is_ok() && bytes.iter().any(|byte| *byte != 0)
    };
    let (mut low, mut high) = (0, blocks);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_used(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_that_was_written_to_is_in_use() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        assert_eq!(fill(folder.path()), None);
        for (name, used) in [
            ("command-0000000001.xqj", 10_usize),
            ("command-0000000002.xqj", 3),
            ("command-0000000003.xqj", 0),
        ] {
            let mut bytes = vec![1_u8; used * 4_096];
            bytes.resize(10 * 4_096, 0);
            std::fs::write(folder.path().join(name), bytes).expect("a file");
        }
        let seen = fill(folder.path()).expect("there are segments");
        assert_eq!(
            seen,
            Fill {
                segment: 2,
                used: 3,
                blocks: 10
            }
        );
        assert!(!seen.is_at_an_end());
        assert!(Fill { used: 10, ..seen }.is_at_an_end());
        assert!(
            Fill {
                segment: 3,
                used: 1,
                blocks: 256
            }
            .is_at_an_end()
        );
    }
}
