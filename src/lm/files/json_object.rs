//! A JSON object as it stands in a file: its fields keep their order and the text of their values.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Names with the text of their values. [`crate::json`] reads them, and refuses a name that is there twice.
#[derive(Debug, Clone, Default)]
pub(super) struct JsonObject(Vec<(String, Box<RawValue>)>);

impl JsonObject {
    /// Returns the names and the text of their values, in the order of the file.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// Returns the text of a field's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Gives a field another value where it stands, or adds it at the end.
    pub(super) fn set(&mut self, name: &str, value: &serde_json::Value) {
        let Ok(value) = RawValue::from_string(value.to_string()) else { return };
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.into(), value)),
        }
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = JsonObject;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(JsonObject(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_there_twice_is_refused_by_name() {
        let error = crate::json::from_slice::<JsonObject>(br#"{"a": 1, "n_layer": 2, "n_layer": 2}"#).unwrap_err();
        assert!(error.to_string().contains("\"n_layer\" is there twice"), "{error}");
    }

    #[test]
    fn a_changed_field_stays_where_it_was_and_others_keep_their_text() {
        let mut object: JsonObject =
            serde_json::from_str(r#"{"z": 1e-05, "b": "x", "a": {"d": 1, "c": 2.50}}"#).unwrap();
        object.set("b", &serde_json::json!(["y"]));
        object.set("new", &serde_json::json!(true));
        let text = serde_json::to_string(&object).unwrap();
        assert_eq!(text, r#"{"z":1e-05,"b":["y"],"a":{"d": 1, "c": 2.50},"new":true}"#);
    }
}
