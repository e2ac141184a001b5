//! Redirects: what the 303 says, and that S3 accepts what it points to.

use crate::support::{
    gateway::{Answer, Gateway, claims, now, sign, storage},
    s3::S3Server,
};

/// Follows a `Location` to the embedded S3 server.
async fn follow(method: &str, answer: &Answer) -> Answer {
    let location: http::Uri = answer.header("location").parse().unwrap();
    let address = location.authority().unwrap().as_str().parse().unwrap();
    crate::support::gateway::send(address, method, location.path_and_query().unwrap().as_str(), &[]).await
}

#[tokio::test]
async fn a_redirect_is_a_303_that_s3_accepts() {
    let s3 = S3Server::start().await;
    s3.put("media", "img/cat one.png", b"cat");
    let gateway = Gateway::redirecting(&s3).await;
    let answer = gateway.get("/media/media/img/cat%20one.png").await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert!(answer.body.is_empty());
    assert!(
        answer.header("location").contains("response-content-type=image%2Fpng"),
        "{}",
        answer.header("location")
    );
    let object = follow("GET", &answer).await;
    assert_eq!((object.status, object.text().as_str()), (200, "cat"));
}

#[tokio::test]
async fn a_head_never_rides_on_a_get_signature() {
    let s3 = S3Server::start().await;
    s3.put("media", "cat.png", b"cat");
    let gateway = Gateway::redirecting(&s3).await;
    let path = format!("/media/media/cat.png?token={}", sign(&claims()));
    let get = gateway.send("GET", &path, &[]).await;
    let head = gateway.send("HEAD", &path, &[]).await;
    assert_eq!((get.status, head.status), (303, 303));
    assert_ne!(get.header("location"), head.header("location"));
    assert_eq!(follow("HEAD", &head).await.status, 200);
    assert_eq!(follow("GET", &get).await.status, 200);
    assert_eq!(follow("GET", &head).await.status, 403);
    assert_eq!(follow("HEAD", &get).await.status, 403);
}

#[tokio::test]
async fn one_object_has_one_url_for_everybody_within_a_window() {
    let s3 = S3Server::start().await;
    let config = storage(&s3.url(), "delivery = \"redirect\"\npresign_ttl = \"7days\"");
    let (one, other) = (Gateway::start(&config).await, Gateway::start(&config).await);
    let mut long = claims();
    long["exp"] = (now() + 30 * 24 * 3600).into();
    let mine = one.send("GET", &format!("/media/media/a?token={}", sign(&long)), &[]).await;
    long["sub"] = "somebody else".into();
    let theirs = other.send("GET", &format!("/media/media/a?token={}", sign(&long)), &[]).await;
    assert_eq!(mine.header("location"), theirs.header("location"));
    assert!(!mine.header("location").is_empty());
}

/// The cache of URLs is one for all storages; what it keeps is of one of them, and of its credentials.
#[tokio::test]
async fn one_key_in_two_storages_has_two_urls() {
    let media = storage("http://127.0.0.1:1", "delivery = \"redirect\"\npresign_ttl = \"7days\"");
    let other = media.replace("\"media\"", "\"other\"");
    let gateway = Gateway::start(&format!("{media}{other}")).await;
    let mut claims = claims();
    claims["objects"] = serde_json::json!(["s3://media/*", "s3://other/*"]);
    claims["exp"] = (now() + 30 * 24 * 3600).into();
    let token = sign(&claims);
    let mut locations = Vec::new();
    for bucket in ["media", "other", "media"] {
        let answer = gateway.send("GET", &format!("/media/{bucket}/a?token={token}"), &[]).await;
        let location = answer.header("location").to_owned();
        assert!(location.starts_with(&format!("http://127.0.0.1:1/{bucket}/a?")), "{bucket}: {location}");
        locations.push(location);
    }
    assert_eq!(locations[0], locations[2], "it is remembered");
    gateway.reload(&media.replace("secret_access_key = \"", "secret_access_key = \"another"));
    gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 1.0).await;
    let answer = gateway.send("GET", &format!("/media/media/a?token={token}"), &[]).await;
    assert_eq!(answer.status, 303);
    assert_ne!(answer.header("location"), locations[0], "signed with the secret before");
}

#[tokio::test]
async fn a_url_never_outlives_the_token() {
    let s3 = S3Server::start().await;
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"redirect\"\npresign_ttl = \"2h\"")).await;
    let mut short = claims();
    let ends = now() + 120;
    short["exp"] = ends.into();
    let answer = gateway.send("GET", &format!("/media/media/a?token={}", sign(&short)), &[]).await;
    let location = answer.header("location").to_owned();
    let parameter = |name: &str| {
        let (_, rest) = location.split_once(&format!("{name}=")).unwrap();
        rest.split('&').next().unwrap().to_owned()
    };
    let date = parameter("X-Amz-Date");
    let expires: u64 = parameter("X-Amz-Expires").parse().unwrap();
    let signed_at = seconds_of(&date);
    assert!(signed_at + expires <= ends, "{date} + {expires} s is after {ends}");
}

#[tokio::test]
async fn presigned_urls_are_signed_for_the_public_endpoint() {
    let s3 = S3Server::start().await;
    let more = "delivery = \"redirect\"\npublic_endpoint = \"https://media.example.org\"";
    let gateway = Gateway::start(&storage(&s3.url(), more)).await;
    let answer = gateway.get("/media/media/a.bin").await;
    let location = answer.header("location");
    assert!(location.starts_with("https://media.example.org/media/a.bin?"), "{location}");
}

#[tokio::test]
async fn the_token_may_force_the_delivery() {
    let s3 = S3Server::start().await;
    s3.put("media", "a", b"abc");
    let gateway = Gateway::redirecting(&s3).await;
    for (delivery, want) in [("stream", 200), ("redirect", 303)] {
        let mut forced = claims();
        forced["delivery"] = delivery.into();
        let answer = gateway.send("GET", &format!("/media/media/a?token={}", sign(&forced)), &[]).await;
        assert_eq!(answer.status, want, "{delivery}");
    }
}

#[tokio::test]
async fn rules_choose_by_size_type_and_network() {
    let s3 = S3Server::start().await;
    s3.put("media", "small.png", &[0; 10]);
    s3.put("media", "large.png", &[0; 2000]);
    s3.put("media", "large.mp4", &[0; 2000]);
    let rules = "delivery = \"rules\"\n\
        [[storages.rules]]\nnetworks = [\"198.51.100.0/24\"]\ndelivery = \"redirect\"\n\
        [[storages.rules]]\ncontent_types = [\"image/*\"]\nmin_size = \"1000\"\ndelivery = \"redirect\"";
    let gateway = Gateway::start(&storage(&s3.url(), rules)).await;
    for (key, want) in [("small.png", 200), ("large.png", 303), ("large.mp4", 200)] {
        assert_eq!(gateway.get(&format!("/media/media/{key}")).await.status, want, "{key}");
    }
}

#[tokio::test]
async fn label_studio_urls_lead_to_the_same_object() {
    let s3 = S3Server::start().await;
    let gateway = Gateway::redirecting(&s3).await;
    let mut claims = claims();
    claims["task"] = 7.into();
    let token = sign(&claims);
    // s3://media/img/a.jpg
    for path in [
        "/tasks/7/resolve/?fileuri=czM6Ly9tZWRpYS9pbWcvYS5qcGc=",
        "/tasks/7/resolve?fileuri=czM6Ly9tZWRpYS9pbWcvYS5qcGc",
        "/tasks/7/presign/?fileuri=s3%3A%2F%2Fmedia%2Fimg%2Fa.jpg",
        "/projects/3/resolve/?fileuri=czM6Ly9tZWRpYS9pbWcvYS5qcGc=",
    ] {
        let answer = gateway.send("GET", &format!("{path}&token={token}"), &[]).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.text());
        assert!(answer.header("location").contains("/media/img/a.jpg?"), "{path}");
    }
    let other = gateway
        .send("GET", &format!("/tasks/8/resolve/?fileuri=czM6Ly9tZWRpYS9pbWcvYS5qcGc=&token={token}"), &[])
        .await;
    assert_eq!((other.status, other.code().as_str()), (403, "object_not_granted"));
}

/// The location is built by the signer alone: nothing of the request leads elsewhere.
#[tokio::test]
async fn no_request_leads_the_redirect_to_another_host() {
    let s3 = S3Server::start().await;
    let gateway = Gateway::redirecting(&s3).await;
    let token = sign(&claims());
    for path in [
        "/media/media//evil.example/x",
        "/media/media/%2F%2Fevil.example",
        "/media/media/@evil.example",
        "/media/media/http:%2F%2Fevil.example",
    ] {
        let answer = gateway
            .send(
                "GET",
                &format!("{path}?token={token}"),
                &[("host", "evil.example"), ("x-forwarded-host", "evil.example")],
            )
            .await;
        let location = answer.header("location").to_owned();
        assert_eq!(answer.status, 303, "{path}");
        assert!(location.starts_with(&format!("{}/media/", s3.url())), "{path}: {location}");
    }
}

/// `20261124T031500Z` as seconds since 1970.
fn seconds_of(date: &str) -> u64 {
    let number = |range: std::ops::Range<usize>| date.get(range).unwrap().parse::<u64>().unwrap();
    let (year, month, day) = (number(0..4), number(4..6), number(6..8));
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let months = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum::<u64>()
        + months.iter().take(usize::try_from(month - 1).unwrap()).sum::<u64>()
        + day
        - 1;
    ((days * 24 + number(9..11)) * 60 + number(11..13)) * 60 + number(13..15)
}
