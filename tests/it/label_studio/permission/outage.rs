//! How long a decision holds, and what holds while Label Studio is away.

use super::{A, ANN, Bench, Hands, max_age, task_cookie};

const STREAM: &str = "delivery = \"stream\"";

/// Neither what is remembered here nor what the browser has outlives the time, and neither renews the other.
#[tokio::test]
async fn a_removed_member_is_refused_when_the_time_is_over() {
    static CLOCK: Hands = Hands::new();
    let bench = Bench::start_with("decision_ttl = \"60s\"", STREAM, || CLOCK.now()).await;
    let first = bench.get("tasks/7", A, &[ANN]).await;
    bench.studio.remove("ann");
    CLOCK.advance(50);
    let second = bench.get("tasks/7", A, &[ANN]).await;
    assert_eq!(second.status, 200, "within the time");
    assert!(max_age(&second) <= 10, "{}", second.header("set-cookie"));
    CLOCK.advance(11);
    for cookie in [task_cookie(&first), task_cookie(&second), "a=b".to_owned()] {
        let cookies = format!("sessionid=ann.1; {cookie}");
        let got = bench.judge("tasks/7", A, &[("cookie", &cookies)]).await;
        assert_eq!((got.0, got.1.as_str()), (403, "permission_denied"));
    }
    let alone = bench.judge("tasks/7", A, &[("cookie", &task_cookie(&second))]).await;
    assert_eq!((alone.0, alone.1.as_str()), (401, "login_needed"));
}

/// Whoever logs in or is let in is not kept waiting; meanwhile a refusal costs Label Studio nothing more.
#[tokio::test]
async fn a_refusal_is_remembered_for_five_seconds() {
    static CLOCK: Hands = Hands::new();
    let bench = Bench::start_with("", STREAM, || CLOCK.now()).await;
    for (seconds, calls) in [(0, 1), (1, 0), (3, 0), (2, 1)] {
        CLOCK.advance(seconds);
        assert_eq!(bench.judge("tasks/99", A, &[ANN]).await.0, 404);
        assert_eq!(bench.studio.calls(), calls, "after {seconds}s");
    }
}

#[tokio::test]
async fn without_an_answer_nothing_opens() {
    let bench = Bench::start("timeout = \"50ms\"").await;
    for (status, want) in [
        (Some(500), (502, "permission_unavailable")),
        (Some(429), (502, "permission_unavailable")),
        (Some(200), (502, "permission_unavailable")),
        (Some(302), (502, "permission_unavailable")),
        (Some(418), (502, "permission_unavailable")),
    ] {
        bench.studio.break_with(status);
        let got = bench.judge("tasks/7", A, &[ANN]).await;
        assert_eq!((got.0, got.1.as_str()), want, "{status:?}");
        assert!(bench.studio.calls() > 0, "failures are not remembered");
    }
    bench.studio.break_with(None);
    bench.studio.open(false);
    let got = bench.judge("tasks/7", A, &[ANN]).await;
    assert_eq!((got.0, got.1.as_str()), (504, "permission_timeout"));
    bench.studio.open(true);
    assert_eq!(bench.judge("tasks/7", A, &[ANN]).await.0, 200, "it heals");
}

#[tokio::test]
async fn an_earlier_allowance_stands_through_an_outage_only_where_asked_for() {
    static CLOCK: Hands = Hands::new();
    let strict = Bench::start_with("", STREAM, || CLOCK.now()).await;
    let lenient = Bench::start_with("stale_on_outage = \"10m\"", STREAM, || CLOCK.now()).await;
    for bench in [&strict, &lenient] {
        assert_eq!(bench.get("tasks/7", A, &[ANN]).await.status, 200);
        bench.studio.break_with(Some(503));
    }
    CLOCK.advance(61);
    assert_eq!(strict.judge("tasks/7", A, &[ANN]).await.0, 502);
    lenient.studio.take();
    let stale = lenient.get("tasks/7", A, &[ANN]).await;
    assert_eq!(stale.status, 200);
    assert!(max_age(&stale) <= 5, "{}", stale.header("set-cookie"));
    assert!(lenient.studio.calls() > 0);
    assert_eq!(lenient.judge("tasks/7", A, &[ANN]).await.0, 200);
    assert_eq!(lenient.studio.calls(), 0, "an outage is not asked about each time");
    assert_eq!(lenient.judge("tasks/8", "s3://media/img/b", &[ANN]).await.0, 502, "nothing is known of it");
    assert!(lenient.gateway.metric("mediagate_permissions_total", &["stale"]).await > 0.0);
    CLOCK.advance(590);
    assert_eq!(lenient.judge("tasks/7", A, &[ANN]).await.0, 200);
    CLOCK.advance(10);
    let over = [("cookie", &*format!("sessionid=ann.1; {}", task_cookie(&stale)))];
    assert_eq!(lenient.judge("tasks/7", A, &[ANN]).await.0, 502, "ten minutes and no more");
    assert_eq!(lenient.judge("tasks/7", A, &over).await.0, 502, "nor by the cookie");
}

#[tokio::test]
async fn a_refusal_ends_what_was_allowed_before_an_outage() {
    static CLOCK: Hands = Hands::new();
    let bench = Bench::start_with("stale_on_outage = \"10m\"", STREAM, || CLOCK.now()).await;
    assert_eq!(bench.judge("tasks/7", A, &[ANN]).await.0, 200);
    bench.studio.remove("ann");
    CLOCK.advance(61);
    assert_eq!(bench.judge("tasks/7", A, &[ANN]).await.0, 403);
    bench.studio.break_with(Some(503));
    CLOCK.advance(6);
    assert_eq!(bench.judge("tasks/7", A, &[ANN]).await.0, 502);
}

/// An answer that is no answer is not an outage: something else may stand in the place of Label Studio.
#[tokio::test]
async fn a_strange_answer_is_no_outage() {
    static CLOCK: Hands = Hands::new();
    let bench = Bench::start_with("stale_on_outage = \"10m\"", STREAM, || CLOCK.now()).await;
    assert_eq!(bench.judge("tasks/7", A, &[ANN]).await.0, 200);
    bench.studio.break_with(Some(200));
    CLOCK.advance(61);
    assert_eq!(bench.judge("tasks/7", A, &[ANN]).await.0, 502);
}
