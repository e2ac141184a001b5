//! What must not work.

use serde_json::json;

use super::{A, ANN, Bench, Hands, s3, task_cookie};
use crate::{
    label_studio::permission::people::{Studio, resolve},
    support::{
        bucket::MemoryBucket,
        clock,
        gateway::{ADMIN, Gateway, claims, send, send_body, sign, storage},
    },
};

const B: &str = "s3://media/img/b";

/// The cookie of one task where it does not belong: it is as if it was not there.
#[tokio::test]
async fn a_cookie_is_good_for_its_task_alone() {
    let bench = Bench::start("").await;
    let cookie = task_cookie(&bench.get("tasks/7", A, &[ANN]).await);
    let of_project = task_cookie(&bench.get("projects/1", A, &[ANN]).await);
    for (owner, uri, cookie) in [
        ("tasks/8", A, &cookie),
        ("tasks/8", B, &cookie),
        ("tasks/07", A, &cookie),
        ("projects/1", A, &cookie),
        ("tasks/7", B, &cookie),
        ("tasks/7", A, &of_project),
        ("projects/2", A, &of_project),
    ] {
        bench.studio.take();
        let (status, code) = bench.judge(owner, uri, &[("cookie", cookie)]).await;
        assert!(matches!(status, 401 | 404), "{owner} {uri}: {status} {code}");
        assert_eq!(bench.studio.calls(), 0, "there is nobody to ask for");
    }
}

/// Somebody who can set cookies for the site sets another one beside it, or a wrong one: the session decides.
#[tokio::test]
async fn a_tossed_cookie_changes_nothing() {
    let bench = Bench::start("").await;
    let own = task_cookie(&bench.get("tasks/7", A, &[ANN]).await);
    let theirs = task_cookie(&bench.get("tasks/7", A, &[("cookie", "sessionid=bob.1")]).await);
    let another = Bench::start("").await;
    let replica = task_cookie(&another.get("tasks/7", A, &[ANN]).await);
    let forged = format!("mediagate_task={}", sign(&claims()));
    for (cookies, is_ignored) in [
        (own.clone(), false),
        (format!("{own}; {theirs}"), true),
        (format!("{own}; mediagate_task="), true),
        (replica, true),
        (forged, true),
        ("mediagate_task=not.a.token".to_owned(), true),
    ] {
        let alone = bench.judge("tasks/7", A, &[("cookie", &cookies)]).await;
        assert_eq!(alone.0, if is_ignored { 401 } else { 200 }, "{cookies}");
        let cookies = format!("{cookies}; sessionid=ann.1");
        assert_eq!(bench.judge("tasks/7", A, &[("cookie", &cookies)]).await.0, 200, "{cookies}");
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_slips_by() {
    let bench = Bench::start("").await;
    let cookie = task_cookie(&bench.get("tasks/7", A, &[ANN]).await);
    let query = resolve("", B).split_once('?').unwrap().1.to_owned();
    for path in [
        "/tasks/7/../8/resolve/",
        "/tasks/7/%2e%2e/8/resolve/",
        "/tasks/7/resolve/../../8/resolve/",
        "/tasks/%38/resolve/",
        "//tasks//8//resolve",
        "/tasks/8%2fresolve/",
        "/tasks/./8/presign",
        "/tasks/7%2f..%2f8/resolve/",
        "/tasks/8%3fx/resolve/",
        "/tasks/8%0d%0aset-cookie:%20a=b/resolve/",
    ] {
        bench.studio.take();
        let answer = bench.gateway.send("GET", &format!("{path}?{query}"), &[("cookie", &cookie)]).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        assert_eq!(bench.studio.calls(), 0, "{path} is not forwarded");
    }
}

/// `s3://media/img/*` in a task's data is the object of that key, which a token would take for a prefix.
#[tokio::test]
async fn a_key_that_looks_like_a_pattern_opens_nothing_else() {
    let bench = Bench::start_with("", "delivery = \"redirect\"", clock).await;
    for mentioned in ["s3://media/img/*", "s3://media/*", "<img src=\"s3://media/img/*\">"] {
        bench.studio.task(9, 1, json!({ "image": mentioned }));
        let session = [("cookie", &*format!("sessionid=ann.1; x={}", mentioned.len()))];
        let own = if mentioned.contains("img") { "s3://media/img/*" } else { "s3://media/*" };
        let first = bench.get("tasks/9", own, &session).await;
        assert_eq!(first.status, 303, "{mentioned}: {}", first.text());
        for headers in [&session[..], &[("cookie", &*task_cookie(&first))]] {
            let (status, code) = bench.judge("tasks/9", A, headers).await;
            assert!(matches!(status, 401 | 403), "{mentioned}: {status} {code}");
        }
    }
}

/// Task 1 of our own store and task 1 of Label Studio are two tasks.
#[tokio::test]
async fn a_number_of_our_own_store_is_no_task_of_label_studio() {
    let bucket = MemoryBucket::start(["img/a".to_owned()]).await;
    let own = storage(&bucket.url(), "delivery = \"stream\"\nimport = \"files\"\nfilter = \"img/\"");
    let studio = Studio::start().await;
    studio.task(1, 1, json!({ "image": "s3://media/other" }));
    let mut of_task = claims();
    of_task.as_object_mut().unwrap().remove("objects");
    of_task["task"] = 1.into();
    let bearer = format!("Bearer {}", sign(&of_task));
    let gateway = Gateway::start(&own).await;
    sync(&gateway).await;
    let ask =
        async || gateway.send("GET", &resolve("tasks/1", A), &[("authorization", &bearer)]).await.status;
    assert_eq!(ask().await, 200);
    for (reloads, more) in [(1.0, ""), (2.0, "token = \"service\"")] {
        gateway.reload(&format!("{}{own}", studio.fake.config(more)));
        gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], reloads).await;
        assert_eq!(ask().await, 403, "{more}");
    }
}

/// Label Studio sees who asks, and nothing that the gateway made.
#[tokio::test]
async fn nothing_of_ours_reaches_label_studio() {
    let bench = Bench::start("").await;
    let own = task_cookie(&bench.get("tasks/7", A, &[ANN]).await);
    bench.studio.take();
    let cookies = format!("csrftoken=c; {own}; sessionid=ann.2; {own}");
    let headers = [("cookie", cookies.as_str()), ("user-agent", "browser"), ("x-forwarded-for", "1.2.3.4")];
    assert_eq!(bench.judge("tasks/7", A, &headers).await.0, 200);
    let asked = bench.studio.take();
    assert_eq!(asked.len(), 2);
    for seen in asked {
        assert_eq!(seen.headers["cookie"], "csrftoken=c; sessionid=ann.2");
        assert!(!seen.headers.contains_key("x-forwarded-for") && !seen.target.contains("fileuri"));
    }
    // What is forwarded goes without it, too, wherever somebody put it.
    let token = own.split_once('=').unwrap().1;
    let bearer = format!("Bearer {token}");
    let headers = [("cookie", cookies.as_str()), ("authorization", &bearer)];
    bench.gateway.send("GET", &format!("/api/anything?token={token}&a=b"), &headers).await;
    let seen = bench.studio.take().pop().unwrap();
    assert_eq!(
        (seen.target.as_str(), seen.headers.contains_key("authorization")),
        ("/api/anything?a=b", false)
    );
    assert_eq!(seen.headers["cookie"], "csrftoken=c; sessionid=ann.2");
}

/// The key of the process signs what Label Studio permits, and nothing on demand.
#[tokio::test]
async fn the_key_of_the_process_signs_nothing_on_demand() {
    let bench = Bench::start("").await;
    let cookie = task_cookie(&bench.get("tasks/7", A, &[ANN]).await);
    let token = cookie.split_once('=').unwrap().1;
    let kid = mediagate::access::inspect(token).unwrap().header["kid"].as_str().unwrap().to_owned();
    assert!(kid.starts_with("mediagate-task-"), "{kid}");
    let body = json!({ "key": kid, "objects": ["s3://media/*"] });
    let headers =
        [("authorization", format!("Bearer {ADMIN}")), ("content-type", "application/json".to_owned())];
    let answer = send_body(bench.gateway.admin, "POST", "/api/tokens", &headers, body.to_string()).await;
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    let answer =
        send_body(bench.gateway.admin, "POST", "/api/tokens", &headers, body.to_string().replace(&kid, "k1"))
            .await;
    assert!(answer.status < 300, "{}", answer.text());
}

/// A revoked subject's cookies and remembered answers end at once, as all tokens do.
#[tokio::test]
async fn a_revoked_subject_is_refused_before_the_time_is_over() {
    static CLOCK: Hands = Hands::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("revocations.jsonl");
    std::fs::write(&file, "").unwrap();
    let (studio, s3) = (Studio::start().await, s3().await);
    let storage = storage(&s3.url(), "delivery = \"stream\"");
    let access = format!("[access]\nrevocations_file = \"{}\"\n", file.display());
    let config = format!("{access}{}{storage}", studio.fake.config(""));
    let gateway = Gateway::start_at(&config, || CLOCK.now()).await;
    let path = resolve("tasks/7", A);
    let first = gateway.send("GET", &path, &[ANN]).await;
    assert_eq!(first.status, 200);
    let later = super::now() + 5;
    std::fs::write(&file, format!("{{\"sub\":\"ann@example.org\",\"before\":{later}}}\n")).unwrap();
    gateway.reload(&config);
    gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 1.0).await;
    for cookies in [task_cookie(&first), format!("{}; sessionid=ann.1", task_cookie(&first))] {
        let answer = gateway.send("GET", &path, &[("cookie", &cookies)]).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
    }
}

/// Syncs the storage of the configuration to the end.
async fn sync(gateway: &Gateway) {
    let headers =
        [("authorization", format!("Bearer {ADMIN}")), ("content-type", "application/json".to_owned())];
    let body = json!({ "storage": "media" }).to_string();
    let run = send_body(gateway.admin, "POST", "/api/runs", &headers, body).await;
    let run: serde_json::Value = serde_json::from_slice(&run.body).unwrap();
    let bearer = format!("Bearer {ADMIN}");
    let path = format!("/api/runs/{}/events", run["id"]);
    let events = send(gateway.admin, "GET", &path, &[("authorization", &bearer)]).await.text();
    assert!(events.contains("completed"), "{events}");
}
