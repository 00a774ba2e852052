//! `heads.safetensors`, which lies beside a model: the head of a reward model, or a policy's value head.

use std::collections::HashMap;
use std::path::Path;

use super::tensor_file::read_safetensors;
use crate::error::{Error, Result};
use crate::lm::network::parameters::NamedTensor;

/// Kind of the model whose heads a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadsKind {
    /// `reward.weight`, `reward.bias`, `reward.gain` and `reward.offset`.
    RewardModel,
    /// `value.weight` and `value.bias`.
    Policy,
}

impl HeadsKind {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::RewardModel => &["reward.weight", "reward.bias", "reward.gain", "reward.offset"],
            Self::Policy => &["value.weight", "value.bias"],
        }
    }
}

/// Tensors of a `heads.safetensors`: exactly those of its kind.
#[derive(Debug)]
pub struct HeadsFile {
    pub kind: HeadsKind,
    tensors: HashMap<String, NamedTensor>,
}

impl HeadsFile {
    /// Reads the heads of a model of this width; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] naming the tensor that is missing, unknown, of another shape, or not finite.
    pub fn read(bytes: &[u8], width: usize, path: &Path) -> Result<Self> {
        let hint = "take heads.safetensors and the model from one folder that preftune wrote";
        let tensors = read_safetensors(bytes, path)?;
        let kind = match tensors.keys().any(|name| name.starts_with("reward.")) {
            true => HeadsKind::RewardModel,
            false => HeadsKind::Policy,
        };
        for &name in kind.names() {
            let wanted = if name.ends_with(".weight") { width } else { 1 };
            match tensors.get(name).map(|tensor| tensor.shape.as_slice()) {
                Some([found]) if *found == wanted => {}
                Some(found) => {
                    let what = format!("{name} has the shape {found:?}, but the model needs [{wanted}]");
                    return Err(Error::input(path, what, hint));
                }
                None => return Err(Error::input(path, format!("no tensor {name}"), hint)),
            }
        }
        let mut unknown: Vec<_> = tensors.keys().filter(|name| !kind.names().contains(&name.as_str())).collect();
        unknown.sort();
        match unknown.first() {
            Some(name) => Err(Error::input(path, format!("{name} is no tensor of these heads"), hint)),
            None => Ok(Self { kind, tensors }),
        }
    }

    /// Returns the numbers of a tensor of this kind.
    pub fn values(&self, name: &str) -> &[f32] {
        self.tensors.get(name).map(|tensor| tensor.values.as_slice()).unwrap_or_default()
    }

    /// Returns the number of a tensor that holds only one.
    pub fn number(&self, name: &str) -> f32 {
        self.values(name).first().copied().unwrap_or_default()
    }
}
