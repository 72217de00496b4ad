//! HTTP/1.1 for a node: hyper over tokio's sockets, with the same decisions as in the other async
//! models. `fetch` accepts only status 200.

use std::error::Error;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use http_hyper::{Connection, Deadline, Idle, Response, connect, handshake, host_and_port};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use transfer::{AttemptError, Request};
use url::Url;

use crate::download::node::Known;

/// Opens connections, and keeps idle ones for later requests.
pub(crate) struct Client {
    /// Idle connections, shared by all slots.
    pub(crate) idle: Idle,
}

impl Client {
    /// Sends a request of a download, and returns the response with its head read and its body
    /// unread. `deadline` limits the wait for the head; connecting has a separate timeout.
    pub(crate) async fn send(
        &self,
        request: &Request,
        deadline: &Deadline,
        known: &Known,
    ) -> Result<Response, AttemptError> {
        let connection = match self.idle.take_for(request).await {
            Some(connection) => connection,
            // Boxed, because this future is large and rarely needed.
            None => Box::pin(dial_for(&request.url, known)).await?,
        };
        deadline.begin();
        connection.send(request).await
    }

    /// Requests a URL, and returns the response with its body unread. A status other than 200 is an
    /// error.
    pub(crate) async fn get(&self, url: &str) -> Result<Response> {
        let request = Request {
            url: url.parse().context("not a URL")?,
            headers: Default::default(),
            fresh: false,
        };
        let connection = match self.idle.take_for(&request).await {
            Some(connection) => connection,
            // Boxed, because this future is large and rarely needed.
            None => Box::pin(dial(&request.url)).await?,
        };
        let response = connection.send(&request).await?;
        let status = response.head.status;
        ensure!(status == 200, "the server answered {status}");
        Ok(response)
    }
}

/// Opens a connection for a download.
async fn dial_for(url: &Url, known: &Known) -> Result<Connection, AttemptError> {
    let wait = known.options.connect_timeout;
    let connecting = async {
        let stream = tcp(url).await?;
        if url.scheme() != "https" {
            return handshake(TokioIo::new(stream), url).await;
        }
        let (host, _) = host_and_port(url);
        let name = ServerName::try_from(host.to_owned()).map_err(|why| cannot(&why))?;
        let tls = TlsConnector::from(known.tls()?);
        let stream = tls.connect(name, stream).await;
        handshake(TokioIo::new(stream.map_err(|why| cannot(&why))?), url).await
    };
    let late = |_| AttemptError::Connect(format!("it took longer than {wait:?}"));
    timeout(wait, connecting).await.map_err(late)?
}

/// Opens a connection.
async fn dial(url: &Url) -> Result<Connection, AttemptError> {
    if url.scheme() != "http" {
        let scheme = url.scheme();
        return Err(AttemptError::Connect(format!(
            "no {scheme} outside a download"
        )));
    }
    handshake(TokioIo::new(tcp(url).await?), url).await
}

/// Waits until the deadline has passed, and returns the error.
pub(crate) async fn overdue(deadline: &Deadline) -> AttemptError {
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
