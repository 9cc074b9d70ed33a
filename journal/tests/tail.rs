//! The tail of the event journal: it takes what another writes, whole commands only, from any place, and says why not.

mod support;

use support::{ID, event_settings, events_of};
use xq_journal::{
    ChainHash, Error, EventHasher, EventJournal, EventTail, JournalId, Seq, SimulatedDisk, UnrecoveredEvents,
};

/// Enough for three epochs and many segments; command 1,500 reaches over several of them.
const LAST: u64 = 2_600;

fn begun() -> (SimulatedDisk, EventJournal) {
    let disk = SimulatedDisk::new(1 << 30, 5);
    let found = UnrecoveredEvents::open(disk.storage(), event_settings(), ID).expect("an empty disk");
    let (journal, _) = found.recover().and_then(|new| new.finish()).expect("fresh");
    (disk, journal)
}

fn append(journal: &mut EventJournal, seq: u64) {
    for event in events_of(seq) {
        journal.append(&event).expect("room");
    }
}

fn written(last: u64) -> (SimulatedDisk, EventJournal) {
    let (disk, mut journal) = begun();
    (1..=last).for_each(|seq| append(&mut journal, seq));
    (disk, journal)
}

fn open(disk: &SimulatedDisk, after: u64) -> Result<EventTail, Error> {
    EventTail::open(disk.storage(), ID, Seq(after))
}

fn hashes() -> Vec<ChainHash> {
    let mut hasher = EventHasher::new(ID);
    let mut hashes = vec![hasher.hash()];
    for seq in 1..=LAST {
        events_of(seq).iter().for_each(|event| hasher.update(event));
        hashes.push(hasher.hash());
    }
    hashes
}

#[test]
fn all_commands_come_whole_in_order_with_their_hash() {
    let (disk, journal) = written(LAST);
    let mut tail = open(&disk, 0).expect("it is there");
    for seq in 1..=LAST {
        assert_eq!(tail.next_seq(), Seq(seq));
        assert!(tail.advance().expect("readable"), "{seq} is published");
        assert_eq!(tail.command(), events_of(seq).concat());
    }
    assert!(!tail.advance().expect("readable"));
    assert!(!tail.is_torn(), "nothing stands behind the last command");
    assert_eq!(tail.hash(), journal.event_hash());
}

#[test]
fn it_goes_on_behind_any_command() {
    let (disk, _) = written(LAST);
    let hashes = hashes();
    for after in (0..=LAST).filter(|seq| seq % 97 == 0 || seq % 1024 < 2 || (1498..1502).contains(seq)) {
        let mut tail = open(&disk, after).expect("it is there");
        assert_eq!(
            tail.hash(),
            hashes[usize::try_from(after).expect("small")],
            "{after}"
        );
        assert_eq!(tail.advance().expect("readable"), after < LAST, "{after}");
        let due = if after < LAST {
            events_of(after + 1).concat()
        } else {
            Vec::new()
        };
        assert_eq!(tail.command(), due, "{after}");
    }
}

#[test]
fn what_comes_before_where_it_reads_from_may_be_gone() {
    let (disk, _) = written(LAST);
    let (mut opened, mut gone) = (0, 1);
    while disk.read(&format!("event-{:010}.xqj", gone + 1)).is_some() {
        disk.take(&format!("event-{gone:010}.xqj"));
        gone += 1;
        let Err(Error::NotFound { first, .. }) = open(&disk, 0) else {
            panic!("the beginning is gone")
        };
        for after in (first.0..=LAST).filter(|after| first < EventTail::reads_from(Seq(*after))) {
            let tail = open(&disk, after).unwrap_or_else(|error| panic!("{after} with {gone} gone: {error}"));
            assert_eq!(tail.next_seq(), Seq(after + 1));
            opened += 1;
        }
    }
    assert!(gone > 3 && opened > 1_000, "{gone} {opened}");
}

#[test]
fn a_command_is_seen_when_its_last_event_is() {
    let (disk, mut journal) = begun();
    let mut tail = open(&disk, 0).expect("nothing is there yet");
    for seq in 1..=1_600 {
        let events = events_of(seq);
        let (last, others) = events.split_last().expect("at least one");
        for event in others {
            journal.append(event).expect("room");
        }
        assert!(!tail.advance().expect("readable"), "{seq}");
        assert_eq!(tail.is_torn(), !others.is_empty(), "{seq}");
        journal.append(last).expect("room");
        assert!(tail.advance().expect("readable"), "{seq}");
        assert_eq!(tail.command(), events.concat());
    }
}

#[test]
fn what_the_check_does_not_vouch_for_is_not_taken() {
    let (disk, journal) = written(40);
    drop(journal);
    let name = "event-0000000001.xqj";
    let mut image = disk.read(name).expect("it is there");
    let event = events_of(40).concat();
    let at = image
        .windows(event.len())
        .position(|bytes| bytes == event)
        .expect("the last command");
    image[at + 20] ^= 1;
    disk.put(name, &image);
    let mut tail = open(&disk, 39).expect("all before it is whole");
    assert!(!tail.advance().expect("readable"));
    assert!(tail.is_torn());
    assert!(matches!(
        open(&disk, 40),
        Err(Error::NotFound { last: Seq(39), .. })
    ));
}

#[test]
fn what_is_not_there_is_named() {
    let (disk, _) = written(LAST);
    assert!(matches!(
        open(&disk, LAST + 1),
        Err(Error::NotFound { seq, last: Seq(LAST), .. }) if seq == Seq(LAST + 1)
    ));
    assert!(matches!(
        EventTail::open(disk.storage(), JournalId([9; 16]), Seq(5)),
        Err(Error::Foreign { found: ID, .. })
    ));
    disk.take("event-0000000001.xqj");
    disk.take("event-0000000002.xqj");
    assert!(matches!(
        open(&disk, 0),
        Err(Error::NotFound { first, .. }) if first > Seq(1)
    ));
    assert_eq!(
        open(&disk, LAST).expect("the rest is there").next_seq(),
        Seq(LAST + 1)
    );
}
