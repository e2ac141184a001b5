//! `mediagate demo`: everything that stands around the gateway, in one process and without configuration.
//!
//! It starts an S3 server that checks signatures, with two buckets of sample media, and a small annotation
//! frontend that mints tokens and serves the page. The gateway itself is started by the caller, with one
//! storage per delivery and the frontend as its upstream:
//!
//! | storage | bucket | delivery |
//! |---|---|---|
//! | `media` | [`Demo::STREAM_BUCKET`] | stream |
//! | `media-direct` | [`Demo::REDIRECT_BUCKET`] | redirect |
//!
//! Nothing outlives the process: keys are made at every start, objects lie in a temporary directory that goes
//! with [`Demo::stop`] or with the value itself.

mod frontend;
mod log;
mod sample;
mod storage;
mod token;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::broadcast, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use frontend::Frontend;
use log::RequestLog;
use storage::Credentials;
use token::Minter;

/// Where the demo listens and what time it is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The embedded S3 server. Presigned URLs point here, so the browser must reach it too.
    pub s3_listen: SocketAddr,
    /// The annotation frontend. Only the gateway connects to it.
    pub frontend_listen: SocketAddr,
    /// The clock that tokens are minted and log lines are dated by.
    pub clock: fn() -> SystemTime,
}

/// A running demo without its gateway. Dropping it stops it at once; [`Demo::stop`] ends it in order.
#[derive(Debug)]
pub struct Demo {
    s3_endpoint: String,
    frontend_url: String,
    credentials: Credentials,
    token_secret: SecretString,
    log: RequestLog,
    shutdown: CancellationToken,
    tasks: Vec<AbortOnDropHandle<()>>,
    root: TempDir,
}

/// Why the demo did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system gave no random bytes for the keys.
    #[error("the system gave no random bytes")]
    RandomUnavailable,
    /// The directory of the embedded S3 server was not created.
    #[error("no temporary directory was created")]
    TempDirNotCreated(#[source] io::Error),
    /// An address was taken or not ours to listen on.
    #[error("{address} cannot be listened on")]
    AddressNotBound {
        /// The address as configured.
        address: SocketAddr,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The embedded S3 server did not open its directory.
    #[error("the embedded S3 server did not open its directory: {0:?}")]
    StorageNotOpened(s3s_fs::Error),
    /// The embedded S3 server did not take a sample object.
    #[error("the sample media were not stored")]
    SampleNotStored(#[source] s3s::S3Error),
}

impl Options {
    /// Free ports of the loopback interface.
    pub fn new(clock: fn() -> SystemTime) -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { s3_listen: free, frontend_listen: free, clock }
    }
}

impl Demo {
    /// The bucket that the page expects to be streamed.
    pub const STREAM_BUCKET: &str = "media";
    /// The bucket that the page expects to be redirected. It holds the same objects.
    pub const REDIRECT_BUCKET: &str = "media-direct";
    /// The `kid` of the tokens: the id that [`Demo::token_secret`] has in the gateway's `[[access.keys]]`.
    pub const TOKEN_KEY_ID: &str = "demo";
    /// The `aud` of the tokens: the gateway's `access.audience`.
    pub const TOKEN_AUDIENCE: &str = "mediagate";

    /// How long [`Demo::stop`] lets answers finish.
    const STOP_TIMEOUT: Duration = Duration::from_secs(2);

    /// Starts the embedded S3 server and the frontend, and fills both buckets.
    ///
    /// When this returns, both answer.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let root =
            tempfile::Builder::new().prefix("mediagate-demo-").tempdir().map_err(Error::TempDirNotCreated)?;
        let credentials =
            Credentials { access_key_id: random_text(15)?, secret_access_key: random_text(30)?.into() };
        let token_secret = SecretString::from(random_text(48)?);
        let shutdown = CancellationToken::new();
        let (log, log_task) = RequestLog::start(options.clock, shutdown.clone());

        let s3_listener = bind(options.s3_listen).await?;
        let s3_endpoint = url_of(&s3_listener, options.s3_listen)?;
        let s3 = storage::router(root.path(), &credentials).await?;

        let frontend_listener = bind(options.frontend_listen).await?;
        let frontend_url = url_of(&frontend_listener, options.frontend_listen)?;
        let frontend = Frontend {
            minter: Minter::new(&token_secret, options.clock),
            s3_endpoint: s3_endpoint.clone(),
            log: log.clone(),
            shutdown: shutdown.clone(),
        };

        let tasks = vec![
            serve(s3_listener, s3, shutdown.clone()),
            serve(frontend_listener, frontend.router(), shutdown.clone()),
            log_task,
        ];
        Ok(Self { s3_endpoint, frontend_url, credentials, token_secret, log, shutdown, tasks, root })
    }

    /// The embedded S3 server as `http://address:port`, for the gateway and for browsers. Path-style only.
    pub fn s3_endpoint(&self) -> &str {
        &self.s3_endpoint
    }

    /// The access key id of both buckets.
    pub fn access_key_id(&self) -> &str {
        &self.credentials.access_key_id
    }

    /// The secret access key of both buckets.
    pub fn secret_access_key(&self) -> &SecretString {
        &self.credentials.secret_access_key
    }

    /// The region to sign for.
    pub fn region(&self) -> &'static str {
        "us-east-1"
    }

    /// The annotation frontend as `http://address:port`: the gateway's upstream.
    pub fn frontend_url(&self) -> &str {
        &self.frontend_url
    }

    /// The HS256 secret that the frontend signs tokens with and the gateway verifies them with.
    pub fn token_secret(&self) -> &SecretString {
        &self.token_secret
    }

    /// Where the gateway's access log goes, one JSON object per request; the page shows the lines at `/log`.
    ///
    /// The page reads these members and leaves out what is absent: `method`, `path` (no query: it has the
    /// token), `route`, `status`, `delivery`, `range` (of the answer), `bytes` (of the body sent), `duration_ms`,
    /// `code` (of a refusal) and `outcome`. The time shown is when the line came.
    /// Sending never waits; lines that nobody has read when 1,024 newer ones came are dropped.
    pub fn log_sink(&self) -> broadcast::Sender<String> {
        self.log.sink()
    }

    /// Ends both servers, the page's live log included, and removes the temporary directory.
    ///
    /// Answers under way have two seconds to finish.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let finished = futures_util::future::join_all(self.tasks);
        if timeout(Self::STOP_TIMEOUT, finished).await.is_err() {
            tracing::debug!("demo answers were cut at the end");
        }
        if let Err(error) = self.root.close() {
            tracing::warn!(%error, "the demo's temporary directory was not removed");
        }
    }
}

/// Letters, digits, `-` and `_`, from the given number of random bytes.
fn random_text(bytes: usize) -> Result<String, Error> {
    let mut random = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::RandomUnavailable)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::AddressNotBound { address, source })
}

/// The URL that reaches the listener from this machine: an unspecified address is reached by loopback.
fn url_of(listener: &TcpListener, address: SocketAddr) -> Result<String, Error> {
    let mut local = listener.local_addr().map_err(|source| Error::AddressNotBound { address, source })?;
    if local.ip().is_unspecified() {
        local.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(format!("http://{local}"))
}

fn serve(listener: TcpListener, router: axum::Router, shutdown: CancellationToken) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "a demo server ended");
        }
    }))
}

#[cfg(test)]
mod tests;
