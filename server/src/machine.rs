//! Whether this machine is fit to run the exchange as it is configured: looked at before a start, nothing is changed.

use crate::clock::SteadyClock;
use crate::config::Config;
use crate::pipeline::PipelineConfig;
use crate::recovery::lock_folder;
use crate::server::gateway_config;
use crate::wait::Layout;
use crate::{lockout, priority};
use rustix::fs::{StatVfsMountFlags, stat, statvfs};
use rustix::process::{Resource, getrlimit};
use std::fs::read_to_string;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;
use xq_engine::Table;
use xq_protocol::{Genesis, JournalId};

const MIB: u64 = 1 << 20;
/// What the kernel should read ahead at most, KiB: it writes mapped files in pieces as large.
const READ_AHEAD_KIB: u64 = 128;
/// Connections and files that an exchange may need.
const FILES: u64 = 4_096;
/// A certificate that ends earlier is warned of.
const CERTIFICATE_DAYS: i64 = 14;
/// How long it is watched whether the hypervisor takes time away, and what share of it is too much, in 1/1000.
const WATCHED: Duration = Duration::from_millis(500);
const STOLEN_PERMILLE: u64 = 10;

/// How long it is waited for who knows of the clock.
const CLOCK_ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// What is thought of something found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// The exchange runs, slower or with less to spare.
    Poor,
    /// The exchange does not start, or is not safe.
    Bad,
}

/// Something that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What.
    pub about: &'static str,
    /// What is thought of it.
    pub verdict: Verdict,
    /// How it is, and what to do where it is not good.
    pub found: String,
}

fn finding(about: &'static str, verdict: Verdict, found: impl Into<String>) -> Finding {
    Finding {
        about,
        verdict,
        found: found.into(),
    }
}

/// Looks at everything; takes half a second, or some more where nobody answers.
pub fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = vec![
        certificate(config),
        participants(config),
        door(config.listen()),
        cores(config),
        memory(config),
        huge_pages(),
        files(),
        clock(),
        stolen(),
    ];
    findings.extend(config.market_data().map(market_data));
    findings.extend(config.page().map(page));
    findings.extend(real_time(config));
    findings.push(folder(config));
    findings.extend(disk(config));
    findings
}

fn certificate(config: &Config) -> Finding {
    const ABOUT: &str = "keys";
    let gateway = gateway_config(config);
    let ends = gateway.check().and_then(|()| gateway.certificate_ends());
    match ends {
        Err(error) => finding(ABOUT, Verdict::Bad, error.to_string()),
        Ok(ends) => {
            let now = i64::try_from(crate::clock::wall_now().0 / 1_000_000_000).unwrap_or(i64::MAX);
            let days = (ends - now).div_euclid(86_400);
            let found = format!("the server's certificate is valid for {days} more days");
            match days {
                ..0 => finding(
                    ABOUT,
                    Verdict::Bad,
                    format!("the server's certificate ended {} days ago", -days),
                ),
                0..CERTIFICATE_DAYS => finding(ABOUT, Verdict::Poor, found),
                CERTIFICATE_DAYS.. => finding(ABOUT, Verdict::Good, found),
            }
        }
    }
}

fn participants(config: &Config) -> Finding {
    const ABOUT: &str = "participants";
    match crate::opening::guests(&config.participants) {
        Ok(guests) => finding(
            ABOUT,
            Verdict::Good,
            format!("{} with readable certificates", guests.len()),
        ),
        Err(failure) => finding(ABOUT, Verdict::Bad, failure.to_string()),
    }
}

/// Whether an address, the value of a key, can be listened at.
fn port(about: &'static str, key: &str, (listen, bound): (SocketAddr, std::io::Result<()>)) -> Finding {
    match bound {
        Ok(()) => finding(about, Verdict::Good, format!("`{key}` = \"{listen}\" is free")),
        Err(e) => finding(about, Verdict::Bad, format!("`{key}` = \"{listen}\": {e}")),
    }
}

fn door(listen: SocketAddr) -> Finding {
    let bound = UdpSocket::bind(listen).map(drop);
    port("door", "server.listen", (listen, bound))
}

fn market_data(listen: SocketAddr) -> Finding {
    let bound = UdpSocket::bind(listen).map(drop);
    port("market data", "market_data.listen", (listen, bound))
}

fn page(listen: SocketAddr) -> Finding {
    let bound = TcpListener::bind(listen).map(drop);
    port("operations page", "metrics.listen", (listen, bound))
}

fn cores(config: &Config) -> Finding {
    if let Err(failure) = PipelineConfig::of(config, SteadyClock::start(), Vec::new()).check() {
        return finding("cores", Verdict::Bad, failure.to_string());
    }
    let there = std::thread::available_parallelism().map_or(1, usize::from);
    let (layout, enough) = match config.layout() {
        Layout::Pinned => ("pinned", there >= Layout::PINNED_CORES),
        Layout::Shared => ("shared", true),
    };
    if enough {
        return finding("cores", Verdict::Good, format!("{there}, layout {layout}"));
    }
    let found = format!(
        "{there}, and `threads.layout` = \"pinned\" wants {}: threads that never sleep keep the doors from theirs",
        Layout::PINNED_CORES
    );
    finding("cores", Verdict::Bad, found)
}

/// Whether this user may have the priority; pinned threads need none.
fn real_time(config: &Config) -> Option<Finding> {
    (config.layout() == Layout::Shared).then(|| priority_of(config.threads.real_time_priority))
}

fn priority_of(priority: u8) -> Finding {
    const ABOUT: &str = "real-time priority";
    if priority == 0 {
        return finding(
            ABOUT,
            Verdict::Poor,
            "`threads.real_time_priority` = 0: latency has longer tails",
        );
    }
    let (end, until) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || until.recv().is_err());
    let raised = priority::raise(&thread, priority);
    drop(end);
    let _ = thread.join();
    match raised {
        Ok(()) => finding(
            ABOUT,
            Verdict::Good,
            format!("{priority} is allowed to this user"),
        ),
        Err(reason) => {
            let found = format!(
                "{priority} is refused to this user ({reason}): set LimitRTPRIO, or latency has longer tails"
            );
            finding(ABOUT, Verdict::Poor, found)
        }
    }
}

fn memory(config: &Config) -> Finding {
    let genesis = crate::opening::genesis(&config.exchange, JournalId([0; 16]));
    let wanted = table_bytes(&genesis);
    let available = read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    let Some(available) = available.map(|kib| kib * 1_024) else {
        return finding(
            "memory",
            Verdict::Poor,
            "/proc/meminfo does not say how much is available",
        );
    };
    let found = format!(
        "full tables take {} MiB, {} MiB are available",
        wanted / MIB,
        available / MIB
    );
    let verdict = match wanted {
        wanted if wanted > available => Verdict::Bad,
        wanted if wanted > available / 10 * 8 => Verdict::Poor,
        _ => Verdict::Good,
    };
    finding("memory", verdict, found)
}

/// Bytes that all tables of a venue opened like this take when they are full.
pub fn table_bytes(genesis: &Genesis) -> u64 {
    let each = Table::ALL.iter();
    each.map(|table| table.bytes(table.capacity(genesis))).sum()
}

fn huge_pages() -> Finding {
    const ABOUT: &str = "huge pages";
    const SETTING: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
    match read_to_string(SETTING) {
        Ok(text) if text.contains("[always]") => finding(ABOUT, Verdict::Good, "always"),
        Ok(text) => {
            let found = format!(
                "{SETTING} says {}: with [always] many series are matched faster",
                text.trim()
            );
            finding(ABOUT, Verdict::Poor, found)
        }
        Err(e) => finding(ABOUT, Verdict::Poor, format!("{SETTING}: {e}")),
    }
}

fn files() -> Finding {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let found = format!("{limit} open files are allowed");
    if limit >= FILES {
        return finding("files", Verdict::Good, found);
    }
    finding(
        "files",
        Verdict::Poor,
        format!("{found}; {FILES} are better (`ulimit -n`, LimitNOFILE)"),
    )
}

fn clock() -> Finding {
    let (says, said) = std::sync::mpsc::channel();
    // It may wait long for somebody who is not there.
    std::thread::spawn(move || {
        let mut asked = std::process::Command::new("timedatectl");
        let answer = asked
            .args(["show", "--property=NTPSynchronized", "--value"])
            .output();
        says.send(answer.map(|answer| answer.stdout).unwrap_or_default())
    });
    match said.recv_timeout(CLOCK_ANSWERS_WITHIN).unwrap_or_default() {
        said if said.starts_with(b"yes") => finding("clock", Verdict::Good, "it is synchronised"),
        said if said.starts_with(b"no") => finding(
            "clock",
            Verdict::Bad,
            "`timedatectl` says that it is not synchronised",
        ),
        _ => finding(
            "clock",
            Verdict::Poor,
            "`timedatectl` does not say whether it is synchronised: see that somebody keeps it right",
        ),
    }
}

/// Time that the hypervisor took and all time, in the kernel's ticks.
fn ticks() -> Option<(u64, u64)> {
    let text = read_to_string("/proc/stat").ok()?;
    let numbers = text.lines().next()?.split_whitespace().skip(1);
    let numbers: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
    Some((*numbers.get(7)?, numbers.get(..8)?.iter().sum()))
}

fn stolen() -> Finding {
    const ABOUT: &str = "hypervisor";
    let spin = || {
        let until = std::time::Instant::now() + WATCHED;
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
    };
    let before = ticks();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // What nobody wants nobody takes: every core is kept busy meanwhile.
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(spin))));
    let Some(((stolen, all), (stolen_now, all_now))) = before.zip(ticks()) else {
        return finding(ABOUT, Verdict::Poor, "/proc/stat cannot be read");
    };
    // The kernel's counts may go back where a machine is moved.
    let permille = stolen_now.saturating_sub(stolen) * 1_000 / all_now.saturating_sub(all).max(1);
    let found = format!(
        "took {}.{} % of half a second's time",
        permille / 10,
        permille % 10
    );
    if permille < STOLEN_PERMILLE {
        return finding(ABOUT, Verdict::Good, found);
    }
    finding(
        ABOUT,
        Verdict::Poor,
        format!("{found}: others use this machine, and latency is theirs to spoil"),
    )
}

/// The folder, or the nearest above it that is there.
fn existing(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let there = absolute.ancestors().find(|path| path.is_dir());
    there.unwrap_or(Path::new("/")).to_owned()
}

fn disk(config: &Config) -> Vec<Finding> {
    let folder = existing(&config.journal.folder);
    let shown = folder.display();
    let mut findings = Vec::new();
    match statvfs(&folder) {
        Err(e) => return vec![finding("disk", Verdict::Bad, format!("{shown}: {e}"))],
        Ok(disk) if disk.f_flag.contains(StatVfsMountFlags::RDONLY) => {
            findings.push(finding(
                "disk",
                Verdict::Bad,
                format!("{shown} is mounted to be read only"),
            ));
        }
        Ok(disk) => findings.push(room(
            config,
            &folder,
            disk.f_bavail.saturating_mul(disk.f_frsize) / MIB,
        )),
    }
    if let Err(e) = tempfile::tempfile_in(&folder) {
        findings.push(finding(
            "journal folder",
            Verdict::Bad,
            format!("{shown}: nothing can be written there: {e}"),
        ));
    }
    let queue = queue_of(&folder);
    let queue = queue.as_deref();
    findings.push(queue.and_then(|queue| sectors(config, queue)).unwrap_or_else(|| {
        let unknown =
            "it cannot be told how large they are: `journal.block_bytes` must not be less (lsblk -o PHY-SEC)";
        finding("sectors", Verdict::Poor, unknown)
    }));
    findings.extend(queue.and_then(read_ahead));
    findings
}

/// The folder of the journals: nobody is at work there, and nothing keeps the exchange from serving.
fn folder(config: &Config) -> Finding {
    const ABOUT: &str = "journals";
    let folder = &config.journal.folder;
    if !folder.exists() {
        return finding(
            ABOUT,
            Verdict::Good,
            format!("{} is to be made", folder.display()),
        );
    }
    match lock_folder(folder).and_then(|storage| lockout::check(&storage)) {
        Ok(()) => finding(ABOUT, Verdict::Good, format!("{} is free", folder.display())),
        Err(failure) => finding(ABOUT, Verdict::Bad, failure.to_string()),
    }
}

fn room(config: &Config, folder: &Path, free_mib: u64) -> Finding {
    let journal = &config.journal;
    let prepared = u64::try_from(journal.prepared_segments).unwrap_or(u64::MAX) + 1;
    let first = prepared.saturating_mul(journal.command_segment_mib + journal.event_segment_mib);
    let found = format!(
        "{}: {free_mib} MiB are free, the first segments take {first}",
        folder.display()
    );
    let verdict = match free_mib {
        free if free < first => Verdict::Bad,
        free if free < first.saturating_mul(10) => Verdict::Poor,
        _ => Verdict::Good,
    };
    finding("disk", verdict, found)
}

/// Where the kernel tells of the disk under a folder, if it is one disk.
fn queue_of(folder: &Path) -> Option<PathBuf> {
    let device = stat(folder).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let block = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    // Of a partition the disk is told one folder above.
    let mut queues = [block.join("queue"), block.join("../queue")].into_iter();
    queues.find(|queue| queue.is_dir())
}

fn number_in(path: &Path) -> Option<u64> {
    read_to_string(path).ok()?.trim().parse().ok()
}

fn sectors(config: &Config, queue: &Path) -> Option<Finding> {
    let sector = number_in(&queue.join("physical_block_size"))?;
    let block = u64::try_from(config.journal.block_bytes).unwrap_or(u64::MAX);
    let found = format!("physical sectors of {sector} bytes, `journal.block_bytes` = {block}");
    Some(if sector <= block {
        finding("sectors", Verdict::Good, found)
    } else {
        let danger = "a power cut may take what was acknowledged";
        finding("sectors", Verdict::Bad, format!("{found}: {danger}"))
    })
}

fn read_ahead(queue: &Path) -> Option<Finding> {
    let kib = number_in(&queue.join("read_ahead_kb"))?;
    let found = format!("{kib} KiB");
    Some(if kib <= READ_AHEAD_KIB {
        finding("read ahead", Verdict::Good, found)
    } else {
        let advice = "a commit may wait for events written in pieces as large; 128 is better (read_ahead_kb)";
        finding("read ahead", Verdict::Poor, format!("{found}: {advice}"))
    })
}
