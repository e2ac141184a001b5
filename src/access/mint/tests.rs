use super::*;
use crate::access::{
    Presented, Verifier,
    forge::{NOW, SECRET, at, config, key},
    inspect,
};

fn request() -> TokenRequest {
    TokenRequest { objects: vec!["s3://media/a/*".to_owned()], ..TokenRequest::default() }
}

#[test]
fn what_is_minted_verifies() {
    let config = Config { issuer: Some("app".to_owned()), ..config() };
    let asked = TokenRequest {
        subject: Some("ann".to_owned()),
        task: Some("7".to_owned()),
        project: Some("3".to_owned()),
        ip: vec!["10.0.0.0/8".to_owned(), "192.0.2.7".to_owned()],
        delivery: Some(ForcedDelivery::Stream),
        ttl: Duration::from_secs(90),
        ..request()
    };
    let minted = Minter::build(&config).unwrap().mint(&asked, at(NOW)).unwrap();
    let verifier = Verifier::build(&config, at(NOW)).unwrap();
    let grant = verifier.verify(&Presented::from_text(minted.expose()), at(NOW)).unwrap();
    let description = serde_json::to_value(grant.describe()).unwrap();
    let want = serde_json::json!({
        "key": "k1", "subject": "ann", "jti_hash": description["jti_hash"], "task": "7", "project": "3",
        "objects": ["s3://media/a/*"], "ip": ["10.0.0.0/8", "192.0.2.7/32"], "delivery": "stream",
        "expires_at": NOW + 90,
    });
    assert_eq!(description, want);
    assert_eq!(grant.expires_at(), at(NOW + 90));
    let json = serde_json::to_value(&minted).unwrap();
    let want = serde_json::json!({
        "token": minted.expose(), "key": "k1", "jti": minted.jti(), "expires_at": NOW + 90,
    });
    assert_eq!(json, want);
    assert!(
        !format!("{minted:?}").contains(minted.expose()) && !format!("{minted:?}").contains(minted.jti())
    );
}

#[test]
fn what_is_not_minted() {
    let minter = Minter::build(&config()).unwrap();
    let day = Duration::from_hours(24);
    let many = |count: usize| (0..count).map(|number| format!("s3://media/{number}")).collect::<Vec<_>>();
    for (row, asked, want) in [
        ("nothing", TokenRequest::default(), Some(MintError::NothingGranted)),
        ("a task only", TokenRequest { task: Some("7".to_owned()), ..TokenRequest::default() }, None),
        ("a week", TokenRequest { ttl: 7 * day, ..request() }, None),
        ("more", TokenRequest { ttl: 8 * day, ..request() }, Some(MintError::TtlOutOfBounds(MAX_TTL))),
        (
            "no time",
            TokenRequest { ttl: Duration::ZERO, ..request() },
            Some(MintError::TtlOutOfBounds(MAX_TTL)),
        ),
        (
            "another key",
            TokenRequest { key: Some("k2".to_owned()), ..request() },
            Some(MintError::KeyUnknown),
        ),
        ("this key", TokenRequest { key: Some("k1".to_owned()), ..request() }, None),
        (
            "no subject",
            TokenRequest { subject: Some(String::new()), ..request() },
            Some(MintError::SubjectInvalid),
        ),
        (
            "a line",
            TokenRequest { subject: Some("a\nb".to_owned()), ..request() },
            Some(MintError::SubjectInvalid),
        ),
        (
            "no task",
            TokenRequest { task: Some(String::new()), ..request() },
            Some(MintError::TaskInvalid(ParseIdError::Empty)),
        ),
        (
            "another scheme",
            TokenRequest { objects: vec!["s3://media/a".to_owned(), "gs://media/a".to_owned()], ..request() },
            Some(MintError::ObjectInvalid(1, ParseObjectError::Scheme)),
        ),
        (
            "a name",
            TokenRequest { ip: vec!["localhost".to_owned()], ..request() },
            Some(MintError::NetworkInvalid(0)),
        ),
        ("1,001 objects", TokenRequest { objects: many(1001), ..request() }, Some(MintError::TooMany)),
        ("1,000 objects", TokenRequest { objects: many(1000), ..request() }, Some(MintError::TooLong)),
        ("200 objects", TokenRequest { objects: many(200), ..request() }, None),
    ] {
        assert_eq!(minter.mint(&asked, at(NOW)).err(), want, "{row}");
    }
}

#[test]
fn the_key_is_named_where_it_must_be() {
    let mint = |keys, asked: &TokenRequest| {
        let config = Config { keys, ..config() };
        Minter::build(&config).unwrap().mint(asked, at(NOW)).map(|minted| minted.key)
    };
    let two = || vec![key("k1", SECRET), key("k2", &SECRET.repeat(2))];
    let named = TokenRequest { key: Some("k2".to_owned()), ..request() };
    assert_eq!(mint(Vec::new(), &request()), Err(MintError::KeyMissing));
    assert_eq!(mint(two(), &request()), Err(MintError::KeyAmbiguous("k1, k2".to_owned())));
    assert_eq!(mint(two(), &named), Ok("k2".to_owned()));
}

#[test]
fn a_minted_token_lives_no_longer_than_a_verifier_allows() {
    let config = Config { max_token_lifetime: Some(Duration::from_mins(10)), ..config() };
    let minter = Minter::build(&config).unwrap();
    let most = TokenRequest { ttl: Duration::from_mins(10), ..request() };
    let token = minter.mint(&most, at(NOW)).unwrap();
    let verifier = Verifier::build(&config, at(NOW)).unwrap();
    assert!(verifier.verify(&Presented::from_text(token.expose()), at(NOW)).is_ok());
    let more = TokenRequest { ttl: Duration::from_mins(11), ..request() };
    assert_eq!(minter.mint(&more, at(NOW)).err(), Some(MintError::TtlOutOfBounds(Duration::from_mins(10))));
}

#[test]
fn a_request_in_json() {
    for (text, want) in [
        (r#"{"objects":["s3://media/a"],"task":7,"ttl":"15m"}"#, Some((Some("7"), 900))),
        (r#"{"task":"7"}"#, Some((Some("7"), 3600))),
        (r#"{"task":null}"#, Some((None, 3600))),
        ("{}", Some((None, 3600))),
        (r#"{"task":7.5}"#, None),
        (r#"{"ttl":900}"#, None),
        (r#"{"delivery":"proxy"}"#, None),
        (r#"{"object":["s3://media/a"]}"#, None),
    ] {
        let got: Option<TokenRequest> = serde_json::from_str(text).ok();
        let got = got.as_ref().map(|asked| (asked.task.as_deref(), asked.ttl.as_secs()));
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn ids_are_random_and_in_the_usual_form() {
    let (one, other) = (random_id(), random_id());
    assert_ne!(one, other);
    let shape: String = one.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
    assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    assert!(
        one.chars().nth(14) == Some('4') && one.chars().nth(19).is_some_and(|c| "89ab".contains(c)),
        "{one}"
    );
}

#[test]
fn an_inspection_shows_all_but_the_signature() {
    let minted = Minter::build(&config()).unwrap().mint(&request(), at(NOW)).unwrap();
    let text = serde_json::to_string(&inspect(minted.expose()).unwrap()).unwrap();
    let signature = minted.expose().rsplit_once('.').unwrap().1;
    assert!(text.contains("\"kid\":\"k1\"") && text.contains("s3://media/a/*"), "{text}");
    assert!(!text.contains(signature), "{text}");
    for bad in ["", "a.b", "a.b.c", "e30.e30", "e30.e30.x.y", &"x".repeat(9000)] {
        assert!(inspect(bad).is_err(), "{bad}");
    }
}
