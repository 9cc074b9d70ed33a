//! What the tables take in memory, as the engine tells it.

mod support;

use xq_engine::{Events, Exchange, Table};
use xq_protocol::{CommandFrame, Count, Genesis, Header, Nanos, Seq};

const ROWS: u32 = 8_000;

/// Genesis with one capacity of so many rows.
fn genesis(table: Table, rows: u32) -> Genesis {
    let (mut genesis, rows) = (support::genesis(), Count(rows));
    match table {
        Table::Participants => genesis.participants_max = rows,
        Table::Accounts => genesis.accounts_max = rows,
        Table::Series => genesis.series_max = rows,
        Table::Balances => genesis.balances_max = rows,
        Table::Orders => genesis.orders_max = rows,
        Table::LevelPages => genesis.level_pages_max = rows,
        Table::Sessions => genesis.sessions_max = rows,
        Table::Proposals => genesis.proposals_max = rows,
        Table::BankRefs => genesis.bank_refs_max = rows,
    }
    genesis
}

/// Bytes that a venue takes when it is opened like this.
fn taken(genesis: &Genesis) -> u64 {
    let header = Header {
        time: Nanos(1),
        ..Header::default()
    };
    let frame = CommandFrame::new(header, genesis);
    let frame = frame.frame().expect("whole");
    let (mut exchange, mut events) = (Exchange::new(), Events::new());
    let allocated = allocation_counter::measure(|| exchange.apply(Seq(1), &frame, &mut events));
    assert!(
        exchange.fills().iter().all(|fill| fill.capacity > 0),
        "Genesis was refused"
    );
    u64::try_from(allocated.bytes_current).expect("nothing is given back")
}

#[test]
fn each_table_takes_as_many_bytes_as_is_told_of_it() {
    for table in Table::ALL {
        // Nobody waits for so many approvals.
        let rows = if table == Table::Proposals { 1_000 } else { ROWS };
        let (few, many) = (rows / 8, rows);
        let told = table.bytes(many) - table.bytes(few);
        let taken = taken(&genesis(table, many)) - taken(&genesis(table, few));
        // Sessions have room for larger work besides.
        assert!(
            taken >= told && taken - told <= told / 100,
            "{}: {told} told, {taken} taken",
            table.name()
        );
    }
}
