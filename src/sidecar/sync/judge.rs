//! What a page means: which objects are new, which are as they were, and which are neither.

use std::collections::HashMap;

use crate::{
    object::{ObjectKey, ParseObjectError},
    run::{Counters, Fault},
    s3::Listed,
    storage::{MatchError, OnChanged, Settings},
    store::{Known, ObjectVersion},
};

/// What to do about the objects of a page.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What was counted on the way.
    pub(super) found: Counters,
    /// Objects that nothing is known of, or that were not read to the end.
    pub(super) new: Vec<Listed>,
    /// Objects whose tasks take what they are now.
    pub(super) renew: Vec<Listed>,
    /// Objects of which some items were refused, and that have been changed since.
    pub(super) mended: Vec<Listed>,
    /// Keys that cannot be served.
    pub(super) faults: Vec<Fault>,
}

/// Judges the objects of a page by what is known of them.
pub(super) fn judge(
    objects: Vec<Listed>,
    known: &HashMap<String, Known>,
    settings: &Settings,
) -> Result<Verdict, MatchError> {
    let mut verdict = Verdict::default();
    for object in objects {
        // Keys that end in a slash stand for folders.
        if object.key.ends_with('/') {
            continue;
        }
        verdict.found.listed += 1;
        if !settings.filter.as_ref().map_or(Ok(true), |filter| filter.matches(&object.key))? {
            continue;
        }
        verdict.found.matched += 1;
        match (ObjectKey::parse(&object.key), known.get(&object.key)) {
            (Err(error), _) => verdict.faults.push(fault(object, error)),
            (Ok(_), None) => verdict.new.push(object),
            (Ok(_), Some(known)) => verdict.consider(object, known, settings.on_changed),
        }
    }
    Ok(verdict)
}

impl Verdict {
    fn consider(&mut self, object: Listed, known: &Known, on_changed: OnChanged) {
        self.found.existed += known.tasks;
        let versions = known.etag.as_ref().zip(object.etag.as_ref());
        let is_changed = versions.is_some_and(|(known, now)| known != now);
        self.found.changed += i64::from(is_changed);
        match on_changed {
            OnChanged::Update if is_changed || known.is_vanished => self.renew.push(object),
            OnChanged::Report if known.is_vanished => self.renew.push(object),
            OnChanged::Report if is_changed && known.refused > 0 => self.mended.push(object),
            OnChanged::Report | OnChanged::Update => {}
        }
    }
}

impl From<&Listed> for ObjectVersion {
    fn from(object: &Listed) -> Self {
        Self { key: object.key.clone(), etag: object.etag.clone() }
    }
}

fn fault(object: Listed, error: ParseObjectError) -> Fault {
    let reason = format!("{error}, so no browser could ask for it; rename the object");
    Fault { key: object.key, row: None, line: None, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ETag;

    #[test]
    fn objects_are_judged_by_what_is_known_of_them() {
        let known = |etag: &str, is_vanished, refused| Known {
            etag: ETag::parse(etag),
            is_vanished,
            tasks: 1,
            refused,
        };
        for (was, on_changed, want) in [
            (None, OnChanged::Report, "new"),
            (Some(known("\"1\"", false, 0)), OnChanged::Report, "same"),
            (Some(known("none", false, 0)), OnChanged::Update, "same"),
            (Some(known("\"2\"", false, 0)), OnChanged::Report, "changed"),
            (Some(known("\"2\"", false, 3)), OnChanged::Report, "changed, mended"),
            (Some(known("\"2\"", false, 3)), OnChanged::Update, "changed, renew"),
            (Some(known("\"2\"", false, 0)), OnChanged::Update, "changed, renew"),
            (Some(known("\"1\"", true, 0)), OnChanged::Report, "renew"),
        ] {
            let object = listed("a");
            let all = was.clone().map(|known| ("a".to_owned(), known)).into_iter().collect();
            let verdict = judge(vec![object], &all, &Settings { on_changed, ..Settings::default() }).unwrap();
            let words = [
                ("new", verdict.new.len()),
                ("changed", usize::try_from(verdict.found.changed).unwrap()),
                ("renew", verdict.renew.len()),
                ("mended", verdict.mended.len()),
            ];
            let got: Vec<&str> =
                words.iter().filter(|(_, count)| *count > 0).map(|(word, _)| *word).collect();
            assert_eq!(if got.is_empty() { "same".to_owned() } else { got.join(", ") }, want, "{was:?}");
            assert_eq!(verdict.found.existed, i64::from(was.is_some()));
        }
    }

    #[test]
    fn folders_are_skipped_filters_hold_and_keys_that_cannot_be_served_are_named() {
        let filter = crate::storage::KeyFilter::parse(r"a.*\.jpg").unwrap();
        let settings = Settings { filter: Some(filter), ..Settings::default() };
        let objects = ["a/", "a/1.jpg", "a/2.png", "b/1.jpg", "a/../1.jpg"].map(listed).into();
        let verdict = judge(objects, &HashMap::new(), &settings).unwrap();
        assert_eq!((verdict.found.listed, verdict.found.matched), (4, 2));
        assert_eq!(verdict.new.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["a/1.jpg"]);
        assert_eq!(verdict.faults[0].key, "a/../1.jpg");
        assert!(verdict.faults[0].reason.contains("segment"), "{}", verdict.faults[0]);
    }

    fn listed(key: &str) -> Listed {
        Listed { key: key.to_owned(), size: 1, last_modified: None, etag: ETag::parse("\"1\"") }
    }
}
