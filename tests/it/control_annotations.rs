//! Annotations on the control port: told by anybody, or by Label Studio's webhooks.

use mediagate::{
    id::{AnnotationId, ProjectId},
    storage::{Direction, Keys, Kind, Settings},
    store::NewStorage,
};
use serde_json::{Value, json};

use crate::support::{
    control::{ADMIN_TOKEN, ControlPort},
    gateway::Answer,
};

const ANNOTATIONS: &str = "/api/annotations";
const HOOK: &str = "/hooks/label-studio";
const SECRET: &str = "secret-of-the-webhooks";
const JSON: (&str, &str) = ("content-type", "application/json");

fn detail(answer: &Answer) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    problem["detail"].as_str().unwrap().to_owned()
}

async fn ids(control: &ControlPort) -> Vec<String> {
    let page = mediagate::store::AnnotationPage {
        project: None,
        unit: mediagate::storage::Unit::Annotation,
        after: "",
        limit: 1000,
    };
    control.store.annotation_ids(&page).await.unwrap()
}

async fn target(control: &ControlPort) {
    let settings = Settings { project: Some(ProjectId::parse("1").unwrap()), ..Settings::default() };
    let new = NewStorage { direction: Direction::Export, kind: Kind::S3, settings, keys: Keys::default() };
    control.store.create_storage(&new).await.unwrap();
}

async fn event(control: &ControlPort, event: &Value) -> Answer {
    control.send("POST", HOOK, &[JSON, ("x-mediagate-secret", SECRET)], event.to_string()).await
}

#[tokio::test]
async fn annotations_are_accepted_one_by_one_and_in_lists() {
    let control = ControlPort::start().await;
    for (method, path, body, status, says) in [
        ("POST", "", json!({ "id": 1, "result": [], "task": 1 }), 200, "{\"accepted\":1}"),
        (
            "POST",
            "",
            json!([{ "id": 2, "result": [], "task": 1 }, { "id": 3, "result": [], "task": { "id": 1 } }]),
            200,
            "{\"accepted\":2}",
        ),
        ("POST", "", json!([]), 200, "{\"accepted\":0}"),
        ("PUT", "/a%2Fb", json!({ "result": [], "task": 1 }), 200, "{\"accepted\":1}"),
        (
            "PUT",
            "/4",
            json!({ "id": 5, "result": [], "task": 1 }),
            422,
            "id is 5 in the body and 4 in the path",
        ),
        (
            "POST",
            "",
            json!([{ "id": 6, "result": [], "task": 1 }, { "id": 7, "task": 1 }]),
            422,
            "annotation 1: result is missing",
        ),
        ("POST", "", json!({ "id": 8, "result": [] }), 422, "task is missing"),
        ("POST", "", json!("x"), 422, "an annotation is a JSON object with id, result and task"),
    ] {
        let answer = control.json(method, &format!("{ANNOTATIONS}{path}"), &body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        if status == 200 {
            assert_eq!(answer.text(), says, "{body}");
        } else {
            assert_eq!(detail(&answer), says, "{body}");
        }
    }
    assert_eq!(ids(&control).await, ["1", "2", "3", "a/b"], "what is refused is refused whole");
    assert_eq!(control.ask("DELETE", "/api/annotations/2").await.status, 204);
    assert_eq!(ids(&control).await, ["1", "3", "a/b"]);
    let broken = control.send("POST", ANNOTATIONS, &[ADMIN_TOKEN, JSON], "{\"id\": 1").await;
    assert_eq!(broken.status, 422, "{}", broken.text());
    for headers in [&[JSON][..], &[JSON, ("authorization", "Token wrong")]] {
        assert_eq!(control.send("POST", ANNOTATIONS, headers, "[]").await.status, 401);
    }
    let long = control.send("POST", ANNOTATIONS, &[ADMIN_TOKEN, JSON], vec![b' '; (32 << 20) + 1]).await;
    assert_eq!((long.status, long.code().as_str()), (413, "body_too_large"));
}

#[tokio::test]
async fn requests_at_once_are_all_kept() {
    let control = ControlPort::start().await;
    target(&control).await;
    let sent = (0..200).map(|n| {
        let control = &control;
        async move {
            let body = json!({ "id": n, "result": [n], "task": 1, "project": 1 });
            control.json("POST", ANNOTATIONS, &body).await.status
        }
    });
    let statuses = futures_util::future::join_all(sent).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(ids(&control).await.len(), 200);
    assert_eq!(control.store.depth().await.unwrap().due, 200);
}

#[tokio::test]
async fn a_database_that_is_gone_is_503_and_nothing_is_half_kept() {
    let control = ControlPort::start().await;
    control.store.close().await;
    let answer = control.json("POST", ANNOTATIONS, &json!({ "id": 1, "result": [], "task": 1 })).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn what_waits_and_what_was_given_up_is_listed() {
    let control = ControlPort::start().await;
    target(&control).await;
    for n in 0..3 {
        control.json("POST", ANNOTATIONS, &json!({ "id": n, "result": [], "task": 1, "project": 1 })).await;
    }
    let page: Value =
        serde_json::from_slice(&control.ask("GET", "/api/annotations?limit=2").await.body).unwrap();
    assert_eq!((page["items"].as_array().unwrap().len(), page["items"][0]["item"].as_str()), (2, Some("0")));
    let path = format!("/api/annotations?limit=2&after={}", page["next"]);
    let rest: Value = serde_json::from_slice(&control.ask("GET", &path).await.body).unwrap();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    assert_eq!(
        control.ask("GET", "/api/annotations?state=dead").await.text(),
        "{\"items\":[],\"next\":null}"
    );
    for query in ["state=lost", "limit=0", "limit=1001", "nothing=1"] {
        assert_eq!(control.ask("GET", &format!("/api/annotations?{query}")).await.status, 422, "{query}");
    }
    assert_eq!(control.ask("POST", "/api/annotations/1/retry").await.status, 404, "it was not given up");
}

#[tokio::test]
async fn webhooks_need_the_secret() {
    let without = ControlPort::start().await;
    let answer = event(&without, &json!({ "action": "PROJECT_UPDATED" })).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "hooks_off"));
    let control = ControlPort::start_with_hooks(SECRET).await;
    for headers in
        [&[JSON][..], &[JSON, ("x-mediagate-secret", "secret-of-the-webhookx")], &[JSON, ADMIN_TOKEN]]
    {
        let answer = control.send("POST", HOOK, headers, "{\"action\": \"PROJECT_UPDATED\"}").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "hook_secret_wrong"), "{headers:?}");
    }
    assert_eq!(event(&control, &json!({ "action": "PROJECT_UPDATED" })).await.status, 204);
    assert_eq!(control.send("GET", HOOK, &[], "").await.status, 405);
}

/// Every kind of event that Label Studio sends, in its shape.
#[tokio::test]
async fn every_event_of_label_studio_is_understood() {
    let control = ControlPort::start_with_hooks(SECRET).await;
    let row = |id: i64, task: i64, at: &str| json!({ "id": id, "result": [], "task": task, "project": 1, "updated_at": at });
    let task = |id: i64| json!({ "id": id, "data": { "image": "s3://media/a.jpg" }, "project": 1 });
    let project = json!({ "id": 1, "token": "never kept", "label_config": "<View/>" });
    let early = "2026-11-24T10:00:00.000001Z";
    for (sent, want) in [
        (
            json!({ "action": "ANNOTATION_CREATED", "annotation": row(1, 5, early), "task": task(5), "project": project }),
            vec!["1"],
        ),
        (
            json!({ "action": "ANNOTATION_UPDATED", "annotation": row(1, 5, "2026-11-24T10:00:01Z"), "task": task(5), "project": project }),
            vec!["1"],
        ),
        (
            json!({ "action": "ANNOTATIONS_CREATED", "annotation": [row(2, 6, early), row(3, 7, early)], "task": [task(7), task(6)], "project": project }),
            vec!["1", "2", "3"],
        ),
        (json!({ "action": "TASKS_CREATED", "tasks": [task(8)], "project": project }), vec!["1", "2", "3"]),
        (json!({ "action": "PROJECT_CREATED", "project": project }), vec!["1", "2", "3"]),
        (json!({ "action": "PROJECT_UPDATED", "project": project }), vec!["1", "2", "3"]),
        (json!({ "action": "LABEL_LINK_CREATED", "label_link": {} }), vec!["1", "2", "3"]),
        (json!({ "action": "LABEL_LINK_UPDATED" }), vec!["1", "2", "3"]),
        (json!({ "action": "LABEL_LINK_DELETED" }), vec!["1", "2", "3"]),
        (json!({ "action": "SOMETHING_NEW", "annotation": 7 }), vec!["1", "2", "3"]),
        (
            json!({ "action": "ANNOTATIONS_DELETED", "annotations": [{ "id": 2 }], "project": project }),
            vec!["1", "3"],
        ),
        (
            json!({ "action": "TASKS_DELETED", "tasks": [{ "id": 5 }, { "id": 99 }], "project": project }),
            vec!["3"],
        ),
        (json!({ "action": "PROJECT_DELETED", "project": { "id": 1 } }), vec!["3"]),
    ] {
        let answer = event(&control, &sent).await;
        assert_eq!(answer.status, 204, "{}: {}", sent["action"], answer.text());
        assert_eq!(ids(&control).await, want, "{}", sent["action"]);
    }
    let kept = control.store.annotation("3").await.unwrap().unwrap();
    assert_eq!(kept.task_body.unwrap().get(), task(7).to_string(), "each has its own task");
    assert_eq!(kept.project, Some(ProjectId::parse("1").unwrap()));
    assert_eq!(kept.id, AnnotationId::parse("3").unwrap());
}

/// An event that says only its kind would be lost without a word.
#[tokio::test]
async fn events_without_a_payload_are_refused_with_what_to_turn_on() {
    let control = ControlPort::start_with_hooks(SECRET).await;
    for action in [
        "ANNOTATION_CREATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_DELETED",
        "TASKS_DELETED",
    ] {
        let answer = event(&control, &json!({ "action": action })).await;
        assert_eq!(answer.status, 422, "{action}");
        assert!(detail(&answer).contains("turn on \"Send payload\""), "{action}: {}", detail(&answer));
    }
    assert_eq!(event(&control, &json!({ "no": "action" })).await.status, 422);
}
