//! The servers that files come from, as the environment names them.

use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use super::folders::Environment;
use crate::error::{Error, Result};
use crate::platform::files;

const ENDPOINT: &str = "https://huggingface.co";
const LABELS: &str = "https://openaipublic.blob.core.windows.net/lm-human-preferences/labels";
const GUTENBERG: &str = "https://www.gutenberg.org";

/// Longest silence of a server in seconds, unless `HF_HUB_DOWNLOAD_TIMEOUT` says otherwise.
const TIMEOUT_SECS: f64 = 30.0;

/// Seconds before the second attempt, unless `PREFTUNE_RETRY_SECS` says otherwise.
const RETRY_SECS: f64 = 1.0;

/// Servers, and the settings of requests to them.
pub(super) struct Endpoints {
    pub(super) endpoint: Address,
    pub(super) labels: Address,
    pub(super) gutenberg: Address,
    pub(super) token: Option<String>,
    /// True if the environment forbids all requests.
    pub(super) offline: bool,
    pub(super) timeout: Duration,
    pub(super) first_pause: Duration,
    pub(super) certificates: Option<PathBuf>,
}

impl Environment<'_> {
    pub(super) fn places(&self) -> Result<Endpoints> {
        let address = |name, default: &str| Address::parse(&self.get(name).unwrap_or_else(|| default.into()), name);
        Ok(Endpoints {
            endpoint: address("HF_ENDPOINT", ENDPOINT)?,
            labels: address("PREFTUNE_LABELS", LABELS)?,
            gutenberg: address("PREFTUNE_GUTENBERG", GUTENBERG)?,
            token: self.token()?,
            offline: self.is_true("HF_HUB_OFFLINE") || self.is_true("TRANSFORMERS_OFFLINE"),
            timeout: self.secs("HF_HUB_DOWNLOAD_TIMEOUT", TIMEOUT_SECS)?,
            first_pause: self.secs("PREFTUNE_RETRY_SECS", RETRY_SECS)?,
            certificates: self.path("SSL_CERT_FILE"),
        })
    }

    fn token(&self) -> Result<Option<String>> {
        if let Some(token) = self.get("HF_TOKEN").or_else(|| self.get("HUGGING_FACE_HUB_TOKEN")) {
            return Ok(Some(token.trim().into()));
        }
        let file = self.path("HF_TOKEN_PATH").map_or_else(|| Ok(self.hugging_face_home()?.join("token")), Ok)?;
        if !file.is_file() {
            return Ok(None);
        }
        let token = files::read_text(&file)?;
        Ok(Some(token.trim().to_string()).filter(|token| !token.is_empty()))
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| ["1", "on", "yes", "true"].contains(&value.trim().to_lowercase().as_str()))
    }

    fn secs(&self, name: &str, default: f64) -> Result<Duration> {
        let Some(text) = self.get(name) else { return Ok(Duration::from_secs_f64(default)) };
        let secs = text.trim().parse().ok().and_then(|secs| Duration::try_from_secs_f64(secs).ok());
        secs.ok_or_else(|| {
            Error::usage(format!("{name} is {text:?}, not a number of seconds"), "use a number such as 10 or 0.5")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(variables: &[(&str, &str)], read: impl FnOnce(Environment<'_>) -> T) -> T {
        read(Environment(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())))
    }

    #[test]
    fn the_token_is_that_of_the_environment_or_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = ("HF_HOME", folder.path().to_str().unwrap());
        let token = |variables: &[(&str, &str)]| with(variables, |environment| environment.places().unwrap().token);
        assert_eq!(token(&[home]), None);
        std::fs::write(folder.path().join("token"), "from-file\n").unwrap();
        assert_eq!(token(&[home]).unwrap(), "from-file");
        assert_eq!(token(&[home, ("HF_TOKEN", " from-variable\n")]).unwrap(), "from-variable");
    }

    #[test]
    fn variables_that_make_no_sense_are_wrong_usage() {
        for variable in [("HF_ENDPOINT", "huggingface.co"), ("PREFTUNE_RETRY_SECS", "-1"), ("PREFTUNE_RETRY_SECS", "x")]
        {
            let code = with(&[("HF_HOME", "/none"), variable], |environment| environment.places().err().unwrap());
            assert_eq!(code.exit_code(), 2, "{variable:?}");
        }
    }
}
