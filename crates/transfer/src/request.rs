//! What is asked of a server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE,
    USER_AGENT,
};
use url::Url;

use crate::Options;

/// A `GET` to send.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to: without credentials and fragment.
    pub url: Url,
    /// All headers but `Host` and those of the connection.
    pub headers: HeaderMap,
    /// Whether it needs a new connection: after a failed attempt, a kept connection
    /// may be closed at the other end.
    pub fresh: bool,
}

impl Request {
    /// Asks `target` for the file that is listed at `listed`: all of it, or the
    /// bytes from `rest` on if the file is still in the state that it names.
    pub(crate) fn new(
        target: &Url,
        listed: &Url,
        rest: Option<(u64, HeaderValue)>,
        options: &Options,
    ) -> Self {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            // Everything here was checked when it came in; a value that is no
            // header's is left out rather than sent in pieces.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(ACCEPT, "*/*");
        // A compressed answer has other bytes, other ranges, another digest.
        set(ACCEPT_ENCODING, "identity");
        set(USER_AGENT, &options.user_agent);
        // What is meant for the listed host is for no other.
        if same_origin(listed, target) {
            if let Some(credentials) = basic(listed) {
                set(AUTHORIZATION, &credentials);
            }
            for (name, value) in &options.headers {
                if let Ok(name) = name.parse() {
                    set(name, value);
                }
            }
        }
        // Last: no header of the user's own may say where the bytes belong.
        headers.remove(RANGE);
        headers.remove(IF_RANGE);
        if let Some((first, condition)) = rest {
            let range = format!("bytes={first}-");
            headers.insert(RANGE, range.parse().expect("digits"));
            headers.insert(IF_RANGE, condition);
        }
        let mut url = target.clone();
        // These fail for URLs without a host, which the list refuses.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self {
            url,
            headers,
            fresh: false,
        }
    }
}

fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host_str() == other.host_str()
        && one.port_or_known_default() == other.port_or_known_default()
}

/// The credentials of a URL, as `Authorization` sends them.
fn basic(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| crate::name::percent_decode(text);
    let mut pair = decode(url.username());
    pair.push(b':');
    pair.extend(decode(url.password().unwrap_or_default()));
    Some(format!("Basic {}", STANDARD.encode(pair)))
}
