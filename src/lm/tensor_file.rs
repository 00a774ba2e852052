//! Safetensors files: read one tensor at a time, so that loading a model takes little more memory
//! than the model; written as a whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, View};

use super::parameters::NamedTensor;
use crate::error::{Error, Result};

/// How numbers are stored in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    /// Half the size; for models that ship.
    F16,
}

/// Where the bytes come from: a file, or memory.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// No header of a language model comes near this, in bytes; a damaged one can claim anything.
const LARGEST_HEADER_BYTES: u64 = 16 << 20;

/// The length of the header stands in so many bytes.
const LENGTH_BYTES: u64 = 8;

/// An open safetensors file. Tensors that hold no floats, such as the causal masks in older GPT-2
/// files, are not seen.
pub struct TensorFile<'a> {
    source: Box<dyn Source + 'a>,
    path: PathBuf,
    header: Metadata,
    /// Where tensor data begins.
    data_at: u64,
}

impl<'a> TensorFile<'a> {
    /// Reads the header; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that is cut short or damaged.
    pub fn open(mut source: impl Source + 'a, path: &Path) -> Result<Self> {
        let length = source.seek(SeekFrom::End(0)).map_err(|e| Error::file("read", path, e))?;
        let damaged = |what: &dyn std::fmt::Display| {
            let hint = "the file is cut short or damaged: copy or fetch it again";
            Error::input(path, format!("not a readable safetensors file of {length} bytes: {what}"), hint)
        };
        let mut prefix = [0; LENGTH_BYTES as usize];
        read_at(&mut source, 0, &mut prefix).map_err(|e| damaged(&e))?;
        let header_bytes = u64::from_le_bytes(prefix);
        if header_bytes > LARGEST_HEADER_BYTES.min(length.saturating_sub(LENGTH_BYTES)) {
            return Err(damaged(&format!("its header cannot be {header_bytes} bytes long")));
        }
        let mut header = vec![0; header_bytes as usize];
        read_at(&mut source, LENGTH_BYTES, &mut header).map_err(|e| damaged(&e))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| damaged(&e))?;
        let data_at = LENGTH_BYTES + header_bytes;
        let announced = data_at + header.data_len() as u64;
        if announced != length {
            return Err(damaged(&format!("its header announces {announced}")));
        }
        Ok(Self { source: Box::new(source), path: path.into(), header, data_at })
    }

    /// The same for a file that is in memory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: &'a [u8], path: &Path) -> Result<Self> {
        Self::open(Cursor::new(bytes), path)
    }

    /// For error messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of all float tensors.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let names = self.header.offset_keys().into_iter();
        names.filter(|name| self.header.info(name).is_some_and(|info| is_float(info.dtype)))
    }

    /// The shape of a float tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        let info = self.header.info(name).filter(|info| is_float(info.dtype));
        info.map(|info| info.shape.as_slice())
    }

    /// The numbers of a float tensor, as f32.
    ///
    /// # Errors
    /// [`Error::Input`] when there is none of this name, [`Error::File`] when it cannot be read.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>> {
        let Some(info) = self.header.info(name).filter(|info| is_float(info.dtype)) else {
            return Err(Error::input(&self.path, format!("no tensor {name}"), "is it a file of this model?"));
        };
        let (start, end) = info.data_offsets;
        let mut bytes = vec![0; end - start];
        read_at(&mut self.source, self.data_at + start as u64, &mut bytes)
            .map_err(|source| Error::file("read", &self.path, source))?;
        Ok(to_f32(&bytes, info.dtype))
    }
}

fn read_at(source: &mut impl Source, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    source.seek(SeekFrom::Start(offset))?;
    source.read_exact(bytes)
}

fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16)
}

fn to_f32(bytes: &[u8], dtype: Dtype) -> Vec<f32> {
    let two_bytes = |convert: fn([u8; 2]) -> f32| bytes.as_chunks::<2>().0.iter().map(|&b| convert(b)).collect();
    match dtype {
        Dtype::F16 => two_bytes(|b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => two_bytes(|b| bf16::from_le_bytes(b).to_f32()),
        _ => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    }
}

/// All float tensors of a small file, by name.
///
/// # Errors
/// As [`TensorFile::open`].
pub fn read_safetensors(bytes: &[u8], path: &Path) -> Result<HashMap<String, NamedTensor>> {
    let mut file = TensorFile::from_bytes(bytes, path)?;
    let names: Vec<String> = file.names().collect();
    let read = |name: String| {
        let shape = file.shape(&name).unwrap_or_default().to_vec();
        let values = file.read(&name)?;
        Ok((name.clone(), NamedTensor { name, shape, values }))
    };
    names.into_iter().map(read).collect()
}

/// A safetensors file of these tensors.
///
/// # Errors
/// [`Error::Failed`] if the format cannot hold them, or a number is not finite in it.
pub fn write_safetensors(tensors: &[NamedTensor], precision: Precision) -> Result<Vec<u8>> {
    check_finite(tensors, precision)?;
    let views = tensors.iter().map(|tensor| (tensor.name.as_str(), Stored { tensor, precision }));
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    safetensors::serialize(views, Some(metadata))
        .map_err(|error| Error::failed(format!("weights cannot be written: {error}"), ""))
}

/// Nobody could use what is not finite, nor see where it came from.
fn check_finite(tensors: &[NamedTensor], precision: Precision) -> Result<()> {
    let (kind, stored): (&str, fn(f32) -> f32) = match precision {
        Precision::F32 => ("", |value| value),
        Precision::F16 => (" as f16", |value| f16::from_f32(value).to_f32()),
    };
    for NamedTensor { name, values, .. } in tensors {
        if let Some((index, value)) = values.iter().enumerate().find(|(_, value)| !stored(**value).is_finite()) {
            return Err(Error::failed(
                format!("the model is not written: number {index} of {name} is {}{kind}", stored(*value)),
                "lower the learning rate; what was there before is as it was",
            ));
        }
    }
    Ok(())
}

/// A tensor as its file has it; the bytes are made when they are asked for, one tensor's at a time.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let tensor = |name: &str, shape: &[usize], values: &[f32]| NamedTensor {
            name: name.into(),
            shape: shape.into(),
            values: values.into(),
        };
        let tensors = [tensor("a", &[2, 2], &[1.0, -2.0, 0.5, 4.0]), tensor("b", &[1], &[7.0])];
        write_safetensors(&tensors, Precision::F32).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_tensor_by_tensor() {
        let bytes = written();
        let mut file = TensorFile::from_bytes(&bytes, Path::new("m")).unwrap();
        assert_eq!(file.shape("a"), Some([2, 2].as_slice()));
        assert_eq!(file.read("b").unwrap(), [7.0]);
        assert_eq!(file.read("a").unwrap(), [1.0, -2.0, 0.5, 4.0]);
        assert!(file.read("c").is_err() && file.shape("c").is_none());
    }

    #[test]
    fn what_is_not_finite_is_not_written() {
        let tensor = |value: f32| [NamedTensor { name: "a".into(), shape: vec![2], values: vec![1.0, value] }];
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = write_safetensors(&tensor(value), Precision::F32).unwrap_err().to_string();
            assert!(error.contains(&format!("number 1 of a is {value}")), "{error}");
        }
        write_safetensors(&tensor(65_504.0), Precision::F16).unwrap();
        let error = write_safetensors(&tensor(70_000.0), Precision::F16).unwrap_err().to_string();
        assert!(error.contains("number 1 of a is inf as f16"), "{error}");
    }

    #[test]
    fn every_cut_is_noticed_when_the_file_is_opened() {
        let bytes = written();
        for length in 0..bytes.len() {
            let error = TensorFile::from_bytes(&bytes[..length], Path::new("m")).err().unwrap();
            assert!(error.to_string().contains(&format!("of {length} bytes")), "{error}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(TensorFile::from_bytes(&longer, Path::new("m")).is_err());
    }

    #[test]
    fn a_header_that_claims_too_much_allocates_nothing() {
        let mut bytes = written();
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = TensorFile::from_bytes(&bytes, Path::new("m")).err().unwrap();
        assert!(error.to_string().contains("header cannot be"), "{error}");
    }
}
