//! `xq keys`: a trial authority with the server's and participants' certificates. Refused off loopback.

use super::{Ended, say};
use crate::config::Config;
use crate::exit::{Exit, Failure};
use std::net::IpAddr;
use std::path::PathBuf;
use xq_gateway::TrialAuthority;

/// Makes trial keys.
#[derive(clap::Args)]
pub(super) struct Keys {
    /// Configuration file, whose listen address must be on loopback.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for the files: ca.pem, server.pem, server.key, and NAME.pem, NAME.key for each participant.
    #[arg(long, value_name = "FOLDER", default_value = "keys")]
    folder: PathBuf,
    /// Names of participants' certificates, as `operator` or `alice`.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Keys {
    pub(super) fn run(self) -> Result<(), Ended> {
        let config = Config::of_file(self.config.as_deref())?;
        let address = config.listen().ip();
        refuse_off_loopback(address)?;
        if let Some(name) = self.names.iter().find(|name| !is_plain(name)) {
            let error = anyhow::anyhow!(
                "`{name}`: letters, digits, `-` and `_` are wanted, and neither `ca` nor `server`"
            );
            return Err(Ended::with(Exit::Usage, error));
        }
        // A certificate that an exchange knows already would be gone, and with it its participant's way in.
        let made = |name: &&String| self.folder.join(format!("{name}.pem")).exists();
        if let Some(name) = self.names.iter().find(made) {
            let file = self.folder.join(format!("{name}.pem"));
            let error = anyhow::anyhow!("{} is there already: name only new participants", file.display());
            return Err(Ended::with(Exit::CannotCreate, error));
        }
        let io = |error: std::io::Error| {
            let what = format!("keys in {}", self.folder.display());
            Failure::CannotCreate { what, source: error }
        };
        let there = self.folder.join("ca.key").exists();
        let authority = if there {
            TrialAuthority::open(&self.folder)
        } else {
            TrialAuthority::create(&self.folder)
        };
        let authority = authority.map_err(io)?;
        if !there || !self.folder.join("server.pem").exists() {
            authority
                .server("server", &["localhost", &address.to_string()])
                .map_err(io)?;
        }
        // All are made before one is told of: who closes the pipe has them all the same.
        let keys = self.names.iter().map(|name| authority.client(name).map_err(io));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        say::line(format_args!("authority {}", authority.cert().display()))?;
        for (name, key) in self.names.iter().zip(keys) {
            let (cert, fingerprint) = (key.cert.display(), key.fingerprint);
            say::line(format_args!("{name} {cert} fingerprint {fingerprint}"))?;
        }
        Ok(())
    }
}

/// Trial keys lie unprotected in a folder: they must never guard an exchange that others can reach.
fn refuse_off_loopback(address: IpAddr) -> Result<(), Failure> {
    if address.is_loopback() {
        return Ok(());
    }
    Err(Failure::Configuration(format!(
        "`server.listen` is at {address}: trial keys are made for loopback only"
    )))
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(plain) && name != "ca" && name != "server"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_for_loopback_only_and_never_over_the_authority() {
        assert!(refuse_off_loopback("127.0.0.1".parse().expect("an address")).is_ok());
        let refusal = refuse_off_loopback("10.0.0.1".parse().expect("an address"));
        assert!(
            refusal
                .expect_err("off loopback")
                .to_string()
                .contains("10.0.0.1")
        );
        assert!(is_plain("maker-1") && !is_plain("ca") && !is_plain("../x") && !is_plain(""));
    }
}
