use std::fs;

use http::HeaderMap;

use super::*;
use crate::{
    access::{
        ClientIp, Covered, ForwardedHeader, JwksConfig, KeyConfig, TrustedProxies, client_ip,
        forge::{CLAIMS, HEADER, NOW, SECRET, at, b64, claiming, config, hs256, judge, key},
    },
    id::{ProjectId, TaskId},
    object::ObjectUri,
};

const URL: &str = "https://issuer.example/keys";

fn verify(verifier: &Verifier, token: &str, now: u64) -> Result<Arc<Grant>, Error> {
    verifier.verify(&Presented::from_text(token), at(now))
}

fn with(member: &str) -> String {
    claiming(&CLAIMS.replacen('{', &format!("{{{member},"), 1))
}

#[test]
fn times() {
    let times = |text: &str| claiming(&CLAIMS.replace(r#""exp":1700003600,"iat":1700000000"#, text));
    let (expired, early, long) = (Error::TokenExpired, Error::TokenNotYetValid, Error::LifetimeExceeded);
    let hour = Some(Duration::from_hours(1));
    for (claims, most, want) in [
        (r#""exp":1700000001"#, None, None),
        (r#""exp":1700000000"#, None, Some(expired)),
        (r#""exp":1699999999"#, None, Some(expired)),
        (r#""exp":0"#, None, Some(expired)),
        (r#""exp":1700003600,"nbf":1700000030"#, None, None),
        (r#""exp":1700003600,"nbf":1700000031"#, None, Some(early)),
        (r#""exp":1700003600,"iat":1700000030"#, None, None),
        (r#""exp":1700003600,"iat":1700000031"#, None, Some(early)),
        (r#""exp":1700003600,"iat":0,"nbf":1700000031"#, None, Some(early)),
        (r#""exp":9007199254740992,"nbf":9007199254740992"#, None, Some(early)),
        (r#""exp":9007199254740992,"nbf":0,"iat":0"#, None, None),
        (r#""exp":1700003600,"iat":1700000000"#, hour, None),
        (r#""exp":1700003601,"iat":1700000000"#, hour, Some(long)),
        (r#""exp":1700003600"#, hour, None),
        (r#""exp":1700003601"#, hour, Some(long)),
        (r#""exp":1700003630,"iat":1700000030"#, hour, None),
        (r#""exp":1700000001,"iat":1600000000"#, hour, Some(long)),
    ] {
        let config = Config { max_token_lifetime: most, ..config() };
        assert_eq!(judge(&config, &times(claims)).err(), want, "{claims} {most:?}");
    }
    let forever = Config { leeway: Duration::MAX, ..config() };
    assert_eq!(judge(&forever, &times(r#""exp":1700003600,"nbf":1700003599"#)).err(), None);
}

#[test]
fn issuers_and_audiences() {
    let (issuer, audience) = (Some(Error::IssuerMismatch), Some(Error::AudienceMismatch));
    for (configured, iss, aud, want) in [
        (None, "", r#","aud":"mediagate""#, None),
        (None, r#","iss":"anybody""#, r#","aud":"mediagate""#, None),
        (Some("app"), r#","iss":"app""#, r#","aud":"mediagate""#, None),
        (Some("app"), "", r#","aud":"mediagate""#, issuer),
        (Some("app"), r#","iss":"""#, r#","aud":"mediagate""#, issuer),
        (Some("app"), r#","iss":"App""#, r#","aud":"mediagate""#, issuer),
        (Some("app"), r#","iss":"app2""#, r#","aud":"mediagate""#, issuer),
        (Some("app"), r#","iss":"app/""#, r#","aud":"mediagate""#, issuer),
        (None, "", "", audience),
        (None, "", r#","aud":"""#, audience),
        (None, "", r#","aud":"media""#, audience),
        (None, "", r#","aud":"mediagate2""#, audience),
        (None, "", r#","aud":["a","mediagate"]"#, None),
        (None, "", r#","aud":["a","b"]"#, audience),
        (None, "", r#","aud":[]"#, audience),
        (None, "", r#","aud":"a mediagate""#, audience),
    ] {
        let config = Config { issuer: configured.map(str::to_owned), ..config() };
        let token = claiming(&format!(r#"{{"exp":1700003600{iss}{aud}}}"#));
        assert_eq!(judge(&config, &token).err(), want, "{configured:?} {iss} {aud}");
    }
    let empty = Config { audience: String::new(), ..config() };
    assert!(matches!(Verifier::build(&empty, at(NOW)), Err(BuildError::AudienceEmpty)));
}

#[test]
fn what_a_grant_covers() {
    let of = |task: Option<&str>, project: Option<&str>| {
        let claim = |name, id: Option<&str>| id.map_or(String::new(), |id| format!(r#""{name}":{id},"#));
        let members = claim("task", task) + &claim("project", project);
        judge(&config(), &claiming(&CLAIMS.replacen('{', &format!("{{{members}"), 1))).unwrap()
    };
    for (task, project, object, asked_task, asked_project, want) in [
        (None, None, "s3://media/a/b", None, None, true),
        (None, None, "s3://media/b", None, None, false),
        (None, None, "s3://other/a/b", None, None, false),
        (None, None, "s3://media/a/b", Some("7"), None, true),
        (Some("7"), None, "s3://media/a/b", Some("7"), None, true),
        (Some("7"), None, "s3://media/a/b", Some("8"), None, false),
        (Some("7"), None, "s3://media/a/b", None, None, true),
        (Some("7"), None, "s3://media/b", Some("7"), None, false),
        (Some("\"7\""), None, "s3://media/a/b", Some("7"), None, true),
        (Some("\"07\""), None, "s3://media/a/b", Some("7"), None, false),
        (None, Some("3"), "s3://media/a/b", None, Some("3"), true),
        (None, Some("3"), "s3://media/a/b", None, Some("4"), false),
        (Some("7"), Some("3"), "s3://media/a/b", Some("7"), None, true),
        (Some("7"), Some("3"), "s3://media/a/b", None, Some("4"), false),
    ] {
        let (asked_task, asked_project) = (
            asked_task.map(|id| TaskId::parse(id).unwrap()),
            asked_project.map(|id| ProjectId::parse(id).unwrap()),
        );
        let object = ObjectUri::parse(object).unwrap();
        let grant = of(task, project);
        let got = grant.covers(&object, asked_task.as_ref(), asked_project.as_ref());
        assert_eq!(got.is_ok(), want, "{task:?} {project:?} {object} {asked_task:?} {asked_project:?}");
    }
    let object = ObjectUri::parse("s3://media/a/b").unwrap();
    let task = TaskId::parse("7").unwrap();
    for (claims, want) in [
        (r#","task":7"#, Ok(Covered::IfLinkedTo(&task))),
        (r#","task":7,"objects":[]"#, Err(Error::ObjectNotGranted)),
        (r#","project":3"#, Err(Error::ObjectNotGranted)),
    ] {
        let token = claiming(&format!(r#"{{"exp":1700003600,"aud":"mediagate"{claims}}}"#));
        let grant = judge(&config(), &token).unwrap();
        assert_eq!(grant.covers(&object, grant.task(), None), want, "{claims:?}");
    }
}

#[test]
fn who_a_grant_admits() {
    let client = |text: &str| -> ClientIp {
        let nobody = TrustedProxies::new(&[], ForwardedHeader::default());
        client_ip(text.parse().unwrap(), &HeaderMap::new(), &nobody).unwrap()
    };
    for (claim, ip, want) in [
        (r#""ip":["10.0.0.0/8"]"#, "10.1.2.3", true),
        (r#""ip":["10.0.0.0/8"]"#, "::ffff:10.1.2.3", true),
        (r#""ip":["10.0.0.0/8"]"#, "11.1.2.3", false),
        (r#""ip":["192.0.2.1","2001:db8::/32"]"#, "192.0.2.1", true),
        (r#""ip":["192.0.2.1","2001:db8::/32"]"#, "2001:db8::1", true),
        (r#""ip":["192.0.2.1","2001:db8::/32"]"#, "192.0.2.2", false),
        (r#""ip":["::ffff:192.0.2.1"]"#, "192.0.2.1", true),
        (r#""ip":["::/0"]"#, "192.0.2.1", false),
        (r#""ip":[]"#, "192.0.2.1", false),
        (r#""x":1"#, "192.0.2.1", true),
    ] {
        let grant = judge(&config(), &with(claim)).unwrap();
        assert_eq!(grant.admits(client(ip)).is_ok(), want, "{claim} {ip}");
    }
}

#[test]
fn revoked_tokens() {
    let token = |member: &str| claiming(&format!(r#"{{"exp":1700003600,"aud":"mediagate"{member}}}"#));
    for (list, member, revoked) in [
        ("", r#","jti":"t-1","sub":"ann","iat":1699999000"#, false),
        (r#"{"jti":"t-1"}"#, r#","jti":"t-1""#, true),
        (r#"{"jti":"t-1"}"#, r#","jti":"t-2""#, false),
        (r#"{"jti":"t-1"}"#, "", false),
        (r#"{"jti":"t-1","exp":1700003600}"#, r#","jti":"t-1""#, true),
        (r#"{"sub":"ann","before":1699999000}"#, r#","sub":"ann","iat":1699998999"#, true),
        (r#"{"sub":"ann","before":1699999000}"#, r#","sub":"ann","iat":1699999000"#, true),
        (r#"{"sub":"ann","before":1699999000}"#, r#","sub":"ann","iat":1699999001"#, false),
        (r#"{"sub":"ann","before":1699999000}"#, r#","sub":"ann""#, true),
        (r#"{"sub":"ann","before":1699999000}"#, r#","sub":"bob""#, false),
        (r#"{"sub":"ann","before":1699999000}"#, "", false),
    ] {
        let verifier = Verifier::build(&config(), at(NOW)).unwrap();
        let token = token(member);
        assert!(verify(&verifier, &token, NOW).is_ok(), "{member}");
        verifier.replace_revocations(Revocations::parse(list, at(NOW)).unwrap());
        let want = revoked.then_some(Error::TokenRevoked);
        assert_eq!(verify(&verifier, &token, NOW).err(), want, "{list} {member}, also when it is remembered");
    }
}

#[test]
fn a_revocations_file_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("revoked.jsonl");
    let config = Config { revocations_file: Some(path.clone()), ..config() };
    let build =
        || Verifier::build(&config, at(NOW)).map(|verifier| verify(&verifier, &claiming(CLAIMS), NOW).err());
    assert!(
        matches!(build(), Err(BuildError::Unreadable { .. })),
        "a list that is not there is not an empty one"
    );
    fs::write(&path, "").unwrap();
    assert_eq!(build().unwrap(), None);
    Revocations::append(&path, &Revocation::Token { jti: "t-1".to_owned() }).unwrap();
    assert_eq!(build().unwrap(), Some(Error::TokenRevoked));
    fs::write(&path, "{\"jti\":\"a\"}\nt-1\n").unwrap();
    let error = build().unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("revoked.jsonl"), "{error}");
    assert_eq!(config.files(), [path]);
}

#[test]
fn a_remembered_token_is_judged_again() {
    let verifier = Verifier::build(&config(), at(NOW)).unwrap();
    let token = claiming(CLAIMS);
    let first = verify(&verifier, &token, NOW).unwrap();
    let again = verify(&verifier, &token, NOW + 1).unwrap();
    assert!(Arc::ptr_eq(&first, &again), "it is remembered");
    for (now, want) in [
        (NOW + 3599, None),
        (NOW + 3600, Some(Error::TokenExpired)),
        (NOW - 31, Some(Error::TokenNotYetValid)),
    ] {
        assert_eq!(verify(&verifier, &token, now).err(), want, "{now}");
    }
    verifier.revoke(Revocation::Token { jti: "another".to_owned() });
    let after = verify(&verifier, &token, NOW).unwrap();
    assert!(!Arc::ptr_eq(&first, &after), "verified anew after a change");
    verifier.revoke(Revocation::Subject { sub: "ann".to_owned(), before: at(NOW) });
    assert_eq!(verify(&verifier, &token, NOW).err(), Some(Error::TokenRevoked));
}

/// What is remembered is the whole text: who knows a good token's claims cannot present them under another signature.
#[test]
fn a_forged_token_does_not_ride_on_a_remembered_one() {
    let verifier = Verifier::build(&config(), at(NOW)).unwrap();
    let good = claiming(CLAIMS);
    assert!(verify(&verifier, &good, NOW).is_ok());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{other}{}", signature.get(1..).unwrap());
    for token in [forged, format!("{signed}."), format!("{signed}.{signature}A")] {
        assert_eq!(verify(&verifier, &token, NOW).err(), Some(Error::SignatureInvalid), "{token}");
    }
}

#[test]
fn a_refused_token_is_not_remembered() {
    let verifier = Verifier::build(&config(), at(NOW)).unwrap();
    let early = claiming(&CLAIMS.replace(r#""iat":1700000000"#, r#""iat":1700000031"#));
    assert_eq!(verify(&verifier, &early, NOW).err(), Some(Error::TokenNotYetValid));
    assert_eq!(verify(&verifier, &early, NOW + 1).err(), None);
}

#[test]
fn tokens_that_name_many_objects_weigh_more() {
    let objects: Vec<String> = (0..300).map(|number| format!(r#""s3://abc/{number}""#)).collect();
    let large = claiming(&CLAIMS.replace(r#""s3://media/a/*""#, &objects.join(",")));
    assert_eq!(judge(&config(), &claiming(CLAIMS)).unwrap().weight(), 1);
    assert!(judge(&config(), &large).unwrap().weight() > 20);
}

#[test]
fn a_key_set_is_replaced_whole_or_not_at_all() {
    let (set, signer) = issuer("j1");
    let (next, next_signer) = issuer("j2");
    let verifier = Verifier::build(&fetched(), at(NOW)).unwrap();
    let (old, new) = (signer("j1"), next_signer("j2"));
    assert_eq!(verify(&verifier, &old, NOW).err(), Some(Error::KeyUnknown), "not fetched yet");
    assert_eq!(verifier.jwks_ages(at(NOW)), [None]);
    assert_eq!(verifier.replace_jwks(0, &set, at(NOW)).unwrap(), 1);
    let grant = verify(&verifier, &old, NOW).unwrap();
    assert_eq!(verifier.jwks_ages(at(NOW + 60)), [Some(Duration::from_mins(1))]);
    for bad in ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","kid":"j1","k":"AAAA"}]}"#] {
        assert!(verifier.replace_jwks(0, bad, at(NOW + 70)).is_err(), "{bad}");
        assert!(verify(&verifier, &old, NOW).is_ok(), "the last good keys stay after {bad}");
    }
    assert_eq!(
        verifier.jwks_ages(at(NOW + 60)),
        [Some(Duration::from_mins(1))],
        "what was refused has no age"
    );
    assert!(verifier.replace_jwks(7, &set, at(NOW)).is_err());
    verifier.replace_jwks(0, &set, at(NOW + 80)).unwrap();
    assert!(Arc::ptr_eq(&grant, &verify(&verifier, &old, NOW).unwrap()), "the same set changes nothing");
    verifier.replace_jwks(0, &next, at(NOW + 90)).unwrap();
    assert_eq!(verify(&verifier, &new, NOW).err(), None);
    assert_eq!(
        verify(&verifier, &old, NOW).err(),
        Some(Error::KeyUnknown),
        "a key that left verifies nothing"
    );
}

#[test]
fn a_key_set_cannot_replace_a_configured_key() {
    let (set, signer) = issuer("k1");
    let verifier = Verifier::build(&Config { keys: vec![key("k1", SECRET)], ..fetched() }, at(NOW)).unwrap();
    verifier.replace_jwks(0, &set, at(NOW)).unwrap();
    assert_eq!(verify(&verifier, &claiming(CLAIMS), NOW).err(), None);
    assert_eq!(verify(&verifier, &signer("k1"), NOW).err(), Some(Error::AlgorithmMismatch));
}

#[test]
fn an_earlier_set_wins_over_a_later_one() {
    let ((first, honest), (second, forger)) = (issuer("j1"), issuer("j1"));
    let jwks = ["https://a.example/", "https://b.example/"]
        .map(|url| JwksConfig { url: Some(url.to_owned()), ..JwksConfig::default() });
    let verifier = Verifier::build(&Config { jwks: jwks.into(), ..Config::default() }, at(NOW)).unwrap();
    verifier.replace_jwks(1, &second, at(NOW)).unwrap();
    verifier.replace_jwks(0, &first, at(NOW)).unwrap();
    assert_eq!(verify(&verifier, &honest("j1"), NOW).err(), None);
    assert_eq!(verify(&verifier, &forger("j1"), NOW).err(), Some(Error::SignatureInvalid));
}

#[test]
fn a_key_set_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (set, signer) = issuer("j1");
    let jwks = vec![JwksConfig { file: Some(path.clone()), ..JwksConfig::default() }];
    let config = Config { jwks, ..Config::default() };
    assert!(matches!(Verifier::build(&config, at(NOW)), Err(BuildError::Unreadable { .. })));
    fs::write(&path, &set).unwrap();
    let verifier = Verifier::build(&config, at(NOW)).unwrap();
    assert_eq!(verify(&verifier, &signer("j1"), NOW).err(), None);
    assert!(verifier.has_keys() && verifier.jwks_sources().is_empty());
    fs::write(&path, "{}").unwrap();
    assert!(matches!(Verifier::build(&config, at(NOW)), Err(BuildError::JwksMalformed { index: 0, .. })));
    fs::write(&path, r#"{"keys":"a-secret-that-is-not-a-list"}"#).unwrap();
    let error = Verifier::build(&config, at(NOW)).unwrap_err();
    let mut told = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    assert!(told.all(|error| !error.to_string().contains("secret")), "{error}");
}

#[test]
fn a_new_configuration_inherits_fetched_sets() {
    let (set, signer) = issuer("j1");
    let before = Verifier::build(&fetched(), at(NOW)).unwrap();
    before.replace_jwks(0, &set, at(NOW)).unwrap();
    let inherits = |config: &Config| {
        let after = Verifier::build(config, at(NOW)).unwrap();
        after.inherit_jwks(&before);
        (after.has_keys(), verify(&after, &signer("j1"), NOW).is_ok(), after.jwks_ages(at(NOW + 5)))
    };
    let age = Some(Duration::from_secs(5));
    assert_eq!(inherits(&fetched()), (true, true, vec![age]));
    let mut elsewhere = fetched();
    elsewhere.jwks[0].url = Some("https://other.example/keys".to_owned());
    assert_eq!(inherits(&elsewhere), (false, false, vec![None]));
    let mut stricter = fetched();
    stricter.jwks[0].algorithms = vec![jsonwebtoken::Algorithm::RS256];
    assert_eq!(inherits(&stricter), (false, false, vec![None]));
    assert_eq!(inherits(&Config::default()), (false, false, vec![]));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_waits_for_its_set() {
    let (set, signer) = issuer("j1");
    let verifier = Arc::new(Verifier::build(&fetched(), at(NOW)).unwrap());
    let ask = |token: String| {
        let verifier = Arc::clone(&verifier);
        async move { verifier.verify_or_refresh(&Presented::from_text(&token), at(NOW)).await.map(drop) }
    };
    let known = claiming(CLAIMS);
    assert_eq!(ask("x".to_owned()).await, Err(Error::TokenMalformed), "only an unknown key is worth asking");
    let waiting =
        [tokio::spawn(ask(signer("j1"))), tokio::spawn(ask(signer("j1"))), tokio::spawn(ask(known))];
    verifier.refresh_wanted().await;
    verifier.replace_jwks(0, &set, at(NOW)).unwrap();
    let mut results = Vec::new();
    for task in waiting {
        results.push(task.await.unwrap());
    }
    assert_eq!(results, [Ok(()), Ok(()), Err(Error::KeyUnknown)]);
    let began = tokio::time::Instant::now();
    assert_eq!(ask(signer("j9")).await, Err(Error::KeyUnknown));
    assert_eq!(began.elapsed(), Duration::ZERO, "the last fetch was just now");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_costs_two_seconds() {
    let (_, signer) = issuer("j1");
    let verifier = Verifier::build(&fetched(), at(NOW)).unwrap();
    let token = signer("j1");
    let began = tokio::time::Instant::now();
    let presented = Presented::from_text(&token);
    let asked = verifier.verify_or_refresh(&presented, at(NOW)).await;
    assert_eq!(asked.err(), Some(Error::KeyUnknown));
    assert_eq!(began.elapsed().as_secs(), 2);
    tokio::time::advance(Duration::from_secs(20)).await;
    let began = tokio::time::Instant::now();
    let fetcher = async {
        verifier.refresh_wanted().await;
        verifier.jwks_unchanged(0);
    };
    let (asked, ()) = tokio::join!(verifier.verify_or_refresh(&presented, at(NOW)), fetcher);
    assert_eq!(asked.err(), Some(Error::KeyUnknown));
    assert_eq!(began.elapsed(), Duration::ZERO, "a fetch that failed is not waited for");
}

#[test]
fn which_tokens_are_ours() {
    let one = Verifier::build(&config(), at(NOW)).unwrap();
    let two = Config { keys: vec![key("k1", SECRET), key("k2", SECRET)], ..config() };
    let two = Verifier::build(&two, at(NOW)).unwrap();
    let nameless = hs256(r#"{"alg":"HS256"}"#, CLAIMS, SECRET.as_bytes());
    for (row, token, by_one, by_two) in [
        ("ours", claiming(CLAIMS), true, true),
        ("expired", claiming(&CLAIMS.replace("1700003600", "1")), true, true),
        ("under our name", hs256(HEADER, CLAIMS, b"another"), true, true),
        ("another key's", hs256(&HEADER.replace("k1", "app"), CLAIMS, SECRET.as_bytes()), false, false),
        ("nameless and ours", nameless, true, false),
        ("nameless and another's", hs256(r#"{"alg":"HS256"}"#, CLAIMS, b"another"), false, false),
        ("no token", "0123456789abcdef0123456789abcdef01234567".to_owned(), false, false),
        ("not JSON", format!("{}.{}.{}", b64("k1"), b64("k1"), b64("k1")), false, false),
        ("nothing", String::new(), false, false),
    ] {
        assert_eq!((looks_like_ours(&token, &one), looks_like_ours(&token, &two)), (by_one, by_two), "{row}");
    }
}

#[test]
fn a_configuration_is_read_from_toml() {
    let text = r#"
        allow = ["10.0.0.0/8", "192.0.2.7"]
        deny = ["10.6.6.6"]
        trusted_proxies = ["127.0.0.1", "::1"]
        client_address = "forwarded"
        issuer = "app"
        leeway = "5s"
        max_token_lifetime = "12h"
        keys = [{ id = "k1", algorithm = "HS256", secret = "0123456789abcdef0123456789abcdef" },
                { id = "k2", algorithm = "EdDSA", public_key_file = "k2.pem" }]
        jwks = [{ url = "https://issuer.example/keys", refresh = "1m", algorithms = ["PS256"] }]
        revocations_file = "revoked.jsonl"
    "#;
    let read = |text: &str| -> Option<Config> {
        use figment::providers::{Format as _, Toml};
        figment::Figment::from(Toml::string(text)).extract().ok()
    };
    let config = read(text).unwrap();
    assert_eq!(
        config.allow,
        ["10.0.0.0/8", "192.0.2.7/32"].map(|text| text.parse::<ipnet::IpNet>().unwrap())
    );
    assert_eq!(config.client_address, ForwardedHeader::Forwarded);
    assert_eq!((config.leeway, config.audience.as_str()), (Duration::from_secs(5), "mediagate"));
    assert_eq!(config.jwks[0].refresh, Duration::from_mins(1));
    assert_eq!(config.files().len(), 2);
    assert!(!format!("{config:?}").contains(SECRET), "{config:?}");
    for bad in [
        r#"alow = ["10.0.0.0/8"]"#,
        r#"allow = "10.0.0.0/8""#,
        r#"allow = ["10.0.0.0/33"]"#,
        r#"deny = ["localhost"]"#,
        r#"client_address = "x-real-ip""#,
        r#"keys = [{ id = "k1" }]"#,
        r#"keys = [{ id = "k1", algorithm = "none" }]"#,
        r#"keys = [{ id = "k1", algorithm = "HS256", secrets = "x" }]"#,
        r#"jwks = [{ uri = "https://issuer.example/" }]"#,
        "leeway = 30",
    ] {
        assert!(read(bad).is_none(), "{bad}");
    }
    let twice = Config { keys: vec![key("k1", SECRET), key("k1", &SECRET.repeat(2))], ..Config::default() };
    assert!(matches!(Verifier::build(&twice, at(NOW)), Err(BuildError::KeyIdTwice(_))));
    let short = Config {
        keys: vec![KeyConfig { secret: Some("hush".to_owned().into()), ..key("k1", "") }],
        ..config
    };
    assert!(matches!(Verifier::build(&short, at(NOW)), Err(BuildError::SecretTooShort { .. })));
}

/// One key set to be fetched.
fn fetched() -> Config {
    let jwks = vec![JwksConfig { url: Some(URL.to_owned()), ..JwksConfig::default() }];
    Config { jwks, ..Config::default() }
}

/// A set with one Ed25519 key of this id, and what signs tokens that name some id with that key.
fn issuer(id: &str) -> (String, impl Fn(&str) -> String + use<>) {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    let pair = Ed25519KeyPair::generate().unwrap();
    let public = b64(pair.public_key());
    let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{id}","x":"{public}"}}]}}"#);
    let sign = move |id: &str| {
        let input = format!("{}.{}", b64(format!(r#"{{"alg":"EdDSA","kid":"{id}"}}"#)), b64(CLAIMS));
        format!("{input}.{}", b64(pair.sign(input.as_bytes())))
    };
    (set, sign)
}
