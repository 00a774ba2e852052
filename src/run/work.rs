//! The work for which a run is begun; a run is resumed for the same work only.
//!
//! Inputs of a run are recognized by their contents, so that files may move and may be named from another folder.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::ModelSize;
use crate::error::{Error, Result};
use crate::format_version;
use crate::format_version::FormatVersion;
use crate::json;
use crate::platform::files;
use crate::platform::progress::Mode;

/// File in the folder of a run with the [`Work`] that the run was begun for.
pub const FILE: &str = "run.json";

/// File with the work that a run was begun for, from before there were format versions.
pub(super) const FILE_OF_0_1: &str = "begun-for.txt";

/// Number of digits of a SHA-256 that are shown.
const DIGITS_SHOWN: usize = 12;

/// Largest number of parts that this program writes: more than any computer has cores.
const MOST_PARTS: usize = 1 << 16;

/// An input of a run: a file, a model or a named choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Place of the input in the run, such as `model`.
    pub role: String,
    /// Name that the user gave, compared only where `sha256` is `None`.
    pub name: String,
    /// SHA-256 of the contents; `None` where the name says all.
    pub sha256: Option<String>,
    /// SHA-256 as it was computed before there were format versions, if that differs.
    #[serde(skip)]
    pub sha256_of_0_1: Option<String>,
}

impl Input {
    /// Makes an input that is recognized by its contents.
    pub fn new(role: &str, name: impl std::fmt::Display, sha256: String) -> Self {
        Self { sha256: Some(sha256), ..Self::named(role, &name.to_string()) }
    }

    /// Makes an input that is recognized by its name.
    pub fn named(role: &str, name: &str) -> Self {
        Self { role: role.into(), name: name.into(), sha256: None, sha256_of_0_1: None }
    }

    /// Returns the name, followed by the SHA-256 of the contents if that is known.
    pub fn with_contents(&self) -> String {
        self.sha256.as_ref().map_or_else(|| self.name.clone(), |sha256| format!("{} sha256 {sha256}", self.name))
    }

    /// Checks whether this input is the one that a run was begun with.
    fn is(&self, begun: &Self) -> bool {
        match (&self.sha256, &begun.sha256) {
            (None, None) => self.name == begun.name,
            (now, before) => now == before,
        }
    }

    fn described(&self) -> String {
        match &self.sha256 {
            Some(sha256) => format!("{} (sha256 {}…)", self.name, sha256.get(..DIGITS_SHOWN).unwrap_or(sha256)),
            None => self.name.clone(),
        }
    }
}

/// Everything beside the settings that decides what a run computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    #[serde(default)]
    version: FormatVersion,
    pub command: String,
    pub seed: u64,
    /// Number of parts into which work on a CPU is split. Sums are rounded part by part, so a run that is
    /// resumed with fewer cores keeps its number of parts.
    pub parts: usize,
    pub inputs: Vec<Input>,
    /// Preset with which the settings began, where the size of the model chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<String>,
}

impl Work {
    /// Makes the description of work that is split into as many parts as there are cores.
    pub fn new(command: &str, seed: u64, inputs: impl IntoIterator<Item = Input>) -> Self {
        let inputs = inputs.into_iter().collect();
        let parts = crate::device::parallel::cores();
        Self { version: FormatVersion, command: command.into(), seed, parts, inputs, defaults: None }
    }

    /// Reads the work that the run in this folder was begun for; `None` where the folder does not say.
    ///
    /// # Errors
    /// [`Error::Input`] when the file is damaged or a newer version wrote it, [`Error::File`] when it cannot be read.
    pub fn of_run(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !files::exists(&path)? {
            return Ok(None);
        }
        let hint = "choose another folder with --run";
        let work: Self = format_version::read(&files::read(&path)?, &path, hint)?;
        match work.parts {
            1..=MOST_PARTS => Ok(Some(work)),
            parts => Err(Error::input(&path, format!("parts is {parts}; it must be from 1 to {MOST_PARTS}"), hint)),
        }
    }

    /// Returns the preset that the settings of a run begin with: the one that the run in `folder` was begun with, or the
    /// one that fits the size of the model; `None` for the defaults.
    ///
    /// # Errors
    /// The errors of [`Self::of_run`].
    pub fn fitting_preset(folder: Option<&Path>, size: ModelSize) -> Result<Option<String>> {
        match folder.map(Self::of_run).transpose()?.flatten() {
            Some(begun) => Ok(begun.defaults),
            None => Ok(size.preset().map(String::from)),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(json::not_written)?;
        files::write_atomically(&folder.join(FILE), &json)
    }

    /// Returns this work with the number of parts with which the run in this folder was begun.
    ///
    /// # Errors
    /// [`Error::Usage`] that names every difference from the work that the run was begun for, and the errors of
    /// [`Self::of_run`].
    pub(super) fn going_on_in(self, folder: &Path, progress: Mode) -> Result<Self> {
        let (differences, file, parts) = match Self::of_run(folder)? {
            Some(begun) => (self.differences(&begun), FILE, begun.parts),
            None => match folder.join(FILE_OF_0_1) {
                path if files::exists(&path)? => {
                    (self.differences_from_0_1(&files::read_text(&path)?), FILE_OF_0_1, self.parts)
                }
                _ => {
                    let folder = folder.display();
                    progress.say(&format!("{folder} does not say what it was begun for: {FILE} is missing"));
                    (Vec::new(), FILE, self.parts)
                }
            },
        };
        if differences.is_empty() {
            return Ok(Self { parts, ..self });
        }
        let begun_for = folder.join(file);
        Err(Error::usage(
            format!("{} was begun for other work: {}", folder.display(), differences.join("; ")),
            format!(
                "use the command, seed and inputs that {} lists, or choose another folder with --run",
                begun_for.display()
            ),
        ))
    }

    fn differences(&self, begun: &Self) -> Vec<String> {
        let mut differences = self.other_command_and_seed(&begun.command, begun.seed);
        let of_role = |inputs: &[Input], role: &str| inputs.iter().find(|input| input.role == role).cloned();
        for input in &self.inputs {
            match of_role(&begun.inputs, &input.role) {
                Some(before) if input.is(&before) => {}
                Some(before) => differences.push(not_the_same(input, Some(&before.described()))),
                None => differences.push(format!(
                    "it was begun without {}, and now it is given {}",
                    input.role,
                    input.described()
                )),
            }
        }
        let gone = begun.inputs.iter().filter(|before| of_role(&self.inputs, &before.role).is_none());
        differences.extend(gone.map(|before| {
            format!("it was begun with the {} {}, and now it is given none", before.role, before.described())
        }));
        differences
    }

    fn other_command_and_seed(&self, command: &str, seed: u64) -> Vec<String> {
        let mut differences = Vec::new();
        if self.command != command {
            differences.push(format!("the command is {}, and it was begun by {command}", self.command));
        }
        if self.seed != seed {
            differences.push(format!("the seed is {}, and it was begun with {seed}", self.seed));
        }
        differences
    }

    /// Lists the differences from a file such as `train-reward\nseed 1\nstoryteller sha256 …\n…`, in which
    /// names and contents stand in the order of the inputs.
    fn differences_from_0_1(&self, text: &str) -> Vec<String> {
        let mut lines = text.lines();
        let command = lines.next().unwrap_or_default();
        let seed = lines.next().and_then(|line| line.strip_prefix("seed ")?.parse().ok());
        let Some(seed) = seed else { return vec!["the record of its command and inputs cannot be read".into()] };
        let mut differences = self.other_command_and_seed(command, seed);
        let lines: Vec<&str> = lines.collect();
        let before: Vec<&str> = lines.iter().filter_map(|line| Some(line.rsplit_once(" sha256 ")?.1)).collect();
        let now: Vec<&Input> = self.inputs.iter().filter(|input| input.sha256.is_some()).collect();
        let is = |input: &Input, sha256: &str| {
            [&input.sha256, &input.sha256_of_0_1].into_iter().flatten().any(|of_input| of_input == sha256)
        };
        if before.len() == now.len() {
            let others = now.iter().zip(&before).filter(|(input, sha256)| !is(input, sha256));
            differences.extend(others.map(|(input, sha256)| {
                let sha256 = sha256.get(..DIGITS_SHOWN).unwrap_or(sha256);
                not_the_same(input, Some(&format!("one with sha256 {sha256}…")))
            }));
        } else {
            differences.push(format!(
                "the command reads {} files and models; the folder was begun with {}",
                now.len(),
                before.len()
            ));
        }
        let unnamed = self.inputs.iter().filter(|input| input.sha256.is_none());
        differences.extend(
            unnamed.filter(|input| !lines.contains(&input.name.as_str())).map(|input| not_the_same(input, None)),
        );
        differences
    }
}

fn not_the_same(input: &Input, before: Option<&str>) -> String {
    let before = before.map_or(String::new(), |before| format!(", and it was begun with {before}"));
    format!("not the same {}: {}{before}", input.role, input.described())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(role: &str, name: &str, contents: &str) -> Input {
        Input::new(role, name, files::sha256(contents.as_bytes()))
    }

    fn work(inputs: &[Input]) -> Work {
        Work { parts: 3, ..Work::new("train-policy", 1, inputs.to_vec()) }
    }

    fn begun(work: &Work) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        work.write(folder.path()).unwrap();
        folder
    }

    #[test]
    fn files_are_known_by_their_contents_and_the_parts_stay_what_they_were() {
        let folder = begun(&work(&[input("model", "tiny", "a"), Input::named("labeler", "a classifier")]));
        let moved = [input("model", "/elsewhere/tiny", "a"), Input::named("labeler", "a classifier")];
        let now = Work { parts: 1, ..work(&moved) };
        assert_eq!(now.going_on_in(folder.path(), Mode::Quiet).unwrap().parts, 3);
    }

    #[test]
    fn a_refusal_names_everything_that_differs() {
        let folder = begun(&work(&[input("model", "tiny", "a"), input("queries", "q.txt", "q")]));
        let others = [input("model", "tiny", "b"), input("classifier", "c.json", "c")];
        let now = Work { command: "sft".into(), seed: 2, ..work(&others) };
        let error = now.going_on_in(folder.path(), Mode::Quiet).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let [before, now] = ["a", "b"].map(|contents| files::sha256(contents.as_bytes())[..12].to_string());
        for part in [
            "the command is sft, and it was begun by train-policy",
            "the seed is 2, and it was begun with 1",
            &format!("not the same model: tiny (sha256 {now}…), and it was begun with tiny (sha256 {before}…)"),
            "it was begun without classifier, and now it is given c.json",
            "it was begun with the queries q.txt",
        ] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn what_the_first_version_wrote_is_understood() {
        let folder = tempfile::tempdir().unwrap();
        let [model, reward] = [input("model", "tiny", "a"), input("reward model", "rw", "b")];
        let [hash, other] = [&model, &reward].map(|input| input.sha256.clone().unwrap());
        let text =
            format!("train-policy\nseed 1\n/was/here/tiny sha256 {hash}\nrw sha256 {other}\n\na classifier chooses\n");
        std::fs::write(folder.path().join(FILE_OF_0_1), text).unwrap();
        let chooses = Input::named("labeler", "a classifier chooses");
        let now = work(&[model.clone(), reward.clone(), chooses.clone()]);
        assert_eq!(now.clone().going_on_in(folder.path(), Mode::Quiet).unwrap(), now);
        // A model whose contents were hashed differently before there were format versions.
        let otherwise = Input { sha256_of_0_1: Some(hash), ..input("model", "tiny", "c") };
        work(&[otherwise, reward.clone(), chooses]).going_on_in(folder.path(), Mode::Quiet).unwrap();
        let refused = |now: Work| now.going_on_in(folder.path(), Mode::Quiet).unwrap_err().to_string();
        assert!(refused(work(&[model.clone(), model.clone()])).contains("not the same model"));
        assert!(
            refused(work(std::slice::from_ref(&model)))
                .contains("the command reads 1 files and models; the folder was begun with 2")
        );
        assert!(refused(Work { seed: 2, ..work(&[model.clone(), reward.clone()]) }).contains("the seed is 2"));
        let people = Input::named("labeler", "people choose");
        assert!(refused(work(&[model, reward, people])).contains("not the same labeler: people choose"));
    }

    #[test]
    fn a_folder_of_a_newer_version_and_a_damaged_one_are_refused() {
        let folder = begun(&work(&[]));
        let path = folder.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, what) in [
            ("\"version\": 1", "\"version\": 2", "written by a newer preftune (format 2; this one reads up to 1)"),
            ("\"parts\": 3", "\"parts\": 0", "parts is 0; it must be from 1 to 65536"),
            ("\"seed\"", "\"sed\"", "not what is expected here: missing field `seed`"),
        ] {
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let error = work(&[]).going_on_in(folder.path(), Mode::Quiet).unwrap_err();
            assert!(error.to_string().contains(what) && error.exit_code() == 4, "{error}");
        }
    }
}
