//! An S3 server in this process: s3s over a folder, with real signature checks.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use mediagate::{
    egress::{self, Egress},
    id::StorageName,
    object::Bucket,
    s3::{Connection, ConnectionConfig, CredentialsConfig, S3Metrics, Timeouts},
    storage::Addressing,
};
use prometheus::Registry;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

use super::clock;

/// The one pair of keys that the server knows.
pub const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
/// The secret half.
pub const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

/// A running server; dropping it closes every connection.
pub struct S3Server {
    address: SocketAddr,
    root: TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
    faults: Faults,
    accepting: AbortHandle,
}

/// Decides what goes wrong with a request, by its method and path.
type Judge = Box<dyn FnMut(&http::Method, &str) -> Option<Fault> + Send>;
type Faults = Arc<Mutex<Option<Judge>>>;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// S3 answers with an error.
    Answer(u16, &'static str),
    /// The connection is cut without an answer.
    Cut,
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: http::Method,
    pub uri: http::Uri,
    pub headers: HeaderMap,
}

/// What is stored beside an object's bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stored<'a> {
    pub content_type: Option<&'a str>,
    pub content_encoding: Option<&'a str>,
    pub content_disposition: Option<&'a str>,
    pub cache_control: Option<&'a str>,
}

impl S3Server {
    /// Starts an empty server on a free port.
    pub async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut builder = S3ServiceBuilder::new(FileSystem::new(root.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let faults = Faults::default();
        let judge = Arc::clone(&faults);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (service, log, judge) = (service.clone(), Arc::clone(&log), Arc::clone(&judge));
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (method, uri) = (request.method().clone(), request.uri().clone());
                    log.lock().unwrap().push(Seen { method, uri, headers: request.headers().clone() });
                    let fault = judge
                        .lock()
                        .unwrap()
                        .as_mut()
                        .and_then(|judge| judge(request.method(), request.uri().path()));
                    match fault {
                        None => Service::call(&service, request),
                        Some(fault) => Box::pin(std::future::ready(fault.answer())),
                    }
                });
                connections.spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self { address, root, seen, faults, accepting: accepting.abort_handle() }
    }

    /// Lets requests go wrong from now on, as `judge` says.
    pub fn fail(&self, judge: impl FnMut(&http::Method, &str) -> Option<Fault> + Send + 'static) {
        *self.faults.lock().unwrap() = Some(Box::new(judge));
    }

    /// Lets nothing go wrong from now on.
    pub fn recover(&self) {
        *self.faults.lock().unwrap() = None;
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Makes a bucket, if it is not there.
    pub fn bucket(&self, bucket: &str) -> PathBuf {
        let folder = self.root.path().join(bucket);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Stores an object. The folder behind the server holds no key that starts with a slash, none with two
    /// in a row beside the same with one, and no `a` beside `a/b`.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let file = self.bucket(bucket).join(key);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// Stores an object and what S3 shall answer beside its bytes.
    pub fn put_with(&self, bucket: &str, key: &str, bytes: &[u8], stored: Stored<'_>) {
        self.put(bucket, key, bytes);
        let text = serde_json::json!({
            "content_type": stored.content_type,
            "content_encoding": stored.content_encoding,
            "content_disposition": stored.content_disposition,
            "cache_control": stored.cache_control,
        });
        let name = |text: &str| URL_SAFE_NO_PAD.encode(text);
        // Where s3s-fs keeps them.
        let file = format!(".bucket-{}.object-{}.metadata.json", name(bucket), name(key));
        fs::write(self.root.path().join(file), text.to_string()).unwrap();
    }

    /// A configuration that reaches a bucket of this server.
    pub fn config(&self, bucket: &str) -> ConnectionConfig {
        config(&self.url(), bucket)
    }

    /// A connection to a bucket of this server.
    pub async fn connect(&self, bucket: &str) -> Connection {
        connect(self.config(bucket)).await
    }
}

impl Fault {
    fn answer(self) -> Result<http::Response<s3s::Body>, s3s::HttpError> {
        match self {
            Self::Answer(status, code) => {
                let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
                Ok(http::Response::builder().status(status).body(s3s::Body::from(body)).unwrap())
            }
            Self::Cut => Err(s3s::HttpError::new("cut".into())),
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A configuration with this server's keys, for a bucket at any URL.
pub fn config(url: &str, bucket: &str) -> ConnectionConfig {
    ConnectionConfig {
        name: StorageName::parse("media").unwrap(),
        bucket: Bucket::parse(bucket).unwrap(),
        region: "us-east-1".to_owned(),
        endpoint: Some(url.parse().unwrap()),
        public_endpoint: None,
        addressing: Addressing::Auto,
        credentials: CredentialsConfig::Static {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SECRET_ACCESS_KEY.into(),
            session_token: None,
        },
        timeouts: Timeouts::default(),
    }
}

/// Connects with a client and metrics of its own.
pub async fn connect(config: ConnectionConfig) -> Connection {
    let (connection, _) = connect_observed(config).await;
    connection
}

/// Connects, and hands out the registry of its metrics.
pub async fn connect_observed(config: ConnectionConfig) -> (Connection, Registry) {
    let registry = Registry::new();
    let metrics = S3Metrics::register(&registry).unwrap();
    let egress = Arc::new(Egress::build(&egress::Config::default()).unwrap());
    (Connection::connect(config, egress, metrics, clock).await.unwrap(), registry)
}
