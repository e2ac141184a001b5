//! The services beside a machine that hand out its credentials: ECS's and EC2's (IMDSv2), in this process.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

use super::{
    clock,
    s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY},
};

/// The session token of what is handed out.
pub const SESSION_TOKEN: &str = "machine/token=";
/// What a container has to show.
pub const AUTHORIZATION: &str = "container-secret";
/// What a machine has to show, once it has asked for it.
const IMDS_TOKEN: &str = "imds-token";

/// A running service; dropping it closes every connection.
pub struct Metadata {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    accepting: AbortHandle,
}

impl Metadata {
    /// Starts it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                let service = service_fn(move |request: Request<Incoming>| {
                    log.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
                    let answer = answer(request.method(), request.uri().path(), request.headers());
                    async move { Ok::<_, Infallible>(answer) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                connections.spawn(http.serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, seen, accepting: accepting.abort_handle() }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked so far: method and path.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let shows = |name: &str, value: &str| headers.get(name).is_some_and(|shown| shown == value);
    let imds = "/latest/meta-data/iam/security-credentials/";
    let (status, text) = match path {
        "/container" if shows("authorization", AUTHORIZATION) => (StatusCode::OK, credentials()),
        "/latest/api/token" if method == Method::PUT => (StatusCode::OK, IMDS_TOKEN.to_owned()),
        _ if !shows("x-aws-ec2-metadata-token", IMDS_TOKEN) => (StatusCode::UNAUTHORIZED, String::new()),
        _ if path == imds => (StatusCode::OK, "machine-role".to_owned()),
        _ if path.strip_prefix(imds) == Some("machine-role") => (StatusCode::OK, credentials()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let answer = Response::builder().status(status).header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    answer.body(Full::new(text.into())).unwrap()
}

fn credentials() -> String {
    let now = clock();
    serde_json::json!({
        "Code": "Success",
        "Type": "AWS-HMAC",
        "AccessKeyId": ACCESS_KEY_ID,
        "SecretAccessKey": SECRET_ACCESS_KEY,
        "Token": SESSION_TOKEN,
        "LastUpdated": humantime::format_rfc3339_seconds(now).to_string(),
        "Expiration": humantime::format_rfc3339_seconds(now + Duration::from_hours(6)).to_string(),
    })
    .to_string()
}
