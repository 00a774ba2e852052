//! Settings of a command, with the preset that they began with.

use std::ops::Deref;

use crate::config::Config;

/// Settings, and the preset that they began with.
pub struct Settings {
    pub config: Config,
    /// Preset that was chosen by the model's size; `None` for the defaults of the demo, and where the user chose one.
    pub defaults: Option<String>,
}

impl Deref for Settings {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}
