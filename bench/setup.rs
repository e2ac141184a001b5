//! What the benches of the hot path are made of: a fixed time, keys and tokens of this run, storages.

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mediagate::{
    access::{
        Algorithm, Config, KeyConfig, Verifier,
        mint::{Minter, TokenRequest},
    },
    egress::{self, Egress},
    gateway::locate::{Storage, StorageConfig},
    id::StorageName,
    object::Bucket,
    s3::{Connection, ConnectionConfig, CredentialsConfig, S3Metrics, Timeouts},
    storage::Addressing,
    store::{self, Store},
};
use prometheus::Registry;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::json;
use tokio::runtime::Runtime;

/// The bucket of every storage that answers.
pub(crate) const BUCKET: &str = "media";
/// The object that is asked for; the token covers its folder.
pub(crate) const KEY: &str = "tasks/17/frames/frame 000042.jpg";
/// The same as a client writes it.
pub(crate) const PATH: &str = "/media/media/tasks/17/frames/frame%20000042.jpg";

/// One moment for all: signing windows and lifetimes are then the same in every run.
pub(crate) fn clock() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

/// One thread for everything, so that its CPU time is the cost.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// An empty store.
pub(crate) async fn store() -> Store {
    let config = store::Config { url: Some("sqlite::memory:".into()), ..store::Config::default() };
    Store::open(&config, clock).await.unwrap()
}

/// A verifier of one key of this algorithm, and a token it takes. Without entries it remembers no token.
pub(crate) fn verifier(algorithm: Algorithm, token_cache_entries: u64) -> (Verifier, String) {
    let folder = tempfile::tempdir().unwrap();
    let private = match algorithm {
        Algorithm::RS256 => Some(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)),
        Algorithm::ES256 => Some(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)),
        _ => None,
    };
    let private_key_file = private.map(|key| {
        let path = folder.path().join("private.pem");
        fs::write(&path, key.unwrap().serialize_pem()).unwrap();
        path
    });
    let secret = private_key_file.is_none().then(|| "0123456789abcdef0123456789abcdef".into());
    let key = KeyConfig {
        id: "k1".to_owned(),
        algorithm,
        secret,
        secret_file: None,
        public_key_file: None,
        private_key_file,
    };
    let config = Config { keys: vec![key], token_cache_entries, ..Config::default() };
    let verifier = Verifier::build(&config, clock()).unwrap();
    let request = TokenRequest {
        subject: Some("annotator-17".to_owned()),
        task: Some("17".to_owned()),
        objects: vec![format!("s3://{BUCKET}/tasks/17/*")],
        ..TokenRequest::default()
    };
    let token = Minter::build(&config).unwrap().mint(&request, clock()).unwrap();
    (verifier, token.expose().to_owned())
}

/// Makes storages over buckets at AWS, which nobody connects to.
pub(crate) struct Storages {
    runtime: Runtime,
    egress: Arc<Egress>,
    metrics: S3Metrics,
}

impl Storages {
    pub(crate) fn new() -> Self {
        Self {
            runtime: runtime(),
            egress: Arc::new(Egress::build(&egress::Config::default()).unwrap()),
            metrics: S3Metrics::register(&Registry::new()).unwrap(),
        }
    }

    /// A connection with static credentials.
    pub(crate) fn connection(&self, name: &str, bucket: &str) -> Connection {
        let config = ConnectionConfig {
            name: StorageName::parse(name).unwrap(),
            bucket: Bucket::parse(bucket).unwrap(),
            region: "eu-central-1".to_owned(),
            endpoint: None,
            public_endpoint: None,
            addressing: Addressing::Auto,
            credentials: CredentialsConfig::Static {
                access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
                session_token: None,
            },
            timeouts: Timeouts::default(),
        };
        let connect = Connection::connect(config, Arc::clone(&self.egress), self.metrics.clone(), clock);
        self.runtime.block_on(connect).unwrap()
    }

    /// A storage that redirects.
    pub(crate) fn storage(&self, name: &str, bucket: &str, prefix: &str) -> Arc<Storage> {
        let config = json!({ "name": name, "bucket": bucket, "prefix": prefix });
        let config: StorageConfig = serde_json::from_value(config).unwrap();
        Arc::new(Storage::new(&config, self.connection(name, bucket)))
    }
}
