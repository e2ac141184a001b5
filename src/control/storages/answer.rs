//! A storage as it is answered: Label Studio's fields in Label Studio's order, then ours. Never a secret.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{AnyOfBuilder, SchemaType, Type},
    },
};

use crate::{
    control::time,
    id::{MAX_ID_LEN, ProjectId},
    storage::{
        Addressing, DeliveryKind, Direction, ImportMethod, Kind, Mode, OnChanged, OnVanished, Origin,
        RuleConfig, Settings, Status, Storage, SyncState,
    },
};

/// A source or a target storage.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum StorageAnswer {
    /// A source.
    Import(Box<ImportStorage>),
    /// A target.
    Export(Box<ExportStorage>),
}

/// A source storage.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "Label Studio's switches, one by one")]
pub(in crate::control) struct ImportStorage {
    id: i64,
    r#type: &'static str,
    synchronizable: bool,
    presign: bool,
    #[serde(flatten)]
    #[schema(inline)]
    sync: SyncFields,
    title: Option<String>,
    description: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
    #[serde(flatten)]
    #[schema(inline)]
    bucket: BucketFields,
    #[schema(minimum = 1, maximum = 10080)]
    presign_ttl: u32,
    recursive_scan: bool,
    #[schema(schema_with = any_project_schema)]
    project: Option<Project>,
    #[serde(flatten)]
    #[schema(ignore)]
    role: Option<RoleFields>,
    #[serde(flatten)]
    #[schema(inline)]
    own: OwnFields,
    /// How objects reach clients; absent: redirect where `presign` allows it.
    #[schema(schema_with = delivery_schema)]
    delivery: Option<DeliveryKind>,
    /// The rules of `delivery = "rules"`; the first that fits decides.
    #[schema(inline)]
    rules: Vec<Rule>,
    /// Client networks admitted to its objects; absent: those of the gateway.
    allow: Option<Vec<String>>,
    /// Client networks refused.
    deny: Vec<String>,
    /// How often it is synced by itself, such as `15m`.
    sync_every: Option<String>,
    /// What a sync does about objects that are no longer the ones their tasks were made of.
    #[schema(schema_with = on_changed_schema)]
    on_changed: OnChanged,
    /// What a sync does about objects that are gone.
    #[schema(schema_with = on_vanished_schema)]
    on_vanished: OnVanished,
    /// Whether it makes tasks of objects that another storage of the project has made tasks of.
    duplicates: bool,
    /// The S3 Inventory that it is synced from.
    inventory: Option<String>,
}

/// A target storage.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct ExportStorage {
    id: i64,
    r#type: &'static str,
    synchronizable: bool,
    #[serde(flatten)]
    #[schema(inline)]
    sync: SyncFields,
    title: Option<String>,
    description: Option<String>,
    #[schema(format = "date-time")]
    created_at: String,
    can_delete_objects: Option<bool>,
    #[serde(flatten)]
    #[schema(inline)]
    bucket: BucketFields,
    #[schema(schema_with = any_project_schema)]
    project: Option<Project>,
    #[serde(flatten)]
    #[schema(ignore)]
    role: Option<RoleFields>,
    #[serde(flatten)]
    #[schema(inline)]
    own: OwnFields,
    /// The key of an object under the prefix: `annotation`, `annotation.json`, `task`, or a template.
    layout: String,
    /// Whether objects are encrypted with a key of S3's own where `aws_sse_kms_key_id` names none.
    sse_s3: bool,
}

/// What the last sync or export left; read-only.
#[derive(Serialize, ToSchema)]
struct SyncFields {
    #[schema(format = "date-time")]
    last_sync: Option<String>,
    last_sync_count: Option<i64>,
    last_sync_job: Option<String>,
    #[schema(schema_with = status_schema)]
    status: &'static str,
    traceback: Option<String>,
    #[schema(value_type = Object)]
    meta: Map<String, Value>,
}

#[derive(Serialize, ToSchema)]
struct BucketFields {
    bucket: Option<String>,
    prefix: Option<String>,
    /// Python's `re.match` against whole keys.
    regex_filter: Option<String>,
    /// Whether every object is a task; otherwise every item of a JSON, JSONL or Parquet object.
    use_blob_urls: bool,
    aws_sse_kms_key_id: Option<String>,
    region_name: Option<String>,
    s3_endpoint: Option<String>,
}

/// What storages of the type `s3s` have besides.
#[derive(Serialize, ToSchema)]
#[schema(as = Role)]
pub(in crate::control) struct RoleFields {
    role_arn: Option<String>,
    external_id: Option<String>,
    legacy_auth: Option<bool>,
    /// The STS server, for others than AWS.
    sts_endpoint: Option<String>,
}

/// What Label Studio does not have.
#[derive(Serialize, ToSchema)]
struct OwnFields {
    /// The name in logs and metrics.
    name: String,
    /// `file`: it stands in the configuration file and is changed there.
    #[schema(schema_with = origin_schema)]
    origin: &'static str,
    /// What presigned URLs are signed for; absent: `s3_endpoint`.
    public_endpoint: Option<String>,
    #[schema(schema_with = addressing_schema)]
    addressing: Addressing,
    /// What the test of the connection found that does not keep the storage from being saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// A rule with whole bytes, so that no size is rounded.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryRule)]
pub(super) struct Rule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    networks: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    min_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_size: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    content_types: Vec<String>,
    #[schema(schema_with = mode_schema)]
    delivery: Mode,
}

/// A project: a number where it is one, as Label Studio's are.
#[derive(Serialize)]
#[serde(untagged)]
enum Project {
    Number(i64),
    Text(String),
}

impl StorageAnswer {
    /// The storage without its keys, and what its test found that is no reason to refuse it.
    pub(super) fn new(storage: Storage, state: SyncState, warnings: Vec<String>) -> Self {
        match storage.direction {
            Direction::Import => Self::Import(Box::new(ImportStorage::new(storage, state, warnings))),
            Direction::Export => Self::Export(Box::new(ExportStorage::new(storage, state, warnings))),
        }
    }
}

impl ImportStorage {
    fn new(storage: Storage, state: SyncState, warnings: Vec<String>) -> Self {
        let (own, role) = (OwnFields::new(&storage, warnings), RoleFields::new(&storage));
        let (sync, created_at) = (SyncFields::new(state), time(storage.created_at));
        let settings = storage.settings;
        Self {
            id: storage.id.0,
            r#type: storage.kind.as_str(),
            synchronizable: settings.synchronizable,
            presign: settings.presign,
            sync,
            title: settings.title.clone(),
            description: settings.description.clone(),
            created_at,
            bucket: BucketFields::new(&settings),
            presign_ttl: settings.presign_ttl.minutes(),
            recursive_scan: settings.recursive,
            project: settings.project.as_ref().map(Project::new),
            role,
            own,
            delivery: settings.delivery,
            rules: settings.rules.iter().map(Rule::new).collect(),
            allow: settings.allow.map(|networks| networks.iter().map(ToString::to_string).collect()),
            deny: settings.deny.iter().map(ToString::to_string).collect(),
            sync_every: settings.sync_every.map(String::from),
            on_changed: settings.on_changed,
            on_vanished: settings.on_vanished,
            duplicates: settings.duplicates,
            inventory: settings.inventory.map(String::from),
        }
    }
}

impl ExportStorage {
    fn new(storage: Storage, state: SyncState, warnings: Vec<String>) -> Self {
        let (own, role) = (OwnFields::new(&storage, warnings), RoleFields::new(&storage));
        let (sync, created_at) = (SyncFields::new(state), time(storage.created_at));
        let settings = storage.settings;
        Self {
            id: storage.id.0,
            r#type: storage.kind.as_str(),
            synchronizable: settings.synchronizable,
            sync,
            title: settings.title.clone(),
            description: settings.description.clone(),
            created_at,
            can_delete_objects: settings.can_delete_objects,
            bucket: BucketFields::new(&settings),
            project: settings.project.as_ref().map(Project::new),
            role,
            own,
            layout: settings.layout.as_str().to_owned(),
            sse_s3: settings.sse_s3,
        }
    }
}

impl SyncFields {
    fn new(state: SyncState) -> Self {
        Self {
            last_sync: state.last_sync.map(time),
            last_sync_count: state.last_sync_count,
            last_sync_job: state.last_sync_job,
            status: state.status.as_str(),
            traceback: state.traceback,
            meta: state.meta,
        }
    }
}

impl BucketFields {
    fn new(settings: &Settings) -> Self {
        Self {
            bucket: settings.bucket.as_ref().map(ToString::to_string),
            prefix: settings.prefix.clone(),
            regex_filter: settings.filter.as_ref().map(|filter| filter.as_str().to_owned()),
            use_blob_urls: settings.method == ImportMethod::Files,
            aws_sse_kms_key_id: settings.sse_kms_key_id.clone(),
            region_name: settings.region.clone(),
            s3_endpoint: settings.endpoint.as_ref().map(ToString::to_string),
        }
    }
}

impl RoleFields {
    fn new(storage: &Storage) -> Option<Self> {
        let settings = &storage.settings;
        match storage.kind {
            Kind::S3 => None,
            Kind::S3s => Some(Self {
                role_arn: settings.role_arn.clone(),
                external_id: settings.external_id.clone(),
                legacy_auth: settings.legacy_auth,
                sts_endpoint: settings.sts_endpoint.as_ref().map(ToString::to_string),
            }),
        }
    }
}

impl OwnFields {
    fn new(storage: &Storage, warnings: Vec<String>) -> Self {
        Self {
            name: storage.name().to_string(),
            origin: match storage.origin {
                Origin::Api => "api",
                Origin::File(_) => "file",
            },
            public_endpoint: storage.settings.public_endpoint.as_ref().map(ToString::to_string),
            addressing: storage.settings.addressing,
            warnings,
        }
    }
}

impl Rule {
    fn new(rule: &RuleConfig) -> Self {
        Self {
            networks: rule.networks.iter().map(ToString::to_string).collect(),
            min_size: rule.min_size.map(|size| size.as_u64()),
            max_size: rule.max_size.map(|size| size.as_u64()),
            content_types: rule.content_types.clone(),
            delivery: rule.delivery,
        }
    }
}

impl Project {
    fn new(id: &ProjectId) -> Self {
        match id.as_str().parse::<i64>() {
            // `007` and `+7` are names, not numbers: they would come back as another text.
            Ok(number) if number.to_string() == id.as_str() => Self::Number(number),
            _ => Self::Text(id.to_string()),
        }
    }
}

/// Label Studio's form of a time: `2026-11-23T23:44:38.437165Z`.
/// A project in descriptions: a number or a text.
pub(super) fn project_schema() -> AnyOfBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(MAX_ID_LEN))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]+$"));
    AnyOfBuilder::new().item(number).item(text)
}

fn any_project_schema() -> RefOr<Schema> {
    project_schema().item(ObjectBuilder::new().schema_type(Type::Null)).into()
}

fn words<const N: usize>(words: [&'static str; N]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

fn status_schema() -> RefOr<Schema> {
    const ALL: [Status; 6] = [
        Status::Initialized,
        Status::Queued,
        Status::InProgress,
        Status::Failed,
        Status::Completed,
        Status::CompletedWithErrors,
    ];
    words(ALL.map(Status::as_str)).into()
}

fn origin_schema() -> RefOr<Schema> {
    words(["api", "file"]).into()
}

pub(super) fn addressing_schema() -> RefOr<Schema> {
    words(["auto", "path", "virtual"]).into()
}

pub(super) fn mode_schema() -> RefOr<Schema> {
    words(["redirect", "stream"]).into()
}

/// One of three words, or `null`.
pub(super) fn delivery_schema() -> RefOr<Schema> {
    let word = [Value::from("redirect"), Value::from("stream"), Value::from("rules"), Value::Null];
    let types = SchemaType::Array(vec![Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(types).enum_values(Some(word)).into()
}

/// `on_changed` in descriptions.
pub(super) fn on_changed_schema() -> RefOr<Schema> {
    words(["report", "update"]).into()
}

/// `on_vanished` in descriptions.
pub(super) fn on_vanished_schema() -> RefOr<Schema> {
    words(["report", "mark"]).into()
}
