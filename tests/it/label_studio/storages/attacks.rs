//! Who tries for what is not theirs.

use serde_json::{Value, json};

use super::{COLLECTIONS, Front, ROLE, body, fields};
use crate::support::{
    control::{ADMIN_TOKEN, ControlPort},
    gateway::{Answer, storage, token},
    s3::S3Server,
};

/// Every request that names a storage, or makes one.
fn all_verbs(collection: &str, id: &str) -> Vec<(&'static str, String, Value)> {
    let named = json!({ "id": id.parse::<i64>().unwrap_or(0), "title": "taken" });
    let one = format!("{collection}/{id}");
    vec![
        ("GET", one.clone(), Value::Null),
        ("HEAD", one.clone(), Value::Null),
        ("PATCH", one.clone(), json!({ "title": "taken" })),
        ("PATCH", one.clone(), json!({ "project": 1 })),
        ("PUT", one.clone(), json!({ "project": 1, "role_arn": ROLE, "title": "taken" })),
        ("POST", format!("{one}/sync"), Value::Null),
        ("POST", format!("{collection}/validate"), named.clone()),
        ("POST", format!("{collection}/files"), named),
        ("POST", format!("{collection}/validate"), json!({ "id": id, "project": 1 })),
        ("POST", format!("{collection}/files"), json!({ "id": id, "project": 1 })),
        ("DELETE", format!("{one}/"), Value::Null),
    ]
}

fn without_names(answer: &Answer) -> bool {
    !["made", "images", "media"].iter().any(|word| answer.text().contains(word))
}

#[tokio::test]
async fn the_storages_of_another_project_are_forbidden_and_say_nothing() {
    let s3 = S3Server::start().await;
    s3.put("media", "a.jpg", b"abc");
    let front = Front::start().await;
    let collections = ["/api/storages/s3", "/api/storages/export/s3"];
    let cases = collections.iter().flat_map(|collection| [(collection, 2, 404), (collection, 3, 403)]);
    for (collection, project, status) in cases {
        let made = front.admin("POST", collection, &fields(&s3, project)).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let id = body(&made)["id"].to_string();
        for (method, path, sent) in all_verbs(collection, &id) {
            let answer = front.ask("ann", method, &path, &sent).await;
            assert_eq!(answer.status, status, "{method} {path} {sent}: {}", answer.text());
            assert!(without_names(&answer), "{}", answer.text());
        }
        let kept = body(&front.admin("GET", &format!("{collection}/{id}"), &json!({})).await);
        assert_eq!((&kept["title"], &kept["project"]), (&json!("images"), &json!(project)));
        let listed = front.ask("ann", "GET", &format!("{collection}?project={project}"), &Value::Null).await;
        assert_eq!(listed.status, status, "{}", listed.text());
        let theirs = front.ask("bob", "GET", &format!("{collection}/{id}"), &Value::Null).await;
        assert_eq!(theirs.status == 200, project == 2, "{}", theirs.text());
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let front = Front::start().await;
    for collection in COLLECTIONS {
        for (method, path, sent) in all_verbs(collection, "4711") {
            let answer = front.ask("ann", method, &path, &sent).await;
            assert_eq!(answer.status, 404, "{method} {path} {sent}: {}", answer.text());
        }
    }
    // Of its own type and direction alone.
    let path = front.made("/api/storages/s3", Some(1)).await;
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(front.ask("ann", "GET", &format!("/api/storages/s3s/{id}"), &Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_storage_is_made_and_moved_only_within_ones_own_projects() {
    let front = Front::start().await;
    let path = front.made("/api/storages/s3", Some(1)).await;
    for (project, status, says) in [
        (json!(2), 400, "object does not exist"),
        (json!("2"), 400, "object does not exist"),
        (json!(3), 403, "permission"),
        (json!(9), 400, "object does not exist"),
        (json!("01"), 400, "object does not exist"),
        (json!("1&project=2"), 400, "object does not exist"),
        (json!("one"), 400, "object does not exist"),
        (json!(null), 400, "may not be null"),
        (json!([1]), 400, "number of a project"),
    ] {
        let sent = json!({ "project": project, "role_arn": ROLE });
        for (method, path) in [
            ("POST", "/api/storages/s3"),
            ("POST", "/api/storages/s3s"),
            ("POST", "/api/storages/s3/validate"),
            ("POST", "/api/storages/s3/files"),
            ("PATCH", &path),
            ("PUT", &path),
        ] {
            let answer = front.ask("ann", method, path, &sent).await;
            assert_eq!(answer.status, status, "{method} {path} {sent}: {}", answer.text());
            assert!(answer.text().contains(says), "{method} {path} {sent}: {}", answer.text());
        }
    }
    let answer = front.ask("ann", "POST", "/api/storages/s3", &json!({ "title": "x" })).await;
    assert_eq!((answer.status, answer.text().contains("This field is required.")), (400, true));
    for project in ["2", "3", "9"] {
        let listed = front.admin("GET", &format!("/api/storages/s3?project={project}"), &json!({})).await;
        assert_eq!(listed.text(), "[]");
    }
}

#[tokio::test]
async fn nobody_gets_nothing_and_label_studio_is_not_asked() {
    let front = Front::start().await;
    let path = front.made("/api/storages/s3", Some(1)).await;
    let id = path.rsplit('/').next().unwrap();
    let ours = format!("Bearer {}", token());
    for headers in [vec![], vec![("authorization", ours.as_str())], vec![("cookie", "mediagate_token=x")]] {
        let mut all = all_verbs("/api/storages/s3", id);
        all.push(("GET", "/api/storages/s3?project=1".to_owned(), Value::Null));
        all.push(("POST", "/api/storages/s3".to_owned(), json!({ "project": 1 })));
        all.push(("GET", "/api/storages/s3/form".to_owned(), Value::Null));
        all.extend(all_verbs("/api/storages/s3", "4711"));
        all.push(("POST", "/api/storages/s3".to_owned(), json!([])));
        for (method, path, sent) in all {
            // A cookie of ours is one too, where pages of other sites are kept off.
            let headers: Vec<_> = headers.iter().copied().chain([("sec-fetch-site", "none")]).collect();
            let answer = front.send(method, &path, &headers, &sent).await;
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
            assert_eq!(answer.header("www-authenticate"), "Token", "{method} {path}");
        }
    }
    assert_eq!(front.told.asked(), Vec::<String>::new());
    for headers in [[("authorization", "Token mallory")], [("cookie", "sessionid=mallory")]] {
        assert_eq!(front.send("GET", &path, &headers, &Value::Null).await.status, 401);
    }
    // The admin's bearer opens nothing on this port.
    let admin = format!("Token {}", crate::support::gateway::ADMIN);
    assert_eq!(front.send("GET", &path, &[("authorization", &admin)], &Value::Null).await.status, 401);
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let front = Front::start().await;
    let path = front.made("/api/storages/s3", Some(1)).await;
    let id = path.rsplit('/').next().unwrap();
    let evil: [&[(&str, &str)]; 6] = [
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("origin", "https://evil.example"), ("x-forwarded-host", "evil.example")],
        &[("authorization", "Basic eDp5")],
        &[],
    ];
    for headers in evil {
        let headers: Vec<_> = headers.iter().copied().chain([("cookie", "sessionid=ann")]).collect();
        let mut all = all_verbs("/api/storages/s3", id);
        all.push(("POST", "/api/storages/s3".to_owned(), json!({ "project": 1 })));
        for (method, path, sent) in all.into_iter().filter(|(method, ..)| !matches!(*method, "GET" | "HEAD"))
        {
            let answer = front.send(method, &path, &headers, &sent).await;
            assert_eq!(answer.status, 403, "{method} {path} {headers:?}: {}", answer.text());
            assert!(answer.text().contains("Origin"), "{}", answer.text());
        }
    }
    assert_eq!(front.told.asked(), Vec::<String>::new());
    let listed = body(&front.admin("GET", "/api/storages/s3?project=1", &json!({})).await);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["title"]), (1, &json!("made")));
}

/// The operator's storages: those of no project are nobody's, and the keys of the file cannot be pointed elsewhere.
#[tokio::test]
async fn storages_of_the_file_are_shown_at_most() {
    let s3 = S3Server::start().await;
    s3.put("media", "a.jpg", b"abc");
    let of_project = storage(&s3.url(), "project = \"1\"\nimport = \"files\"");
    let of_all = storage(&s3.url(), "prefix = \"x\"").replace("name = \"media\"", "name = \"shared\"");
    let front = Front::start_with(&format!("{of_project}\n{of_all}")).await;
    let all = body(&front.admin("GET", "/api/storages/s3?project=1", &json!({})).await);
    let id_of = |name: &str| {
        let found = all.as_array().unwrap().iter().find(|one| one["name"] == name);
        found.map(|one| one["id"].to_string()).unwrap()
    };
    let (own, shared) = (id_of("media"), id_of("shared"));
    let seen = body(&front.ask("ann", "GET", "/api/storages/s3?project=1", &Value::Null).await);
    assert_eq!(
        seen.as_array().unwrap().iter().map(|one| one["id"].to_string()).collect::<Vec<_>>(),
        std::slice::from_ref(&own)
    );
    for (method, path, sent) in all_verbs("/api/storages/s3", &shared) {
        assert_eq!(front.ask("ann", method, &path, &sent).await.status, 404, "{method} {path} {sent}");
    }
    for (method, path, sent) in all_verbs("/api/storages/s3", &own) {
        let want = if matches!(method, "GET" | "HEAD") || path.ends_with("/sync") { 200 } else { 403 };
        let answer = front.ask("ann", method, &path, &sent).await;
        assert_eq!(answer.status, want, "{method} {path} {sent}: {}", answer.text());
    }
    // To the admin the test of a connection is open as it was.
    let sent = json!({ "id": own.parse::<i64>().unwrap() });
    assert_eq!(front.admin("POST", "/api/storages/s3/files", &sent).await.status, 200);
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let front = Front::start().await;
    let sent = json!({ "project": 1, "title": "x".repeat(2 * 1024 * 1024) });
    assert_eq!(front.ask("ann", "POST", "/api/storages/s3", &sent).await.status, 413);
}

/// What a member is told goes to no page that media may be read by.
#[tokio::test]
async fn the_cors_rules_of_media_are_not_for_storages() {
    let cors = "[cors]\norigins = [\"https://app.example\"]\ncredentials = true\n";
    let front = Front::start_with(cors).await;
    let path = front.made("/api/storages/s3", Some(1)).await;
    let headers = [("cookie", "sessionid=ann"), ("origin", "https://app.example")];
    for path in [path.as_str(), "/api/storages?project=1"] {
        let answer = front.send("GET", path, &headers, &Value::Null).await;
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""), "{path}");
    }
}

/// A door that forgot to say who asks opens nothing, not even with the admin's bearer.
#[tokio::test]
async fn without_a_caller_every_path_is_closed() {
    let control = ControlPort::start_for_nobody().await;
    for collection in COLLECTIONS {
        let mut all = all_verbs(collection, "1");
        all.push(("GET", format!("{collection}?project=1"), Value::Null));
        all.push(("GET", format!("{collection}/form"), Value::Null));
        all.push(("POST", format!("{collection}/"), json!({ "project": 1 })));
        for (method, path, sent) in all {
            let answer = control.send(method, &path, &[ADMIN_TOKEN], sent.to_string()).await;
            assert_eq!(answer.status, 401, "{method} {path}");
        }
    }
    for path in ["/api/storages", "/api/storages/types", "/api/storages/nothing", "/api/tokens", "/metrics"] {
        assert_eq!(control.ask("GET", path).await.status, 401, "{path}");
    }
}
