//! Settings of a command: the defaults that fit the model, and what the user sets.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use super::Common;
use crate::config;
use crate::config::Config;
use crate::error::Result;
use crate::models;
use crate::platform::files;
use crate::run::Work;

/// Largest size of a settings file, in bytes; every text in a valid one is shorter.
const LARGEST_SETTINGS_BYTES: u64 = 1 << 20;

/// Settings, and the preset that they began with.
pub struct Settings {
    config: Config,
    /// Preset that was chosen by the model's size; `None` for the defaults of the demo, and where the user chose one.
    pub defaults: Option<String>,
}

impl Deref for Settings {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

impl Common {
    /// Merges the defaults, the preset, the file and `--set`; later ones override earlier ones.
    pub fn settings(&self) -> Result<Settings> {
        self.settings_over(None)
    }

    /// Merges [`Self::settings`] over the preset that fits the size of a model, unless the user chose another, and says
    /// which it is. A run that was begun keeps the preset that it began with; `run` is its folder if none was given.
    pub fn settings_for(&self, model: &Path, run: Option<&str>) -> Result<Settings> {
        let size = models::size(model)?;
        let run = self.run.clone().or_else(|| run.map(|name| Path::new("runs").join(name)));
        let begun = run.map(|run: PathBuf| Work::of_run(&run)).transpose()?.flatten();
        let fitting = match (&self.preset, begun) {
            (Some(_), _) => None,
            (None, Some(work)) => work.defaults,
            (None, None) => size.preset().map(String::from),
        };
        let settings = self.settings_over(fitting)?;
        if let Some(preset) = &settings.defaults {
            self.say(&format!("settings: those of {preset}, since the model has {size}; yours have precedence"));
        }
        size.unusual(&settings)?.iter().for_each(|line| self.say(line));
        Ok(settings)
    }

    fn settings_over(&self, defaults: Option<String>) -> Result<Settings> {
        let mut layers = Vec::new();
        for name in defaults.iter().chain(&self.preset) {
            layers.push(config::preset(name)?.layer());
        }
        if let Some(path) = &self.config {
            layers.push((path.display().to_string(), files::read_short_text(path, LARGEST_SETTINGS_BYTES)?));
        }
        let chat = self.chat.then(|| "task.chat=true".to_string());
        let set: Vec<String> = chat.into_iter().chain(self.set.clone()).collect();
        Ok(Settings { config: Config::layered(&layers, &set)?, defaults })
    }
}
