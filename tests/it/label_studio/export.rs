//! Annotations of a Label Studio that nobody configured: webhooks are kept, and what they lose is found.

mod world;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::world::{Failure, SECRET, World};
use crate::support::{
    gateway::Gateway,
    label_studio::FakeLabelStudio,
    s3::{ACCESS_KEY_ID, S3Server, SECRET_ACCESS_KEY},
};

/// A gateway before a Label Studio with project 1, which has a target.
struct Before {
    world: World,
    gateway: Gateway,
    s3: S3Server,
    _studio: FakeLabelStudio,
}

impl Before {
    async fn start(world: World, lines: &str) -> Self {
        let s3 = S3Server::start().await;
        s3.bucket("annotations");
        let studio = FakeLabelStudio::start(world.routes()).await;
        let hooks = format!("[egress]\nallow = [\"127.0.0.0/8\"]\n[hooks]\nsecret = \"{SECRET}\"\n");
        let section = studio.config(&format!("token = \"{}\"\n{lines}", "5".repeat(40)));
        let gateway = Gateway::start(&format!("{hooks}{section}")).await;
        let before = Self { world, gateway, s3, _studio: studio };
        let fields = json!({
            "project": 1, "bucket": "annotations", "prefix": "out", "s3_endpoint": before.s3.url(),
            "aws_access_key_id": ACCESS_KEY_ID, "aws_secret_access_key": SECRET_ACCESS_KEY,
            "can_delete_objects": true,
        });
        let made = before.admin("POST", "/api/storages/export/s3", &fields).await;
        assert_eq!(made["id"], 1, "{made}");
        // The first run writes all that is known, known or not.
        before.until_it_ended().await;
        before
    }

    /// The target when its last run has ended.
    async fn until_it_ended(&self) -> Value {
        until("the run ends", async || {
            let storage = self.admin("GET", "/api/storages/export/s3/1", &Value::Null).await;
            (storage["status"] != "queued" && storage["status"] != "in_progress").then_some(storage)
        })
        .await
    }

    async fn admin(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = crate::export::ask(self.gateway.admin, method, path, body).await.unwrap();
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
    }

    fn objects(&self) -> BTreeMap<String, Value> {
        let objects = crate::export::objects(&self.s3.bucket("annotations"));
        objects.into_iter().map(|(key, text)| (key, serde_json::from_str(&text).unwrap())).collect()
    }

    /// Waits until there are objects of these annotations and no others.
    async fn until_there_are(&self, ids: &[i64]) {
        let keys: Vec<String> = ids.iter().map(|id| format!("out/{id}")).collect();
        until(&format!("{keys:?} are there"), async || {
            (self.objects().keys().cloned().collect::<Vec<_>>() == keys).then_some(())
        })
        .await;
    }

    /// Waits for two more passes, the second of which began after this was called.
    async fn pass_twice(&self) {
        let passes = async || self.gateway.metric("mediagate_reconciliations_total", &["completed"]).await;
        let before = passes().await;
        until("two passes", async || (passes().await >= before + 2.0).then_some(())).await;
    }

    /// How often an annotation was written; the connection test writes something, too.
    fn writes(&self) -> usize {
        let is_annotation =
            |path: &str| path.rsplit('/').next().is_some_and(|key| key.parse::<i64>().is_ok());
        let seen = self.s3.seen();
        let puts = seen.iter().filter(|seen| seen.method == http::Method::PUT);
        puts.filter(|put| is_annotation(put.uri.path())).count()
    }
}

#[tokio::test]
async fn a_webhook_is_made_once_mended_and_taken_away() {
    let before = Before::start(World::new(), &format!("{OFTEN}{WEBHOOK}")).await;
    let made = until("it is made", async || before.world.hooks().pop()).await;
    let right = json!({
        "project": 1, "url": URL, "headers": { "x-mediagate-secret": SECRET }, "send_payload": true,
        "send_for_all_actions": false, "is_active": true,
        "actions": ["ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED", "ANNOTATION_CREATED", "ANNOTATION_UPDATED",
            "TASKS_DELETED"],
    });
    assert_eq!(made.1, right);
    before.pass_twice().await;
    assert_eq!(before.world.count("POST /api/webhooks/"), 1);
    assert_eq!(before.world.count("PATCH /api/webhooks"), 0, "what is right stays");
    for (key, wrong) in [
        ("is_active", json!(false)),
        ("headers", json!({})),
        ("actions", json!(["TASKS_DELETED"])),
        ("send_payload", json!(false)),
        ("send_for_all_actions", json!(true)),
        ("url", json!("http://elsewhere/hooks/label-studio")),
    ] {
        before.world.change_hook(made.0, key, wrong);
        until(key, async || (before.world.hooks() == [(made.0, right.clone())]).then_some(())).await;
    }
    before.world.add_hook(&json!({ "project": 1, "url": URL, "headers": {} }));
    let strange = before.world.add_hook(&json!({ "project": 1, "url": "http://somebody/else" }));
    let of_all = before.world.add_hook(&json!({ "project": null, "url": URL }));
    until("the double is gone", async || (before.world.hooks().len() == 3).then_some(())).await;
    before.gateway.metric_becomes("mediagate_webhooks", &["kept"], 1.0).await;
    before.admin("DELETE", "/api/storages/export/s3/1", &Value::Null).await;
    until("no project needs it", async || (before.world.hooks().len() == 2).then_some(())).await;
    let left: Vec<i64> = before.world.hooks().into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, [strange, of_all], "those of others stay");
}

/// Label Studio refuses addresses in private networks until it is told otherwise.
#[tokio::test]
async fn a_refused_webhook_leaves_the_looking() {
    let world = World::new();
    world.set(|state| state.refuses_hooks = true);
    let before = Before::start(world, &format!("{OFTEN}{WEBHOOK}")).await;
    before.gateway.metric_becomes("mediagate_webhooks", &["missing"], 1.0).await;
    before.world.annotate(1, 7, 11, "a");
    before.until_there_are(&[11]).await;
    before.world.set(|state| state.refuses_hooks = false);
    before.gateway.metric_becomes("mediagate_webhooks", &["kept"], 1.0).await;
}

#[tokio::test]
async fn what_webhooks_lose_is_found_and_what_is_known_is_not_written_again() {
    let before = Before::start(World::new(), OFTEN).await;
    let world = &before.world;
    for id in 1..=250 {
        world.annotate(1, 1000 + id / 2, id, "a");
    }
    world.annotate(2, 5000, 900, "of another project");
    let all: Vec<i64> = (1..=250).collect();
    let mut keys: Vec<String> = all.iter().map(|id| format!("out/{id}")).collect();
    keys.sort();
    until("all are there", async || (before.objects().keys().eq(&keys)).then_some(())).await;
    let written = before.writes();
    before.pass_twice().await;
    assert_eq!(before.writes(), written, "what is known is not written again");
    assert_eq!(written, 250);
    world.annotate(1, 1003, 6, "b");
    until("the newer one", async || (before.objects()["out/6"]["result"][0]["value"] == "b").then_some(()))
        .await;
    let object = before.objects().remove("out/6").unwrap();
    assert_eq!(object["task"]["data"]["image"], "s3://media/1003.jpg");
    assert_eq!(object["task"]["updated_by"], 3);
    assert!(object["task"].get("annotations").is_none(), "{object}");
    world.delete_annotation(7);
    until("it is gone", async || (!before.objects().contains_key("out/7")).then_some(())).await;
    // Nothing that changed tells of a task that is gone.
    world.delete_task(1010);
    until("its objects are gone", async || (before.objects().len() == 247).then_some(())).await;
    assert!(!before.objects().contains_key("out/20") && !before.objects().contains_key("out/21"));
    before.gateway.metric_becomes("mediagate_reconciled_annotations_total", &["written"], 251.0).await;
    assert_eq!(before.writes(), 251);
}

/// What goes while all is compared has the next comparison's turn, although the first one found something.
#[tokio::test]
async fn a_task_that_goes_during_a_comparison_is_found_by_the_next() {
    let before = Before::start(World::new(), OFTEN).await;
    let world = &before.world;
    for id in [1, 2, 3] {
        world.annotate(1, 1000 + id, id, "a");
    }
    before.until_there_are(&[1, 2, 3]).await;
    world.set(|state| state.goes_along = Some(1001));
    world.delete_task(1002);
    before.until_there_are(&[3]).await;
}

/// Whatever goes wrong, nothing is taken for deleted that was not said to be gone by itself.
#[tokio::test]
async fn no_failure_deletes_anything() {
    let before = Before::start(World::new(), OFTEN).await;
    let world = &before.world;
    for id in [1, 2, 3] {
        world.annotate(1, 10 + id, id, "a");
    }
    before.until_there_are(&[1, 2, 3]).await;
    for failure in [
        Failure::ShortLists,
        Failure::NoLists,
        Failure::NoProject,
        Failure::NoProjectSoon,
        Failure::Proxy,
        Failure::NoTasks,
        Failure::NoAnnotations,
    ] {
        world.set(|state| state.fails = Some(failure));
        let asked = world.count("");
        until("it is asked again", async || (world.count("") > asked + 20).then_some(())).await;
        world.set(world::State::recover);
        before.pass_twice().await;
        assert_eq!(before.objects().len(), 3, "{failure:?}");
    }
    assert_eq!(before.writes(), 3);
    before.gateway.metric_becomes("mediagate_reconciled_annotations_total", &["deleted"], 0.0).await;
}

#[tokio::test]
async fn a_busy_label_studio_is_asked_again_after_its_pause() {
    let world = World::new();
    world.set(|state| state.busy = 5);
    world.annotate(1, 7, 11, "a");
    let before = Before::start(world, OFTEN).await;
    before.until_there_are(&[11]).await;
    before.gateway.metric_becomes("mediagate_reconciliations_total", &["failed"], 0.0).await;
}

#[tokio::test]
async fn a_label_studio_that_is_away_is_followed_when_it_is_back() {
    let world = World::new();
    world.set(|state| state.fails = Some(Failure::NoLists));
    world.annotate(1, 7, 11, "a");
    let before = Before::start(world, OFTEN).await;
    let failed = async || before.gateway.metric("mediagate_reconciliations_total", &["failed"]).await;
    until("it fails", async || (failed().await >= 2.0).then_some(())).await;
    before.world.set(|state| state.fails = None);
    before.until_there_are(&[11]).await;
}

/// Who made it is not known at first; the object is written all the same, and again with the name.
#[tokio::test]
async fn a_person_who_becomes_known_is_written_then() {
    let before = Before::start(World::new(), OFTEN).await;
    before.world.annotate(1, 7, 11, "a");
    before.until_there_are(&[11]).await;
    assert_eq!(before.objects()["out/11"]["completed_by"], json!({ "id": 3 }));
    before.world.add_user(3, "Ann", "Lee");
    let ann = json!({ "id": 3, "first_name": "Ann", "last_name": "Lee", "email": "3@example.com" });
    until("the name is there", async || (before.objects()["out/11"]["completed_by"] == ann).then_some(()))
        .await;
    assert_eq!(before.objects()["out/11"]["created_username"], "Ann Lee 3@example.com, 3");
    before.world.annotate(1, 8, 12, "b");
    before.until_there_are(&[11, 12]).await;
    until("it is there at once", async || (before.objects()["out/12"]["completed_by"] == ann).then_some(()))
        .await;
    let written = before.writes();
    before.world.set(|state| state.users.clear());
    before.world.add_user(3, "Anna", "Lee");
    before.pass_twice().await;
    assert_eq!(before.writes(), written, "another name rewrites nothing");
}

/// A sync of the target looks for annotations first, also where nothing is looked for on a schedule.
#[tokio::test]
async fn a_sync_of_a_target_looks_first() {
    let before = Before::start(World::new(), "reconcile_every = \"0s\"\n").await;
    before.world.annotate(1, 7, 11, "a");
    before.admin("POST", "/api/storages/export/s3/1/sync", &json!({})).await;
    before.until_there_are(&[11]).await;
    before.until_it_ended().await;
    before.world.set(|state| state.fails = Some(Failure::NoLists));
    before.admin("POST", "/api/storages/export/s3/1/sync", &json!({})).await;
    let storage = before.until_it_ended().await;
    assert_eq!(storage["status"], "completed_with_errors", "it says what may be missing: {storage}");
}

/// What Label Studio sends with the webhook that was made is taken, and found by no pass any more.
#[tokio::test]
async fn the_webhook_that_is_made_leads_into_the_bucket() {
    let before = Before::start(World::new(), &format!("reconcile_every = \"1h\"\n{WEBHOOK}")).await;
    let (_, hook) = until("it is made", async || before.world.hooks().pop()).await;
    // Of the first run, and of the schedule.
    let passes = async || before.gateway.metric("mediagate_reconciliations_total", &["completed"]).await;
    until("both first passes end", async || (passes().await >= 2.0).then_some(())).await;
    let event = before.world.event(1, 7, 11, "a");
    let secret = hook["headers"]["x-mediagate-secret"].as_str().unwrap();
    let body = event.to_string();
    let headers = [("x-mediagate-secret", secret), ("content-type", "application/json")];
    let status = world::post(before.gateway.admin, "/hooks/label-studio", &headers, body).await;
    assert_eq!(status, 204);
    before.until_there_are(&[11]).await;
    before.gateway.metric_becomes("mediagate_reconciled_annotations_total", &["written"], 0.0).await;
}

async fn until<T>(what: &str, asked: impl AsyncFnMut() -> Option<T>) -> T {
    crate::export::until(what, asked).await
}

const URL: &str = "http://mediagate:9090/hooks/label-studio";
const WEBHOOK: &str = "webhook_url = \"http://mediagate:9090/hooks/label-studio\"\n";
const OFTEN: &str = "reconcile_every = \"50ms\"\n";
