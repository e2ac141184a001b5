//! Which objects a task or project opens.

use serde_json::json;

use super::{A, ANN, Bench, s3, task_cookie};
use crate::{
    label_studio::permission::people::{Studio, resolve},
    support::{
        clock,
        gateway::{Gateway, claims, sign, storage},
    },
};

/// Three storages of one bucket: of project 1, of project 2, and of none.
async fn three(more: &str) -> (Studio, Gateway) {
    let (studio, s3) = (Studio::start().await, s3().await);
    let of = |name: &str, lines: &str| {
        storage(&s3.url(), &format!("delivery = \"redirect\"\n{lines}"))
            .replace("name = \"media\"", &format!("name = \"{name}\""))
    };
    let storages = [
        of("one", "prefix = \"img\"\nproject = 1"),
        of("two", "prefix = \"of-two\"\nproject = 2"),
        of("common", "prefix = \"other\""),
    ];
    let gateway = Gateway::start(&format!("{}{}", studio.fake.config(more), storages.concat())).await;
    (studio, gateway)
}

#[tokio::test]
async fn a_scope_opens_its_objects_and_never_another_projects() {
    for (scope, owner, opened) in [
        ("task-data", "tasks/7", &["img/a"][..]),
        ("prefix", "tasks/7", &["img/a", "img/b", "other/c"]),
        ("bucket", "tasks/7", &["img/a", "img/b", "other/c"]),
        ("task-data", "projects/1", &["img/a", "img/b", "other/c"]),
        ("bucket", "projects/1", &["img/a", "img/b", "other/c"]),
        ("prefix", "tasks/8", &["of-two/d", "other/c"]),
        ("task-data", "projects/2", &["of-two/d", "other/c"]),
    ] {
        let (_studio, gateway) = three(&format!("scope = \"{scope}\"")).await;
        for key in ["img/a", "img/b", "other/c", "of-two/d", "img", "elsewhere"] {
            let answer = gateway.send("GET", &resolve(owner, &format!("s3://media/{key}")), &[ANN]).await;
            let want = opened.contains(&key);
            assert_eq!(answer.status == 303, want, "{scope} {owner} {key}: {}", answer.status);
        }
        let other = gateway.send("GET", &resolve(owner, "s3://another/img/a"), &[ANN]).await;
        assert_eq!(other.status, 403, "{scope} {owner}");
    }
}

/// A task mentions what its writer liked to mention.
#[tokio::test]
async fn a_task_opens_no_storage_of_another_project() {
    let (studio, gateway) = three("").await;
    studio.task(7, 1, json!({ "own": A, "theirs": "s3://media/of-two/d" }));
    for (uri, status) in [(A, 303), ("s3://media/of-two/d", 404)] {
        let answer = gateway.send("GET", &resolve("tasks/7", uri), &[ANN]).await;
        assert_eq!(answer.status, status, "{uri}");
    }
}

/// Nor can a narrower storage that another project puts over the same keys take a task's own objects away.
#[tokio::test]
async fn a_narrower_storage_of_another_project_takes_nothing_away() {
    let (studio, s3) = (Studio::start().await, s3().await);
    let of = |name: &str, lines: &str| {
        storage(&s3.url(), &format!("delivery = \"redirect\"\n{lines}"))
            .replace("name = \"media\"", &format!("name = \"{name}\""))
    };
    let storages = [of("one", "project = 1"), of("two", "prefix = \"img\"\nproject = 2")].concat();
    let gateway = Gateway::start(&format!("{}{storages}", studio.fake.config(""))).await;
    assert_eq!(gateway.send("GET", &resolve("tasks/7", A), &[ANN]).await.status, 303);
}

/// Too many to be named in a token: then they are looked up, and the cookie works all the same.
#[tokio::test]
async fn a_task_may_mention_many() {
    let bench = Bench::start_with("", "delivery = \"redirect\"", clock).await;
    let frames: Vec<String> = (0..5_000).map(|number| format!("s3://media/frames/{number:06}")).collect();
    bench.studio.task(7, 1, json!({ "frames": frames }));
    let first = bench.get("tasks/7", "s3://media/frames/004999", &[ANN]).await;
    assert_eq!(first.status, 303);
    bench.studio.take();
    let cookies = format!("sessionid=ann.2; {}", task_cookie(&first));
    let cookie = [("cookie", cookies.as_str())];
    assert_eq!(bench.judge("tasks/7", "s3://media/frames/000000", &cookie).await.0, 303);
    assert_eq!(bench.studio.calls(), 0);
    assert_eq!(bench.judge("tasks/7", "s3://media/frames/005000", &cookie).await.0, 403);
}

/// A token of ours that names a task of Label Studio and no objects: the service reads the task, where there is one.
#[tokio::test]
async fn a_token_with_a_task_covers_what_label_studio_has_in_it() {
    let mut of_task = claims();
    of_task.as_object_mut().unwrap().remove("objects");
    of_task["task"] = 7.into();
    let bearer = format!("Bearer {}", sign(&of_task));
    for (more, want) in [("", 403), ("token = \"service\"", 200)] {
        let bench = Bench::start(more).await;
        let headers = [("authorization", bearer.as_str())];
        assert_eq!(bench.judge("tasks/7", A, &headers).await.0, want, "{more}");
        assert_eq!(bench.judge("tasks/7", "s3://media/img/b", &headers).await.0, 403, "{more}");
        let asked = bench.studio.take();
        let credentials =
            asked.first().map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned());
        assert_eq!(credentials.as_deref(), (want == 200).then_some("Token service"));
        assert!(asked.len() <= 1, "it is asked once");
    }
}
