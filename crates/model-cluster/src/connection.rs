//! How to reach the server: its address, the token, and whose certificate to believe.

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

/// How often the server is asked whether it is still there. A link that is down for a moment
/// is found to be so after two of these.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// The longest wait between two attempts to connect again.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// 32 random digits: nothing else has the same, and nothing can guess them.
pub(crate) fn random_hex() -> Result<String> {
    let mut bytes = [0; 16];
    let mut source = File::open("/dev/urandom").context("/dev/urandom")?;
    source.read_exact(&mut bytes).context("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What says that somebody may use the server. It is not printed.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// One that cannot be guessed.
    pub(crate) fn random() -> Result<Self> {
        Ok(Self(random_hex()?))
    }

    /// For a file that only its owner reads.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// A server, and the right to use it.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) url: String,
    pub(crate) token: Option<Token>,
    /// If given, only TLS is spoken.
    ca: Option<PathBuf>,
}

impl Access {
    /// To a server of our own, on this machine.
    pub(crate) fn own(url: String, token: Token) -> Self {
        Self {
            url,
            token: Some(token),
            ca: None,
        }
    }

    /// To a server that runs already.
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

    /// Connects. Later, a connection that breaks is made again as often as need be, and every
    /// time `connected` is called.
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
            // The first attempt is made at once.
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
