//! A PostgreSQL and a bridge beside a trial exchange.

use crate::exchange::Trial;
use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use xq_cluster::{Cluster, Durability};

/// How often it is asked how far the bridge is.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long a clean stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// What is told of the bridge.
#[derive(Debug, Default)]
pub struct Told {
    text: Mutex<String>,
    over: AtomicBool,
    committed: AtomicU64,
}

impl Told {
    /// How far PostgreSQL is, in words.
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, text: String) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// PostgreSQL in the trial's folder, the bridge, and whoever asks how far it is.
pub struct Settlement {
    cluster: Arc<Cluster>,
    bridge: Child,
    told: Arc<Told>,
    asking: Option<std::thread::JoinHandle<()>>,
}

/// Installs PostgreSQL where it is missing and may be.
///
/// # Errors
/// It is missing, and says how to get it.
pub fn have_postgresql() -> anyhow::Result<()> {
    let Err(missing) = xq_cluster::programs() else {
        return Ok(());
    };
    if !rustix::process::geteuid().is_root() {
        return Err(missing);
    }
    println!("PostgreSQL is missing: apt-get install postgresql");
    for arguments in [
        &["update", "-q"][..],
        &["install", "-qy", "--no-install-recommends", "postgresql"],
    ] {
        let done = Command::new("apt-get")
            .args(arguments)
            .status()
            .context("apt-get")?;
        ensure!(done.success(), "apt-get {}: {done}", arguments.join(" "));
    }
    xq_cluster::programs().map(|_| ())
}

/// The bridge as a process, its log beside the exchange's.
///
/// # Errors
/// It cannot be started.
pub fn spawn_bridge(trial: &Trial, url: &str) -> anyhow::Result<Child> {
    let log = trial.config().with_file_name("bridge.log");
    let log = File::options()
        .create(true)
        .append(true)
        .open(&log)
        .with_context(|| log.display().to_string())?;
    let mut command = trial.xq(&["bridge", "--postgres", url, "--config", "xq.toml"]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("cannot start `xq bridge`")
}

/// The last command in PostgreSQL, and how old it is, seconds; none while nothing is there.
pub fn committed(client: &mut postgres::Client) -> Option<(u64, f64)> {
    let ask =
        "SELECT seq, greatest(extract(epoch FROM clock_timestamp() - at), 0)::float8 FROM xq.bridge_cursor";
    let row = client.query_opt(ask, &[]).ok()??;
    let age: Option<f64> = row.get(1);
    Some((u64::try_from(row.get::<_, i64>(0)).ok()?, age.unwrap_or(0.0)))
}

impl Settlement {
    /// Starts PostgreSQL in a folder, and the bridge into it.
    ///
    /// # Errors
    /// PostgreSQL is missing or does not start.
    pub fn start(trial: &Trial, folder: &Path) -> anyhow::Result<Settlement> {
        have_postgresql()?;
        let cluster = Cluster::in_folder(folder, Durability::Full).with_context(|| {
            format!(
                "PostgreSQL in {} (its user must reach that folder)",
                folder.display()
            )
        })?;
        let cluster = Arc::new(cluster);
        let bridge = spawn_bridge(trial, &cluster.url("xq_bridge", "xq"))?;
        let told = Arc::<Told>::default();
        let (asked, of) = (Arc::clone(&told), Arc::clone(&cluster));
        let asking = std::thread::spawn(move || {
            while !asked.over.load(Ordering::Relaxed) {
                if let Ok(mut client) = of.connect("xq_bridge", "xq") {
                    while let (false, Some((seq, age))) =
                        (asked.over.load(Ordering::Relaxed), committed(&mut client))
                    {
                        asked.committed.store(seq, Ordering::Relaxed);
                        asked.tell(format!("PostgreSQL has command {seq}, {age:.1} s old"));
                        std::thread::park_timeout(ASK_EVERY);
                    }
                }
                std::thread::park_timeout(ASK_EVERY);
            }
        });
        Ok(Settlement {
            cluster,
            bridge,
            told,
            asking: Some(asking),
        })
    }

    /// What is told of it.
    pub fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }

    /// Its address, as the bridge and readers take it.
    pub fn url(&self) -> String {
        self.cluster.url("xq_bridge", "xq")
    }

    /// Ends the bridge, after the transaction in hand, and PostgreSQL.
    ///
    /// # Errors
    /// One of them does not end well.
    pub fn end(mut self) -> anyhow::Result<()> {
        self.told.over.store(true, Ordering::Relaxed);
        if let Some(asking) = self.asking.take() {
            asking.thread().unpark();
            // What it could not ask it has not told.
            let _ = asking.join();
        }
        let ended = end(&mut self.bridge);
        self.cluster.stop()?;
        ended
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        self.told.over.store(true, Ordering::Relaxed);
        // Errors mean that it has ended already.
        let _ = self.bridge.kill();
        let _ = self.bridge.wait();
        let _ = self.cluster.stop();
    }
}

/// Asks a process to stop and waits until it has.
fn end(child: &mut Child) -> anyhow::Result<()> {
    if child.try_wait()?.is_none() {
        kill_process(Pid::from_child(child), Signal::TERM).context("cannot ask the bridge to stop")?;
    }
    let asked = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "the bridge ended with {status}: see bridge.log");
            return Ok(());
        }
        if asked.elapsed() > STOP_WITHIN {
            bail!("the bridge does not stop within {STOP_WITHIN:?}");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
