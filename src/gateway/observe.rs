//! What is told of a request once it has ended: metrics, one access line, and for media one audit line.
//!
//! A [`Record`] gathers the facts while the request goes down the page; its [`Tally`] starts pessimistic, travels
//! on with the response body, and speaks when dropped. So every request is reported exactly once, also when the
//! client leaves before there is an answer. Lines name no query, token or presigned URL.

use std::{fmt, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    error::Fault,
    limits::{RequestPermit, StreamPermit},
    metrics::Metrics,
    route::RouteKind,
};
use crate::{
    access::{ClientIp, Grant},
    id::{StorageName, TaskId},
    object::{ContentRange, ObjectUri},
};

/// The header that carries the id of a request, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the request was for: a metric label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Nothing that could be told, or that was looked at before the refusal.
    Unknown,
    /// An object, in this spelling.
    Media(RouteKind),
    /// Something of the application behind the gateway.
    Forward,
    /// Storages of that application, which the gateway keeps in its place.
    Storages,
}

/// How the answer reached the client: a metric label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivered {
    /// 303 to S3.
    Redirect,
    /// Bytes of S3 through the gateway.
    Stream,
    /// An answer of the application behind the gateway.
    Forward,
    /// An answer of the gateway's own.
    Own,
    /// The same, in the place of the application behind it: the CORS rules of media are not for it.
    TakenOver,
}

/// How a request ended: a metric label.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The client got all of it.
    Complete,
    /// The client left before the end.
    ClientGone,
    /// S3 or the application behind the gateway failed.
    UpstreamFailed,
    /// The request may not.
    Denied,
    /// The request is wrong.
    Rejected,
    /// The gateway is over a limit.
    Overloaded,
}

/// The facts of one request.
pub struct Record {
    /// Its id, from a trusted proxy or our own.
    pub request_id: HeaderValue,
    /// What it is for.
    pub asked: Asked,
    /// Its method.
    pub method: Method,
    /// Its target; only the path is ever told, since a query may hold a token.
    pub target: Uri,
    /// Who asked.
    pub client: Option<ClientIp>,
    /// On which proof.
    pub grant: Option<Arc<Grant>>,
    /// For which object.
    pub object: Option<ObjectUri>,
    /// In the name of which task.
    pub task: Option<TaskId>,
    /// From which storage.
    pub storage: Option<StorageName>,
    /// How it was answered.
    pub delivered: Delivered,
    /// The range that was sent.
    pub content_range: Option<ContentRange>,
    /// The code of our error, where it got one.
    pub code: Option<&'static str>,
    started: Instant,
}

/// A record from the first byte of the request to the last of the response, and the permits that end with it.
#[derive(Debug)]
pub struct Tally {
    /// What is known so far.
    pub record: Box<Record>,
    metrics: Arc<Metrics>,
    /// Absent until the head of the answer is ready.
    head: Option<Head>,
    /// Seconds until the end, where that was the head.
    ended: Option<f64>,
    outcome: Outcome,
    bytes: u64,
    request_permit: Option<RequestPermit>,
    stream_permit: Option<StreamPermit>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    status: StatusCode,
    seconds: f64,
}

impl Record {
    /// Begins the record of a request.
    pub fn new(request_id: HeaderValue, method: Method, target: Uri) -> Self {
        Self {
            request_id,
            asked: Asked::Unknown,
            method,
            target,
            client: None,
            grant: None,
            object: None,
            task: None,
            storage: None,
            delivered: Delivered::Own,
            content_range: None,
            code: None,
            started: Instant::now(),
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the target, whose query may hold a token.
        f.debug_struct("Record").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// The id a trusted proxy gave the request, else a fresh one.
pub fn request_id(headers: &HeaderMap, proxy_trusted: bool) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|_| proxy_trusted);
    let visible =
        |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    given.filter(visible).cloned().unwrap_or_else(|| {
        let mut text = Uuid::encode_buffer();
        let fresh = Uuid::from_u128(fastrand::u128(..)).simple().encode_lower(&mut text);
        HeaderValue::from_str(fresh).unwrap_or(HeaderValue::from_static("none"))
    })
}

impl Asked {
    /// The label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unknown => "none",
            Self::Media(kind) => kind.label(),
            Self::Forward => "forward",
            Self::Storages => "storages",
        }
    }
}

impl Delivered {
    /// The label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Redirect => "redirect",
            Self::Stream => "stream",
            Self::Forward => "forward",
            Self::Own | Self::TakenOver => "own",
        }
    }
}

impl Outcome {
    /// The label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client_gone",
            Self::UpstreamFailed => "upstream_failed",
            Self::Denied => "denied",
            Self::Rejected => "rejected",
            Self::Overloaded => "overloaded",
        }
    }
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Client => Self::Rejected,
            Fault::Policy => Self::Denied,
            Fault::Upstream => Self::UpstreamFailed,
            Fault::Overload => Self::Overloaded,
        }
    }
}

impl Tally {
    /// Begins to watch a request.
    pub fn begin(record: Record, metrics: Arc<Metrics>) -> Self {
        metrics.in_flight.inc();
        Self {
            record: Box::new(record),
            metrics,
            head: None,
            ended: None,
            outcome: Outcome::ClientGone,
            bytes: 0,
            request_permit: None,
            stream_permit: None,
        }
    }

    /// Keeps the permit of the request until the response has ended.
    pub fn hold_request(&mut self, permit: RequestPermit) {
        self.request_permit = Some(permit);
    }

    /// Keeps the permit of the stream until the response has ended.
    pub fn hold_stream(&mut self, permit: StreamPermit) {
        self.metrics.streams.inc();
        self.stream_permit = Some(permit);
    }

    /// The head of the answer is ready.
    pub fn answered(&mut self, status: StatusCode) {
        self.head = Some(Head { status, seconds: self.record.started.elapsed().as_secs_f64() });
    }

    /// Counts bytes handed on.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// There is no body: the answer ends with its head.
    pub fn complete_with_head(&mut self) {
        self.ended = self.head.map(|head| head.seconds);
        self.complete();
    }

    /// The body has ended as it should.
    pub fn complete(&mut self) {
        if self.outcome == Outcome::ClientGone {
            self.outcome = Outcome::Complete;
        }
    }

    /// The source of the body broke.
    pub fn break_off(&mut self) {
        self.outcome = Outcome::UpstreamFailed;
    }

    /// The answer is an error, whose own outcome stands whatever becomes of its body.
    pub fn fail(&mut self, fault: Fault) {
        self.outcome = fault.into();
    }

    fn count(&self, seconds: f64) {
        let record = &self.record;
        let route = record.asked.label();
        let storage = record.storage.as_ref().map_or("", StorageName::as_str);
        let labels = [route, storage, record.delivered.label(), self.outcome.label()];
        self.metrics.requests.with_label_values(&labels).inc();
        let series = self.metrics.series(record.asked, record.delivered);
        if let Some(head) = &self.head {
            self.metrics.responses.with_label_values(&[route, head.status.as_str()]).inc();
            series.first_byte.observe(head.seconds);
        }
        #[expect(clippy::cast_precision_loss, reason = "a counter of bytes is a float in Prometheus")]
        series.bytes.inc_by(self.bytes as f64);
        series.duration.observe(seconds);
        if let Some(code) = record.code {
            self.metrics.refusals.with_label_values(&[code]).inc();
        }
    }

    fn access_line(&self, client: Option<&str>, seconds: f64) {
        let record = &self.record;
        tracing::info!(
            target: "mediagate::access",
            request_id = record.request_id.to_str().unwrap_or_default(),
            client,
            method = record.method.as_str(),
            route = record.asked.label(),
            path = record.target.path(),
            status = self.head.map(|head| head.status.as_u16()),
            code = record.code,
            storage = record.storage.as_ref().map(StorageName::as_str),
            delivery = record.delivered.label(),
            outcome = self.outcome.label(),
            range = record.content_range.as_ref().map(tracing::field::display),
            bytes = self.bytes,
            first_byte_ms = self.head.map(|head| millis(head.seconds)),
            duration_ms = millis(seconds),
            "request"
        );
    }

    /// Who saw what: written for every decision about an object.
    fn audit_line(&self, client: Option<&str>) {
        let record = &self.record;
        let Some(object) = &record.object else { return };
        let grant = record.grant.as_deref();
        let task = record.task.as_ref().or(grant.and_then(Grant::task));
        tracing::info!(
            target: "mediagate::audit",
            request_id = record.request_id.to_str().unwrap_or_default(),
            sub = grant.and_then(Grant::subject),
            kid = grant.map(Grant::key_id),
            jti_hash = grant.and_then(Grant::jti_hash),
            task = task.map(TaskId::as_str),
            bucket = object.bucket.as_str(),
            key = object.key.as_str(),
            client,
            delivery = record.delivered.label(),
            bytes = self.bytes,
            status = self.head.map(|head| head.status.as_u16()),
            code = record.code,
            outcome = self.outcome.label(),
            "decision"
        );
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let seconds = self.ended.unwrap_or_else(|| self.record.started.elapsed().as_secs_f64());
        self.count(seconds);
        // Both lines have it, and it takes longer than the rest of a line.
        let client = self.record.client.map(|client| text(client.ip()));
        self.access_line(client.as_deref(), seconds);
        self.audit_line(client.as_deref());
        self.metrics.in_flight.dec();
        if self.stream_permit.is_some() {
            self.metrics.streams.dec();
        }
    }
}

/// As its `Display` has it. IPv4 is written by hand, since the formatter takes as long for it as half a line does.
fn text(ip: IpAddr) -> String {
    let IpAddr::V4(ip) = ip else { return ip.to_string() };
    let mut text = String::with_capacity(15);
    for (place, octet) in ip.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

/// Milliseconds with three decimals, so that a line stays short.
fn millis(seconds: f64) -> f64 {
    (seconds * 1_000_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_its_display_has_it() {
        for address in ["0.0.0.0", "10.1.20.255", "203.0.113.7", "255.255.255.255", "::1", "2001:db8::7"] {
            assert_eq!(text(address.parse().unwrap()), address);
        }
    }
}
