//! JSON for hostile text: what two readers could read differently is refused.
//!
//! A member that occurs twice is refused at any depth, also when it is spelt with an escape, since one reader takes
//! the first and another the last. So is what is nested deeper than asked for. Numbers with a fraction or an
//! exponent are kept apart from integers, so that no claim can be given as one.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A value; the number of a [`Json::Float`] is of no use to us.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool,
    Unsigned(u64),
    Negative(i64),
    Float,
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// The members of an object of at most `depth` levels, itself included. `None` for everything else.
pub(super) fn parse_object(bytes: &[u8], depth: u8) -> Option<Vec<(String, Json)>> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Nested { depth }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    match value {
        Json::Object(members) => Some(members),
        _ => None,
    }
}

/// A value that may open `depth` more levels.
#[derive(Clone, Copy)]
struct Nested {
    depth: u8,
}

impl Nested {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Nested {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(u64::try_from(number).map_or(Json::Negative(number), Json::Unsigned))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Float)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(value) = values.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let inner = self.inner()?;
        let (mut names, mut members) = (HashSet::new(), Vec::new());
        while let Some(name) = entries.next_key::<String>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("a member occurs twice"));
            }
            members.push((name, entries.next_value_seed(inner)?));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_object() {
        for (text, want) in [
            ("{}", true),
            (r#" {"a":1,"b":[2.5,-3,1e3],"c":null} "#, true),
            (r#"{"a":{"b":{"c":{}}}}"#, true),
            (r#"{"a":{"b":{"c":{"d":{}}}}}"#, false),
            (r#"{"a":[[[[]]]]}"#, false),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"exp":1,"\u0065xp":2}"#, false),
            (r#"{"x":[{"a":1,"a":2}]}"#, false),
            (r#"{"a":1}{}"#, false),
            (r#"{"a":1} x"#, false),
            (r#"{"a":1,}"#, false),
            ("{'a':1}", false),
            ("{\"a\":01}", false),
            ("{\"a\":1e999999999}", false),
            ("{\"a\":NaN}", false),
            ("{\"a\":\"\\ud800\"}", false),
            ("{\"a\":\"\n\"}", false),
            ("\u{feff}{}", false),
            ("[]", false),
            ("", false),
        ] {
            assert_eq!(parse_object(text.as_bytes(), 4).is_some(), want, "{text}");
        }
        assert_eq!(parse_object(b"{\"a\":\"\xff\"}", 4), None, "not UTF-8");
        assert_eq!(parse_object("[".repeat(8000).as_bytes(), 4), None, "deep");
    }

    #[test]
    fn integers_are_told_from_other_numbers() {
        for (text, want) in [
            ("17", Json::Unsigned(17)),
            ("18446744073709551615", Json::Unsigned(u64::MAX)),
            ("18446744073709551616", Json::Float),
            ("-1", Json::Negative(-1)),
            ("-0", Json::Float),
            ("17.0", Json::Float),
            ("1.7e1", Json::Float),
            ("17e0", Json::Float),
            ("\"17\"", Json::Text("17".to_owned())),
        ] {
            let members = parse_object(format!("{{\"n\":{text}}}").as_bytes(), 1);
            assert_eq!(members, Some(vec![("n".to_owned(), want)]), "{text}");
        }
    }
}
