//! Any `s3://` URI or pattern: it is kept verbatim, and a pattern covers the object it names and no other
//! bucket's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mediagate::object::{
    Bucket, ObjectPattern, ObjectUri, guess_media_type, is_active_document, is_unspecific,
};

fuzz_target!(|text: &str| {
    let uri = ObjectUri::parse(text);
    if let Ok(uri) = &uri {
        assert_eq!(uri.to_string(), text);
        assert_eq!(ObjectUri::parse(&uri.to_string()).as_ref(), Ok(uri));
        let _media_type = guess_media_type(&uri.key);
    }
    if let Ok(pattern) = ObjectPattern::parse(text) {
        assert_eq!(pattern.to_string(), text);
        assert_eq!(matches!(pattern, ObjectPattern::Prefix { .. }), text.ends_with("/*"));
        if let (ObjectPattern::Object(object), Ok(uri)) = (&pattern, &uri) {
            assert_eq!(object, uri);
            assert!(pattern.covers(&uri.bucket, &uri.key));
        }
        if let Ok(uri) = &uri {
            let other = Bucket::parse("another-bucket").expect("a bucket name");
            assert!(uri.bucket == other || !pattern.covers(&other, &uri.key));
        }
    }
    let _judged = (is_unspecific(text), is_active_document(text));
});
