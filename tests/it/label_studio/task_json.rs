//! Media URLs in the tasks that Label Studio shows.

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, Uri, header},
    response::IntoResponse,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE};

use crate::support::{
    gateway::{Gateway, storage},
    label_studio::FakeLabelStudio,
};

const IDENTITY: [(&str, &str); 1] = [("accept-encoding", "identity")];
const TASK: &str = r#"{"id":7, "project":1,"data": {"image":"s3://media/a b.jpg" ,"n":1.10,"ü":["s3://media/b.jpg",{"s3://media/key":"s3://other/c"}],
"html":"<img src=\"s3://media/d.jpg\"><a href='s3://media/e'>"},"annotations":[{"result":[{"value":"s3://media/a b.jpg"}]}], "x":12345678901234567890.0}"#;

fn url(task: u32, object: &str) -> String {
    format!("/tasks/{task}/resolve/?fileuri={}", URL_SAFE.encode(object))
}

fn rewritten() -> String {
    let data = TASK.find("\"annotations\"").unwrap();
    let (data, rest) = TASK.split_at(data);
    let mut data = data.to_owned();
    for object in ["a b.jpg", "b.jpg", "d.jpg", "e"] {
        let uri = format!("s3://media/{object}");
        data = ["\"", "\\\"", "'"].into_iter().fold(data, |data, quote| {
            data.replace(&format!("{quote}{uri}{quote}"), &format!("{quote}{}{quote}", url(7, &uri)))
        });
    }
    data + rest
}

/// Longer than what is gone through at a time.
fn list(task: &str) -> String {
    format!("[{}]", vec![task; 1000].join(", "))
}

fn json(text: impl Into<String>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text.into())
}

async fn label_studio() -> FakeLabelStudio {
    let one = |Path(id): Path<u32>, uri: Uri, headers: HeaderMap| async move {
        let wanted = if uri.query().is_none() { "identity" } else { "gzip" };
        assert_eq!(headers[header::ACCEPT_ENCODING], wanted);
        json(TASK.replacen("\"id\":7", &format!("\"id\":{id}"), 1))
    };
    let routes = Router::new()
        .route("/api/tasks/{id}/", get(one))
        .route(
            "/api/tasks",
            get(|uri: Uri| async move {
                let many = uri.query().is_some_and(|query| query.contains("page_size"));
                json(if many {
                    list(TASK)
                } else {
                    format!("{{\"total\": 2, \"tasks\": [{TASK}, {{\"id\": 8}}]}}")
                })
            }),
        )
        .route("/api/projects/1/next", get(|| async { json(TASK) }))
        .route("/api/dm/actions", post(|| async { json(TASK) }))
        .route("/api/projects/1/export", get(|| async { json(format!("[{TASK}]")) }))
        .route("/api/tasks/9/annotations/", get(|| async { json(TASK) }))
        .route(
            "/api/current-user/whoami",
            get(|| async { json(r#"{"id": 1, "email": "ann@example.org"}"#) }),
        );
    FakeLabelStudio::start(routes).await
}

async fn gateway(label_studio: &FakeLabelStudio, more: &str, of_storage: &str) -> Gateway {
    let config = label_studio.config(&format!("storages = true\n{more}"));
    Gateway::start(&(config + &storage("http://127.0.0.1:1", of_storage))).await
}

#[tokio::test]
async fn uris_that_are_served_become_media_urls_and_everything_else_stays_to_the_byte() {
    let label_studio = label_studio().await;
    let gateway = gateway(&label_studio, "", "").await;
    for (method, path, want) in [
        ("GET", "/api/tasks/7/", rewritten()),
        ("GET", "/api/tasks/7/?resolve_uri=false", TASK.to_owned()),
        (
            "GET",
            "/api/tasks?project=1",
            format!("{{\"total\": 2, \"tasks\": [{}, {{\"id\": 8}}]}}", rewritten()),
        ),
        ("GET", "/api/tasks?project=1&page_size=1000", list(&rewritten())),
        ("GET", "/api/projects/1/next", rewritten()),
        ("POST", "/api/dm/actions?id=next_task", rewritten()),
        ("GET", "/api/projects/1/export", format!("[{TASK}]")),
        ("GET", "/api/tasks/9/annotations/", TASK.to_owned()),
    ] {
        let answer = gateway.send(method, path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(answer.text(), want, "{path}");
        assert_eq!(answer.header("content-length"), want.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn a_storage_of_another_project_serves_nothing_here() {
    let label_studio = label_studio().await;
    for (of_storage, want) in
        [("project = 1", rewritten()), ("project = 2", TASK.to_owned()), ("prefix = \"x\"", TASK.to_owned())]
    {
        let gateway = gateway(&label_studio, "", of_storage).await;
        assert_eq!(gateway.send("GET", "/api/tasks/7/", &IDENTITY).await.text(), want, "{of_storage}");
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_passes_as_it_is() {
    let label_studio = label_studio().await;
    for limit in [1, TASK.len() - 1] {
        let gateway = gateway(&label_studio, &format!("rewrite_limit = {limit}"), "").await;
        assert_eq!(gateway.send("GET", "/api/tasks/7/", &IDENTITY).await.text(), TASK);
    }
    let gateway = gateway(&label_studio, &format!("rewrite_limit = {}", TASK.len()), "").await;
    assert_eq!(gateway.send("GET", "/api/tasks/7/", &IDENTITY).await.text(), rewritten());
}

#[tokio::test]
async fn media_urls_carry_tokens_where_that_is_wanted() {
    let label_studio = label_studio().await;
    let gateway = gateway(&label_studio, "url_tokens = true", "delivery = \"redirect\"").await;
    let answer = gateway.send("GET", "/api/tasks/7/", &[("cookie", "sessionid=x")]).await;
    let task: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let media = task["data"]["image"].as_str().unwrap();
    assert!(media.starts_with(&format!("{}&token=", url(7, "s3://media/a b.jpg"))), "{media}");
    assert_eq!(gateway.send("GET", media, &[]).await.status, 303);
    // It is good for this object only.
    let other = media.replacen(&URL_SAFE.encode("s3://media/a b.jpg"), &URL_SAFE.encode("s3://media/zzz"), 1);
    assert_eq!(gateway.send("GET", &other, &[]).await.status, 403);
}
