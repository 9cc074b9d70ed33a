//! Copies of files: whole and durable, or not under their name; moves that may be cut anywhere and begun again.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use xq_journal::simulated::Fault;
use xq_journal::{
    Access, Error, FileStorage, Filling, SimulatedDisk, Storage, check_finished, copy_file, move_file,
};

const NAME: &str = "event-0000000001.xqj";

fn bytes() -> Vec<u8> {
    (0..3_000_000_u32)
        .map(|at| at.to_le_bytes()[at as usize % 3])
        .collect()
}

/// A disk with the file, and an empty one.
fn disks(seed: u64) -> [SimulatedDisk; 2] {
    let [from, to] = [
        SimulatedDisk::new(1 << 30, seed),
        SimulatedDisk::new(1 << 30, seed + 1),
    ];
    from.put(NAME, &bytes());
    [from, to]
}

fn is_whole(disk: &SimulatedDisk) -> bool {
    disk.read(NAME).is_some_and(|there| there == bytes())
}

#[test]
fn a_move_that_is_cut_anywhere_loses_nothing_and_is_begun_again() {
    let (mut hit, mut done) = (0, 0);
    for fault in [Fault::Kill, Fault::Io, Fault::NoSpace] {
        for (side, call) in [0, 1]
            .into_iter()
            .flat_map(|side| (1..=12).map(move |call| (side, call)))
        {
            let disks = disks(call);
            let [from, to] = &disks;
            disks[side].fail_at(call, fault);
            let moved = move_file(&*from.storage(), &*to.storage(), NAME);
            hit += disks[side].faults_hit();
            done += u64::from(moved.is_ok());
            disks.iter().for_each(SimulatedDisk::cut_power);
            let what = format!("{fault:?} at call {call} of {side}");
            assert!(is_whole(from) || is_whole(to), "{what}: it is lost");
            assert!(moved.is_err() || is_whole(to), "{what}: it was said to be there");
            if to.names().iter().any(|name| name == NAME) {
                assert!(is_whole(to), "{what}: half a copy has the name");
            }
            if from.read(NAME).is_some() {
                move_file(&*from.storage(), &*to.storage(), NAME).expect("the disks are sound");
                disks.iter().for_each(SimulatedDisk::cut_power);
            }
            assert!(is_whole(to) && from.names().is_empty(), "{what}: begun again");
        }
    }
    assert!(
        hit >= 20 && done > 10,
        "{hit} faults were met, {done} moves were done"
    );
}

/// A copy that is only in memory yet counts for nothing until it is synced.
#[test]
fn a_copy_that_is_there_is_made_durable_before_the_original_goes() {
    for seed in 1..=20 {
        let disks = disks(seed);
        let [from, to] = &disks;
        let file = to
            .storage()
            .create(NAME, Access::Mapped)
            .expect("the disk is sound");
        file.write_at(0, &bytes()).expect("the disk is sound");
        move_file(&*from.storage(), &*to.storage(), NAME).expect("it is the same");
        disks.iter().for_each(SimulatedDisk::cut_power);
        assert!(is_whole(to) && from.names().is_empty(), "seed {seed}");
    }
}

#[test]
fn another_file_of_the_name_stays_and_so_does_the_original() {
    let disks = disks(1);
    let [from, to] = &disks;
    let mut other = bytes();
    other[1_000_000] ^= 1;
    for there in [&other[..], &other[..10], &[]] {
        to.put(NAME, there);
        let refused = move_file(&*from.storage(), &*to.storage(), NAME).expect_err("it is another");
        assert!(
            matches!(&refused, Error::Corrupt { file, .. } if file.ends_with(NAME)),
            "{refused}"
        );
        assert!(is_whole(from) && to.read(NAME).as_deref() == Some(there));
    }
}

#[test]
fn what_is_not_used_is_written_as_zeros_so_that_a_full_disk_is_met_at_once() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [from, to] = folders
        .each_ref()
        .map(|folder| FileStorage::open_to_read(folder.path()).expect("opens"));
    let sparse = std::fs::File::create(folders[0].path().join(NAME)).expect("a file");
    sparse.set_len(8 << 20).expect("it grows");
    copy_file(&from, &to, NAME, 5_000).expect("there is room");
    let copy = std::fs::metadata(folders[1].path().join(NAME)).expect("it is there");
    assert!(
        copy.len() == 8 << 20 && copy.blocks() * 512 >= 8 << 20,
        "{} blocks",
        copy.blocks()
    );

    let [from, to] = disks(1);
    to.set_room(2_000_000);
    let refused = copy_file(&*from.storage(), &*to.storage(), NAME, 10).expect_err("it is too long");
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
    assert!(!to.names().iter().any(|name| name == NAME));
}

#[test]
fn a_folder_that_is_being_filled_says_so_until_it_is_finished() {
    let disk = SimulatedDisk::new(1 << 30, 1);
    let is_finished = || check_finished(&*disk.storage()).is_ok();
    assert!(is_finished());
    let filling = Filling::begin(disk.storage()).expect("it is empty");
    copy_file(&*disks(1)[0].storage(), &**filling.storage(), NAME, 100).expect("the disks are sound");
    disk.cut_power();
    assert!(matches!(
        check_finished(&*disk.storage()),
        Err(Error::Unfinished { .. })
    ));

    // Begun again, it is as empty as at first.
    let filling = Filling::begin(disk.storage()).expect("it was begun");
    assert_eq!(disk.names().len(), 1, "{:?}", disk.names());
    filling.finish().expect("the disk is sound");
    disk.cut_power();
    assert!(is_finished() && disk.names().is_empty());

    disk.put("notes.txt", b"somebody's");
    let refused = Filling::begin(disk.storage()).expect_err("it is not empty");
    assert!(matches!(refused, Error::NotEmpty { .. }), "{refused}");
    disk.put("unfinished.txt", b"");
    assert!(
        Filling::begin(disk.storage()).is_err(),
        "nobody's notes are removed"
    );
    assert_eq!(disk.names(), ["notes.txt", "unfinished.txt"]);
}

/// Wherever the power goes: finished, or said not to be.
#[test]
fn a_filling_that_is_cut_is_not_taken_for_a_finished_one() {
    for call in 1..=16 {
        let disk = SimulatedDisk::new(1 << 30, call);
        disk.fail_at(call, Fault::Kill);
        let filled = || -> Result<(), Error> {
            let filling = Filling::begin(disk.storage())?;
            copy_file(&*disks(1)[0].storage(), &**filling.storage(), NAME, u64::MAX)?;
            filling.finish()
        };
        let filled = filled();
        disk.cut_power();
        let storage: Arc<dyn Storage> = disk.storage();
        let something = disk.names().iter().any(|name| name == NAME);
        assert!(
            !something || is_whole(&disk) || check_finished(&*storage).is_err(),
            "call {call}"
        );
        assert!(
            filled.is_err() || is_whole(&disk) && check_finished(&*storage).is_ok(),
            "call {call}"
        );
    }
}
