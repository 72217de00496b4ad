//! A connection, and what comes over it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use futures_channel::oneshot;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Request, Uri, Version};
use transfer::{AttemptError, Head};
use url::{Position, Url};

use crate::bounded::{Bounded, Reads};
use crate::errors;

/// The most bytes that are read at once, and that a head may have (as in Node).
/// Large files over the loopback device would be a fifth faster with four times
/// as many, and 20 of them would take 4 MiB more.
const BUFFER_BYTES: usize = 16 * 1024;
/// The most headers that an answer may have.
const MOST_HEADERS: usize = 100;

/// A connection that one request at a time can be sent over.
pub struct Connection {
    requests: SendRequest<Empty<Bytes>>,
    origin: Origin,
    /// Whether the last answer has been read to its end, and the connection
    /// outlasts it.
    reusable: Arc<AtomicBool>,
    reads: Reads,
    /// Nothing is ever sent here: its end is the driver's.
    _alive: oneshot::Sender<Infallible>,
}

/// What connections are told apart by.
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// HTTP/1.1 over a stream that stands. The future moves the bytes: it is to be
/// spawned, and ends soon after the connection is dropped.
pub async fn handshake<I>(
    io: I,
    url: &Url,
) -> Result<(Connection, impl Future<Output = ()> + Send + 'static), AttemptError>
where
    I: Read + Write + Send + Unpin + 'static,
{
    let reads = Reads::new();
    let io = Bounded {
        io,
        reads: reads.clone(),
    };
    let (requests, connection) = Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .max_headers(MOST_HEADERS)
        .handshake(io)
        .await
        .map_err(|error| AttemptError::from_error(&error, AttemptError::Connect))?;
    let (alive, ended) = oneshot::channel::<Infallible>();
    // hyper sees that a body is not wanted any more when it has more of it: with
    // a server that sends nothing it would sit there for ever. So it is given
    // one more turn, in which it can say farewell, and dropped.
    let driver = async move {
        let (mut connection, mut ended) = (pin!(connection), ended);
        std::future::poll_fn(|context| {
            let dropped = std::pin::Pin::new(&mut ended).poll(context).is_ready();
            // An error here is one of the request's, too.
            match connection.as_mut().poll(context) {
                Poll::Pending if !dropped => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
    };
    let connection = Connection {
        requests,
        origin: Origin::from_url(url),
        reusable: Arc::default(),
        reads,
        _alive: alive,
    };
    Ok((connection, driver))
}

impl Connection {
    /// Sends a request, and waits for the head of its answer. Before another
    /// one, its body has to have been read to the end.
    ///
    /// Dropping the future before it is done closes the connection.
    ///
    /// # Errors
    ///
    /// [`AttemptError::NoAnswer`] if the connection was closed, which a server may do
    /// at any time with one that waits; else what was wrong with the answer.
    pub async fn send(&mut self, request: &transfer::Request) -> Result<Response, AttemptError> {
        self.reusable = Arc::default();
        let request = hyper_request(request)?;
        self.reads.bound();
        let response = self.requests.send_request(request).await;
        self.reads.unbound();
        let (head, body) = response.map_err(errors::before_head)?.into_parts();
        let response = Response {
            reusable: outlasts(head.version, &head.headers).then(|| self.reusable.clone()),
            head: Head {
                status: head.status.as_u16(),
                headers: head.headers,
            },
            body,
        };
        if response.body.is_end_stream() {
            response.ended();
        }
        Ok(response)
    }

    /// Waits until hyper is done with the last answer and has looked whether the
    /// server has sent more than that, or closed; false if it has.
    pub async fn ready(&mut self) -> bool {
        self.requests.ready().await.is_ok()
    }

    /// Whether the connection still stands, as far as is known.
    pub fn is_open(&self) -> bool {
        !self.requests.is_closed()
    }

    /// Whether it may be used for another request.
    pub(crate) fn is_reusable(&self) -> bool {
        self.reusable.load(Ordering::Relaxed) && self.is_open()
    }

    pub(crate) fn goes_to(&self, url: &Url) -> bool {
        let (host, port) = crate::host_and_port(url);
        let origin = &self.origin;
        origin.port == port && origin.host == host && origin.scheme == url.scheme()
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.origin.scheme == "https"
    }
}

impl Origin {
    fn from_url(url: &Url) -> Self {
        let (host, port) = crate::host_and_port(url);
        Self {
            scheme: url.scheme().to_owned(),
            host: host.to_owned(),
            port,
        }
    }
}

/// An answer: its head, and its body, to be read piece by piece.
pub struct Response {
    /// The head.
    pub head: Head,
    body: Incoming,
    /// To be set at the end of the body, if the connection outlasts it.
    reusable: Option<Arc<AtomicBool>>,
}

impl Response {
    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    ///
    /// [`AttemptError::Broken`] if the connection is closed in the middle, and
    /// [`AttemptError::Protocol`] if the server's chunks are none.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, AttemptError> {
        while let Some(frame) = self.body.frame().await {
            // What is no data is a trailer.
            if let Ok(data) = frame.map_err(errors::in_body)?.into_data() {
                return Ok(Some(data));
            }
        }
        self.ended();
        Ok(None)
    }

    /// Reads a body that is not wanted to its end, so that the connection can be
    /// kept; gives up, and the connection with it, if that takes more than so
    /// many bytes.
    pub async fn drain(mut self, most: usize) -> Result<(), AttemptError> {
        let mut read = 0;
        while read <= most
            && let Some(piece) = self.piece().await?
        {
            read += piece.len();
        }
        Ok(())
    }

    fn ended(&self) {
        if let Some(reusable) = &self.reusable {
            reusable.store(true, Ordering::Relaxed);
        }
    }
}

fn hyper_request(request: &transfer::Request) -> Result<Request<Empty<Bytes>>, AttemptError> {
    let url = &request.url;
    let refused = |why: String| AttemptError::Connect(format!("{url} is no URL for HTTP: {why}"));
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let path: Uri = path.parse().map_err(|why| refused(format!("{why}")))?;
    // A URL leaves out a port that is its scheme's.
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
    let mut message = Request::new(Empty::new());
    *message.uri_mut() = path;
    let headers = message.headers_mut();
    headers.insert(HOST, host.map_err(|why| refused(why.to_string()))?);
    let wanted = request.headers.iter();
    headers.extend(wanted.map(|(name, value)| (name.clone(), value.clone())));
    Ok(message)
}

/// Whether a connection lives on after an answer with this head. hyper knows
/// and does not tell; that it closes its side can come after the end of the
/// body, and so too late to keep the connection from being kept.
fn outlasts(version: Version, headers: &HeaderMap) -> bool {
    let says = |what: &str| {
        let values = headers.get_all(CONNECTION).iter();
        let mut tokens = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        tokens.any(|token| token.trim().eq_ignore_ascii_case(what))
    };
    match version {
        Version::HTTP_11 => !says("close"),
        _ => says("keep-alive") && !says("close"),
    }
}
