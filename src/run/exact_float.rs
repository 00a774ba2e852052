//! Numbers of a state that come back from JSON with all their bits.
//!
//! `serde_json` writes the shortest text that means the number, and reads it up to one unit in the last place
//! wrong unless it is built with its feature `float_roundtrip`; Rust's own reading is exact.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// For `#[serde(deserialize_with = "…")]` on an `f64`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    parse(&Box::<RawValue>::deserialize(deserializer)?)
}

/// For the same on an `Option<f64>`.
pub fn deserialize_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let text = Option::<Box<RawValue>>::deserialize(deserializer)?;
    text.map(|text| parse(&text)).transpose()
}

/// JSON has no word for a number that is not finite, so that only finite ones are read.
fn parse<E: serde::de::Error>(text: &RawValue) -> Result<f64, E> {
    let number: f64 = text.get().parse().map_err(|_| E::custom(format!("{} is not a number", text.get())))?;
    if number.is_finite() { Ok(number) } else { Err(E::custom(format!("{} is beyond any number", text.get()))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(Serialize, Deserialize)]
    struct State {
        #[serde(deserialize_with = "deserialize")]
        number: f64,
        #[serde(default, deserialize_with = "deserialize_option", skip_serializing_if = "Option::is_none")]
        perhaps: Option<f64>,
    }

    #[test]
    fn every_number_comes_back_with_its_bits() {
        let named = [0.19808613744640002, 5e-324, f64::MAX, f64::MIN_POSITIVE, -0.0, 0.1, 1.0 / 3.0, 1e23, -1.5];
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        let random = std::iter::repeat_with(move || {
            // Xorshift: any bits will do.
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            f64::from_bits(bits)
        });
        for number in named.into_iter().chain(random.filter(|number| number.is_finite()).take(20_000)) {
            let json = serde_json::to_vec_pretty(&State { number, perhaps: Some(number) }).unwrap();
            let State { number: read, perhaps } = serde_json::from_slice(&json).unwrap();
            assert_eq!((read.to_bits(), perhaps.map(f64::to_bits)), (number.to_bits(), Some(number.to_bits())));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for json in [r#"{"number":null}"#, r#"{"number":"1"}"#, r#"{"number":1e999}"#, r#"{"number":true}"#, "{}"] {
            assert!(serde_json::from_str::<State>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::from_str::<State>(r#"{"number":1}"#).unwrap().perhaps, None);
    }
}
