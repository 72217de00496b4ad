//! HTTP/1.1 for a node: hyper over tokio's sockets, with the same decisions as in the models of
//! tasks. `fetch` takes a 200 for an answer, and nothing else.

use std::error::Error;
use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use http_hyper::{Connection, Idle, Response, connect, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::sleep;
use transfer::{AttemptError, Request};
use url::Url;

/// Opens connections, and keeps them for the next request.
pub struct Client {
    /// Idle connections, of any slot that has opened them.
    pub idle: Idle,
}

impl Client {
    /// The answer to a request for a URL, if the status is 200: its body is to be read.
    pub async fn get(&self, url: &str) -> Result<Response> {
        let request = Request {
            url: url.parse().context("not a URL")?,
            headers: Default::default(),
            fresh: false,
        };
        let connection = match self.idle.take_for(&request).await {
            Some(connection) => connection,
            // In a box: it is large, and rare.
            None => Box::pin(dial(&request.url)).await?,
        };
        let response = connection.send(&request).await?;
        let status = response.head.status;
        ensure!(status == 200, "the server answered {status}");
        Ok(response)
    }
}

/// A fresh connection.
async fn dial(url: &Url) -> Result<Connection, AttemptError> {
    if url.scheme() != "http" {
        let scheme = url.scheme();
        return Err(AttemptError::Connect(format!(
            "no {scheme} outside a download"
        )));
    }
    let stream = connect(url, TcpStream::connect::<SocketAddr>, sleep).await;
    let stream = stream.map_err(|why| cannot(&why))?;
    stream.set_nodelay(true).map_err(|why| cannot(&why))?;
    handshake(TokioIo::new(stream), url).await
}

fn cannot(why: &(dyn Error + 'static)) -> AttemptError {
    AttemptError::from_error(why, AttemptError::Connect)
}
