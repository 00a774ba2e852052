//! What all commands share: device, seed, settings, run folder, output.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::tensor::Device;
use clap::Args;
use serde::Serialize;

use crate::config::{self, Config};
use crate::data::entries::Entries;
use crate::data::queries::openings;
use crate::data::{LeftOut, Reason};
use crate::device::{self, DeviceRequest, Opened, Room};
use crate::error::{Error, Result};
use crate::fetch;
use crate::labels::SimulatedLabeler;
use crate::lm::{
    LanguageModel, ModelFiles, Queries, Task, TensorFile, Tokenizer, TokenizerFiles, hugging_face, shipped,
    shipped_weights,
};
use crate::reward::{RewardModel, TokenComparison, token_comparisons};
use crate::run::{Interrupt, Mode, RunDirectory, files};
use crate::stages::{Session, with_reasons};

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// auto, cpu (= flex), flex, ndarray, wgpu, vulkan, metal or dx12; `:N` takes the N-th adapter
    #[arg(long, global = true, value_name = "DEVICE", default_value = "auto", env = "PREFTUNE_DEVICE")]
    pub device: String,
    /// Decides every random number of the run
    #[arg(long, global = true, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Settings that differ from the defaults, as TOML
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Settings that come with the program, such as `quick` (see presets)
    #[arg(long, global = true, value_name = "NAME")]
    pub preset: Option<String>,
    /// One setting, such as policy.learning_rate=1e-4; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The folder of this run: settings, metrics, samples, checkpoints
    #[arg(long, global = true, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More of what happens; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Common {
    /// Defaults, preset, file and `--set`, in this order.
    pub fn settings(&self) -> Result<Config> {
        let mut layers = Vec::new();
        if let Some(name) = &self.preset {
            layers.push(config::preset(name)?.layer());
        }
        if let Some(path) = &self.config {
            layers.push((path.display().to_string(), files::read_text(path)?));
        }
        Config::layered(&layers, &self.set)
    }

    /// Opens the device, and says which one `auto` took and why.
    pub fn open_device(&self) -> Result<Opened> {
        let opened = device::open(self.device.parse::<DeviceRequest>()?)?;
        if !opened.reason.is_empty() {
            self.say(&format!("device: {} ({})", opened.name, opened.reason));
        }
        if let Some(store) = &opened.new_kernel_store {
            self.say(&format!(
                "{}: the first pass tries kernels for this adapter, which may take minutes; what it finds is kept in {}",
                opened.name,
                store.display()
            ));
        }
        Ok(opened)
    }

    /// The run folder asked for, or `runs/NAME`. A folder goes on with the work it was begun for:
    /// `inputs` names what that work is.
    pub fn run_directory(&self, name: &str, settings: &Config, inputs: &[String]) -> Result<RunDirectory> {
        self.run_directory_that_keeps(name, settings, inputs, &[])
    }

    /// The same for work that also keeps these settings to its end, and what would go wrong.
    pub fn run_directory_that_keeps(
        &self,
        name: &str,
        settings: &Config,
        inputs: &[String],
        settled: &[(&str, &str)],
    ) -> Result<RunDirectory> {
        let path = self.run.clone().unwrap_or_else(|| Path::new("runs").join(name));
        let directory = RunDirectory::open(path)?;
        let begun_for = directory.path().join("begun-for.txt");
        let work = format!("{name}\nseed {}\n{}\n", self.seed, inputs.join("\n"));
        if directory.has_work() && begun_for.exists() && files::read_text(&begun_for)? != work {
            return Err(Error::usage(
                format!("{} was begun with another seed, labeler, command or other files", directory.path().display()),
                format!("see {}; choose another folder with --run, or delete this one", begun_for.display()),
            ));
        }
        files::write_atomically(&begun_for, work.as_bytes())?;
        self.warn_of_other_settings(&directory, settings, settled)?;
        files::write_atomically(&directory.config(), settings.to_toml()?.as_bytes())?;
        Ok(directory)
    }

    /// A run may go on with other settings, to train longer, say; what is done is not done again. A run
    /// of which nothing is done, because it was refused, has no settings yet.
    fn warn_of_other_settings(
        &self,
        directory: &RunDirectory,
        settings: &Config,
        settled: &[(&str, &str)],
    ) -> Result<()> {
        let path = directory.config();
        if !path.exists() || !directory.has_work() {
            return Ok(());
        }
        let before = Config::layered(&[(path.display().to_string(), files::read_text(&path)?)], &[])?;
        let mut differences = before.differences(settings)?;
        // An adapted coefficient goes on from where it is.
        differences.retain(|change| !(settings.policy.kl.adaptive && change.starts_with("policy.kl.coefficient")));
        for (setting, why) in SETTLED.iter().chain(settled) {
            if let Some(difference) = differences.iter().find(|difference| difference.contains(*setting)) {
                return Err(Error::usage(
                    format!("{difference}: {why}"),
                    format!("{} was begun with the first value; choose another folder with --run", path.display()),
                ));
            }
        }
        if !differences.is_empty() {
            self.say(&format!(
                "{} was begun with other settings, which hold for what is done; from here on: {}",
                directory.path().display(),
                differences.join(", ")
            ));
        }
        Ok(())
    }

    /// What a run ran on, as (name, value), for its report.
    pub fn environment(&self, device: &str, seconds: Option<f64>) -> Vec<(String, String)> {
        let facts = [("preftune", env!("CARGO_PKG_VERSION")), ("device", device), ("seed", &self.seed.to_string())];
        let facts = facts.map(|(name, value)| (name.to_string(), value.to_string()));
        facts.into_iter().chain(seconds.map(|seconds| ("seconds".into(), format!("{seconds:.0}")))).collect()
    }

    /// What the stages of a command work with.
    pub(super) fn session<'a>(
        &self,
        model: &'a LanguageModel,
        settings: &'a Config,
        room: Room,
        interrupt: &'a Interrupt,
    ) -> Session<'a> {
        Session { model, settings, seed: self.seed, room, interrupt, progress: self.progress() }
    }

    /// Whether progress is shown.
    pub fn progress(&self) -> Mode {
        if self.quiet { Mode::Quiet } else { Mode::Shown }
    }

    /// A line for the person at the terminal, on stderr.
    pub fn say(&self, line: &str) {
        self.progress().say(line);
    }

    /// The result on stdout: as JSON, or as the text given.
    pub fn print(&self, result: &impl Serialize, text: &str) -> Result<()> {
        let line = if self.json {
            serde_json::to_string(result).map_err(|error| Error::failed(format!("no JSON: {error}"), ""))?
        } else {
            text.to_string()
        };
        match writeln!(std::io::stdout(), "{line}") {
            // A reader such as `head` that has seen enough is no failure.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Error::file("write", Path::new("standard output"), error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn start_logging(&self) {
        let level = match self.verbose {
            0 => tracing::Level::WARN,
            1 => tracing::Level::INFO,
            _ => tracing::Level::DEBUG,
        };
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let log = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
        log.with_ansi(colours).without_time().init();
    }
}

/// Settings that a run keeps to its end, and what would go wrong.
const SETTLED: [(&str, &str); 6] = [
    ("held_out_fraction", "what was trained on would be measured on"),
    ("reward.train_comparisons", "what was trained on would be measured on"),
    ("train.rounds", "the rounds that are done were of the first kind"),
    ("train.labels", "the rounds that are done were of the first kind"),
    ("train.first_share", "the rounds that are done were of the first kind"),
    ("policy.lora", "the adapters that are there were trained with the first value"),
];

/// Prints what went wrong and what to do, once.
pub(super) fn report_failure(error: &Error) -> ExitCode {
    let hint = if error.hint().is_empty() { String::new() } else { format!("hint: {}\n", error.hint()) };
    write!(std::io::stderr(), "error: {error}\n{hint}").ok();
    ExitCode::from(error.exit_code())
}

/// A file by its path, or label files by the name under which they were fetched.
pub(super) fn fetched_file(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        return Ok(path.into());
    }
    let name = path.to_string_lossy();
    match fetch::cached_labels(&name)? {
        None if name.starts_with("labels/") => {
            Err(Error::input(path, "no such file, nor was it fetched", format!("run `preftune fetch {name}`")))
        }
        fetched => Ok(fetched.unwrap_or_else(|| path.into())),
    }
}

/// Queries of a file or of a folder of books; with neither, the story openings for training.
pub(super) fn read_queries(
    path: Option<&Path>,
    model: &LanguageModel,
    task: &Task,
    left_out: &mut LeftOut,
) -> Result<Queries> {
    match path {
        None => Ok(Queries::Text(openings()?.train)),
        Some(folder) if folder.is_dir() => {
            left_out.count(Reason::OtherFiles, files::other_files(folder));
            Queries::from_books(&files::read_texts(folder)?, model, task, left_out)
        }
        Some(path) => {
            let path = fetched_file(path)?;
            Queries::from_file(&files::read_text(&path)?, &path, &model.tokenizer, left_out)
        }
    }
}

/// The comparisons of a file, in any format that is known: `least` of them or more. Of tasks of Label Studio, the
/// answers to `question`.
pub(super) fn read_comparisons(
    (path, question): (&Path, Option<&str>),
    model: &LanguageModel,
    task: &Task,
    least: usize,
    left_out: &mut LeftOut,
) -> Result<Vec<TokenComparison>> {
    let path = fetched_file(path)?;
    let entries = Entries::new(files::open_buffered(&path)?, &path);
    let comparisons = token_comparisons(entries, question, model, task, left_out)?;
    match comparisons.len() {
        enough if enough >= least => Ok(comparisons),
        count => {
            let what = with_reasons(format!("{count} comparisons; at least {least} are needed"), left_out);
            let hint = match left_out.number(Reason::SameTokens) {
                0 => "make some with `preftune label`",
                _ => {
                    "raise task.response_length_tokens and task.query_length_tokens with --set, as far as the model reads"
                }
            };
            Err(Error::input(&path, what, hint))
        }
    }
}

/// A file or folder as a run folder remembers it: by its name and its contents.
pub(super) fn remembered(path: Option<&Path>) -> Result<String> {
    path.map_or(Ok(String::new()), |path| {
        Ok(format!("{} sha256 {}", path.display(), files::digest(&fetched_file(path)?, is_read)?))
    })
}

/// Whether a file of a model's folder, or of a folder of books, is read: others may come and go.
fn is_read(name: &str) -> bool {
    hugging_face::FILES.contains(&name) || Path::new(name).extension().is_some_and(|extension| extension == "txt")
}

/// The question of a file of comparisons that has several, as a run folder remembers it beside the file.
pub(super) fn about(question: Option<&str>) -> String {
    question.map_or_else(String::new, |question| format!(" question {question:?}"))
}

/// The same for a model, which may be inside the program.
pub(super) fn remembered_model(name: &str) -> Result<String> {
    match (shipped_weights(name), fetched_model(name)?) {
        (Some(weights), _) => Ok(format!("{name} sha256 {}", files::sha256(weights))),
        (None, Some(folder)) => Ok(format!("{name} sha256 {}", files::digest(&folder, is_read)?)),
        (None, None) => remembered(Some(Path::new(name))),
    }
}

/// The folder of a model that is named as on the hub, if it was fetched; a folder of that name
/// comes first.
fn fetched_model(name: &str) -> Result<Option<PathBuf>> {
    if Path::new(name).exists() { Ok(None) } else { fetch::cached_model(name) }
}

/// A model by the name of one that is inside the program, by its folder, or by the name under which
/// it was fetched.
pub(super) fn load_model(name: &str, device: &Device) -> Result<LanguageModel> {
    with_files_of(name, |files| {
        let heads = files.folder.join(hugging_face::HEADS_FILE);
        if heads.exists() && RewardModel::has_heads(&files::read(&heads)?, &heads)? {
            let hint = "give the model that it was fitted from, or the one that was tuned towards it";
            return Err(Error::input(&files.folder, "this is a reward model: it scores text and writes none", hint));
        }
        LanguageModel::load(files, device)
    })
}

/// The tokenizer of such a model.
pub(super) fn load_tokenizer(name: &str) -> Result<Tokenizer> {
    with_files_of(name, |files| Ok(files.tokenizer.read(&files.folder)?.0))
}

fn with_files_of<T>(name: &str, work: impl FnOnce(ModelFiles<'_>) -> Result<T>) -> Result<T> {
    let folder = Path::new(name);
    match shipped(name)? {
        Some(files) => work(files),
        None if folder.is_dir() => with_files_in(folder, work),
        None => match fetched_model(name)? {
            Some(folder) => with_files_in(&folder, work),
            None => Err(no_such_model(name)),
        },
    }
}

fn no_such_model(name: &str) -> Error {
    let others = "use `storyteller`, or a folder with config.json, model.safetensors and tokenizer.json";
    let hint = match fetch::names_a_model(name) {
        true => format!("if it is a model on the Hugging Face hub, run `preftune fetch {name}`; or {others}"),
        false => others.into(),
    };
    Error::input(Path::new(name), "no such model", hint)
}

/// A reward model from the folder that `train-reward` wrote, for the responses of `policy`.
pub(super) fn load_reward_model(folder: &Path, policy: &LanguageModel, device: &Device) -> Result<RewardModel> {
    if !folder.is_dir() {
        return Err(Error::input(folder, "no such folder", "`preftune train-reward --out` writes one"));
    }
    let model = with_files_in(folder, |files| LanguageModel::load(files, device))?;
    let sizes = |model: &LanguageModel| (model.config.vocab_size, model.config.n_positions);
    if sizes(&model) != sizes(policy) || !model.tokenizer.is_same_as(&policy.tokenizer) {
        return Err(Error::input(
            folder,
            "this reward model reads other tokens than the model that is to be scored writes",
            "give both commands the same --model, or models with the same tokenizer and context length",
        ));
    }
    let heads_path = folder.join(hugging_face::HEADS_FILE);
    RewardModel::from_heads(model.transformer, &files::read(&heads_path)?, &heads_path)
}

fn with_files_in<T>(folder: &Path, work: impl FnOnce(ModelFiles<'_>) -> Result<T>) -> Result<T> {
    let has_model = |folder: &Path| folder.join(hugging_face::CONFIG_FILE).exists();
    let inside = folder.join("model");
    if !has_model(folder) && has_model(&inside) {
        let hint = format!("there is one in {}", inside.display());
        return Err(Error::input(folder, "no model is in this folder itself", hint));
    }
    let read = |file: &str| files::read(&folder.join(file));
    let weights = folder.join(hugging_face::WEIGHTS_FILE);
    let with = |tokenizer| {
        work(ModelFiles {
            folder: folder.into(),
            config: &read(hugging_face::CONFIG_FILE)?,
            weights: TensorFile::open(files::open(&weights)?, &weights)?,
            tokenizer,
        })
    };
    let two_files = [hugging_face::VOCABULARY_FILE, hugging_face::MERGES_FILE];
    if folder.join(hugging_face::TOKENIZER_FILE).exists() || !two_files.iter().all(|file| folder.join(file).exists()) {
        return with(TokenizerFiles::Json(&read(hugging_face::TOKENIZER_FILE)?));
    }
    let [vocabulary, merges] = two_files.map(read);
    with(TokenizerFiles::VocabularyAndMerges { vocabulary: &vocabulary?, merges: &merges? })
}

/// A new run writes into a folder that is empty or not there; one that goes on writes where it did.
pub(super) fn refuse_to_overwrite(out: &Path, directory: &RunDirectory) -> Result<()> {
    let has_entries = |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    let is_taken = out.is_file() || has_entries(out);
    match is_taken && !directory.has_work() {
        true => Err(Error::usage(
            format!("{} is there already", out.display()),
            "choose another --out, delete it, or go on with the --run that wrote it",
        )),
        false => Ok(()),
    }
}

/// The simulated labeler with its shipped classifier, or with another.
pub(super) fn load_labeler(classifier: Option<&Path>) -> Result<SimulatedLabeler> {
    match classifier {
        Some(path) => SimulatedLabeler::from_json("simulated", &files::read(path)?, path),
        None => SimulatedLabeler::shipped(),
    }
}
