//! Media types: guessed from a key where S3 knows none, and judged before they reach a browser.
//!
//! Answers carry `nosniff`, so a type that is missing or unknown to browsers is an image that does not show.
//! Text types get no charset, since nothing here reads the bytes.

use super::ObjectKey;

/// Guesses the media type from the extension of a key, in any case.
pub fn guess_media_type(key: &ObjectKey) -> Option<&'static str> {
    let (name, extension) = key.file_name().rsplit_once('.')?;
    if name.is_empty() {
        return None;
    }
    let mut own = FREQUENT.iter().chain(CORRECTED);
    let corrected = own.find(|(own, _)| own.eq_ignore_ascii_case(extension));
    corrected.map(|(_, media_type)| *media_type).or_else(|| mime_guess::from_ext(extension).first_raw())
}

/// Whether S3's `Content-Type` says no more than "bytes", so that a guess is better.
pub fn is_unspecific(content_type: &str) -> bool {
    essences(content_type).all(|essence| essence.is_empty() || has_subtype(essence, "octet-stream"))
}

/// Whether a browser may run scripts of an object of this type when it is opened by itself.
///
/// HTML, every kind of XML (SVG and XHTML too), and multipart, whose parts may be HTML.
pub fn is_active_document(content_type: &str) -> bool {
    const ENDS: [&[u8]; 4] = [b"/html", b"/xml", b"/xsl", b"+xml"];
    const BEGIN: &[u8] = b"multipart/";
    essences(content_type).map(str::as_bytes).any(|essence| {
        let ends_with = |end: &[u8]| {
            essence.len().checked_sub(end.len()).is_some_and(|at| essence[at..].eq_ignore_ascii_case(end))
        };
        ENDS.into_iter().any(ends_with)
            || essence.get(..BEGIN.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(BEGIN))
    })
}

/// The types without parameters in a header value.
///
/// The Fetch standard reads a value with commas as several types and takes the last good one. Browsers differ
/// in what else ends a type, so white space does too.
fn essences(content_type: &str) -> impl Iterator<Item = &str> {
    content_type.split(',').map(|member| {
        member.trim_ascii().split(|c: char| c == ';' || c.is_ascii_whitespace()).next().unwrap_or_default()
    })
}

fn has_subtype(essence: &str, subtype: &str) -> bool {
    essence.split_once('/').is_some_and(|(_, own)| own.eq_ignore_ascii_case(subtype))
}

/// What most objects are, ahead of a search among a thousand.
const FREQUENT: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("png", "image/png"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("mp4", "video/mp4"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
];
/// Where the table of `mime_guess` has a type that browsers do not play, or none.
const CORRECTED: &[(&str, &str)] = &[
    // RFC 4337; Firefox does not know `audio/m4a`.
    ("m4a", "audio/mp4"),
    ("m4b", "audio/mp4"),
    // RFC 8216 section 4.
    ("m3u8", "application/vnd.apple.mpegurl"),
    // RFC 3555 section 4.2.9. In a bucket of media it is not TypeScript.
    ("ts", "video/mp2t"),
    // RFC 9512.
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The types that Label Studio takes in, and the ones that its users ask for beside them.
    #[test]
    fn the_frequent_are_those_of_the_table() {
        for (extension, media_type) in FREQUENT {
            assert_eq!(mime_guess::from_ext(extension).first_raw(), Some(*media_type), "{extension}");
        }
    }

    #[test]
    fn keys_have_the_types_browsers_know() {
        for (key, want) in [
            ("a.bmp", Some("image/bmp")),
            ("a.gif", Some("image/gif")),
            ("a.jpg", Some("image/jpeg")),
            ("a.jpeg", Some("image/jpeg")),
            ("a.jfif", Some("image/jpeg")),
            ("a.png", Some("image/png")),
            ("a.svg", Some("image/svg+xml")),
            ("a.webp", Some("image/webp")),
            ("a.avif", Some("image/avif")),
            ("a.heic", Some("image/heic")),
            ("a.tif", Some("image/tiff")),
            ("a.tiff", Some("image/tiff")),
            ("a.flac", Some("audio/flac")),
            ("a.m4a", Some("audio/mp4")),
            ("a.mp3", Some("audio/mpeg")),
            ("a.ogg", Some("audio/ogg")),
            ("a.opus", Some("audio/ogg")),
            ("a.aac", Some("audio/aac")),
            ("a.wav", Some("audio/wav")),
            ("a.mp4", Some("video/mp4")),
            ("a.webm", Some("video/webm")),
            ("a.mov", Some("video/quicktime")),
            ("a.mkv", Some("video/x-matroska")),
            ("a.avi", Some("video/x-msvideo")),
            ("a.ts", Some("video/mp2t")),
            ("a.m3u8", Some("application/vnd.apple.mpegurl")),
            ("a.vtt", Some("text/vtt")),
            ("a.pdf", Some("application/pdf")),
            ("a.htm", Some("text/html")),
            ("a.html", Some("text/html")),
            ("a.xml", Some("text/xml")),
            ("a.json", Some("application/json")),
            ("a.csv", Some("text/csv")),
            ("a.tsv", Some("text/tab-separated-values")),
            ("a.txt", Some("text/plain")),
            ("a.md", Some("text/markdown")),
            ("a.yaml", Some("application/yaml")),
            ("A.JPG", Some("image/jpeg")),
            ("a.M4A", Some("audio/mp4")),
            ("p.q/a b.ключ.png", Some("image/png")),
            ("scan.nii.gz", Some("application/gzip")),
            ("a", None),
            ("a.", None),
            (".png", None),
            ("p/.png", None),
            ("p.png/a", None),
            ("p.png/", None),
            ("a.png ", None),
            ("a.nonsense", None),
        ] {
            assert_eq!(guess_media_type(&ObjectKey::parse(key).unwrap()), want, "{key}");
        }
    }

    #[test]
    fn types_that_say_nothing() {
        for (content_type, want) in [
            ("", true),
            (" ", true),
            ("application/octet-stream", true),
            ("binary/octet-stream", true),
            ("Binary/Octet-Stream; charset=binary", true),
            ("image/png", false),
            ("application/x-octet-stream-table", false),
            ("octet-stream", false),
            ("text/plain; name=octet-stream", false),
        ] {
            assert_eq!(is_unspecific(content_type), want, "{content_type:?}");
        }
    }

    #[test]
    fn types_that_run_scripts() {
        for (content_type, want) in [
            ("text/html", true),
            ("TEXT/HTML;charset=utf-8", true),
            (" text/html ", true),
            ("text/html\t; x", true),
            ("text/html charset=utf-8", true),
            ("text/plain, text/html", true),
            ("text/html, text/plain", true),
            ("application/xhtml+xml", true),
            ("image/svg+xml", true),
            ("text/xml", true),
            ("application/xml", true),
            ("text/xsl", true),
            ("application/atom+xml; charset=utf-8", true),
            ("multipart/x-mixed-replace; boundary=b", true),
            ("", false),
            ("text/plain", false),
            ("text/plain; note=text/html", false),
            ("image/png", false),
            ("application/pdf", false),
            ("application/json", false),
            ("video/mp4", false),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", false),
        ] {
            assert_eq!(is_active_document(content_type), want, "{content_type:?}");
        }
    }
}
