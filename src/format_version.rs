//! The version of the format of each file that this program writes for itself.
//!
//! Files from before there were format versions name none and count as version 1. Formats of other programs have no
//! version either.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::json;

/// A field `version` of a file or of a line: the newest version when written, and nothing newer when read.
///
/// Give the field `#[serde(default)]` and put it first, so that a newer file is recognized before anything else
/// in the file is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FormatVersion;

/// The version that is written, and the newest that is read.
pub(crate) const NEWEST_VERSION: u64 = 1;

impl FormatVersion {
    /// Returns what is wrong with a file of this version, if anything.
    pub(crate) fn fault(version: f64) -> Option<String> {
        match version {
            newer if newer > NEWEST_VERSION as f64 => {
                Some(format!("written by a newer preftune (format {newer}; this one reads up to {NEWEST_VERSION})"))
            }
            known if known >= 1.0 && known.fract() == 0.0 => None,
            other => Some(format!("the version is {other}, and versions are counted from 1")),
        }
    }

    /// Returns what is wrong with the version of this object, if anything. A version that is no number is
    /// ignored, because another program wrote it.
    pub(crate) fn fault_in(object: &serde_json::Value) -> Option<String> {
        Self::fault(object.get("version")?.as_f64()?)
    }
}

impl Serialize for FormatVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        NEWEST_VERSION.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FormatVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Self::fault(f64::deserialize(deserializer)?).map_or(Ok(Self), |fault| Err(serde::de::Error::custom(fault)))
    }
}

/// The contents of a file or of a line, after the version of the format.
#[derive(Serialize)]
pub(crate) struct Versioned<T> {
    version: FormatVersion,
    #[serde(flatten)]
    contents: T,
}

impl<T: Serialize> Versioned<T> {
    pub(crate) fn new(contents: T) -> Self {
        Self { version: FormatVersion, contents }
    }
}

/// Hint for a file of a newer version.
pub(crate) const NEWER_HINT: &str = "use the preftune that wrote it, or a newer one";

/// Returns what is wrong with the version of a JSON object that this program wrote, if anything; nothing else
/// of the object is checked.
pub(crate) fn fault_of(json: &[u8]) -> Option<String> {
    let object: serde_json::Value = serde_json::from_slice(json).ok()?;
    let version = object.get("version")?;
    let is_no_number = || Some(format!("the version is {version}, and versions are counted from 1"));
    version.as_f64().map_or_else(is_no_number, FormatVersion::fault)
}

/// Reads a JSON file of this program; `hint` is what to do about a damaged file.
///
/// # Errors
/// [`Error::Input`] when a newer version wrote the file, or the file is not what it should be.
pub(crate) fn read<T: DeserializeOwned>(json: &[u8], path: &Path, hint: &str) -> Result<T> {
    if let Some(fault) = fault_of(json) {
        return Err(Error::input(path, fault, NEWER_HINT));
    }
    json::from_slice(json).map_err(|error| Error::input(path, format!("not what is expected here: {error}"), hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        version: FormatVersion,
        name: String,
    }

    #[test]
    fn no_version_is_the_first_and_a_newer_one_is_refused_before_what_is_new_in_it() {
        let file = || File { version: FormatVersion, name: "a".into() };
        assert_eq!(serde_json::to_string(&file()).unwrap(), r#"{"version":1,"name":"a"}"#);
        for known in [r#"{"name":"a"}"#, r#"{"version":1,"name":"a"}"#] {
            assert_eq!(serde_json::from_str::<File>(known).unwrap(), file());
            assert_eq!(fault_of(known.as_bytes()), None);
        }
        let newer = r#"{"version":2,"names":["a"]}"#;
        let refused = serde_json::from_str::<File>(newer).unwrap_err().to_string();
        for error in [refused, fault_of(newer.as_bytes()).unwrap()] {
            assert!(error.contains("written by a newer preftune (format 2; this one reads up to 1)"), "{error}");
        }
        for wrong in [r#"{"version":0}"#, r#"{"version":1.5}"#, r#"{"version":"1"}"#, r#"{"version":null}"#] {
            assert!(serde_json::from_str::<File>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versioned_contents_have_it_first() {
        let row = std::collections::BTreeMap::from([("loss", 0.5)]);
        assert_eq!(serde_json::to_string(&Versioned::new(&row)).unwrap(), r#"{"version":1,"loss":0.5}"#);
    }
}
