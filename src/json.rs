//! Strict reading of JSON, in which ambiguous input is an error.
//!
//! `serde_json` takes the first or the last value of a key that occurs twice, accepts an array of the right
//! values in place of an object, and reads some numbers wrong in their last place. Here the first two are
//! errors, and numbers are exact.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// Reads one value and nothing after it.
///
/// # Errors
/// The errors of `serde_json`, and one for a key that occurs twice or an array in place of an object.
pub(crate) fn from_slice<'de, T: Deserialize<'de>>(json: &'de [u8]) -> serde_json::Result<T> {
    // `serde_json` would not check text that it skips.
    let text = std::str::from_utf8(json).map_err(Error::custom)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = T::deserialize(Strict(&mut deserializer))?;
    deserializer.end().map(|()| value)
}

/// Reads a value that was parsed before, as strictly as [`from_slice`].
///
/// # Errors
/// The errors of [`from_slice`].
pub(crate) fn from_value<T: DeserializeOwned>(value: serde_json::Value) -> serde_json::Result<T> {
    T::deserialize(Strict(value))
}

/// Returns the failure of writing a value as JSON.
pub(crate) fn not_written(error: serde_json::Error) -> crate::error::Error {
    crate::error::Error::failed(format!("a value cannot be written as JSON: {error}"), "")
}

/// Wraps a deserializer so that it reads strictly, for input that is read piece by piece.
#[cfg(feature = "fetch")]
pub(crate) fn strict<'de, D: Deserializer<'de>>(inner: D) -> impl Deserializer<'de, Error = D::Error> {
    Strict(inner)
}

/// A wrapper that makes everything inside it strict.
struct Strict<T>(T);

macro_rules! forward_to_inner {
    ($($method:ident)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
                self.0.$method(Strict(visitor))
            }
        )*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    forward_to_inner! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Strict(visitor))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let text = Box::<RawValue>::deserialize(self.0)?;
        let number = text.get().parse().ok().filter(|number: &f64| number.is_finite());
        visitor.visit_f64(number.ok_or_else(|| D::Error::custom("invalid type: expected a finite number"))?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        // `deserialize_struct` would also accept an array of the fields.
        self.0.deserialize_map(Strict(visitor))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, Strict(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Strict(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(length, Strict(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, length, Strict(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.0.visit_bool(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.0.visit_i64(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.0.visit_u64(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.0.visit_f64(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.0.visit_str(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.0.visit_borrowed_str(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        self.0.visit_string(value)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(UniqueKeys { entries, seen: HashSet::new() })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(deserializer))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

/// The entries of an object, with the keys that were read so far.
struct UniqueKeys<A> {
    entries: A,
    seen: HashSet<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for UniqueKeys<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Some(key) = self.entries.next_key::<String>()? else { return Ok(None) };
        if !self.seen.insert(key.clone()) {
            return Err(A::Error::custom(format!("the field {key:?} is there twice")));
        }
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.entries.next_value_seed(Strict(seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        name: String,
        count: u64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        inner: Vec<Inner>,
        numbers: BTreeMap<String, Option<f64>>,
        pair: (String, bool),
        #[serde(default)]
        left_out: Option<Inner>,
    }

    const TEXT: &str = r#"{"inner": [{"name": "é\n", "count": 3}, {"count": 18446744073709551615, "name": ""}],
        "numbers": {"a": 1.5, "b": null, "c": 2, "d": -1e-5}, "pair": ["x", true], "more": [{"z": 1}]}"#;

    fn read(text: &str) -> serde_json::Result<Outer> {
        from_slice(text.as_bytes())
    }

    #[test]
    fn what_is_clear_is_read_as_serde_json_reads_it() {
        assert_eq!(read(TEXT).unwrap(), serde_json::from_str(TEXT).unwrap());
        let value: serde_json::Value = from_slice(TEXT.as_bytes()).unwrap();
        assert_eq!(value, serde_json::from_str::<serde_json::Value>(TEXT).unwrap());
        assert_eq!(from_slice::<Option<Inner>>(b" null ").unwrap(), None);
        assert!(from_slice::<Inner>(b"{\"name\": \"\", \"count\": 1, \"more\": \"\xff\"}").is_err());
        assert!(from_slice::<u64>(b"1 2").is_err());
        assert_eq!(from_value::<Outer>(value).unwrap(), read(TEXT).unwrap());
    }

    #[test]
    fn a_key_that_is_there_twice_is_named_with_its_line() {
        for (once, twice) in [
            (r#""count": 3"#, r#""count": 3, "count": 3"#),
            (r#""a": 1.5"#, r#""a": 1.5, "\u0061": 2"#),
            (r#""pair": ["x", true]"#, r#""pair": ["x", true], "pair": ["x", true]"#),
            (r#""more": [{"z": 1}]"#, r#""more": 1, "more": 1"#),
            (r#"{"z": 1}"#, r#"{"z": 1, "z": 1}"#),
        ] {
            let error = read(&TEXT.replace(once, twice)).unwrap_err();
            assert!(error.to_string().contains("is there twice") && error.line() > 0, "{error}");
        }
        assert!(from_slice::<serde_json::Value>(br#"[{"a": {"b": 1, "b": 1}}]"#).is_err());
    }

    #[test]
    fn an_array_is_no_object() {
        for (object, array) in [(r#"{"name": "é\n", "count": 3}"#, r#"["é\n", 3]"#), (TEXT, "[[], {}, [\"x\", true]]")]
        {
            let error = read(&TEXT.replace(object, array)).unwrap_err();
            assert!(error.to_string().contains("invalid type: sequence, expected struct"), "{error}");
            let value = serde_json::from_str(&TEXT.replace(object, array)).unwrap();
            assert!(from_value::<Outer>(value).is_err());
        }
    }

    #[test]
    fn numbers_have_all_their_bits() {
        let named = [0.19808613744640002, 5e-324, f64::MAX, f64::MIN_POSITIVE, -0.0, 1.0 / 3.0, 1e23];
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        let random = std::iter::repeat_with(move || {
            // Xorshift: any bits will do.
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            f64::from_bits(bits)
        });
        let numbers: Vec<f64> = named.into_iter().chain(random.filter(|one| one.is_finite()).take(20_000)).collect();
        let read: Vec<Option<f64>> = from_slice(&serde_json::to_vec(&numbers).unwrap()).unwrap();
        assert!(numbers.iter().zip(read).all(|(number, read)| read.unwrap().to_bits() == number.to_bits()));
        for text in ["1e999", "\"1\"", "null", "[1]", "true", "nan"] {
            assert!(from_slice::<f64>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
