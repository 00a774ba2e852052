//! Writing of safetensors files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use half::f16;
use safetensors::tensor::{Dtype, View};

use super::{LENGTH_BYTES, VERSION_KEY};
use crate::error::{Error, Result};
use crate::finite::place;
use crate::format_version::NEWEST_VERSION;
use crate::lm::network::parameters::NamedTensor;

/// Type of the numbers in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    /// Half the size; for models that ship.
    F16,
}

/// Returns a safetensors file of these tensors.
///
/// # Errors
/// [`Error::Failed`] if the format or the precision cannot hold the tensors, or a number is not finite.
pub fn write_safetensors(tensors: &[NamedTensor], precision: Precision) -> Result<Vec<u8>> {
    let failed = |what: &dyn std::fmt::Display| Error::failed(format!("weights cannot be written: {what}"), "");
    check_numbers(tensors, precision)?;
    let views = tensors.iter().map(|tensor| (tensor.name.as_str(), Stored { tensor, precision }));
    // "pt" is what `transformers` asks for.
    let metadata =
        BTreeMap::from([("format".to_string(), "pt".to_string()), (VERSION_KEY.into(), NEWEST_VERSION.to_string())]);
    let mut bytes =
        safetensors::serialize(views, Some(metadata.clone().into_iter().collect())).map_err(|error| failed(&error))?;

    // The library writes the metadata in the order of a hash map, which differs from run to run: here it
    // is always the same, so that equal models are equal files.
    let sorted = serde_json::to_vec(&metadata).map_err(|error| failed(&error))?;
    let start = LENGTH_BYTES as usize + br#"{"__metadata__":"#.len();
    let place = bytes.get_mut(start..start + sorted.len());
    let place =
        place.filter(|found| serde_json::from_slice(found).is_ok_and(|found: BTreeMap<_, _>| found == metadata));
    place.ok_or_else(|| failed(&"its metadata is not where it should be"))?.copy_from_slice(&sorted);
    Ok(bytes)
}

/// Tensor that is written to a file; its bytes are made on demand, so that only one tensor's exist at a time.
struct Stored<'a> {
    tensor: &'a NamedTensor,
    precision: Precision,
}

impl View for Stored<'_> {
    fn dtype(&self) -> Dtype {
        match self.precision {
            Precision::F32 => Dtype::F32,
            Precision::F16 => Dtype::F16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.tensor.values.iter();
        Cow::Owned(match self.precision {
            Precision::F32 => values.flat_map(|value| value.to_le_bytes()).collect(),
            Precision::F16 => values.flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
        })
    }

    fn data_len(&self) -> usize {
        let bytes = match self.precision {
            Precision::F32 => 4,
            Precision::F16 => 2,
        };
        bytes * self.tensor.values.len()
    }
}

/// Refuses numbers that are not finite, which nobody could use or trace, and numbers beyond the largest of 16
/// bits, which would be stored as infinity.
fn check_numbers(tensors: &[NamedTensor], precision: Precision) -> Result<()> {
    let cannot_be_stored =
        |value: &f32| !value.is_finite() || precision == Precision::F16 && f16::from_f32(*value).is_infinite();
    for NamedTensor { name, shape, values } in tensors {
        let Some((index, value)) = values.iter().enumerate().find(|(_, value)| cannot_be_stored(value)) else {
            continue;
        };
        let what = format!("the model is not written: {name} holds {value:e} at index {}", place(index, shape));
        return Err(match value.is_finite() {
            true => Error::failed(
                format!("{what}, which half precision cannot hold"),
                "write the model in full precision (without --half)",
            ),
            false => Error::failed(what, "lower the learning rate; what was there before is as it was"),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(values: &[f32]) -> [NamedTensor; 1] {
        [NamedTensor { name: "a".into(), shape: vec![values.len()], values: values.into() }]
    }

    #[test]
    fn equal_tensors_are_equal_files_with_a_version() {
        let written = || write_safetensors(&tensors(&[1.0, 2.0]), Precision::F32).unwrap();
        let first = written();
        assert!((0..50).all(|_| written() == first));
        let metadata = br#"{"__metadata__":{"format":"pt","preftune_version":"1"},"#;
        assert_eq!(&first[8..8 + metadata.len()], metadata);
    }

    #[test]
    fn a_number_that_is_not_finite_or_not_in_half_precision_is_not_written() {
        write_safetensors(&tensors(&[65_504.0, -65_504.0]), Precision::F16).unwrap();
        write_safetensors(&tensors(&[1e6]), Precision::F32).unwrap();
        let error = write_safetensors(&tensors(&[1.0, -1e6]), Precision::F16).unwrap_err();
        let what = "the model is not written: a holds -1e6 at index 1";
        assert_eq!(error.to_string(), format!("{what}, which half precision cannot hold"));
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = write_safetensors(&tensors(&[1.0, value]), Precision::F32).unwrap_err();
            assert_eq!(error.to_string(), format!("the model is not written: a holds {value:e} at index 1"));
        }
    }
}
