//! Records of weights and of optimizer states whose bytes depend only on what they record.
//!
//! Burn gives each parameter a random id, and writes the states of an optimizer in the order of a hash table:
//! the same training would leave other bytes each time. Here a parameter's id follows from its path in the
//! module, and tensors are in the order of their names. Burn reads such records as it reads its own.

use std::collections::BTreeMap;

use burn::store::RecordError;
use burn::store::burn_pack::{Reader, Tensor, Writer};
use burn::tensor::{Bytes, DType};
use sha2::{Digest, Sha256};

/// Makes the record of a module canonical; each tensor is named by its path.
///
/// # Errors
/// [`RecordError`] when the bytes are no record, or a number in them is not finite.
pub(crate) fn of_model(record: Bytes) -> Result<Bytes, RecordError> {
    let mut tensors = Reader::from_bytes(record)?.into_tensors()?;
    for tensor in &mut tensors {
        tensor.param_id = Some(id_of(&tensor.name));
        check_tensor(tensor, &tensor.name)?;
    }
    Ok(Writer::new(tensors).into_bytes()?)
}

/// Makes the record of an optimizer canonical; names begin with the id of a parameter, whose path is in the
/// metadata.
///
/// # Errors
/// The errors of [`of_model`].
pub(crate) fn of_optimizer(record: Bytes) -> Result<Bytes, RecordError> {
    let reader = Reader::from_bytes(record)?;
    let (paths, scalars) = (reader.metadata().clone(), reader.scalars().clone());
    // An id without a path stays as it is.
    let new_id = |id: &str| paths.get(id).map_or_else(|| id.to_string(), |path| id_of(path).to_string());
    let renamed = |name: &str| match name.split_once('.') {
        Some((id, field)) => format!("{}.{field}", new_id(id)),
        None => name.to_string(),
    };
    let mut tensors = reader.into_tensors()?;
    for tensor in &mut tensors {
        check_tensor(tensor, &described(&tensor.name, &paths))?;
        tensor.name = renamed(&tensor.name);
        tensor.param_id = tensor.param_id.and_then(|id| new_id(&id.to_string()).parse().ok());
    }
    tensors.sort_by(|one, other| one.name.cmp(&other.name));
    let mut writer = Writer::new(tensors);
    for (name, scalar) in scalars {
        writer = writer.with_scalar(&renamed(&name), scalar);
    }
    for (id, path) in &paths {
        writer = writer.with_metadata(&new_id(id), path);
    }
    Ok(writer.into_bytes()?)
}

/// Checks that every number of a module's record is finite.
///
/// # Errors
/// [`RecordError`] when the bytes are no record, or a number in them is not finite.
pub(crate) fn check_model(record: Bytes) -> Result<(), RecordError> {
    Reader::from_bytes(record)?.into_tensors()?.iter().try_for_each(|tensor| check_tensor(tensor, &tensor.name))
}

/// Checks that every number of an optimizer's record is finite, and that each tensor belongs to a parameter.
///
/// # Errors
/// The errors of [`check_model`], and [`RecordError`] for a tensor without a parameter.
pub(crate) fn check_optimizer(record: Bytes) -> Result<(), RecordError> {
    let reader = Reader::from_bytes(record)?;
    let paths = reader.metadata().clone();
    reader.into_tensors()?.iter().try_for_each(|tensor| {
        check_tensor(tensor, &described(&tensor.name, &paths))?;
        let is_of = |id: u64| tensor.name.starts_with(&format!("{id}."));
        match tensor.param_id.is_some_and(is_of) {
            true => Ok(()),
            false => Err(RecordError::Validation(format!(
                "the checkpoint has a state for {}, which is not a parameter of this model",
                tensor.name
            ))),
        }
    })
}

/// Derives the id of a parameter from its path.
fn id_of(path: &str) -> u64 {
    let digest = Sha256::digest(path.as_bytes());
    digest.first_chunk().map_or(0, |first: &[u8; 8]| u64::from_le_bytes(*first))
}

/// Names a tensor of an optimizer by the path of its parameter in the place of the id.
fn described(name: &str, paths: &BTreeMap<String, String>) -> String {
    let of_parameter = name.split_once('.').and_then(|(id, field)| Some(format!("{field} of {}", paths.get(id)?)));
    of_parameter.unwrap_or_else(|| name.to_string())
}

fn check_tensor(tensor: &Tensor, name: &str) -> Result<(), RecordError> {
    if tensor.dtype != DType::F32 {
        return Ok(());
    }
    let bytes = tensor.to_bytes()?;
    let (numbers, _) = bytes.as_chunks::<4>();
    let is_finite = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes).is_finite();
    // The loop has no early end, so that many numbers are checked together.
    if numbers.iter().fold(true, |all, number| all & is_finite(number)) {
        return Ok(());
    }
    let found = numbers.iter().enumerate().find(|(_, number)| !is_finite(number));
    let (index, value) = found.map_or((0, f32::NAN), |(index, number)| (index, f32::from_le_bytes(*number)));
    Err(RecordError::Validation(format!("number {index} of {name} is {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::store::burn_pack::Scalar;

    fn tensor(name: &str, id: u64, values: &[f32]) -> Tensor {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Tensor::new(name.into(), DType::F32, vec![values.len()], Some(id), Bytes::from_bytes_vec(bytes))
    }

    /// Returns the state of two parameters with these ids, written in this order.
    fn optimizer(ids: [u64; 2], reversed: bool, last: f32) -> Bytes {
        let [a, b] = ids;
        let mut tensors =
            vec![tensor(&format!("{a}.moment"), a, &[1.0]), tensor(&format!("{b}.moment"), b, &[2.0, last])];
        if reversed {
            tensors.reverse();
        }
        let writer =
            Writer::new(tensors).with_metadata(&a.to_string(), "head.bias").with_metadata(&b.to_string(), "body");
        writer.with_scalar(&format!("{a}.time"), Scalar::from(3_u64)).into_bytes().unwrap()
    }

    #[test]
    fn ids_and_order_leave_no_trace() {
        let of_optimizer = |ids, reversed| of_optimizer(optimizer(ids, reversed, 3.0)).unwrap().to_vec();
        let expected = of_optimizer([1, 2], false);
        assert!(expected == of_optimizer([2, 1], true) && expected == of_optimizer([77, 3], true));
        let of_model = |id| {
            let record = Writer::new(vec![tensor("head.bias", id, &[1.0])]).into_bytes().unwrap();
            of_model(record).unwrap().to_vec()
        };
        assert!(of_model(1) == of_model(2));
        // The same parameter has the same id in both.
        let ids = |record: Vec<u8>| -> Vec<Option<u64>> {
            let tensors = Reader::from_bytes(Bytes::from_bytes_vec(record)).unwrap().into_tensors().unwrap();
            tensors.iter().map(|tensor| tensor.param_id).collect()
        };
        assert!(ids(expected).contains(&ids(of_model(1))[0]));
    }

    #[test]
    fn a_number_that_is_not_finite_is_named() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let record = optimizer([1, 2], false, value);
            let error = of_optimizer(record.clone()).unwrap_err().to_string();
            assert!(error.contains(&format!("number 1 of moment of body is {value}")), "{error}");
            assert_eq!(check_optimizer(record).unwrap_err().to_string(), error);
        }
        check_optimizer(optimizer([1, 2], false, f32::MAX)).unwrap();
    }
}
