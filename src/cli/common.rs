//! What all commands share: device, seed, settings, run folder, output.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn::tensor::Device;
use clap::Args;
use serde::Serialize;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::debug_fn;

use crate::config::{self, Config};
use crate::data::entries::Entries;
use crate::data::queries::openings;
use crate::data::{LeftOut, Reason};
use crate::device::{self, DeviceRequest, Opened, Room};
use crate::error::{Error, Result};
use crate::fetch;
use crate::labels::SimulatedLabeler;
use crate::lm::{
    LanguageModel, ModelFiles, Queries, Task, Tokenizer, hugging_face, model_folder, shipped, shipped_digests,
};
use crate::reward::{RewardModel, TokenComparison, token_comparisons};
use crate::run::{Input, Interrupt, Mode, RunDirectory, Work, begin, files};
use crate::stages::{Session, with_reasons};
use crate::visible::{visible, visible_json, visible_line, visible_message, visible_path};

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

/// The largest file of settings, in bytes: no text in it may be as long.
const LARGEST_SETTINGS_BYTES: u64 = 1 << 20;

impl Common {
    /// Defaults, preset, file and `--set`, in this order.
    pub fn settings(&self) -> Result<Config> {
        let mut layers = Vec::new();
        if let Some(name) = &self.preset {
            layers.push(config::preset(name)?.layer());
        }
        if let Some(path) = &self.config {
            layers.push((path.display().to_string(), files::read_short_text(path, LARGEST_SETTINGS_BYTES)?));
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

    /// The run folder asked for, or `runs/NAME`; as [`crate::run::begin`].
    pub fn run_directory(
        &self,
        name: &str,
        settings: &Config,
        inputs: impl IntoIterator<Item = Input>,
    ) -> Result<RunDirectory> {
        self.run_directory_that_keeps(name, settings, inputs, &[])
    }

    /// The same for work that also keeps these settings to its end, and what would go wrong.
    pub fn run_directory_that_keeps(
        &self,
        name: &str,
        settings: &Config,
        inputs: impl IntoIterator<Item = Input>,
        settled: &[(&str, &str)],
    ) -> Result<RunDirectory> {
        let path = self.run.clone().unwrap_or_else(|| Path::new("runs").join(name));
        begin(path, Work::new(name, self.seed, inputs), settings, settled, self.progress())
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

    /// The result on stdout: as JSON, or as the text given, in which nothing steers a terminal.
    pub fn print(&self, result: &impl Serialize, text: &str) -> Result<()> {
        let line = if self.json { to_json(result)? } else { visible(text) };
        write_to_stdout(format!("{line}\n").as_bytes()).map(drop)
    }

    /// The same for paths, one a line: as they are where another program reads them.
    pub fn print_paths(&self, result: &impl Serialize, paths: &[&Path]) -> Result<()> {
        let exact = || paths.iter().flat_map(|path| [path.as_os_str().as_encoded_bytes(), b"\n"]).collect::<Vec<_>>();
        match self.json || std::io::stdout().is_terminal() {
            true => self.print(result, &paths.iter().map(|path| visible_path(path)).collect::<Vec<_>>().join("\n")),
            false => write_to_stdout(&exact().concat()).map(drop),
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
        // Messages name files, servers and what they hold.
        let fields = debug_fn(|writer, field, value| {
            let text = visible_line(&format!("{value:?}"));
            match field.name() {
                "message" => write!(writer, "{text}"),
                // Where in its source a library that logs otherwise said it.
                name if name.starts_with("log.") => Ok(()),
                name => write!(writer, "{name}={text}"),
            }
        });
        // Which module says it matters to whoever looks for a fault.
        log.with_ansi(colours).without_time().with_target(self.verbose > 0).fmt_fields(fields.delimited(" ")).init();
    }
}

pub(super) fn to_json(result: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(result).map_err(|error| Error::failed(format!("no JSON: {error}"), ""))?;
    Ok(visible_json(&json))
}

/// Writes to stdout; whether somebody still reads it. A reader such as `head` that has seen enough is no
/// failure.
pub(super) fn write_to_stdout(bytes: &[u8]) -> Result<bool> {
    let mut out = std::io::stdout();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::file("write", Path::new("standard output"), error)),
        Ok(()) => Ok(true),
    }
}

/// Prints what went wrong and what to do, once.
pub(super) fn report_failure(error: &Error) -> ExitCode {
    let hint = if error.hint().is_empty() { None } else { Some(format!("hint: {}", error.hint())) };
    for line in std::iter::once(format!("error: {error}")).chain(hint) {
        writeln!(std::io::stderr(), "{}", visible_message(&line)).ok();
    }
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

/// A file, or the texts of a folder, as a run folder remembers it.
pub(super) fn remembered(role: &str, path: &Path) -> Result<Input> {
    Ok(Input::new(role, path.display(), files::digest(&fetched_file(path)?, hugging_face::counted_in_0_1)?))
}

/// The same where there may be none.
pub(super) fn remembered_if_given(role: &str, path: Option<&PathBuf>) -> Result<Option<Input>> {
    path.map(|path| remembered(role, path)).transpose()
}

/// The question of a file of comparisons that has several, as a run folder remembers it.
pub(super) fn remembered_question(question: Option<&str>) -> Option<Input> {
    question.map(|question| Input::named("question", question))
}

/// The same for a model, which may be inside the program.
pub(super) fn remembered_model(model: &Path) -> Result<Input> {
    match (shipped_digests(name_of(model)), fetched_model(model)?) {
        (Some(digests), _) => {
            let input = Input::new("model", model.display(), digests.of_folder);
            Ok(Input { sha256_of_0_1: Some(digests.of_weights), ..input })
        }
        (None, Some(folder)) => {
            Ok(Input { name: model.display().to_string(), ..remembered_folder_of_model("model", &folder)? })
        }
        (None, None) => remembered_folder_of_model("model", model),
    }
}

/// The same for the folder of a model: its other files may come and go.
pub(super) fn remembered_folder_of_model(role: &str, folder: &Path) -> Result<Input> {
    let input = Input::new(role, folder.display(), files::digest(folder, hugging_face::is_file_of_model)?);
    let mut names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let counts_otherwise = |name: &str| hugging_face::is_file_of_model(name) != hugging_face::counted_in_0_1(name);
    let differs = names.any(|name| counts_otherwise(&name.to_string_lossy()));
    let sha256_of_0_1 = differs.then(|| files::digest(folder, hugging_face::counted_in_0_1)).transpose()?;
    Ok(Input { sha256_of_0_1, ..input })
}

/// The argument as the name of a model that ships or was fetched; names are text, folders need not be.
fn name_of(model: &Path) -> &str {
    model.to_str().unwrap_or_default()
}

/// The folder of a model that is named as on the hub, if it was fetched; a folder of that name
/// comes first.
fn fetched_model(model: &Path) -> Result<Option<PathBuf>> {
    if model.exists() { Ok(None) } else { fetch::cached_model(name_of(model)) }
}

/// A model by the name of one that is inside the program, by its folder, or by the name under which
/// it was fetched.
pub(super) fn load_model(model: &Path, device: &Device) -> Result<LanguageModel> {
    with_files_of(model, |files| LanguageModel::load(files, device))
}

/// The tokenizer of such a model.
pub(super) fn load_tokenizer(model: &Path) -> Result<Tokenizer> {
    with_files_of(model, |files| Ok(files.tokenizer.read(&files.folder)?.0))
}

fn with_files_of<T>(model: &Path, work: impl FnOnce(ModelFiles<'_>) -> Result<T>) -> Result<T> {
    match shipped(name_of(model))? {
        Some(files) => work(files),
        None if model.is_dir() => model_folder::with_files(model, work),
        None => match fetched_model(model)? {
            Some(folder) => model_folder::with_files(&folder, work),
            None => Err(no_such_model(model)),
        },
    }
}

fn no_such_model(model: &Path) -> Error {
    if model.is_file() {
        return Error::input(
            model,
            "this is a file",
            "give the folder of a model, with its config.json, not one of its files",
        );
    }
    let name = name_of(model);
    let others = "use `storyteller`, or a folder with config.json, model.safetensors and tokenizer.json";
    let hint = match fetch::names_a_model(name) {
        true => format!("if it is a model on the Hugging Face hub, run `preftune fetch {name}`; or {others}"),
        false => others.into(),
    };
    Error::input(model, "no such model", hint)
}

/// A reward model from the folder that `train-reward` wrote, for the responses of `policy`.
pub(super) fn load_reward_model(folder: &Path, policy: &LanguageModel, device: &Device) -> Result<RewardModel> {
    if !folder.is_dir() {
        return Err(Error::input(folder, "no such folder", "`preftune train-reward --out` writes one"));
    }
    let (reward_model, model) = model_folder::with_files(folder, |files| RewardModel::load(files, device))?;
    let sizes = |model: &LanguageModel| (model.config.vocab_size, model.config.n_positions);
    if sizes(&model) != sizes(policy) || !model.tokenizer.is_same_as(&policy.tokenizer) {
        return Err(Error::input(
            folder,
            "this reward model reads other tokens than the model that is to be scored writes",
            "give both commands the same --model, or models with the same tokenizer and context length",
        ));
    }
    Ok(reward_model)
}

/// The simulated labeler with its shipped classifier, or with another.
pub(super) fn load_labeler(classifier: Option<&Path>) -> Result<SimulatedLabeler> {
    match classifier {
        Some(path) => SimulatedLabeler::from_json("simulated", &files::read(path)?, path),
        None => SimulatedLabeler::shipped(),
    }
}
