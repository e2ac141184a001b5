//! Tokens that somebody made to be taken for another's: each is refused, and for the reason named.

use std::{fs, path::PathBuf};

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::Algorithm;

use super::*;
use crate::access::forge::{
    CLAIMS, HEADER, NOW, SECRET, at, b64, claiming, config, hs256, judge, key, public,
};

const PASSES: Option<Error> = None;

fn check(config: &Config, rows: &[(&str, String, Option<Error>)]) {
    for (name, token, want) in rows {
        assert_eq!(judge(config, token).err(), *want, "{name}");
    }
}

fn headed(header: &str) -> String {
    hs256(header, CLAIMS, SECRET.as_bytes())
}

#[test]
fn algorithm_confusion() {
    let unsigned = |alg: &str| format!("{}.{}.", b64(format!(r#"{{"alg":{alg},"kid":"k1"}}"#)), b64(CLAIMS));
    let with = |alg: &str| headed(&format!(r#"{{"alg":{alg},"kid":"k1"}}"#));
    let mismatch = Some(Error::AlgorithmMismatch);
    let malformed = Some(Error::TokenMalformed);
    check(
        &config(),
        &[
            ("the honest one", with(r#""HS256""#), PASSES),
            ("none", unsigned(r#""none""#), mismatch),
            ("none, other case", unsigned(r#""nOnE""#), mismatch),
            ("NONE", unsigned(r#""NONE""#), mismatch),
            ("none with a good signature", with(r#""none""#), mismatch),
            ("empty", unsigned(r#""""#), mismatch),
            ("lower case", with(r#""hs256""#), mismatch),
            ("a space behind", with(r#""HS256 ""#), mismatch),
            ("a NUL behind", with(r#""HS256\u0000""#), mismatch),
            ("longer hash", with(r#""HS512""#), mismatch),
            ("another kind", with(r#""RS256""#), mismatch),
            ("unknown to us", with(r#""ES512""#), mismatch),
            ("encryption", with(r#""dir""#), mismatch),
            ("null", with("null"), malformed),
            ("a number", with("256"), malformed),
            ("a list", with(r#"["HS256"]"#), malformed),
            ("an object", with(r#"{"alg":"HS256"}"#), malformed),
            ("absent", headed(r#"{"kid":"k1"}"#), malformed),
            ("absent and unsigned", format!("{}.{}.", b64("{}"), b64(CLAIMS)), malformed),
        ],
    );
}

#[test]
fn a_public_key_is_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = pair.public_key().as_der().unwrap();
    let pem = pem("PUBLIC KEY", der.as_ref());
    let file = written(&folder, "rsa.pem", &pem);
    let config = Config { keys: vec![public("r1", Algorithm::RS256, file)], ..Config::default() };
    let header = |alg: &str| format!(r#"{{"alg":"{alg}","kid":"r1"}}"#);
    let hashed = |secret: &[u8]| hs256(&header("HS256"), CLAIMS, secret);
    let rsa = |alg: &str, encoding| rsa_signed(&pair, &header(alg), encoding);
    check(
        &config,
        &[
            ("the honest one", rsa("RS256", &RSA_PKCS1_SHA256), PASSES),
            ("the PEM as a secret", hashed(pem.as_bytes()), Some(Error::AlgorithmMismatch)),
            (
                "the PEM without its line break",
                hashed(pem.trim_end().as_bytes()),
                Some(Error::AlgorithmMismatch),
            ),
            ("the DER as a secret", hashed(der.as_ref()), Some(Error::AlgorithmMismatch)),
            ("the same key, another hash", rsa("RS512", &RSA_PKCS1_SHA512), Some(Error::AlgorithmMismatch)),
            ("the same key, another padding", rsa("PS256", &RSA_PSS_SHA256), Some(Error::AlgorithmMismatch)),
            (
                "the right name over another hash",
                rsa("RS256", &RSA_PKCS1_SHA512),
                Some(Error::SignatureInvalid),
            ),
            (
                "the right name over another padding",
                rsa("RS256", &RSA_PSS_SHA256),
                Some(Error::SignatureInvalid),
            ),
            (
                "no signature",
                format!("{}.{}.", b64(header("RS256")), b64(CLAIMS)),
                Some(Error::SignatureInvalid),
            ),
            (
                "a signature of zeros",
                with_signature(&header("RS256"), &[0; 256]),
                Some(Error::SignatureInvalid),
            ),
            (
                "a signature of one",
                with_signature(&header("RS256"), &one(256)),
                Some(Error::SignatureInvalid),
            ),
        ],
    );
}

#[test]
fn curves() {
    let folder = tempfile::tempdir().unwrap();
    let rng = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
    let fixed = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).unwrap();
    let other = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let der = fixed.public_key().as_der().unwrap();
    let file = written(&folder, "p256.pem", &pem("PUBLIC KEY", der.as_ref()));
    let config = Config { keys: vec![public("e1", Algorithm::ES256, file)], ..Config::default() };
    let header = r#"{"alg":"ES256","kid":"e1"}"#;
    let signed = |pair: &EcdsaKeyPair| {
        with_signature(header, pair.sign(&rng, input(header).as_bytes()).unwrap().as_ref())
    };
    let order = STANDARD.decode("/////wAAAAD//////////7zm+q2nF56E87nKwvxjJVE=").unwrap();
    let invalid = Some(Error::SignatureInvalid);
    check(
        &config,
        &[
            ("the honest one", signed(&fixed), PASSES),
            ("another key", signed(&other), invalid),
            ("r and s zero", with_signature(header, &[0; 64]), invalid),
            ("r and s one", with_signature(header, &[one(32), one(32)].concat()), invalid),
            (
                "r and s the group order",
                with_signature(header, &[order.clone(), order.clone()].concat()),
                invalid,
            ),
            ("s zero", with_signature(header, &[one(32), vec![0; 32]].concat()), invalid),
            ("in ASN.1", signed(&asn1), invalid),
            ("as long as P-384's", with_signature(header, &[0; 96]), invalid),
            ("empty", with_signature(header, &[]), invalid),
            (
                "as ES384",
                with_signature(r#"{"alg":"ES384","kid":"e1"}"#, &[0; 96]),
                Some(Error::AlgorithmMismatch),
            ),
        ],
    );
}

#[test]
fn edwards_signatures_have_one_spelling() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Ed25519KeyPair::generate().unwrap();
    let der = pair.public_key().as_der().unwrap();
    let file = written(&folder, "ed.pem", &pem("PUBLIC KEY", der.as_ref()));
    let config = Config { keys: vec![public("d1", Algorithm::EdDSA, file)], ..Config::default() };
    let header = r#"{"alg":"EdDSA","kid":"d1"}"#;
    let signature = pair.sign(input(header).as_bytes()).as_ref().to_vec();
    let (r, s) = signature.split_at(32);
    let invalid = Some(Error::SignatureInvalid);
    check(
        &config,
        &[
            ("the honest one", with_signature(header, &signature), PASSES),
            ("s plus the group order", with_signature(header, &[r, &plus_group_order(s)].concat()), invalid),
            ("zeros", with_signature(header, &[0; 64]), invalid),
            ("the identity and zero", with_signature(header, &[&[1][..], &[0; 63]].concat()), invalid),
            ("short", with_signature(header, r), invalid),
        ],
    );
}

#[test]
fn headers() {
    let header = |rest: &str| headed(&format!(r#"{{"alg":"HS256",{rest}}}"#));
    let refused = Some(Error::HeaderParameterRefused);
    let malformed = Some(Error::TokenMalformed);
    let unknown = Some(Error::KeyUnknown);
    let long = format!(r#""kid":"k1","x":"{}""#, "x".repeat(1600));
    check(
        &config(),
        &[
            ("no kid and one key", headed(r#"{"alg":"HS256"}"#), PASSES),
            ("unknown parameters", header(r#""kid":"k1","typ":17,"x5t":"a","x":{"y":[1.5]}"#), PASSES),
            ("white space", headed(" {\r\n\t\"alg\" : \"HS256\" } "), PASSES),
            ("escaped names", headed(r#"{"\u0061lg":"HS256","k\u0069d":"k1"}"#), PASSES),
            ("jku", header(r#""kid":"k1","jku":"https://evil.example/keys""#), refused),
            ("jku null", header(r#""kid":"k1","jku":null"#), refused),
            ("jku escaped", header(r#""kid":"k1","\u006aku":"https://evil.example/keys""#), refused),
            ("jwk", header(r#""kid":"k1","jwk":{"kty":"oct","k":"AA"}"#), refused),
            ("x5u", header(r#""kid":"k1","x5u":"https://evil.example/cert""#), refused),
            ("x5c", header(r#""kid":"k1","x5c":["MIIB"]"#), refused),
            ("crit", header(r#""kid":"k1","crit":["exp"],"exp":1"#), refused),
            ("crit empty", header(r#""kid":"k1","crit":[]"#), refused),
            ("b64", header(r#""kid":"k1","b64":false"#), refused),
            ("another kid", header(r#""kid":"k2""#), unknown),
            ("an empty kid", header(r#""kid":"""#), unknown),
            ("kid with a space", header(r#""kid":"k1 ""#), unknown),
            ("kid in capitals", header(r#""kid":"K1""#), unknown),
            ("kid of a path", header(r#""kid":"../../../../dev/null""#), unknown),
            ("kid of SQL", header(r#""kid":"x' UNION SELECT 'k1""#), unknown),
            ("kid null", header(r#""kid":null"#), malformed),
            ("kid a number", header(r#""kid":1"#), malformed),
            ("kid a list", header(r#""kid":["k1"]"#), malformed),
            ("kid twice", header(r#""kid":"k2","kid":"k1""#), malformed),
            ("kid twice, once escaped", header(r#""kid":"k2","\u006bid":"k1""#), malformed),
            ("alg twice", header(r#""kid":"k1","alg":"none""#), malformed),
            ("a duplicate within", header(r#""kid":"k1","x":{"y":1,"y":2}"#), malformed),
            ("too deep", header(r#""kid":"k1","x":[[[[]]]]"#), malformed),
            ("too long", header(&long), malformed),
            ("not an object", headed(r#"["HS256"]"#), malformed),
            ("two objects", headed(r#"{"alg":"HS256"}{"alg":"HS256"}"#), malformed),
            ("with a byte order mark", headed("\u{feff}{\"alg\":\"HS256\"}"), malformed),
            ("empty", headed(""), malformed),
        ],
    );
    let two = Config { keys: vec![key("k1", SECRET), key("k2", &SECRET.repeat(2))], ..config() };
    check(
        &two,
        &[
            ("no kid and two keys", headed(r#"{"alg":"HS256"}"#), Some(Error::KeyIdMissing)),
            ("the other key's name", headed(r#"{"alg":"HS256","kid":"k2"}"#), Some(Error::SignatureInvalid)),
        ],
    );
    check(&Config::default(), &[("no keys", claiming(CLAIMS), unknown)]);
}

#[test]
fn shapes() {
    let good = claiming(CLAIMS);
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let malformed = Some(Error::TokenMalformed);
    let invalid = Some(Error::SignatureInvalid);
    let just = claiming(&sized_claims(8192));
    assert_eq!(just.len(), 8192);
    check(
        &config(),
        &[
            ("the honest one", good.clone(), PASSES),
            ("as long as may be", just.clone(), PASSES),
            ("one byte longer", format!("{just}A"), Some(Error::TokenTooLong)),
            ("megabytes", "A.".repeat(1 << 20), Some(Error::TokenTooLong)),
            ("empty", String::new(), malformed),
            ("dots", "..".to_owned(), malformed),
            ("one part", header.to_owned(), malformed),
            ("two parts", format!("{header}.{claims}"), malformed),
            ("four parts", format!("{good}.{signature}"), malformed),
            ("five parts", format!("{good}.{claims}.{signature}"), malformed),
            ("an empty header", format!(".{claims}.{signature}"), malformed),
            ("a detached payload", format!("{header}..{signature}"), invalid),
            ("a space before", format!(" {good}"), malformed),
            ("a line break behind", format!("{good}\n"), invalid),
            ("quotes", format!("\"{good}\""), malformed),
            ("a padded header", format!("{header}==.{claims}.{signature}"), malformed),
            ("a padded signature", format!("{good}="), invalid),
            ("the other alphabet", format!("{header}.{claims}.{}", standard(signature)), invalid),
            ("a space in the signature", format!("{header}.{claims}.{} ", &signature), invalid),
            ("stray bits in the signature", format!("{header}.{claims}.{}", stray_bits(signature)), invalid),
            ("no stray bits", hs256_raw(&odd(HEADER), &odd(CLAIMS)), PASSES),
            ("stray bits in the header", hs256_raw(&stray_bits(&odd(HEADER)), claims), malformed),
            ("stray bits in the claims", hs256_raw(header, &stray_bits(&odd(CLAIMS))), malformed),
            (
                "a JSON serialisation",
                format!(r#"{{"payload":"{claims}","signature":"{signature}"}}"#),
                malformed,
            ),
            ("not ASCII", format!("{good}é"), invalid),
        ],
    );
}

#[test]
fn signatures() {
    let good = claiming(CLAIMS);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let other = claiming(&CLAIMS.replace("ann", "bob"));
    let cut = |len| signature.chars().take(len).collect::<String>();
    let invalid = Some(Error::SignatureInvalid);
    let edited = good.replace(&b64(CLAIMS), &b64(CLAIMS.replace("s3://media/a/*", "s3://media/*")));
    assert_ne!(edited, good);
    check(
        &config(),
        &[
            ("none", format!("{input}."), invalid),
            ("half", format!("{input}.{}", cut(22)), invalid),
            ("one byte short", format!("{input}.{}", cut(42)), invalid),
            ("one byte more", format!("{input}.{signature}AA"), invalid),
            ("of other claims", format!("{input}.{}", other.rsplit_once('.').unwrap().1), invalid),
            ("over edited claims", edited, invalid),
            ("with another secret", hs256(HEADER, CLAIMS, &[b'x'; 32]), invalid),
            ("with an empty secret", hs256(HEADER, CLAIMS, b""), invalid),
            ("with the secret in base64", hs256(HEADER, CLAIMS, STANDARD.encode(SECRET).as_bytes()), invalid),
            ("with the key's id", hs256(HEADER, CLAIMS, b"k1"), invalid),
        ],
    );
    for at in 0..signature.len() {
        let mut bytes = signature.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let token = format!("{input}.{}", String::from_utf8(bytes).unwrap());
        assert_eq!(judge(&config(), &token).err(), invalid, "character {at}");
    }
}

#[test]
fn claims_are_read_strictly() {
    let with = |member: &str| claiming(&CLAIMS.replacen('{', &format!("{{{member},"), 1));
    let exp = |value: &str| claiming(&CLAIMS.replace("1700003600", value));
    let without = |member: &str| claiming(&CLAIMS.replace(member, ""));
    let bad = |name| Some(Error::ClaimInvalid(name));
    let malformed = Some(Error::TokenMalformed);
    check(
        &config(),
        &[
            ("unknown claims", with(r#""score":0.5,"roles":[{"a":null}],"admin":true"#), PASSES),
            ("exp as text", exp(r#""1700003600""#), bad("exp")),
            ("exp as text of nothing", exp(r#""""#), bad("exp")),
            ("exp with a fraction", exp("1700003600.0"), bad("exp")),
            ("exp with an exponent", exp("17e9"), bad("exp")),
            ("exp with a huge exponent", exp("1e400000"), malformed),
            ("exp with a tiny exponent", exp("1e-400000"), bad("exp")),
            ("exp negative", exp("-1700003600"), bad("exp")),
            ("exp minus zero", exp("-0"), bad("exp")),
            ("exp at 2^53", exp("9007199254740992"), PASSES),
            ("exp over 2^53", exp("9007199254740993"), bad("exp")),
            ("exp over 2^64", exp("18446744073709551616"), bad("exp")),
            ("exp of 2,000 digits", exp(&"9".repeat(2000)), malformed),
            ("exp with a leading zero", exp("01700003600"), malformed),
            ("exp in hexadecimal", exp("0x65550000"), malformed),
            ("exp null", exp("null"), bad("exp")),
            ("exp true", exp("true"), bad("exp")),
            ("exp a list", exp("[1700003600]"), bad("exp")),
            ("exp an object", exp(r#"{"$numberLong":1700003600}"#), bad("exp")),
            ("exp absent", without(r#""exp":1700003600,"#), bad("exp")),
            ("exp in another case", claiming(&CLAIMS.replace("exp", "Exp")), bad("exp")),
            ("exp twice", with(r#""exp":1"#), malformed),
            ("exp twice, once escaped", with(r#""\u0065xp":9999999999"#), malformed),
            ("nbf as text", with(r#""nbf":"1700000000""#), bad("nbf")),
            ("nbf with a fraction", with(r#""nbf":1700000000.5"#), bad("nbf")),
            ("nbf null", with(r#""nbf":null"#), bad("nbf")),
            ("iat as text", claiming(&CLAIMS.replace("1700000000", r#""1700000000""#)), bad("iat")),
            ("iat null", claiming(&CLAIMS.replace("1700000000", "null")), bad("iat")),
            ("iss a number", with(r#""iss":1"#), bad("iss")),
            ("aud a number", claiming(&CLAIMS.replace(r#""mediagate""#, "1")), bad("aud")),
            (
                "aud a list of lists",
                claiming(&CLAIMS.replace(r#""mediagate""#, r#"[["mediagate"]]"#)),
                bad("aud"),
            ),
            ("aud an object", claiming(&CLAIMS.replace(r#""mediagate""#, r#"{"mediagate":1}"#)), bad("aud")),
            ("sub a number", claiming(&CLAIMS.replace(r#""ann""#, "7")), bad("sub")),
            ("sub empty", claiming(&CLAIMS.replace(r#""ann""#, r#""""#)), bad("sub")),
            ("sub with a line break", claiming(&CLAIMS.replace("ann", r"a\nlevel=error")), bad("sub")),
            ("jti a number", claiming(&CLAIMS.replace(r#""t-1""#, "1")), bad("jti")),
            ("jti with NUL", claiming(&CLAIMS.replace("t-1", r"t\u0000")), bad("jti")),
            ("task a fraction", with(r#""task":7.0"#), bad("task")),
            ("task negative", with(r#""task":-7"#), bad("task")),
            ("task empty", with(r#""task":"""#), bad("task")),
            ("task a list", with(r#""task":[7]"#), bad("task")),
            ("project true", with(r#""project":true"#), bad("project")),
            (
                "objects a text",
                claiming(&CLAIMS.replace(r#"["s3://media/a/*"]"#, r#""s3://media/a/*""#)),
                bad("objects"),
            ),
            ("objects with a number", claiming(&CLAIMS.replace(r#"["s3"#, r#"[1,"s3"#)), bad("objects")),
            ("objects of another scheme", claiming(&CLAIMS.replace("s3://", "gs://")), bad("objects")),
            ("objects with dots", claiming(&CLAIMS.replace("/a/*", "/a/../*")), bad("objects")),
            ("objects null", claiming(&CLAIMS.replace(r#"["s3://media/a/*"]"#, "null")), bad("objects")),
            ("ip a text", with(r#""ip":"10.0.0.0/8""#), bad("ip")),
            ("ip with a name", with(r#""ip":["localhost"]"#), bad("ip")),
            ("ip in octal", with(r#""ip":["010.0.0.0/8"]"#), bad("ip")),
            ("ip null", with(r#""ip":null"#), bad("ip")),
            ("delivery unknown", with(r#""delivery":"proxy""#), bad("delivery")),
            ("delivery in capitals", with(r#""delivery":"STREAM""#), bad("delivery")),
            ("a duplicate deep within", with(r#""x":[{"y":{"z":1,"z":1}}]"#), malformed),
            ("four levels", with(r#""x":{"y":[{}]}"#), PASSES),
            ("five levels", with(r#""x":{"y":[{"z":[]}]}"#), malformed),
            ("thousands of levels", claiming(&"[".repeat(5000)), malformed),
            ("not an object", claiming(r#"["mediagate"]"#), malformed),
            ("a token within", claiming(&claiming(CLAIMS)), malformed),
            ("behind the object", claiming(&format!("{CLAIMS}x")), malformed),
            (
                "not UTF-8",
                hs256_raw(&b64(HEADER), &b64([b"{\"exp\":1,\"x\":\"", &b"\xc0\xaf"[..], b"\"}"].concat())),
                malformed,
            ),
        ],
    );
}

#[test]
fn nothing_of_a_token_is_in_an_error() {
    let token = claiming(&CLAIMS.replace("t-1", "hush-hush").replace("1700003600", r#""hush-hush""#));
    let error = judge(&config(), &token).unwrap_err();
    let texts = [error.to_string(), format!("{error:?}"), error.reason().to_owned()];
    assert!(texts.iter().all(|text| !text.contains("hush") && !text.contains(&token)), "{texts:?}");
    let verifier = Verifier::build(&config(), at(NOW)).unwrap();
    let debug =
        format!("{verifier:?} {:?} {:?}", config(), TrustStore::build(&config(), None, at(NOW)).unwrap());
    assert!(!debug.contains(SECRET), "{debug}");
}

fn input(header: &str) -> String {
    format!("{}.{}", b64(header), b64(CLAIMS))
}

fn with_signature(header: &str, signature: &[u8]) -> String {
    format!("{}.{}", input(header), b64(signature))
}

fn rsa_signed(pair: &RsaKeyPair, header: &str, encoding: &'static dyn RsaEncoding) -> String {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), input(header).as_bytes(), &mut signature).unwrap();
    with_signature(header, &signature)
}

/// Two encoded parts, signed as they are.
fn hs256_raw(header: &str, claims: &str) -> String {
    let input = format!("{header}.{claims}");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{input}.{}", b64(aws_lc_rs::hmac::sign(&key, input.as_bytes())))
}

/// JSON encoded so that some bits of the last character encode nothing.
fn odd(json: &str) -> String {
    let spaces = if json.len().is_multiple_of(3) { " " } else { "" };
    b64(format!("{json}{spaces}"))
}

/// Another spelling of the same bytes: the bits of the last character that encode nothing are set.
fn stray_bits(part: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(part.len() % 4, 0, "every bit counts in {part}");
    let mut bytes = part.as_bytes().to_vec();
    let last = bytes.last_mut().unwrap();
    let value = ALPHABET.iter().position(|byte| byte == last).unwrap();
    *last = ALPHABET[value | 1];
    assert_ne!(bytes, part.as_bytes());
    String::from_utf8(bytes).unwrap()
}

fn standard(part: &str) -> String {
    // Made sure to differ: the plain text has both of the characters that differ between the alphabets or none.
    let text = part.replace('-', "+").replace('_', "/");
    if text == part { format!("{text}+") } else { text }
}

/// Claims whose token has exactly this many bytes.
fn sized_claims(len: usize) -> String {
    let claims = |pad: usize| CLAIMS.replacen('{', &format!(r#"{{"pad":"{}","#, "x".repeat(pad)), 1);
    let pad = (0..len).find(|pad| claiming(&claims(*pad)).len() >= len).unwrap();
    claims(pad)
}

fn pem(tag: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {tag}-----\n{}\n-----END {tag}-----\n", lines.join("\n"))
}

fn written(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn one(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[len - 1] = 1;
    bytes
}

/// Little-endian, as Ed25519 writes its scalars (RFC 8032 section 5.1).
fn plus_group_order(s: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    let add = |(a, b): (&u8, u8)| {
        let sum = u16::from(*a) + u16::from(b) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    };
    s.iter().zip(ORDER).map(add).collect()
}
