//! HTTP/1.1 for this model: hyper over smol's sockets, with the same decisions
//! as its siblings: no proxy, no redirects, and only a 200 is an answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Request, Response, Uri};
use smol::net::TcpStream;
use smol::{Executor, Task};
use smol_hyper::rt::FuturesIo;

/// A client that keeps its connections. Its clones share them.
#[derive(Clone)]
pub struct Client {
    executor: Arc<Executor<'static>>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

struct Connection {
    authority: String,
    requests: SendRequest<Empty<Bytes>>,
    /// Moves the bytes; dropping it closes the connection.
    _driver: Task<()>,
}

/// The body of a response, which has the connection to itself until its end.
pub struct Body {
    incoming: Incoming,
    connection: Option<Connection>,
    client: Client,
}

impl Client {
    pub fn new(executor: Arc<Executor<'static>>) -> Self {
        Self {
            executor,
            idle: Arc::default(),
        }
    }

    /// The body of a response whose status is 200.
    pub async fn get(&self, url: &str) -> Result<Body> {
        let url: Uri = url.parse().context("not a URL")?;
        let authority = url.authority().context("a URL without a host")?.as_str();
        let (connection, response) = loop {
            let Some(mut kept) = self.kept(authority) else {
                let mut fresh = self.connect(&url).await?;
                let response = fresh.send(&url).await?;
                break (fresh, response);
            };
            match kept.send(&url).await {
                // The server has closed it while nobody used it.
                Err(error) if error.is_canceled() || error.is_incomplete_message() => {}
                sent => break (kept, sent?),
            }
        };
        let status = response.status();
        ensure!(status == 200, "the server answered {status}");
        Ok(Body {
            incoming: response.into_body(),
            connection: Some(connection),
            client: self.clone(),
        })
    }

    fn kept(&self, authority: &str) -> Option<Connection> {
        let mut idle = self.idle();
        let at = idle.iter().rposition(|kept| kept.authority == authority)?;
        Some(idle.swap_remove(at))
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

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    async fn send(&mut self, url: &Uri) -> hyper::Result<Response<Incoming>> {
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, &self.authority)
            .body(Empty::new())
            .expect("what was part of a URL is fit for a request");
        self.requests.ready().await?;
        self.requests.send_request(request).await
    }
}

impl Body {
    /// The next piece; `None` after the last, when the connection is free for
    /// another request.
    pub async fn piece(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.incoming.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        self.client.idle().extend(self.connection.take());
        Ok(None)
    }
}
