//! What has been asked of the faults: how often, for those that change, and all
//! of it, for tests.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;

use super::answer::Answer;
use super::asked::{Asked, MAX_BODY, query_bytes};
use super::table::FAULTS;
use crate::{
    api::FaultRequest,
    client::exchange,
    link::Link,
    lock,
    refusal::Refusal,
    request::{FAULT, Method, Request},
};

/// How many requests are remembered, of all clients together.
const MAX_REQUESTS: usize = 10_000;
/// For how many pairs of a fault and a token it is remembered how often they were
/// asked for.
const MAX_PAIRS: usize = 100_000;
/// For how many tokens there is a line, and how fast one is.
const MAX_LINES: usize = 1000;
const LINE_MBIT_PER_S: u64 = 1;
/// How long an origin may keep a request for its log waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// The requests that the fault URLs with this token got so far, in the order in
/// which they came, whichever fault they asked for. The origin remembers the last
/// 10,000 of all tokens together.
///
/// `token` is as it stands in the URLs. An origin that speaks TLS is asked at
/// `http://`, like for a [`Run`](crate::Run).
///
/// # Errors
///
/// When there is no origin at `origin_url`, or it does not answer within ten
/// seconds; the URL is named.
pub fn fault_log(origin_url: &str, token: &str) -> anyhow::Result<Vec<FaultRequest>> {
    let url = format!("{}/faults/{token}", origin_url.trim_end_matches('/'));
    let answer = exchange("GET", &url, &[], PATIENCE)?;
    serde_json::from_slice(&answer)
        .with_context(|| format!("origin {url}: not the answer expected"))
}

/// The faults, as the server keeps them.
pub(crate) struct Log {
    start: Instant,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    requests: VecDeque<Entry>,
    times_asked: HashMap<Pair, u64>,
    /// The slow lines of tokens, the oldest first.
    lines: VecDeque<(String, Arc<Link>)>,
    /// The keys of `times_asked`, the oldest first.
    pairs: VecDeque<Pair>,
}

/// A fault and a token.
type Pair = (&'static str, String);

struct Entry {
    token: String,
    /// All but `body_bytes_sent`, which is filled in when asked for.
    request: FaultRequest,
    sent: Arc<AtomicU64>,
}

impl Log {
    /// An empty one, of an origin that starts now.
    pub(crate) fn new() -> Log {
        Log {
            start: Instant::now(),
            book: Mutex::default(),
        }
    }

    /// The answer to a request for a fault, which is remembered.
    pub(crate) fn answer(
        &self,
        request: &Request,
        connection: u64,
        origin: &str,
    ) -> Result<Answer, Refusal> {
        let not_found = || Refusal::new(404, format!("there is no {}", request.path));
        // The rest is the client's, and as it was sent.
        let path = request.path.strip_prefix(FAULT).ok_or_else(not_found)?;
        let (name, path) = path.split_once('/').ok_or_else(not_found)?;
        let token = path.split('/').next().unwrap_or_default();
        let fault = (FAULTS.iter())
            .find(|fault| fault.name == name)
            .ok_or_else(not_found)?;
        if !matches!(request.method, Method::Get | Method::Head) {
            return Err(Refusal::method("GET, HEAD"));
        }
        let query = request.query.as_deref();
        let bytes = query_bytes(query)
            .ok_or_else(|| Refusal::new(400, format!("bytes is a number, at most {MAX_BODY}")))?;
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let tally = Arc::default();
        let entry = Entry {
            token: token.to_owned(),
            request: self.request(fault.name, request, &query, connection),
            sent: Arc::clone(&tally),
        };
        let asked = Asked {
            line: self.line(token),
            on_this_connection: self.on_connection(token, connection),
            times_before: self.enter((fault.name, token.to_owned()), entry),
            request,
            origin,
            token,
            rest: format!("{}{query}", &path[token.len()..]),
            bytes,
        };
        Ok((fault.answer)(&asked).tally(tally))
    }

    /// The requests of a token, in order.
    pub(crate) fn requests(&self, token: &str) -> Vec<FaultRequest> {
        let book = lock(&self.book);
        let requests = book.requests.iter().filter(|entry| entry.token == token);
        requests
            .map(|entry| FaultRequest {
                body_bytes_sent: entry.sent.load(Ordering::Relaxed),
                ..entry.request.clone()
            })
            .collect()
    }

    /// How many requests with a token a connection has had.
    fn on_connection(&self, token: &str, connection: u64) -> usize {
        let book = lock(&self.book);
        let requests = book.requests.iter().filter(|entry| entry.token == token);
        requests
            .filter(|entry| entry.request.connection == connection)
            .count()
    }

    /// The line that all answers of a token can share.
    fn line(&self, token: &str) -> Arc<Link> {
        let mut book = lock(&self.book);
        if let Some((_, line)) = book.lines.iter().rev().find(|(of, _)| of == token) {
            return Arc::clone(line);
        }
        if book.lines.len() == MAX_LINES {
            book.lines.pop_front();
        }
        let line = Arc::new(Link::new(LINE_MBIT_PER_S));
        book.lines.push_back((token.to_owned(), Arc::clone(&line)));
        line
    }

    /// Remembers a request, and says how many came before it.
    fn enter(&self, pair: Pair, entry: Entry) -> u64 {
        let mut book = lock(&self.book);
        book.requests.push_back(entry);
        if book.requests.len() > MAX_REQUESTS {
            book.requests.pop_front();
        }
        if let Some(times) = book.times_asked.get_mut(&pair) {
            *times += 1;
            return *times;
        }
        if book.pairs.len() == MAX_PAIRS
            && let Some(oldest) = book.pairs.pop_front()
        {
            book.times_asked.remove(&oldest);
        }
        book.pairs.push_back(pair.clone());
        book.times_asked.insert(pair, 0);
        0
    }

    fn request(
        &self,
        fault: &str,
        request: &Request,
        query: &str,
        connection: u64,
    ) -> FaultRequest {
        let mut headers = BTreeMap::<String, String>::new();
        for (name, value) in &request.headers {
            headers
                .entry(name.clone())
                .and_modify(|all| *all = format!("{all}, {value}"))
                .or_insert_with(|| value.clone());
        }
        let method = match request.method {
            Method::Head => "HEAD",
            _ => "GET",
        };
        FaultRequest {
            fault: fault.to_owned(),
            method: method.to_owned(),
            path: format!("{}{query}", request.path),
            at_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            connection,
            range: headers.remove("range"),
            if_range: headers.remove("if-range"),
            authorization: headers.remove("authorization"),
            accept_encoding: headers.remove("accept-encoding"),
            user_agent: headers.remove("user-agent"),
            headers,
            body_bytes_sent: 0,
        }
    }
}
