//! The files of a fixture.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use preftune::lm::files::hugging_face::{CONFIG_FILE, HEADS_FILE, WEIGHTS_FILE, load_transformer};
use preftune::lm::files::tensor_file::read_safetensors;
use preftune::lm::network::parameters::NamedTensor;
use preftune::lm::{ConfigFile, ModelConfig, ScalarHead, TensorFile, Transformer, Weights};
use preftune::platform::files;
use preftune::reward::TokenComparison;
use preftune::{Error, Result};
use serde::Deserialize;

type Tokens = Vec<Vec<u32>>;
type Numbers = Vec<Vec<f64>>;

/// A fixture in memory.
pub struct Fixture {
    pub config: ModelConfig,
    pub input: Input,
    pub folder: PathBuf,
    weights: Vec<u8>,
    heads: HashMap<String, NamedTensor>,
    expected: HashMap<String, NamedTensor>,
}

/// Contents of `input.json`.
#[derive(Deserialize)]
pub struct Input {
    pub pad_token: u32,
    pub temperature: f64,
    pub lm: LanguageModelInput,
    pub task: TaskInput,
    pub reward: RewardInput,
    pub ppo: PpoInput,
}

#[derive(Deserialize)]
pub struct LanguageModelInput {
    pub tokens: Tokens,
}

#[derive(Deserialize)]
pub struct TaskInput {
    pub truncate_token: u32,
    pub truncate_after: usize,
    pub responses: Tokens,
}

#[derive(Deserialize)]
pub struct RewardInput {
    pub labels: Vec<Label>,
    pub order: Vec<usize>,
    pub batch_size: usize,
    pub lr: f64,
    pub adam_epsilon: f64,
    pub normalize: Responses,
}

#[derive(Deserialize)]
pub struct Responses {
    pub queries: Tokens,
    pub responses: Tokens,
}

/// A comparison in the format of the original's label files, with `sample0`, `sample1` and so on.
#[derive(Deserialize)]
pub struct Label {
    query: Vec<u32>,
    best: usize,
    #[serde(flatten)]
    samples: BTreeMap<String, Vec<u32>>,
}

#[derive(Deserialize)]
pub struct PpoInput {
    pub kl_coef: f64,
    pub kl_target: f64,
    pub kl_horizon: f64,
    pub lr: f64,
    pub nminibatches: usize,
    pub cliprange: f64,
    pub cliprange_value: f64,
    pub vf_coef: f64,
    pub gamma: f64,
    pub lam: f64,
    pub whiten_rewards: bool,
    pub adam_epsilon: f64,
    pub batch_size: usize,
    pub queries: Tokens,
    pub responses: Tokens,
    pub logprobs: Numbers,
    pub values: Numbers,
    pub ref_logprobs: Numbers,
    pub scores: Vec<f64>,
    pub orders: Vec<Vec<usize>>,
}

impl Fixture {
    pub fn read(folder: &Path) -> Result<Self> {
        let config_path = folder.join("policy").join(CONFIG_FILE);
        let input_path = folder.join("input.json");
        let tensors = |path: PathBuf| read_safetensors(&files::read(&path)?, &path);
        let input = serde_json::from_slice(&files::read(&input_path)?)
            .map_err(|error| Error::input(&input_path, error.to_string(), "is this folder a parity fixture?"))?;
        Ok(Self {
            config: ConfigFile::read(&files::read(&config_path)?, &config_path)?.config,
            input,
            folder: folder.into(),
            weights: files::read(&folder.join("policy").join(WEIGHTS_FILE))?,
            heads: tensors(folder.join(HEADS_FILE))?,
            expected: tensors(folder.join("expected.safetensors"))?,
        })
    }

    /// Loads the language model.
    pub fn transformer(&self, device: &Device) -> Result<Transformer> {
        let path = self.folder.join("policy").join(WEIGHTS_FILE);
        let mut weights = Weights::of_one(TensorFile::from_bytes(&self.weights, &path)?)?;
        load_transformer(&self.config, &mut weights, device)
    }

    /// Loads the head called `value` or `reward`.
    pub fn head(&self, name: &str, device: &Device) -> Result<ScalarHead> {
        let part = |part: &str| self.find(&self.heads, HEADS_FILE, &format!("{name}.{part}"));
        let bias = part("bias")?.first().copied().unwrap_or_default();
        Ok(ScalarHead::new(part("weight")?.to_vec(), bias, device))
    }

    /// Returns a tensor of `expected.safetensors`.
    pub fn expected(&self, name: &str) -> Result<&[f32]> {
        self.find(&self.expected, "expected.safetensors", name)
    }

    fn find<'a>(&self, tensors: &'a HashMap<String, NamedTensor>, file: &str, name: &str) -> Result<&'a [f32]> {
        let missing = || Error::input(&self.folder.join(file), format!("no tensor {name}"), "");
        tensors.get(name).map(|tensor| tensor.values.as_slice()).ok_or_else(missing)
    }
}

impl Label {
    pub fn comparison(&self) -> TokenComparison {
        let samples = (0..).map_while(|number| self.samples.get(&format!("sample{number}")));
        TokenComparison::new(self.query.clone(), samples.cloned().collect(), self.best)
    }
}
