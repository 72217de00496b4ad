//! HTTP/1.1 for this model: hyper over smol's sockets, one connection at a
//! time for whoever holds a [`Client`].

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Request, Response, Uri};
use smol::net::TcpStream;
use smol::{Executor, Task};
use smol_hyper::rt::FuturesIo;

/// Keeps the connection of its last request, and uses it again for the same
/// server.
pub struct Client {
    executor: Arc<Executor<'static>>,
    kept: Option<Connection>,
}

struct Connection {
    authority: String,
    requests: SendRequest<Empty<Bytes>>,
    /// Moves the bytes; dropping it closes the connection.
    _driver: Task<()>,
}

impl Client {
    pub fn new(executor: Arc<Executor<'static>>) -> Self {
        Self {
            executor,
            kept: None,
        }
    }

    /// The body of a response whose status is a success.
    pub async fn get(&mut self, url: &str) -> Result<Incoming> {
        let url: Uri = url.parse().context("not a URL")?;
        let authority = url.authority().context("a URL without a host")?.as_str();
        let response = match self.kept.take() {
            Some(kept) if kept.authority == authority => match self.send(kept, &url).await {
                Ok(response) => response,
                // The server may have closed a connection that was not in use.
                Err(_) => self.send(self.connect(&url).await?, &url).await?,
            },
            _ => self.send(self.connect(&url).await?, &url).await?,
        };
        let status = response.status();
        ensure!(status.is_success(), "the server answered {status}");
        Ok(response.into_body())
    }

    async fn connect(&self, url: &Uri) -> Result<Connection> {
        let authority = url.authority().context("a URL without a host")?;
        let host = authority.host().trim_matches(['[', ']']); // of an IPv6 address
        let stream = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = handshake(FuturesIo::new(stream)).await?;
        Ok(Connection {
            authority: authority.to_string(),
            requests,
            _driver: self.executor.spawn(async {
                // An error here is one of the request's, too.
                let _ = connection.await;
            }),
        })
    }

    async fn send(&mut self, mut connection: Connection, url: &Uri) -> Result<Response<Incoming>> {
        let request = Request::get(url.path_and_query().map_or("/", |path| path.as_str()))
            .header(HOST, &connection.authority)
            .body(Empty::new())?;
        connection.requests.ready().await?;
        let response = connection.requests.send_request(request).await?;
        self.kept = Some(connection);
        Ok(response)
    }
}
