//! HTTP/1.1 for this model: hyper over smol's sockets, with the same decisions
//! as its siblings: no proxy, and redirects are not followed here.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use http_hyper::{
    Connection, Deadline, FuturesStream, Idle, Response, connect, handshake, host_and_port,
};
use smol::net::TcpStream;
use smol::{Timer, future};
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
                "http" => handshake(FuturesStream::new(tcp(url).await?), url).await,
                scheme => Err(AttemptError::Connect(format!(
                    "no {scheme} outside a download"
                ))),
            };
        };
        let wait = session.options.connect_timeout;
        let standing = async {
            let stream = tcp(url).await?;
            if url.scheme() != "https" {
                return handshake(FuturesStream::new(stream), url).await;
            }
            let (host, _) = host_and_port(url);
            let name = ServerName::try_from(host.to_owned()).map_err(|why| cannot(&why))?;
            let tls = TlsConnector::from(session.tls());
            let stream = tls.connect(name, stream).await;
            handshake(FuturesStream::new(stream.map_err(|why| cannot(&why))?), url).await
        };
        let late = || AttemptError::Connect(format!("it took longer than {wait:?}"));
        timeout(wait, standing).await.ok_or_else(late)?
    }
}

/// What comes of I/O, or nothing if that takes longer.
pub async fn timeout<T>(wait: Duration, io: impl Future<Output = T>) -> Option<T> {
    let done = async { Some(io.await) };
    let late = async {
        Timer::after(wait).await;
        None
    };
    future::or(done, late).await
}

/// Ends when what the deadline is for has taken too long.
pub async fn overdue(deadline: &Deadline) -> AttemptError {
    while let Some(left) = deadline.left() {
        Timer::after(left).await;
    }
    AttemptError::Idle(deadline.most())
}

async fn tcp(url: &Url) -> Result<TcpStream, AttemptError> {
    let stream = connect(url, TcpStream::connect::<SocketAddr>, Timer::after).await;
    let stream = stream.map_err(|why| cannot(&why))?;
    stream.set_nodelay(true).map_err(|why| cannot(&why))?;
    Ok(stream)
}

fn cannot(why: &(dyn Error + 'static)) -> AttemptError {
    AttemptError::from_error(why, AttemptError::Connect)
}
