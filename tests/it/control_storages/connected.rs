//! What connects to S3: the test before saving, `validate` and `files`.

use mediagate::{
    id::StorageName,
    storage::{Direction, EndpointUrl, Kind, Settings},
    store::FileStorage,
};
use serde_json::{Value, json};

use super::{COLLECTIONS, body};
use crate::support::{
    control::ControlPort,
    gateway::Answer,
    s3::{ACCESS_KEY_ID, S3Server, SECRET_ACCESS_KEY},
};

const SOURCES: &str = "/api/storages/s3";
const TARGETS: &str = "/api/storages/export/s3";

async fn s3_and_control() -> (S3Server, ControlPort) {
    let s3 = S3Server::start().await;
    for key in ["img/a.jpg", "img/b.png", "img/deep/c.jpg", "top.txt"] {
        s3.put("media", key, key.as_bytes());
    }
    s3.bucket("annotations");
    (s3, ControlPort::start_beside_s3().await)
}

/// What connects to the bucket `media`, with changes.
fn fields(s3: &S3Server, changes: &Value) -> Value {
    let mut fields = json!({
        "project": 1, "title": "images", "bucket": "media", "prefix": "img", "s3_endpoint": s3.url(),
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
    });
    fields.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    fields
}

async fn made(control: &ControlPort, collection: &str, fields: &Value) -> Value {
    let made = control.json("POST", collection, fields).await;
    assert_eq!(made.status, 201, "{}", made.text());
    body(&made)
}

/// What is under `validation_errors`, as text.
fn errors(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{}", answer.text());
    body(answer)["validation_errors"].to_string().replace("\\\"", "\"")
}

/// Label Studio's table of failures, with a sentence that says more in each row.
#[tokio::test]
async fn what_does_not_work_is_said_by_validate_and_keeps_create_from_saving() {
    let (s3, control) = s3_and_control().await;
    for (collection, changes, says) in [
        (SOURCES, json!({ "bucket": "absent-bucket" }), "Cannot find bucket absent-bucket in S3"),
        (SOURCES, json!({ "aws_secret_access_key": "wrong" }), "access_key_id and secret_access_key"),
        (SOURCES, json!({ "aws_access_key_id": "AKIAWRONG" }), "access_key_id and secret_access_key"),
        (SOURCES, json!({ "prefix": "nothing" }), "s3://media/nothing/ not found"),
        // Label Studio's test takes the beginning of a name, and its sync then finds nothing.
        (SOURCES, json!({ "prefix": "im" }), "s3://media/im/ not found"),
        (SOURCES, json!({ "aws_secret_access_key": "" }), "go together"),
        (SOURCES, json!({ "s3_endpoint": "http://127.0.0.1:1" }), "check the endpoint, its port"),
        (SOURCES, json!({ "s3_endpoint": "http://10.1.2.3:9000" }), "egress.allow"),
        (SOURCES, json!({ "s3_endpoint": "http://169.254.169.254" }), "egress.allow"),
        (SOURCES, json!({ "bucket": "No Bucket" }), "3 to 63 letters"),
        (SOURCES, json!({ "regex_filter": "(" }), "not a regular expression"),
        (SOURCES, json!({ "project": null }), "This field may not be null."),
        // The server of these tests makes any bucket that is written to, so none is absent for targets.
        (TARGETS, json!({ "aws_secret_access_key": "wrong" }), "access_key_id and secret_access_key"),
        (TARGETS, json!({ "bucket": null }), "This field is required."),
    ] {
        let fields = fields(&s3, &changes);
        for path in [format!("{collection}/validate"), collection.to_owned()] {
            let answer = control.json("POST", &path, &fields).await;
            assert_eq!(answer.status, 400, "{path} {changes}");
            let sentences = errors(&answer);
            assert!(sentences.contains(says), "{path} {changes}: {sentences}");
            assert!(!sentences.contains(SECRET_ACCESS_KEY), "{path} {changes}");
        }
    }
    for collection in COLLECTIONS {
        assert_eq!(control.ask("GET", &format!("{collection}?project=1")).await.text(), "[]", "{collection}");
    }
}

#[tokio::test]
async fn what_works_is_validated_without_a_word_and_without_a_trace() {
    let (s3, control) = s3_and_control().await;
    for (collection, changes) in [
        (SOURCES, json!({})),
        (SOURCES, json!({ "prefix": "" })),
        (SOURCES, json!({ "prefix": null, "bucket": "annotations" })),
        (TARGETS, json!({ "bucket": "annotations", "prefix": "out" })),
        (TARGETS, json!({ "bucket": "annotations", "can_delete_objects": true })),
    ] {
        let answer = control.json("POST", &format!("{collection}/validate"), &fields(&s3, &changes)).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{collection} {changes}");
        assert_eq!(answer.header("content-type"), "", "{collection} {changes}");
        assert_eq!(control.ask("GET", &format!("{collection}?project=1")).await.text(), "[]");
    }
}

#[tokio::test]
async fn an_id_fills_in_what_a_body_leaves_out_and_nothing_is_saved() {
    let (s3, control) = s3_and_control().await;
    let storage = made(&control, SOURCES, &fields(&s3, &json!({}))).await;
    let id = &storage["id"];
    for (path, sent, status) in [
        ("validate", json!({ "id": id }), 200),
        ("validate", json!({ "id": id, "title": "other", "aws_secret_access_key": "" }), 200),
        ("validate", json!({ "id": id.to_string(), "prefix": "nothing" }), 400),
        ("validate", json!({ "id": id, "aws_secret_access_key": "wrong" }), 400),
        ("validate", json!({ "id": 4711 }), 404),
        ("files", json!({ "id": id, "title": "other", "prefix": "" }), 200),
        ("files", json!({ "id": 4711 }), 404),
    ] {
        let answer = control.json("POST", &format!("{SOURCES}/{path}"), &sent).await;
        assert_eq!(answer.status, status, "{path} {sent}: {}", answer.text());
    }
    assert_eq!(body(&control.ask("GET", &format!("{SOURCES}/{id}")).await), storage);
}

#[tokio::test]
async fn a_storage_of_the_file_is_tested_with_the_keys_of_the_file() {
    let (s3, control) = s3_and_control().await;
    let settings: Settings = serde_json::from_value(json!({ "bucket": "media", "prefix": "img" })).unwrap();
    let settings = Settings { endpoint: EndpointUrl::parse(&s3.url()).ok(), ..settings };
    let name = StorageName::parse("media").unwrap();
    let storage = FileStorage { name, direction: Direction::Import, kind: Kind::S3, settings };
    let id = control.store.reconcile_file_storages(&[storage]).await.unwrap()[0].id.0;
    for path in ["validate", "files"] {
        let answer = control.json("POST", &format!("{SOURCES}/{path}"), &json!({ "id": id })).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_change_is_tested_when_it_touches_the_connection() {
    let (s3, control) = s3_and_control().await;
    let id = made(&control, SOURCES, &fields(&s3, &json!({}))).await["id"].clone();
    let path = format!("{SOURCES}/{id}");
    for (changes, status, is_tested) in [
        (json!({ "title": "new", "presign_ttl": 5 }), 200, false),
        (json!({ "bucket": "media" }), 200, true),
        (json!({ "aws_secret_access_key": "wrong" }), 400, true),
        (json!({ "prefix": "img/deep" }), 200, true),
        (json!({ "prefix": "nothing" }), 400, true),
        (json!({ "bucket": null }), 200, false),
    ] {
        let before = (s3.seen().len(), body(&control.ask("GET", &path).await));
        let answer = control.json("PATCH", &path, &changes).await;
        assert_eq!(answer.status, status, "{changes}: {}", answer.text());
        assert_eq!(s3.seen().len() > before.0, is_tested, "{changes}");
        if status == 400 {
            assert_eq!(body(&control.ask("GET", &path).await), before.1, "{changes}");
        }
    }
}

/// From here the network of browsers cannot be seen, so it keeps nothing from being saved.
#[tokio::test]
async fn what_only_browsers_need_is_a_warning_on_saving_and_a_failure_of_validate() {
    let (s3, control) = s3_and_control().await;
    let fields = fields(&s3, &json!({ "public_endpoint": "http://127.0.0.1:1" }));
    let storage = made(&control, SOURCES, &fields).await;
    let warning = storage["warnings"][0].as_str().unwrap();
    assert!(warning.contains("presigned URL"), "{warning}");
    assert!(errors(&control.json("POST", &format!("{SOURCES}/validate"), &fields).await).contains(warning));
    let path = format!("{SOURCES}/{}", storage["id"]);
    assert_eq!(body(&control.ask("GET", &path).await)["warnings"], Value::Null);
    let streamed = control.json("PATCH", &path, &json!({ "presign": false, "bucket": "media" })).await;
    assert_eq!((streamed.status, &body(&streamed)["warnings"]), (200, &Value::Null));
}

#[tokio::test]
async fn files_are_listed_up_to_a_limit_with_count_and_size() {
    let (s3, control) = s3_and_control().await;
    let null_row = json!({ "key": null, "last_modified": null, "size": null });
    for (changes, keys, is_cut) in [
        (json!({}), vec!["img/a.jpg", "img/b.png"], false),
        (json!({ "recursive_scan": true }), vec!["img/a.jpg", "img/b.png", "img/deep/c.jpg"], false),
        (
            json!({ "recursive_scan": true, "limit": 3 }),
            vec!["img/a.jpg", "img/b.png", "img/deep/c.jpg"],
            false,
        ),
        (json!({ "recursive_scan": true, "limit": 2 }), vec!["img/a.jpg", "img/b.png"], true),
        (json!({ "limit": "1" }), vec!["img/a.jpg"], true),
        (
            json!({ "regex_filter": ".*jpg", "recursive_scan": true }),
            vec!["img/a.jpg", "img/deep/c.jpg"],
            false,
        ),
        (json!({ "prefix": "nothing" }), vec![], false),
    ] {
        let answer = control.json("POST", &format!("{SOURCES}/files"), &fields(&s3, &changes)).await;
        assert_eq!(answer.status, 200, "{changes}: {}", answer.text());
        let mut preview = body(&answer);
        let rows = preview["files"].as_array_mut().unwrap();
        assert_eq!(rows.last() == Some(&null_row), is_cut, "{changes}");
        rows.retain(|row| *row != null_row);
        let got: Vec<_> = rows.iter().map(|row| row["key"].as_str().unwrap()).collect();
        assert_eq!(got, keys, "{changes}");
        for row in rows.iter() {
            assert_eq!(row["size"].as_u64().unwrap(), row["key"].as_str().unwrap().len() as u64);
            assert!(row["last_modified"].as_str().unwrap().ends_with('Z'), "{row}");
        }
        let size: usize = keys.iter().map(|key| key.len()).sum();
        assert_eq!(
            (&preview["count"], &preview["total_size"]),
            (&json!(keys.len()), &json!(size)),
            "{changes}"
        );
    }
    for (changes, says) in [
        (json!({ "limit": "many" }), "A valid integer is required."),
        (json!({ "limit": 0 }), "limit is 1 to 10000."),
        (json!({ "bucket": "absent-bucket" }), "Failed to list storage files"),
        (json!({ "bucket": null }), "the storage has no bucket; set bucket"),
    ] {
        let sentences =
            errors(&control.json("POST", &format!("{SOURCES}/files"), &fields(&s3, &changes)).await);
        assert!(sentences.contains(says), "{changes}: {sentences}");
    }
    assert_eq!(control.ask("GET", &format!("{SOURCES}?project=1")).await.text(), "[]");
}

#[tokio::test]
async fn a_target_is_written_to_and_deleted_from_only_where_it_may_be() {
    let (s3, control) = s3_and_control().await;
    for (can_delete, kept) in [(json!(true), 0), (json!(null), 1)] {
        let changes = json!({ "bucket": "annotations", "prefix": "out", "can_delete_objects": can_delete });
        let target = made(&control, TARGETS, &fields(&s3, &changes)).await;
        assert_eq!((&target["type"], &target["can_delete_objects"]), (&json!("s3"), &can_delete));
        let left = std::fs::read_dir(s3.bucket("annotations").join("out")).map_or(0, Iterator::count);
        assert_eq!(left, kept, "{can_delete}");
    }
}
