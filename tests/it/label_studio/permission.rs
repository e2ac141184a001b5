//! Requests without a token of ours are judged by Label Studio, once, with the caller's own credentials.

mod attacks;
mod outage;
mod people;
mod scope;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use futures_util::future::join_all;

use self::people::{Studio, resolve};
use crate::support::{
    clock,
    gateway::{Answer, Gateway, claims, now, sign, storage},
    s3::S3Server,
};

/// A gateway before Label Studio and an S3 server with some objects.
struct Bench {
    studio: Studio,
    gateway: Gateway,
    _s3: S3Server,
}

const ANN: (&str, &str) = ("cookie", "sessionid=ann.1");
const A: &str = "s3://media/img/a";

impl Bench {
    async fn start(more: &str) -> Self {
        Self::start_with(more, "delivery = \"stream\"", clock).await
    }

    async fn start_with(more: &str, storages: &str, clock: fn() -> SystemTime) -> Self {
        let studio = Studio::start().await;
        let s3 = s3().await;
        let config = format!("{}{}", studio.fake.config(more), storage(&s3.url(), storages));
        let gateway = Gateway::start_at(&config, clock).await;
        Self { studio, gateway, _s3: s3 }
    }

    /// A GET for an object of a task or project.
    async fn get(&self, owner: &str, uri: &str, headers: &[(&str, &str)]) -> Answer {
        self.gateway.send("GET", &resolve(owner, uri), headers).await
    }

    /// Its status, and its code where it is a refusal.
    async fn judge(&self, owner: &str, uri: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let answer = self.get(owner, uri, headers).await;
        (answer.status, if answer.status < 400 { String::new() } else { answer.code() })
    }
}

async fn s3() -> S3Server {
    let s3 = S3Server::start().await;
    for key in ["img/a", "img/b", "other/c"] {
        s3.put("media", key, b"abcdef");
    }
    s3
}

/// What a browser would send back of an answer's cookie.
fn task_cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

/// How long a browser keeps an answer's cookie, in seconds.
fn max_age(answer: &Answer) -> u64 {
    let after = answer.header("set-cookie").split("Max-Age=").nth(1).unwrap();
    after.split(';').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_first_request_asks_and_the_next_ask_nobody() {
    let bench = Bench::start("").await;
    let first = bench.get("tasks/7", A, &[ANN]).await;
    assert_eq!((first.status, first.text().as_str()), (200, "abcdef"));
    let mut asked: Vec<String> = bench.studio.take().into_iter().map(|seen| seen.target).collect();
    asked.sort_unstable();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert_eq!(asked[0], "/api/current-user/whoami");
    assert!(asked[1].starts_with("/api/tasks/7/?resolve_uri=false"), "{asked:?}");
    let cookie = first.header("set-cookie");
    assert!(cookie.starts_with("mediagate_task=ey"), "{cookie}");
    let (_, attributes) = cookie.split_once("; ").unwrap();
    assert!((50..=60).contains(&max_age(&first)), "{cookie}");
    let rest = attributes.replace(&max_age(&first).to_string(), "N");
    assert_eq!(rest, "Path=/tasks/7/; Max-Age=N; HttpOnly; SameSite=Lax; Priority=Low");
    assert_eq!(first.headers.get_all("set-cookie").iter().count(), 1, "Label Studio's own stays here");
    // The same session again, and then one that Label Studio has issued anew.
    assert_eq!(bench.get("tasks/7", A, &[ANN]).await.status, 200);
    for session in 2..5 {
        let cookies = format!("sessionid=ann.{session}; {}", task_cookie(&first));
        let answer = bench.get("tasks/7", A, &[("cookie", &cookies)]).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (200, ""));
    }
    assert_eq!(bench.studio.calls(), 0);
    assert_eq!(bench.get("tasks/7", A, &[("cookie", "sessionid=ann.2")]).await.status, 200);
    assert_eq!(bench.studio.calls(), 2, "without the cookie it is somebody else");
    for (cache, want) in [("miss", 2.0), ("hit", 1.0), ("cookie", 3.0)] {
        let words = [&*format!("cache=\"{cache}\""), "allowed"];
        let counted = bench.gateway.metric("mediagate_permissions_total", &words).await;
        assert!((counted - want).abs() < f64::EPSILON, "{cache}: {counted}");
    }
}

#[tokio::test]
async fn many_at_once_ask_once() {
    let bench = Bench::start("").await;
    bench.studio.open(false);
    let requests = join_all((0..50).map(|_| bench.get("tasks/7", A, &[ANN])));
    let release = async {
        bench.studio.asked(1).await;
        bench.studio.open(true);
    };
    let (answers, ()) = tokio::join!(requests, release);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(bench.studio.calls(), 2);
}

#[tokio::test]
async fn every_answer_of_label_studio_has_one_of_ours() {
    let bench = Bench::start("timeout = \"5s\"").await;
    bench.studio.remove("bob");
    let bob = ("authorization", "Token bob");
    let nobody = ("cookie", "sessionid=nobody.1");
    for (owner, uri, headers, want) in [
        ("tasks/7", A, &[][..], (401, "login_needed")),
        ("tasks/7", A, &[nobody], (401, "login_needed")),
        ("tasks/7", A, &[bob], (403, "permission_denied")),
        ("tasks/99", A, &[ANN], (404, "task_not_found")),
        ("tasks/07", A, &[ANN], (404, "task_not_found")),
        ("tasks/seven", A, &[ANN], (404, "task_not_found")),
        ("tasks/7", "s3://media/other/c", &[ANN], (403, "object_not_granted")),
        ("tasks/7", "s3://media/img/a/", &[ANN], (403, "object_not_granted")),
        ("projects/1", A, &[], (401, "login_needed")),
        ("projects/1", A, &[nobody], (401, "login_needed")),
        ("projects/1", A, &[bob], (403, "permission_denied")),
        ("projects/9", A, &[ANN], (404, "project_not_found")),
        ("projects/1", A, &[ANN], (200, "")),
        ("tasks/7", A, &[("x-api-key", "nobody")], (401, "login_needed")),
        ("tasks/7", A, &[("authorization", "Bearer ann.of.label-studio")], (200, "")),
        ("tasks/7", "https://media/img/a", &[ANN], (400, "object_uri_invalid")),
    ] {
        let got = bench.judge(owner, uri, headers).await;
        assert_eq!((got.0, got.1.as_str()), want, "{owner} {uri} {headers:?}");
    }
    let needed = bench.get("tasks/7", A, &[]).await;
    assert_eq!(needed.header("www-authenticate"), "Bearer realm=\"mediagate\"");
    assert_eq!(needed.header("set-cookie"), "");
    bench.studio.take();
    for (owner, headers) in [("tasks/7", &[][..]), ("tasks/seven", &[ANN]), ("projects/x", &[ANN])] {
        bench.judge(owner, A, headers).await;
        assert_eq!(bench.studio.calls(), 0, "nobody is asked about {owner}");
    }
}

#[tokio::test]
async fn answers_of_all_kinds_carry_the_cookie_and_refusals_do_not() {
    let bench = Bench::start("").await;
    let path = resolve("tasks/7", A);
    let etag = bench.gateway.send("HEAD", &path, &[ANN]).await.header("etag").to_owned();
    for (method, path, header, status) in [
        ("GET", &path, ANN, 200),
        ("HEAD", &path, ANN, 200),
        ("GET", &path, ("range", "bytes=1-2"), 206),
        ("GET", &path, ("if-none-match", etag.as_str()), 304),
        ("GET", &path, ("range", "bytes=99-"), 416),
        ("GET", &resolve("tasks/7", "s3://media/img/b"), ANN, 403),
        ("GET", &path.replace("resolve", "presign"), ANN, 200),
    ] {
        let headers: Vec<_> = if header == ANN { vec![ANN] } else { vec![ANN, header] };
        let answer = bench.gateway.send(method, path, &headers).await;
        let is_handed = !answer.header("set-cookie").is_empty();
        assert_eq!((answer.status, is_handed), (status, status < 400), "{method} {header:?}");
    }
    let redirecting = Bench::start_with("", "delivery = \"redirect\"", clock).await;
    let answer = redirecting.get("tasks/7", A, &[ANN]).await;
    assert_eq!(answer.status, 303);
    assert!(answer.header("set-cookie").starts_with("mediagate_task="));
    // Players and Label Studio's service worker come back to it after the decision.
    assert!(answer.header("location").contains("X-Amz-Expires=900&"), "{}", answer.header("location"));
    let without = Bench::start("cookie = false").await;
    let answer = without.get("tasks/7", A, &[ANN]).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (200, ""));
}

#[tokio::test]
async fn the_cookie_is_for_tls_where_the_client_came_by_it() {
    let trusted = "[access]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    for (access, proto, secure) in [(trusted, "https", true), (trusted, "http", false), ("", "https", false)]
    {
        let (studio, s3) = (Studio::start().await, s3().await);
        let storage = storage(&s3.url(), "delivery = \"stream\"");
        let gateway = Gateway::start(&format!("{access}{}{storage}", studio.fake.config(""))).await;
        let headers = [ANN, ("x-forwarded-proto", proto), ("x-forwarded-for", "192.0.2.1")];
        let answer = gateway.send("GET", &resolve("tasks/7", A), &headers).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("set-cookie").ends_with("; Secure"), secure, "{access} {proto}");
    }
}

#[tokio::test]
async fn a_script_name_is_part_of_all_paths() {
    let (studio, s3) = (Studio::start_under("/ls").await, s3().await);
    let config = studio.fake.config("").replace("[upstream]\n", "[upstream]\nprefix = \"/ls\"\n");
    let gateway = Gateway::start(&format!("{config}{}", storage(&s3.url(), "delivery = \"stream\""))).await;
    let answer = gateway.send("GET", &format!("/ls{}", resolve("tasks/7", A)), &[ANN]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("set-cookie").contains("Path=/ls/tasks/7/;"), "{}", answer.header("set-cookie"));
}

#[tokio::test]
async fn a_token_of_ours_is_judged_without_label_studio() {
    let bench = Bench::start("").await;
    let good = format!("Bearer {}", sign(&claims()));
    let mut over = claims();
    over["exp"] = (now() - 60).into();
    let over = format!("Bearer {}", sign(&over));
    for (headers, want) in [
        (&[("authorization", good.as_str())][..], (200, "")),
        (&[ANN, ("authorization", &over)], (401, "token_expired")),
        (&[("cookie", "sessionid=ann.1; mediagate_token=bad")], (401, "token_malformed")),
    ] {
        let got = bench.judge("tasks/7", A, headers).await;
        assert_eq!((got.0, got.1.as_str()), want);
    }
    assert_eq!(bench.studio.calls(), 0);
}

/// Nothing has to be configured to judge by Label Studio alone, and a reload forgets no cookie.
#[tokio::test]
async fn it_is_ready_without_keys_and_reloads_keep_the_cookies() {
    let (studio, s3) = (Studio::start().await, s3().await);
    let storage = storage(&s3.url(), "delivery = \"stream\"");
    let config = format!("[access]\nkeys = []\n{}{storage}", studio.fake.config(""));
    let gateway = Gateway::start(&config).await;
    assert_eq!(gateway.admin("/readyz").await.status, 200);
    let path = resolve("tasks/7", A);
    let first = gateway.send("GET", &path, &[ANN]).await;
    assert_eq!(first.status, 200);
    gateway.reload(&format!("{config}\n[limits]\nin_flight = 100\n"));
    gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 1.0).await;
    studio.take();
    assert_eq!(gateway.send("GET", &path, &[("cookie", &task_cookie(&first))]).await.status, 200);
    assert_eq!(studio.calls(), 0);
}

/// The clock of one test, which it moves.
struct Hands(AtomicU64);

impl Hands {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn now(&self) -> SystemTime {
        clock() + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}
