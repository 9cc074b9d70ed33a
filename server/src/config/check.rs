//! What each value may be; the first that is not is named with its value.

use super::{Config, Exchange, Participant};
use crate::priority::{PRIORITY_MAX, PRIORITY_MIN};
use crate::ring::RING_SLOTS_MIN;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use xq_protocol::{Currency, Role};

const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
const LAYOUTS: [&str; 3] = ["auto", "pinned", "shared"];

type Checked = Result<(), String>;

fn require(holds: bool, key: &str, value: impl Display, allowed: &str) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(format!("`{key}` = {value}: {allowed} is allowed"))
    }
}

fn within<T: PartialOrd + Display + Copy>(key: &str, value: T, allowed: RangeInclusive<T>) -> Checked {
    let words = format!("{} to {}", allowed.start(), allowed.end());
    require(allowed.contains(&value), key, value, &words)
}

fn power_of_two(key: &str, value: usize, allowed: RangeInclusive<usize>) -> Checked {
    let words = format!("a power of two from {} to {}", allowed.start(), allowed.end());
    require(
        value.is_power_of_two() && allowed.contains(&value),
        key,
        value,
        &words,
    )
}

pub(super) fn check(config: &Config) -> Checked {
    let listen = &config.server.listen;
    let address = listen.parse::<SocketAddr>().is_ok();
    require(
        address,
        "server.listen",
        format!("{listen:?}"),
        "an address and port, as 127.0.0.1:4700,",
    )?;
    let journal = &config.journal;
    within(
        "journal.command_segment_mib",
        journal.command_segment_mib,
        1..=1_024,
    )?;
    within("journal.event_segment_mib", journal.event_segment_mib, 1..=1_024)?;
    power_of_two("journal.block_bytes", journal.block_bytes, 512..=4_096)?;
    within("journal.batch_kib", journal.batch_kib, 16..=65_536)?;
    within("journal.prepared_segments", journal.prepared_segments, 1..=64)?;
    within(
        "journal.event_sync_interval_ms",
        journal.event_sync_interval_ms,
        10..=60_000,
    )?;
    let follower = &config.follower;
    within(
        "follower.snapshot_every_commands",
        follower.snapshot_every_commands,
        1_024..=1_000_000_000,
    )?;
    within("follower.snapshot_every_s", follower.snapshot_every_s, 1..=86_400)?;
    check_retention(config)?;
    power_of_two(
        "rings.command_slots",
        config.rings.command_slots,
        RING_SLOTS_MIN..=1 << 20,
    )?;
    power_of_two("rings.event_slots", config.rings.event_slots, 1_024..=1 << 20)?;
    check_threads(config)?;
    check_exchange(&config.exchange)?;
    within(
        "sessions.throttle_rate",
        config.sessions.throttle_rate,
        1..=100_000_000,
    )?;
    within(
        "sessions.throttle_burst",
        config.sessions.throttle_burst,
        1..=100_000_000,
    )?;
    within(
        "sessions.drop_copies_max",
        config.sessions.drop_copies_max,
        4..=1_024,
    )?;
    check_market_data(config)?;
    let level = &config.log.level;
    require(
        LEVELS.contains(&level.as_str()),
        "log.level",
        format!("{level:?}"),
        "error, warn, info, debug or trace",
    )?;
    let page = &config.metrics.listen;
    require(
        page.is_empty()
            || page
                .parse::<SocketAddr>()
                .is_ok_and(|page| page.ip().is_loopback()),
        "metrics.listen",
        format!("{page:?}"),
        "nothing, or an address and port on loopback, as 127.0.0.1:9470,",
    )?;
    check_participants(&config.participants)
}

fn check_retention(config: &Config) -> Checked {
    let retention = &config.retention;
    let hours = 0..=876_000;
    within("retention.keep_hours", retention.keep_hours, hours.clone())?;
    within(
        "retention.keep_snapshots_hours",
        retention.keep_snapshots_hours,
        hours,
    )?;
    within("retention.snapshots", retention.snapshots, 2..=1_000)?;
    within(
        "retention.sealed_gib_max",
        retention.sealed_gib_max,
        0..=1_048_576,
    )?;
    let archive = format!("{:?}", retention.archive);
    if retention.archive.as_os_str().is_empty() {
        return require(
            retention.sealed_gib_max == 0,
            "retention.sealed_gib_max",
            retention.sealed_gib_max,
            "0, as long as `retention.archive` is empty,",
        );
    }
    let is_same = |one: &Path, other: &Path| one.components().eq(other.components());
    let here = retention.archive.strip_prefix(".").unwrap_or(&retention.archive);
    require(
        !is_same(here, &config.journal.folder),
        "retention.archive",
        &archive,
        "another folder than `journal.folder`",
    )?;
    require(
        config.follower.enabled,
        "retention.archive",
        archive,
        "nothing, or a follower (`follower.enabled`),",
    )
}

fn check_market_data(config: &Config) -> Checked {
    let market = &config.market_data;
    let listen = &market.listen;
    require(
        listen.is_empty() || listen.parse::<SocketAddr>().is_ok(),
        "market_data.listen",
        format!("{listen:?}"),
        "nothing, or an address and port, as 127.0.0.1:4701,",
    )?;
    within("market_data.subscribers_max", market.subscribers_max, 1..=4_096)?;
    within("market_data.channels", market.channels, 1..=64)?;
    within("market_data.kept_messages", market.kept_messages, 1_024..=1 << 24)?;
    within(
        "market_data.snapshot_orders_max",
        market.snapshot_orders_max,
        1..=1 << 25,
    )?;
    within("market_data.conflation_ms", market.conflation_ms, 10..=60_000)
}

fn check_threads(config: &Config) -> Checked {
    let threads = &config.threads;
    let layout = &threads.layout;
    require(
        LAYOUTS.contains(&layout.as_str()),
        "threads.layout",
        format!("{layout:?}"),
        "auto, pinned or shared",
    )?;
    let distinct: BTreeSet<_> = threads.cores.iter().collect();
    let three = threads.cores.is_empty() || (threads.cores.len() == 3 && distinct.len() == 3);
    require(
        three,
        "threads.cores",
        format!("{:?}", threads.cores),
        "an empty list, or three different cores,",
    )?;
    let priority = threads.real_time_priority;
    require(
        priority == 0 || (PRIORITY_MIN..=PRIORITY_MAX).contains(&priority),
        "threads.real_time_priority",
        priority,
        &format!("0, or {PRIORITY_MIN} to {PRIORITY_MAX}"),
    )?;
    within("threads.tick_interval_ms", threads.tick_interval_ms, 1..=10_000)
}

fn check_exchange(exchange: &Exchange) -> Checked {
    // The engine refuses more, so that no configuration can make it run out of memory.
    let counts = [
        ("participants_max", exchange.participants_max, 1 << 24),
        ("accounts_max", exchange.accounts_max, 1 << 24),
        ("series_max", exchange.series_max, 1 << 20),
        ("balances_max", exchange.balances_max, 1 << 26),
        ("orders_max", exchange.orders_max, 1 << 25),
        ("sessions_max", exchange.sessions_max, 65_536),
        ("level_pages_max", exchange.level_pages_max, 1 << 22),
        ("proposals_max", exchange.proposals_max, 1 << 10),
        ("bank_refs_max", exchange.bank_refs_max, 1 << 26),
    ];
    for (key, value, most) in counts {
        within(&format!("exchange.{key}"), value, 1..=most)?;
    }
    within("exchange.proposal_ttl_s", exchange.proposal_ttl_s, 1..=2_592_000)?;
    within(
        "exchange.reopen_after_ms",
        exchange.reopen_after_ms,
        0..=86_400_000,
    )?;
    within(
        "exchange.disconnect_grace_ms",
        exchange.disconnect_grace_ms,
        0..=86_400_000,
    )?;
    let currencies = &exchange.currencies;
    let some = (1..=8).contains(&currencies.len());
    require(
        some,
        "exchange.currencies",
        format!("{currencies:?}"),
        "a list of one to eight",
    )?;
    let mut seen = BTreeSet::new();
    for code in currencies {
        let known = Currency::from_code(code).is_some() && seen.insert(code);
        require(
            known,
            "exchange.currencies",
            format!("{code:?}"),
            "an ISO 4217 code of a currency in use, once,",
        )?;
    }
    Ok(())
}

fn check_participants(participants: &[Participant]) -> Checked {
    let mut seen = BTreeSet::new();
    for (place, participant) in participants.iter().enumerate() {
        let key = |name: &str| format!("participants[{place}].{name}");
        within(&key("number"), participant.number, 1..=(1 << 28) - 1)?;
        let once = seen.insert(participant.number);
        require(
            once,
            &key("number"),
            participant.number,
            "a number that no other table has",
        )?;
        let role = Role::from_text(&participant.role).filter(|role| *role != Role::House);
        let roles: Vec<_> = Role::ALL[1..].iter().map(|role| role.text()).collect();
        require(
            role.is_some(),
            &key("role"),
            format!("{:?}", participant.role),
            &roles.join(", "),
        )?;
        let certificates = participant.certificates.len();
        require(
            certificates <= 2,
            &key("certificates"),
            certificates,
            "none, one or two",
        )?;
    }
    Ok(())
}
