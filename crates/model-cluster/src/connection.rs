//! How to reach the server: its address, the token, and the certificate authority to trust.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fmt};

use anyhow::Context;
use async_nats::{Client, ConnectOptions, Event};
use suite::Result;

use crate::options::Secrets;

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The interval of pings to the server. A broken link is detected after two of them.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// The longest pause between two attempts to reconnect.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Returns 32 random hexadecimal digits: unique, and impossible to guess.
pub(crate) fn random_hex() -> Result<String> {
    let mut bytes = [0; 16];
    let mut source = File::open("/dev/urandom").context("/dev/urandom")?;
    source.read_exact(&mut bytes).context("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The token that grants access to the server. It is never printed.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Creates a random token.
    pub(crate) fn random() -> Result<Self> {
        Ok(Self(random_hex()?))
    }

    /// The token itself, for the connection and for files that only their owner can read.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The address of a server, and the credentials for it.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) url: String,
    pub(crate) token: Option<Token>,
    /// The certificate authority. If given, only TLS is used.
    ca: Option<PathBuf>,
}

impl Access {
    /// Access to a server that this process started, on this machine.
    pub(crate) fn own(url: String, token: Token) -> Self {
        Self {
            url,
            token: Some(token),
            ca: None,
        }
    }

    /// Access to a server that was started by hand.
    pub(crate) fn given(url: &str, secrets: &Secrets) -> Result<Self> {
        let token = match &secrets.token_file {
            Some(file) => {
                let text = fs::read_to_string(file);
                Some(text.with_context(|| format!("the token in {}", file.display()))?)
            }
            None => env::var("PACES_NATS_TOKEN").ok(),
        };
        Ok(Self {
            url: url.to_owned(),
            token: token.map(|token| Token(token.trim().to_owned())),
            ca: secrets.cluster_ca.clone(),
        })
    }

    /// Connects. A connection that breaks later is made again as often as needed. `connected` is
    /// called each time.
    pub(crate) async fn connect(
        &self,
        name: &str,
        connected: impl Fn() + Send + Sync + 'static,
    ) -> Result<Client> {
        let mut options = ConnectOptions::new()
            .name(name)
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(PING_INTERVAL)
            .connection_timeout(REQUEST_TIMEOUT)
            // The first attempt is immediate.
            .reconnect_delay_callback(|attempts| {
                let pauses = attempts.saturating_sub(1).min(100) as u32;
                LONGEST_PAUSE.min(Duration::from_millis(20) * pauses)
            })
            .event_callback(move |event| {
                if event == Event::Connected {
                    connected();
                }
                async {}
            });
        if let Some(token) = &self.token {
            options = options.token(token.reveal().to_owned());
        }
        if let Some(ca) = &self.ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        let connected = options.connect(self.url.as_str()).await;
        connected.with_context(|| format!("the NATS server at {}", self.url))
    }
}
