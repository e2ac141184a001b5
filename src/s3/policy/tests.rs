//! The documents against the grammar, and against the examples of Label Studio's S3 page.

use std::collections::BTreeSet;

use super::*;

const GUIDE_BUCKET: &str = "your-bucket";

fn scope<'a>(bucket: &'a Bucket, prefix: &'a str, region: &'a str) -> Scope<'a> {
    Scope { bucket, prefix, region }
}

fn texts(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) => BTreeSet::from([text.clone()]),
        Value::Array(list) => list.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
        other => panic!("{other}"),
    }
}

/// What the statements of a policy allow or deny: every action on every kind of resource, with the condition.
fn meaning(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap();
    let of = |statement: &Value| {
        let mut pairs = BTreeSet::new();
        for action in texts(&statement["Action"]) {
            for resource in texts(&statement["Resource"]) {
                // ListBucket is of a bucket, the others of objects; other pairs mean nothing.
                if (action == "s3:ListBucket") != resource.contains('/') {
                    pairs.insert(format!("{} {action} {resource}", statement["Effect"].as_str().unwrap()));
                }
            }
        }
        pairs
    };
    statements.iter().flat_map(of).collect()
}

/// IAM JSON policy grammar, as far as we use it: known elements only, each of its own shape.
fn assert_is_policy(policy: &Value) {
    let document = policy.as_object().unwrap();
    assert_eq!(
        document.keys().collect::<BTreeSet<_>>(),
        BTreeSet::from([&"Version".to_owned(), &"Statement".to_owned()])
    );
    assert_eq!(document["Version"], "2012-10-17");
    let known = ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"];
    for statement in document["Statement"].as_array().unwrap() {
        let statement = statement.as_object().unwrap();
        assert!(statement.keys().all(|element| known.contains(&element.as_str())), "{statement:?}");
        assert!(["Allow", "Deny"].contains(&statement["Effect"].as_str().unwrap()));
        for action in texts(&statement["Action"]) {
            let (service, name) = action.split_once(':').unwrap();
            assert!(["s3", "sts"].contains(&service) && name.chars().all(char::is_alphanumeric), "{action}");
        }
        if let Some(sid) = statement.get("Sid") {
            assert!(sid.as_str().unwrap().chars().all(|c| c.is_ascii_alphanumeric()), "{sid}");
        }
        if let Some(resource) = statement.get("Resource") {
            assert!(
                texts(resource).iter().all(|arn| arn.starts_with("arn:aws") && arn.split(':').count() == 6)
            );
        }
        for (operator, tests) in statement.get("Condition").into_iter().flat_map(|c| c.as_object().unwrap()) {
            let base = operator.trim_end_matches("IfExists");
            let operators =
                ["StringEquals", "StringLike", "StringNotEquals", "NotIpAddress", "Bool", "ArnNotEquals"];
            assert!(operators.contains(&base), "{operator}");
            for (key, values) in tests.as_object().unwrap() {
                assert!(key.contains(':') && !texts(values).is_empty(), "{key}");
            }
        }
    }
}

#[test]
fn the_guides_role_policies_are_reproduced() {
    let bucket = Bucket::parse(GUIDE_BUCKET).unwrap();
    let guide = |actions: &[&str]| {
        json!({ "Version": "2012-10-17", "Statement": [{
            "Sid": "VisualEditor1", "Effect": "Allow", "Action": actions,
            "Resource": [format!("arn:aws:s3:::{GUIDE_BUCKET}"), format!("arn:aws:s3:::{GUIDE_BUCKET}/*")],
        }]})
    };
    for (access, actions) in [
        (Access::Both, &["s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"][..]),
        (Access::Source, &["s3:ListBucket", "s3:GetObject"]),
        (Access::TargetWithDeletes, &["s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:DeleteObject"]),
        (Access::Target, &["s3:ListBucket", "s3:PutObject", "s3:GetObject"]),
    ] {
        let policy = role(scope(&bucket, "", "us-east-1"), access);
        assert_is_policy(&policy);
        assert_eq!(meaning(&policy), meaning(&guide(actions)), "{access:?}");
    }
}

#[test]
fn a_prefix_narrows_the_role() {
    let bucket = Bucket::parse(GUIDE_BUCKET).unwrap();
    let policy = role(scope(&bucket, "data/", "cn-north-1"), Access::Source);
    assert_is_policy(&policy);
    assert_eq!(policy["Statement"][0]["Condition"]["StringLike"]["s3:prefix"], json!(["data/", "data/*"]));
    assert_eq!(policy["Statement"][1]["Resource"], json!(["arn:aws-cn:s3:::your-bucket/data/*"]));
    let gov = role(scope(&bucket, "", "us-gov-west-1"), Access::Source);
    assert_eq!(gov["Statement"][0]["Resource"], json!(["arn:aws-us-gov:s3:::your-bucket"]));
}

#[test]
fn the_guides_trust_policy_is_reproduced() {
    let principal = "arn:aws:iam::490065312183:role/label-studio-app-production";
    let policy = trust(principal, "<YOUR-ORG-ExternalId>");
    assert_is_policy(&policy);
    let guide = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": [principal] }, "Action": "sts:AssumeRole",
        "Condition": { "StringEquals": { "sts:ExternalId": ["<YOUR-ORG-ExternalId>"] } },
    }]});
    assert_eq!(policy, guide);
}

#[test]
fn cors_allows_what_the_guides_example_allows() {
    let rules = cors(&[]);
    let rule = &rules[0];
    assert_eq!(texts(&rule["AllowedHeaders"]), texts(&json!(["*"])));
    assert!(texts(&rule["AllowedMethods"]).contains("GET"));
    assert_eq!(texts(&rule["AllowedOrigins"]), texts(&json!(["*"])));
    let exposed = texts(&rule["ExposeHeaders"]);
    assert!(exposed.is_superset(&texts(&json!([
        "x-amz-server-side-encryption",
        "x-amz-request-id",
        "x-amz-id-2"
    ]))));
    assert_eq!(rule["MaxAgeSeconds"], 3000);
    let own = cors(&["https://app.example.org".to_owned()]);
    assert_eq!(own[0]["AllowedOrigins"], json!(["https://app.example.org"]));
}

#[test]
fn the_guides_bucket_policy_is_reproduced() {
    let name = Bucket::parse(GUIDE_BUCKET).unwrap();
    let inside = Inside { networks: vec!["203.0.113.7/32".parse().unwrap()], ..Inside::default() };
    let policy = bucket(scope(&name, "", "us-east-1"), &inside, None).unwrap();
    assert_is_policy(&policy);
    let guide = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [format!("arn:aws:s3:::{GUIDE_BUCKET}"), format!("arn:aws:s3:::{GUIDE_BUCKET}/*")],
    }]});
    assert_eq!(meaning(&policy), meaning(&guide));
    assert_eq!(
        policy["Statement"][0]["Condition"]["NotIpAddress"],
        json!({ "aws:SourceIp": ["203.0.113.7/32"] })
    );
}

#[test]
fn one_way_in_is_enough() {
    let name = Bucket::parse(GUIDE_BUCKET).unwrap();
    let inside = Inside {
        networks: vec!["203.0.113.0/24".parse().unwrap()],
        vpcs: vec!["vpc-1".to_owned()],
        vpc_endpoints: vec!["vpce-1".to_owned(), "vpce-2".to_owned()],
    };
    let policy = bucket(scope(&name, "", "us-east-1"), &inside, Some("arn:aws:iam::1:role/admin")).unwrap();
    assert_is_policy(&policy);
    let condition = &policy["Statement"][0]["Condition"];
    // Denied only where all of these hold: outside the networks, the VPC and the endpoints.
    assert_eq!(
        condition["StringNotEquals"],
        json!({ "aws:SourceVpc": ["vpc-1"], "aws:SourceVpce": ["vpce-1", "vpce-2"] })
    );
    assert_eq!(condition["NotIpAddress"], json!({ "aws:SourceIp": ["203.0.113.0/24"] }));
    assert_eq!(condition["ArnNotEquals"], json!({ "aws:PrincipalArn": ["arn:aws:iam::1:role/admin"] }));
    assert_eq!(bucket(scope(&name, "", "us-east-1"), &Inside::default(), None), Err(NobodyInside));
}
