//! Safetensors files: read one tensor at a time, so that loading a model takes little more memory
//! than the model; written as a whole.

mod write;

use std::collections::HashMap;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::finite::{first_not_finite, place};
use crate::format_version::{FormatVersion, NEWER_HINT};
use crate::json;
use crate::lm::network::parameters::NamedTensor;

pub use write::{Precision, write_safetensors};

/// Source of bytes: a file, or memory.
pub trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// Largest header in bytes: no header of a language model comes near it, but a damaged one can claim any
/// length.
const LARGEST_HEADER_BYTES: u64 = 16 << 20;

/// Bytes of the number that holds the length of the header.
const LENGTH_BYTES: u64 = 8;

/// First bytes of the text with which Git LFS replaces a file.
const LFS_POINTER: &[u8; LENGTH_BYTES as usize] = b"version ";

/// Numbers converted at a time; their bytes take memory beside the tensor itself.
const NUMBERS_AT_ONCE: usize = 1 << 18;

/// Key of the metadata with the format version of a file that this program wrote; files without the key have
/// version 1.
const VERSION_KEY: &str = "preftune_version";

/// An open safetensors file.
pub struct TensorFile<'a> {
    source: Box<dyn Source + 'a>,
    path: PathBuf,
    header: Metadata,
    /// Offset of the tensor data in the file.
    data_at: u64,
}

impl<'a> TensorFile<'a> {
    /// Opens a safetensors file and reads its header; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that is cut short or damaged, or that a newer version of this
    /// program wrote.
    pub fn open(mut source: impl Source + 'a, path: &Path) -> Result<Self> {
        let length = source.seek(SeekFrom::End(0)).map_err(|e| Error::file("read", path, e))?;
        let damaged = |what: &dyn std::fmt::Display| {
            let hint = "the file is cut short or damaged: copy or fetch it again";
            Error::input(path, format!("not a readable safetensors file of {length} bytes: {what}"), hint)
        };
        let mut prefix = [0; LENGTH_BYTES as usize];
        read_at(&mut source, 0, &mut prefix).map_err(|e| damaged(&e))?;
        if prefix == *LFS_POINTER {
            let hint = "run `git lfs pull` in the repository, or fetch the file itself";
            return Err(Error::input(
                path,
                "found a pointer of Git LFS, but the file that it stands for is needed",
                hint,
            ));
        }
        let header_bytes = u64::from_le_bytes(prefix);
        if header_bytes > LARGEST_HEADER_BYTES.min(length.saturating_sub(LENGTH_BYTES)) {
            return Err(damaged(&format!("its header cannot be {header_bytes} bytes long")));
        }
        let mut header = vec![0; header_bytes as usize];
        read_at(&mut source, LENGTH_BYTES, &mut header).map_err(|e| damaged(&e))?;
        // The library would take either of two tensors with one name, and arrays in the place of objects.
        json::from_slice::<HashMap<String, Map<String, Value>>>(&header).map_err(|e| damaged(&e))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|e| damaged(&e))?;
        let data_at = LENGTH_BYTES + header_bytes;
        let announced = data_at.saturating_add(header.data_len() as u64);
        if announced != length {
            return Err(damaged(&format!("its header announces {announced}")));
        }
        check_version(&header, path)?;
        Ok(Self { source: Box::new(source), path: path.into(), header, data_at })
    }

    /// Opens a safetensors file in memory; `path` is named in errors.
    ///
    /// # Errors
    /// The errors of [`Self::open`].
    pub fn from_bytes(bytes: &'a [u8], path: &Path) -> Result<Self> {
        Self::open(Cursor::new(bytes), path)
    }

    /// Returns the path that is named in errors.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names of all tensors, in the order of their data.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// Returns the shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|info| info.shape.as_slice())
    }

    /// Returns the type of a tensor's numbers, such as `I64`, if [`Self::read`] does not read it.
    pub fn unreadable_type(&self, name: &str) -> Option<String> {
        let info = self.header.info(name).filter(|info| bytes_of_one(info.dtype).is_none());
        info.map(|info| info.dtype.to_string())
    }

    /// Reads the numbers of a tensor of F64, F32, F16 or BF16, as f32.
    ///
    /// # Errors
    /// [`Error::Input`] when no tensor has this name, when its numbers have another type or do not fit f32, and
    /// when one is not finite; [`Error::File`] when the file cannot be read.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>> {
        let shape = self.shape(name).unwrap_or_default().to_vec();
        let count = shape.iter().product();
        let mut values = Vec::with_capacity(count);
        while values.len() < count {
            values.extend(self.read_range(name, values.len()..count.min(values.len() + NUMBERS_AT_ONCE))?);
        }
        match first_not_finite(&values, &shape) {
            None => Ok(values),
            Some(found) => Err(Error::input(
                &self.path,
                format!("{name} holds {found}"),
                "this model is damaged, or its training failed: take another copy, or one saved earlier",
            )),
        }
    }

    /// Reads some of a tensor's numbers, finite or not, as f32.
    ///
    /// # Errors
    /// The errors of [`Self::read`], except for numbers that are not finite.
    pub fn read_range(&mut self, name: &str, range: Range<usize>) -> Result<Vec<f32>> {
        let Some(info) = self.header.info(name) else {
            let hint = "take config.json and all weights from the same model";
            return Err(Error::input(&self.path, format!("no tensor {name}"), hint));
        };
        let Some(size) = bytes_of_one(info.dtype) else {
            let what = format!("{name} holds {}, which this program does not read", info.dtype);
            return Err(Error::input(&self.path, what, "save the model in float32, float16 or bfloat16"));
        };
        let at = self.data_at + (info.data_offsets.0 + size * range.start) as u64;
        let mut bytes = vec![0; size * range.len()];
        read_at(&mut self.source, at, &mut bytes).map_err(|source| Error::file("read", &self.path, source))?;
        to_f32(&bytes, info).map_err(|(index, number)| {
            let place = place(range.start + index, &info.shape);
            let what = format!("{name} holds {number:e} at index {place}, which a number of 32 bits cannot hold");
            Error::input(&self.path, what, "save the model in float32 and look at what it computes then")
        })
    }
}

fn read_at(source: &mut impl Source, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    source.seek(SeekFrom::Start(offset))?;
    source.read_exact(bytes)
}

/// Returns the size of one number in bytes, for the types that are read.
fn bytes_of_one(dtype: Dtype) -> Option<usize> {
    match dtype {
        Dtype::F64 => Some(8),
        Dtype::F32 => Some(4),
        Dtype::F16 | Dtype::BF16 => Some(2),
        _ => None,
    }
}

/// Converts numbers to f32; the first one that is finite but does not fit is the error, with its index.
fn to_f32(bytes: &[u8], info: &TensorInfo) -> std::result::Result<Vec<f32>, (usize, f64)> {
    let two_bytes = |convert: fn([u8; 2]) -> f32| bytes.as_chunks::<2>().0.iter().map(|&b| convert(b)).collect();
    Ok(match info.dtype {
        Dtype::F16 => two_bytes(|b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => two_bytes(|b| bf16::from_le_bytes(b).to_f32()),
        Dtype::F64 => {
            let numbers = bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b));
            let narrow = |(index, number): (usize, f64)| match number as f32 {
                narrowed if narrowed.is_infinite() && number.is_finite() => Err((index, number)),
                narrowed => Ok(narrowed),
            };
            return numbers.enumerate().map(narrow).collect();
        }
        _ => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    })
}

/// Refuses a file that a newer version of this program wrote.
fn check_version(header: &Metadata, path: &Path) -> Result<()> {
    let stated = header.metadata().as_ref().and_then(|metadata| metadata.get(VERSION_KEY));
    let Some(stated) = stated else { return Ok(()) };
    let is_no_number = || Some(format!("the version is {stated:?}, and versions are counted from 1"));
    let fault = stated.parse::<u64>().map_or_else(|_| is_no_number(), |version| FormatVersion::fault(version as f64));
    fault.map_or(Ok(()), |fault| Err(Error::input(path, fault, NEWER_HINT)))
}

/// Reads all tensors of a small file, by name.
///
/// # Errors
/// The errors of [`TensorFile::open`] and [`TensorFile::read`].
pub fn read_safetensors(bytes: &[u8], path: &Path) -> Result<HashMap<String, NamedTensor>> {
    let mut file = TensorFile::from_bytes(bytes, path)?;
    let names = file.names();
    let read = |name: String| {
        let shape = file.shape(&name).unwrap_or_default().to_vec();
        let values = file.read(&name)?;
        Ok((name.clone(), NamedTensor { name, shape, values }))
    };
    names.into_iter().map(read).collect()
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
    fn every_cut_is_noticed_when_the_file_is_opened() {
        let bytes = written();
        for length in 0..bytes.len() {
            let error = TensorFile::from_bytes(&bytes[..length], Path::new("m")).err().unwrap();
            assert!(error.to_string().contains(&format!("of {length} bytes")), "{error}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(TensorFile::from_bytes(&longer, Path::new("m")).is_err());
    }

    /// Returns a file with a changed header.
    fn with_header(change: impl Fn(&str) -> String) -> Vec<u8> {
        let bytes = written();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = change(std::str::from_utf8(&bytes[8..8 + length]).unwrap());
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]].concat()
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused_and_one_without_version_is_read() {
        let open = |from: &str, to: &str| {
            let bytes = with_header(|header| header.replace(from, to));
            TensorFile::from_bytes(&bytes, Path::new("m")).map(drop)
        };
        for (version, fault) in [
            ("2", "written by a newer preftune (format 2; this one reads up to 1)"),
            ("10", "written by a newer preftune (format 10; this one reads up to 1)"),
            ("0", "the version is 0, and versions are counted from 1"),
            ("2.0", "the version is \"2.0\", and versions are counted from 1"),
            ("x", "the version is \"x\", and versions are counted from 1"),
            ("", "the version is \"\", and versions are counted from 1"),
        ] {
            let error = open("\"preftune_version\":\"1\"", &format!("\"preftune_version\":\"{version}\"")).unwrap_err();
            assert_eq!((error.to_string(), error.hint()), (format!("m: {fault}"), NEWER_HINT.into()));
        }
        open(",\"preftune_version\":\"1\"", "").unwrap();
        open("\"__metadata__\":{\"format\":\"pt\",\"preftune_version\":\"1\"},", "").unwrap();
    }

    #[test]
    fn a_pointer_of_git_lfs_is_known() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 548105171\n";
        let error = TensorFile::from_bytes(pointer, Path::new("m")).err().unwrap();
        assert!(error.to_string().contains("pointer of Git LFS") && error.hint().contains("git lfs pull"), "{error}");
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        let bytes = with_header(|header| header.replace("\"b\":", "\"a\":"));
        let error = TensorFile::from_bytes(&bytes, Path::new("m")).err().unwrap();
        assert!(error.to_string().contains("\"a\" is there twice"), "{error}");
    }

    #[test]
    fn a_number_that_is_not_finite_is_refused_with_its_place() {
        let header = r#"{"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
        let numbers = [1.0, 2.0, 3.0, 4.0, f32::INFINITY, f32::NAN].map(f32::to_le_bytes).concat();
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &numbers].concat();
        let error = TensorFile::from_bytes(&bytes, Path::new("m")).unwrap().read("w").unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("m: w holds inf at index 4 ([1, 1])", 4));
    }

    #[test]
    fn numbers_of_64_bits_are_read_unless_32_bits_cannot_hold_them() {
        let file = |numbers: [f64; 2]| {
            let header = r#"{"w":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}"#;
            let numbers = numbers.map(f64::to_le_bytes).concat();
            [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &numbers].concat()
        };
        let read = |numbers| TensorFile::from_bytes(&file(numbers), Path::new("m")).unwrap().read("w");
        assert_eq!(read([0.1, -1e-300]).unwrap(), [0.1_f32, -0.0]);
        assert_eq!(
            read([1.0, -1e39]).unwrap_err().to_string(),
            "m: w holds -1e39 at index 1, which a number of 32 bits cannot hold"
        );
        assert!(read([f64::NAN, 1.0]).unwrap_err().to_string().contains("w holds NaN at index 0"));
    }

    #[test]
    fn a_tensor_is_read_in_pieces_as_a_whole() {
        let count = 2 * NUMBERS_AT_ONCE + 3;
        let values: Vec<f32> = (0..count).map(|number| number as f32).collect();
        let tensor = NamedTensor { name: "w".into(), shape: vec![count], values: values.clone() };
        let bytes = write_safetensors(&[tensor], Precision::F32).unwrap();
        assert_eq!(TensorFile::from_bytes(&bytes, Path::new("m")).unwrap().read("w").unwrap(), values);
    }

    #[test]
    fn a_header_that_claims_too_much_allocates_nothing() {
        let mut bytes = written();
        bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = TensorFile::from_bytes(&bytes, Path::new("m")).err().unwrap();
        assert!(error.to_string().contains("header cannot be"), "{error}");
    }
}
