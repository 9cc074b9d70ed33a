//! `cargo xtask fix-acceptance`: other people's definitions of FIX sessions, played against the gateway's session layer.
//!
//! Each definition has an acceptor and a player of its own, so that none disturbs another and those that wait for
//! heartbeats wait beside each other.

use crate::shell::{cargo, root, run};
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Definitions played at once; nearly all of their time they wait.
const AT_ONCE: usize = 12;
/// All of them together may take so long.
const WITHIN: Duration = Duration::from_secs(120);

/// What to play; every definition of the data folder when nothing is named.
#[derive(clap::Args)]
pub struct Args {
    /// Only these definitions.
    files: Vec<PathBuf>,
}

/// What every player needs.
struct Stage {
    player: PathBuf,
    dictionary: PathBuf,
    acceptor: PathBuf,
    until: Instant,
}

/// Plays the definitions, prints a line for each, and fails when one of them does.
pub fn run_acceptance(args: &Args) -> Result<()> {
    let data = xq_perf::data::data_folder()?;
    let fix = data.join("fix");
    let files = match args.files.is_empty() {
        true => definitions(&fix.join("acceptance"))?,
        false => args.files.clone(),
    };
    for file in &files {
        ensure!(file.is_file(), "there is no definition {}", file.display());
    }
    have_python()?;
    let stage = Stage {
        player: there(data.join("../tools/fix_acceptance.py"))?,
        dictionary: there(fix.join("FIX44.xml"))?,
        acceptor: build()?,
        until: Instant::now() + WITHIN,
    };
    let (waiting, failed) = (Mutex::new(files.iter()), Mutex::new(0_usize));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(files.len()) {
            scope.spawn(|| {
                let next = || waiting.lock().expect("no player panics").next();
                while let Some(file) = next() {
                    let outcome = stage.play(file);
                    let passed = matches!(&outcome, Ok((true, _)));
                    let said = outcome.map_or_else(|error| format!("{error:#}"), |(_, said)| said);
                    println!("{}", said.trim_end());
                    *failed.lock().expect("no player panics") += usize::from(!passed);
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no player panics");
    ensure!(failed == 0, "{failed} of {} definitions failed", files.len());
    println!("{} definitions passed", files.len());
    Ok(())
}

fn there(path: PathBuf) -> Result<PathBuf> {
    ensure!(path.is_file(), "{} is missing", path.display());
    Ok(path)
}

fn have_python() -> Result<()> {
    let found = Command::new("python3")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        Ok(_) | Err(_) => bail!("the definitions are played by python3, which was not found"),
    }
}

fn definitions(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in read {
        let path = entry?.path();
        if path.extension().is_some_and(|name| name == "def") {
            files.push(path);
        }
    }
    ensure!(!files.is_empty(), "{} holds no definitions", folder.display());
    files.sort();
    Ok(files)
}

/// Builds the acceptor; where it is.
fn build() -> Result<PathBuf> {
    run(&mut cargo(&["build", "-p", "xq-fix", "--example", "echo"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    // A relative target folder is meant from where cargo runs.
    there(root().join(target).join("debug/examples/echo"))
}

/// An acceptor, which ends with its definition.
struct Acceptor {
    process: Child,
    address: String,
}

impl Acceptor {
    fn start(stage: &Stage) -> Result<Acceptor> {
        let mut command = Command::new(&stage.acceptor);
        command.arg(&stage.dictionary).stdout(Stdio::piped());
        let mut process = command.spawn().context("cannot start the acceptor")?;
        let output = process.stdout.take().expect("its output is piped");
        let mut acceptor = Acceptor {
            process,
            address: String::new(),
        };
        BufReader::new(output).read_line(&mut acceptor.address)?;
        Ok(acceptor)
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        // It may be gone already, which is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Stage {
    /// Plays one definition: whether it passed, and what the player said of it.
    fn play(&self, file: &Path) -> Result<(bool, String)> {
        let left = self.until.saturating_duration_since(Instant::now());
        ensure!(
            !left.is_zero(),
            "FAIL {}: not begun, all time is used up",
            file.display()
        );
        let acceptor = Acceptor::start(self)?;
        let address = acceptor.address.trim();
        let (host, port) = address
            .rsplit_once(':')
            .with_context(|| format!("the acceptor says it listens at {address:?}"))?;
        let mut command = Command::new("python3");
        command.arg(&self.player).args([host, port]).arg(file);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut player = command.spawn().context("cannot start the player")?;
        while player.try_wait()?.is_none() {
            if Instant::now() >= self.until {
                player.kill()?;
                player.wait()?;
                bail!("FAIL {}: all time is used up", file.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = player.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        // Its own count, of one, would only repeat the verdict.
        let told = said.lines().filter(|line| !line.ends_with(" passed"));
        Ok((output.status.success(), told.collect::<Vec<_>>().join("\n")))
    }
}
