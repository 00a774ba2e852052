//! The folders of fetched files, as the environment names them. The hub's variables mean the same as in
//! `huggingface_hub`, so that both find the same files.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Access to environment variables.
pub(super) struct Environment<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

/// The folders of fetched files.
pub(super) struct Folders {
    /// The hub's cache, shared with other programs.
    pub(super) hub: PathBuf,
    /// The folder of this program alone, with labels and books.
    pub(super) own: PathBuf,
}

/// The environment of this process.
pub(super) const PROCESS: Environment<'static> = Environment(&|name| std::env::var(name).ok());

impl Environment<'_> {
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let value = self.get(name)?;
        match value.strip_prefix("~/") {
            Some(rest) => std::env::home_dir().map(|home| home.join(rest)),
            None => Some(value.into()),
        }
    }

    /// Returns the folder of all programs' caches, `~/.cache`.
    fn caches(&self) -> Result<PathBuf> {
        self.path("XDG_CACHE_HOME").or_else(|| std::env::home_dir().map(|home| home.join(".cache"))).ok_or_else(|| {
            Error::usage("there is no home folder to keep files in", "set HF_HOME and PREFTUNE_HOME to folders")
        })
    }

    pub(super) fn hugging_face_home(&self) -> Result<PathBuf> {
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
}
