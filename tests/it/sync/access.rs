//! A token that names a task and no objects covers what the task mentions, and nothing else.

use serde_json::{Value, json};

use crate::support::{
    bucket::MemoryBucket,
    gateway::{ADMIN, Answer, Gateway, now, sign, storage},
};

/// A gateway with a syncable storage over the bucket, and a second one over the same server.
pub(super) async fn gateway(bucket: &MemoryBucket, more: &str) -> Gateway {
    let config = storage(&bucket.url(), &format!("delivery = \"stream\"\nproject = 1\n{more}"));
    Gateway::start(&config).await
}

pub(super) async fn api(gateway: &Gateway, method: &str, path: &str) -> Answer {
    crate::support::gateway::send(
        gateway.admin,
        method,
        path,
        &[("authorization", &format!("Bearer {ADMIN}"))],
    )
    .await
}

pub(super) async fn start(gateway: &Gateway, storage: &str) -> Value {
    let answer = post(gateway, "/api/runs", &json!({ "storage": storage })).await;
    assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

pub(super) async fn post(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let headers =
        [("authorization", format!("Bearer {ADMIN}")), ("content-type", "application/json".to_owned())];
    crate::support::gateway::send_body(gateway.admin, "POST", path, &headers, body.to_string()).await
}

/// Syncs the storage of the configuration to the end, as its events tell.
pub(super) async fn sync(gateway: &Gateway) -> Value {
    let run = start(gateway, "media").await;
    let events = api(gateway, "GET", &format!("/api/runs/{}/events", run["id"])).await;
    assert_eq!(events.header("content-type"), "text/event-stream");
    let text = events.text();
    let last = text.trim().rsplit("\n\n").next().unwrap().to_owned();
    let data = last.strip_prefix("event: end\ndata: ").unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(data).unwrap()
}

fn token(claims: &Value) -> String {
    let mut all = json!({ "aud": "mediagate", "exp": now() + 3600 });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    sign(&all)
}

async fn status(gateway: &Gateway, token: &str, path: &str) -> (u16, String) {
    let answer = gateway.send("GET", path, &[("authorization", &format!("Bearer {token}"))]).await;
    let code = if answer.status < 400 { String::new() } else { answer.code() };
    (answer.status, code)
}

#[tokio::test]
async fn a_token_with_a_task_covers_exactly_what_the_task_mentions() {
    let bucket =
        MemoryBucket::start(["img/1.jpg", "img/2.jpg", "img/3 &.jpg", "img/4.jpg"].map(str::to_owned)).await;
    let html = r#"<p><img src="s3://media/img/2.jpg"><a href='s3://media/img/3 &amp;.jpg'>x</a></p>"#;
    let data = json!({ "list": [{ "deep": "s3://media/img/1.jpg" }], "html": html, "s3://media/img/4.jpg": "a key is no value" });
    bucket.put("tasks/a.json", json!([{ "data": data }, { "n": 2 }]).to_string());
    let gateway = gateway(&bucket, "import = \"tasks\"\nfilter = \"tasks/\"").await;
    let run = sync(&gateway).await;
    assert_eq!((&run["status"], &run["counters"]["created"]), (&"completed".into(), &2.into()));
    let of_task = token(&json!({ "task": 1 }));
    for (path, want) in [
        ("/media/media/img/1.jpg", 200),
        ("/media/media/img/2.jpg", 200),
        ("/media/media/img/3%20%26.jpg", 200),
        ("/media/media/img/4.jpg", 403),
        ("/media/media/img/absent.jpg", 403),
        ("/media/media/tasks/a.json", 403),
        ("/tasks/1/resolve/?fileuri=s3%3A%2F%2Fmedia%2Fimg%2F1.jpg", 200),
        ("/tasks/2/resolve/?fileuri=s3%3A%2F%2Fmedia%2Fimg%2F1.jpg", 403),
        ("/projects/1/resolve/?fileuri=s3%3A%2F%2Fmedia%2Fimg%2F1.jpg", 200),
    ] {
        let (got, code) = status(&gateway, &of_task, path).await;
        assert_eq!(got, want, "{path} {code}");
        assert!(got == 200 || code == "object_not_granted", "{path} {code}");
    }
    for claims in [
        json!({ "task": 2 }),
        json!({ "task": 999 }),
        json!({ "task": "one" }),
        json!({ "task": "01x" }),
        json!({ "project": 1 }),
        json!({ "task": 1, "project": 2 }),
        json!({ "task": 1, "objects": [] }),
    ] {
        let (got, code) = status(&gateway, &token(&claims), "/media/media/img/1.jpg").await;
        assert_eq!((got, code.as_str()), (403, "object_not_granted"), "{claims}");
    }
}

/// Whoever writes a file of tasks may name any bucket; that opens no storage of another project.
#[tokio::test]
async fn a_task_opens_no_other_projects_storage() {
    let bucket = MemoryBucket::start(["img/1.jpg"].map(str::to_owned)).await;
    bucket.put(
        "tasks/a.json",
        json!([{ "stolen": "s3://secret/img/1.jpg", "open": "s3://shared/img/1.jpg" }]).to_string(),
    );
    let mut config =
        storage(&bucket.url(), "delivery = \"stream\"\nproject = 1\nimport = \"tasks\"\nfilter = \"tasks/\"");
    for (name, project) in [("secret", "project = 2"), ("shared", "")] {
        config += &storage(&bucket.url(), &format!("delivery = \"stream\"\n{project}"))
            .replace("\"media\"", &format!("\"{name}\""));
    }
    let gateway = Gateway::start(&config).await;
    sync(&gateway).await;
    let token = token(&json!({ "task": 1 }));
    assert_eq!(status(&gateway, &token, "/media/secret/img/1.jpg").await.1, "object_not_granted");
    assert_eq!(status(&gateway, &token, "/media/shared/img/1.jpg").await.0, 200);
}
