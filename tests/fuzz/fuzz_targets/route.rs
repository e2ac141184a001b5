//! Any request target: what is read as an object is read the same from its plain spelling, and no spelling of
//! Label Studio's paths is forwarded, nor under the prefix of an upstream.
#![no_main]

use http::Uri;
use libfuzzer_sys::fuzz_target;
use mediagate::gateway::route::{PathPrefix, Route};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

fuzz_target!(|target: &[u8]| {
    let Ok(uri) = Uri::try_from(target) else { return };
    match Route::parse(&uri) {
        Ok(Route::Media(media)) => {
            let (bucket, key) = (&media.object.bucket, media.object.key.as_str());
            let plain = format!("/media/{bucket}/{}", utf8_percent_encode(key, NON_ALPHANUMERIC));
            let again = Route::parse(&plain.parse().expect("a plain path is a URI"));
            assert!(matches!(again, Ok(Route::Media(again)) if again.object == media.object), "{plain}");
            assert!(!key.split('/').any(|segment| matches!(segment, "." | "..")), "{key:?}");
        }
        Ok(Route::Forward) => assert!(!is_label_studios(uri.path()), "{uri}"),
        Err(_) => {}
    }
    under_a_prefix(&uri);
});

/// A prefix guards more and changes nothing of what was guarded without it.
fn under_a_prefix(uri: &Uri) {
    let prefix = PathPrefix::try_from("/ls".to_owned()).expect("a prefix");
    let (bare, under) = (Route::parse(uri), Route::parse_under(uri, &prefix));
    if bare != Ok(Route::Forward) {
        assert_eq!(bare, under, "{uri}");
    }
    if under == Ok(Route::Forward) {
        let rest = uri.path().strip_prefix("/ls").filter(|rest| rest.starts_with('/'));
        assert!(!rest.is_some_and(is_label_studios), "{uri}");
    }
}

/// Whether a server may take the path for one of Label Studio's, whether it removes dots before it decodes,
/// after, or never.
fn is_label_studios(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let undotted = path.replace("%2e", ".").replace("%2E", ".");
    let cleaned_first = clean(&undotted).join("/");
    let cleaned_first = percent_decode_str(&cleaned_first).decode_utf8_lossy();
    [segments(&decoded), clean(&decoded), segments(&cleaned_first)]
        .iter()
        .any(|read| matches!(read.as_slice(), ["tasks" | "projects", _, "resolve" | "presign"]))
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect()
}

fn clean(path: &str) -> Vec<&str> {
    let mut kept = Vec::new();
    for segment in segments(path) {
        if segment == ".." {
            kept.pop();
        } else {
            kept.push(segment);
        }
    }
    kept
}
