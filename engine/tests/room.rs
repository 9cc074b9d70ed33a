//! What the tables take in memory, as the engine tells it.

mod support;

use xq_engine::{Events, Exchange, Table};
use xq_protocol::{CommandFrame, Count, Genesis, Header, Nanos, Seq};

/// Genesis with each capacity as large as `scale` of thousands.
fn genesis(scale: u32) -> Genesis {
    let thousands = Count(scale * 1_000);
    Genesis {
        participants_max: thousands,
        accounts_max: thousands,
        series_max: thousands,
        balances_max: Count(scale * 3_000),
        orders_max: Count(scale * 5_000),
        level_pages_max: thousands,
        sessions_max: Count(scale * 100),
        proposals_max: Count(scale * 10),
        bank_refs_max: thousands,
        ..support::genesis()
    }
}

#[test]
fn tables_take_as_many_bytes_as_is_told_of_them() {
    for scale in [1, 3, 10] {
        let genesis = genesis(scale);
        let told: u64 = Table::ALL
            .iter()
            .map(|table| table.bytes(table.capacity(&genesis)))
            .sum();
        let header = Header {
            time: Nanos(1),
            ..Header::default()
        };
        let frame = CommandFrame::new(header, &genesis);
        let (mut exchange, mut events) = (Exchange::new(), Events::new());
        let frame = frame.frame().expect("whole");
        let allocated = allocation_counter::measure(|| exchange.apply(Seq(1), &frame, &mut events));
        let taken = u64::try_from(allocated.bytes_current).expect("nothing is given back");
        assert!(
            exchange.fills().iter().all(|fill| fill.capacity > 0),
            "Genesis was refused"
        );
        // What does not grow with capacities is below 2 MB: jobs, fee schedules, the head of the ledger.
        assert!(
            taken >= told && taken - told < taken / 50 + (2 << 20),
            "{told} told, {taken} taken"
        );
    }
}
