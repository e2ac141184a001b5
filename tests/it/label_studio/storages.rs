//! Label Studio's storage API on the public port, over our storages.

mod attacks;
mod lists;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use serde_json::{Value, json};

use crate::support::{
    gateway::{ADMIN, Answer, Gateway, send_body},
    label_studio::FakeLabelStudio,
    s3::{ACCESS_KEY_ID, S3Server, SECRET_ACCESS_KEY},
};

/// Who Label Studio knows: their token and session, and their project. Each is of another organization; in Ann's there is
/// a project 3 as well, whose storages she may not see.
const PEOPLE: [(&str, &str); 2] = [("ann", "1"), ("bob", "2")];

const COLLECTIONS: [&str; 4] =
    ["/api/storages/s3", "/api/storages/s3s", "/api/storages/export/s3", "/api/storages/export/s3s"];
const ROLE: &str = "arn:aws:iam::123456789012:role/mediagate";

/// What the stand-in for Label Studio was asked, and what it is told to do.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    asked: Vec<String>,
    removed: HashSet<String>,
    is_broken: bool,
}

/// A gateway before Label Studio.
struct Front {
    gateway: Gateway,
    told: Told,
    label_studio: Option<FakeLabelStudio>,
}

impl Told {
    /// The requests since the last time, as `GET /path?query`.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    fn remove(&self, who: &str) {
        self.0.lock().unwrap().removed.insert(who.to_owned());
    }

    fn is_removed(&self, who: &str) -> bool {
        self.0.lock().unwrap().removed.contains(who)
    }

    fn break_down(&self, is_broken: bool) {
        self.0.lock().unwrap().is_broken = is_broken;
    }

    fn person(headers: &HeaderMap) -> Option<(&'static str, &'static str)> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (authorization, cookie) = (text(header::AUTHORIZATION), text(header::COOKIE));
        let is_they = |(who, _): &&(&str, &str)| {
            authorization == format!("Token {who}") || cookie == format!("sessionid={who}")
        };
        PEOPLE.iter().find(is_they).copied()
    }
}

/// As much of Label Studio as is asked, under a script name.
fn label_studio(told: &Told, prefix: &str) -> Router {
    let routes = Router::new()
        .route("/api/current-user/whoami", get(whoami))
        .route("/api/projects/{id}/", get(project))
        .route("/api/storages/s3/", get(of_project))
        .route("/api/storages", get(all))
        .route("/api/storages/", get(all))
        .route("/api/storages/export", get(all))
        .route("/api/storages/types", get(types))
        .route("/api/storages/export/types", get(types))
        .with_state(told.clone());
    let routes = if prefix.is_empty() { routes } else { Router::new().nest(prefix, routes) };
    routes.fallback(|| async { "label studio" }).layer(middleware::from_fn_with_state(told.clone(), note))
}

async fn note(State(told): State<Told>, request: Request, next: Next) -> Response {
    let is_broken = {
        let mut inner = told.0.lock().unwrap();
        inner.asked.push(format!("{} {}", request.method(), request.uri()));
        inner.is_broken
    };
    if is_broken { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { next.run(request).await }
}

async fn whoami(headers: HeaderMap) -> Response {
    let Some((who, project)) = Told::person(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let id: i64 = project.parse().unwrap();
    Json(json!({ "id": id, "email": format!("{who}@example.org") })).into_response()
}

async fn of_project(
    State(told): State<Told>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let Some((who, _)) = Told::person(&headers) else { return StatusCode::UNAUTHORIZED.into_response() };
    match query.iter().rfind(|(name, _)| name == "project").map(|(_, project)| project.as_str()) {
        Some("3") => StatusCode::FORBIDDEN.into_response(),
        Some("1" | "2") if told.is_removed(who) => StatusCode::FORBIDDEN.into_response(),
        // As in 1.23, where the members of other organizations are not refused here.
        Some("1" | "2") => Json(json!([])).into_response(),
        Some(_) => StatusCode::NOT_FOUND.into_response(),
        None => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn project(State(told): State<Told>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some((who, own)) = Told::person(&headers) else { return StatusCode::UNAUTHORIZED.into_response() };
    let is_seen = id == own || (who, id.as_str()) == ("ann", "3");
    match (is_seen, told.is_removed(who)) {
        (true, false) => Json(json!({ "id": 1 })).into_response(),
        (true, true) => StatusCode::FORBIDDEN.into_response(),
        (false, _) => StatusCode::NOT_FOUND.into_response(),
    }
}

const ALL: &str = r#"[{"id":5,"type":"s3","project":1},{"id":6,  "type":"gcs","project":1}]"#;
const TYPES: &str = r#"[{"name":"s3","title":"AWS S3"},{"name":"gcs","title":"Google Cloud Storage"}]"#;

async fn all(headers: HeaderMap) -> Response {
    list(&headers, ALL)
}

async fn types(headers: HeaderMap) -> Response {
    list(&headers, TYPES)
}

fn list(headers: &HeaderMap, text: &'static str) -> Response {
    if Told::person(headers).is_none() {
        let headers = [("www-authenticate", "Token"), ("set-cookie", "sessionid=new")];
        return (StatusCode::UNAUTHORIZED, headers, "log in").into_response();
    }
    ([("content-type", "application/json"), ("set-cookie", "sessionid=new")], text).into_response()
}

impl Front {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more sections of a configuration.
    async fn start_with(more: &str) -> Self {
        let told = Told::default();
        let label_studio = FakeLabelStudio::start(label_studio(&told, "")).await;
        let config = format!(
            "{}[egress]\nallow = [\"127.0.0.0/8\"]\n\n{more}",
            label_studio.config("storages = true")
        );
        Self { gateway: Gateway::start(&config).await, told, label_studio: Some(label_studio) }
    }

    /// A request of somebody by their token.
    async fn ask(&self, who: &str, method: &str, path: &str, body: &Value) -> Answer {
        self.send(method, path, &[("authorization", &format!("Token {who}"))], body).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all: Vec<(&str, String)> =
            headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_empty() {
            all.push(("content-type", "application/json".to_owned()));
        }
        send_body(self.gateway.address, method, path, &all, body).await
    }

    /// What the admin does on the control port.
    async fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let headers =
            [("authorization", format!("Token {ADMIN}")), ("content-type", "application/json".to_owned())];
        send_body(self.gateway.admin, method, path, &headers, body.to_string()).await
    }

    /// Makes a source as the admin, without a bucket, so that nothing is connected to, and returns its path.
    async fn made(&self, collection: &str, project: Option<i64>) -> String {
        let fields = json!({ "project": project, "title": "made", "role_arn": ROLE });
        let made = self.admin("POST", collection, &fields).await;
        assert_eq!(made.status, 201, "{}", made.text());
        format!("{collection}/{}", body(&made)["id"])
    }
}

fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

/// What connects to the server's bucket `media`.
fn fields(s3: &S3Server, project: i64) -> Value {
    json!({
        "project": project, "title": "images", "bucket": "media", "s3_endpoint": s3.url(), "role_arn": ROLE,
        "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY, "confirm_overlap": true,
    })
}

#[tokio::test]
async fn a_member_drives_the_storages_of_their_project() {
    let s3 = S3Server::start().await;
    s3.put("media", "a.jpg", b"abc");
    let front = Front::start().await;
    for collection in ["/api/storages/s3", "/api/storages/export/s3"] {
        for slash in ["", "/"] {
            let at = |below: &str| format!("{collection}{below}{slash}");
            let fields = fields(&s3, 1);
            let validated = front.ask("ann", "POST", &at("/validate"), &fields).await;
            assert_eq!((validated.status, validated.text().as_str()), (200, ""), "{}", at("/validate"));
            let made = front.ask("ann", "POST", &at(""), &fields).await;
            assert_eq!((made.status, &body(&made)["type"]), (201, &json!("s3")), "{}", made.text());
            assert_eq!(made.header("cache-control"), "no-store");
            let id = &body(&made)["id"];
            let one = at(&format!("/{id}"));
            let listed = front.ask("ann", "GET", &format!("{}?project=1", at("")), &Value::Null).await;
            assert_eq!(body(&listed)[0]["id"], *id);
            assert_eq!(front.ask("ann", "GET", &one, &Value::Null).await.status, 200);
            let title = json!({ "title": "other", "project": 1 });
            for method in ["PATCH", "PUT"] {
                let changed = front.ask("ann", method, &one, &title).await;
                assert_eq!((changed.status, &body(&changed)["title"]), (200, &json!("other")), "{method}");
            }
            let files = front.ask("ann", "POST", &at("/files"), &json!({ "id": id })).await;
            assert_eq!(files.status, 200, "{}", files.text());
            assert!(files.text().contains("a.jpg"), "{}", files.text());
            assert_eq!(front.ask("ann", "GET", &at("/form"), &Value::Null).await.status, 200);
            let synced = front.ask("ann", "POST", &at(&format!("/{id}/sync")), &Value::Null).await;
            assert_eq!((synced.status, &body(&synced)["id"]), (200, id), "{}", synced.text());
            let deleted = front.ask("ann", "DELETE", &one, &Value::Null).await;
            assert_eq!((deleted.status, deleted.text().as_str()), (204, ""));
            assert_eq!(front.ask("ann", "GET", &one, &Value::Null).await.status, 404);
        }
    }
    let forwarded = front.told.asked().into_iter().any(|asked| !asked.starts_with("GET "));
    assert!(!forwarded, "a change reached Label Studio");
    front.gateway.metric_becomes("mediagate_responses_total", &["route=\"storages\"", "201"], 4.0).await;
}

#[tokio::test]
async fn a_page_changes_with_its_cookie() {
    let front = Front::start().await;
    let origin = format!("http://{}", front.gateway.address);
    let headers = [("cookie", "sessionid=ann"), ("origin", &*origin)];
    let made = front.send("POST", "/api/storages/s3", &headers, &json!({ "project": 1 })).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

/// What somebody may see is asked once in a while; what they may change, each time.
#[tokio::test]
async fn label_studio_is_asked_as_seldom_as_is_safe() {
    let front = Front::start().await;
    let path = front.made("/api/storages/s3", Some(1)).await;
    for _ in 0..3 {
        assert_eq!(front.ask("ann", "GET", &path, &Value::Null).await.status, 200);
    }
    let once = ["whoami", "projects/1/", "project=1"];
    let asked = front.told.asked();
    assert!(
        asked.len() == 3 && asked.iter().zip(once).all(|(asked, once)| asked.contains(once)),
        "{asked:?}"
    );
    let title = json!({ "title": "other" });
    for _ in 0..2 {
        assert_eq!(front.ask("ann", "PATCH", &path, &title).await.status, 200);
    }
    let asked = front.told.asked();
    assert_eq!(asked.iter().filter(|asked| asked.contains("project=1")).count(), 2, "{asked:?}");
    assert_eq!(asked.iter().filter(|asked| asked.contains("whoami")).count(), 0, "{asked:?}");
    front.told.remove("ann");
    assert_eq!(front.ask("ann", "PATCH", &path, &title).await.status, 403);
    assert_eq!(front.ask("ann", "GET", &path, &Value::Null).await.status, 403, "the refusal is known now");
}

#[tokio::test]
async fn without_label_studio_nobody_may_and_it_heals() {
    let front = Front::start().await;
    let path = front.made("/api/storages/s3", Some(1)).await;
    front.told.break_down(true);
    for (method, path) in [
        ("GET", path.as_str()),
        ("PATCH", &path),
        ("DELETE", &path),
        ("POST", "/api/storages/s3"),
        ("GET", "/api/storages/s3?project=1"),
        ("GET", "/api/storages/s3/form"),
    ] {
        let answer = front.ask("ann", method, path, &json!({ "project": 1 })).await;
        assert_eq!(answer.status, 502, "{method} {path}: {}", answer.text());
        assert_eq!(body(&answer)["status_code"], 502);
    }
    // What Label Studio says itself of its lists is passed on.
    assert_eq!(front.ask("ann", "GET", "/api/storages?project=1", &Value::Null).await.status, 503);
    front.told.break_down(false);
    assert_eq!(front.ask("ann", "GET", &path, &Value::Null).await.status, 200);
    let mut gone = Front::start().await;
    gone.label_studio = None;
    let answer = gone.ask("ann", "GET", "/api/storages?project=1", &Value::Null).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
}

#[tokio::test]
async fn the_script_name_stands_before_all_paths() {
    let told = Told::default();
    let label_studio = FakeLabelStudio::start(label_studio(&told, "/ls")).await;
    let config = label_studio
        .config("storages = true")
        .replace("[label_studio]", "prefix = \"/ls\"\n\n[label_studio]");
    let front = Front { gateway: Gateway::start(&config).await, told, label_studio: Some(label_studio) };
    let made = front.ask("ann", "POST", "/ls/api/storages/s3/", &json!({ "project": 1 })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let asked = front.told.asked();
    assert!(asked.contains(&"GET /ls/api/storages/s3/?project=1".to_owned()), "{asked:?}");
    let all = front.ask("ann", "GET", "/ls/api/storages/?project=1", &Value::Null).await;
    assert_eq!(body(&all).as_array().unwrap().len(), 2, "{}", all.text());
    // Without it the path means nothing to Label Studio, and it says so.
    let outside = front.ask("ann", "GET", "/api/storages/s3/?project=1", &Value::Null).await;
    assert_eq!(outside.text(), "label studio");
}

#[tokio::test]
async fn it_is_off_until_the_configuration_says_so() {
    let told = Told::default();
    let label_studio = FakeLabelStudio::start(label_studio(&told, "")).await;
    let gateway = Gateway::start(&label_studio.config("")).await;
    let on = label_studio.config("storages = true");
    let off = label_studio.config("");
    let front = Front { gateway, told, label_studio: Some(label_studio) };
    let posted = front.ask("ann", "POST", "/api/storages/export/s3", &json!({ "project": 1 })).await;
    assert_eq!(posted.text(), "label studio");
    front.gateway.reload(&on);
    front.gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 1.0).await;
    let posted = front.ask("ann", "POST", "/api/storages/s3", &json!({ "project": 1 })).await;
    assert_eq!(posted.status, 201, "{}", posted.text());
    front.gateway.reload(&off);
    front.gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 2.0).await;
    let posted = front.ask("ann", "POST", "/api/storages/export/s3", &json!({ "project": 1 })).await;
    assert_eq!(posted.text(), "label studio");
}
