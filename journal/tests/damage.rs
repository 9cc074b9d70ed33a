//! Damage done on purpose: a torn end is cut and reported, everything else is refused with its name.

mod support;

use support::{BLOCK, ID, SEGMENT, name, recover, recover_from, witness, write_batches, written_disk};
use xq_journal::{CommandReport, Error, JournalId, Seq, SimulatedDisk, UnrecoveredJournal};

/// Offsets of the batches of a segment image.
fn batches(image: &[u8]) -> Vec<usize> {
    (BLOCK..image.len())
        .step_by(BLOCK)
        .filter(|at| image[*at..*at + 4] == *b"XQB1")
        .collect()
}

fn damage(disk: &SimulatedDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut image = disk.read(name).expect("the file is there");
    change(&mut image);
    disk.put(name, &image);
}

fn refused(disk: &SimulatedDisk) -> Error {
    let calls = disk.calls();
    let error = recover(disk, &[]).map(|(_, report)| report).expect_err("refused");
    assert_eq!(disk.calls(), calls, "a refusal changes nothing");
    error
}

#[test]
fn a_torn_last_batch_is_cut_and_reported_unless_a_witness_names_it() {
    let (disk, last) = written_disk(4, 5);
    let mut end = 0;
    damage(&disk, &name(1), |image| {
        end = *batches(image).last().expect("four batches");
        image[end + 100] ^= 1;
    });
    for seq in [16, 20] {
        let error = recover(&disk, &witness(seq))
            .map(|(_, report)| report)
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Witnessed { last: Seq(15), .. }), "{text}");
        assert!(
            text.contains(&format!("names seq {seq}")) && text.contains("command-0000000001"),
            "{text}"
        );
    }
    let (mut journal, report) = recover(&disk, &witness(15)).unwrap();
    assert_eq!((report.last_seq, last), (Seq(15), Seq(20)));
    let [cut] = &report.cuts[..] else {
        panic!("one cut: {report:?}")
    };
    assert_eq!(
        (cut.file.as_str(), cut.offset),
        ("command-0000000001.xqj", u64::try_from(end).unwrap())
    );
    assert_eq!(cut.claimed, Some((Seq(16), Seq(20))));
    assert!(
        disk.read(&name(1)).unwrap()[end..].iter().all(|byte| *byte == 0),
        "the cut region is zero"
    );
    assert_eq!(write_batches(&mut journal, 1, 5), Seq(20));
    assert_eq!(recover(&disk, &witness(20)).unwrap().1.last_seq, Seq(20));
}

#[test]
fn a_bad_batch_with_a_valid_later_one_is_corruption() {
    let (disk, _) = written_disk(4, 5);
    let mut at = 0;
    damage(&disk, &name(1), |image| {
        at = batches(image)[1];
        image[at + 100] ^= 1;
    });
    let error = refused(&disk);
    let offset = u64::try_from(at).unwrap();
    assert!(
        matches!(&error, Error::Corrupt { offset: o, seq: Seq(6), .. } if *o == offset),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("valid batch follows in command-0000000001.xqj at offset"),
        "{error}"
    );
    // Also when the later one stands in the next segment.
    let (disk, _) = written_disk(40, 5);
    damage(&disk, &name(1), |image| {
        let last = *batches(image).last().expect("batches");
        image[last + 100] ^= 1;
    });
    assert!(disk.names().len() > 2);
    let error = refused(&disk);
    assert!(
        error.to_string().contains("follows in command-0000000002.xqj"),
        "{error}"
    );
}

/// Damages a journal, and says what must be said.
fn check(change: impl FnOnce(&SimulatedDisk), said: &[&str]) {
    let (disk, _) = written_disk(60, 5);
    assert!(disk.names().len() >= 4, "{:?}", disk.names());
    change(&disk);
    let text = refused(&disk).to_string();
    said.iter()
        .for_each(|part| assert!(text.contains(part), "{text:?} lacks {part:?}"));
}

#[test]
fn swapped_batches_are_corruption() {
    check(
        |disk| {
            damage(disk, &name(2), |image| {
                let at = batches(image);
                let (one, two) = (at[1], at[2]);
                assert!(
                    two - one == BLOCK && at[3] - two == BLOCK,
                    "batches of one block: {at:?}"
                );
                let (head, tail) = image.split_at_mut(two);
                head[one..two].swap_with_slice(&mut tail[..BLOCK]);
            });
        },
        &[
            "command-0000000002",
            "a batch that was written to segment 2 offset",
        ],
    );
    // The last two: no valid batch follows, and yet it is no torn write.
    let (disk, _) = written_disk(2, 5);
    damage(&disk, &name(1), |image| {
        let (head, tail) = image.split_at_mut(2 * BLOCK);
        head[BLOCK..].swap_with_slice(&mut tail[..BLOCK]);
    });
    assert!(matches!(
        refused(&disk),
        Error::Corrupt {
            offset: 4096,
            seq: Seq(1),
            ..
        }
    ));
}

#[test]
fn files_that_are_not_as_they_should_be_are_refused_by_name() {
    check(|disk| disk.take(&name(2)), &["command-0000000002.xqj", "missing"]);
    check(|disk| disk.take(&name(1)), &["command-0000000001.xqj", "missing"]);
    check(
        |disk| {
            let image = disk.read(&name(2)).expect("there");
            disk.take(&name(2));
            disk.put(&name(9), &image);
        },
        &[
            "command-0000000009.xqj",
            "holds segment 2",
            "renamed or duplicated",
        ],
    );
    check(
        |disk| disk.put(&name(3), &disk.read(&name(2)).expect("there")),
        &["command-0000000003.xqj", "holds segment 2"],
    );
    check(
        |disk| {
            disk.put(
                "command-0000000002 (copy).xqj",
                &disk.read(&name(2)).expect("there"),
            )
        },
        &["command-0000000002 (copy).xqj", "no file of this journal"],
    );
    check(
        |disk| damage(disk, &name(2), |image| image.truncate(20_000)),
        &["command-0000000002.xqj", "20000 bytes"],
    );
    check(
        |disk| damage(disk, &name(2), Vec::clear),
        &["command-0000000002.xqj", "has 0 bytes"],
    );
    check(
        |disk| damage(disk, &name(2), |image| image.extend([0; 4096])),
        &["command-0000000002.xqj", "69632 bytes"],
    );
    check(
        |disk| damage(disk, &name(1), |image| image[12] = 2),
        &["command-0000000001.xqj", "version 2", "reads up to 1"],
    );
    check(
        |disk| {
            let other = SimulatedDisk::new(1 << 30, 1);
            let found =
                UnrecoveredJournal::open(other.storage(), support::command_settings()).expect("empty");
            let (mut journal, _) = found
                .recover(&[], JournalId(*b"another journal!"))
                .expect("fresh");
            write_batches(&mut journal, 60, 5);
            disk.put(&name(2), &other.read(&name(2)).expect("there"));
        },
        &["command-0000000002.xqj", "belongs to journal", "not to"],
    );
}

/// A segment of the same place from another history of the same journal: only the chain can tell.
#[test]
fn a_segment_of_another_history_is_refused() {
    let (disk, _) = written_disk(60, 5);
    let (other, _) = written_disk(30, 10);
    disk.put(&name(2), &other.read(&name(2)).unwrap());
    let text = refused(&disk).to_string();
    assert!(
        text.contains("command-0000000002") && text.contains("does not continue"),
        "{text}"
    );
}

#[test]
fn a_witness_beyond_the_end_stops_recovery_even_where_nothing_is_torn() {
    let (disk, last) = written_disk(3, 5);
    let error = recover_from(disk.storage(), &witness(last.0 + 1))
        .map(|(_, report)| report)
        .unwrap_err();
    assert!(matches!(error, Error::Witnessed { last: Seq(15), .. }), "{error}");
}

/// Flips every bit of a segment of 64 KiB. Each flip is refused, or cuts the last batch and reports it.
#[test]
fn every_flipped_bit_is_refused_or_cuts_the_last_batch() {
    let (disk, last) = written_disk(5, 6);
    let image = disk.read(&name(1)).unwrap();
    assert_eq!(image.len(), usize::try_from(SEGMENT).unwrap());
    let intact = last_batch(&image);
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let share = image.len().div_ceil(threads);
    let counts = std::thread::scope(|scope| {
        let flip = |from: usize| flip_range(&image, from..(from + share).min(image.len()), intact);
        let workers: Vec<_> = (0..threads)
            .map(|n| scope.spawn(move || flip(n * share)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect::<Vec<_>>()
    });
    let (refused, cut): (u64, u64) = counts
        .into_iter()
        .fold((0, 0), |sum, n| (sum.0 + n.0, sum.1 + n.1));
    assert_eq!(refused + cut, SEGMENT * 8, "every bit was flipped");
    assert!(refused > 100_000 && cut > 10_000, "{refused} refused, {cut} cut");
    assert!(last > Seq(25));
}

fn last_batch(image: &[u8]) -> (usize, Seq) {
    let at = *batches(image).last().expect("batches");
    let seq = image[at + 24..at + 32].try_into().expect("eight bytes");
    (at, Seq(u64::from_le_bytes(seq)))
}

/// Flips the bits of a range one at a time; counts refusals and cuts.
fn flip_range(image: &[u8], range: std::ops::Range<usize>, (at, first): (usize, Seq)) -> (u64, u64) {
    let mut image = image.to_vec();
    let (mut refused, mut cut) = (0, 0);
    for byte in range {
        for bit in 0..8 {
            image[byte] ^= 1 << bit;
            match xq_journal::inspect_image(&image, 1, &[]) {
                Err(_) => refused += 1,
                Ok(report) => {
                    check_cut(&report, byte, (at, first));
                    cut += 1;
                }
            }
            image[byte] ^= 1 << bit;
        }
    }
    (refused, cut)
}

/// What is accepted has lost nothing but the last batch, and says so.
fn check_cut(report: &CommandReport, byte: usize, (at, first): (usize, Seq)) {
    let [cut] = &report.cuts[..] else {
        panic!("byte {byte}: {report:?}")
    };
    let begins = usize::try_from(cut.offset).expect("small");
    assert!(
        byte >= at && begins <= byte,
        "byte {byte}: cut at {begins}, the last batch begins at {at}"
    );
    if begins == at {
        assert_eq!(report.last_seq.next(), first, "byte {byte}");
    }
    assert_eq!(report.id, Some(ID));
}
