//! What surf sends with: hyper, over async-std's sockets and timers.
//!
//! surf is an API whose back ends can be exchanged, and its own are years old.
//! async-h1 takes a connection that closes for the end of a body, reads neither a
//! body that only this ends nor an interim answer, puts no bounds on a head, and
//! has the TLS of 2020. hyper's engine brings no runtime of its own.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_std::future::timeout;
use async_std::net::TcpStream;
use async_std::task::sleep;
use async_trait::async_trait;
use futures_lite::{AsyncBufRead, AsyncRead};
use futures_rustls::TlsConnector;
use futures_rustls::pki_types::ServerName;
use http::HeaderName;
use http_hyper::{
    Bytes, Connection, Deadline, FuturesStream, Idle, connect, handshake, host_and_port,
};
use surf::http::{Body, Method, Request, Response, StatusCode, ensure_eq};
use surf::{HttpClient, Url};
use transfer::{AttemptError, Session};

/// In a request's extensions: no connection that was kept is to be used.
pub struct Fresh;

/// Sends with hyper.
pub struct BackEnd {
    /// Connections that wait for a request.
    pub idle: Arc<Idle>,
    /// How long to wait, and which certificates to trust: without one it waits,
    /// and has no TLS.
    pub session: Option<Arc<Session>>,
}

impl fmt::Debug for BackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BackEnd").field(&self.session).finish()
    }
}

#[async_trait]
impl HttpClient for BackEnd {
    /// The answer's head is in its extensions, as a [`transfer::Head`]: surf
    /// knows no status that is not on its list, and no value beyond ASCII. A
    /// [`Deadline`] in the request's is that of the head; connecting has its own.
    /// [`Fresh`] there asks for a connection of the request's own.
    async fn send(&self, request: Request) -> surf::Result<Response> {
        ensure_eq!(request.method(), Method::Get, "only GET is sent");
        let deadline = request.ext().get::<Arc<Deadline>>().cloned();
        let request = translate(&request);
        let connection = match self.idle.take_for(&request).await {
            Some(connection) => connection,
            // In a box: it is large, and rare.
            None => Box::pin(self.connect(&request.url)).await?,
        };
        if let Some(deadline) = deadline {
            deadline.begin();
        }
        let mut answer = connection.send(&request).await?;
        let status = StatusCode::try_from(answer.head.status);
        let mut response = Response::new(status.unwrap_or(StatusCode::InternalServerError));
        response.ext_mut().insert(transfer::Head {
            status: answer.head.status,
            headers: std::mem::take(&mut answer.head.headers),
        });
        let reader = Reader {
            answer: Some(answer),
            idle: self.idle.clone(),
            piece: Bytes::new(),
        };
        response.set_body(Body::from_reader(reader, None));
        Ok(response)
    }
}

impl BackEnd {
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
            let stream = tls
                .connect(name, stream)
                .await
                .map_err(|why| cannot(&why))?;
            handshake(FuturesStream::new(stream), url).await
        };
        let late = |_| AttemptError::Connect(format!("it took longer than {wait:?}"));
        timeout(wait, standing).await.map_err(late)?
    }
}

async fn tcp(url: &Url) -> Result<TcpStream, AttemptError> {
    let stream = connect(url, TcpStream::connect::<SocketAddr>, sleep).await;
    let stream = stream.map_err(|why| cannot(&why))?;
    stream.set_nodelay(true).map_err(|why| cannot(&why))?;
    Ok(stream)
}

fn cannot(why: &(dyn std::error::Error + 'static)) -> AttemptError {
    AttemptError::from_error(why, AttemptError::Connect)
}

/// What was asked of surf, in the terms that hyper is asked in.
fn translate(request: &Request) -> transfer::Request {
    let values = request.iter().flat_map(|(name, values)| {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok();
        let values = values.iter();
        values.filter_map(move |value| Some((name.clone()?, value.as_str().parse().ok()?)))
    });
    transfer::Request {
        url: request.url().clone(),
        headers: values.collect(),
        fresh: request.ext().get::<Fresh>().is_some(),
    }
}

/// A body, for surf to read.
struct Reader {
    /// Until its end: its connection is kept then, and closed if that never comes.
    answer: Option<http_hyper::Response>,
    idle: Arc<Idle>,
    /// What has come and has not been read.
    piece: Bytes,
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.piece.is_empty()
            && let Some(answer) = &mut this.answer
        {
            // What waits for a piece is nothing but a reference: it can be made
            // anew for each look.
            let piece = ready!(pin!(answer.piece()).poll(context));
            match piece.map_err(io::Error::other)? {
                Some(piece) => this.piece = piece,
                None => this
                    .answer
                    .take()
                    .into_iter()
                    .for_each(|whole| this.idle.keep(whole)),
            }
        }
        Poll::Ready(Ok(&this.piece))
    }

    fn consume(self: Pin<&mut Self>, bytes: usize) {
        drop(self.get_mut().piece.split_to(bytes));
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let piece = ready!(self.as_mut().poll_fill_buf(context))?;
        let read = piece.len().min(buffer.len());
        buffer[..read].copy_from_slice(&piece[..read]);
        self.consume(read);
        Poll::Ready(Ok(read))
    }
}
