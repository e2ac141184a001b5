//! What a person sets of a storage. Its serde form is the document in the database, not the wire format.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Addressing, DeliveryKind, EndpointUrl, KeyFilter, Layout, RuleConfig};
use crate::{id::ProjectId, object::Bucket};

/// Everything but the keys. Fields that only one direction has are ignored in the other.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a form, each by itself")]
pub struct Settings {
    /// The project of the annotation application that it belongs to; absent: all of them.
    pub project: Option<ProjectId>,
    /// A name for people.
    pub title: Option<String>,
    /// More words for people.
    pub description: Option<String>,
    /// The bucket. Label Studio allows none until it is used.
    pub bucket: Option<Bucket>,
    /// The prefix as it was typed; see [`Settings::normal_prefix`].
    pub prefix: Option<String>,
    /// Which keys under the prefix are meant; absent: all.
    pub filter: Option<KeyFilter>,
    /// What becomes a task.
    pub method: ImportMethod,
    /// Whether folders under the prefix are scanned too.
    pub recursive: bool,
    /// Whether it can be synced.
    pub synchronizable: bool,
    /// How often it is synced by itself; absent: only when asked.
    pub sync_every: Option<SyncEvery>,
    /// What a sync does about objects that are no longer the ones their tasks were made of.
    pub on_changed: OnChanged,
    /// What a sync does about objects that are gone.
    pub on_vanished: OnVanished,
    /// Whether it makes tasks of objects that another storage of the project has made tasks of.
    pub duplicates: bool,
    /// An S3 Inventory to take keys from instead of listing: a manifest, or the folder of its deliveries.
    pub inventory: Option<Inventory>,
    /// Whether deleted annotations are deleted from the bucket.
    pub can_delete_objects: Option<bool>,
    /// The bucket's region; absent: `us-east-1`.
    pub region: Option<String>,
    /// What we connect to; absent: AWS.
    pub endpoint: Option<EndpointUrl>,
    /// What presigned URLs are signed for; absent: the endpoint.
    pub public_endpoint: Option<EndpointUrl>,
    /// Where the bucket's name stands.
    pub addressing: Addressing,
    /// Whether presigned URLs may be given out at all. Without it everything is streamed, whatever `delivery` says.
    pub presign: bool,
    /// How long they live.
    pub presign_ttl: PresignTtl,
    /// Redirect, stream or rules; absent: redirect where `presign` allows it.
    pub delivery: Option<DeliveryKind>,
    /// The rules of `delivery = "rules"`.
    pub rules: Vec<RuleConfig>,
    /// Client networks admitted to its objects; absent: those of the gateway.
    pub allow: Option<Vec<IpNet>>,
    /// Client networks refused.
    pub deny: Vec<IpNet>,
    /// The KMS key that annotations are encrypted with.
    pub sse_kms_key_id: Option<String>,
    /// Whether annotations are encrypted with a key of S3's own where no KMS key is named.
    pub sse_s3: bool,
    /// Where annotations go under the prefix.
    pub layout: Layout,
    /// The IAM role to assume; storages of kind `s3s` have one.
    pub role_arn: Option<String>,
    /// What the role's owner asks to be told.
    pub external_id: Option<String>,
    /// The STS server, for others than AWS.
    pub sts_endpoint: Option<EndpointUrl>,
    /// Label Studio's mark of role storages made before 2025-04-07; kept and given back, it changes nothing here.
    pub legacy_auth: Option<bool>,
}

/// What becomes a task: Label Studio's `use_blob_urls`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportMethod {
    /// Every object is one task.
    Files,
    /// Every item of a JSON, JSONL or Parquet object is one task.
    #[default]
    Tasks,
}

/// What a sync does about objects that are no longer the ones their tasks were made of.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnChanged {
    /// Counts them; the tasks stay.
    #[default]
    Report,
    /// Reads them again and brings their tasks up to date.
    Update,
}

/// What a sync does about objects that are gone.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OnVanished {
    /// Counts them.
    #[default]
    Report,
    /// Marks their tasks.
    Mark,
}

/// A pause between two syncs: at least [`MIN_SYNC_PAUSE`]. Its text is like `15m`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct SyncEvery(Duration);

/// The shortest pause: a listing costs money.
pub const MIN_SYNC_PAUSE: Duration = Duration::from_secs(10);

/// Why a text is no pause between syncs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a pause between syncs is a time of at least 10 seconds, such as 15m or 1h 30m")]
pub struct ParseSyncEveryError;

/// Where an S3 Inventory is: `s3://bucket/path/manifest.json`, or the folder under which it is delivered day by day.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Inventory {
    /// The bucket that it is delivered to.
    pub bucket: Bucket,
    /// The key of a manifest, or a prefix that ends in `/`.
    pub place: String,
}

/// Why a text is no inventory.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an inventory is s3://bucket/path/manifest.json, or the folder of its deliveries, s3://bucket/path/")]
pub struct ParseInventoryError;

/// How long presigned URLs live, in whole minutes: 1 to [`MAX_PRESIGN_MINUTES`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct PresignTtl(u32);

/// Seven days, which is S3's limit (Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters").
pub const MAX_PRESIGN_MINUTES: u32 = 7 * 24 * 60;

/// The number is out of range.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("presigned URLs live 1 to {MAX_PRESIGN_MINUTES} minutes")]
pub struct ParsePresignTtlError;

impl Settings {
    /// The prefix as it is listed, served and matched: empty, or ending in `/`. Label Studio syncs under it too, but
    /// tests the connection with the prefix as typed, so that `im` passes for `img/` and then syncs nothing.
    pub fn normal_prefix(&self) -> String {
        normal_prefix(self.prefix.as_deref().unwrap_or_default())
    }

    /// The region to sign for.
    pub fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("us-east-1")
    }

    /// How objects reach clients.
    pub fn delivery(&self) -> DeliveryKind {
        if self.presign { self.delivery.unwrap_or_default() } else { DeliveryKind::Stream }
    }
}

/// A prefix as it is listed, served and matched, from how it was typed: empty, or ending in one `/`.
pub fn normal_prefix(typed: &str) -> String {
    let trimmed = typed.trim_end_matches('/');
    if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") }
}

/// Label Studio's defaults.
impl Default for Settings {
    fn default() -> Self {
        Self {
            project: None,
            title: None,
            description: None,
            bucket: None,
            prefix: None,
            filter: None,
            method: ImportMethod::default(),
            recursive: false,
            synchronizable: true,
            sync_every: None,
            on_changed: OnChanged::default(),
            on_vanished: OnVanished::default(),
            duplicates: false,
            inventory: None,
            can_delete_objects: None,
            region: None,
            endpoint: None,
            public_endpoint: None,
            addressing: Addressing::default(),
            presign: true,
            presign_ttl: PresignTtl::default(),
            delivery: None,
            rules: Vec::new(),
            allow: None,
            deny: Vec::new(),
            sse_kms_key_id: None,
            sse_s3: false,
            layout: Layout::default(),
            role_arn: None,
            external_id: None,
            sts_endpoint: None,
            legacy_auth: None,
        }
    }
}

impl PresignTtl {
    /// Checks the range.
    pub fn from_minutes(minutes: u32) -> Result<Self, ParsePresignTtlError> {
        if (1..=MAX_PRESIGN_MINUTES).contains(&minutes) {
            Ok(Self(minutes))
        } else {
            Err(ParsePresignTtlError)
        }
    }

    /// The whole minutes.
    pub fn minutes(self) -> u32 {
        self.0
    }

    /// The same as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 60)
    }
}

/// Label Studio's default of the model; its form offers 15.
impl Default for PresignTtl {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u32> for PresignTtl {
    type Error = ParsePresignTtlError;

    fn try_from(minutes: u32) -> Result<Self, ParsePresignTtlError> {
        Self::from_minutes(minutes)
    }
}

impl From<PresignTtl> for u32 {
    fn from(ttl: PresignTtl) -> Self {
        ttl.0
    }
}

impl SyncEvery {
    /// Parses a text like `15m`.
    pub fn parse(text: &str) -> Result<Self, ParseSyncEveryError> {
        let pause = humantime::parse_duration(text.trim()).ok().filter(|pause| *pause >= MIN_SYNC_PAUSE);
        pause.map(Self).ok_or(ParseSyncEveryError)
    }

    /// The pause.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for SyncEvery {
    type Error = ParseSyncEveryError;

    fn try_from(text: String) -> Result<Self, ParseSyncEveryError> {
        Self::parse(&text)
    }
}

impl From<SyncEvery> for String {
    fn from(every: SyncEvery) -> Self {
        humantime::format_duration(every.0).to_string()
    }
}

impl Inventory {
    /// Parses `s3://bucket/path/manifest.json` or `s3://bucket/path/`.
    pub fn parse(text: &str) -> Result<Self, ParseInventoryError> {
        let (bucket, place) = text
            .trim()
            .strip_prefix("s3://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(ParseInventoryError)?;
        let is_manifest = place == MANIFEST || place.ends_with("/manifest.json");
        if !is_manifest && !place.ends_with('/') {
            return Err(ParseInventoryError);
        }
        let bucket = Bucket::parse(bucket).map_err(|_| ParseInventoryError)?;
        Ok(Self { bucket, place: place.to_owned() })
    }
}

impl TryFrom<String> for Inventory {
    type Error = ParseInventoryError;

    fn try_from(text: String) -> Result<Self, ParseInventoryError> {
        Self::parse(&text)
    }
}

impl From<Inventory> for String {
    fn from(inventory: Inventory) -> Self {
        format!("s3://{}/{}", inventory.bucket, inventory.place)
    }
}

const MANIFEST: &str = "manifest.json";
