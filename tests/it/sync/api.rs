//! `/api/runs`, `/api/tasks`, and Label Studio's way to ask for a sync.

use serde_json::{Value, json};

use super::{
    access::{api, gateway, post, start, sync},
    keys,
};
use crate::support::{
    bucket::MemoryBucket,
    gateway::{Answer, Gateway},
};

fn value(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
}

async fn get(gateway: &Gateway, path: &str) -> Value {
    value(&api(gateway, "GET", path).await)
}

#[tokio::test]
async fn runs_are_listed_shown_stopped_and_taken_up_again() {
    let bucket = MemoryBucket::start(keys(10)).await;
    let gateway = gateway(&bucket, "import = \"files\"").await;
    let ended = sync(&gateway).await;
    let id = ended["id"].as_i64().unwrap();
    assert_eq!(ended["counters"]["created"], 10);
    let shown = get(&gateway, &format!("/api/runs/{id}")).await;
    assert_eq!(
        (&shown["status"], &shown["job"], &shown["trigger"]),
        (&json!("completed"), &json!("sync"), &json!("api"))
    );
    assert_eq!(shown["faults"], json!([]));
    sync(&gateway).await;
    let page = get(&gateway, "/api/runs?limit=1").await;
    assert_eq!(page["runs"].as_array().unwrap().len(), 1);
    let before = page["next"].as_i64().unwrap();
    let rest = get(&gateway, &format!("/api/runs?limit=1&before={before}&status=completed")).await;
    assert_eq!(rest["runs"][0]["id"], id);
    let cancelled = api(&gateway, "POST", &format!("/api/runs/{id}/cancel")).await;
    assert_eq!((cancelled.status, cancelled.code().as_str()), (409, "run_ended"));
    let again = value(&api(&gateway, "POST", &format!("/api/runs/{id}/retry")).await);
    assert!(again["id"].as_i64().unwrap() > id, "one that ended well begins anew");
    for (method, path, status, code) in [
        ("GET", "/api/runs/999", 404, "run_not_found"),
        ("POST", "/api/runs/999/cancel", 404, "run_not_found"),
        ("GET", "/api/runs/999/events", 404, "run_not_found"),
        ("GET", "/api/runs?status=odd", 422, "request_invalid"),
        ("GET", "/api/tasks/999", 404, "task_not_found"),
        ("GET", "/api/tasks?urls=odd", 422, "request_invalid"),
        ("GET", "/api/tasks?base=javascript:1&urls=media", 422, "request_invalid"),
    ] {
        let answer = api(&gateway, method, path).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{method} {path}");
    }
    let unknown = post(&gateway, "/api/runs", &json!({ "storage": "nobody" })).await;
    assert_eq!(unknown.code(), "storage_not_found");
    assert!(unknown.text().contains("there are: media"), "{}", unknown.text());
    for (job, status) in [("export", 404), ("odd", 422)] {
        let answer = post(&gateway, "/api/runs", &json!({ "storage": "media", "job": job })).await;
        assert_eq!(answer.status, status, "{job}: {}", answer.text());
    }
    gateway.metric_becomes("mediagate_runs_total", &["sync", "completed"], 3.0).await;
    assert!(gateway.metric("mediagate_run_items_total", &["created"]).await > 9.0);
}

#[tokio::test]
async fn a_storage_without_a_meaning_is_not_synced() {
    let bucket = MemoryBucket::start(keys(1)).await;
    let gateway = gateway(&bucket, "").await;
    let answer = post(&gateway, "/api/runs", &json!({ "storage": "media" })).await;
    assert_eq!(answer.code(), "request_invalid");
    assert!(answer.text().contains("import = \\\"files\\\""), "{}", answer.text());
}

#[tokio::test]
async fn a_schedule_syncs_by_itself() {
    let bucket = MemoryBucket::start(keys(3)).await;
    let gateway = gateway(&bucket, "import = \"files\"\nsync_every = \"15m\"").await;
    gateway.metric_becomes("mediagate_runs_total", &["sync", "completed"], 1.0).await;
    let runs = get(&gateway, "/api/runs").await;
    assert_eq!(runs["runs"][0]["trigger"], "schedule");
}

#[tokio::test]
async fn label_studios_sync_answers_at_once_with_its_states() {
    let bucket = MemoryBucket::start(keys(5)).await;
    let gateway = Gateway::start("[egress]\nallow = [\"127.0.0.0/8\"]\n").await;
    let body = json!({
        "project": 1, "bucket": "media", "s3_endpoint": bucket.url(), "use_blob_urls": true, "recursive_scan": true,
        "aws_access_key_id": crate::support::s3::ACCESS_KEY_ID,
        "aws_secret_access_key": crate::support::s3::SECRET_ACCESS_KEY,
    });
    let made = post(&gateway, "/api/storages/s3/", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let id = value(&made)["id"].as_i64().unwrap();
    let asked = value(&api(&gateway, "POST", &format!("/api/storages/s3/{id}/sync")).await);
    assert!(["queued", "in_progress", "completed"].contains(&asked["status"].as_str().unwrap()), "{asked}");
    gateway.metric_becomes("mediagate_runs_total", &["sync", "completed"], 1.0).await;
    let done = get(&gateway, &format!("/api/storages/s3/{id}")).await;
    assert_eq!((&done["status"], &done["last_sync_count"]), (&json!("completed"), &json!(5)), "{done}");
    assert_eq!(done["meta"]["tasks_existed"], 0);
    assert!(done["last_sync"].is_string() && done["traceback"].is_null());
    let tasks = get(&gateway, "/api/tasks?project=1").await;
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 5);
    assert_eq!(get(&gateway, "/api/tasks?project=2").await["tasks"], json!([]));
}

#[tokio::test]
async fn tasks_come_with_urls_and_tokens_that_work() {
    let bucket = MemoryBucket::start([]).await;
    bucket.put("img/1.jpg", "picture");
    bucket.put(
        "tasks/a.jsonl",
        "{\"data\": {\"image\": \"s3://media/img/1.jpg\", \"n\": 1.10}, \"meta\": {\"a\": 1}}\n{\"n\": 2}\n",
    );
    let gateway = gateway(&bucket, "import = \"tasks\"\nfilter = \"tasks/\"").await;
    sync(&gateway).await;
    let plain = get(&gateway, "/api/tasks/1").await;
    assert_eq!((&plain["data"]["image"], &plain["meta"]["a"]), (&json!("s3://media/img/1.jpg"), &json!(1)));
    assert_eq!((&plain["storage_filename"], &plain["row"]), (&json!("tasks/a.jsonl"), &json!(0)));
    let text = api(&gateway, "GET", "/api/tasks/1").await.text();
    assert!(text.contains("\"n\": 1.10"), "numbers stay as they are: {text}");
    let media = get(&gateway, "/api/tasks/1?urls=media&base=https://media.example.com/").await;
    let url = media["data"]["image"].as_str().unwrap();
    assert_eq!(url, "https://media.example.com/tasks/1/resolve/?fileuri=czM6Ly9tZWRpYS9pbWcvMS5qcGc=");
    let lines = api(&gateway, "GET", "/api/tasks?format=ndjson&urls=token&ttl=5m").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let text = lines.text();
    let tasks: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(tasks.len(), 2);
    let url = tasks[0]["data"]["image"].as_str().unwrap();
    let picture = gateway.send("GET", url, &[]).await;
    assert_eq!((picture.status, picture.text().as_str()), (200, "picture"), "{url}");
    let other = url.replace("/tasks/1/", "/tasks/2/");
    assert_eq!(gateway.send("GET", &other, &[]).await.status, 403);
}

#[tokio::test]
async fn an_open_run_is_answered_and_not_doubled() {
    let bucket = MemoryBucket::start(keys(3)).await;
    let gateway = gateway(&bucket, "import = \"files\"").await;
    let more = "[sidecar]\nruns = 0\n";
    gateway
        .reload(&(more.to_owned() + &crate::support::gateway::storage(&bucket.url(), "import = \"files\"")));
    gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 1.0).await;
    let first = start(&gateway, "media").await;
    let second = start(&gateway, "media").await;
    assert_eq!((&first["id"], &second["status"]), (&second["id"], &json!("queued")));
    let cancelled = value(&api(&gateway, "POST", &format!("/api/runs/{}/cancel", first["id"])).await);
    assert_eq!(cancelled["status"], "cancelled");
}
