//! The servers that the cases ask.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nix::sys::socket::{Backlog, listen};
use origin::{FaultRequest, Origin, fault_log};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

/// Nothing listens to port 1.
const CLOSED: &str = "http://127.0.0.1:1";

/// Every kind of server that a case can ask for.
#[derive(Debug)]
pub struct Servers {
    plain: Origin,
    /// With a certificate that `ca` has signed.
    tls: Origin,
    /// With one whose time is over.
    expired: Origin,
    /// With one of another host.
    elsewhere: Origin,
    full_backlog: FullBacklog,
    /// At the port of `plain`, but at the other loopback address.
    _dead: Option<FullBacklog>,
    /// Accepts connections, and sends nothing.
    silent: TcpListener,
    ca: PathBuf,
    other_ca: PathBuf,
}

impl Servers {
    /// Starts them all. Certificates, made just now, go into `directory`.
    pub fn start(program: &Path, directory: &Path) -> anyhow::Result<Self> {
        let authority = Authority::new("Paces")?;
        let ca = directory.join("ca.pem");
        fs::write(&ca, authority.0.pem())?;
        let other_ca = directory.join("other-ca.pem");
        fs::write(&other_ca, Authority::new("Others")?.0.pem())?;
        let here = &["127.0.0.1", "localhost"][..];
        let secure = |kind, names, last_year| {
            let [certificate, key] = authority.sign(directory, kind, names, last_year)?;
            let args = ["--certificate", &certificate, "--key", &key];
            Origin::spawn(program, &args)
        };
        let plain = Origin::spawn(program, &[])?;
        let port = plain.url().rsplit(':').next().unwrap_or_default().parse()?;
        Ok(Self {
            // Without IPv6, connecting to that address fails anyway.
            _dead: FullBacklog::new((Ipv6Addr::LOCALHOST, port).into()).ok(),
            plain,
            tls: secure("tls", here, 4000)?,
            expired: secure("expired", here, 2020)?,
            elsewhere: secure("elsewhere", &["elsewhere.example"], 4000)?,
            full_backlog: FullBacklog::new(([127, 0, 0, 1], 0).into()).context("cannot listen")?,
            silent: TcpListener::bind(("127.0.0.1", 0)).context("cannot listen")?,
            ca,
            other_ca,
        })
    }

    /// The value of `{WORD}`, if that is not the name of a fault.
    pub(crate) fn word(&self, word: &str) -> Option<String> {
        Some(match word {
            "CA" => self.ca.display().to_string(),
            "OTHER CA" => self.other_ca.display().to_string(),
            "FULL BACKLOG" => format!("http://{}", self.full_backlog.address),
            "SILENT" => format!("https://{}", self.silent.local_addr().ok()?),
            "CLOSED" => CLOSED.to_owned(),
            _ => return None,
        })
    }

    /// The URL of a fault, `KIND:NAME` or `NAME`.
    pub(crate) fn fault(&self, fault: &str, token: &str) -> anyhow::Result<String> {
        let (kind, name) = fault.split_once(':').unwrap_or(("", fault));
        let plain = self.plain.url();
        let url = match kind {
            "" => plain.to_owned(),
            "localhost" => plain.replace("127.0.0.1", "localhost"),
            "two" => plain.replace("127.0.0.1", "two.test"),
            "user" => plain.replace("://", "://user:secret@"),
            "as-tls" => plain.replace("http:", "https:"),
            "tls" => self.tls.url().to_owned(),
            "expired" => self.expired.url().to_owned(),
            "elsewhere" => self.elsewhere.url().to_owned(),
            _ => anyhow::bail!("{{{fault}}} has no value"),
        };
        let known = origin::FAULTS.iter().any(|fault| fault.name == name);
        anyhow::ensure!(known, "{{{fault}}} has no value");
        Ok(format!("{url}/fault/{name}/{token}"))
    }

    /// What they have been asked with a token.
    pub(crate) fn log(&self, token: &str) -> anyhow::Result<Vec<FaultRequest>> {
        let mut log = fault_log(self.plain.url(), token)?;
        // Most have asked the plain one, and so have not asked the others.
        if log.is_empty() {
            for origin in [&self.tls, &self.expired, &self.elsewhere] {
                log.extend(fault_log(&origin.plain_url(), token)?);
            }
        }
        Ok(log)
    }
}

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self(issuer))
    }

    /// Writes a certificate for these names, and its key.
    fn sign(
        &self,
        directory: &Path,
        kind: &str,
        names: &[&str],
        last_year: i32,
    ) -> anyhow::Result<[String; 2]> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(last_year, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        let write = |what: &str, text: String| {
            let path = directory.join(format!("{kind}-{what}.pem"));
            fs::write(&path, text)?;
            anyhow::Ok(path.display().to_string())
        };
        Ok([
            write("certificate", certificate.pem())?,
            write("key", key.serialize_pem())?,
        ])
    }
}

/// A port where connections are neither accepted nor refused: its backlog is full.
#[derive(Debug)]
pub(crate) struct FullBacklog {
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl FullBacklog {
    pub(crate) fn new(at: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        listen(&listener, Backlog::new(1)?)?;
        let address = listener.local_addr()?;
        // Until one is not queued any more.
        let timeout = Duration::from_millis(200);
        let connect = || TcpStream::connect_timeout(&address, timeout).ok();
        let waiting = std::iter::from_fn(connect).take(10).collect();
        Ok(Self {
            address,
            _listener: listener,
            _waiting: waiting,
        })
    }
}
