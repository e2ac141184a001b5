//! What is sent: tasks as their items say, with a marker of ours in their `meta`.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    store::Parcel,
    task::{Item, Json},
};

/// Who made a task: `meta.mediagate`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Marker<'a> {
    /// The name of the store.
    #[serde(borrow)]
    pub(super) store: Cow<'a, str>,
    /// Its number of the task.
    pub(super) task: i64,
    /// The key of the object.
    pub(super) key: Cow<'a, str>,
    /// Which item of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<i64>,
    /// The request that made it.
    pub(super) batch: Cow<'a, str>,
}

#[derive(Serialize)]
struct Task<'a> {
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predictions: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_skip: Option<bool>,
    meta: Json,
}

#[derive(Serialize)]
struct Change<'a> {
    data: &'a RawValue,
    meta: Json,
}

/// The body of an import.
pub(super) fn tasks(store: &str, parcels: &[Parcel]) -> serde_json::Result<Bytes> {
    let task = |parcel| Task::new(store, parcel);
    let tasks = parcels.iter().map(task).collect::<serde_json::Result<Vec<_>>>()?;
    serde_json::to_vec(&tasks).map(Bytes::from)
}

/// The body of a change. Annotations are people's by then, and stay.
pub(super) fn change(store: &str, parcel: &Parcel) -> serde_json::Result<Bytes> {
    let change = Change { data: &parcel.task.item.data, meta: meta(store, parcel)? };
    serde_json::to_vec(&change).map(Bytes::from)
}

/// Why Label Studio would fail within itself at an item, or drop the predictions of all that come with it.
pub(super) fn fault(item: &Item) -> Option<String> {
    let parts = [("annotations", &item.annotations), ("predictions", &item.predictions)];
    parts.into_iter().find_map(|(name, list)| {
        let entries: Vec<&RawValue> = serde_json::from_str(list.as_ref()?.get()).ok()?;
        let is_odd = entries.iter().any(|entry| !entry.get().starts_with('{'));
        is_odd.then(|| format!("\"{name}\" has to be a list of objects"))
    })
}

/// The marker of a `meta`, where it has one of ours.
pub(super) fn marker(meta: Option<&RawValue>) -> Option<Marker<'_>> {
    #[derive(Deserialize)]
    struct Meta<'a> {
        #[serde(borrow)]
        mediagate: Marker<'a>,
    }
    serde_json::from_str::<Meta<'_>>(meta?.get()).ok().map(|meta| meta.mediagate)
}

impl<'a> Task<'a> {
    fn new(store: &str, parcel: &'a Parcel) -> serde_json::Result<Self> {
        let item = &parcel.task.item;
        Ok(Self {
            data: &item.data,
            annotations: item.annotations.as_deref(),
            predictions: item.predictions.as_deref(),
            allow_skip: item.allow_skip,
            meta: meta(store, parcel)?,
        })
    }
}

/// The item's own `meta` to the byte, and the marker as its last member: of two with one name readers take the last.
fn meta(store: &str, parcel: &Parcel) -> serde_json::Result<Json> {
    let task = &parcel.task;
    let marker = Marker {
        store: store.into(),
        task: task.number.0,
        key: task.key.as_str().into(),
        row: task.row,
        batch: parcel.batch.as_str().into(),
    };
    let marker = serde_json::to_string(&marker)?;
    let own = task.item.meta.as_ref().map_or("{}", |meta| meta.get()).trim_end();
    let own = own.strip_suffix('}').unwrap_or("{").trim_end();
    let comma = if own.ends_with('{') { "" } else { "," };
    RawValue::from_string(format!("{own}{comma}\"mediagate\":{marker}}}"))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::{
        id::{StorageId, TaskNumber},
        task,
    };

    #[test]
    fn an_item_is_sent_to_the_byte_and_the_marker_stands_in_its_meta() {
        for (text, want) in [
            (
                r#"{"data": {"n": 1.10, "t": "\u00e4"}, "meta": {"a" : 1.0 }, "allow_skip": false, "annotations": [{"result": []}]}"#,
                r#"{"data":{"n": 1.10, "t": "\u00e4"},"annotations":[{"result": []}],"allow_skip":false,"meta":{"a" : 1.0,"mediagate":M}}"#,
            ),
            (r#"{"a": 1}"#, r#"{"data":{"a": 1},"meta":{"mediagate":M}}"#),
            (r#"{"data": {}, "meta": { }}"#, r#"{"data":{},"meta":{"mediagate":M}}"#),
            (
                r#"{"data": {}, "meta": {"mediagate": {"store": "forged"}}}"#,
                r#"{"data":{},"meta":{"mediagate": {"store": "forged"},"mediagate":M}}"#,
            ),
        ] {
            let marker = r#"{"store":"s","task":7,"key":"a \"b\".jsonl","row":3,"batch":"b1"}"#;
            let body = tasks("s", &[parcel(text)]).unwrap();
            assert_eq!(
                std::str::from_utf8(&body).unwrap(),
                format!("[{}]", want.replace('M', marker)),
                "{text}"
            );
        }
    }

    #[test]
    fn markers_are_found_where_they_are_whole() {
        let parcel = parcel(r#"{"data": {}, "meta": {"x": [1]}}"#);
        let written = meta("s", &parcel).unwrap();
        let marker = marker_of(written.get()).unwrap();
        assert_eq!((marker.0.as_str(), marker.1, marker.2), ("s", 7, Some(3)));
        for other in
            ["null", "[]", "{}", r#"{"mediagate": 1}"#, r#"{"mediagate": {"store": "s", "task": "7"}}"#]
        {
            assert_eq!(marker_of(other), None, "{other}");
        }
    }

    #[test]
    fn what_label_studio_fails_at_is_refused_before() {
        for (text, want) in [
            (
                r#"{"data": {}, "annotations": [{"result": []}, 5]}"#,
                Some("\"annotations\" has to be a list of objects"),
            ),
            (r#"{"data": {}, "predictions": [null]}"#, Some("\"predictions\" has to be a list of objects")),
            (r#"{"data": {}, "predictions": [], "annotations": [{}]}"#, None),
        ] {
            assert_eq!(fault(&Item::parse(text.as_bytes()).unwrap()).as_deref(), want, "{text}");
        }
    }

    fn marker_of(meta: &str) -> Option<(String, i64, Option<i64>)> {
        let meta = RawValue::from_string(meta.to_owned()).unwrap();
        marker(Some(&meta)).map(|marker| (marker.store.into_owned(), marker.task, marker.row))
    }

    fn parcel(text: &str) -> Parcel {
        let task = task::Task {
            number: TaskNumber(7),
            project: None,
            storage: StorageId(1),
            key: "a \"b\".jsonl".to_owned(),
            row: Some(3),
            etag: None,
            created_at: UNIX_EPOCH,
            updated_at: None,
            vanished_at: None,
            item: Item::parse(text.as_bytes()).unwrap(),
        };
        Parcel { task, line: None, remote: None, batch: "b1".to_owned() }
    }
}
