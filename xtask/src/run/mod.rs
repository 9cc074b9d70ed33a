//! `cargo xtask run`: a whole exchange on this machine, with a small market in it, to be looked at and crashed.

mod asked;
mod market;
mod venue;
mod view;

use crate::exchange::{self, Running, Trial};
use crate::settled::{Settlement, have_postgresql};
use crate::shell;
use anyhow::{Context, bail};
use asked::Asked;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, interval, sleep_until};
use venue::Found;
use xq_protocol::SeriesId;

/// What to run, and for how long.
#[derive(clap::Args)]
pub struct Args {
    /// Replay this LOBSTER message file in place of the market maker and the takers.
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// Replay so many times as fast as it happened; as fast as the exchange answers when it is left out.
    #[arg(long, value_name = "TIMES", requires = "orders")]
    speed: Option<f64>,
    /// End after so many seconds; else Ctrl-C or SIGTERM ends.
    #[arg(long)]
    seconds: Option<u64>,
    /// UDP port on loopback.
    #[arg(long, default_value_t = 4700)]
    port: u16,
}

/// How often it is looked whether the processes still run.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Builds, starts, trades and shows; ends by itself, at Ctrl-C or SIGTERM, or with the replay.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    // Before a long build, and before the configuration of one that runs is written anew.
    exchange::is_free(&shell::root(), address)?;
    if let Some(file) = &args.orders {
        std::fs::File::open(file).with_context(|| file.display().to_string())?;
    }
    have_postgresql()?;
    let binary = exchange::build()?;
    exchange::is_free(&shell::root(), address)?;
    let trial = Trial::prepare(&binary, &shell::root(), address, &venue::GUESTS)?;
    let doors = open_doors(&trial)?;
    let before = venue::found(&trial.journals());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Before the exchange is started: whoever ends this process from now on ends the exchange with it.
    let mut asked = Asked::listen(&runtime)?;
    let running = match trial.start() {
        Err(_) if asked.is_heard(&runtime) => return Ok(()),
        started => started?,
    };
    let is_open = venue::open(&trial, before);
    if asked.is_heard(&runtime) {
        return running.terminate();
    }
    is_open?;
    let began = match before {
        Found::Nothing => "is new, its journals are",
        Found::Part | Found::Everything => "goes on from its journals",
    };
    let settled = Settlement::start(&trial, &trial.journals().join("postgres"))?;
    println!("The exchange at {} {began} in ./data.\n", trial.address());
    print!("{}", lines(&binary, running.pid()));
    let xq = typed(&binary);
    if let Some(page) = doors.page {
        println!(
            "  {xq} top --config xq.toml         # what it counts, live; also http://{page}/metrics and /readyz"
        );
    }
    println!("  {xq} book COFFEE --config xq.toml # a series' ladder, trades and day, live\n");
    println!("{}", settled_lines(&xq, &settled.url()));
    let replay = args
        .orders
        .as_deref()
        .map(|file| Replay::start(&trial, file, args.speed))
        .transpose()?;
    let mut stage = Stage {
        trial,
        running,
        replay,
        market: doors.market,
        settled,
    };
    let ended = runtime.block_on(stage.play(args.seconds.map(Duration::from_secs), &mut asked));
    drop(runtime);
    let Stage {
        trial,
        running,
        replay,
        market: _,
        settled,
    } = stage;
    let replayed = replay.map(Replay::end).transpose();
    running.terminate()?;
    settled.end()?;
    println!("\nThe exchange has stopped cleanly.\n");
    print!("{}", after(&trial, &binary));
    replayed?;
    ended
}

/// Where else the exchange answers.
#[derive(Clone, Copy)]
struct Doors {
    /// Its operations page.
    page: Option<SocketAddr>,
    /// Its market data.
    market: SocketAddr,
}

/// Has the exchange open market data, and its operations page at the TCP port of its door's number, if nobody else has
/// that.
fn open_doors(trial: &Trial) -> anyhow::Result<Doors> {
    let page = trial.address();
    let page = TcpListener::bind(page).is_ok().then_some(page);
    let market = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr())?;
    let mut text = format!("[market_data]\nlisten = \"{market}\"\n");
    if let Some(page) = page {
        text += &format!("[metrics]\nlisten = \"{page}\"\n");
    }
    trial.configure(&venue::GUESTS, &text)?;
    Ok(Doors { page, market })
}

/// Whether the exchange goes on.
#[derive(PartialEq, Eq)]
enum Life {
    /// It does, perhaps in another process.
    Goes,
    /// It was asked to stop, and has.
    Over,
}

/// The processes of a run.
struct Stage {
    trial: Trial,
    running: Running,
    replay: Option<Replay>,
    market: SocketAddr,
    settled: Settlement,
}

impl Stage {
    async fn play(&mut self, length: Option<Duration>, asked: &mut Asked) -> anyhow::Result<()> {
        let counts = Arc::new(market::Counts::default());
        let series = match &self.replay {
            Some(replay) => replay.series,
            None => {
                market::open(&self.trial, &counts);
                venue::COFFEE
            }
        };
        let viewing = view::View::open(
            &self.trial,
            self.market,
            series,
            (Arc::clone(&counts), self.settled.told()),
        );
        let mut view = tokio::spawn(viewing.run());
        // Without a length it ends when it is told to: in a hundred years, else.
        let until = Instant::now() + length.unwrap_or(Duration::from_secs(100 * 365 * 86_400));
        let mut look = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                ended = &mut view => return ended.context("the view")?,
                () = asked.wait() => return Ok(()),
                () = sleep_until(until) => return Ok(()),
                _ = look.tick() => {
                    if self.replay.as_mut().is_some_and(Replay::has_ended) {
                        // What it did last is shown once more.
                        tokio::time::sleep(view::REFRESH_EVERY).await;
                        return Ok(());
                    }
                    // Ctrl-C is heard by the exchange, too.
                    if self.revive()? == Life::Over {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Starts the exchange again when it was killed: it recovers, and everyone comes back to it.
    fn revive(&mut self) -> anyhow::Result<Life> {
        let Some(status) = self.running.ended()? else {
            return Ok(Life::Goes);
        };
        if status.success() {
            return Ok(Life::Over);
        }
        if status.code().is_some() {
            bail!("the exchange ended by itself, {status}: see xq.log");
        }
        println!("\nThe exchange was killed, {status}. It is started again.");
        self.running = self.trial.start()?;
        venue::open_markets(&self.trial)?;
        println!("It has recovered; its process is {} now.", self.running.pid());
        print!("{}", view::room_after_notice());
        Ok(Life::Goes)
    }
}

/// `xq replay-orders` as it runs.
struct Replay {
    child: Child,
    series: SeriesId,
    /// What it says goes on here, so that it never waits for a reader.
    said: std::thread::JoinHandle<String>,
}

impl Replay {
    fn start(trial: &Trial, file: &Path, speed: Option<f64>) -> anyhow::Result<Replay> {
        let file = file.canonicalize().with_context(|| file.display().to_string())?;
        let mut command = trial.xq(&["replay-orders", "--config", "xq.toml"]);
        if let Some(speed) = speed {
            command.args(["--speed", &speed.to_string()]);
        }
        command
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start `xq replay-orders`")?;
        let mut errors = BufReader::new(child.stderr.take().context("it was piped")?);
        let mut first = String::new();
        errors.read_line(&mut first)?;
        let series = first
            .strip_prefix("series ")
            .and_then(|rest| rest.split(',').next()?.parse().ok());
        let Some(series) = series else {
            child.wait()?;
            bail!("`xq replay-orders`: {}", first.trim());
        };
        let said = std::thread::spawn(move || rest_of(errors));
        let series = SeriesId(series);
        Ok(Replay { child, series, said })
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Its summary, or why it failed; one that is still under way is ended.
    fn end(mut self) -> anyhow::Result<()> {
        if !self.has_ended() {
            self.child.kill()?;
            self.child.wait()?;
            println!("\nThe replay was ended before its last message.");
            return Ok(());
        }
        let output = self.child.wait_with_output()?;
        let errors = self.said.join().unwrap_or_default();
        println!("\n{}", String::from_utf8_lossy(&output.stdout));
        if !output.status.success() {
            bail!("the replay failed: {}", errors.trim());
        }
        Ok(())
    }
}

fn rest_of(errors: BufReader<ChildStderr>) -> String {
    errors
        .lines()
        .map_while(Result::ok)
        .fold(String::new(), |all, line| all + &line + "\n")
}

/// The binary as it is typed from the project's root.
fn typed(binary: &Path) -> String {
    binary
        .strip_prefix(shell::root())
        .unwrap_or(binary)
        .display()
        .to_string()
}

/// What to type meanwhile, in another terminal.
fn lines(binary: &Path, pid: u32) -> String {
    let xq = typed(binary);
    format!(
        "In another terminal, from {root}:\n\
         \n\
         \u{20} {xq} order --config xq.toml --as carol buy --account 4 --series 1 --qty 5 --limit 2600 --id mine --persist\n\
         \u{20} {xq} order --config xq.toml --as carol sell --account 4 --series 1 --qty 5 --tif ioc --id now\n\
         \u{20} {xq} admin --config xq.toml --as operator 'phase #1 halt'\n\
         \u{20} {xq} admin --config xq.toml --as operator 'phase #1 continuous'\n\
         \u{20} {xq} dump --config xq.toml | tail\n\
         \u{20} kill -9 {pid}        # a crash: it is started again here, and nothing that was told is lost\n",
        root = shell::root().display(),
    )
}

/// What to ask of PostgreSQL meanwhile.
fn settled_lines(xq: &str, url: &str) -> String {
    format!(
        "PostgreSQL has all of it, in ./data/postgres:\n\n  psql '{url}' -c 'SELECT * FROM xq.trade_blotter ORDER BY seq DESC LIMIT 5'\n  \
         {xq} reconcile --config xq.toml --postgres '{url}'\n"
    )
}

/// What to type afterwards.
fn after(trial: &Trial, binary: &Path) -> String {
    let xq = typed(binary);
    format!(
        "Its journals are in {journals}. From {root}:\n\
         \n\
         \u{20} {xq} verify --config xq.toml          # checksums, chain, every command executed again, sums\n\
         \u{20} {xq} dump --config xq.toml | tail     # the last commands and events as text\n\
         \u{20} {xq} serve --config xq.toml           # start it again by itself; kill -9 it, and start it once more\n\
         \u{20} cargo xtask run                        # start it again with its market\n\
         \n\
         While it serves (after a start all markets are halted for ten seconds, or until an operator lifts it):\n\
         \n\
         \u{20} {xq} admin --config xq.toml --as operator 'phase venue continuous'\n\
         \u{20} {xq} admin --config xq.toml --as operator 'phase #1 continuous'\n\
         \u{20} {xq} order --config xq.toml --as carol buy --account 4 --series 1 --qty 5 --limit 2600 --id mine --persist\n",
        journals = trial.journals().display(),
        root = shell::root().display(),
    )
}
