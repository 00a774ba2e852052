//! `preftune label`: comparisons, from queries and a labeler.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde::Serialize;

use super::Common;
use crate::data::LeftOut;
use crate::device::OpenDevice;
use crate::error::{Error, Result};
use crate::labels::SimulatedLabeler;
use crate::labels::question::is_name;
use crate::labels::read_instructions;
use crate::labels::terminal::{Keys, TerminalLabeler};
use crate::labels::{Agreements, CommandLabeler, Decision, LabelLog, LabelQueue, SharedQueue};
use crate::labels::{Labelling, Ties};
use crate::lm::STORYTELLER;
use crate::models;
use crate::platform::external_command::ExternalCommand;
use crate::platform::{Interrupt, Mode, check_file, files};
use crate::run::Input;
use crate::sanitize::sanitize_path;
use crate::stages;
use crate::stages::{Session, fingerprint_if_given, labelling, open_log, read_queries};
use crate::stages::{check_keys, fingerprint_of_labeler, queue_settings};
use crate::task::{Queries, Task};

/// Choose the best of several responses, in a browser, at a terminal, or by the simulated labeler
///
/// Each label is appended to a file of comparisons, and is on the disk before the next question is asked. Run
/// the same command again to resume.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune label --instructions sentiment
  preftune label --terminal --name ada --set labels.comparisons=200
  preftune label --model models/mine --queries queries.txt --instructions taste.txt --port 7711
  preftune label --simulated --out comparisons.jsonl
  preftune label --labeler-command 'python3 choose.py' --out comparisons.jsonl

Keys, on the page and at the terminal: 1 to 9 choose, 0 cannot tell, S skip, U undo;
at the terminal also I for the instructions and Q to quit.")]
pub(super) struct Arguments {
    /// Let the simulated labeler choose: a sentiment classifier that ships with the program
    #[arg(long, conflicts_with_all = ["terminal", "port", "instructions", "name"])]
    pub simulated: bool,
    /// Let a program choose: it reads a line `{"query": "…", "responses": ["…", …]}` for each question, and
    /// answers with the number of the best response, counted from 0, on a line of its own
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["simulated", "terminal", "port", "instructions", "name"])]
    pub labeler_command: Option<String>,
    /// Seconds that the program may take for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "labeler_command", value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400))]
    pub command_timeout: u64,
    /// Ask at this terminal, with one key for each answer, instead of in a browser
    #[arg(long, conflicts_with = "port")]
    pub terminal: bool,
    /// The name of the person who answers at the terminal
    #[arg(long, value_name = "NAME", default_value = "me", requires = "terminal")]
    pub name: String,
    /// Port of the page, on this computer only; 0 takes the previous port, or any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Instructions for people: sentiment, descriptiveness, or a text file
    #[arg(long, value_name = "NAME|FILE", default_value = "sentiment")]
    pub instructions: PathBuf,
    /// The model whose responses are compared
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    pub model: PathBuf,
    /// Queries, in a format that `train-policy` reads; the story openings for training if not given
    #[arg(long, value_name = "PATH")]
    pub queries: Option<PathBuf>,
    /// Judge with this classifier in place of the shipped one (see train-labeler)
    #[arg(long, value_name = "FILE", requires = "simulated")]
    pub classifier: Option<PathBuf>,
    /// Output file of the comparisons; comparisons.jsonl in the run folder if not given
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    comparisons: usize,
    /// Number of lines in which a labeler could not tell which response is the best.
    undecided: usize,
    /// Ties among the judgments that a classifier made in this call.
    #[serde(skip_serializing_if = "Option::is_none")]
    ties: Option<Ties>,
    left_out: LeftOut,
    #[serde(serialize_with = "files::serialize_path")]
    out: PathBuf,
    #[serde(flatten)]
    agreements: Agreements,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    if let Some(out) = &arguments.out {
        check_file(out)?;
    }
    let settings = common.settings_for(&arguments.model, Some("label"), &[])?;
    let asks_people = !arguments.simulated && arguments.labeler_command.is_none();
    if asks_people {
        check_keys(&settings)?;
    }
    if !is_name(&arguments.name) {
        return Err(Error::usage("--name is not a name", "give 1 to 64 visible characters"));
    }
    let OpenDevice { device, device_memory, .. } = common.open_device()?;
    let model = models::open(&arguments.model, &device)?;
    let (task, mut left_out) = (Task::new(&settings.task, &model)?, LeftOut::default());
    let queries = read_queries(arguments.queries.as_deref(), &model, &task, &mut left_out)?
        .texts(&model.tokenizer, &mut left_out)?;
    Queries::Text(queries.clone()).tokens(&model, &task, &mut left_out)?;
    left_out.say("queries");
    // The run folder, if there is one, stays locked to the end.
    let (_directory, out) = match &arguments.out {
        Some(path) => (None, path.clone()),
        None => {
            let inputs = [
                Some(models::fingerprint(&arguments.model)?),
                fingerprint_if_given("queries", arguments.queries.as_ref())?,
                fingerprint_if_given("classifier", arguments.classifier.as_ref())?,
                Some(match &arguments.labeler_command {
                    Some(command) => Input::named("labeler", &format!("the command {command:?} chooses")),
                    None => fingerprint_of_labeler(asks_people.then_some(&arguments.instructions))?,
                }),
            ];
            let directory = common.run_directory("label", &settings, inputs.into_iter().flatten())?;
            let out = directory.comparisons();
            (Some(directory), out)
        }
    };
    let interrupt = Interrupt::install()?;
    let session = common.session(&model, &settings, device_memory, &interrupt);
    let name = arguments.model.to_string_lossy();
    let (log, ties) = match &arguments.labeler_command {
        Some(command) => {
            let timeout = Duration::from_secs(arguments.command_timeout);
            let mut labeler = CommandLabeler(ExternalCommand::start(command, timeout, interrupt.clone())?);
            (stages::label(&session, &name, &queries, &mut labeler, &out)?.0, None)
        }
        None if arguments.simulated => {
            let mut labeler = SimulatedLabeler::open(arguments.classifier.as_deref())?;
            let (log, ties) = stages::label(&session, &name, &queries, &mut labeler, &out)?;
            (log, Some(ties))
        }
        None => (ask_people(&session, &name, &arguments, &queries, &out, common)?, None),
    };
    log.check()?;
    let undecided = log.lines().iter().filter(|line| line.decision == Decision::CannotTell).count();
    let comparisons = log.labels();
    let agreements = Agreements::of(log.choices());
    if comparisons < settings.labels.comparisons {
        let wanted = settings.labels.comparisons;
        common.say(&format!("{comparisons} of {wanted} labels are made; run the same command again to resume"));
    }
    let noun = if comparisons == 1 { "comparison" } else { "comparisons" };
    let text = format!("{comparisons} {noun} in {}{}", sanitize_path(&out), describe(&agreements));
    common.print(&Outcome { comparisons, undecided, ties, left_out, out, agreements }, &text)
}

/// Asks people, who answer while responses for more questions are sampled.
fn ask_people(
    session: &Session<'_>,
    name: &str,
    arguments: &Arguments,
    queries: &[String],
    out: &Path,
    common: &Common,
) -> Result<LabelLog> {
    let instructions = read_instructions(&arguments.instructions)?;
    let queue = LabelQueue::new(open_log(out)?, queue_settings(session));
    if queue.is_done() {
        let wanted = session.settings.labels.comparisons;
        common.say(&format!("all {wanted} labels are made; to make more, raise labels.comparisons"));
        return Ok(queue.into_log());
    }
    let queue = Arc::new(SharedQueue::new(queue));
    let progress = if arguments.terminal { Mode::Quiet } else { session.progress };
    let labelling = labelling(session, name, queries, progress)?;
    match arguments.terminal {
        true => ask_at_terminal(&labelling, &queue, &arguments.name, &instructions)?,
        false => {
            let page = open_page(&queue, &instructions, arguments.port, common)?;
            let supplied = labelling.supply(&queue);
            queue.with(if supplied.is_ok() { LabelQueue::finish } else { LabelQueue::stop });
            page.stop();
            supplied?;
        }
    }
    let queue = Arc::into_inner(queue).ok_or_else(|| Error::failed("somebody is still labelling", ""))?;
    Ok(queue.into_inner().into_log())
}

/// Asks at the terminal, while another thread samples responses, so that this thread may leave the terminal
/// as it was.
fn ask_at_terminal(labelling: &Labelling<'_>, queue: &SharedQueue, name: &str, instructions: &str) -> Result<()> {
    std::thread::scope(|scope| {
        let supply = scope.spawn(|| labelling.supply(queue));
        let screen = &mut std::io::stderr();
        let labeler = TerminalLabeler { name, instructions, queue, keys: Keys::of_standard_input(), screen };
        let asked = labeler.run(|| supply.is_finished());
        // Once the person has left, no more questions are wanted.
        queue.with(LabelQueue::finish);
        let supplied = supply.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        asked.and(supplied)
    })
}

#[cfg(feature = "web")]
pub(super) use crate::labels::web::LabelServer as Page;

/// The page in a build without the feature `web`, which is never opened.
#[cfg(not(feature = "web"))]
pub(super) struct Page;

#[cfg(not(feature = "web"))]
impl Page {
    pub(super) fn stop(self) {}
}

/// Opens the page on which people answer from the queue, and prints its address.
#[cfg(feature = "web")]
pub(super) fn open_page(queue: &Arc<SharedQueue>, instructions: &str, port: u16, common: &Common) -> Result<Page> {
    let page = Page::start(Arc::clone(queue), instructions, port)?;
    // The address is needed with `--quiet`, too.
    Common { quiet: false, ..common.clone() }.say(&format!("open {}", page.url()));
    Ok(page)
}

#[cfg(not(feature = "web"))]
pub(super) fn open_page(_: &Arc<SharedQueue>, _: &str, _: u16, _: &Common) -> Result<Page> {
    Err(Error::usage("this build has no page", "build with the feature `web`, or label with --terminal"))
}

fn describe(agreements: &Agreements) -> String {
    let with_self = agreements.with_self.iter().map(|(name, agreement)| (format!("{name} with themselves"), agreement));
    let all = std::iter::once(("labelers with each other".to_string(), &agreements.with_others));
    let lines = with_self.chain(all).filter_map(|(whose, agreement)| {
        let rate = 100.0 * agreement.rate()?;
        Some(format!("\nagreement of {whose}: {rate:.0}% of {} pairs of answers", agreement.pairs))
    });
    lines.collect()
}
