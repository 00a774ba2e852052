//! Where files come from and where they go, as the environment says. The variables of the hub mean
//! what they mean to `huggingface_hub`, so that both find the same files.

use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use crate::error::{Error, Result};
use crate::platform::files;

const ENDPOINT: &str = "https://huggingface.co";
const LABELS: &str = "https://openaipublic.blob.core.windows.net/lm-human-preferences/labels";
const GUTENBERG: &str = "https://www.gutenberg.org";

/// Seconds that a server may be silent, unless `HF_HUB_DOWNLOAD_TIMEOUT` says otherwise.
const TIMEOUT_SECS: f64 = 30.0;

/// Seconds before the second attempt, unless `PREFTUNE_RETRY_SECS` says otherwise.
const RETRY_SECS: f64 = 1.0;

/// Reads a variable of the environment.
pub(super) struct Environment<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

/// The folders of fetched files.
pub(super) struct Folders {
    /// The hub's cache, shared with other programs.
    pub(super) hub: PathBuf,
    /// What this program alone keeps: labels and books.
    pub(super) own: PathBuf,
}

/// Servers and how to ask them.
pub(super) struct Endpoints {
    pub(super) endpoint: Address,
    pub(super) labels: Address,
    pub(super) gutenberg: Address,
    pub(super) token: Option<String>,
    /// Whether nothing may be asked for.
    pub(super) offline: bool,
    pub(super) timeout: Duration,
    pub(super) first_pause: Duration,
    pub(super) certificates: Option<PathBuf>,
}

/// The environment of this process.
pub(super) const PROCESS: Environment<'static> = Environment(&|name| std::env::var(name).ok());

impl Environment<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.get(name)?;
        match value.strip_prefix("~/") {
            Some(rest) => std::env::home_dir().map(|home| home.join(rest)),
            None => Some(value.into()),
        }
    }

    /// The folder of everybody's caches, `~/.cache`.
    fn caches(&self) -> Result<PathBuf> {
        self.path("XDG_CACHE_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".cache"))).ok_or_else(|| {
            Error::usage("there is no home folder to keep files in", "set HF_HOME and PREFTUNE_HOME to folders")
        })
    }

    fn hugging_face_home(&self) -> Result<PathBuf> {
        self.path("HF_HOME").map_or_else(|| Ok(self.caches()?.join("huggingface")), Ok)
    }

    fn own_cache(&self) -> Result<PathBuf> {
        let own = self.path("PREFTUNE_HOME");
        let local = || self.path("LOCALAPPDATA").filter(|_| cfg!(windows)).map(|folder| folder.join("preftune"));
        own.or_else(local).map_or_else(|| Ok(self.caches()?.join("preftune")), Ok)
    }

    pub(super) fn folders(&self) -> Result<Folders> {
        let hub = self.path("HF_HUB_CACHE").or_else(|| self.path("HUGGINGFACE_HUB_CACHE"));
        let hub = hub.map_or_else(|| Ok(self.hugging_face_home()?.join("hub")), Ok)?;
        Ok(Folders { hub, own: self.own_cache()? })
    }

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
        secs.ok_or_else(|| Error::usage(format!("{name} is {text:?}, no number of seconds"), "such as 10 or 0.5"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(variables: &[(&str, &str)], read: impl FnOnce(Environment<'_>) -> T) -> T {
        read(Environment(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into())))
    }

    #[test]
    fn the_hubs_cache_is_where_the_hubs_own_tools_look() {
        let hub = |variables: &[(&str, &str)]| with(variables, |environment| environment.folders().unwrap().hub);
        let home = ("HF_HOME", "/hf");
        assert_eq!(hub(&[("XDG_CACHE_HOME", "/xdg")]), PathBuf::from("/xdg/huggingface/hub"));
        assert_eq!(hub(&[("XDG_CACHE_HOME", "/xdg"), home]), PathBuf::from("/hf/hub"));
        assert_eq!(hub(&[home, ("HUGGINGFACE_HUB_CACHE", "/old")]), PathBuf::from("/old"));
        assert_eq!(hub(&[home, ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")]), PathBuf::from("/new"));
        assert_eq!(hub(&[("XDG_CACHE_HOME", "/xdg"), ("HF_HOME", "")]), PathBuf::from("/xdg/huggingface/hub"));
    }

    #[test]
    fn labels_and_books_have_a_folder_of_their_own() {
        let own = |variables: &[(&str, &str)]| with(variables, |environment| environment.folders().unwrap().own);
        assert_eq!(own(&[("XDG_CACHE_HOME", "/xdg")]), PathBuf::from("/xdg/preftune"));
        assert_eq!(own(&[("XDG_CACHE_HOME", "/xdg"), ("PREFTUNE_HOME", "/mine")]), PathBuf::from("/mine"));
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
