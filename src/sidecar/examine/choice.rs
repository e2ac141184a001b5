//! Which object of a listing is read.

use crate::{
    object::ObjectKey,
    s3::ListPage,
    sidecar::finding::{self, Finding},
    storage::{MatchError, Settings},
};

/// What a first page has for us.
#[derive(Debug)]
pub(super) enum Choice {
    /// An object that a sync would take, or at least one to read; with what to know about it.
    Object(ObjectKey, Option<String>),
    /// Nothing to read, which is no fault.
    Nothing(String),
    /// Nothing to read, which is one.
    Fault(Finding),
}

/// Chooses the first object that a sync would take. A storage that is only served takes any.
pub(super) fn choose(page: &ListPage, settings: &Settings, place: &str) -> Choice {
    let keys = || page.objects.iter().map(|listed| listed.key.as_str()).filter(|key| !key.ends_with('/'));
    let mut readable = keys().filter_map(|key| ObjectKey::parse(key).ok());
    let Some(first) = readable.next() else { return nothing(page, settings, place) };
    let Some(filter) = settings.filter.as_ref().filter(|_| settings.synchronizable) else {
        return Choice::Object(first, None);
    };
    for key in std::iter::once(first.clone()).chain(readable) {
        match filter.matches(key.as_str()) {
            Ok(true) => return Choice::Object(key, None),
            Ok(false) => {}
            Err(MatchError::TooHard) => return Choice::Fault(finding::filter_too_hard(&key)),
        }
    }
    let seen = if page.next.is_some() { "of the first objects " } else { "of the objects " };
    let note = format!(
        "none {seen}under {place} matches the file name filter {:?}; it is matched against the whole key, from its \
         beginning",
        filter.as_str()
    );
    Choice::Object(first, Some(note))
}

fn nothing(page: &ListPage, settings: &Settings, place: &str) -> Choice {
    let has_objects = page.objects.iter().any(|listed| !listed.key.ends_with('/'));
    if has_objects {
        return Choice::Nothing(format!(
            "no object of the first page under {place} has a key that can be served: parts named . and .. are \
             rewritten by browsers and proxies"
        ));
    }
    match page.prefixes.first() {
        // No fault: Label Studio's page tests the connection before it asks for recursive_scan.
        Some(folder) => Choice::Nothing(format!(
            "{place} holds objects in sub-folders only, such as {folder}; turn on scanning of all sub-folders \
             (recursive_scan), or set the prefix to one of them"
        )),
        // A page of nothing with more behind it: folders' own marks, or deleted versions.
        None if page.next.is_some() => {
            Choice::Nothing(format!("the first page under {place} has no object, so none was read"))
        }
        // Label Studio takes an empty bucket, and refuses a prefix that holds nothing.
        None if settings.synchronizable && !settings.normal_prefix().is_empty() => {
            Choice::Fault(finding::nothing_under(place))
        }
        None => Choice::Nothing(format!("{place} holds no object, so none was read")),
    }
}
