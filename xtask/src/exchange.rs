//! A trial exchange: its keys, its configuration and the process `xq serve`, started, stopped, killed, started again.

use crate::shell;
use anyhow::{Context, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use xq_gateway::TrialAuthority;
use xq_protocol::{ParticipantId, SessionId};

/// A participant of a trial: the name of its key files, its number, its role.
#[derive(Clone, Copy, Debug)]
pub struct Guest {
    /// Key files are `keys/NAME.pem` and `keys/NAME.key`.
    pub name: &'static str,
    /// Its number.
    pub number: u32,
    /// Its role, as in the notation.
    pub role: &'static str,
}

impl Guest {
    /// A participant.
    pub const fn new(name: &'static str, number: u32, role: &'static str) -> Guest {
        Guest { name, number, role }
    }

    /// One of its sessions, 0 to 15.
    pub fn session(&self, slot: u32) -> SessionId {
        SessionId::of(ParticipantId(self.number), slot)
            .expect("trials have few participants, and 16 slots each")
    }
}

/// Where a trial exchange lives: a folder with `xq.toml`, `keys/`, `data/` (its journals) and `xq.log`.
pub struct Trial {
    binary: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
}

/// A process `xq serve`; dropped, it is killed.
pub struct Running {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

/// A trial's few guests send what a whole market would: as fast as they can, each in one session.
const UNTHROTTLED: &str = "[sessions]\nthrottle_rate = 1000000\nthrottle_burst = 1000000\n";
/// How long recovery may take before a start counts as failed.
const START_WITHIN: Duration = Duration::from_secs(120);
/// How long a clean stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at a process.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Builds the exchange for release; tells where its binary is.
pub fn build() -> anyhow::Result<PathBuf> {
    let mut command = shell::cargo(&["build", "--release", "-p", "xq-server", "--bin", "xq"]);
    command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    let output = command.output().context("cannot start cargo")?;
    ensure!(output.status.success(), "the exchange does not build");
    let said = String::from_utf8_lossy(&output.stdout);
    let messages = said
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next_back().context("cargo did not say where `xq` is")
}

/// A loopback address whose port nobody has at the moment.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(socket.local_addr()?)
}

/// Whether an exchange could run in this folder and at this address; else says who is in the way.
pub fn is_free(folder: &Path, address: SocketAddr) -> anyhow::Result<()> {
    ensure!(!is_bound(address), "{address}: another program listens there");
    let journals = folder.join("data");
    let Ok(handle) = File::open(&journals) else {
        return Ok(());
    };
    let free = flock(&handle, FlockOperation::NonBlockingLockExclusive);
    free.with_context(|| format!("{}: another `xq` is at work there", journals.display()))
}

impl Trial {
    /// Prepares a folder: trial keys where there are none, and the configuration anew.
    pub fn prepare(
        binary: &Path,
        folder: &Path,
        address: SocketAddr,
        guests: &[Guest],
    ) -> anyhow::Result<Trial> {
        ensure!(
            address.ip().is_loopback(),
            "{address}: trial keys are for loopback only"
        );
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let keys = folder.join("keys");
        make_keys(&keys, guests).with_context(|| keys.display().to_string())?;
        let trial = Trial {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            address,
        };
        trial.configure(guests, "")?;
        Ok(trial)
    }

    /// Another folder with the same configuration and keys: what an operator keeps beside backups.
    pub fn beside(&self, folder: &Path) -> anyhow::Result<Trial> {
        let keys = folder.join("keys");
        std::fs::create_dir_all(&keys).with_context(|| keys.display().to_string())?;
        for entry in std::fs::read_dir(self.folder.join("keys"))? {
            let path = entry?.path();
            let name = path.file_name().context("a file of a folder has a name")?;
            std::fs::copy(&path, keys.join(name)).with_context(|| path.display().to_string())?;
        }
        std::fs::copy(self.config(), folder.join("xq.toml"))?;
        Ok(Trial {
            binary: self.binary.clone(),
            folder: folder.to_owned(),
            address: self.address,
        })
    }

    /// Writes the configuration anew, with more TOML before its participants.
    pub fn configure(&self, guests: &[Guest], more: &str) -> anyhow::Result<()> {
        let mut text = format!(
            "# Written for a trial.\n[server]\nlisten = \"{}\"\n\n{UNTHROTTLED}\n{more}\n",
            self.address
        );
        for guest in guests {
            text += &format!(
                "[[participants]]\nnumber = {}\nrole = \"{}\"\ncertificates = [\"keys/{}.pem\"]\n\n",
                guest.number, guest.role, guest.name
            );
        }
        let path = self.config();
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// The configuration's file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("xq.toml")
    }
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
    /// The folder of its journals.
    pub fn journals(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the process has said so far, in all its runs.
    pub fn log(&self) -> anyhow::Result<String> {
        let path = self.folder.join("xq.log");
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// What a client needs to connect as a guest, in one of its sessions.
    pub fn client(&self, guest: &Guest, slot: u32) -> xq_client::Config {
        let keys = self.folder.join("keys");
        xq_client::Config {
            addr: self.address,
            server_name: "localhost".to_owned(),
            ca: keys.join("ca.pem"),
            cert: keys.join(format!("{}.pem", guest.name)),
            key: keys.join(format!("{}.key", guest.name)),
            session: guest.session(slot),
            resume: None,
            mtu: None,
        }
    }

    /// `xq` with these arguments, in the trial's folder.
    pub fn xq(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(&self.folder);
        command
    }

    /// Starts the process and does not wait for it: it may be recovering for a while.
    pub fn spawn(&self) -> anyhow::Result<Running> {
        is_free(&self.folder, self.address)?;
        let log = self.folder.join("xq.log");
        let file = File::options().create(true).append(true).open(&log);
        let file = file.with_context(|| log.display().to_string())?;
        let mut command = self.xq(&["serve", "--config", "xq.toml"]);
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        Ok(Running {
            child,
            address: self.address,
            log,
        })
    }

    /// Starts the process and waits until it listens.
    pub fn start(&self) -> anyhow::Result<Running> {
        let mut running = self.spawn()?;
        running.wait_until_listening()?;
        Ok(running)
    }

    /// Runs `xq` to its end; gives what it printed, or fails with what it said.
    pub fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self
            .xq(arguments)
            .stdin(Stdio::null())
            .output()
            .context("cannot start `xq`")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!(
                "`xq {}` failed, {}: {}{said}",
                arguments.join(" "),
                output.status,
                error.trim()
            );
        }
        Ok(said)
    }
}

impl Running {
    /// Waits until the process listens; fails when it ends before, with the last it said.
    pub fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut seen = 0;
        // Seen twice: at its start, the process takes the port for a moment to learn whether it is free.
        while seen < 2 {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "the exchange ended at its start, {status}:\n{}",
                    self.last_lines(5)
                );
            }
            ensure!(
                started.elapsed() < START_WITHIN,
                "the exchange does not listen after {START_WITHIN:?}"
            );
            seen = if is_bound(self.address) { seen + 1 } else { 0 };
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// The process' number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks the process to stop (SIGTERM) and waits until it has; fails unless it ended well.
    pub fn terminate(mut self) -> anyhow::Result<()> {
        // One that has ended already, at Ctrl-C as well, has no number any more.
        if self.child.try_wait()?.is_none() {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, Signal::TERM).context("cannot ask the exchange to stop")?;
        }
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(
                    status.success(),
                    "the exchange ended with {status}:\n{}",
                    self.last_lines(5)
                );
                return Ok(());
            }
            ensure!(
                asked.elapsed() < STOP_WITHIN,
                "the exchange does not stop within {STOP_WITHIN:?}"
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Ends the process at once (SIGKILL), as a crash would.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn last_lines(&self, count: usize) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn make_keys(folder: &Path, guests: &[Guest]) -> std::io::Result<()> {
    let authority = match folder.join("ca.key").exists() {
        true => TrialAuthority::open(folder)?,
        false => TrialAuthority::create(folder)?,
    };
    if !folder.join("server.pem").exists() {
        authority.server("server", &["localhost", "127.0.0.1"])?;
    }
    for guest in guests {
        if !folder.join(format!("{}.pem", guest.name)).exists() {
            authority.client(guest.name)?;
        }
    }
    Ok(())
}

/// Says whether a program on this machine has this UDP address: asking the kernel's table takes the port from nobody.
fn is_bound(address: SocketAddr) -> bool {
    let IpAddr::V4(ip) = address.ip() else {
        return UdpSocket::bind(address).is_err();
    };
    let wanted = format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), address.port());
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    table
        .lines()
        .any(|line| line.split_whitespace().nth(1) == Some(wanted.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_address_is_seen_until_it_is_given_back() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = socket.local_addr().expect("it is bound");
        assert!(is_bound(address));
        drop(socket);
        assert!(!is_bound(address));
    }

    #[test]
    fn keys_are_made_once() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let guests = [Guest::new("operator", 1, "operator")];
        let address = free_address().expect("a free port");
        let read = || std::fs::read(folder.path().join("keys/operator.pem")).expect("it was made");
        Trial::prepare(Path::new("xq"), folder.path(), address, &guests).expect("it is prepared");
        let first = read();
        Trial::prepare(Path::new("xq"), folder.path(), address, &guests).expect("it is prepared again");
        assert_eq!(first, read());
    }

    #[test]
    fn a_trial_is_not_throttled() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let address = free_address().expect("a free port");
        let trial = Trial::prepare(Path::new("xq"), folder.path(), address, &[]).expect("it is prepared");
        for more in ["", "[log]\nlevel = \"warn\"\n"] {
            trial.configure(&[], more).expect("it is written");
            let text = std::fs::read_to_string(trial.config()).expect("it was written");
            assert!(text.contains(UNTHROTTLED) && text.contains(more), "{text}");
        }
    }
}
