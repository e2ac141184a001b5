use base64::engine::general_purpose;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

use super::*;

fn route(uri: &str) -> Result<Route, ParseRouteError> {
    Route::parse(&uri.parse().unwrap())
}

fn media(kind: RouteKind, object: &str, scope: Option<Scope>) -> Route {
    Route::Media(MediaRoute { kind, object: ObjectUri::parse(object).unwrap(), scope })
}

fn task(id: &str) -> Scope {
    Scope::Task(TaskId::parse(id).unwrap())
}

fn project(id: &str) -> Scope {
    Scope::Project(ProjectId::parse(id).unwrap())
}

#[test]
fn media_paths_name_a_key_verbatim() {
    for (uri, key) in [
        ("/media/photos/a.jpg", "a.jpg"),
        ("/media/photos/a/b/c.jpg", "a/b/c.jpg"),
        ("http://gate.example/media/photos/a.jpg?token=x.y.z", "a.jpg"),
        ("/media/photos//a", "/a"),
        ("/media/photos/a//b", "a//b"),
        ("/media/photos/a/", "a/"),
        ("/media/photos/a+b", "a+b"),
        ("/media/photos/a%2Bb", "a+b"),
        ("/media/photos/a%20b", "a b"),
        ("/media/photos/a%2Fb", "a/b"),
        ("/media/photos/a%2fb", "a/b"),
        ("/media/photos/a%3Fb%23c", "a?b#c"),
        ("/media/photos/100%25", "100%"),
        ("/media/photos/a%2520b", "a%20b"),
        ("/media/photos/%252e%252e/b", "%2e%2e/b"),
        ("/media/photos/a%5Cb", "a\\b"),
        ("/media/photos/a\\b", "a\\b"),
        ("/media/photos/a%0D%0AX:%20y", "a\r\nX: y"),
        ("/media/photos/%D0%BA%D0%BB%D1%8E%D1%87", "ключ"),
        ("/media/photos/...", "..."),
    ] {
        let want = media(RouteKind::Media, &format!("s3://photos/{key}"), None);
        assert_eq!(route(uri), Ok(want), "{uri}");
    }
}

#[test]
fn media_paths_that_are_refused() {
    for (uri, want) in [
        ("/media/photos/", ParseObjectError::KeyEmpty.into()),
        ("/media/photos/?fileuri=s3%3A%2F%2Fphotos%2Fa", ParseObjectError::KeyEmpty.into()),
        ("/media//photos/a", ParseObjectError::Bucket.into()),
        ("/media/p/a", ParseObjectError::Bucket.into()),
        ("/media/pho%74os/a", ParseObjectError::Bucket.into()),
        ("/media/photos%2Fa/b", ParseObjectError::Bucket.into()),
        ("/media/../tasks/1/resolve/", ParseObjectError::Bucket.into()),
        ("/media/photos/../x", ParseObjectError::KeyDotSegment.into()),
        ("/media/photos/%2e%2e/x", ParseObjectError::KeyDotSegment.into()),
        ("/media/photos/a/%2E%2e", ParseObjectError::KeyDotSegment.into()),
        ("/media/photos/a%2F..%2Fb", ParseObjectError::KeyDotSegment.into()),
        ("/media/photos/.", ParseObjectError::KeyDotSegment.into()),
        ("/media/photos/a%00", ParseObjectError::KeyNul.into()),
        ("/media/photos/a%", ParseRouteError::Encoding),
        ("/media/photos/a%2", ParseRouteError::Encoding),
        ("/media/photos/a%zz", ParseRouteError::Encoding),
        ("/media/photos/a%2gb", ParseRouteError::Encoding),
        ("/media/photos/a%%41", ParseRouteError::Encoding),
        ("/media/photos/%ff", ParseRouteError::Encoding),
        // Overlong forms of `/` and `.`, a surrogate, and a code point beyond the last.
        ("/media/photos/a%C0%AFb", ParseRouteError::Encoding),
        ("/media/photos/%C0%AE%C0%AE/b", ParseRouteError::Encoding),
        ("/media/photos/%E0%80%AF", ParseRouteError::Encoding),
        ("/media/photos/%ED%A0%80", ParseRouteError::Encoding),
        ("/media/photos/%F4%90%80%80", ParseRouteError::Encoding),
        ("/media/photos/%D0", ParseRouteError::Encoding),
    ] {
        assert_eq!(route(uri), Err(want), "{uri}");
    }
    let long = format!("/media/photos/{}", "%41".repeat(ObjectKey::MAX_LEN + 1));
    assert_eq!(route(&long), Err(ParseObjectError::KeyTooLong.into()));
}

#[test]
fn everything_else_is_the_upstreams() {
    for uri in [
        "/",
        "*",
        "gate.example:443",
        "http://gate.example",
        "/media",
        "/media/",
        "/media/photos",
        "/Media/photos/a",
        "/medias/photos/a",
        "/%6dedia/photos/a",
        "/media%2Fphotos%2Fa",
        "//media/photos/a",
        "/x/media/photos/a",
        "/tasks/1/",
        "/tasks/1",
        "/tasks/resolve",
        "/tasks//resolve",
        "/tasks/1/resolved/?fileuri=x",
        "/tasks/1/Resolve/?fileuri=x",
        "/Tasks/1/resolve/?fileuri=x",
        "/tasks/1/resolve/x?fileuri=x",
        "/api/tasks/1/resolve/?fileuri=x",
        "/annotations/1/resolve/?fileuri=x",
        "/tasks/1/2/resolve/?fileuri=x",
        "/tasks/1/../?fileuri=x",
        "/tasks/../resolver",
        "/tasks/1%252Fresolve/?fileuri=x",
        "/?fileuri=s3%3A%2F%2Fphotos%2Fa",
        "/data/upload/1/a.jpg",
    ] {
        assert_eq!(route(uri), Ok(Route::Forward), "{uri}");
    }
}

/// Each is a spelling that some server in front of Label Studio, or it itself, takes for the plain one.
#[test]
fn no_spelling_of_label_studios_paths_slips_through() {
    for (path, kind, scope) in [
        ("/tasks/1/resolve/", RouteKind::Resolve, task("1")),
        ("/tasks/1/resolve", RouteKind::Resolve, task("1")),
        ("/tasks/1/presign/", RouteKind::Presign, task("1")),
        ("/tasks/1/presign", RouteKind::Presign, task("1")),
        ("/projects/7/resolve/", RouteKind::Resolve, project("7")),
        ("/projects/7/resolve", RouteKind::Resolve, project("7")),
        ("/projects/7/presign/", RouteKind::Presign, project("7")),
        ("/projects/7/presign", RouteKind::Presign, project("7")),
        ("http://gate.example/tasks/1/resolve/", RouteKind::Resolve, task("1")),
        ("/tasks/batch-9%20%C3%A4/resolve/", RouteKind::Resolve, task("batch-9 ä")),
        ("/tasks/01/resolve/", RouteKind::Resolve, task("01")),
        ("/tasks/1/resolve//", RouteKind::Resolve, task("1")),
        ("//tasks/1/resolve/", RouteKind::Resolve, task("1")),
        ("/tasks//1/./resolve/", RouteKind::Resolve, task("1")),
        ("/%2E/tasks/1/%2e%2Fresolve/.", RouteKind::Resolve, task("1")),
        ("/%74asks/%31/resol%76e/", RouteKind::Resolve, task("1")),
        ("/tasks%2F1%2Fresolve%2F", RouteKind::Resolve, task("1")),
    ] {
        let want = media(kind, "s3://photos/a", Some(scope));
        assert_eq!(route(&format!("{path}?fileuri=s3%3A%2F%2Fphotos%2Fa")), Ok(want), "{path}");
    }
}

/// An upstream whose script name is `/ls` answers there, and a proxy before it may take the name away.
#[test]
fn the_paths_of_an_upstream_under_a_prefix_are_guarded_too() {
    let under = |prefix: &str, path: &str| {
        let uri = format!("{path}?fileuri=s3%3A%2F%2Fphotos%2Fa").parse().unwrap();
        Route::parse_under(&uri, &prefix.to_owned().try_into().unwrap())
    };
    for (prefix, path, guarded) in [
        ("/ls", "/ls/tasks/1/resolve/", true),
        ("/ls/", "/ls/tasks/1/resolve/", true),
        ("/ls", "/tasks/1/resolve/", true),
        ("/ls", "//ls//tasks/1/./resolve/", true),
        ("/ls", "/%6Cs%2Ftasks%2F1%2Fresolve", true),
        ("/a/ls", "/a/ls/tasks/1/resolve/", true),
        ("/tasks", "/tasks/1/resolve/", true),
        ("/tasks", "/tasks/tasks/1/resolve/", true),
        ("/ls", "/LS/tasks/1/resolve/", false),
        ("/ls", "/ls/ls/tasks/1/resolve/", false),
        ("/a/ls", "/ls/tasks/1/resolve/", false),
        ("/ls", "/l/tasks/1/resolve/", false),
        ("", "/ls/tasks/1/resolve/", false),
        ("/", "/ls/tasks/1/resolve/", false),
    ] {
        let plain = media(RouteKind::Resolve, "s3://photos/a", Some(task("1")));
        let want = if guarded { plain } else { Route::Forward };
        assert_eq!(under(prefix, path), Ok(want), "{path} under {prefix:?}");
    }
    assert_eq!(under("/ls", "/x/../ls/tasks/1/resolve/"), Err(ParseRouteError::PathDotSegment));
    for prefix in ["ls", "//", "/ls//", "/a//b", "/..", "/a/./b", "/l%73", "/ls?a", "/ls#a", "/l s", "/лс"]
    {
        assert_eq!(PathPrefix::try_from(prefix.to_owned()), Err(ParsePrefixError), "{prefix}");
    }
}

#[test]
fn dot_segments_before_an_upstream_that_removes_them() {
    for path in [
        "/x/../tasks/1/resolve/",
        "/../tasks/1/resolve/",
        "/%2e%2E/tasks/1/presign/",
        "/%ff/../tasks/1/resolve/",
        "/tasks/1/resolve/x/..",
        "/tasks/1/resolve%2Fx%2F..%2F",
        "/tasks/2/resolve/../../1/resolve",
        // What `..` removes depends on whether the slash is decoded first.
        "/a%2Fb/../tasks/1/resolve",
        "/tasks/1/a%2Fb/../resolve",
    ] {
        let uri = format!("{path}?fileuri=s3%3A%2F%2Fphotos%2Fa");
        assert_eq!(route(&uri), Err(ParseRouteError::PathDotSegment), "{path}");
    }
}

#[test]
fn ids_that_are_refused_rather_than_forwarded() {
    let zeros = format!("/tasks/{}1/resolve/?fileuri=s3%3A%2F%2Fphotos%2Fa", "0".repeat(200));
    for (uri, want) in [
        (zeros.as_str(), ParseRouteError::Id(ParseIdError::TooLong)),
        ("/tasks/1%0A/resolve/?fileuri=s3%3A%2F%2Fphotos%2Fa", ParseRouteError::Id(ParseIdError::Character)),
        (
            "/projects/1%00/presign?fileuri=s3%3A%2F%2Fphotos%2Fa",
            ParseRouteError::Id(ParseIdError::Character),
        ),
        ("/tasks/%ff/resolve/?fileuri=s3%3A%2F%2Fphotos%2Fa", ParseRouteError::Encoding),
    ] {
        assert_eq!(route(uri), Err(want), "{uri}");
    }
}

#[test]
fn the_spellings_of_a_file_uri() {
    for (query, key) in [
        // Base64 as Label Studio writes it, without padding, and padded as `%3D`.
        ("fileuri=czM6Ly9waG90b3MvaW1nL2EuanBn", "img/a.jpg"),
        ("fileuri=czM6Ly9waG90b3MvYQ==", "a"),
        ("fileuri=czM6Ly9waG90b3MvYQ", "a"),
        ("fileuri=czM6Ly9waG90b3MvYQ=", "a"),
        ("fileuri=czM6Ly9waG90b3MvYQ%3D%3D", "a"),
        // `>>>???` has `-`, `_` in one alphabet and `+`, `/` in the other.
        ("fileuri=czM6Ly9waG90b3MvPj4-Pz8_", ">>>???"),
        ("fileuri=czM6Ly9waG90b3MvPj4+Pz8/", ">>>???"),
        ("fileuri=czM6Ly9waG90b3MvPj4%2BPz8%2F", ">>>???"),
        // Nothing in base64 is decoded again: `a%20b+c`.
        ("fileuri=czM6Ly9waG90b3MvYSUyMGIrYw", "a%20b+c"),
        // ` s3://photos/a `
        ("fileuri=IHMzOi8vcGhvdG9zL2Eg", "a"),
        ("fileuri=s3://photos/img/a.jpg", "img/a.jpg"),
        ("fileuri=s3%3A%2F%2Fphotos%2Fimg%2Fa.jpg", "img/a.jpg"),
        ("fileuri=s3%3a//photos/img/a.jpg", "img/a.jpg"),
        ("fileuri=s3%253A%252F%252Fphotos%252Fimg%252Fa.jpg", "img/a.jpg"),
        ("fileuri=s3%253A//photos/a%252Bb+c", "a+b c"),
        ("fileuri=s3%3A%2F%2Fphotos%2Fa+b", "a b"),
        ("fileuri=s3%3A%2F%2Fphotos%2Fa%20b", "a b"),
        ("fileuri=s3%3A%2F%2Fphotos%2Fa%2Bb", "a+b"),
        ("fileuri=s3%3A%2F%2Fphotos%2F100%25", "100%"),
        ("fileuri=s3%3A%2F%2Fphotos%2Fa%2520b", "a%20b"),
        ("fileuri=s3%3A%2F%2Fphotos%2Fa%3Fb%23c%26d%3De", "a?b#c&d=e"),
        ("fileuri=s3://photos/a?b=c", "a?b=c"),
        ("fileuri=s3%3A%2F%2Fphotos%2F%2Fa", "/a"),
        ("fileuri=+s3%3A%2F%2Fphotos%2Fa%20%0A", "a"),
        ("fileuri=+s3%3A%2F%2Fphotos%2Fa%2520b", "a%20b"),
        ("fileuri=%2520s3%253A%252F%252Fphotos%252Fa", "a"),
        ("token=x.y.z&fileuri=czM6Ly9waG90b3MvYQ==&a=b&", "a"),
        ("%66ileuri=czM6Ly9waG90b3MvYQ==", "a"),
    ] {
        let want = media(RouteKind::Resolve, &format!("s3://photos/{key}"), Some(task("1")));
        assert_eq!(route(&format!("/tasks/1/resolve/?{query}")), Ok(want), "{query}");
    }
}

#[test]
fn file_uris_that_are_refused() {
    let scheme = ParseRouteError::Object(ParseObjectError::Scheme);
    for (query, want) in [
        ("", ParseRouteError::FileUriMissing),
        ("?", ParseRouteError::FileUriMissing),
        ("?fileuri", ParseRouteError::FileUriMissing),
        ("?fileuri=", ParseRouteError::FileUriMissing),
        ("?FileUri=czM6Ly9waG90b3MvYQ", ParseRouteError::FileUriMissing),
        ("?xfileuri=czM6Ly9waG90b3MvYQ", ParseRouteError::FileUriMissing),
        ("?fileuri=czM6Ly9waG90b3MvYQ&fileuri=czM6Ly9waG90b3MvYQ", ParseRouteError::FileUriDuplicated),
        ("?fileuri=czM6Ly9waG90b3MvYQ&%66ileuri=x", ParseRouteError::FileUriDuplicated),
        ("?fileuri&fileuri=czM6Ly9waG90b3MvYQ", ParseRouteError::FileUriDuplicated),
        ("?fileuri=czM6Ly9waG90b3MvYQ%", ParseRouteError::Encoding),
        ("?fileuri=s3://photos/a%zz", ParseRouteError::Encoding),
        ("?fileuri=s3%253A//photos/a%25zz", ParseRouteError::Encoding),
        ("?fileuri=s3://photos/a%C0%AF", ParseRouteError::Encoding),
        // Base64 of a byte that is not UTF-8.
        ("?fileuri=czM6Ly9waG90b3Mv_w", ParseRouteError::Encoding),
        ("?fileuri=a+b", scheme),
        ("?fileuri=http%3A%2F%2F169.254.169.254%2Flatest", scheme),
        ("?fileuri=S3%3A%2F%2Fphotos%2Fa", scheme),
        ("?fileuri=s3a%3A%2F%2Fphotos%2Fa", scheme),
        ("?fileuri=s3%3A%2F%2Fphotos", scheme),
        ("?fileuri=s3%25253A%25252F%25252Fphotos%25252Fa", scheme),
        // Wrong padding, so not base64 and not a URI.
        ("?fileuri=czM6Ly9waG90b3MvYQ===", scheme),
        ("?fileuri=s3%3A%2F%2Fphotos%2F", ParseObjectError::KeyEmpty.into()),
        ("?fileuri=s3%3A%2F%2Fphotos%2Fa%2F..%2Fb", ParseObjectError::KeyDotSegment.into()),
        ("?fileuri=s3%253A//photos/%252e%252e/b", ParseObjectError::KeyDotSegment.into()),
        ("?fileuri=s3%3A%2F%2Fphotos%2Fa%00", ParseObjectError::KeyNul.into()),
        ("?fileuri=s3%3A%2F%2Fp%2Fa", ParseObjectError::Bucket.into()),
    ] {
        assert_eq!(route(&format!("/tasks/1/resolve/{query}")), Err(want), "{query}");
    }
}

fn any_key() -> impl Strategy<Value = ObjectKey> {
    let odd =
        prop::sample::select(vec!["/", "//", "%", "%2F", "+", " ", "?", "#", "&", "=", "\\", ".", "ä", "\n"]);
    let piece =
        prop_oneof![odd.prop_map(str::to_owned), any::<char>().prop_map(String::from), "[a-z0-9]{1,4}"];
    prop::collection::vec(piece, 1..24)
        .prop_filter_map("a valid key", |pieces| ObjectKey::parse(&pieces.concat()).ok())
}

/// What an encoder must escape in a path at least; everything else may be escaped too.
const PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#').add(b'<').add(b'>').add(b'`').add(b'^').add(b'|');

proptest! {
    #[test]
    fn a_key_survives_the_media_path(key in any_key(), all in any::<bool>()) {
        let encoded = utf8_percent_encode(key.as_str(), if all { NON_ALPHANUMERIC } else { PATH });
        let want = media(RouteKind::Media, &format!("s3://photos/{key}"), None);
        prop_assert_eq!(route(&format!("/media/photos/{encoded}")), Ok(want));
    }

    #[test]
    fn a_key_survives_the_file_uri(key in any_key(), spelling in 0..6_u8) {
        prop_assume!(key.as_str().trim_end() == key.as_str());
        let uri = format!("s3://photos/{key}");
        let once = utf8_percent_encode(&uri, NON_ALPHANUMERIC).to_string();
        let value = match spelling {
            0 => general_purpose::URL_SAFE.encode(&uri),
            1 => general_purpose::URL_SAFE_NO_PAD.encode(&uri),
            2 => general_purpose::STANDARD.encode(&uri),
            3 => utf8_percent_encode(&general_purpose::STANDARD.encode(&uri), NON_ALPHANUMERIC).to_string(),
            4 => once,
            _ => utf8_percent_encode(&once, NON_ALPHANUMERIC).to_string(),
        };
        let want = media(RouteKind::Presign, &uri, Some(project("7")));
        prop_assert_eq!(route(&format!("/projects/7/presign?fileuri={value}")), Ok(want));
    }

    #[test]
    fn no_uri_is_too_odd(
        start in prop::sample::select(vec!["/", "/media/", "/media/photos/", "/tasks/1/resolve?fileuri=", "/tasks/"]),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let text = [start.as_bytes(), bytes.as_slice()].concat();
        if let Ok(uri) = Uri::try_from(text) {
            let _route = Route::parse(&uri);
        }
    }
}
