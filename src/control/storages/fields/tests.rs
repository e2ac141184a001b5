use std::time::SystemTime;

use serde_json::{Value, json};

use super::{
    super::{FieldErrors, LabelStudioError, schema},
    *,
};
use crate::{
    id::StorageId,
    storage::{Addressing, Origin, PresignTtl, Settings},
};

fn blank(direction: Direction, kind: Kind) -> Storage {
    Storage {
        id: StorageId(7),
        direction,
        kind,
        origin: Origin::Api,
        settings: Settings::default(),
        keys: Keys::default(),
        created_at: SystemTime::UNIX_EPOCH,
        revision: 0,
    }
}

fn source() -> Storage {
    blank(Direction::Import, Kind::S3)
}

/// A storage on which everything is set.
fn full() -> Storage {
    let mut storage = source();
    change(
        &mut storage,
        json!({
            "project": 3, "title": "t", "description": "d", "bucket": "media", "prefix": "img", "regex_filter": ".*jpg",
            "use_blob_urls": true, "recursive_scan": true, "synchronizable": false, "presign": true,
            "presign_ttl": 15, "region_name": "eu-central-1", "s3_endpoint": "https://s3.example.org",
            "public_endpoint": "https://cdn.example.org", "addressing": "path", "delivery": "rules",
            "rules": [{ "networks": ["10.0.0.0/8"], "min_size": 1025, "delivery": "redirect" }],
            "allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16", "10.2.3.4"], "aws_sse_kms_key_id": "alias/media",
            "aws_access_key_id": "AKIA", "aws_secret_access_key": "SECRET", "aws_session_token": "TOKEN",
        }),
    )
    .unwrap();
    storage
}

fn change(storage: &mut Storage, body: Value) -> Result<(), Value> {
    let Value::Object(values) = body else { panic!("an object") };
    let mut fields = Fields::new(values);
    apply(&mut fields, storage);
    fields.finish().map_err(|refused| match refused {
        LabelStudioError::FieldsInvalid(errors) => serde_json::to_value::<FieldErrors>(errors).unwrap(),
        other => panic!("{other:?}"),
    })
}

fn exposed(secret: Option<&secrecy::SecretString>) -> Option<&str> {
    secret.map(secrecy::ExposeSecret::expose_secret)
}

#[test]
fn every_field_is_taken() {
    let storage = full();
    let settings = &storage.settings;
    assert_eq!(settings.project.as_ref().unwrap().as_str(), "3");
    assert_eq!(settings.title.as_deref(), Some("t"));
    assert_eq!(settings.description.as_deref(), Some("d"));
    assert_eq!(settings.bucket.as_ref().unwrap().as_str(), "media");
    assert_eq!(settings.prefix.as_deref(), Some("img"));
    assert_eq!(settings.filter.as_ref().unwrap().as_str(), ".*jpg");
    assert_eq!(settings.method, ImportMethod::Files);
    assert!(settings.recursive && settings.presign && !settings.synchronizable);
    assert_eq!(settings.presign_ttl, PresignTtl::from_minutes(15).unwrap());
    assert_eq!(settings.region.as_deref(), Some("eu-central-1"));
    assert_eq!(settings.endpoint.as_ref().unwrap().to_string(), "https://s3.example.org");
    assert_eq!(settings.public_endpoint.as_ref().unwrap().to_string(), "https://cdn.example.org");
    assert_eq!(settings.addressing, Addressing::Path);
    assert_eq!(settings.delivery, Some(DeliveryKind::Rules));
    assert_eq!(settings.rules.first().unwrap().min_size.unwrap().as_u64(), 1025);
    assert_eq!(settings.allow.as_ref().unwrap().len(), 1);
    assert_eq!(settings.deny.last().unwrap().to_string(), "10.2.3.4/32");
    assert_eq!(settings.sse_kms_key_id.as_deref(), Some("alias/media"));
    assert_eq!(exposed(storage.keys.access_key_id.as_ref()), Some("AKIA"));
    assert_eq!(exposed(storage.keys.secret_access_key.as_ref()), Some("SECRET"));
    assert_eq!(exposed(storage.keys.session_token.as_ref()), Some("TOKEN"));
}

#[test]
fn what_is_not_named_stays() {
    let mut storage = full();
    change(&mut storage, json!({})).unwrap();
    // Read-only fields and names of Label Studio's page are ignored.
    let ignored = json!({
        "id": 9, "type": "gcs", "status": "failed", "traceback": "x", "meta": { "a": 1 }, "last_sync_count": 5,
        "created_at": "1970", "origin": "file", "name": "other", "provider": "s3", "role_arn": "x", "nested": [[]],
    });
    change(&mut storage, ignored).unwrap();
    let before = full();
    assert_eq!(storage.settings, before.settings);
    assert_eq!((storage.id, storage.kind), (before.id, before.kind));
    assert_eq!(exposed(storage.keys.secret_access_key.as_ref()), Some("SECRET"));
}

#[test]
fn null_and_blank_clear_what_may_be_absent() {
    for nothing in [Value::Null, json!(""), json!("  ")] {
        let mut storage = full();
        let cleared = [
            "bucket",
            "regex_filter",
            "region_name",
            "s3_endpoint",
            "public_endpoint",
            "addressing",
            "delivery",
            "rules",
            "allow",
            "deny",
            "aws_sse_kms_key_id",
            "presign_ttl",
        ];
        change(&mut storage, cleared.into_iter().map(|field| (field, nothing.clone())).collect()).unwrap();
        let want = Settings {
            bucket: None,
            filter: None,
            region: None,
            endpoint: None,
            public_endpoint: None,
            addressing: Addressing::Auto,
            delivery: None,
            rules: Vec::new(),
            allow: None,
            deny: Vec::new(),
            sse_kms_key_id: None,
            presign_ttl: PresignTtl::default(),
            ..full().settings
        };
        assert_eq!(storage.settings, want, "{nothing}");
    }
}

#[test]
fn text_for_people_and_prefixes_are_kept_as_typed() {
    let mut storage = full();
    change(&mut storage, json!({ "title": " a ", "prefix": " /im//g", "description": "" })).unwrap();
    let settings = &storage.settings;
    assert_eq!(settings.title.as_deref(), Some(" a "));
    assert_eq!(settings.prefix.as_deref(), Some(" /im//g"));
    assert_eq!(settings.description.as_deref(), Some(""));
    change(&mut storage, json!({ "title": null, "prefix": null, "description": null })).unwrap();
    assert_eq!((storage.settings.title, storage.settings.prefix), (None, None));
}

#[test]
fn blank_secrets_keep_what_is_stored_and_null_clears_it() {
    const ID: &str = "aws_access_key_id";
    const SECRET: &str = "aws_secret_access_key";
    const TOKEN: &str = "aws_session_token";
    for (body, want) in [
        (json!({}), [Some("AKIA"), Some("SECRET"), Some("TOKEN")]),
        (json!({ ID: "", SECRET: " ", TOKEN: "" }), [Some("AKIA"), Some("SECRET"), Some("TOKEN")]),
        (json!({ TOKEN: null }), [Some("AKIA"), Some("SECRET"), None]),
        (json!({ ID: null, SECRET: null, TOKEN: null }), [None, None, None]),
        // The token belonged to the old key.
        (json!({ ID: "AKIB", SECRET: "OTHER" }), [Some("AKIB"), Some("OTHER"), None]),
        (json!({ ID: "AKIB", SECRET: "OTHER", TOKEN: "" }), [Some("AKIB"), Some("OTHER"), None]),
        (json!({ ID: "AKIB", SECRET: "OTHER", TOKEN: "NEW" }), [Some("AKIB"), Some("OTHER"), Some("NEW")]),
        (json!({ ID: null, SECRET: null }), [None, None, None]),
        // Copied with a line end behind it.
        (json!({ ID: "AKIA", SECRET: "MENDED\n" }), [Some("AKIA"), Some("MENDED"), Some("TOKEN")]),
    ] {
        let mut storage = full();
        change(&mut storage, body.clone()).unwrap();
        let Keys { access_key_id, secret_access_key, session_token } = &storage.keys;
        let got = [access_key_id, secret_access_key, session_token].map(|secret| exposed(secret.as_ref()));
        assert_eq!(got, want, "{body}");
    }
}

#[test]
fn values_are_read_as_leniently_as_label_studio_does() {
    for (body, want) in [
        (json!({ "presign": "true" }), true),
        (json!({ "presign": "on" }), true),
        (json!({ "presign": 1 }), true),
        (json!({ "presign": "False" }), false),
        (json!({ "presign": 0 }), false),
    ] {
        let mut storage = source();
        storage.settings.presign = !want;
        change(&mut storage, body.clone()).unwrap();
        assert_eq!(storage.settings.presign, want, "{body}");
    }
    let mut storage = source();
    let body = json!({
        "presign_ttl": " 10080 ", "allow": "10.0.0.0/8, 192.0.2.1 2001:db8::/32", "project": "17",
        "delivery": "rules", "rules": "[{\"delivery\": \"stream\", \"max_size\": \"1 MiB\"}]", "title": 7,
    });
    change(&mut storage, body).unwrap();
    assert_eq!(storage.settings.presign_ttl.minutes(), 10_080);
    assert_eq!(storage.settings.allow.unwrap().len(), 3);
    assert_eq!(storage.settings.project.unwrap().as_str(), "17");
    assert_eq!(storage.settings.rules.first().unwrap().max_size.unwrap().as_u64(), 1024 * 1024);
    assert_eq!(storage.settings.title.as_deref(), Some("7"));
}

#[test]
fn every_refusal_names_its_field_and_says_what_would_do() {
    for (body, field, says) in [
        (json!({ "project": null }), "project", "This field may not be null."),
        (json!({ "project": [1] }), "project", "Expected the number of a project."),
        (json!({ "project": 1.5 }), "project", "Expected the number of a project."),
        (json!({ "title": "x".repeat(257) }), "title", "no more than 256 characters"),
        (json!({ "title": "a\u{0}b" }), "title", "Null characters are not allowed."),
        (json!({ "title": true }), "title", "Not a valid string."),
        (json!({ "bucket": "Not_A Bucket" }), "bucket", "3 to 63 letters"),
        (json!({ "prefix": "x".repeat(1025) }), "prefix", "no more than 1024 characters"),
        (json!({ "regex_filter": "(" }), "regex_filter", "not a regular expression"),
        (json!({ "use_blob_urls": "perhaps" }), "use_blob_urls", "Must be a valid boolean."),
        (json!({ "use_blob_urls": null }), "use_blob_urls", "This field may not be null."),
        (json!({ "presign": "" }), "presign", "This field may not be null."),
        (json!({ "presign": {} }), "presign", "Must be a valid boolean."),
        (json!({ "presign_ttl": 0 }), "presign_ttl", "1 to 10080 minutes"),
        (json!({ "presign_ttl": -1 }), "presign_ttl", "1 to 10080 minutes"),
        (json!({ "presign_ttl": 10_081 }), "presign_ttl", "1 to 10080 minutes"),
        (json!({ "presign_ttl": 1_u64 << 63 }), "presign_ttl", "A valid integer is required."),
        (json!({ "presign_ttl": 1.5 }), "presign_ttl", "A valid integer is required."),
        (json!({ "presign_ttl": "15m" }), "presign_ttl", "A valid integer is required."),
        (json!({ "region_name": "eu central/1" }), "region_name", "such as eu-central-1"),
        (json!({ "s3_endpoint": "s3.example.org" }), "s3_endpoint", "https://host[:port]"),
        (json!({ "s3_endpoint": "https://h/bucket" }), "s3_endpoint", "it has a path"),
        (json!({ "public_endpoint": "https://a:b@h" }), "public_endpoint", "it names a user"),
        (json!({ "addressing": "dns" }), "addressing", "expected one of `auto`, `path`, `virtual`"),
        (json!({ "delivery": "proxy" }), "delivery", "expected one of `redirect`, `stream`, `rules`"),
        (json!({ "allow": ["10.0.0.0/33"] }), "allow", "neither a network such as 10.0.0.0/8"),
        (json!({ "allow": [1] }), "allow", "Expected a list of networks"),
        (json!({ "deny": { "a": 1 } }), "deny", "Expected a list of networks"),
        (json!({ "rules": [{ "delivery": "proxy" }] }), "rules", "unknown variant `proxy`"),
        (json!({ "rules": [{ "deliver": "stream" }] }), "rules", "unknown field `deliver`"),
        (json!({ "rules": [{ "delivery": "stream" }] }), "rules", "delivery is not \"rules\""),
        (json!({ "delivery": "rules" }), "rules", "but there are none"),
        (json!({ "delivery": "redirect", "presign": false }), "delivery", "presign is off"),
        (json!({ "aws_access_key_id": "AKIA" }), "aws_secret_access_key", "go together"),
        (json!({ "aws_secret_access_key": "x" }), "aws_access_key_id", "go together"),
        (json!({ "aws_session_token": "x" }), "aws_session_token", "belongs to a key"),
        (json!({ "aws_access_key_id": "A KIA" }), "aws_access_key_id", "copy it again"),
        (json!({ "aws_sse_kms_key_id": "a\nb" }), "aws_sse_kms_key_id", "KMS key"),
    ] {
        let errors = change(&mut source(), body.clone()).unwrap_err();
        let sentences = errors.get(field).unwrap_or_else(|| panic!("{body}: {errors}")).to_string();
        assert!(sentences.contains(&says.replace('"', "\\\"")), "{body}: {errors}");
        assert_eq!(errors.as_object().unwrap().len(), 1, "{body}: {errors}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let errors =
        change(&mut source(), json!({ "presign_ttl": 0, "bucket": "x", "regex_filter": "[" })).unwrap_err();
    let named: Vec<&String> = errors.as_object().unwrap().keys().collect();
    assert_eq!(named, ["bucket", "presign_ttl", "regex_filter"]);
}

#[test]
fn targets_need_a_bucket_and_have_no_delivery() {
    let mut target = blank(Direction::Export, Kind::S3);
    assert_eq!(change(&mut target, json!({})).unwrap_err(), json!({ "bucket": ["This field is required."] }));
    let body = json!({ "bucket": "media", "can_delete_objects": true, "presign_ttl": 0, "presign": "?", "rules": 1 });
    change(&mut target, body).unwrap();
    assert_eq!(target.settings.can_delete_objects, Some(true));
    change(&mut target, json!({ "can_delete_objects": null })).unwrap();
    assert_eq!(target.settings.can_delete_objects, None);
    change(&mut target, json!({ "layout": "{project}/{annotation}.json", "sse_s3": "true" })).unwrap();
    assert_eq!(
        (target.settings.layout.as_str(), target.settings.sse_s3),
        ("{project}/{annotation}.json", true)
    );
    change(&mut target, json!({ "layout": null })).unwrap();
    assert_eq!(target.settings.layout, Layout::default());
    for (body, field) in
        [(json!({ "layout": "x" }), "layout"), (json!({ "confirm_overlap": "perhaps" }), "confirm_overlap")]
    {
        let errors = change(&mut target, body.clone()).unwrap_err();
        assert!(errors[field].is_array(), "{body}: {errors}");
    }
}

#[test]
fn roles_are_arns_and_external_ids_are_what_sts_takes() {
    let good = "arn:aws:iam::123456789012:role/path/name";
    for (body, refused) in [
        (json!({ "role_arn": good }), None),
        (json!({ "role_arn": "arn:aws-cn:iam::123456789012:role/n", "external_id": "a:b/c=" }), None),
        (json!({ "role_arn": good, "legacy_auth": true, "sts_endpoint": "https://sts.example.org" }), None),
        (json!({}), Some("role_arn")),
        (json!({ "role_arn": "" }), Some("role_arn")),
        (json!({ "role_arn": "role/name" }), Some("role_arn")),
        (json!({ "role_arn": "arn:aws:iam::123456789012:user/name" }), Some("role_arn")),
        (json!({ "role_arn": "arn:aws:iam::12345678901:role/name" }), Some("role_arn")),
        (json!({ "role_arn": "arn:aws:iam::123456789012:role/" }), Some("role_arn")),
        (json!({ "role_arn": "arn:aws:s3:::media" }), Some("role_arn")),
        (json!({ "role_arn": good, "external_id": "x" }), Some("external_id")),
        (json!({ "role_arn": good, "external_id": "a b" }), Some("external_id")),
        (json!({ "role_arn": good, "sts_endpoint": "sts" }), Some("sts_endpoint")),
    ] {
        let errors = change(&mut blank(Direction::Import, Kind::S3s), body.clone()).err();
        let named = errors.as_ref().map(|errors| errors.as_object().unwrap().keys().next().unwrap().as_str());
        assert_eq!(named, refused, "{body}");
    }
}

#[test]
fn a_connection_is_tested_when_a_field_of_it_is_named() {
    for (body, want) in [
        (json!({ "title": "x", "presign_ttl": 5, "synchronizable": false }), false),
        (json!({ "bucket": "media" }), true),
        (json!({ "aws_access_key_id": "" }), true),
        (json!({ "s3_endpoint": null }), true),
    ] {
        let fields = Fields::new(body.as_object().unwrap().clone());
        assert_eq!(touches_the_connection(&fields), want, "{body}");
    }
}

/// A field that is described and not read fails here, and one that a collection reads and only others describe.
#[test]
fn the_description_has_exactly_the_fields_that_are_read() {
    for (direction, kind) in super::super::COLLECTIONS {
        let described = serde_json::to_value(schema::fields(direction, kind)).unwrap();
        let described = described["properties"].as_object().unwrap().clone();
        let all = all_names();
        let body: serde_json::Map<_, _> =
            described.keys().cloned().chain(all).map(|field| (field, json!([{}]))).collect();
        let mut fields = Fields::new(body);
        apply(&mut fields, &mut blank(direction, kind));
        let mut read: Vec<&str> = fields.named().to_vec();
        read.sort_unstable();
        let described: Vec<&str> = described.keys().map(String::as_str).collect();
        assert_eq!(read, described, "{direction:?} {kind:?}");
    }
}

/// Every name that any collection describes.
fn all_names() -> Vec<String> {
    let mut names = Vec::new();
    for (direction, kind) in super::super::COLLECTIONS {
        let described = serde_json::to_value(schema::fields(direction, kind)).unwrap();
        names.extend(described["properties"].as_object().unwrap().keys().cloned());
    }
    names
}
