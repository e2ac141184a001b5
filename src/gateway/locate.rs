//! The storages of the gateway, and which of them serves an object.
//!
//! A storage serves the keys of its bucket that lie under its prefix. Among several those of the project that is asked for
//! and of all projects come before other projects', then the longest prefix wins, then the one of the project, then the
//! order they are given in. Keys are taken verbatim.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use http::HeaderValue;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::Deserialize;

use super::{response, rules::Rules};
use crate::{
    access::Allowlist,
    id::{ProjectId, StorageName},
    object::{Bucket, ObjectUri},
    s3,
    storage::{
        self, Addressing, DeliveryKind, Disposition, EndpointUrl, ImportMethod, Inventory, KeyFilter,
        OnChanged, OnVanished, RuleConfig, SyncEvery,
    },
};

/// One `[[storages]]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StorageConfig {
    /// A name for logs and metrics.
    pub name: StorageName,
    /// The bucket.
    pub bucket: Bucket,
    /// The project of the annotation application that it belongs to; absent: all of them.
    #[serde(default)]
    pub project: Option<ProjectId>,
    /// Only keys under it are served; `img` means `img/`.
    #[serde(default)]
    pub prefix: String,
    /// The bucket's region.
    #[serde(default = "default_region")]
    pub region: String,
    /// What the gateway connects to, for S3-compatible servers and VPC endpoints.
    #[serde(default)]
    pub endpoint: Option<EndpointUrl>,
    /// What presigned URLs are signed for: where clients reach the bucket. Absent: the endpoint.
    #[serde(default)]
    pub public_endpoint: Option<EndpointUrl>,
    /// Whether the bucket stands in the host or in the path.
    #[serde(default)]
    pub addressing: Addressing,
    /// A static key; absent: the AWS default chain.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// The secret of the static key.
    #[serde(default)]
    pub secret_access_key: Option<SecretString>,
    /// A file that holds it.
    #[serde(default)]
    pub secret_access_key_file: Option<PathBuf>,
    /// The session token of a temporary key.
    #[serde(default)]
    pub session_token: Option<SecretString>,
    /// A file that holds it.
    #[serde(default)]
    pub session_token_file: Option<PathBuf>,
    /// A role to assume with the credentials above.
    #[serde(default)]
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    #[serde(default)]
    pub external_id: Option<String>,
    /// The STS server, for others than AWS.
    #[serde(default)]
    pub sts_endpoint: Option<String>,
    /// Redirect, stream, or as the rules say.
    #[serde(default)]
    pub delivery: DeliveryKind,
    /// The rules of `delivery = "rules"`; the first match wins, without a match the object is streamed.
    #[serde(default)]
    pub rules: Vec<RuleConfig>,
    /// How long a presigned URL lives; it always lives at least half of it.
    #[serde(default = "default_presign_ttl", with = "humantime_serde")]
    pub presign_ttl: Duration,
    /// Client networks admitted to this storage, beyond those of the gateway.
    #[serde(default = "default_allow")]
    pub allow: Vec<IpNet>,
    /// Client networks refused by this storage.
    #[serde(default)]
    pub deny: Vec<IpNet>,
    /// What a sync makes tasks of: `files` or `tasks`; absent: it is not synced.
    #[serde(default)]
    pub import: Option<ImportMethod>,
    /// Which keys a sync takes: a regular expression with the semantics of Python's `re.match`.
    #[serde(default)]
    pub filter: Option<KeyFilter>,
    /// Whether a sync goes into folders under the prefix.
    #[serde(default = "default_recursive")]
    pub recursive: bool,
    /// How often it is synced by itself.
    #[serde(default)]
    pub sync_every: Option<SyncEvery>,
    /// What a sync does about objects that are no longer the ones their tasks were made of.
    #[serde(default)]
    pub on_changed: OnChanged,
    /// What a sync does about objects that are gone.
    #[serde(default)]
    pub on_vanished: OnVanished,
    /// Whether it makes tasks of objects that another storage of the project has made tasks of.
    #[serde(default)]
    pub duplicates: bool,
    /// An S3 Inventory to take keys from instead of listing.
    #[serde(default)]
    pub inventory: Option<Inventory>,
    /// Whether answers carry a `Content-Disposition` with the file name.
    #[serde(default)]
    pub content_disposition: Disposition,
    /// How long a browser may show a streamed object again without asking.
    #[serde(default = "default_max_age", with = "humantime_serde")]
    pub max_age: Duration,
    /// How long S3 may take to begin its answer.
    #[serde(default = "default_first_byte_timeout", with = "humantime_serde")]
    pub first_byte_timeout: Duration,
    /// How long S3 may pause within a body.
    #[serde(default = "default_stall_timeout", with = "humantime_serde")]
    pub stall_timeout: Duration,
}

/// A storage ready to serve.
#[derive(Debug)]
pub struct Storage {
    /// The signed connection to the bucket.
    pub connection: s3::Connection,
    /// Who may use this storage.
    pub allowlist: Allowlist,
    /// Redirect, stream or rules.
    pub delivery: DeliveryKind,
    /// The rules, where `delivery` says so.
    pub rules: Rules,
    /// How long a presigned URL lives.
    pub presign_ttl: Duration,
    /// The disposition of answers.
    pub disposition: Disposition,
    /// `Cache-Control` of its objects: how long a browser may keep one.
    pub cache_control: HeaderValue,
    name: StorageName,
    project: Option<ProjectId>,
    prefix: Box<str>,
}

/// All storages, found by bucket and longest prefix.
#[derive(Debug, Default)]
pub struct Storages {
    all: Vec<Arc<Storage>>,
    by_bucket: HashMap<Bucket, Vec<Arc<Storage>>>,
}

impl StorageConfig {
    /// The prefix as it is matched: empty, or ending in `/`.
    pub fn normal_prefix(&self) -> String {
        let trimmed = self.prefix.trim_end_matches('/');
        if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") }
    }

    /// What the data path needs of a storage that was made through the control API; its keys are in the connection.
    pub fn of(storage: &storage::Storage, bucket: Bucket) -> Self {
        let settings = &storage.settings;
        Self {
            name: storage.name(),
            bucket,
            project: settings.project.clone(),
            prefix: settings.normal_prefix(),
            region: settings.region().to_owned(),
            endpoint: settings.endpoint.clone(),
            public_endpoint: settings.public_endpoint.clone(),
            addressing: settings.addressing,
            access_key_id: None,
            secret_access_key: None,
            secret_access_key_file: None,
            session_token: None,
            session_token_file: None,
            role_arn: settings.role_arn.clone(),
            external_id: settings.external_id.clone(),
            sts_endpoint: settings.sts_endpoint.as_ref().map(ToString::to_string),
            delivery: settings.delivery(),
            rules: settings.rules.clone(),
            presign_ttl: settings.presign_ttl.duration(),
            allow: settings.allow.clone().unwrap_or_else(default_allow),
            deny: settings.deny.clone(),
            // Of no concern to the data path.
            import: None,
            filter: None,
            recursive: default_recursive(),
            sync_every: None,
            on_changed: OnChanged::default(),
            on_vanished: OnVanished::default(),
            duplicates: false,
            inventory: None,
            content_disposition: Disposition::default(),
            max_age: default_max_age(),
            first_byte_timeout: default_first_byte_timeout(),
            stall_timeout: default_stall_timeout(),
        }
    }
}

impl Storage {
    /// Joins a configuration with its connection.
    pub fn new(config: &StorageConfig, connection: s3::Connection) -> Self {
        Self {
            connection,
            allowlist: Allowlist::new(&config.allow, &config.deny),
            delivery: config.delivery,
            rules: Rules::new(&config.rules),
            presign_ttl: config.presign_ttl,
            disposition: config.content_disposition,
            cache_control: response::cache_control(config.max_age),
            name: config.name.clone(),
            project: config.project.clone(),
            prefix: config.normal_prefix().into(),
        }
    }

    /// The name for logs and metrics.
    pub fn name(&self) -> &StorageName {
        &self.name
    }

    /// The prefix that all served keys have.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Storage {
    /// The project that it belongs to; absent: all of them.
    pub fn project(&self) -> Option<&ProjectId> {
        self.project.as_ref()
    }
}

impl Storages {
    /// Orders the storages by bucket and prefix.
    pub fn new(all: Vec<Arc<Storage>>) -> Self {
        let mut by_bucket: HashMap<Bucket, Vec<Arc<Storage>>> = HashMap::new();
        for storage in &all {
            by_bucket.entry(storage.connection.bucket().clone()).or_default().push(Arc::clone(storage));
        }
        for of_bucket in by_bucket.values_mut() {
            of_bucket.sort_by_key(|storage| std::cmp::Reverse(storage.prefix.len()));
        }
        Self { all, by_bucket }
    }

    /// The storage that serves the object: of its bucket, with the longest prefix of its key. Another project's serves
    /// only where the asked project has none and there is none of all projects: whoever may make storages in one project
    /// must not come between another one and its objects. Among equal prefixes the asked project's is taken.
    pub fn locate(&self, object: &ObjectUri, project: Option<&ProjectId>) -> Option<&Arc<Storage>> {
        let of_bucket = self.by_bucket.get(&object.bucket)?;
        let serves = |storage: &&Arc<Storage>| object.key.as_str().starts_with(&*storage.prefix);
        let is_anothers =
            |storage: &Storage| storage.project.is_some() && storage.project.as_ref() != project;
        // Sorted by prefix, the longest first, so that of equals the first stays.
        of_bucket.iter().filter(serves).min_by_key(|storage| {
            (is_anothers(storage), std::cmp::Reverse(storage.prefix.len()), storage.project.is_none())
        })
    }

    /// The same, and never another project's.
    pub fn locate_own(&self, object: &ObjectUri, project: Option<&ProjectId>) -> Option<&Arc<Storage>> {
        self.locate(object, project)
            .filter(|storage| storage.project.is_none() || storage.project.as_ref() == project)
    }

    /// Every storage, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Storage>> {
        self.all.iter()
    }
}

fn default_recursive() -> bool {
    true
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

fn default_presign_ttl() -> Duration {
    Duration::from_mins(15)
}

fn default_max_age() -> Duration {
    Duration::from_hours(1)
}

fn default_first_byte_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_stall_timeout() -> Duration {
    Duration::from_secs(30)
}

fn default_allow() -> Vec<IpNet> {
    [
        IpNet::new(std::net::Ipv4Addr::UNSPECIFIED.into(), 0),
        IpNet::new(std::net::Ipv6Addr::UNSPECIFIED.into(), 0),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::egress::{self, Egress};

    async fn storage(name: &str, prefix: &str, project: Option<&str>) -> Arc<Storage> {
        let config =
            serde_json::json!({ "name": name, "bucket": "media", "prefix": prefix, "project": project });
        let config: StorageConfig = serde_json::from_value(config).unwrap();
        let connection = s3::ConnectionConfig {
            name: config.name.clone(),
            bucket: config.bucket.clone(),
            region: config.region.clone(),
            endpoint: None,
            public_endpoint: None,
            addressing: Addressing::Auto,
            credentials: s3::CredentialsConfig::Static {
                access_key_id: "id".to_owned(),
                secret_access_key: "secret".into(),
                session_token: None,
            },
            timeouts: s3::Timeouts::default(),
        };
        let egress = Arc::new(Egress::build(&egress::Config::default()).unwrap());
        let metrics = s3::S3Metrics::register(&prometheus::Registry::new()).unwrap();
        let connection = s3::Connection::connect(connection, egress, metrics, || UNIX_EPOCH).await.unwrap();
        Arc::new(Storage::new(&config, connection))
    }

    #[tokio::test]
    async fn the_longest_prefix_then_the_project_decides_and_no_other_project_comes_between() {
        let storages = Storages::new(vec![
            storage("all", "", None).await,
            storage("img", "img/", Some("1")).await,
            storage("img-2", "img", Some("2")).await,
            storage("evil", "img/deep", Some("2")).await,
        ]);
        for (key, project, want) in [
            ("a", None, "all"),
            ("a", Some("2"), "all"),
            ("imgs/a", Some("2"), "all"),
            ("img/a", None, "all"),
            ("img/a", Some("1"), "img"),
            ("img/a", Some("2"), "img-2"),
            ("img/a", Some("3"), "all"),
            ("img/deep/a", Some("1"), "img"),
            ("img/deep/a", Some("3"), "all"),
            ("img/deep/a", None, "all"),
            ("img/deep/a", Some("2"), "evil"),
        ] {
            let object = ObjectUri::parse(&format!("s3://media/{key}")).unwrap();
            let project = project.map(|project| ProjectId::parse(project).unwrap());
            let found = storages.locate(&object, project.as_ref()).map(|storage| storage.name().as_str());
            assert_eq!(found, Some(want), "{key} {project:?}");
        }
        assert!(storages.locate(&ObjectUri::parse("s3://other/img/a").unwrap(), None).is_none());
        let alone = Storages::new(vec![storage("img", "img", Some("1")).await]);
        let object = ObjectUri::parse("s3://media/img/a").unwrap();
        for project in [None, ProjectId::parse("2").ok()] {
            assert!(alone.locate(&object, project.as_ref()).is_some(), "{project:?}");
        }
    }
}
