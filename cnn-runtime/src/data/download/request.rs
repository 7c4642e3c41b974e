//! One request to one mirror.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

use super::MirrorProblem;

/// How an answer ended.
pub(super) enum Outcome {
    /// The file is complete.
    Whole,
    /// It broke off; what arrived is written.
    Broken(MirrorProblem),
}

pub(super) struct Client {
    agent: Agent,
    read_timeout: Duration,
}

/// A server that sends less than this a second, over twice the time-out, counts as silent.
const SLOWEST: u64 = 1024;

impl Client {
    pub(super) fn new(connect: Duration, read: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(read))
            .timeout_per_read(Some(read))
            .timeout_per_write(Some(read))
            .user_agent(concat!("cnn-runtime/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into(), read_timeout: read }
    }

    /// Asks for the bytes from `from` on and appends them to `file`, which has `from` bytes. A server
    /// that sends the whole file all the same has its first bytes passed over.
    pub(super) fn get(
        &self,
        url: &str,
        file: &mut File,
        from: u64,
        limit: u64,
    ) -> Result<Outcome, MirrorProblem> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        let response =
            request.call().map_err(|error| MirrorProblem::Connection(error.to_string()))?;
        let (mut at, total) = match response.status().as_u16() {
            200 => (0, number(response.headers(), "content-length")),
            206 => range(&response, from)?,
            // There is nothing after these bytes: they are the file, or the sum will tell.
            416 => return Ok(Outcome::Whole),
            status => return Err(MirrorProblem::Status(status)),
        };
        if text(response.headers(), "content-type").starts_with("text/html") {
            return Err(MirrorProblem::Html);
        }
        if total.is_some_and(|total| total > limit) {
            return Err(MirrorProblem::TooLarge { limit });
        }
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        let (started, mut received) = (Instant::now(), 0);
        let broken = loop {
            let read = match body.read(&mut buffer) {
                Ok(0) => break None,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => break Some(error.to_string()),
            };
            if at == 0 && is_html(&buffer[..read]) {
                return Err(MirrorProblem::Html);
            }
            let known = from.saturating_sub(at).min(read as u64);
            at += read as u64;
            received += read as u64;
            if at > limit {
                return Err(MirrorProblem::TooLarge { limit });
            }
            file.write_all(&buffer[known as usize..read]).map_err(MirrorProblem::Write)?;
            let elapsed = started.elapsed();
            if elapsed > 2 * self.read_timeout && received < SLOWEST * elapsed.as_secs().max(1) {
                let what = format!("fewer than {SLOWEST} bytes a second");
                return Err(MirrorProblem::Connection(what));
            }
        };
        Ok(match (broken, total) {
            (None, None) => Outcome::Whole,
            (_, Some(expected)) if at == expected => Outcome::Whole,
            (Some(error), _) => Outcome::Broken(MirrorProblem::Connection(error)),
            (None, Some(expected)) => {
                Outcome::Broken(MirrorProblem::Truncated { found: at, expected })
            }
        })
    }
}

/// Where the part that was sent starts, which must be where it should, and how long the file is.
fn range(response: &Response<Body>, from: u64) -> Result<(u64, Option<u64>), MirrorProblem> {
    let sent = text(response.headers(), "content-range");
    let parts = sent.strip_prefix("bytes ").and_then(|rest| rest.split_once('/'));
    let start = parts.and_then(|(span, _)| span.split_once('-')?.0.trim().parse().ok());
    if start != Some(from) {
        return Err(MirrorProblem::Range { from, sent });
    }
    Ok((from, parts.and_then(|(_, total)| total.trim().parse().ok())))
}

fn text(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim().to_ascii_lowercase()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name).parse().ok()
}

fn is_html(start: &[u8]) -> bool {
    let start = start[..start.len().min(256)].to_ascii_lowercase();
    let start = start.trim_ascii_start();
    start.starts_with(b"<!doctype html") || start.starts_with(b"<html")
}
