//! Documents that let a storage work, and keep others out: IAM policies, trust policies, CORS, bucket policies.
//!
//! Pure functions from what is to be allowed to JSON that can be pasted as it is. Least privilege: a prefix narrows
//! what may be listed and read. Source: AWS IAM User Guide, "Grammar of the IAM JSON policy language"; Amazon S3 User
//! Guide, "Actions, resources, and condition keys for Amazon S3" and "CORS configuration".

use ipnet::IpNet;
use serde_json::{Map, Value, json};

use crate::object::Bucket;

/// The bucket that a document is about.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The bucket.
    pub bucket: &'a Bucket,
    /// Empty, or ending in `/`.
    pub prefix: &'a str,
    /// Its region, which decides the partition.
    pub region: &'a str,
}

/// What a storage does with its bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// Lists and reads.
    Source,
    /// Lists, reads and writes.
    Target,
    /// The same, and deletes.
    TargetWithDeletes,
    /// All of it, for one role that serves source and target.
    Both,
}

/// Who may still reach a bucket: a request must come from one of these, whatever else allows it.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// Public source addresses.
    pub networks: Vec<IpNet>,
    /// VPCs, `vpc-...`.
    pub vpcs: Vec<String>,
    /// VPC endpoints, `vpce-...`.
    pub vpc_endpoints: Vec<String>,
}

/// A bucket policy that would refuse everybody.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("name at least one network, VPC or VPC endpoint; a policy without one would refuse everybody")]
pub struct NobodyInside;

/// What to read before a bucket policy is put.
pub const LOCK_OUT_WARNING: &str = "This policy denies everybody outside the named networks, VPCs and endpoints, \
     whoever puts it included: from elsewhere you cannot list or read the bucket any more. Only the account's root user \
     can then delete the policy. With presigned redirects the source address is the browser's, with streams it is the \
     gateway's.";

/// The IAM policy of whoever signs: the role, or the user whose keys the storage has.
pub fn role(scope: Scope<'_>, access: Access) -> Value {
    let bucket = scope.arn();
    let mut list = Map::from_iter([
        ("Sid".to_owned(), json!("List")),
        ("Effect".to_owned(), json!("Allow")),
        ("Action".to_owned(), json!(["s3:ListBucket"])),
        ("Resource".to_owned(), json!([bucket])),
    ]);
    if !scope.prefix.is_empty() {
        let under = json!({ "StringLike": { "s3:prefix": [scope.prefix, format!("{}*", scope.prefix)] } });
        list.insert("Condition".to_owned(), under);
    }
    let objects = json!({
        "Sid": "Objects",
        "Effect": "Allow",
        "Action": access.on_objects(),
        "Resource": [format!("{bucket}/{}*", scope.prefix)],
    });
    json!({ "Version": "2012-10-17", "Statement": [list, objects] })
}

/// The trust policy of a role: who may assume it, and what they must be told.
pub fn trust(principal: &str, external_id: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "AWS": [principal] },
            "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "sts:ExternalId": [external_id] } },
        }],
    })
}

/// The CORS rules of a bucket whose presigned URLs are read by pages of these origins; none: of any origin.
pub fn cors(origins: &[String]) -> Value {
    let any = ["*".to_owned()];
    let origins = if origins.is_empty() { &any[..] } else { origins };
    json!([{
        "AllowedHeaders": ["*"],
        "AllowedMethods": ["GET", "HEAD"],
        "AllowedOrigins": origins,
        "ExposeHeaders": [
            "Accept-Ranges", "Content-Length", "Content-Range", "ETag",
            "x-amz-server-side-encryption", "x-amz-request-id", "x-amz-id-2",
        ],
        "MaxAgeSeconds": 3000,
    }])
}

/// A bucket policy that denies list and read to everybody who is not inside, except AWS services and one principal
/// that may mend it.
pub fn bucket(scope: Scope<'_>, inside: &Inside, exempt: Option<&str>) -> Result<Value, NobodyInside> {
    if inside.networks.is_empty() && inside.vpcs.is_empty() && inside.vpc_endpoints.is_empty() {
        return Err(NobodyInside);
    }
    // All of them must hold for the denial, so one way in is enough. A key that a request does not have, such as the
    // VPC of one from the internet, is not equal to anything.
    let mut condition = Map::new();
    let networks: Vec<String> = inside.networks.iter().map(ToString::to_string).collect();
    for (operator, key, values) in [
        ("NotIpAddress", "aws:SourceIp", networks),
        ("StringNotEquals", "aws:SourceVpc", inside.vpcs.clone()),
        ("StringNotEquals", "aws:SourceVpce", inside.vpc_endpoints.clone()),
        ("ArnNotEquals", "aws:PrincipalArn", exempt.map(str::to_owned).into_iter().collect()),
        // AWS services that act for us come from addresses of their own.
        ("BoolIfExists", "aws:PrincipalIsAWSService", vec!["false".to_owned()]),
        ("BoolIfExists", "aws:ViaAWSService", vec!["false".to_owned()]),
    ] {
        if let (false, Value::Object(tests)) =
            (values.is_empty(), condition.entry(operator).or_insert_with(|| json!({})))
        {
            tests.insert(key.to_owned(), json!(values));
        }
    }
    condition.retain(|_, tests| tests.as_object().is_some_and(|tests| !tests.is_empty()));
    let bucket = scope.arn();
    Ok(json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "DenyListAndGetFromOutside",
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:ListBucket", "s3:GetObject"],
            "Resource": [bucket, format!("{bucket}/*")],
            "Condition": condition,
        }],
    }))
}

impl Scope<'_> {
    fn arn(&self) -> String {
        let partition = match self.region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            region if region.starts_with("eusc-") => "aws-eusc",
            region if region.starts_with("us-iso-") => "aws-iso",
            region if region.starts_with("us-isob-") => "aws-iso-b",
            _ => "aws",
        };
        format!("arn:{partition}:s3:::{}", self.bucket)
    }
}

impl Access {
    fn on_objects(self) -> &'static [&'static str] {
        match self {
            Self::Source => &["s3:GetObject"],
            Self::Target => &["s3:GetObject", "s3:PutObject"],
            Self::TargetWithDeletes | Self::Both => &["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
        }
    }
}

#[cfg(test)]
mod tests;
