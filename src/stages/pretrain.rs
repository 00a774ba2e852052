//! Pretraining stage: a language model from texts.

use std::sync::mpsc::{RecvTimeoutError, channel};

use super::fixed_backward;
use crate::config::Pretrain;
use crate::device::OpenDevice;
use crate::error::{Error, Result};
use crate::lm::{LanguageModel, Tokenizer};
use crate::platform::interrupt::BETWEEN_CHECKS;
use crate::platform::{Interrupt, Mode, files};
use crate::run::RunDirectory;
use crate::supervised::{Corpus, HeldOutExamples, NextTokenTraining, SupervisedOptimizer, Texts, Trained};

/// A pretraining run.
pub struct Pretraining<'a> {
    pub settings: &'a Pretrain,
    pub texts: &'a Texts,
    /// The model that is trained further; without one, a new model with a tokenizer of its own.
    pub start: Option<LanguageModel>,
    pub device: &'a OpenDevice,
    pub seed: u64,
    pub directory: &'a RunDirectory,
    pub interrupt: &'a Interrupt,
    pub progress: Mode,
}

impl Pretraining<'_> {
    /// Trains to the end, from the last checkpoint if there is one.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the checkpoint to resume from; fails when the run does not fit into memory,
    /// and for texts that are too short.
    pub fn run(self) -> Result<Trained> {
        let Self { settings, texts, seed, directory, progress, .. } = self;
        let OpenDevice { device, device_memory, .. } = self.device;
        let tokenizer = match &self.start {
            Some(model) => model.tokenizer.clone(),
            None => self.trained_tokenizer()?,
        };
        self.stop_if_requested()?;
        self.start.as_ref().map_or(Ok(()), |model| settings.check_context(model))?;
        let corpus = Corpus::new(&texts.train, &tokenizer, settings.context_tokens, progress)?;
        self.stop_if_requested()?;
        let shape = self.start.as_ref().map_or_else(|| settings.shape(&tokenizer), |model| model.config().clone());
        let (fit, memory) = settings.backward_that_fits(&shape, device, *device_memory)?;
        let backward = fixed_backward(progress, directory, settings.batch_size, fit)?;
        progress.say(&format!(
            "memory: about {}; {} sequences in a micro-batch",
            memory.describe(),
            backward.micro_batch_size
        ));
        let start = match self.start {
            Some(model) => model,
            None => settings.new_model(tokenizer, seed, device)?,
        };
        let (shown, sampling) = settings.shown(&start.tokenizer)?;
        let training = NextTokenTraining {
            name: "pretraining",
            schedule: settings.schedule(),
            examples: &corpus,
            held_out: &HeldOutExamples::of_texts(&texts.held_out, &start.tokenizer, settings.context_tokens)?,
            start,
            optimizer: SupervisedOptimizer::MuonAndAdamW,
            weight_decay: settings.weight_decay,
            backward,
            shown,
            sampling,
            seed,
            run_logs: directory.run_logs()?,
            interrupt: self.interrupt.clone(),
            progress,
        };
        training.run()
    }

    /// Stops before the first step: the tokenizer is on the disk.
    fn stop_if_requested(&self) -> Result<()> {
        if self.interrupt.requested() { Err(Error::Interrupted { checkpoint: None }) } else { Ok(()) }
    }

    /// Trains a tokenizer of `tokens` tokens in a thread, because the training itself cannot be interrupted.
    fn train_tokenizer(&self, tokens: usize) -> Result<Tokenizer> {
        let (texts, (sender, trained)) = (self.texts.train.clone(), channel());
        // After a stop, the thread goes on without effect: its result is dropped.
        std::thread::spawn(move || sender.send(Tokenizer::train(texts.iter().map(String::as_str), tokens)).ok());
        loop {
            match trained.recv_timeout(BETWEEN_CHECKS) {
                Ok(tokenizer) => return tokenizer,
                Err(RecvTimeoutError::Timeout) => self.stop_if_requested()?,
                Err(RecvTimeoutError::Disconnected) => return Err(Error::failed("the tokenizer's training ended", "")),
            }
        }
    }

    /// Returns the run's tokenizer, which is trained once and then read, so that a resumed run has the same one.
    fn trained_tokenizer(&self) -> Result<Tokenizer> {
        let path = &self.directory.path().join("tokenizer.json");
        // Before the first step, the tokenizer may be one of other texts.
        if files::exists(path)? && self.directory.has_work()? {
            return Tokenizer::from_json(&files::read(path)?, path);
        }
        let tokens = self.settings.vocabulary_size;
        self.progress.say(&format!("training a tokenizer of {tokens} tokens"));
        let tokenizer = self.train_tokenizer(tokens)?;
        files::write_atomically(path, tokenizer.to_json()?.as_bytes())?;
        Ok(tokenizer)
    }
}
