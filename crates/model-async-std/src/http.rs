//! HTTP/1.1 for this model: surf, with the same decisions as its siblings: no
//! proxy, and redirects are not followed here. What it sends with is in
//! `back_end.rs`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_std::task::sleep;
use futures_lite::AsyncBufReadExt;
use http_hyper::{Deadline, Idle};
use surf::http::Method;
use surf::{Response, Url};
use transfer::{AttemptError, Head, Request, Session};

use crate::back_end::{BackEnd, Fresh};

/// Sends requests over connections that outlast it.
#[derive(Clone)]
pub struct Client {
    /// Connections that wait for a request.
    pub idle: Arc<Idle>,
    surf: surf::Client,
}

impl Client {
    /// The session says how long to wait, and which certificates to trust: without
    /// one it waits, and has no TLS.
    pub fn new(idle: Arc<Idle>, session: Option<Arc<Session>>) -> Self {
        Self {
            idle: idle.clone(),
            surf: surf::Client::with_http_client(BackEnd { idle, session }),
        }
    }

    /// The answer to a request: its head has come, its body is to be read. The
    /// deadline is that of the head; connecting has its own.
    pub async fn send(
        &self,
        request: &Request,
        deadline: &Arc<Deadline>,
    ) -> Result<Response, AttemptError> {
        let mut sent = surf::http::Request::new(Method::Get, request.url.clone());
        sent.ext_mut().insert(deadline.clone());
        if request.fresh {
            sent.ext_mut().insert(Fresh);
        }
        for (name, value) in &request.headers {
            // All that a transfer sends is readable.
            sent.append_header(name.as_str(), value.to_str().unwrap_or_default());
        }
        // What our own back end says went wrong comes through as it is.
        let answer = self.surf.send(sent).await;
        answer.map_err(|error| match error.downcast() {
            Ok(ours) => ours,
            Err(error) => AttemptError::Protocol(error.to_string()),
        })
    }

    /// The same for a URL, if the status is 200.
    pub async fn get(&self, url: &str) -> Result<Response> {
        let request = Request {
            url: Url::parse(url).context("not a URL")?,
            headers: Default::default(),
            fresh: false,
        };
        let unlimited = Arc::new(Deadline::new(Duration::MAX));
        let response = self.send(&request, &unlimited).await?;
        let status = head(&response).status;
        ensure!(status == 200, "the server answered {status}");
        Ok(response)
    }
}

/// Ends when what the deadline is for has taken too long.
pub async fn overdue(deadline: &Deadline) -> AttemptError {
    while let Some(left) = deadline.left() {
        sleep(left).await;
    }
    AttemptError::Idle(deadline.most())
}

/// The head of an answer, as it came.
pub fn head(response: &Response) -> &Head {
    response.ext().expect("the back end puts it there")
}

/// What has come of a body and is to be consumed next; nothing at its end, when
/// the connection is free for another request.
pub async fn piece(response: &mut Response) -> Result<&[u8], AttemptError> {
    let piece = response.fill_buf().await;
    piece.map_err(|error| match error.downcast() {
        Ok(ours) => ours,
        Err(error) => AttemptError::from_error(&error, AttemptError::Broken),
    })
}

/// Reads a body that is not wanted to its end, so that the connection can be
/// kept; gives up, and the connection with it, after `most` bytes.
pub async fn drain(mut response: Response, most: usize) -> Result<(), AttemptError> {
    let mut read = 0;
    while read <= most {
        let length = piece(&mut response).await?.len();
        if length == 0 {
            break;
        }
        response.consume(length);
        read += length;
    }
    Ok(())
}
