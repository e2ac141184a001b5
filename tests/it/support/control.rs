//! The control side alone, over a store in memory, and a client that sends bodies.

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use axum::Router;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use mediagate::{
    access::{self, mint::Minter},
    control::{Bearer, Control, HooksConfig, Process, Readiness},
    egress::{self, Egress},
    id::StorageName,
    s3::S3Metrics,
    sidecar::{Connector, Doors, Sidecar},
    storage::Keys,
    store::{self, Store},
};
use prometheus::Registry;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

use super::{
    clock,
    gateway::{ADMIN, Answer},
    s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY},
};

/// A control port that serves until it is dropped.
pub struct ControlPort {
    pub address: SocketAddr,
    pub store: Store,
    accepting: AbortHandle,
}

struct Alone(Sidecar);

impl Process for Alone {
    fn run_queued(&self) {}

    fn metrics(&self) -> String {
        String::new()
    }

    fn readiness(&self) -> Readiness {
        Readiness::default()
    }

    fn minter(&self) -> Arc<Minter> {
        Arc::new(Minter::build(&access::Config::default()).unwrap())
    }

    fn sidecar(&self) -> Sidecar {
        self.0.clone()
    }

    /// Every storage of the configuration file has the keys of the S3 server of the tests.
    fn file_keys(&self, _: &StorageName) -> Option<Keys> {
        Some(Keys {
            access_key_id: Some(ACCESS_KEY_ID.into()),
            secret_access_key: Some(SECRET_ACCESS_KEY.into()),
            session_token: None,
        })
    }

    fn store_changed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }
}

impl ControlPort {
    /// Starts over an empty store.
    pub async fn start() -> Self {
        Self::start_with(egress::Config::default(), None, Control::router).await
    }

    /// Starts the storages alone, as for a port where others than the admin ask, with nobody to say who asks.
    pub async fn start_for_nobody() -> Self {
        Self::start_with(egress::Config::default(), None, |control| control.storages_router()).await
    }

    /// Starts over an empty store, and takes webhooks with this secret.
    pub async fn start_with_hooks(secret: &str) -> Self {
        Self::start_with(egress::Config::default(), Some(secret), Control::router).await
    }

    /// Starts over an empty store, and lets endpoints be on this machine.
    pub async fn start_beside_s3() -> Self {
        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        Self::start_with(egress::Config { allow, ..egress::Config::default() }, None, Control::router).await
    }

    async fn start_with(
        egress: egress::Config,
        hooks: Option<&str>,
        served: impl FnOnce(Control) -> Router,
    ) -> Self {
        let store = Store::open(&memory(), clock).await.unwrap();
        let egress = Egress::build(&egress).unwrap();
        let metrics = S3Metrics::register(&Registry::new()).unwrap();
        let door = |egress| Connector::new(Arc::new(egress), metrics.clone(), clock);
        let doors = Doors { guarded: door(egress.guarded()), operator: door(egress) };
        let sidecar = Sidecar::new(doors, Vec::new(), clock);
        let bearer = Bearer::new(&ADMIN.into());
        let hooks = HooksConfig { secret: hooks.map(Into::into), ..HooksConfig::default() };
        let control = Control::new(Alone(sidecar), store.clone(), clock, bearer);
        let router = served(control.with_hooks(hooks.read_secret().unwrap().as_ref()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                connections.spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self { address, store, accepting: accepting.abort_handle() }
    }

    /// A request of the admin, with a JSON body.
    pub async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        self.send(method, path, &[ADMIN_TOKEN, ("content-type", "application/json")], body).await
    }

    /// A request of the admin without a body.
    pub async fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, &[ADMIN_TOKEN], "").await
    }

    /// A request with these headers and this body.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

impl Drop for ControlPort {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The header that the SDK sends.
pub const ADMIN_TOKEN: (&str, &str) = ("authorization", "Token admin-bearer-of-the-tests");

fn memory() -> store::Config {
    store::Config { url: Some("sqlite::memory:".into()), ..store::Config::default() }
}
