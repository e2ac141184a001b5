use super::*;

const RSA: &str = r#""kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ""#;
const P256: &str = r#""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

fn ids(text: &str, defaults: &[Algorithm]) -> Option<Vec<String>> {
    parse(0, text, defaults).ok().map(|keys| keys.iter().map(|key| key.id.to_string()).collect())
}

#[test]
fn which_keys_of_a_set_are_usable() {
    let rs = [Algorithm::RS256];
    for (key, defaults, want) in [
        (format!(r#"{{{RSA},"kid":"a"}}"#), &[][..], true),
        (format!(r#"{{{RSA},"kid":"a","alg":"PS512"}}"#), &[], true),
        (format!(r#"{{{RSA},"kid":"a","alg":"RS256","use":"sig","key_ops":["verify"]}}"#), &[], true),
        (format!(r#"{{{P256},"kid":"a"}}"#), &[], true),
        (format!(r#"{{{P256},"kid":"a","alg":"ES256"}}"#), &[], true),
        (format!(r#"{{{ED},"kid":"a"}}"#), &[], true),
        // The configured algorithms are for keys that name none.
        (format!(r#"{{{P256},"kid":"a"}}"#), &rs, false),
        (format!(r#"{{{P256},"kid":"a","alg":"ES256"}}"#), &rs, true),
        // Without an id no token could mean it.
        (format!("{{{RSA}}}"), &[], false),
        (format!(r#"{{{RSA},"kid":""}}"#), &[], false),
        (format!(r#"{{{RSA},"kid":7}}"#), &[], false),
        // For something else.
        (format!(r#"{{{RSA},"kid":"a","use":"enc"}}"#), &[], false),
        (format!(r#"{{{RSA},"kid":"a","key_ops":["encrypt"]}}"#), &[], false),
        (format!(r#"{{{RSA},"kid":"a","alg":"RSA-OAEP"}}"#), &[], false),
        (format!(r#"{{{RSA},"kid":"a","alg":"none"}}"#), &[], false),
        (format!(r#"{{{RSA},"kid":"a","alg":"rs256"}}"#), &[], false),
        // An algorithm of another kind of key: the confusion that makes a public key a secret.
        (format!(r#"{{{RSA},"kid":"a","alg":"HS256"}}"#), &[], false),
        (format!(r#"{{{RSA},"kid":"a","alg":"ES256"}}"#), &[], false),
        (format!(r#"{{{P256},"kid":"a","alg":"ES384"}}"#), &[], false),
        (format!(r#"{{{P256},"kid":"a","alg":"HS256"}}"#), &[], false),
        (format!(r#"{{{ED},"kid":"a","alg":"ES256"}}"#), &[], false),
        // No secrets from a public set.
        (
            r#"{"kty":"oct","kid":"a","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr8"}"#.to_owned(),
            &[],
            false,
        ),
        (
            r#"{"kty":"oct","kid":"a","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ"}"#.to_owned(),
            &[],
            false,
        ),
        // Broken or weak.
        (r#"{"kty":"RSA","kid":"a","e":"AQAB","n":"AQAB"}"#.to_owned(), &[], false),
        (format!(r#"{{{},"kid":"a"}}"#, RSA.replace("AQAB", "AQ")), &[], false),
        (format!(r#"{{{},"kid":"a"}}"#, P256.replace("f83OJ", "f83OK")), &[], false),
        (format!(r#"{{{},"kid":"a"}}"#, P256.replace("P-256", "secp256k1")), &[], false),
        (format!(r#"{{{},"kid":"a"}}"#, ED.replace("Ed25519", "X25519")), &[], false),
        (r#"{"kty":"EC","kid":"a"}"#.to_owned(), &[], false),
        (r#""key""#.to_owned(), &[], false),
        ("null".to_owned(), &[], false),
    ] {
        let alone = ids(&format!(r#"{{"keys":[{key}]}}"#), defaults);
        assert_eq!(alone.is_some(), want, "{key}");
        // A key that is no use to us does not take the others with it.
        let beside = ids(&format!(r#"{{"keys":[{key},{{{ED},"kid":"z","alg":"EdDSA"}}]}}"#), defaults);
        assert_eq!(beside.map(|ids| ids.len()), Some(1 + usize::from(want)), "beside {key}");
    }
}

#[test]
fn what_is_a_set() {
    for (text, want) in [
        (format!(r#"{{"keys":[{{{RSA},"kid":"a"}},{{{P256},"kid":"b"}}],"more":1}}"#), Some(vec!["a", "b"])),
        (format!(r#"{{"keys":[{{{RSA},"kid":"a"}},{{{P256},"kid":"a"}}]}}"#), None),
        (format!(r#"{{"keys":[{{{RSA},"kid":"a"}},{{{RSA},"kid":"a","use":"enc"}}]}}"#), Some(vec!["a"])),
        (r#"{"keys":[]}"#.to_owned(), None),
        (format!("[{{{RSA}}}]"), None),
        (format!(r#"{{"keys":{{{RSA},"kid":"a"}}}}"#), None),
        ("{}".to_owned(), None),
        ("<html>".to_owned(), None),
        (String::new(), None),
    ] {
        let got = ids(&text, &[]);
        let want: Option<Vec<String>> = want.map(|ids| ids.into_iter().map(str::to_owned).collect());
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn where_a_set_may_be() {
    let url = |url: &str| JwksConfig { url: Some(url.to_owned()), ..JwksConfig::default() };
    let hs = JwksConfig { algorithms: vec![Algorithm::RS256, Algorithm::HS256], ..url("https://a.example/") };
    for (config, sound) in [
        (url("https://issuer.example/keys"), true),
        (url("https://10.0.0.1:8443/keys"), true),
        (url("http://localhost:8080/keys"), true),
        (url("http://127.0.0.1/keys"), true),
        (url("http://[::1]:80/keys"), true),
        (url("http://issuer.example/keys"), false),
        (url("http://127.0.0.1.evil.example/keys"), false),
        (url("http://localhost@evil.example/keys"), false),
        (url("http://169.254.169.254/keys"), false),
        (url("file:///etc/passwd"), false),
        (url("ftp://issuer.example/keys"), false),
        (url("issuer.example"), false),
        (url("/keys"), false),
        (url(""), false),
        (JwksConfig { file: Some("keys.json".into()), ..JwksConfig::default() }, true),
        (JwksConfig { file: Some("keys.json".into()), ..url("https://a.example/") }, false),
        (JwksConfig::default(), false),
        (hs, false),
    ] {
        assert_eq!(check(0, &config).is_ok(), sound, "{config:?}");
    }
}
