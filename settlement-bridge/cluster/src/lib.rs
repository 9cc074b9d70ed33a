//! A private PostgreSQL: a folder, a socket in it, nobody else's. For trials, tests and measurements, never for production.
//!
//! PostgreSQL does not run as root: then the folder belongs to the user `postgres`, or to `nobody`.

use anyhow::{Context, Result, bail};
use postgres::{Client, NoTls};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The roles that the bridge needs, as an administrator makes them.
const ROLES: &str = include_str!("../../../ops/postgres.sql");
/// Longest path of a socket that the system takes, some to spare for its name.
const SOCKET_PATH_MAX: usize = 80;
/// How long to wait for what is ending.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether commits wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// They do.
    Full,
    /// They do not: for tests that cut no power.
    None,
}

/// A PostgreSQL that runs, or ran.
#[derive(Debug)]
pub struct Cluster {
    data: PathBuf,
    socket: PathBuf,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    durability: Durability,
    /// Removed with it.
    _temporary: Vec<TempDir>,
}

impl Cluster {
    /// Makes and starts one in a folder that goes with it.
    ///
    /// # Errors
    /// PostgreSQL is not installed, says how to get it; it does not start.
    pub fn temporary(durability: Durability) -> Result<Cluster> {
        let folder = TempDir::with_prefix("xq-postgres-")?;
        let path = folder.path().to_owned();
        let mut cluster = Cluster::at(&path, durability)?;
        cluster._temporary.push(folder);
        cluster.start()?;
        cluster.prepare()?;
        Ok(cluster)
    }

    /// Starts the one in a folder, making it when it is not there.
    ///
    /// # Errors
    /// As [`Cluster::temporary`].
    pub fn in_folder(folder: &Path, durability: Durability) -> Result<Cluster> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let cluster = Cluster::at(&folder.canonicalize()?, durability)?;
        cluster.start()?;
        cluster.prepare()?;
        Ok(cluster)
    }

    fn at(folder: &Path, durability: Durability) -> Result<Cluster> {
        let programs = programs()?;
        let user = owner()?;
        give(folder, user)?;
        let data = folder.join("data");
        let (mut socket, mut temporary) = (folder.to_owned(), Vec::new());
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            let short = TempDir::with_prefix("xq-socket-")?;
            give(short.path(), user)?;
            socket = short.path().to_owned();
            temporary.push(short);
        }
        let cluster = Cluster {
            data,
            socket,
            programs,
            user,
            durability,
            _temporary: temporary,
        };
        if !cluster.data.join("PG_VERSION").exists() {
            cluster.initialise()?;
        }
        Ok(cluster)
    }

    fn initialise(&self) -> Result<()> {
        let mut initdb = self.command("initdb");
        initdb
            .args([
                "-U",
                "postgres",
                "--auth=trust",
                "--no-locale",
                "-E",
                "UTF8",
                "--no-sync",
                "-D",
            ])
            .arg(&self.data);
        let done = initdb.output().context("running initdb")?;
        if !done.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&done.stderr));
        }
        // Whoever is asked for a password is so by name; the socket's folder keeps everybody else out.
        let rules =
            "local all with_password scram-sha-256\nlocal all all trust\nlocal replication all trust\n";
        fs::write(self.data.join("pg_hba.conf"), rules)?;
        Ok(())
    }

    /// Starts it. Nothing happens when it runs already.
    ///
    /// # Errors
    /// What its log says.
    pub fn start(&self) -> Result<()> {
        let log = self.data.join("log");
        let durable = match self.durability {
            Durability::Full => "",
            Durability::None => " -c fsync=off -c full_page_writes=off",
        };
        let options = format!(
            "-k {} -c listen_addresses= -c wal_level=logical -c max_slot_wal_keep_size=1GB -c max_wal_size=2GB \
             -c shared_buffers=128MB -c max_connections=40{durable}",
            self.socket.display()
        );
        let begun = Instant::now();
        loop {
            if self.postmaster().is_some() {
                return Ok(());
            }
            let mut start = self.command("pg_ctl");
            start
                .args(["start", "-w", "-s", "-t", "60", "-D"])
                .arg(&self.data);
            start.arg("-l").arg(&log).arg("-o").arg(&options);
            start.stdout(Stdio::null()).stderr(Stdio::null());
            if start.status().context("running pg_ctl")?.success() {
                return Ok(());
            }
            // The processes of one that was killed may not have noticed yet, and hold its memory.
            if begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let tail: Vec<&str> = said.lines().rev().take(10).collect();
                bail!(
                    "PostgreSQL does not start: {}",
                    tail.into_iter().rev().collect::<Vec<_>>().join("\n")
                );
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Stops it in good order. Nothing happens when it does not run.
    ///
    /// # Errors
    /// It does not stop.
    pub fn stop(&self) -> Result<()> {
        if self.postmaster().is_none() {
            return Ok(());
        }
        let mut stop = self.command("pg_ctl");
        stop.args(["stop", "-w", "-s", "-m", "fast", "-D"])
            .arg(&self.data);
        let done = stop.output().context("running pg_ctl")?;
        if !done.status.success() {
            bail!(
                "PostgreSQL does not stop: {}",
                String::from_utf8_lossy(&done.stderr)
            );
        }
        Ok(())
    }

    /// Kills it, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self) -> Result<()> {
        let process = self.postmaster().context("PostgreSQL does not run")?;
        kill_process(process, Signal::KILL)?;
        let begun = Instant::now();
        while self.postmaster().is_some() {
            if begun.elapsed() > PATIENCE {
                bail!("PostgreSQL outlives its killing");
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Makes the bridge's roles, and the database `xq` that its owner owns.
    fn prepare(&self) -> Result<()> {
        self.admin("postgres")?.batch_execute(ROLES)?;
        self.database("xq")
    }

    /// Makes a database that the bridge's owner owns, when it is not there.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn database(&self, name: &str) -> Result<()> {
        let mut admin = self.admin("postgres")?;
        if admin
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])?
            .is_none()
        {
            admin.batch_execute(&format!("CREATE DATABASE {name} OWNER xq_owner"))?;
        }
        Ok(())
    }

    /// Where a role finds a database.
    pub fn url(&self, role: &str, database: &str) -> String {
        format!("host={} user={role} dbname={database}", self.socket.display())
    }

    /// Connects as a role.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn connect(&self, role: &str, database: &str) -> Result<Client> {
        Ok(Client::connect(&self.url(role, database), NoTls)?)
    }

    /// Connects as the administrator.
    ///
    /// # Errors
    /// What PostgreSQL says.
    pub fn admin(&self, database: &str) -> Result<Client> {
        self.connect("postgres", database)
    }

    /// The postmaster's process, while it lives.
    fn postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        let number = text.lines().next()?.trim().parse().ok()?;
        let process = Pid::from_raw(number)?;
        // One that was killed stays until its parent has asked after it.
        let state = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        let lives = !state.rsplit(") ").next()?.starts_with(['Z', 'X']);
        let is_ours = fs::read_to_string(format!("/proc/{number}/cmdline"))
            .ok()?
            .contains(self.data.to_str()?);
        (lives && is_ours).then_some(process)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir("/").stdin(Stdio::null()).env_remove("PGDATA");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Whoever wants to know stops it before.
        let _ = self.stop();
    }
}

/// Where PostgreSQL's programs are: the newest of 15 or later.
///
/// # Errors
/// They are nowhere; says how to get them.
pub fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
    {
        let version = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let programs = entry.path().join("bin");
        if let Some(version) = version.filter(|version| *version >= 15 && programs.join("initdb").exists()) {
            found.push((version, programs));
        }
    }
    found.sort();
    match found.pop() {
        Some((_, programs)) => Ok(programs),
        None => bail!("PostgreSQL 15 or later is not installed: apt-get install postgresql"),
    }
}

/// As whom it runs: none is as we do.
fn owner() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let find = |wanted: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, _, user, group) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            (name == wanted).then_some((user.parse().ok()?, group.parse().ok()?))
        })
    };
    let found = find("postgres").or_else(|| find("nobody"));
    Ok(Some(found.context(
        "PostgreSQL does not run as root, and there is no user postgres or nobody",
    )?))
}

fn give(folder: &Path, user: Option<(u32, u32)>) -> Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    if let Some((user, group)) = user {
        chown(folder, Some(user), Some(group))
            .with_context(|| format!("cannot give {} away", folder.display()))?;
    }
    Ok(())
}
