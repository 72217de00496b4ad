//! HTTP/1.1 for this model: hyper over tokio's sockets, with the same decisions
//! as its siblings: no proxy, and redirects are not followed here.
//!
//! hyper itself and not reqwest, which is made of it: a connection a worker and
//! no more, no bytes of a head beyond a bound, and an answer that never came told
//! from one that broke.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http_hyper::{Connection, Deadline, Idle, Response, connect, handshake, host_and_port};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use transfer::{AttemptError, Request, Session};
use url::Url;

/// Opens connections, and keeps them for the next request.
#[derive(Clone)]
pub struct Client {
    /// Idle connections, of any unit that has opened them.
    pub idle: Arc<Idle>,
    /// How long to wait, and whom to trust: without one it waits, and has no TLS.
    pub session: Option<Arc<Session>>,
}

impl Client {
    /// The answer to a request: its head has come, its body is to be read. The
    /// deadline is that of the head; connecting has its own.
    pub async fn send(
        &self,
        request: &Request,
        deadline: &Deadline,
    ) -> Result<Response, AttemptError> {
        let connection = match self.idle.take_for(request).await {
            Some(connection) => connection,
            // In a box: it is large, and rare.
            None => Box::pin(self.connect(&request.url)).await?,
        };
        deadline.begin();
        connection.send(request).await
    }

    /// The same for a URL, if the status is 200.
    pub async fn get(&self, url: &str) -> Result<Response> {
        let request = Request {
            url: url.parse().context("not a URL")?,
            headers: Default::default(),
            fresh: false,
        };
        let unlimited = Deadline::new(Duration::MAX);
        let response = self.send(&request, &unlimited).await?;
        let status = response.head.status;
        ensure!(status == 200, "the server answered {status}");
        Ok(response)
    }

    /// A fresh connection.
    async fn connect(&self, url: &Url) -> Result<Connection, AttemptError> {
        let Some(session) = &self.session else {
            return match url.scheme() {
                "http" => handshake(TokioIo::new(tcp(url).await?), url).await,
                scheme => Err(AttemptError::Connect(format!(
                    "no {scheme} outside a download"
                ))),
            };
        };
        let wait = session.options.connect_timeout;
        let standing = async {
            let stream = tcp(url).await?;
            if url.scheme() != "https" {
                return handshake(TokioIo::new(stream), url).await;
            }
            let (host, _) = host_and_port(url);
            let name = ServerName::try_from(host.to_owned()).map_err(|why| cannot(&why))?;
            let tls = TlsConnector::from(session.tls());
            let stream = tls.connect(name, stream).await;
            handshake(TokioIo::new(stream.map_err(|why| cannot(&why))?), url).await
        };
        let late = |_| AttemptError::Connect(format!("it took longer than {wait:?}"));
        timeout(wait, standing).await.map_err(late)?
    }
}

/// Ends when what the deadline is for has taken too long.
pub async fn overdue(deadline: &Deadline) -> AttemptError {
    while let Some(left) = deadline.left() {
        sleep(left).await;
    }
    AttemptError::Idle(deadline.most())
}

async fn tcp(url: &Url) -> Result<TcpStream, AttemptError> {
    let stream = connect(url, TcpStream::connect::<SocketAddr>, sleep).await;
    let stream = stream.map_err(|why| cannot(&why))?;
    stream.set_nodelay(true).map_err(|why| cannot(&why))?;
    Ok(stream)
}

fn cannot(why: &(dyn Error + 'static)) -> AttemptError {
    AttemptError::from_error(why, AttemptError::Connect)
}
