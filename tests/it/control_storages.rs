//! Label Studio's storage API on the control port: paths, codes, fields and error JSON.

mod connected;

use std::collections::BTreeSet;

use mediagate::{
    id::StorageName,
    storage::{Direction, Kind, Settings},
    store::FileStorage,
};
use serde_json::{Value, json};

use crate::support::{
    control::{ADMIN_TOKEN, ControlPort},
    gateway::{ADMIN, Answer},
};

const COLLECTIONS: [&str; 4] =
    ["/api/storages/s3", "/api/storages/s3s", "/api/storages/export/s3", "/api/storages/export/s3s"];
const ROLE: &str = "arn:aws:iam::123456789012:role/mediagate";

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

/// The names of an object in the order in which they were sent.
fn names(answer: &Answer) -> Vec<String> {
    let order: Vec<(usize, String)> = body(answer)
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (answer.text().find(&format!("\"{name}\":")).unwrap(), name.clone()))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    order.into_iter().map(|(_, name)| name).collect()
}

/// Makes a source without a bucket, so that nothing is connected to, and returns its path.
async fn source(control: &ControlPort, more: Value) -> String {
    let mut fields = json!({ "project": 1, "title": "source" });
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = control.json("POST", "/api/storages/s3/", &fields).await;
    assert_eq!(made.status, 201, "{made:?}");
    format!("/api/storages/s3/{}", body(&made)["id"])
}

#[tokio::test]
async fn everything_under_api_wants_the_admin() {
    let control = ControlPort::start().await;
    for path in
        ["/api/storages/s3/?project=1", "/api/storages/nothing", "/api/openapi.json", "/api/nothing", "/api"]
    {
        let label_studio = path.starts_with("/api/storages");
        for header in ["", "Token", "Token wrong", "Bearer wrong", "Basic YTpi"] {
            let answer = control.send("GET", path, &[("authorization", header)], "").await;
            assert_eq!(answer.status, 401, "{path} {header}");
            let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
            if label_studio {
                assert_eq!(challenges, ["Token", "Bearer realm=\"mediagate admin\""], "{path} {header}");
                assert_eq!(body(&answer)["status_code"], 401);
            } else {
                assert_eq!(challenges, ["Bearer realm=\"mediagate admin\""], "{path} {header}");
                assert_eq!(answer.header("content-type"), "application/problem+json");
            }
        }
        for scheme in ["Token", "Bearer", "token", "BEARER"] {
            let header = format!("{scheme} {ADMIN}");
            let answer = control.send("GET", path, &[("authorization", &header)], "").await;
            assert_ne!(answer.status, 401, "{path} {scheme}");
        }
    }
    assert_eq!(control.send("GET", "/livez", &[], "").await.status, 200);
}

#[tokio::test]
async fn a_source_is_answered_with_label_studios_fields_and_defaults_in_its_order() {
    let control = ControlPort::start().await;
    let made = control.json("POST", "/api/storages/s3/", &json!({ "project": 7 })).await;
    assert_eq!(made.status, 201);
    let label_studio = [
        "id",
        "type",
        "synchronizable",
        "presign",
        "last_sync",
        "last_sync_count",
        "last_sync_job",
        "status",
        "traceback",
        "meta",
        "title",
        "description",
        "created_at",
        "bucket",
        "prefix",
        "regex_filter",
        "use_blob_urls",
        "aws_sse_kms_key_id",
        "region_name",
        "s3_endpoint",
        "presign_ttl",
        "recursive_scan",
        "project",
    ];
    let ours = [
        "name",
        "origin",
        "public_endpoint",
        "addressing",
        "delivery",
        "rules",
        "allow",
        "deny",
        "sync_every",
        "on_changed",
        "on_vanished",
        "duplicates",
        "inventory",
    ];
    assert_eq!(names(&made), [&label_studio[..], &ours[..]].concat());
    let mut storage = body(&made);
    let created_at = storage["created_at"].take();
    let created_at = created_at.as_str().unwrap();
    // `2026-11-23T23:44:38.437165Z`
    assert_eq!((created_at.len(), created_at.ends_with('Z')), (27, true), "{created_at}");
    assert!(storage["id"].take().as_i64().unwrap() > 0);
    assert!(storage["name"].take().as_str().unwrap().starts_with("s3-"));
    assert_eq!(
        storage,
        json!({
            "id": null, "type": "s3", "synchronizable": true, "presign": true, "last_sync": null,
            "last_sync_count": null, "last_sync_job": null, "status": "initialized", "traceback": null, "meta": {},
            "title": null, "description": null, "created_at": null, "bucket": null, "prefix": null,
            "regex_filter": null, "use_blob_urls": false, "aws_sse_kms_key_id": null, "region_name": null,
            "s3_endpoint": null, "presign_ttl": 1, "recursive_scan": false, "project": 7, "name": null,
            "origin": "api", "public_endpoint": null, "addressing": "auto", "delivery": null, "rules": [],
            "allow": null, "deny": [], "sync_every": null, "on_changed": "report", "on_vanished": "report",
            "duplicates": false, "inventory": null,
        })
    );
}

/// The store keeps rules as text, which must not round a size.
#[tokio::test]
async fn rules_come_back_to_the_byte() {
    let control = ControlPort::start().await;
    let rules = json!([
        { "min_size": 1025, "max_size": 1_048_577, "content_types": ["video/*"], "delivery": "redirect" },
        { "networks": ["10.0.0.0/8"], "delivery": "stream" },
    ]);
    let path = source(&control, json!({ "delivery": "rules", "rules": rules })).await;
    assert_eq!(body(&control.ask("GET", &path).await)["rules"], rules);
}

#[tokio::test]
async fn role_storages_have_their_role_besides() {
    let control = ControlPort::start().await;
    let fields = json!({ "project": 1, "role_arn": ROLE, "external_id": "ab", "status": "failed", "meta": { "a": 1 } });
    let made = control.json("POST", "/api/storages/s3s/", &fields).await;
    assert_eq!(made.status, 201, "{made:?}");
    let storage = body(&made);
    assert_eq!(
        (&storage["type"], &storage["role_arn"], &storage["external_id"], &storage["legacy_auth"]),
        (&json!("s3s"), &json!(ROLE), &json!("ab"), &Value::Null)
    );
    assert_eq!((&storage["status"], &storage["meta"]), (&json!("initialized"), &json!({})));
    let without = control.json("POST", "/api/storages/s3s/", &json!({ "project": 1 })).await;
    assert_eq!(without.status, 400);
    assert_eq!(body(&without)["validation_errors"], json!({ "role_arn": ["This field is required."] }));
}

#[tokio::test]
async fn a_storage_lives_from_post_to_delete_and_always_tells_its_type() {
    let control = ControlPort::start().await;
    let path = source(&control, json!({ "description": "d" })).await;
    let got = control.ask("GET", &path).await;
    assert_eq!((got.status, &body(&got)["title"]), (200, &json!("source")));
    let patched = control.json("PATCH", &path, &json!({ "title": "new", "presign_ttl": 15 })).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    let storage = body(&patched);
    assert_eq!(
        (&storage["type"], &storage["title"], &storage["presign_ttl"], &storage["description"]),
        (&json!("s3"), &json!("new"), &json!(15), &json!("d"))
    );
    let put = control.json("PUT", &path, &json!({ "project": "a-project" })).await;
    assert_eq!(
        (put.status, &body(&put)["project"], &body(&put)["title"]),
        (200, &json!("a-project"), &json!("new"))
    );
    let without = control.json("PUT", &path, &json!({ "title": "x" })).await;
    assert_eq!(body(&without)["validation_errors"], json!({ "project": ["This field is required."] }));
    let nothing = control.ask("PATCH", &path).await;
    assert_eq!((nothing.status, &body(&nothing)["title"]), (200, &json!("new")));
    let deleted = control.ask("DELETE", &path).await;
    assert_eq!((deleted.status, deleted.body.len()), (204, 0));
    for (method, path) in [
        ("GET", path.clone()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/sync")),
    ] {
        let gone = control.ask(method, &path).await;
        assert_eq!(gone.status, 404, "{method}");
        assert!(body(&gone)["detail"].as_str().unwrap().starts_with("Not found. There is no import storage"));
    }
}

#[tokio::test]
async fn both_slash_forms_of_every_path_answer_alike() {
    let control = ControlPort::start().await;
    let id = source(&control, json!({})).await;
    for (method, path) in [
        ("GET", "/api/storages"),
        ("GET", "/api/storages/types"),
        ("GET", "/api/storages/export"),
        ("GET", "/api/storages/export/types"),
        ("GET", "/api/storages/s3/form"),
        ("GET", "/api/storages/export/s3s/form"),
        ("GET", id.as_str()),
        ("POST", "/api/storages/s3/validate"),
        ("POST", "/api/storages/s3s/files"),
        ("POST", "/api/storages/export/s3"),
    ] {
        let (without, with) =
            (control.ask(method, path).await, control.ask(method, &format!("{path}/")).await);
        assert_ne!(without.status, 404, "{path}");
        assert_eq!(without.status, with.status, "{path}");
        if without.status == 200 {
            assert_eq!(without.body, with.body, "{path}");
        }
    }
    for collection in COLLECTIONS {
        for slash in ["", "/"] {
            assert_eq!(control.ask("GET", &format!("{collection}{slash}?project=9")).await.text(), "[]");
        }
    }
}

#[tokio::test]
async fn lists_are_arrays_of_one_project() {
    let control = ControlPort::start().await;
    source(&control, json!({ "title": "a" })).await;
    source(&control, json!({ "title": "b", "project": 2 })).await;
    let role = json!({ "project": 1, "title": "c", "role_arn": ROLE });
    assert_eq!(control.json("POST", "/api/storages/s3s", &role).await.status, 201);
    for (path, want) in [
        ("/api/storages/s3/?project=1&ordering=-id", vec!["a"]),
        ("/api/storages/s3/?project=2", vec!["b"]),
        ("/api/storages/s3/?project=2&project=1", vec!["a"]),
        ("/api/storages/s3s/?project=1", vec!["c"]),
        ("/api/storages/?project=1", vec!["a", "c"]),
        ("/api/storages/", vec![]),
        ("/api/storages/export?project=1", vec![]),
        ("/api/storages/export/s3?project=1", vec![]),
    ] {
        let listed = body(&control.ask("GET", path).await);
        let titles: Vec<_> =
            listed.as_array().unwrap().iter().map(|one| one["title"].as_str().unwrap()).collect();
        assert_eq!(titles, want, "{path}");
    }
    for path in COLLECTIONS {
        let without = control.ask("GET", path).await;
        assert_eq!(without.status, 400, "{path}");
        let errors = json!({ "non_field_errors": ["query parameter \"project\" is required"] });
        assert_eq!(body(&without)["validation_errors"], errors, "{path}");
    }
}

#[tokio::test]
async fn a_storage_is_found_only_where_it_belongs() {
    let control = ControlPort::start().await;
    let path = source(&control, json!({})).await;
    let id = path.rsplit('/').next().unwrap();
    for collection in &COLLECTIONS[1..] {
        assert_eq!(control.ask("GET", &format!("{collection}/{id}")).await.status, 404, "{collection}");
        assert_eq!(control.ask("DELETE", &format!("{collection}/{id}")).await.status, 404, "{collection}");
        let tested = json!({ "id": id, "role_arn": ROLE });
        assert_eq!(control.json("POST", &format!("{collection}/validate"), &tested).await.status, 404);
    }
    for odd in ["0", "-1", "x", "1.5", "99999999999999999999", "%ff"] {
        let answer = control.ask("GET", &format!("/api/storages/s3/{odd}")).await;
        assert_eq!((answer.status, &body(&answer)["status_code"]), (404, &json!(404)), "{odd}");
    }
    assert_eq!(control.ask("GET", &path).await.status, 200);
}

#[tokio::test]
async fn refusals_are_label_studios_error_json() {
    let control = ControlPort::start().await;
    let path = source(&control, json!({})).await;
    let json_type = ("content-type", "application/json");
    for (method, path, sent, status, detail) in [
        ("POST", "/api/storages/s3", "{\"project\": null}", 400, "Validation error"),
        (
            "POST",
            "/api/storages/s3",
            "{",
            400,
            "JSON parse error - EOF while parsing an object at line 1 column 1",
        ),
        (
            "GET",
            "/api/storages/gcs",
            "",
            404,
            "Not found. There are storages of the types s3 and s3s, below /api/storages \
                                              and /api/storages/export.",
        ),
        ("POST", path.as_str(), "", 405, "Method \"POST\" not allowed."),
        ("DELETE", "/api/storages", "", 405, "Method \"DELETE\" not allowed."),
        ("GET", "/api/storages/s3/validate", "", 405, "Method \"GET\" not allowed."),
    ] {
        let answer = control.send(method, path, &[ADMIN_TOKEN, json_type], sent).await;
        let refusal = body(&answer);
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!((&refusal["status_code"], &refusal["detail"]), (&json!(status), &json!(detail)), "{path}");
        assert_eq!(
            (&refusal["exc_info"], &refusal["version"]),
            (&Value::Null, &json!(env!("CARGO_PKG_VERSION")))
        );
        assert_eq!(refusal["id"].as_str().unwrap().len(), 36);
        let has = answer.header("allow").is_empty();
        assert_eq!(has, status != 405, "{path}: allow {}", answer.header("allow"));
    }
    let none = control.json("POST", "/api/storages/s3", &json!({})).await;
    assert_eq!(names(&none), ["id", "status_code", "version", "detail", "exc_info", "validation_errors"]);
    assert_eq!(body(&none)["validation_errors"], json!({ "project": ["This field is required."] }));
    let long = control.send("POST", "/api/storages/s3", &[ADMIN_TOKEN, json_type], vec![b' '; 1 << 21]).await;
    assert_eq!(long.status, 413);
}

#[tokio::test]
async fn forms_and_multipart_make_storages_too() {
    let control = ControlPort::start().await;
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"project\"\r\n\r\n5\r\n\
                     --x\r\nContent-Disposition: form-data; name=\"presign\"\r\n\r\nfalse\r\n--x--\r\n";
    for (media_type, sent) in [
        ("application/x-www-form-urlencoded", "project=5&presign=false"),
        ("multipart/form-data; boundary=x", multipart),
    ] {
        let made = control
            .send("POST", "/api/storages/s3", &[ADMIN_TOKEN, ("content-type", media_type)], sent)
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!((&body(&made)["project"], &body(&made)["presign"]), (&json!(5), &json!(false)));
    }
}

#[tokio::test]
async fn secrets_go_in_and_never_come_out() {
    let control = ControlPort::start().await;
    let secrets = json!({
        "aws_access_key_id": "AKIA-seen-by-nobody", "aws_secret_access_key": "secret-seen-by-nobody",
        "aws_session_token": "token-seen-by-nobody",
    });
    let path = source(&control, secrets.clone()).await;
    let kept = |want: bool| {
        let store = control.store.clone();
        let id = mediagate::id::StorageId(path.rsplit('/').next().unwrap().parse().unwrap());
        async move { assert_eq!(!store.storage(id).await.unwrap().unwrap().keys.is_empty(), want) }
    };
    kept(true).await;
    let blank = json!({ "aws_access_key_id": "", "aws_secret_access_key": "", "aws_session_token": "", "title": "x" });
    for (method, path, fields) in [
        ("GET", path.as_str(), json!({})),
        ("PATCH", path.as_str(), json!({ "title": "x" })),
        ("PATCH", path.as_str(), blank),
        ("PUT", path.as_str(), json!({ "project": 1 })),
        ("GET", "/api/storages/s3?project=1", json!({})),
        ("GET", "/api/storages?project=1", json!({})),
        // Refused, and the refusal does not quote it either.
        ("PATCH", path.as_str(), json!({ "aws_secret_access_key": "secret seen-by-nobody" })),
        ("PATCH", path.as_str(), json!({ "s3_endpoint": "https://a:seen-by-nobody@h" })),
        ("POST", "/api/storages/s3/validate", json!({ "id": path.rsplit('/').next().unwrap() })),
    ] {
        let answer = control.json(method, path, &fields).await;
        assert!(!answer.text().contains("seen-by-nobody"), "{method} {path} {fields}: {}", answer.text());
        assert!(!answer.text().contains("aws_secret_access_key\":\""), "{method} {path}");
    }
    kept(true).await;
    let cleared =
        json!({ "aws_access_key_id": null, "aws_secret_access_key": null, "aws_session_token": null });
    assert_eq!(control.json("PATCH", &path, &cleared).await.status, 200);
    kept(false).await;
}

#[tokio::test]
async fn storages_of_the_configuration_file_are_read_only() {
    let control = ControlPort::start().await;
    let storage = FileStorage {
        name: StorageName::parse("media").unwrap(),
        direction: Direction::Import,
        kind: Kind::S3,
        settings: Settings::default(),
    };
    control.store.reconcile_file_storages(&[storage]).await.unwrap();
    let listed = body(&control.ask("GET", "/api/storages/s3/?project=12").await);
    let media = &listed[0];
    assert_eq!(
        (&media["name"], &media["origin"], &media["project"]),
        (&json!("media"), &json!("file"), &Value::Null)
    );
    let path = format!("/api/storages/s3/{}", media["id"]);
    assert_eq!(control.ask("GET", &path).await.status, 200);
    for (method, fields) in
        [("PATCH", json!({ "title": "x" })), ("PUT", json!({ "project": 1 })), ("DELETE", json!({}))]
    {
        let answer = control.json(method, &path, &fields).await;
        assert_eq!(answer.status, 403, "{method}");
        let detail = body(&answer)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("media") && detail.contains("configuration file"), "{detail}");
    }
    assert_eq!(body(&control.ask("GET", &path).await)["title"], Value::Null);
}

#[tokio::test]
async fn sync_is_honest() {
    let control = ControlPort::start().await;
    let path = source(&control, json!({})).await;
    let answer = control.ask("POST", &format!("{path}/sync")).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        body(&answer)["validation_errors"],
        json!({ "bucket": ["There is nothing to sync; set a bucket."] })
    );
    let path = source(&control, json!({ "synchronizable": false })).await;
    let id = path.rsplit('/').next().unwrap();
    let answer = control.ask("POST", &format!("{path}/sync")).await;
    assert_eq!(answer.status, 400);
    assert_eq!(body(&answer), json!({ "message": format!("Storage {id} is not synchronizable") }));
}

#[tokio::test]
async fn types_and_forms_are_offered() {
    let control = ControlPort::start().await;
    let types =
        json!([{ "name": "s3", "title": "AWS S3" }, { "name": "s3s", "title": "AWS S3 with IAM Role" }]);
    for path in ["/api/storages/types", "/api/storages/export/types"] {
        assert_eq!(body(&control.ask("GET", path).await), types);
    }
    for collection in COLLECTIONS {
        let form = control.ask("GET", &format!("{collection}/form")).await.text();
        assert_eq!(form.contains("presign_ttl"), !collection.contains("export"), "{collection}");
        assert_eq!(form.contains("role_arn"), collection.ends_with("s3s"), "{collection}");
    }
}

/// Writers of different fields do not undo each other, and none is told to come back.
#[tokio::test]
async fn changes_at_the_same_time_all_arrive() {
    let control = ControlPort::start().await;
    let path = source(&control, json!({})).await;
    let [a, b, c] = [json!({ "title": "t" }), json!({ "description": "d" }), json!({ "presign_ttl": 9 })];
    let (a, b, c) = tokio::join!(
        control.json("PATCH", &path, &a),
        control.json("PATCH", &path, &b),
        control.json("PATCH", &path, &c)
    );
    assert_eq!((a.status, b.status, c.status), (200, 200, 200));
    let storage = body(&control.ask("GET", &path).await);
    assert_eq!(
        (&storage["title"], &storage["description"], &storage["presign_ttl"]),
        (&json!("t"), &json!("d"), &json!(9))
    );
}

/// What is described is there, and answers only what is described.
#[tokio::test]
async fn the_description_is_of_this_api() {
    let control = ControlPort::start().await;
    let description = body(&control.ask("GET", "/api/openapi.json").await);
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 25);
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let answer = control.ask(&method.to_uppercase(), &path.replace("{id}", "4711")).await;
            let status = answer.status.to_string();
            assert!(operation["responses"].get(&status).is_some(), "{method} {path} answers {status}");
            let found = !answer.text().contains("There are storages of the types");
            assert!(answer.status != 405 && found, "{method} {path}");
        }
    }
}
