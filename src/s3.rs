//! S3, as far as the data path needs it: presigned URLs, signed GET and HEAD, and the credentials for them.
//!
//! One signer serves both deliveries, so that a redirect and a stream ask for the same object in the same way.
//! Objects are read by `egress`'s fetcher and passed on as they come. What must stay true: requests are
//! made of parsed values only; URLs, keys of access and tokens are printed nowhere; statuses of S3 are read
//! here, and none of ours is chosen.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use http::Uri;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    egress::{Answer, Egress},
    id::StorageName,
    object::{Bucket, ByteRange, ETag, ObjectKey},
    storage::Addressing,
};

mod body;
mod browser;
mod bucket;
mod client;
mod credentials;
mod endpoint;
mod error;
mod metrics;
mod object;
mod parts;
pub mod policy;
mod presign;
mod request;
mod sdk;
mod sign;
mod window;

pub use body::{BodyError, ObjectBody};
pub use browser::Preflight;
pub use bucket::{ListPage, ListRequest, Listed, PutOptions};
pub use credentials::{CredentialsConfig, CredentialsFailure};
pub use error::Error;
pub use metrics::S3Metrics;
pub use object::{LastModified, Object, ObjectMeta};
pub use presign::{PresignMethod, PresignRequest, PresignedUrl, Presigner};
pub use window::{MAX_TTL, MIN_TTL};

use credentials::{Credentials, Means};
pub(crate) use endpoint::partition;

use endpoint::Endpoint;
use metrics::{Operation, StorageMetrics};
use request::{Connections, Question};
use sign::Signer;
use window::Window;

/// One bucket and how to reach it.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// What the storage is called, also in metrics.
    pub name: StorageName,
    /// The bucket.
    pub bucket: Bucket,
    /// The region to sign for.
    pub region: String,
    /// Where we connect to; absent: the region's own endpoint at AWS.
    pub endpoint: Option<Uri>,
    /// Where presigned URLs point to, and so browsers connect to; absent: the same.
    pub public_endpoint: Option<Uri>,
    /// Whether the bucket stands in the host or in the path.
    pub addressing: Addressing,
    /// Who signs.
    pub credentials: CredentialsConfig,
    /// How long S3 may be silent.
    pub timeouts: Timeouts,
}

/// How long S3 may be silent. There is no limit on a whole transfer.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until the head of an answer, the time to connect included.
    #[serde(with = "humantime_serde")]
    pub first_byte: Duration,
    /// Between two pieces of a body.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { first_byte: Duration::from_secs(10), idle: Duration::from_secs(30) }
    }
}

/// What to get of an object.
#[derive(Clone, Debug, Default)]
pub struct GetOptions {
    /// One range; absent: the whole object.
    pub range: Option<ByteRange>,
    /// Only this version.
    pub if_match: Option<ETag>,
}

/// One bucket, ready to be asked. Cheap to clone.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    /// What it was made of, to make it again for another region.
    made_of: (ConnectionConfig, S3Metrics),
    name: StorageName,
    bucket: Bucket,
    endpoint: Endpoint,
    public_endpoint: Endpoint,
    credentials: Arc<Credentials>,
    timeouts: Timeouts,
    egress: Arc<Egress>,
    metrics: Arc<StorageMetrics>,
    clock: fn() -> SystemTime,
    /// Made when it is first needed: a gateway that only serves needs none.
    sdk: OnceLock<aws_sdk_s3::Client>,
}

impl Connection {
    /// Prepares a connection and asks for credentials; S3 itself is not asked.
    ///
    /// Credentials that cannot be had now are no error: see [`Connection::credentials_ready`] and
    /// [`Connection::refresh_loop`]. Errors are mistakes in the configuration.
    pub async fn connect(
        config: ConnectionConfig,
        egress: Arc<Egress>,
        metrics: S3Metrics,
        clock: fn() -> SystemTime,
    ) -> Result<Self, Error> {
        let ConnectionConfig { bucket, region, addressing, .. } = &config;
        let endpoint = Endpoint::build(config.endpoint.as_ref(), region, bucket, *addressing)?;
        let public = config.public_endpoint.as_ref().or(config.endpoint.as_ref());
        let public_endpoint = Endpoint::build(public, region, bucket, *addressing)?;
        let made_of = (config.clone(), metrics);
        let metrics = Arc::new(made_of.1.of(&config.name));
        let means = Means {
            egress: Arc::clone(&egress),
            timeouts: config.timeouts,
            metrics: Arc::clone(&metrics),
            clock,
        };
        let credentials = Credentials::build(&config.credentials, region, &means).await?;
        // A failure is logged, counted and kept there; a storage that cannot be used now may be later.
        let is_ready = credentials.refresh(&metrics).await.is_ok();
        tracing::debug!(storage = metrics.storage(), is_ready, "connection prepared");
        Ok(Self(Arc::new(Inner {
            made_of,
            name: config.name,
            bucket: config.bucket,
            endpoint,
            public_endpoint,
            credentials: Arc::new(credentials),
            timeouts: config.timeouts,
            egress,
            metrics,
            clock,
            sdk: OnceLock::new(),
        })))
    }

    /// What the storage is called.
    pub fn name(&self) -> &StorageName {
        &self.0.name
    }

    /// The bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.0.bucket
    }

    /// The same bucket in another region, for when S3 says that it is there. Asks for credentials again.
    pub async fn in_region(&self, region: &str) -> Result<Self, Error> {
        let (config, metrics) = self.0.made_of.clone();
        let config = ConnectionConfig { region: region.to_owned(), ..config };
        Self::connect(config, Arc::clone(&self.0.egress), metrics, self.0.clock).await
    }

    /// The region that is signed for.
    pub fn region(&self) -> &str {
        self.0.credentials.region()
    }

    /// Scheme, host and port of what is connected to.
    pub fn origin(&self) -> &str {
        self.0.endpoint.origin().as_str()
    }

    /// Scheme, host and port of the presigned URLs: `https://media.s3.eu-west-1.amazonaws.com`.
    pub fn public_origin(&self) -> &str {
        self.0.public_endpoint.origin().as_str()
    }

    /// Signs a URL: no I/O, a few microseconds.
    pub fn presign(&self, request: &PresignRequest<'_>, now: SystemTime) -> Result<PresignedUrl, Error> {
        let (signer, window) = self.presign_window(request, now)?;
        Ok(signer.presign(&self.0.public_endpoint, request, window))
    }

    /// Opens an object, or one range of it. The body is read as it is polled.
    pub async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<Object, Error> {
        let path = self.0.endpoint.object_path(key);
        let question = Question {
            range: options.range,
            if_match: options.if_match.as_ref(),
            ..Question::new(Operation::Get, &path)
        };
        let Answer { status, headers, body } = self.0.ask(&question, Connections::Kept).await?;
        let meta = ObjectMeta::read(status, &headers, question.range)?;
        let body = ObjectBody::new(Arc::clone(&self.0), key, &meta, body);
        Ok(Object { meta, body })
    }

    /// Describes an object.
    pub async fn head(&self, key: &ObjectKey) -> Result<ObjectMeta, Error> {
        let path = self.0.endpoint.object_path(key);
        let answer = self.0.ask(&Question::new(Operation::Head, &path), Connections::Kept).await?;
        ObjectMeta::read(answer.status, &answer.headers, None)
    }

    /// Whether requests can be signed now.
    pub fn credentials_ready(&self) -> bool {
        self.0.credentials.signer((self.0.clock)()).is_ok()
    }

    /// Why there are no credentials, where the last time that they were asked for was in vain.
    pub async fn credentials_failure(&self) -> Option<CredentialsFailure> {
        self.0.credentials.failure().await
    }

    /// Renews credentials ahead of their end, until the token is cancelled; returns at once where they have
    /// none. To be run once, in the background.
    pub async fn refresh_loop(&self, stop: CancellationToken) {
        self.0.credentials.refresh_loop(&self.0.metrics, stop).await;
    }

    fn presign_window(
        &self,
        request: &PresignRequest<'_>,
        now: SystemTime,
    ) -> Result<(Arc<Signer>, Window), Error> {
        let (signer, end) = self.0.credentials.signer(now)?;
        let cut = end.map_or(request.not_after, |end| end.min(request.not_after));
        let window = Window::around(now, request.ttl, cut).ok_or(Error::PresignLifeOver)?;
        Ok((signer, window))
    }

    fn public_endpoint(&self) -> &Endpoint {
        &self.0.public_endpoint
    }

    fn metrics(&self) -> &StorageMetrics {
        &self.0.metrics
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { name, bucket, .. } = &*self.0;
        f.debug_struct("Connection").field("name", name).field("bucket", bucket).finish_non_exhaustive()
    }
}
