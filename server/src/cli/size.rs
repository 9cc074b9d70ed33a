//! `xq size`: what an exchange of a certain size needs: memory, disk a day, time to recover.

use super::{Ended, say};
use crate::config::Config;
use crate::machine::table_bytes;
use crate::opening;
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use std::time::Duration;
use xq_engine::Table;
use xq_protocol::{Genesis, HEADER_LEN, JournalId, PlaceOrder, SLOT_LEN};

/// Bytes of events a command, measured on a flow of orders with 0.26 trades each (`mix1_10k`, perf/results).
const EVENT_BYTES: u64 = 135;
/// Commands that recovery executes and compares a second on two cores (perf/results).
const RECOVERED_A_SECOND: u64 = 2_700_000;
/// Bytes that recovery can be expected to read a second.
const READ_A_SECOND: u64 = 1 << 30;
/// Commits a second at most: one takes some 100 µs, and what comes meanwhile goes into the next.
const COMMITS_A_SECOND: u64 = 10_000;
/// Bytes of a batch's header.
const BATCH_HEADER: u64 = 72;

/// Tells what so many series and orders at such a rate need. What is not said keeps the default's capacity, or follows
/// from what is said.
#[derive(clap::Args)]
pub(super) struct Size {
    /// Series that can be drafted.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    series: u32,
    /// Orders that can rest at once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 25))]
    orders: u32,
    /// Commands a second while the market is open.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: u64,
    /// Hours a day that the market is open.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=24))]
    hours: u64,
    /// Accounts that can be opened.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    accounts: Option<u32>,
    /// Balances (account × asset); four an account when it is left out.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 26))]
    balances: Option<u32>,
    /// Sessions that can exist.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    sessions: Option<u32>,
}

impl Size {
    pub(super) fn run(self) -> Result<(), Ended> {
        let config = self.config();
        let genesis = opening::genesis(&config.exchange, JournalId([0; 16]));
        self.tell_memory(&genesis, &config)?;
        self.tell_disk(&config)?;
        tell_settings(&genesis)
    }

    /// The defaults with the capacities asked for.
    fn config(&self) -> Config {
        let mut config = Config::defaults();
        let exchange = &mut config.exchange;
        exchange.series_max = self.series;
        exchange.orders_max = self.orders;
        exchange.accounts_max = self.accounts.unwrap_or(exchange.accounts_max);
        exchange.sessions_max = self.sessions.unwrap_or(exchange.sessions_max);
        let balances = exchange.accounts_max.saturating_mul(4).min(1 << 26);
        exchange.balances_max = self.balances.unwrap_or(balances);
        // Each side of each book has a page at its touch; orders further away share pages of 64 ticks.
        let pages = self.series.saturating_mul(2).saturating_add(self.orders / 8);
        exchange.level_pages_max = pages.clamp(1, 1 << 22);
        config
    }

    fn tell_memory(&self, genesis: &Genesis, config: &Config) -> Result<(), Ended> {
        say::line("memory, once every table is full")?;
        for table in Table::ALL {
            let rows = table.capacity(genesis);
            let bytes = HumanBytes(table.bytes(rows)).to_string();
            let (name, rows) = (table.name(), HumanCount(rows.into()).to_string());
            say::line(format_args!("  {name:<13} {rows:>12}  {bytes:>11}"))?;
        }
        let slots = config.rings.command_slots + config.rings.event_slots;
        let rings = u64::try_from(slots * SLOT_LEN).unwrap_or(u64::MAX);
        let sum = HumanBytes(table_bytes(genesis) + rings);
        say::line(format_args!(
            "  sum           {:>12}  {:>11}, rings included",
            "",
            sum.to_string()
        ))?;
        say::line("  The doors' books and connections, and the cache of the journals' files, come on top.")
    }

    fn tell_disk(&self, config: &Config) -> Result<(), Ended> {
        let (seconds, idle) = (self.hours * 3_600, (24 - self.hours) * 3_600);
        let tick_rate = 1_000_u64.div_ceil(config.threads.tick_interval_ms);
        let command = u64::try_from(HEADER_LEN + size_of::<PlaceOrder>()).expect("small");
        let block = u64::try_from(config.journal.block_bytes).unwrap_or(u64::MAX);
        // Ticks are commands, too, and come all day long.
        let rate = self.rate + tick_rate;
        let commits = rate.min(COMMITS_A_SECOND);
        let batch = BATCH_HEADER + command * rate.div_ceil(commits);
        // A batch takes whole blocks: half of one is left over on average, and most of one by a batch of one command.
        let batch = block.max(batch + block / 2);
        let ticks = idle * tick_rate;
        let commands = commits * seconds * batch + ticks * block;
        let events = rate * seconds * EVENT_BYTES + ticks * EVENT_BYTES;
        say::line(format_args!(
            "disk a day, at {} commands/s for {} h",
            HumanCount(self.rate),
            self.hours
        ))?;
        say::line(format_args!(
            "  commands       {:>11}, in blocks of {block} bytes",
            HumanBytes(commands).to_string()
        ))?;
        say::line(format_args!(
            "  events         {:>11}, at {EVENT_BYTES} bytes a command",
            HumanBytes(events).to_string()
        ))?;
        let executed = (rate * seconds + ticks).div_ceil(RECOVERED_A_SECOND);
        let read = (commands + events).div_ceil(READ_A_SECOND);
        say::line(format_args!(
            "recovery of such a day: about {}, at {} commands/s on two cores and {} read a second",
            HumanDuration(Duration::from_secs(executed.max(read))),
            HumanCount(RECOVERED_A_SECOND),
            HumanBytes(READ_A_SECOND)
        ))
    }
}

fn tell_settings(genesis: &Genesis) -> Result<(), Ended> {
    say::line("[exchange]")?;
    for table in Table::ALL {
        say::line(format_args!("{}_max = {}", table.name(), table.capacity(genesis)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_to_be_set_is_a_configuration() {
        let size = Size {
            series: 100_000,
            orders: 4_000_000,
            rate: 200_000,
            hours: 8,
            accounts: Some(1 << 24),
            balances: None,
            sessions: None,
        };
        let config = size.config();
        let genesis = opening::genesis(&config.exchange, JournalId([0; 16]));
        let lines: String = Table::ALL
            .iter()
            .map(|table| format!("{}_max = {}\n", table.name(), table.capacity(&genesis)))
            .collect();
        let read = Config::from_text(&format!("[exchange]\n{lines}")).expect("it is right");
        assert_eq!(read.exchange, config.exchange);
    }
}
