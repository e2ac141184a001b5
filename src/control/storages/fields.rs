//! The fields of a storage under Label Studio's names, and ours: from a body into settings and keys.
//!
//! What a body does not name stays as it is, for PATCH and PUT alike, as in Label Studio. Read-only fields (`id`,
//! `type`, `status`, `last_sync`, `meta` and their like) are names that nobody asks for, and so are ignored.

use secrecy::ExposeSecret as _;

use super::reader::{Change, Fields, REQUIRED};
use crate::{
    object::Bucket,
    storage::{
        DeliveryKind, Direction, EndpointUrl, ImportMethod, Inventory, KeyFilter, Keys, Kind, Layout,
        Settings, Storage, SyncEvery,
    },
};

/// The fields that a connection is made of: where a body names one of them, the connection is tested before anything
/// is saved.
const OF_THE_CONNECTION: &[&str] = &[
    "bucket",
    "prefix",
    "region_name",
    "s3_endpoint",
    "public_endpoint",
    "addressing",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_sse_kms_key_id",
    "sse_s3",
    "can_delete_objects",
    "role_arn",
    "external_id",
    "sts_endpoint",
];

/// Changes the storage as the body says, and judges what comes of it. Refusals are gathered in `fields`.
pub(super) fn apply(fields: &mut Fields, storage: &mut Storage) {
    let settings = &mut storage.settings;
    about_people(fields, settings);
    about_the_bucket(fields, settings);
    about_tasks(fields, settings);
    match storage.direction {
        Direction::Import => {
            about_delivery(fields, settings);
            about_syncs(fields, settings);
        }
        Direction::Export => about_objects(fields, settings),
    }
    match storage.kind {
        Kind::S3 => {}
        Kind::S3s => about_the_role(fields, settings),
    }
    about_keys(fields, &mut storage.keys);
    if fields.is_clean() {
        judge(fields, storage);
    }
}

/// Whether the body names anything that the connection is made of.
pub(super) fn touches_the_connection(fields: &Fields) -> bool {
    OF_THE_CONNECTION.iter().any(|field| fields.has(field))
}

/// Whether the body names anything that decides which objects a target and a source share.
pub(super) fn touches_the_place(fields: &Fields) -> bool {
    ["project", "bucket", "prefix", "s3_endpoint", "region_name"].iter().any(|field| fields.has(field))
}

/// Whether a target is to be saved although it lies inside a source.
pub(super) fn confirms_overlap(fields: &Fields) -> bool {
    fields.says(CONFIRM_OVERLAP)
}

fn about_people(fields: &mut Fields, settings: &mut Settings) {
    fields.text("title", MAX_TITLE).onto(&mut settings.title);
    fields.text("description", MAX_DESCRIPTION).onto(&mut settings.description);
    fields.project("project").onto(&mut settings.project);
}

fn about_the_bucket(fields: &mut Fields, settings: &mut Settings) {
    fields.parsed("bucket", Bucket::parse).onto(&mut settings.bucket);
    fields.text("prefix", MAX_PREFIX).onto(&mut settings.prefix);
    fields.parsed("region_name", region).onto(&mut settings.region);
    fields.parsed("s3_endpoint", EndpointUrl::parse).onto(&mut settings.endpoint);
    fields.parsed("public_endpoint", EndpointUrl::parse).onto(&mut settings.public_endpoint);
    fields.choice("addressing").onto_or_default(&mut settings.addressing);
    fields.parsed("aws_sse_kms_key_id", kms_key).onto(&mut settings.sse_kms_key_id);
}

fn about_tasks(fields: &mut Fields, settings: &mut Settings) {
    fields.parsed("regex_filter", KeyFilter::parse).onto(&mut settings.filter);
    let mut files = settings.method == ImportMethod::Files;
    fields.switch("use_blob_urls", &mut files);
    settings.method = if files { ImportMethod::Files } else { ImportMethod::Tasks };
    fields.switch("synchronizable", &mut settings.synchronizable);
}

fn about_delivery(fields: &mut Fields, settings: &mut Settings) {
    fields.switch("recursive_scan", &mut settings.recursive);
    fields.switch("presign", &mut settings.presign);
    fields.presign_ttl("presign_ttl").onto_or_default(&mut settings.presign_ttl);
    fields.choice("delivery").onto(&mut settings.delivery);
    fields.rules("rules").onto_or_default(&mut settings.rules);
    fields.networks("allow").onto(&mut settings.allow);
    fields.networks("deny").onto_or_default(&mut settings.deny);
}

fn about_objects(fields: &mut Fields, settings: &mut Settings) {
    fields.flag("can_delete_objects").onto(&mut settings.can_delete_objects);
    fields.parsed("layout", Layout::parse).onto_or_default(&mut settings.layout);
    fields.switch("sse_s3", &mut settings.sse_s3);
    // Of the request, not of the storage: it is looked at when all else is read.
    fields.flag(CONFIRM_OVERLAP).onto(&mut None);
}

fn about_syncs(fields: &mut Fields, settings: &mut Settings) {
    fields.parsed("sync_every", SyncEvery::parse).onto(&mut settings.sync_every);
    fields.choice("on_changed").onto_or_default(&mut settings.on_changed);
    fields.choice("on_vanished").onto_or_default(&mut settings.on_vanished);
    fields.switch("duplicates", &mut settings.duplicates);
    fields.parsed("inventory", Inventory::parse).onto(&mut settings.inventory);
}

fn about_the_role(fields: &mut Fields, settings: &mut Settings) {
    fields.parsed("role_arn", role_arn).onto(&mut settings.role_arn);
    fields.parsed("external_id", external_id).onto(&mut settings.external_id);
    fields.flag("legacy_auth").onto(&mut settings.legacy_auth);
    fields.parsed("sts_endpoint", EndpointUrl::parse).onto(&mut settings.sts_endpoint);
}

/// A session token belongs to the key that it was made with: where another key comes without one, the old token
/// goes, since no server would take the two together.
fn about_keys(fields: &mut Fields, keys: &mut Keys) {
    let id = fields.secret("aws_access_key_id");
    let is_another = match (&id, &keys.access_key_id) {
        (Change::Set(new), Some(old)) => new.expose_secret() != old.expose_secret(),
        (Change::Clear, _) => true,
        (Change::Set(_), None) | (Change::Keep, _) => false,
    };
    if is_another {
        keys.session_token = None;
    }
    id.onto(&mut keys.access_key_id);
    fields.secret("aws_secret_access_key").onto(&mut keys.secret_access_key);
    fields.secret("aws_session_token").onto(&mut keys.session_token);
}

/// What no single field can be blamed for until all are read.
fn judge(fields: &mut Fields, storage: &Storage) {
    let (settings, keys) = (&storage.settings, &storage.keys);
    match (&keys.access_key_id, &keys.secret_access_key) {
        (Some(_), None) => fields.refuse("aws_secret_access_key", KEY_INCOMPLETE),
        (None, Some(_)) => fields.refuse("aws_access_key_id", KEY_INCOMPLETE),
        (None, None) if keys.session_token.is_some() => fields.refuse("aws_session_token", TOKEN_ALONE),
        _ => {}
    }
    if storage.direction == Direction::Export && settings.bucket.is_none() {
        fields.refuse("bucket", REQUIRED);
    }
    if storage.kind == Kind::S3s && settings.role_arn.is_none() {
        fields.refuse("role_arn", REQUIRED);
    }
    match settings.delivery {
        Some(DeliveryKind::Redirect | DeliveryKind::Rules) if !settings.presign => {
            fields.refuse("delivery", PRESIGN_OFF);
        }
        Some(DeliveryKind::Rules) if settings.rules.is_empty() => fields.refuse("rules", NO_RULES),
        Some(DeliveryKind::Rules) => {}
        _ if !settings.rules.is_empty() => fields.refuse("rules", RULES_UNUSED),
        _ => {}
    }
}

fn region(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.len() <= 64 && text.bytes().all(allowed) { Ok(text.to_owned()) } else { Err(NO_REGION) }
}

fn kms_key(text: &str) -> Result<String, &'static str> {
    if text.len() <= 2048 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("Not the id, alias or ARN of a KMS key.")
    }
}

/// IAM User Guide, "IAM identifiers": `arn:partition:iam::account:role/path/name`.
fn role_arn(text: &str) -> Result<String, &'static str> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let fits = matches!(parts.as_slice(), ["arn", partition, "iam", "", account, role]
        if partition.starts_with("aws")
            && account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
            && role.strip_prefix("role/").is_some_and(is_role_path));
    if fits && text.len() <= 2048 { Ok(text.to_owned()) } else { Err(NO_ROLE) }
}

fn is_role_path(path: &str) -> bool {
    !path.is_empty() && !path.ends_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// AWS STS API Reference, `AssumeRole`: 2 to 1224 characters of this set.
fn external_id(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
    if (2..=1224).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("An external id has 2 to 1224 letters, digits or characters of _+=,.@:/-.")
    }
}

const CONFIRM_OVERLAP: &str = "confirm_overlap";
pub(super) const MAX_TITLE: usize = 256;
pub(super) const MAX_DESCRIPTION: usize = 10_000;
/// A key has at most 1024 bytes, and so has what it begins with.
pub(super) const MAX_PREFIX: usize = 1024;
const NO_REGION: &str = "Not the name of a region, such as eu-central-1.";
const NO_ROLE: &str = "Not the ARN of a role; it looks like arn:aws:iam::123456789012:role/name.";
const KEY_INCOMPLETE: &str = "aws_access_key_id and aws_secret_access_key go together; set both, or neither for the \
                              AWS default chain.";
const TOKEN_ALONE: &str =
    "A session token belongs to a key; set aws_access_key_id and aws_secret_access_key too.";
const PRESIGN_OFF: &str = "presign is off, so that everything is streamed; set delivery to \"stream\" or null, or \
                           presign to true.";
const NO_RULES: &str = "delivery is \"rules\", but there are none; add rules, or choose another delivery.";
const RULES_UNUSED: &str = "rules are set, but delivery is not \"rules\"; set it, or remove them.";

#[cfg(test)]
mod tests;
