//! Tokens over the wire: which are accepted, where they may be, and what their refusals say.

use jsonwebtoken::{Algorithm, Header};
use serde_json::json;

use crate::support::{
    gateway::{ADMIN, Gateway, SECRET, claims, now, send, sign, sign_with, storage},
    s3::S3Server,
};

async fn gateway() -> (S3Server, Gateway) {
    let s3 = S3Server::start().await;
    s3.put("media", "a", b"abc");
    let gateway = Gateway::streaming(&s3).await;
    (s3, gateway)
}

#[tokio::test]
async fn refusals_are_401_with_a_challenge_and_a_stable_code() {
    let (_s3, gateway) = gateway().await;
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = claims();
        change(&mut changed);
        sign(&changed)
    };
    let header = |kid: &str| Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    for (token, code) in [
        (with(&|claims| claims["exp"] = (now() - 60).into()), "token_expired"),
        (with(&|claims| claims["nbf"] = (now() + 600).into()), "token_not_yet_valid"),
        (with(&|claims| claims["aud"] = "other".into()), "audience_mismatch"),
        (with(&|claims| drop(claims.as_object_mut().unwrap().remove("aud"))), "audience_mismatch"),
        (with(&|claims| drop(claims.as_object_mut().unwrap().remove("exp"))), "claim_invalid"),
        (with(&|claims| claims["exp"] = "9999999999".into()), "claim_invalid"),
        (with(&|claims| claims["objects"] = json!("s3://media/*")), "claim_invalid"),
        (sign_with(&header("k9"), &claims(), SECRET.as_bytes()), "key_unknown"),
        (sign_with(&header("k1"), &claims(), b"another secret of 32 bytes or so"), "signature_invalid"),
        (
            sign_with(&Header { alg: Algorithm::HS512, ..header("k1") }, &claims(), SECRET.as_bytes()),
            "algorithm_mismatch",
        ),
        ("not.a.token".to_owned(), "token_malformed"),
        ("x".repeat(9000), "token_too_long"),
    ] {
        let answer =
            gateway.send("GET", "/media/media/a", &[("authorization", &format!("Bearer {token}"))]).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, code));
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""),
            "{code}: {challenge}"
        );
        assert_eq!(answer.header("content-type"), "application/problem+json", "{code}");
        assert!(!answer.text().contains(token.get(..12).unwrap_or(&token)), "{code}");
    }
    let none = gateway.send("GET", "/media/media/a", &[]).await;
    assert_eq!((none.status, none.code().as_str()), (401, "token_missing"));
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"mediagate\"");
}

#[tokio::test]
async fn a_configured_issuer_is_asked_for() {
    let s3 = S3Server::start().await;
    s3.put("media", "a", b"abc");
    let config = storage(&s3.url(), "delivery = \"stream\"");
    let gateway = Gateway::start(&format!("[access]\nissuer = \"annotation-app\"\n{config}")).await;
    for (issuer, status) in [(json!("annotation-app"), 200), (json!("another"), 401), (json!(null), 401)] {
        let mut claims = claims();
        match issuer {
            serde_json::Value::Null => {}
            issuer => claims["iss"] = issuer,
        }
        let answer = gateway.send("GET", &format!("/media/media/a?token={}", sign(&claims)), &[]).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(status == 200 || answer.code() == "issuer_mismatch", "{}", answer.text());
    }
}

#[tokio::test]
async fn the_first_place_that_has_a_token_counts_and_a_bad_one_is_no_reason_to_look_further() {
    let (_s3, gateway) = gateway().await;
    let good = sign(&claims());
    let (bearer, cookie) = (format!("Bearer {good}"), format!("a=b; mediagate_token={good}"));
    let query = format!("/media/media/a?token={good}");
    for (path, headers, want) in [
        ("/media/media/a", vec![("authorization", bearer.as_str())], 200),
        (query.as_str(), vec![], 200),
        ("/media/media/a", vec![("cookie", cookie.as_str())], 200),
        (query.as_str(), vec![("authorization", "Bearer bad")], 401),
        ("/media/media/a?token=bad", vec![("cookie", cookie.as_str())], 401),
        (query.as_str(), vec![("cookie", "mediagate_token=bad")], 200),
        (query.as_str(), vec![("authorization", "Basic dXNlcjpwYXNz")], 200),
        ("/media/media/a", vec![("authorization", bearer.as_str()), ("authorization", "Bearer bad")], 401),
        ("/media/media/a", vec![("cookie", "mediagate_token=bad"), ("cookie", cookie.as_str())], 401),
    ] {
        let answer = gateway.send("GET", path, &headers).await;
        assert_eq!(answer.status, want, "{} {:?}", path.get(..20).unwrap_or(path), headers.len());
    }
    let twice = gateway.send("GET", &format!("{query}&token={good}"), &[]).await;
    assert_eq!((twice.status, twice.code().as_str()), (401, "token_ambiguous"));
}

#[tokio::test]
async fn a_token_bound_to_an_address_is_refused_elsewhere() {
    let (_s3, gateway) = gateway().await;
    for (ip, want) in [("127.0.0.0/8", 200), ("192.0.2.0/24", 403)] {
        let mut bound = claims();
        bound["ip"] = json!([ip]);
        let answer = gateway.send("GET", &format!("/media/media/a?token={}", sign(&bound)), &[]).await;
        assert_eq!(answer.status, want, "{ip}");
    }
}

#[tokio::test]
async fn a_token_without_objects_covers_nothing_yet() {
    let (_s3, gateway) = gateway().await;
    let mut task = claims();
    task.as_object_mut().unwrap().remove("objects");
    task["task"] = 7.into();
    let answer = gateway.send("GET", &format!("/media/media/a?token={}", sign(&task)), &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "object_not_granted"));
}

#[tokio::test]
async fn a_revoked_token_stops_when_the_file_says_so() {
    let s3 = S3Server::start().await;
    s3.put("media", "a", b"abc");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("revocations.jsonl");
    std::fs::write(&file, "").unwrap();
    let config = format!(
        "[access]\nrevocations_file = \"{}\"\n{}",
        file.display(),
        storage(&s3.url(), "delivery = \"stream\"")
    );
    let gateway = Gateway::start(&config).await;
    let mut mine = claims();
    mine["jti"] = "token-1".into();
    let path = format!("/media/media/a?token={}", sign(&mine));
    assert_eq!(gateway.send("GET", &path, &[]).await.status, 200);
    std::fs::write(&file, "{\"jti\":\"token-1\"}\n").unwrap();
    gateway.reload(&config);
    gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 1.0).await;
    let answer = gateway.send("GET", &path, &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_revoked"));
    let other = gateway.send("GET", &format!("/media/media/a?token={}", sign(&claims())), &[]).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn the_control_api_mints_tokens_that_the_gateway_takes() {
    let (_s3, gateway) = gateway().await;
    let mint = |bearer: &'static str| {
        let body =
            json!({ "subject": "ann", "task": "7", "objects": ["s3://media/*"], "ttl": "10m" }).to_string();
        let request = format!(
            "POST /api/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        async move { crate::support::gateway::raw(gateway.admin, request.as_bytes()).await }
    };
    let refused = mint("wrong").await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let minted = mint(ADMIN).await;
    assert!(minted.starts_with("HTTP/1.1 201"), "{minted}");
    let body: serde_json::Value = serde_json::from_str(minted.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let token = body["token"].as_str().unwrap();
    let answer = send(gateway.address, "GET", &format!("/media/media/a?token={token}"), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A key set by URL: fetched at the start, and again for a key id that is new.
#[tokio::test]
async fn an_unknown_key_id_fetches_the_key_set_again() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use rcgen::PublicKeyData as _;

    use crate::support::scripted::{Scripted, Step, response};

    let s3 = S3Server::start().await;
    s3.put("media", "a", b"abc");
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.der_bytes());
    let jwks = |kid: &str| {
        let set = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x }] });
        let body = set.to_string().into_bytes();
        let length = body.len().to_string();
        vec![
            Step::Head,
            Step::Send(response("200 OK", &[("content-length", &length), ("connection", "close")], &body)),
        ]
    };
    let mut issuer = Scripted::start(vec![jwks("old"), jwks("new")]).await;
    let config = format!(
        "[[access.jwks]]\nurl = \"{}/jwks.json\"\nrefresh = \"1h\"\n{}",
        issuer.url(),
        storage(&s3.url(), "delivery = \"stream\"")
    );
    let gateway = Gateway::start(&config).await;
    issuer.next().await;
    let key = jsonwebtoken::EncodingKey::from_ed_der(&pair.serialize_der());
    let header = Header { kid: Some("new".into()), ..Header::new(Algorithm::EdDSA) };
    let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
    let answer = gateway.send("GET", &format!("/media/media/a?token={token}"), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(issuer.heads().len(), 2);
}
