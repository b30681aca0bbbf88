//! JSON in which every name stands once: a claim that is there twice means different things to different readers.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use crate::JwtError;

/// The words by which [`object`] knows its own complaint again.
const TWICE: &str = "a name stands twice";

/// Reads one JSON object; a doubled name in it, however deep, is refused.
pub(crate) fn object(json: &[u8]) -> Result<Map<String, Value>, JwtError> {
    match serde_json::from_slice::<Strict>(json) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        Ok(_) => Err(JwtError::Malformed),
        Err(e) if e.to_string().starts_with(TWICE) => Err(JwtError::Ambiguous),
        Err(_) => Err(JwtError::Malformed),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number beyond all bounds"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if map.insert(name, value).is_some() {
                return Err(de::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        let json = br#"{"a":[1,-2,3.5,"x",null,true,{"b":{}}],"c":"\u00fc","d":18446744073709551615}"#;
        assert_eq!(Value::Object(object(json).unwrap()), serde_json::from_slice::<Value>(json).unwrap());
    }

    #[test]
    fn a_doubled_name_is_refused_however_deep_and_however_spelt() {
        for json in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"b":2,"a":3}]}"#, r#"{"a":1,"\u0061":1}"#] {
            assert!(matches!(object(json.as_bytes()), Err(JwtError::Ambiguous)), "{json}");
        }
    }

    #[test]
    fn anything_but_one_object_is_refused() {
        for json in ["", "[]", "1", "null", "{} {}", "{", r#"{"a":}"#, "{'a':1}", "{\"a\":\"\x01\"}"] {
            assert!(matches!(object(json.as_bytes()), Err(JwtError::Malformed)), "{json:?}");
        }
        assert!(matches!(object(b"{\"a\":\"\xff\"}"), Err(JwtError::Malformed)));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
        assert!(matches!(object(deep.as_bytes()), Err(JwtError::Malformed)));
    }
}
