//! The AWS SDK over our own connections.
//!
//! The SDK is built without an HTTP client. What it asks of S3, STS, IMDS and ECS goes through `egress`, with
//! its roots, source addresses, proxy and guard. What must stay true: an answer to the SDK is bounded in bytes
//! and in time, since it reads answers whole; what goes wrong here comes out of it again as an [`Error`].

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_smithy_async::{
    rt::sleep::{SharedAsyncSleep, TokioSleep},
    time::{SharedTimeSource, TimeSource},
};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::{ConnectorError, SdkError},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{Error, Timeouts, metrics::StorageMetrics};
use crate::egress::{self, Egress};

/// An HTTP client for the SDK. Cheap to clone: clones share the pool.
#[derive(Clone)]
pub(super) struct SdkHttp(Arc<Shared>);

struct Shared {
    client: egress::HttpClient<SdkBody>,
    timeouts: Timeouts,
    metrics: Arc<StorageMetrics>,
}

impl SdkHttp {
    pub(super) fn new(egress: &Egress, timeouts: Timeouts, metrics: Arc<StorageMetrics>) -> Self {
        Self(Arc::new(Shared { client: egress.sending_client(), timeouts, metrics }))
    }
}

impl fmt::Debug for SdkHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdkHttp").field("timeouts", &self.0.timeouts).finish_non_exhaustive()
    }
}

impl HttpClient for SdkHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let first_byte = settings.read_timeout().unwrap_or(self.0.timeouts.first_byte);
        SharedHttpConnector::new(Exchange { http: self.clone(), first_byte })
    }
}

/// The client with the patience that one operation of the SDK asks for.
#[derive(Clone, Debug)]
struct Exchange {
    http: SdkHttp,
    first_byte: Duration,
}

impl HttpConnector for Exchange {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let exchange = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let answer = exchange.ask(request).await.map_err(connector_error)?;
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl Exchange {
    async fn ask(&self, request: Request<SdkBody>) -> Result<Response<SdkBody>, Error> {
        let Shared { client, timeouts, metrics } = &*self.http.0;
        let patience = self.first_byte + sending(request.body());
        let answer = timeout(patience, client.request(request)).await;
        let answer = answer.map_err(|_| Error::FirstByteTimeout)?;
        let (parts, body) = answer.map_err(|error| metrics.unconnected(error))?.into_parts();
        let body = timeout(timeouts.idle, whole(body)).await.map_err(|_| Error::FirstByteTimeout)??;
        Ok(Response::from_parts(parts, SdkBody::from(body)))
    }
}

/// How long a body may take until its last byte is sent: no network that is worth using is slower.
fn sending(body: &SdkBody) -> Duration {
    const BYTES_PER_SECOND: u64 = 32 * 1024;
    Duration::from_secs(body.content_length().unwrap_or_default() / BYTES_PER_SECOND)
}

/// A thousand keys of 1 KiB, each byte of them escaped, fit.
async fn whole(body: Incoming) -> Result<Bytes, Error> {
    const MOST: usize = 16 * 1024 * 1024;
    match Limited::new(body, MOST).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) => Err(Error::AnswerMalformed),
    }
}

/// Says to the SDK whether it may try again.
fn connector_error(error: Error) -> ConnectorError {
    match error {
        Error::FirstByteTimeout => ConnectorError::timeout(error.into()),
        Error::Unreachable(_) | Error::AnswerMalformed => ConnectorError::io(error.into()),
        _ => ConnectorError::user(error.into()),
    }
}

/// What a failure of the SDK means: the answer is read as that to a request of our own.
pub(super) fn error<E>(failure: SdkError<E, HttpResponse>) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    match failure {
        SdkError::ServiceError(failure) => of_answer(failure.into_raw()),
        SdkError::ResponseError(failure) => of_answer(failure.into_raw()),
        SdkError::TimeoutError(_) => Error::FirstByteTimeout,
        SdkError::ConstructionFailure(_) => Error::EndpointInvalid,
        other => of_connector(other).unwrap_or(Error::AnswerMalformed),
    }
}

/// An answer of success is here when it could not be understood.
fn of_answer(answer: HttpResponse) -> Error {
    let Ok(answer) = answer.try_into_http1x() else { return Error::AnswerMalformed };
    let (parts, body) = answer.into_parts();
    if parts.status.is_success() {
        return Error::AnswerMalformed;
    }
    Error::of(parts.status, &parts.headers, body.bytes().unwrap_or_default())
}

fn of_connector<E>(failure: SdkError<E, HttpResponse>) -> Option<Error>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let source = failure.into_source().ok()?.downcast::<ConnectorError>().ok()?;
    source.into_source().downcast::<Error>().ok().map(|error| *error)
}

/// How the SDK waits.
pub(super) fn sleep() -> SharedAsyncSleep {
    SharedAsyncSleep::new(TokioSleep::new())
}

/// The time as the SDK asks for it.
#[derive(Clone, Copy, Debug)]
struct Clock(fn() -> SystemTime);

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        (self.0)()
    }
}

pub(super) fn time(clock: fn() -> SystemTime) -> SharedTimeSource {
    SharedTimeSource::new(Clock(clock))
}
