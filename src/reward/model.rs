//! The reward model: a language model whose output is one number, `r(x, y)` in the paper.

use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use crate::device::Readback;
use crate::error::{Error, Result};
use crate::lm::Responses;
use crate::lm::files::hugging_face::HEADS_FILE;
use crate::lm::files::tensor_file::{Precision, write_safetensors};
use crate::lm::network::parameters;
use crate::lm::network::parameters::NamedTensor;
use crate::lm::{
    HeadsFile, HeadsKind, Input, LanguageModel, MicroBatches, ModelFiles, ScalarHead, TokenBatch, Transformer,
};
use crate::task::{Scorer, Scores};

/// Reward model: `reward(x, y) = gain · head(h_last) + bias`, where `h_last` is the hidden state of the last real token
/// of query and response (`rewards.py`).
#[derive(Module, Debug)]
pub struct RewardModel {
    transformer: Transformer,
    head: ScalarHead,
    /// Gain `[1]`, trained like the rest, as in the original.
    gain: Param<Tensor<1>>,
    /// Bias `[1]`.
    bias: Param<Tensor<1>>,
}

/// Gain and bias of a reward model, which [`RewardModel::normalize`] sets.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct GainAndBias {
    pub gain: f64,
    pub bias: f64,
}

impl RewardModel {
    /// Creates a reward model on this network, with gain 1 and bias 0.
    pub fn new(transformer: Transformer, head: ScalarHead) -> Self {
        let device = transformer.device();
        Self { transformer, head, gain: scalar(1.0, &device), bias: scalar(0.0, &device) }
    }

    /// Returns this model with the weights of its network rounded to bf16; it can score, but not be trained.
    #[must_use]
    pub fn to_bf16(self) -> Self {
        Self { transformer: self.transformer.to_bf16(), ..self }
    }

    /// Returns the rewards `[rows]` of responses to queries; padding after the first token is skipped.
    ///
    /// # Errors
    /// The errors of [`TokenBatch::new`].
    pub fn rewards(&self, responses: Responses<'_>) -> Result<Tensor<1>> {
        let batch = responses.rows(self.transformer.config())?;
        Ok(self.rewards_of_hidden(self.transformer.hidden_at(self.input(&batch))))
    }

    /// Returns the network's input for the whole batch, with the output of each row's last token only.
    pub fn input(&self, batch: &TokenBatch) -> Input {
        batch.input(&self.transformer.device(), |len| len - 1..len)
    }

    /// Returns the rewards `[rows]` from the network's output for each row's last token, `[rows, d_model]`.
    pub fn rewards_of_hidden(&self, hidden: Tensor<2>) -> Tensor<1> {
        self.head.forward(hidden) * self.gain.val() + self.bias.val()
    }

    /// Returns the rewards of responses to queries on the host. Call it on a model without gradients.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails, [`Error::Failed`] for a reward that is not finite, and the errors of
    /// [`Self::rewards`] and [`MicroBatches::over`].
    pub fn score(&self, responses: Responses<'_>, micro_batches: &MicroBatches) -> Result<Vec<f32>> {
        let rewards = self.rewards_in_micro_batches(responses, micro_batches)?;
        let rewards = Readback::default().with_all(rewards).floats()?.concat();
        match rewards.iter().find(|reward| !reward.is_finite()) {
            None => Ok(rewards),
            Some(reward) => Err(Error::failed(
                format!("the reward of a response is {reward}"),
                "the weights of the reward model are too large or damaged: use another copy, or train it again with a lower \
                 reward.learning_rate",
            )),
        }
    }

    /// Returns [`Self::rewards`] of each micro-batch, still on the device.
    ///
    /// # Errors
    /// The errors of [`Self::rewards`] and [`MicroBatches::over`].
    pub(crate) fn rewards_in_micro_batches(
        &self,
        responses: Responses<'_>,
        micro_batches: &MicroBatches,
    ) -> Result<Vec<Tensor<1>>> {
        let device = self.transformer.device();
        micro_batches.over(&device, responses.len(), |rows| self.rewards(responses.slice(rows)))
    }

    /// Sets gain and bias so that the rewards of these responses have mean 0 and variance 1, starting from gain 1 and
    /// bias 0 (`rewards.py`, `normalize`; population variance).
    ///
    /// # Errors
    /// [`Error::Failed`] when the rewards do not vary, and the errors of [`Self::score`].
    pub fn normalize(self, responses: Responses<'_>, micro_batches: &MicroBatches) -> Result<(Self, GainAndBias)> {
        let plain = self.with_gain_and_bias(GainAndBias { gain: 1.0, bias: 0.0 });
        let raw = plain.valid().score(responses, micro_batches)?;
        let set = normalizing(&raw);
        if !(set.gain.is_finite() && set.bias.is_finite()) {
            return Err(Error::failed(
                format!("all {} samples have the same reward, so rewards cannot be normalized", raw.len()),
                "give more and different queries, or raise reward.normalize_samples",
            ));
        }
        Ok((plain.with_gain_and_bias(set), set))
    }

    /// Reads the current gain and bias.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn gain_and_bias(&self) -> Result<GainAndBias> {
        let read = Readback::default().with(self.gain.val()).with(self.bias.val()).floats()?.concat();
        let number = |index: usize| read.get(index).copied().map_or(f64::NAN, f64::from);
        Ok(GainAndBias { gain: number(0), bias: number(1) })
    }

    /// Returns the model with another gain and bias.
    #[must_use]
    pub fn with_gain_and_bias(self, set: GainAndBias) -> Self {
        let replace = |param: Param<Tensor<1>>, value: f64| {
            param.map(|old| Tensor::from_data(TensorData::new(vec![value as f32], [1]), &old.device()))
        };
        Self { gain: replace(self.gain, set.gain), bias: replace(self.bias, set.bias), ..self }
    }

    /// Loads a reward model from the folder that `train-reward` wrote, and the language model below its head.
    ///
    /// # Errors
    /// [`Error::Input`] when the folder holds no reward model, and the errors of [`LanguageModel::load`].
    pub fn load(files: ModelFiles<'_>, device: &Device) -> Result<(Self, LanguageModel)> {
        let path = files.folder.join(HEADS_FILE);
        let (model, heads) = LanguageModel::load_with_heads(files, device, |heads| match heads {
            Some(heads) => is_reward_model(heads, &path),
            None => Err(Error::input(&path, "no such file: this is no reward model", OF_TRAIN_REWARD)),
        })?;
        let transformer = model.transformer.clone();
        let reward_model = heads.map(|heads| Self::of_heads(transformer, &heads));
        let reward_model = reward_model.ok_or_else(|| Error::input(&path, "no such file", OF_TRAIN_REWARD))?;
        Ok((reward_model, model))
    }

    /// Creates a reward model from its network and its `heads.safetensors`; `path` names the file in errors.
    ///
    /// # Errors
    /// [`Error::Input`] when the heads are not those of a reward model of this width.
    pub fn from_heads(transformer: Transformer, heads: &[u8], path: &Path) -> Result<Self> {
        let heads = HeadsFile::read(heads, transformer.width(), path)?;
        is_reward_model(&heads, path)?;
        Ok(Self::of_heads(transformer, &heads))
    }

    fn of_heads(transformer: Transformer, heads: &HeadsFile) -> Self {
        let device = transformer.device();
        let head = ScalarHead::new(heads.values("reward.weight").to_vec(), heads.number("reward.bias"), &device);
        let number = |name: &str| f64::from(heads.number(name));
        let set = GainAndBias { gain: number("reward.gain"), bias: number("reward.offset") };
        Self::new(transformer, head).with_gain_and_bias(set)
    }

    /// Returns the network below the head.
    pub fn transformer(&self) -> &Transformer {
        &self.transformer
    }

    /// Reads every weight by name; those of the head are `reward.weight` and `reward.bias`.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn read(&self) -> Result<Vec<NamedTensor>> {
        Ok([parameters::read(&self.transformer)?, self.head.read("reward")?].concat())
    }

    /// Returns the files of this model by name; configuration and tokenizer are those of `pretrained`.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn to_files(&self, pretrained: &LanguageModel) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = pretrained.with_transformer(self.transformer.clone()).to_files(Precision::F32)?;
        let heads = write_safetensors(&self.read_heads()?, Precision::F32)?;
        files.push((HEADS_FILE.into(), heads));
        Ok(files)
    }

    /// Reads gain, bias and the head's weights for `heads.safetensors`.
    fn read_heads(&self) -> Result<Vec<NamedTensor>> {
        let GainAndBias { gain, bias } = self.gain_and_bias()?;
        let number = |name: &str, value: f64| NamedTensor {
            name: format!("reward.{name}"),
            shape: vec![1],
            values: vec![value as f32],
        };
        Ok([self.head.read("reward")?, vec![number("gain", gain), number("offset", bias)]].concat())
    }
}

const OF_TRAIN_REWARD: &str = "take a folder that `preftune train-reward` wrote";

fn is_reward_model(heads: &HeadsFile, path: &Path) -> Result<()> {
    match heads.kind {
        HeadsKind::RewardModel => Ok(()),
        HeadsKind::Policy => {
            Err(Error::input(path, "no tensor reward.weight: these are a policy's heads", OF_TRAIN_REWARD))
        }
    }
}

fn scalar(value: f32, device: &Device) -> Param<Tensor<1>> {
    Param::from_data(TensorData::new(vec![value], [1]), device)
}

fn normalizing(rewards: &[f32]) -> GainAndBias {
    let count = rewards.len() as f64;
    let mean = rewards.iter().map(|&r| f64::from(r)).sum::<f64>() / count;
    let variance = rewards.iter().map(|&r| (f64::from(r) - mean).powi(2)).sum::<f64>() / count;
    let gain = 1.0 / variance.sqrt();
    GainAndBias { gain, bias: -gain * mean }
}

impl Scorer for RewardModel {
    fn score(&self, responses: Responses<'_>, micro_batches: &MicroBatches) -> Result<Scores> {
        self.rewards_in_micro_batches(responses, micro_batches).map(Scores::OnDevice)
    }
}
