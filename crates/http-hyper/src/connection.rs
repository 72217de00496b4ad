//! A connection, and what comes over it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http_body_util::Empty;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Request, Uri, Version};
use transfer::{AttemptError, Head};
use url::{Position, Url};

use crate::bounded::{Bounded, Reads};
use crate::errors;
use crate::turn::Turn;

/// The most bytes that are read at once, and that the head of an answer may have: as
/// in `http-ureq`. hyper's own buffer grows to 408 KiB.
pub(crate) const BUFFER_BYTES: usize = 64 * 1024;
/// What a header line has besides its name and value: a colon, a space, an end.
const LINE_BYTES: usize = 4;
/// The most headers that an answer may have: as in ureq.
const MOST_HEADERS: usize = 128;

/// A connection that one request at a time can be sent over.
///
/// hyper splits it in two: a half that takes requests, and a driver that moves the
/// bytes. Its examples give the driver a task of its own. Here the task that awaits
/// an answer polls the driver as well: nothing is handed from one task to another,
/// and nothing is left running when a connection is dropped.
pub struct Connection {
    // In this order: the driver, when it is dropped, sees that this has gone.
    requests: SendRequest<Empty<Bytes>>,
    driver: Driver,
    origin: Origin,
    reads: Reads,
}

/// What moves the bytes.
struct Driver {
    /// None when it has ended.
    future: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
    turn: Arc<Turn>,
    /// The turn's.
    waker: Waker,
}

/// What connections are told apart by.
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

/// HTTP/1.1 over a stream that stands.
pub async fn handshake<I>(io: I, url: &Url) -> Result<Connection, AttemptError>
where
    I: Read + Write + Send + Sync + Unpin + 'static,
{
    let reads = Reads::new();
    let io = Bounded {
        io,
        reads: reads.clone(),
    };
    let (requests, connection) = Builder::new()
        .max_buf_size(BUFFER_BYTES)
        .max_headers(MOST_HEADERS)
        .allow_obsolete_multiline_headers_in_responses(true)
        .handshake(io)
        .await
        .map_err(|error| AttemptError::from_error(&error, AttemptError::Connect))?;
    // An error here is one of the request's, too.
    let driver = async move { drop(connection.await) };
    Ok(Connection {
        requests,
        driver: Driver::new(driver),
        origin: Origin::from_url(url),
        reads,
    })
}

impl Driver {
    fn new(future: impl Future<Output = ()> + Send + Sync + 'static) -> Self {
        let turn = Turn::new();
        Self {
            future: Some(Box::pin(future)),
            waker: turn.clone().into(),
            turn,
        }
    }

    /// Waits for what another half of hyper has, and moves bytes until it has it.
    async fn bring<T>(&mut self, mut waits: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        let Self {
            future,
            turn,
            waker,
        } = self;
        poll_fn(|context| {
            turn.poll(waker, context.waker(), &mut waits, |context| {
                future.take_if(|driver| driver.as_mut().poll(context).is_ready());
            })
        })
        .await
    }
}

impl Drop for Driver {
    /// One more turn, in which hyper can say farewell. It would see that a body is
    /// not wanted any more when it has more of it: with a server that sends nothing
    /// it would sit there for ever.
    fn drop(&mut self) {
        if let Some(driver) = &mut self.future {
            let _ = driver
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl Connection {
    /// Sends a request, and waits for the head of its answer.
    ///
    /// Dropping the future before it is done closes the connection.
    ///
    /// # Errors
    ///
    /// [`AttemptError::NoAnswer`] if the connection was closed, which a server may do
    /// at any time with one that waits; else what was wrong with the answer.
    pub async fn send(mut self, request: &transfer::Request) -> Result<Response, AttemptError> {
        let request = hyper_request(request)?;
        self.reads.bound();
        let mut answer = pin!(self.requests.send_request(request));
        let answer = self.driver.bring(|context| answer.as_mut().poll(context));
        let (head, body) = answer.await.map_err(errors::before_head)?.into_parts();
        self.reads.unbound();
        let lines = head.headers.iter();
        let bytes = lines.map(|(name, value)| name.as_str().len() + value.len() + LINE_BYTES);
        if bytes.sum::<usize>() > BUFFER_BYTES {
            // hyper looks whether its buffer is full before it reads, and not after.
            let why = format!("a head of more than {BUFFER_BYTES} bytes");
            return Err(AttemptError::Protocol(why));
        }
        Ok(Response {
            outlasts: outlasts(head.version, &head.headers),
            head: Head {
                status: head.status.as_u16(),
                headers: head.headers,
            },
            ended: body.is_end_stream(),
            body,
            connection: self,
        })
    }

    /// Whether it can take another request: hyper is done with the last answer, and
    /// the server, as far as can be seen now, has neither closed the connection nor
    /// sent more than that.
    pub(crate) async fn ready(&mut self) -> bool {
        let mut looked = false;
        let ready = self.driver.bring(|context| {
            if std::mem::replace(&mut looked, true) {
                return self.requests.poll_ready(context);
            }
            Poll::Pending
        });
        ready.await.is_ok()
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

/// An answer: its head, and its body, to be read piece by piece. Dropping it closes
/// the connection; [`Idle::keep`](crate::Idle::keep) keeps it for another request.
pub struct Response {
    /// The head.
    pub head: Head,
    body: Incoming,
    /// The body has been read to its end.
    ended: bool,
    /// The connection outlasts it.
    outlasts: bool,
    connection: Connection,
}

impl Response {
    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    ///
    /// [`AttemptError::Broken`] if the connection is closed in the middle, and
    /// [`AttemptError::Protocol`] if the server's chunks are none.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, AttemptError> {
        loop {
            let mut body = Pin::new(&mut self.body);
            let frame = self
                .connection
                .driver
                .bring(|context| body.as_mut().poll_frame(context));
            let Some(frame) = frame.await else {
                self.ended = true;
                return Ok(None);
            };
            // What is no data is a trailer.
            if let Ok(data) = frame.map_err(errors::in_body)?.into_data() {
                return Ok(Some(data));
            }
        }
    }

    /// Reads a body that is not wanted to its end, so that the connection can be
    /// kept; gives up after `most` bytes.
    pub async fn drain(&mut self, most: usize) -> Result<(), AttemptError> {
        let mut read = 0;
        while read <= most
            && let Some(piece) = self.piece().await?
        {
            read += piece.len();
        }
        Ok(())
    }

    /// The connection, if it is fit for another request: this answer was read to
    /// the end, and neither side has said that it closes.
    pub(crate) fn into_connection(self) -> Option<Connection> {
        let reusable = self.ended && self.outlasts && !self.connection.requests.is_closed();
        reusable.then_some(self.connection)
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
