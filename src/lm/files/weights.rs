//! Weights of a model, in one safetensors file or several shards. Tensors have the names that the family gives them,
//! without the prefixes of programs that wrapped the model.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::tensor_file::TensorFile;
use super::tensor_kinds::{TensorKind, plain_name};
use crate::error::{Error, Result};
use crate::lm::network::{Family, ModelConfig};

/// Numbers compared at a time.
const NUMBERS_AT_ONCE: usize = 1 << 18;

/// Names of the token embedding in the families.
const TOKEN_EMBEDDINGS: [&str; 2] = ["wte.weight", "embed_tokens.weight"];
const POSITION_EMBEDDING: &str = "wpe.weight";
const OUTPUT_HEAD: &str = "lm_head.weight";

const OF_ONE_MODEL: &str = "take config.json and the weights from the same model";

fn token_embedding(family: Family) -> &'static str {
    let [of_gpt2, of_llama] = TOKEN_EMBEDDINGS;
    if family == Family::Gpt2 { of_gpt2 } else { of_llama }
}

/// All tensors of a model, by name.
pub struct Weights<'a> {
    /// Path for errors that concern no single shard.
    path: PathBuf,
    shards: Vec<TensorFile<'a>>,
    places: BTreeMap<String, Place>,
}

/// Shard of a tensor, and the tensor's name there.
#[derive(Clone)]
struct Place {
    shard: usize,
    stored: String,
}

impl<'a> Weights<'a> {
    /// Takes the weights of one file.
    ///
    /// # Errors
    /// [`Error::Input`] for two tensors with the same name without prefixes, and for numbers that are no floats.
    pub fn of_one(file: TensorFile<'a>) -> Result<Self> {
        let path = file.path().to_path_buf();
        Self::of_shards(&path, vec![file])
    }

    /// Takes the weights of several shards; `path`, which is that of their index, is named in errors.
    ///
    /// # Errors
    /// The errors of [`Self::of_one`].
    pub fn of_shards(path: &Path, shards: Vec<TensorFile<'a>>) -> Result<Self> {
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        for (shard, file) in shards.iter().enumerate() {
            for stored in file.names() {
                let name = plain_name(&stored);
                if let Some(other) = places.insert(name.clone(), Place { shard, stored: stored.clone() }) {
                    let before = shards.get(other.shard).map_or(path, TensorFile::path);
                    let what =
                        format!("{stored} is there twice: {} of {} is the same tensor", other.stored, before.display());
                    return Err(Error::input(file.path(), what, "save the model again, each tensor once"));
                }
                let unreadable =
                    file.unreadable_type(&stored).filter(|_| TensorKind::of(&name) != TensorKind::Constant);
                if let Some(found) = unreadable {
                    let what = format!("found {stored} in {found}, but floats are needed (F64, F32, F16 or BF16)");
                    return Err(Error::input(file.path(), what, "take the model before it was quantized"));
                }
            }
        }
        Ok(Self { path: path.into(), shards, places })
    }

    /// Checks whether the tensors belong to a network of this shape, before the network is built: they must
    /// have the number of layers and the sizes of the embeddings that `config` states.
    ///
    /// # Errors
    /// [`Error::Input`] naming what contradicts `config.json`.
    pub fn check_sizes(&self, config: &ModelConfig) -> Result<()> {
        self.check(token_embedding(config.family), &[config.vocab_size, config.width])?;
        if config.rotation.is_none() {
            self.check(POSITION_EMBEDDING, &[config.positions, config.width])?;
        }
        let numbers = self.places.keys().filter_map(|name| TensorKind::layer(name));
        let layers = numbers.collect::<BTreeSet<_>>().len();
        let relation = match layers.cmp(&config.layers) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Greater => "more",
            std::cmp::Ordering::Less => "fewer",
        };
        let what = format!("there are {layers} layers, {relation} layers than the {} of config.json", config.layers);
        Err(Error::input(&self.path, what, OF_ONE_MODEL))
    }

    /// Checks whether every tensor of `wanted` exists in its shape, and every other tensor may be left out.
    ///
    /// # Errors
    /// [`Error::Input`] naming the tensor.
    pub fn check_tensors(&self, wanted: &[(String, Vec<usize>)]) -> Result<()> {
        wanted.iter().try_for_each(|(name, shape)| self.check(name, shape))?;
        let wanted: BTreeSet<String> = wanted.iter().map(|(name, _)| plain_name(name)).collect();
        let others = self.places.iter().filter(|(name, _)| !wanted.contains(*name) && *name != OUTPUT_HEAD);
        for (name, place) in others {
            let path = self.shards.get(place.shard).map_or(self.path.as_path(), TensorFile::path);
            let kind = TensorKind::of(name);
            if let Some(hint) = kind.refusal() {
                return Err(Error::input(
                    path,
                    format!("{} is no tensor of the model that config.json describes", place.stored),
                    hint,
                ));
            }
            if kind == TensorKind::ValueHead {
                tracing::warn!("{}: {} is no part of the language model and is left out", path.display(), place.stored);
            }
        }
        Ok(())
    }

    /// Reads the numbers of a tensor; `name` may begin with `transformer.` or `model.`.
    ///
    /// # Errors
    /// The errors of [`TensorFile::read`].
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>> {
        let place = self.find(name).cloned().ok_or_else(|| self.missing(name))?;
        match self.shards.get_mut(place.shard) {
            Some(shard) => shard.read(&place.stored),
            None => Err(self.missing(name)),
        }
    }

    /// Finds a tensor. A file that stores the shared embedding once may keep it under the name of the output
    /// head.
    fn find(&self, name: &str) -> Option<&Place> {
        let name = plain_name(name);
        let other = TOKEN_EMBEDDINGS.contains(&name.as_str()).then_some(OUTPUT_HEAD);
        self.places.get(&name).or_else(|| self.places.get(other?))
    }

    fn check(&self, name: &str, shape: &[usize]) -> Result<()> {
        let place = self.find(name).ok_or_else(|| self.missing(name))?;
        let shard = self.shards.get(place.shard).ok_or_else(|| self.missing(name))?;
        match shard.shape(&place.stored) {
            Some(found) if found == shape => Ok(()),
            found => {
                let found = found.unwrap_or_default();
                let what = format!("{} has the shape {found:?}, but config.json requires {shape:?}", place.stored);
                Err(Error::input(shard.path(), what, OF_ONE_MODEL))
            }
        }
    }

    fn missing(&self, name: &str) -> Error {
        const SHOWN: usize = 3;
        let is_known = |name: &str| matches!(TensorKind::of(name), TensorKind::Network | TensorKind::Constant);
        let strangers: Vec<_> = self.places.iter().filter(|(name, _)| !is_known(name)).collect();
        let names: Vec<_> = strangers.iter().take(SHOWN).map(|(_, place)| place.stored.as_str()).collect();
        let found = match strangers.len() {
            0 => String::new(),
            count if count > SHOWN => format!("; found {} and {} others", names.join(", "), count - SHOWN),
            _ => format!("; found {}", names.join(", ")),
        };
        Error::input(
            &self.path,
            format!("no tensor {name}{found}"),
            "take config.json and all weights from the same model",
        )
    }

    /// Checks whether the output head is the token embedding. `says_tied` is what `config.json` says; a copy of the
    /// embedding that it calls a head of its own is one matrix for both here.
    ///
    /// # Errors
    /// [`Error::Input`] when the weights contradict `config.json`.
    pub fn has_tied_output_head(&mut self, family: Family, says_tied: bool) -> Result<bool> {
        let Some(head) = self.places.get(OUTPUT_HEAD).cloned() else {
            return match says_tied {
                true => Ok(true),
                false => {
                    let what = format!("no tensor {OUTPUT_HEAD}, and config.json says tie_word_embeddings false");
                    Err(Error::input(&self.path, what, "take the whole model, or correct config.json"))
                }
            };
        };
        let is_same = match self.places.get(token_embedding(family)).cloned() {
            Some(embedding) => self.are_same(&embedding, &head)?,
            None if says_tied => true,
            // A head of its own is no embedding: reading it for both would make another model.
            None => {
                let embedding = token_embedding(family);
                let what = format!("no tensor {embedding}, and config.json says tie_word_embeddings false");
                return Err(Error::input(&self.path, what, "take the whole model, or correct config.json"));
            }
        };
        match (is_same, says_tied) {
            (true, _) => Ok(true),
            (false, false) => Ok(false),
            (false, true) => {
                let path = self.shards.get(head.shard).map_or(self.path.as_path(), TensorFile::path);
                let what = format!(
                    "{} is not the token embedding, but config.json says that it is (tie_word_embeddings)",
                    head.stored
                );
                let hint = "if the model was trained with an output head of its own, set tie_word_embeddings to false \
                            in config.json";
                Err(Error::input(path, what, hint))
            }
        }
    }

    /// Checks whether two tensors have the same shape and the same bits as f32, and reads them piece by piece.
    fn are_same(&mut self, one: &Place, other: &Place) -> Result<bool> {
        let shape = |place: &Place| self.shards.get(place.shard).and_then(|shard| shard.shape(&place.stored));
        if shape(one) != shape(other) {
            return Ok(false);
        }
        let count: usize = shape(one).unwrap_or_default().iter().product();
        for start in (0..count).step_by(NUMBERS_AT_ONCE) {
            let range = start..count.min(start + NUMBERS_AT_ONCE);
            let mut read = |place: &Place| match self.shards.get_mut(place.shard) {
                Some(shard) => shard.read_range(&place.stored, range.clone()),
                None => Ok(Vec::new()),
            };
            let (one, other) = (read(one)?, read(other)?);
            if one.iter().zip(&other).any(|(one, other)| one.to_bits() != other.to_bits()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
