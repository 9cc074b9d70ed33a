//! `xq check`: whether this machine is fit to run the exchange as it is configured.

use super::{Ended, say};
use crate::config::Config;
use crate::exit::Exit;
use crate::machine::{Verdict, findings};
use std::path::PathBuf;

/// Looks at keys, ports, cores, priority, memory, huge pages, files, clock and disk, and changes nothing. To be run before
/// the exchange: while it runs, its ports are taken.
#[derive(clap::Args)]
pub(super) struct Check {
    /// Configuration file; the defaults alone when there is none.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Ended> {
        let config = Config::of_file(self.config.as_deref())?;
        let findings = findings(&config);
        for finding in &findings {
            let verdict = match finding.verdict {
                Verdict::Good => "good",
                Verdict::Poor => "POOR",
                Verdict::Bad => "BAD",
            };
            say::line(format_args!(
                "{verdict:<4}  {:<18}  {}",
                finding.about, finding.found
            ))?;
        }
        let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad);
        match bad.count() {
            0 => Ok(()),
            count => Err(Ended::with(
                Exit::Refused,
                anyhow::anyhow!("{count} bad: the exchange is not fit to start here"),
            )),
        }
    }
}
