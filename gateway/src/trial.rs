//! Keys for trials: an authority, and the certificates it signs, as PEM files. Never for production.

use crate::serve::fingerprint_of;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use xq_protocol::Hash;

/// A trial authority in a folder: `ca.pem`, `ca.key`.
pub struct TrialAuthority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// Where a certificate and its key were written, and what names it.
#[derive(Clone, Debug)]
pub struct TrialKey {
    /// PEM file of the certificate.
    pub cert: PathBuf,
    /// PEM file of the private key, readable by its owner only.
    pub key: PathBuf,
    /// SHA-256 of the certificate.
    pub fingerprint: Hash,
}

impl TrialAuthority {
    /// Makes an authority.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn create(folder: &Path) -> std::io::Result<TrialAuthority> {
        std::fs::create_dir_all(folder)?;
        let mut params = params("Xianquan trial authority", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let key = KeyPair::generate().map_err(std::io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(std::io::Error::other)?;
        std::fs::write(folder.join("ca.pem"), certificate.pem())?;
        write_secret(&folder.join("ca.key"), &key.serialize_pem())?;
        let issuer = Issuer::new(params, key);
        let folder = folder.to_path_buf();
        Ok(TrialAuthority { folder, issuer })
    }

    /// Opens the authority that was made in this folder.
    ///
    /// # Errors
    /// Files that cannot be read, or hold no key.
    pub fn open(folder: &Path) -> std::io::Result<TrialAuthority> {
        let key = KeyPair::from_pem(&std::fs::read_to_string(folder.join("ca.key"))?)
            .map_err(std::io::Error::other)?;
        let mut params = params("Xianquan trial authority", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let issuer = Issuer::new(params, key);
        let folder = folder.to_path_buf();
        Ok(TrialAuthority { folder, issuer })
    }

    /// PEM file of its certificate.
    pub fn cert(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Signs a server's certificate for these names and addresses: `name.pem`, `name.key`.
    ///
    /// # Errors
    /// Names that are none, files that cannot be written.
    pub fn server(&self, name: &str, hosts: &[&str]) -> std::io::Result<TrialKey> {
        self.sign(name, hosts, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Signs a client's certificate: `name.pem`, `name.key`.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn client(&self, name: &str) -> std::io::Result<TrialKey> {
        self.sign(name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(
        &self,
        name: &str,
        hosts: &[&str],
        purpose: ExtendedKeyUsagePurpose,
    ) -> std::io::Result<TrialKey> {
        let mut params = params(name, hosts)?;
        params.extended_key_usages = vec![purpose];
        let pair = KeyPair::generate().map_err(std::io::Error::other)?;
        let certificate = params
            .signed_by(&pair, &self.issuer)
            .map_err(std::io::Error::other)?;
        let (cert, key) = (
            self.folder.join(format!("{name}.pem")),
            self.folder.join(format!("{name}.key")),
        );
        std::fs::write(&cert, certificate.pem())?;
        write_secret(&key, &pair.serialize_pem())?;
        let fingerprint = fingerprint_of(certificate.der());
        Ok(TrialKey {
            cert,
            key,
            fingerprint,
        })
    }
}

fn params(name: &str, hosts: &[&str]) -> std::io::Result<CertificateParams> {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).map_err(std::io::Error::other)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn write_secret(path: &Path, pem: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(pem.as_bytes())
}
