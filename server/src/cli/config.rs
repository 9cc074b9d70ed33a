//! `xq config`: checks a configuration, or prints it with what every key means.

use super::{Ended, say};
use crate::config::{Config, DEFAULTS};
use crate::exit::Failure;
use std::path::PathBuf;

/// Checks or prints a configuration.
#[derive(clap::Args)]
pub(super) struct ConfigTask {
    /// Configuration file; the defaults alone when there is none.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print all keys with their meaning, unit, bounds and value.
    #[arg(long)]
    print: bool,
}

impl ConfigTask {
    pub(super) fn run(self) -> Result<(), Ended> {
        let text = match &self.file {
            None => String::new(),
            Some(path) => {
                Config::from_file(path)?;
                std::fs::read_to_string(path)
                    .map_err(|e| Failure::Configuration(format!("{}: {e}", path.display())))?
            }
        };
        if self.print {
            say::text(if text.is_empty() {
                DEFAULTS.to_owned()
            } else {
                Config::annotated(&text)?
            })
        } else {
            say::line("the configuration is right")
        }
    }
}
