//! How objects of a storage reach clients.

use bytesize::ByteSize;
use ipnet::IpNet;
use serde::{Deserialize, Serialize, Serializer};

/// How an object reaches the client.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// 303 to a presigned URL.
    Redirect,
    /// The bytes pass through the gateway.
    Stream,
}

/// The `delivery` key of a storage.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryKind {
    /// Always 303 to a presigned URL.
    #[default]
    Redirect,
    /// Always through the gateway.
    Stream,
    /// As the rules say.
    Rules,
}

/// One rule of `delivery = "rules"`. A condition that is absent holds.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Client networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// The object has at least this many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "whole_bytes")]
    pub min_size: Option<ByteSize>,
    /// The object has at most this many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "whole_bytes")]
    pub max_size: Option<ByteSize>,
    /// Media types, such as `video/mp4` or `video/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content_types: Vec<String>,
    /// What to do.
    pub delivery: Mode,
}

/// As a number: the text that `ByteSize` makes of itself is rounded.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn whole_bytes<S: Serializer>(size: &Option<ByteSize>, serializer: S) -> Result<S::Ok, S::Error> {
    size.map(|size| size.as_u64()).serialize(serializer)
}

/// Where the bucket's name stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Addressing {
    /// In the host at AWS where the name allows it, in the path at a configured endpoint.
    #[default]
    Auto,
    /// In the path.
    Path,
    /// In the host where the name and the endpoint allow it.
    Virtual,
}

/// Whether a browser should show an object or save it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// Say nothing.
    #[default]
    None,
    /// Show it, and save it under its own name when asked to.
    Inline,
    /// Save it.
    Attachment,
}
