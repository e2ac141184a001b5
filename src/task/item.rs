//! One item of a file of tasks.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A JSON value in its own spelling.
pub type Json = Box<RawValue>;

/// What an item says of its task.
#[derive(Clone, Debug)]
pub struct Item {
    /// What is shown to the annotator: a JSON object.
    pub data: Json,
    /// A JSON list.
    pub annotations: Option<Json>,
    /// A JSON list.
    pub predictions: Option<Json>,
    /// A JSON object.
    pub meta: Option<Json>,
    /// Whether annotators may skip it; absent: the application decides.
    pub allow_skip: Option<bool>,
}

/// Why an item is no task, in words for whoever wrote the file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ItemFault {
    /// No JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// A number, a text, a list.
    #[error("a task is a JSON object, and this is {0}")]
    NotObject(&'static str),
    /// Label Studio's rule, and its words.
    #[error("If you use \"{0}\" field in the task, you must put \"data\" field in the task too")]
    DataMissing(&'static str),
    /// A part of another type.
    #[error("\"{0}\" has to be {1}")]
    WrongType(&'static str, &'static str),
    /// Too many bytes.
    #[error("larger than {0} bytes, which is the limit for one item (sidecar.max_item_size)")]
    TooLarge(u64),
    /// Brackets within brackets, beyond what readers of JSON take.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A value of a table that JSON has no words for.
    #[error("column \"{0}\" holds {1}")]
    Column(String, &'static str),
}

/// The keys that mean something beside `data`.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    predictions: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    allow_skip: Option<&'a RawValue>,
}

impl Item {
    /// Reads an item as Label Studio does: with `data` that is an object, that is the data and the other known keys stand
    /// beside it; otherwise the whole item is the data. Unlike Label Studio it keeps `meta`, and refuses what it would
    /// drop without a word.
    pub fn parse(text: &[u8]) -> Result<Self, ItemFault> {
        let whole: &RawValue = serde_json::from_slice(text).map_err(|error| not_json(&error))?;
        if depth(whole.get()) > MAX_DEPTH {
            return Err(ItemFault::TooDeep);
        }
        if kind(whole) != "an object" {
            return Err(ItemFault::NotObject(kind(whole)));
        }
        let parts: Parts<'_> = serde_json::from_str(whole.get()).map_err(|error| not_json(&error))?;
        let Some(data) = parts.data.filter(|data| kind(data) == "an object") else {
            return match parts {
                Parts { predictions: Some(_), .. } => Err(ItemFault::DataMissing("predictions")),
                Parts { annotations: Some(_), .. } => Err(ItemFault::DataMissing("annotations")),
                _ => Ok(Self::of_data(whole.to_owned())),
            };
        };
        let allow_skip = match parts.allow_skip.map(RawValue::get) {
            None | Some("null") => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(ItemFault::WrongType("allow_skip", "true or false")),
        };
        Ok(Self {
            data: data.to_owned(),
            annotations: part("annotations", parts.annotations, "a list")?,
            predictions: part("predictions", parts.predictions, "a list")?,
            meta: part("meta", parts.meta, "an object")?,
            allow_skip,
        })
    }

    /// A task with nothing but its data.
    pub fn of_data(data: Json) -> Self {
        Self { data, annotations: None, predictions: None, meta: None, allow_skip: None }
    }
}

/// What `serde_json` reads into values, and so whoever takes the task with it. Raw values have no limit of their own.
const MAX_DEPTH: usize = 127;

/// The most brackets that are open at once in a text that is JSON.
fn depth(text: &str) -> usize {
    let (mut open, mut most, mut is_text, mut is_escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => {
                open += 1;
                most = most.max(open);
            }
            b'}' | b']' if !is_text => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Says where within the item, since the line of the item is told beside it.
fn not_json(error: &serde_json::Error) -> ItemFault {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    match (error.line(), error.column()) {
        (0, _) => ItemFault::NotJson(what.to_owned()),
        (1, column) => ItemFault::NotJson(format!("{what} at column {column}")),
        (line, column) => ItemFault::NotJson(format!("{what} at line {line} of the item, column {column}")),
    }
}

/// `null` is as good as absent.
fn part(
    name: &'static str,
    value: Option<&RawValue>,
    wanted: &'static str,
) -> Result<Option<Json>, ItemFault> {
    match value {
        Some(value) if kind(value) == wanted => Ok(Some(value.to_owned())),
        None => Ok(None),
        Some(value) if value.get() == "null" => Ok(None),
        Some(_) => Err(ItemFault::WrongType(name, wanted)),
    }
}

fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_read_as_label_studio_reads_them() {
        for (text, data, fault) in [
            (r#"{"data": {"image": "s3://b/k", "n": 1.10}}"#, r#"{"image": "s3://b/k", "n": 1.10}"#, ""),
            (r#" {"image": "s3://b/k"} "#, r#"{"image": "s3://b/k"}"#, ""),
            (
                r#"{"data": "s3://b/k", "x": 12345678901234567890123}"#,
                r#"{"data": "s3://b/k", "x": 12345678901234567890123}"#,
                "",
            ),
            (r#"{"meta": 1}"#, r#"{"meta": 1}"#, ""),
            (
                r#"{"image": "a", "predictions": []}"#,
                "",
                "If you use \"predictions\" field in the task, you must put \"data\" field in the task too",
            ),
            (
                r#"{"image": "a", "annotations": []}"#,
                "",
                "If you use \"annotations\" field in the task, you must put \"data\" field in the task too",
            ),
            (r#"{"data": {}, "annotations": {}}"#, "", "\"annotations\" has to be a list"),
            (r#"{"data": {}, "meta": []}"#, "", "\"meta\" has to be an object"),
            (r#"{"data": {}, "allow_skip": "no"}"#, "", "\"allow_skip\" has to be true or false"),
            ("[1]", "", "a task is a JSON object, and this is a list"),
            ("17", "", "a task is a JSON object, and this is a number"),
            ("null", "", "a task is a JSON object, and this is null"),
        ] {
            let item = Item::parse(text.as_bytes());
            assert_eq!(item.as_ref().map_or("", |item| item.data.get()), data, "{text}");
            assert_eq!(item.err().map_or(String::new(), |fault| fault.to_string()), fault, "{text}");
        }
        assert!(matches!(Item::parse(b"{"), Err(ItemFault::NotJson(_))));
    }

    /// Texts of raw values are read without recursion, and without a limit.
    #[test]
    fn what_is_nested_too_deep_is_an_item_less() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        for (levels, fits) in [(1, true), (126, true), (127, false), (5_000_000, false)] {
            let item = Item::parse(nested(levels).as_bytes());
            assert_eq!(item.is_ok(), fits, "{levels}");
            assert!(fits || item.err() == Some(ItemFault::TooDeep), "{levels}");
            let value = serde_json::from_str::<serde_json::Value>(&nested(levels.min(1000)));
            assert_eq!(value.is_ok(), fits, "{levels}");
        }
        let brackets = format!(r#"{{"a": "{}\\\"{}"}}"#, "[".repeat(200), "[".repeat(200));
        assert!(Item::parse(brackets.as_bytes()).is_ok());
    }

    #[test]
    fn the_parts_beside_the_data_are_kept() {
        let text = br#"{"data": {}, "annotations": [{"result": []}], "predictions": null, "meta": {"a": 1}, "allow_skip": false, "id": 9}"#;
        let item = Item::parse(text).unwrap();
        assert_eq!(item.annotations.unwrap().get(), r#"[{"result": []}]"#);
        assert!(item.predictions.is_none());
        assert_eq!(item.meta.unwrap().get(), r#"{"a": 1}"#);
        assert_eq!(item.allow_skip, Some(false));
    }
}
