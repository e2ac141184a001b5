//! What one configuration makes.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use tokio_util::sync::CancellationToken;

use super::{ConfigError, storages};
use crate::{
    access::{Allowlist, InternalKey, TrustedProxies, Verifier, mint::Minter},
    config::Config,
    egress::Egress,
    gateway::{
        State, cors, forward,
        locate::{Storage, Storages},
        permission::Permission,
        rewrite::Rewriting,
    },
    id::StorageName,
    label_studio::{self, Follower, UrlTokens},
    s3,
    sidecar::{
        self, AnnotationSource, Connector, Doors, Sidecar,
        sync::{SinkUnavailable, StoreSink, TaskSink},
    },
    storage::{self, Keys},
    store::Store,
};

/// What one configuration made, besides the state of the data path.
#[derive(Debug)]
pub(super) struct Generation {
    /// The storages of the file.
    pub(super) fixed: Vec<Arc<Storage>>,
    /// Their keys, for tests of their connections.
    pub(super) file_keys: HashMap<StorageName, Keys>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) minter: Arc<Minter>,
    /// Signs what Label Studio permits; the same for all generations of the process.
    internal_key: Arc<InternalKey>,
    pub(super) egress: Arc<Egress>,
    /// The door for the storages of the store.
    pub(super) guarded: Arc<Egress>,
    /// The control side's hands. Its connections are its own, so that none of the data path's is driven by the
    /// control side's one thread.
    pub(super) sidecar: Sidecar,
    /// How much runs do at once.
    pub(super) runs: sidecar::Config,
    /// Label Studio, where it stands behind the gateway.
    pub(super) label_studio: Option<Studio>,
    /// Ends the tasks of this generation.
    pub(super) ended: CancellationToken,
}

/// Label Studio, as the threads ask it.
#[derive(Clone, Debug)]
pub(super) struct Studio {
    /// From the data path.
    pub(super) public: Arc<label_studio::Client>,
    /// From the sidecar.
    pub(super) sidecar: Arc<label_studio::Client>,
    pub(super) config: label_studio::Config,
}

/// A generation and its state of the data path, which lacks the storages of the store.
pub(super) struct Assembled {
    pub(super) state: State,
    pub(super) generation: Generation,
}

/// What a command works with: one generation, for as long as it takes.
pub(super) struct Commanded {
    pub(super) generation: Arc<Generation>,
    pub(super) follower: Follower,
}

impl sidecar::Host for Commanded {
    fn sidecar(&self) -> Sidecar {
        self.generation.sidecar.clone()
    }

    fn file_keys(&self, name: &StorageName) -> Option<Keys> {
        self.generation.file_keys.get(name).cloned()
    }

    fn config(&self) -> sidecar::Config {
        self.generation.runs
    }

    fn sink(&self, store: &Store, storage: &storage::Storage) -> Result<Arc<dyn TaskSink>, SinkUnavailable> {
        self.generation.sink(store, storage)
    }

    fn annotation_source(&self) -> Option<Arc<dyn AnnotationSource>> {
        self.generation.label_studio.as_ref()?;
        Some(Arc::new(self.follower.clone()))
    }
}

impl Studio {
    /// As the sidecar asks it.
    pub(super) fn for_sidecar(&self) -> (Arc<label_studio::Client>, label_studio::Config) {
        (Arc::clone(&self.sidecar), self.config.clone())
    }
}

impl Generation {
    /// Where the tasks of a storage go: to Label Studio where it stands behind the gateway.
    pub(super) fn sink(
        &self,
        store: &Store,
        storage: &storage::Storage,
    ) -> Result<Arc<dyn TaskSink>, SinkUnavailable> {
        let Some(studio) = &self.label_studio else { return Ok(Arc::new(StoreSink(store.clone()))) };
        let (client, config) = studio.for_sidecar();
        Ok(Arc::new(label_studio::Sink::build(store, &client, &config, storage)?))
    }
}

/// Makes all that a configuration asks for, or says what is wrong with it; changes nothing that runs.
pub(super) async fn assemble(
    config: &Config,
    s3_metrics: &s3::S3Metrics,
    clock: fn() -> SystemTime,
    before: Option<&Generation>,
) -> Result<Assembled, ConfigError> {
    let egress = Arc::new(Egress::build(&config.egress)?);
    let internal_key =
        before.map_or_else(|| Arc::new(InternalKey::generate()), |before| Arc::clone(&before.internal_key));
    let trusted_key = upstream_label_studio(config).map(|_| &*internal_key);
    let verifier = Arc::new(Verifier::build_with(&config.access, trusted_key, clock())?);
    if let Some(before) = before {
        verifier.inherit_jwks(&before.verifier);
    }
    let minter = Arc::new(Minter::build(&config.access)?);
    let (fixed, file_keys) = storages::connect(&config.storages, &egress, s3_metrics, clock).await?;
    let guarded = Arc::new(egress.guarded());
    // Pools of their own: the sidecar's connections are driven by another thread.
    let own = egress.beside(&config.egress)?;
    let label_studio = studio(config, (&egress, &own), clock)?;
    let internal = || Minter::internal(&internal_key, &config.access);
    let permission = label_studio.as_ref().map(|studio| -> Arc<dyn Permission> {
        Arc::new(label_studio::Permissions::new(Arc::clone(&studio.public), &studio.config, internal()))
    });
    let url_minter = if minter.has_keys() { Arc::clone(&minter) } else { Arc::new(internal()) };
    let door = |egress| Connector::new(Arc::new(egress), s3_metrics.clone(), clock);
    let doors = Doors { guarded: door(own.guarded()), operator: door(own) };
    let origins = config.cors.origins.iter().filter(|origin| *origin != "*").cloned().collect();
    let sidecar = Sidecar::new(doors, origins, clock);
    let upstream = config.upstream.as_ref().map(|upstream| forward::Upstream::build(upstream, &egress));
    let state = State {
        allowlist: Arc::new(Allowlist::new(&config.access.allow, &config.access.deny)),
        trusted: Arc::new(TrustedProxies::new(&config.access.trusted_proxies, config.access.client_address)),
        verifier: Arc::clone(&verifier),
        storages: Arc::new(Storages::new(fixed.clone())),
        upstream: upstream.transpose()?.map(Arc::new),
        rewriting: rewriting(config, label_studio.as_ref(), url_minter, clock),
        permission,
        // Made when the control side is.
        takeover: None,
        cors: Arc::new(cors::Cors::build(&config.cors)?),
    };
    let ended = CancellationToken::new();
    Ok(Assembled {
        state,
        generation: Generation {
            fixed,
            file_keys,
            verifier,
            minter,
            internal_key,
            egress,
            guarded,
            sidecar,
            runs: config.sidecar,
            label_studio,
            ended,
        },
    })
}

/// `[upstream]`, where Label Studio stands there.
fn upstream_label_studio(config: &Config) -> Option<&forward::Config> {
    config.upstream.as_ref().filter(|upstream| upstream.kind == forward::Kind::LabelStudio)
}

/// Label Studio's clients, where `[upstream]` says that it stands there.
fn studio(
    config: &Config,
    (public, sidecar): (&Egress, &Egress),
    clock: fn() -> SystemTime,
) -> Result<Option<Studio>, ConfigError> {
    let Some(upstream) = upstream_label_studio(config) else { return Ok(None) };
    let client =
        |egress| label_studio::Client::build(upstream, &config.label_studio, egress, clock).map(Arc::new);
    config.label_studio.check_webhook(config.hooks.has_secret())?;
    let config = config.label_studio.clone();
    Ok(Some(Studio { public: client(public)?, sidecar: client(sidecar)?, config }))
}

/// What replaces URIs in Label Studio's answers, where the gateway has the storages.
fn rewriting(
    config: &Config,
    studio: Option<&Studio>,
    minter: Arc<Minter>,
    clock: fn() -> SystemTime,
) -> Option<Arc<Rewriting>> {
    let own = &config.label_studio;
    let (studio, upstream) = studio.zip(config.upstream.as_ref()).filter(|_| own.storages)?;
    let tokens = own.url_tokens.then(|| UrlTokens { minter, ttl: own.url_token_ttl });
    let rewriter = label_studio::TaskJson::new(Arc::clone(&studio.public), tokens, clock);
    let limit = usize::try_from(own.rewrite_limit.as_u64()).unwrap_or(usize::MAX);
    Some(Arc::new(Rewriting::new(Arc::new(rewriter), limit, upstream.timeout)))
}
