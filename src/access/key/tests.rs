use std::{fs, path::PathBuf};

use jsonwebtoken::jwk::JwkSet;
use rcgen::{
    KeyPair as RcgenPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256,
};

use super::*;
use crate::access::forge::{SECRET, key, public};

/// The examples of RFC 7515 appendix A.1 to A.3, RFC 7520 section 4.2 and RFC 8037 appendix A.4.
const EXAMPLES: &[(Algorithm, &str, &str)] = &[
    (
        Algorithm::HS256,
        r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
         cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    (
        Algorithm::RS256,
        r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ij\
         p0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbd\
         s9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9\
         383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy\
         wlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        Algorithm::ES256,
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ij\
         p0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    (
        Algorithm::PS384,
        r#"{"kty":"RSA","e":"AQAB","n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"}"#,
        "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZX\
         NzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvd\
         XIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.cu22eBqkYDKgIlTpzDXGvaFf\
         z6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg\
         -UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp\
         8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
    ),
    (
        Algorithm::EdDSA,
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijc\
         NR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    ),
];

fn from_jwk(algorithm: Algorithm, jwk: &str) -> Key {
    let set: JwkSet = serde_json::from_str(&format!("{{\"keys\":[{jwk}]}}")).unwrap();
    let decoding = DecodingKey::from_jwk(&set.keys[0]).unwrap();
    Key { id: "k".into(), algorithms: [algorithm].into(), decoding, is_internal: false }
}

#[test]
fn the_published_examples_verify() {
    for (algorithm, jwk, text) in EXAMPLES {
        let key = from_jwk(*algorithm, jwk);
        let token = Unverified::parse(text).unwrap();
        assert_eq!(key.verify(&token), Ok(()), "{algorithm:?}");
        assert!(
            algorithm.family() == AlgorithmFamily::Hmac || is_sound(*algorithm, &key.decoding),
            "{algorithm:?}"
        );
        let (head, claims) = token.signing_input.split_once('.').unwrap();
        for (row, text) in [
            ("a claim more", format!("{head}.{claims}A.{}", token.signature)),
            ("no claims", format!("{head}..{}", token.signature)),
            ("a signature bit", format!("{}.A{}", token.signing_input, token.signature.get(1..).unwrap())),
        ] {
            let got = key.verify(&Unverified::parse(&text).unwrap());
            assert_eq!(got, Err(Error::SignatureInvalid), "{algorithm:?} {row}");
        }
    }
}

/// RFC 7515 appendix A.4 (an algorithm that we do not have), A.5 (unsecured) and E (a `crit` that nobody knows).
#[test]
fn the_published_examples_that_must_not_verify() {
    let es512 = "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGD\
                 KB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn";
    let none = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0c\
                nVlfQ.";
    let crit = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRF\
                RklORUQiOnRydWUNCn0.RkFJTA.";
    for (text, want) in [
        (es512, Error::AlgorithmMismatch),
        (none, Error::AlgorithmMismatch),
        (crit, Error::HeaderParameterRefused),
    ] {
        for (algorithm, jwk, _) in EXAMPLES {
            let got = Unverified::parse(text).and_then(|token| from_jwk(*algorithm, jwk).verify(&token));
            assert_eq!(got, Err(want), "{algorithm:?} {text}");
        }
    }
}

#[test]
fn what_a_secret_must_be() {
    for (algorithm, secret, sound) in [
        (Algorithm::HS256, "x".repeat(32), true),
        (Algorithm::HS256, "x".repeat(31), false),
        (Algorithm::HS384, "x".repeat(48), true),
        (Algorithm::HS384, "x".repeat(47), false),
        (Algorithm::HS512, "x".repeat(64), true),
        (Algorithm::HS512, "x".repeat(63), false),
        (Algorithm::HS256, String::new(), false),
        (Algorithm::HS256, format!("-----BEGIN PUBLIC KEY-----\n{}", "x".repeat(64)), false),
        (Algorithm::HS256, format!("\n-----BEGIN RSA PUBLIC KEY-----\n{}", "x".repeat(64)), false),
        (Algorithm::RS256, "x".repeat(64), false),
        (Algorithm::EdDSA, "x".repeat(64), false),
    ] {
        let config = KeyConfig { algorithm, ..key("k", &secret) };
        assert_eq!(Key::load(&config).is_ok(), sound, "{algorithm:?} {secret}");
        let text = Key::load(&config).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(secret.is_empty() || !text.contains(&secret), "{text}");
    }
}

#[test]
fn a_secret_comes_from_one_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = written(&folder, "secret", &format!("{SECRET}\r\n"));
    let from_file = KeyConfig { secret: None, secret_file: Some(file.clone()), ..key("k", "") };
    let sign = |config: &KeyConfig| SigningKey::load(config).unwrap().unwrap().sign("x.y");
    assert_eq!(sign(&from_file), sign(&key("k", SECRET)), "the line break is no part of it");
    for (row, config) in [
        ("both", KeyConfig { secret_file: Some(file.clone()), ..key("k", SECRET) }),
        ("neither", KeyConfig { secret: None, ..key("k", SECRET) }),
        ("a key file beside it", KeyConfig { public_key_file: Some(file.clone()), ..key("k", SECRET) }),
        ("no such file", KeyConfig { secret: None, secret_file: Some("/nowhere/k".into()), ..key("k", "") }),
    ] {
        assert!(Key::load(&config).is_err(), "{row}");
    }
}

#[test]
fn ids_are_visible() {
    for (id, sound) in [
        ("k1", true),
        ("https://a.example/k#1", true),
        ("", false),
        ("k 1", false),
        ("k\n1", false),
        ("ключ", false),
    ] {
        assert_eq!(Key::load(&key(id, SECRET)).is_ok(), sound, "{id:?}");
    }
    assert!(Key::load(&key(&"k".repeat(129), SECRET)).is_err());
}

#[test]
fn what_a_key_file_must_hold() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::generate(&folder);
    for (algorithm, file, sound) in [
        (Algorithm::RS256, &files.rsa, true),
        (Algorithm::PS512, &files.rsa, true),
        (Algorithm::ES256, &files.p256, true),
        (Algorithm::ES384, &files.p384, true),
        (Algorithm::EdDSA, &files.ed, true),
        (Algorithm::ES256, &files.p384, false),
        (Algorithm::ES384, &files.p256, false),
        (Algorithm::ES256, &files.ed, false),
        (Algorithm::EdDSA, &files.p256, false),
        (Algorithm::RS256, &files.p256, false),
        (Algorithm::ES256, &files.rsa, false),
        (Algorithm::HS256, &files.rsa, false),
    ] {
        let config = public("k", algorithm, file.public.clone());
        assert_eq!(Key::load(&config).is_ok(), sound, "{algorithm:?} {}", file.public.display());
        assert!(SigningKey::load(&config).map_or(true, |key| key.is_none()), "a public key cannot sign");
        let private = KeyConfig {
            public_key_file: None,
            private_key_file: Some(file.private.clone()),
            ..config.clone()
        };
        assert_eq!(Key::load(&private).is_ok(), sound, "{algorithm:?} {}", file.private.display());
        assert_eq!(SigningKey::load(&private).is_ok_and(|key| key.is_some()), sound, "{algorithm:?} signs");
        let swapped = public("k", algorithm, file.private.clone());
        assert!(Key::load(&swapped).is_err(), "{algorithm:?}: a private key is not a public one");
    }
    for text in ["", "key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
        let file = written(&folder, "garbage", text);
        assert!(Key::load(&public("k", Algorithm::RS256, file)).is_err(), "{text:?}");
    }
}

#[test]
fn a_pair_belongs_together() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Files::generate(&folder), tempfile::tempdir().unwrap());
    let other = Files::generate(&other);
    for (algorithm, private, public_file, sound) in [
        (Algorithm::EdDSA, &one.ed, &one.ed, true),
        (Algorithm::EdDSA, &one.ed, &other.ed, false),
        (Algorithm::ES256, &one.p256, &other.p256, false),
        (Algorithm::RS256, &one.rsa, &other.rsa, false),
    ] {
        let config = public("k", algorithm, public_file.public.clone());
        let config = KeyConfig { private_key_file: Some(private.private.clone()), ..config };
        let got = SigningKey::load(&config);
        assert_eq!(got.is_ok(), sound, "{algorithm:?} {got:?}");
        assert!(sound || matches!(got, Err(BuildError::KeyPairMismatch(_))), "{algorithm:?} {got:?}");
    }
}

#[test]
fn weak_public_keys_are_refused() {
    let rsa = |modulus: Vec<u8>, exponent: &[u8]| DecodingKey::from_rsa_raw_components(&modulus, exponent);
    let bits = |bits: usize| {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= (8 - bits % 8) % 8;
        modulus
    };
    for (row, key, sound) in [
        ("2048 bits", rsa(bits(2048), &[1, 0, 1]), true),
        ("8192 bits", rsa(bits(8192), &[1, 0, 1]), true),
        ("2047 bits", rsa(bits(2047), &[1, 0, 1]), false),
        ("1024 bits", rsa(bits(1024), &[1, 0, 1]), false),
        ("1024 bits behind zeros", rsa([vec![0; 128], bits(1024)].concat(), &[1, 0, 1]), false),
        ("8193 bits", rsa(bits(8193), &[1, 0, 1]), false),
        ("no modulus", rsa(Vec::new(), &[1, 0, 1]), false),
        ("exponent 3", rsa(bits(2048), &[3]), true),
        ("exponent 1", rsa(bits(2048), &[1]), false),
        ("exponent 1 behind zeros", rsa(bits(2048), &[0, 0, 1]), false),
        ("exponent 0", rsa(bits(2048), &[0]), false),
        ("an even exponent", rsa(bits(2048), &[1, 0, 0]), false),
        ("no exponent", rsa(bits(2048), &[]), false),
        ("a point", DecodingKey::from_ec_der(&[4; 65]), false),
        ("a secret", DecodingKey::from_secret(&[7; 256]), false),
    ] {
        assert_eq!(is_sound(Algorithm::RS256, &key), sound, "{row}");
    }
    let off_curve = [&[4][..], &[7; 64]].concat();
    let infinity = [0];
    for point in [&off_curve[..], &infinity, &[4; 64], &[]] {
        assert!(!is_sound(Algorithm::ES256, &DecodingKey::from_ec_der(point)), "{point:?}");
    }
    assert!(!is_sound(Algorithm::EdDSA, &DecodingKey::from_ed_der(&[1; 31])));
}

#[test]
fn secrets_are_not_printable() {
    let texts = format!("{:?} {:?}", Key::load(&key("k", SECRET)), SigningKey::load(&key("k", SECRET)));
    assert!(!texts.contains(SECRET) && texts.contains("redacted"), "{texts}");
}

struct Files {
    rsa: Pem,
    p256: Pem,
    p384: Pem,
    ed: Pem,
}

struct Pem {
    public: PathBuf,
    private: PathBuf,
}

impl Files {
    fn generate(folder: &tempfile::TempDir) -> Self {
        let pem = |name: &str, algorithm| {
            let pair = RcgenPair::generate_for(algorithm).unwrap();
            Pem {
                public: written(folder, &format!("{name}.pub"), &pair.public_key_pem()),
                private: written(folder, &format!("{name}.key"), &pair.serialize_pem()),
            }
        };
        Self {
            rsa: pem("rsa", &PKCS_RSA_SHA256),
            p256: pem("p256", &PKCS_ECDSA_P256_SHA256),
            p384: pem("p384", &PKCS_ECDSA_P384_SHA384),
            ed: pem("ed", &PKCS_ED25519),
        }
    }
}

fn written(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}
