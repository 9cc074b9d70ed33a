//! Connecting to PostgreSQL: over a socket, or over TLS with the server's name and certificate verified; passwords come from a
//! passfile only.

use crate::trouble::{Trouble, told};
use postgres::config::{Host, SslMode};
use postgres::{Client, Config, NoTls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The oldest server that is supported: 15.
const SERVER_MIN: i32 = 150_000;

/// Where PostgreSQL is, and as whom it is spoken to.
#[derive(Clone)]
pub struct Target {
    config: Config,
    tls: Option<ClientConfig>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.shown())
    }
}

impl Target {
    /// Reads `postgres://user@host/database?…` or `host=… user=…`. A socket is a host that begins with `/`; any other
    /// needs `authorities`, a PEM file, and is verified in full. The password, where one is asked for, comes from the
    /// passfile: `$PGPASSFILE`, else `~/.pgpass`.
    ///
    /// # Errors
    /// [`Trouble::Refused`], naming what is wrong.
    pub fn parse(url: &str, authorities: Option<&Path>) -> Result<Target, Trouble> {
        let mut config = Config::from_str(url).map_err(|error| {
            let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
            Trouble::Refused(format!("the address of PostgreSQL: {error}{cause}"))
        })?;
        if config.get_password().is_some() {
            return refused(
                "a password does not belong on the command line: put it into a passfile (~/.pgpass, mode 0600)",
            );
        }
        let (Some(user), Some(_)) = (config.get_user().map(str::to_owned), config.get_dbname()) else {
            return refused(
                "the address of PostgreSQL names a user and a database: postgres://USER@HOST/DATABASE",
            );
        };
        let [host] = config.get_hosts() else {
            return refused("the address of PostgreSQL names one host: a folder with its socket, or a name");
        };
        let tls = match host {
            Host::Unix(_) => None,
            Host::Tcp(_) => {
                let Some(authorities) = authorities else {
                    return refused(
                        "without a socket the server is verified: name its authorities with --ca FILE",
                    );
                };
                Some(verified(authorities)?)
            }
        };
        if let Some(password) = of_passfile(&config, &user)? {
            config.password(password);
        }
        config
            .ssl_mode(if tls.is_some() {
                SslMode::Require
            } else {
                SslMode::Disable
            })
            .application_name("xq-bridge")
            .connect_timeout(Duration::from_secs(5))
            .keepalives_idle(Duration::from_secs(30))
            .tcp_user_timeout(Duration::from_secs(60));
        Ok(Target { config, tls })
    }

    /// Host, database and user, for messages.
    pub fn shown(&self) -> String {
        let host = match self.config.get_hosts().first() {
            Some(Host::Unix(folder)) => folder.display().to_string(),
            Some(Host::Tcp(name)) => name.clone(),
            None => String::new(),
        };
        let of = |part: Option<&str>| part.unwrap_or("").to_owned();
        format!(
            "{}@{host}/{}",
            of(self.config.get_user()),
            of(self.config.get_dbname())
        )
    }

    /// Connects, and refuses a server that is too old.
    ///
    /// # Errors
    /// [`Trouble::Weather`] while it cannot be reached; [`Trouble::Refused`] for what it refuses.
    pub fn connect(&self) -> Result<Client, Trouble> {
        let connected = match &self.tls {
            None => self.config.connect(NoTls),
            Some(tls) => self.config.connect(MakeRustlsConnect::new(tls.clone())),
        };
        let doing = format!("connecting to {}", self.shown());
        let mut client = connected.map_err(|error| told(&doing, &error))?;
        let row = client
            .query_one(
                "SELECT current_setting('server_version_num')::int, current_setting('server_version')",
                &[],
            )
            .map_err(|error| told("asking for the server's version", &error))?;
        let (version, name): (i32, String) = (row.get(0), row.get(1));
        refuse_older(version, &name)?;
        Ok(client)
    }
}

fn refuse_older(version: i32, name: &str) -> Result<(), Trouble> {
    match version < SERVER_MIN {
        true => refused(&format!(
            "PostgreSQL {name} is too old: version 15 or later is supported"
        )),
        false => Ok(()),
    }
}

fn refused<T>(why: &str) -> Result<T, Trouble> {
    Err(Trouble::Refused(why.to_owned()))
}

fn verified(authorities: &Path) -> Result<ClientConfig, Trouble> {
    let cannot =
        |error: &dyn std::fmt::Display| Trouble::Refused(format!("{}: {error}", authorities.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authorities).map_err(|error| cannot(&error))? {
        let certificate = certificate.map_err(|error| cannot(&error))?;
        roots.add(certificate).map_err(|error| cannot(&error))?;
    }
    if roots.is_empty() {
        return Err(cannot(&"it holds no certificate"));
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let versions = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions();
    Ok(versions
        .map_err(|error| cannot(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn of_passfile(config: &Config, user: &str) -> Result<Option<String>, Trouble> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
    let Some(path) = std::env::var_os("PGPASSFILE").map(PathBuf::from).or_else(home) else {
        return Ok(None);
    };
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(None);
    };
    let mode = std::fs::metadata(&path).map_or(0, |about| about.permissions().mode());
    if mode & 0o077 != 0 {
        return refused(&format!(
            "{}: others may read it: a passfile has mode 0600",
            path.display()
        ));
    }
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.as_str(),
        // As PostgreSQL's own clients have it.
        Some(Host::Unix(_)) | None => "localhost",
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let wanted = [host, &port, config.get_dbname().unwrap_or(""), user];
    Ok(text.lines().find_map(|line| password_of(line, &wanted)))
}

/// The password of a line `host:port:database:user:password`, when its first four fields match; `*` matches all.
fn password_of(line: &str, wanted: &[&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let (mut fields, mut escaped) = (vec![String::new()], false);
    for character in line.chars() {
        match character {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            ':' if !escaped && fields.len() < 5 => fields.push(String::new()),
            other => fields.last_mut()?.push(other),
        }
        escaped = false;
    }
    let [places @ .., password] = &fields[..] else {
        return None;
    };
    let matches = places.len() == 4
        && places
            .iter()
            .zip(wanted)
            .all(|(place, wanted)| place == "*" || place == wanted);
    matches.then(|| password.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(url: &str) -> String {
        Target::parse(url, None).expect_err("it is refused").to_string()
    }

    #[test]
    fn addresses_that_cannot_be_meant_are_refused() {
        assert!(why("postgres://xq_bridge:secret@%2Ftmp/xq").contains("passfile"));
        assert!(why("nonsense").contains("address of PostgreSQL"));
        assert!(why("postgres://xq_bridge@/xq").contains("one host"));
        assert!(why("postgres://%2Ftmp/xq").contains("names a user"));
        assert!(why("postgres://xq_bridge@db.example/xq").contains("--ca"));
        let refused = Target::parse(
            "postgres://xq_bridge@db.example/xq",
            Some(Path::new("/nowhere.pem")),
        );
        assert!(refused.expect_err("no file").to_string().contains("/nowhere.pem"));
        assert!(Target::parse("postgres://xq_bridge@%2Ftmp/xq", None).is_ok());
    }

    #[test]
    fn servers_before_15_are_refused() {
        let older = refuse_older(140_011, "14.11 (Debian)").expect_err("it is too old");
        assert!(older.to_string().contains("14.11") && !older.passes(), "{older}");
        assert!(refuse_older(150_000, "15.0").is_ok() && refuse_older(180_001, "18.1").is_ok());
    }

    #[test]
    fn a_line_of_the_passfile_matches_or_does_not() {
        let wanted = ["localhost", "5432", "xq", "xq_bridge"];
        let password = |line| password_of(line, &wanted);
        assert_eq!(password("*:*:xq:xq_bridge:a\\:b:c"), Some("a:b:c".to_owned()));
        assert_eq!(password("localhost:5432:xq:other:a"), None);
        assert_eq!(password("#*:*:*:*:a"), None);
        assert_eq!(password("short:line"), None);
    }
}
