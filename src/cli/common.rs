//! Options and output that all commands share: device, seed, settings, run folder, printed results.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::debug_fn;

use super::settings::Settings;
use crate::config;
use crate::config::Config;
use crate::device;
use crate::device::{DeviceMemory, DeviceRequest, OpenDevice};
use crate::error::{Error, Result};
use crate::json;
use crate::lm::LanguageModel;
use crate::models;
use crate::platform::{Interrupt, Mode, files};
use crate::run::{Input, RunDirectory, Work, begin};
use crate::sanitize::{sanitize, sanitize_json, sanitize_line, sanitize_message, sanitize_path};
use crate::stages::Session;

/// Options that most commands share.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Device: auto, cpu (= flex), flex, ndarray, wgpu, vulkan, metal or dx12; `:N` after the name chooses the graphics
    /// adapter with number N, counted from 0
    #[arg(long, global = true, value_name = "DEVICE", default_value = "auto", env = "PREFTUNE_DEVICE")]
    pub device: String,
    /// Seed of every random number of the run
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
    /// Wrap each query in the model's own chat template (task.chat=true)
    #[arg(long, global = true)]
    pub chat: bool,
    /// The folder of this run: settings, metrics, samples, checkpoints (for demo, label, train, train-reward,
    /// train-policy, sft, pretrain and eval)
    #[arg(long, global = true, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log what happens; given twice, log everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Largest size of a settings file, in bytes; every text in a valid one is shorter.
const LARGEST_SETTINGS_BYTES: u64 = 1 << 20;

impl Common {
    /// Merges the defaults, the preset, the file and `--set`; later ones override earlier ones.
    pub fn settings(&self) -> Result<Settings> {
        self.settings_over(None)
    }

    /// Merges [`Self::settings`] over the preset that fits the size of a model, unless the user chose another, and says
    /// which it is. A run that was begun keeps the preset that it began with; `run` is its folder if none was given.
    /// `rates` names the learning rates that the command trains with. Without `--preset`, they are compared with those for
    /// models of this size.
    pub fn settings_for(&self, model: &Path, run: Option<&str>, rates: &[&str]) -> Result<Settings> {
        let size = models::size(model)?;
        let run = self.run.clone().or_else(|| run.map(|name| Path::new("runs").join(name)));
        let fitting = match self.preset {
            Some(_) => None,
            None => Work::fitting_preset(run.as_deref(), size)?,
        };
        let settings = self.settings_over(fitting)?;
        if let Some(preset) = &settings.defaults {
            self.say(&format!(
                "the settings begin with the preset {preset}, because the model has {size}; --preset, --config and --set \
                 override it"
            ));
        }
        // The rates of a preset that the user names are not judged by the size of the model.
        if self.preset.is_none() {
            size.unusual(&settings, rates)?.iter().for_each(|line| self.say(line));
        }
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

    /// Opens the device, and says which one `auto` took and why.
    pub fn open_device(&self) -> Result<OpenDevice> {
        let opened = device::open(self.device.parse::<DeviceRequest>()?)?;
        if !opened.reason.is_empty() {
            self.say(&format!("device: {} ({})", opened.name, opened.reason));
        }
        if let Some(store) = &opened.new_kernel_store {
            self.say(&format!(
                "{}: the first run tries several kernels on this graphics adapter, which may take minutes; the choice is kept in {}",
                opened.name,
                store.display()
            ));
        }
        Ok(opened)
    }

    /// Opens the run folder that was asked for, or `runs/NAME`, by [`crate::run::begin`].
    pub fn run_directory(
        &self,
        name: &str,
        settings: &Settings,
        inputs: impl IntoIterator<Item = Input>,
    ) -> Result<RunDirectory> {
        self.run_directory_that_keeps(name, settings, inputs, &[])
    }

    /// Opens a run folder like [`Self::run_directory`]. The run also keeps the settings `fixed_settings` to its end;
    /// each comes with the consequence of a change.
    pub fn run_directory_that_keeps(
        &self,
        name: &str,
        settings: &Settings,
        inputs: impl IntoIterator<Item = Input>,
        fixed_settings: &[(&str, &str)],
    ) -> Result<RunDirectory> {
        let path = self.run.clone().unwrap_or_else(|| Path::new("runs").join(name));
        let mut work = Work::new(name, self.seed, inputs);
        work.defaults = settings.defaults.clone();
        begin(path, work, settings, fixed_settings, self.progress())
    }

    /// Returns version, device, seed and duration of a run as (name, value), for its report.
    pub fn environment(&self, device: &str, seconds: Option<f64>) -> Vec<(String, String)> {
        let facts = [("preftune", env!("CARGO_PKG_VERSION")), ("device", device), ("seed", &self.seed.to_string())];
        let facts = facts.map(|(name, value)| (name.to_string(), value.to_string()));
        facts.into_iter().chain(seconds.map(|seconds| ("seconds".into(), format!("{seconds:.0}")))).collect()
    }

    /// Returns the session in which the stages of a command work.
    pub(super) fn session<'a>(
        &self,
        model: &'a LanguageModel,
        settings: &'a Config,
        device_memory: DeviceMemory,
        interrupt: &'a Interrupt,
    ) -> Session<'a> {
        Session { model, settings, seed: self.seed, device_memory, interrupt, progress: self.progress() }
    }

    /// Returns whether progress is shown.
    pub fn progress(&self) -> Mode {
        if self.quiet { Mode::Quiet } else { Mode::Shown }
    }

    /// Prints a line to stderr, unless `--quiet` is given.
    pub fn say(&self, line: &str) {
        self.progress().say(line);
    }

    /// Prints the result to stdout: as JSON, or as `text`, in which no character steers a terminal.
    pub fn print(&self, result: &impl Serialize, text: &str) -> Result<()> {
        let line = if self.json { to_json(result)? } else { sanitize(text) };
        write_to_stdout(format!("{line}\n").as_bytes()).map(drop)
    }

    /// Prints the result as JSON, or `paths`, one per line: made visible for a terminal, byte for byte for
    /// another program.
    pub fn print_paths(&self, result: &impl Serialize, paths: &[&Path]) -> Result<()> {
        let exact = || paths.iter().flat_map(|path| [path.as_os_str().as_encoded_bytes(), b"\n"]).collect::<Vec<_>>();
        match self.json || std::io::stdout().is_terminal() {
            true => self.print(result, &paths.iter().map(|path| sanitize_path(path)).collect::<Vec<_>>().join("\n")),
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
        // Messages contain names and contents of files and servers, which may steer a terminal.
        let fields = debug_fn(|writer, field, value| {
            let text = sanitize_line(&format!("{value:?}"));
            match field.name() {
                "message" => write!(writer, "{text}"),
                // These fields are added for messages of the `log` crate, and name the place in a library's
                // source.
                name if name.starts_with("log.") => Ok(()),
                name => write!(writer, "{name}={text}"),
            }
        });
        // The module of a message is of use only when looking for a fault.
        log.with_ansi(colours).without_time().with_target(self.verbose > 0).fmt_fields(fields.delimited(" ")).init();
    }
}

pub(super) fn to_json(result: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(result).map_err(json::not_written)?;
    Ok(sanitize_json(&json))
}

/// Writes to stdout, and returns whether somebody still reads it. A reader such as `head` that closes the
/// pipe early is no error.
pub(super) fn write_to_stdout(bytes: &[u8]) -> Result<bool> {
    let mut out = std::io::stdout();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::file("write", Path::new("standard output"), error)),
        Ok(()) => Ok(true),
    }
}

/// Prints an error with its hint, and returns the exit code.
pub(super) fn report_failure(error: &Error) -> ExitCode {
    let hint = if error.hint().is_empty() { None } else { Some(format!("hint: {}", error.hint())) };
    for line in std::iter::once(format!("error: {error}")).chain(hint) {
        writeln!(std::io::stderr(), "{}", sanitize_message(&line)).ok();
    }
    ExitCode::from(error.exit_code())
}
