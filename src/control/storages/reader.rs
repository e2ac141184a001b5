//! Values as they are sent, read into types one by one; what is wrong is gathered, so that a person sees all of it.
//!
//! Lenient where Label Studio is: `"true"` and `1` are booleans, `"15"` is a number, names nobody asks for are
//! ignored, since its page and its SDK send some. Its sentences are kept where they say enough.

use std::fmt::Display;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::de::{DeserializeOwned, IntoDeserializer as _, value::StrDeserializer};
use serde_json::{Map, Value};

use super::{FieldErrors, LabelStudioError};
use crate::{
    id::ProjectId,
    storage::{ParsePresignTtlError, PresignTtl, RuleConfig},
};

/// The fields of one body while they are read.
#[derive(Clone)]
pub(super) struct Fields {
    values: Map<String, Value>,
    errors: FieldErrors,
    named: Vec<&'static str>,
}

/// What a body says about one value.
pub(super) enum Change<T> {
    /// Nothing.
    Keep,
    /// There shall be none.
    Clear,
    /// It shall be this.
    Set(T),
}

impl<T> Change<T> {
    /// Makes the change.
    pub(super) fn onto(self, slot: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *slot = None,
            Self::Set(value) => *slot = Some(value),
        }
    }

    fn cleared_if(self, is_blank: impl FnOnce(&T) -> bool) -> Self {
        match self {
            Self::Set(value) if is_blank(&value) => Self::Clear,
            change => change,
        }
    }

    /// Makes the change to what is never absent.
    pub(super) fn onto_or_default(self, slot: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Keep => {}
            Self::Clear => *slot = T::default(),
            Self::Set(value) => *slot = value,
        }
    }
}

impl Fields {
    /// Begins to read.
    pub(super) fn new(values: Map<String, Value>) -> Self {
        Self { values, errors: FieldErrors::default(), named: Vec::new() }
    }

    /// Notes that a field is wrong.
    pub(super) fn refuse(&mut self, field: &'static str, sentence: impl Display) {
        self.errors.add(field, sentence.to_string());
    }

    /// Whether the body names the field.
    pub(super) fn has(&self, field: &str) -> bool {
        self.values.contains_key(field)
    }

    /// Whether the body says that it is so.
    pub(super) fn says(&self, field: &str) -> bool {
        self.values.get(field).and_then(boolean) == Some(true)
    }

    /// Refuses when the body does not name the field.
    pub(super) fn require(&mut self, field: &'static str) {
        if !self.has(field) {
            self.refuse(field, REQUIRED);
        }
    }

    /// The names that were asked for and sent: for the audit, which must never see a value.
    pub(super) fn named(&self) -> &[&'static str] {
        &self.named
    }

    /// Whether nothing was wrong so far.
    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// Ends reading: refused when anything was wrong.
    pub(super) fn finish(&mut self) -> Result<(), LabelStudioError> {
        std::mem::take(&mut self.errors).none_or_refuse()
    }

    /// Text of at most `max` characters, kept as it is; `null` clears it.
    pub(super) fn text(&mut self, field: &'static str, max: usize) -> Change<String> {
        let sent = self.scalar(field);
        self.read(field, sent, |text| within(text, max))
    }

    /// Text that means something, read by `parse` without the space around it; blank and `null` clear it.
    pub(super) fn parsed<T, E: Display>(
        &mut self,
        field: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Change<T> {
        let sent = self.scalar(field).cleared_if(|text| text.trim().is_empty());
        let sent = self.read(field, sent, |text| within(text, MAX_TEXT));
        self.read(field, sent, |text| parse(text.trim()))
    }

    /// A secret: blank keeps what is stored, since Label Studio's page sends blanks for what it was not shown; `null`
    /// clears it.
    pub(super) fn secret(&mut self, field: &'static str) -> Change<SecretString> {
        let blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
        if self.values.get(field).is_some_and(blank) {
            return Change::Keep;
        }
        self.parsed(field, |text| {
            // Header values are made of it.
            if text.bytes().all(|byte| byte.is_ascii_graphic()) {
                Ok(SecretString::from(text))
            } else {
                Err(NO_KEY)
            }
        })
    }

    /// One of the words of an enumeration; blank and `null` clear it.
    pub(super) fn choice<T: DeserializeOwned>(&mut self, field: &'static str) -> Change<T> {
        self.parsed(field, |text| {
            let word: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
            T::deserialize(word)
        })
    }

    /// A boolean that may be absent: `null` and blank clear it.
    pub(super) fn flag(&mut self, field: &'static str) -> Change<bool> {
        let sent = self.sent(field).cleared_if(is_blank);
        self.read(field, sent, |value| boolean(&value).ok_or("Must be a valid boolean."))
    }

    /// A boolean that is never absent.
    pub(super) fn switch(&mut self, field: &'static str, slot: &mut bool) {
        match self.flag(field) {
            Change::Keep => {}
            Change::Clear => self.refuse(field, NOT_NULL),
            Change::Set(flag) => *slot = flag,
        }
    }

    /// The life of presigned URLs in minutes; `null` is the default.
    pub(super) fn presign_ttl(&mut self, field: &'static str) -> Change<PresignTtl> {
        let sent = self.integer(field);
        self.read(field, sent, |minutes| {
            u32::try_from(minutes).map_err(|_| ParsePresignTtlError).and_then(PresignTtl::from_minutes)
        })
    }

    /// A whole number, perhaps written as text; blank and `null` clear it.
    pub(super) fn integer(&mut self, field: &'static str) -> Change<i64> {
        let sent = self.sent(field).cleared_if(is_blank);
        self.read(field, sent, |value| whole(&value).ok_or("A valid integer is required."))
    }

    /// The project: a number, or text where the annotation application names projects by text. Never absent.
    pub(super) fn project(&mut self, field: &'static str) -> Change<ProjectId> {
        let sent = self.sent(field).cleared_if(is_blank);
        match self.read(field, sent, |value| project(&value)) {
            Change::Clear => {
                self.refuse(field, NOT_NULL);
                Change::Keep
            }
            change => change,
        }
    }

    /// Networks: a list of texts, or one text with commas or spaces between; `null` and blank clear them.
    pub(super) fn networks(&mut self, field: &'static str) -> Change<Vec<IpNet>> {
        let sent = self.sent(field).cleared_if(is_blank);
        self.read(field, sent, |value| networks(&value))
    }

    /// Delivery rules: a list of objects, or the same as JSON in a text; `null` and blank clear them.
    pub(super) fn rules(&mut self, field: &'static str) -> Change<Vec<RuleConfig>> {
        let sent = self.sent(field).cleared_if(is_blank);
        self.read(field, sent, rules)
    }

    fn scalar(&mut self, field: &'static str) -> Change<String> {
        let sent = self.sent(field);
        self.read(field, sent, |value| match value {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err("Not a valid string."),
        })
    }

    fn sent(&mut self, field: &'static str) -> Change<Value> {
        let Some(value) = self.values.get(field) else { return Change::Keep };
        if !self.named.contains(&field) {
            self.named.push(field);
        }
        match value {
            Value::Null => Change::Clear,
            value => Change::Set(value.clone()),
        }
    }

    /// Reads what is to be set; what cannot be read is refused and changes nothing.
    fn read<T, U, E: Display>(
        &mut self,
        field: &'static str,
        change: Change<T>,
        read: impl FnOnce(T) -> Result<U, E>,
    ) -> Change<U> {
        match change {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(value) => match read(value) {
                Ok(value) => Change::Set(value),
                Err(error) => {
                    self.refuse(field, error);
                    Change::Keep
                }
            },
        }
    }
}

/// Django's words for both. NUL is refused because not every database keeps it.
fn within(text: String, max: usize) -> Result<String, String> {
    if text.contains('\0') {
        Err("Null characters are not allowed.".to_owned())
    } else if text.chars().count() > max {
        Err(format!("Ensure this field has no more than {max} characters."))
    } else {
        Ok(text)
    }
}

/// A form can say `null` only by nothing at all.
fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

/// DRF's words for the two.
fn boolean(value: &Value) -> Option<bool> {
    let word = match value {
        Value::Bool(flag) => return Some(*flag),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    match word.as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn project(value: &Value) -> Result<ProjectId, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) if number.is_i64() => number.to_string(),
        _ => return Err("Expected the number of a project.".to_owned()),
    };
    ProjectId::parse(&text).map_err(|error| error.to_string())
}

fn networks(value: &Value) -> Result<Vec<IpNet>, String> {
    let texts: Vec<&str> = match value {
        Value::String(text) => {
            text.split([',', ' ', '\n', '\r', '\t']).filter(|part| !part.is_empty()).collect()
        }
        Value::Array(parts) => parts.iter().map(Value::as_str).collect::<Option<_>>().ok_or(NOT_NETWORKS)?,
        _ => return Err(NOT_NETWORKS.to_owned()),
    };
    if texts.len() > MAX_NETWORKS {
        return Err(format!("Ensure this field has no more than {MAX_NETWORKS} elements."));
    }
    texts.iter().map(|text| network(text).ok_or_else(|| format!("{text:.60?} is {NO_NETWORK}"))).collect()
}

fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse().ok().map(|ip: std::net::IpAddr| IpNet::from(ip)))
}

fn rules(value: Value) -> Result<Vec<RuleConfig>, String> {
    let rules: Result<Vec<RuleConfig>, _> = match value {
        Value::String(text) => serde_json::from_str(&text),
        value => serde_json::from_value(value),
    };
    match rules {
        Ok(rules) if rules.len() > MAX_RULES => {
            Err(format!("Ensure this field has no more than {MAX_RULES} elements."))
        }
        Ok(rules) => Ok(rules),
        Err(error) => Err(format!("Not a list of delivery rules: {error}.")),
    }
}

/// The longest text that a meaning is looked for in: an IAM name or path has at most 2048 characters.
const MAX_TEXT: usize = 4096;
const MAX_NETWORKS: usize = 1024;
const MAX_RULES: usize = 100;
pub(super) const REQUIRED: &str = "This field is required.";
const NOT_NULL: &str = "This field may not be null.";
const NO_KEY: &str = "It has a space or another character that keys have not; copy it again.";
const NOT_NETWORKS: &str = "Expected a list of networks such as 10.0.0.0/8.";
const NO_NETWORK: &str = "neither a network such as 10.0.0.0/8 nor an address.";
