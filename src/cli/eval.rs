//! `preftune eval`: how often a tuned model is preferred.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::common::{load_labeler, load_model, load_reward_model, read_queries};
use super::{Common, label};
use crate::data::queries::openings;
use crate::error::{Error, Result};
use crate::eval::{Contest, Judging, Pair, Scores, WinRate};
use crate::labels::{Desk, People, Plan, SharedDesk};
use crate::lm::{STORYTELLER, Task};
use crate::policy::Judges;
use crate::report::Judgment;
use crate::reward::RewardLabeler;
use crate::run::{Interrupt, RunDirectory, files};
use crate::statistics::mean;

/// Judge a tuned model against the model from before, blind
///
/// Both continue the same queries; the labeler sees each pair in random order. With --run, the
/// verdict goes into that run's folder, for `report`.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune eval --model runs/demo-seed-1/policy/model
  preftune eval --model models/mine --baseline storyteller --queries queries.txt --json
  preftune eval --model policy --reward reward --run runs/mine && preftune report runs/mine
  preftune eval --model policy --ask --set eval.pairs=50 --judgments runs/mine/judgments.jsonl")]
pub struct Arguments {
    /// The tuned model
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The model to compare with
    #[arg(long, value_name = "MODEL", default_value = STORYTELLER)]
    baseline: String,
    /// Queries that training did not use, as `train-policy` takes them; without it, the held-out story openings
    #[arg(long, value_name = "PATH")]
    queries: Option<PathBuf>,
    /// Judge with this classifier in place of the shipped one (see train-labeler)
    #[arg(long, value_name = "FILE")]
    classifier: Option<PathBuf>,
    /// A reward model, as `train-reward` writes it, to score the responses of both
    #[arg(long, value_name = "DIR")]
    reward: Option<PathBuf>,
    /// Let that reward model choose in each pair, too
    #[arg(long, requires = "reward", conflicts_with_all = ["ask", "classifier"])]
    by_reward: bool,
    /// Let people choose, in a browser: neither they nor the page know which model wrote what
    #[arg(long, conflicts_with = "classifier")]
    ask: bool,
    /// What to choose, for people: sentiment, descriptiveness, or a text file
    #[arg(long, value_name = "NAME|FILE", default_value = "sentiment", requires = "ask")]
    instructions: String,
    /// The port of the page, on this computer only; 0 is any that is free
    #[arg(long, value_name = "PORT", default_value_t = 0, requires = "ask")]
    port: u16,
    /// Where people's choices go, and are found again after an interruption
    #[arg(long, value_name = "FILE", default_value = "judgments.jsonl", requires = "ask")]
    judgments: PathBuf,
    /// Also write every pair there, one a line, as JSONL
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    win_rate: f64,
    win_rate_low: f64,
    win_rate_high: f64,
    pairs: usize,
    wins: usize,
    losses: usize,
    ties: usize,
    first_shown_rate: f64,
    kl: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    score_before: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score_after: Option<f64>,
    labeler: String,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let settings = common.settings()?;
    let opened = common.open_device()?;
    let tuned = load_model(&arguments.model, &opened.device)?;
    let baseline = load_model(&arguments.baseline, &opened.device)?;
    if !tuned.tokenizer.is_same_as(&baseline.tokenizer) {
        return Err(Error::input(
            Path::new(&arguments.model),
            format!("this model reads other tokens than the baseline, {}", arguments.baseline),
            "give --baseline the model that it was tuned from",
        ));
    }
    let load_reward_model = |folder: &PathBuf| load_reward_model(folder, &baseline, &opened.device);
    let reward_model = arguments.reward.as_ref().map(load_reward_model).transpose()?;
    let queries = match &arguments.queries {
        Some(path) => {
            read_queries(Some(path), &baseline, &Task::new(&settings.task, &baseline)?)?.texts(&baseline.tokenizer)?
        }
        None => openings()?.held_out,
    };
    let judging = Judging {
        candidate: &tuned,
        baseline: &baseline,
        queries: &queries,
        task: &settings.task,
        pairs: settings.eval.pairs,
        seed: common.seed,
        progress: common.progress(),
    };
    let judged = match &reward_model {
        _ if arguments.ask => ask_people(&judging, &arguments, common)?,
        Some(reward_model) if arguments.by_reward => {
            let task = Task::new(&settings.task, &baseline)?;
            judging.run(&mut RewardLabeler { reward_model, model: &baseline, task })?
        }
        _ => judging.run(&mut load_labeler(arguments.classifier.as_deref())?)?,
    };
    let scores = match &reward_model {
        Some(reward_model) => {
            let task = Task::new(&settings.task, &baseline)?;
            let rows_at_once = settings.policy.micro_batch_size;
            Some(judged.scores(&Judges { reference: &baseline, reward_model, task, rows_at_once })?)
        }
        None => None,
    };
    if let Some(path) = &arguments.pairs {
        write_pairs(path, &judged.pairs)?;
    }
    if let Some(run) = &common.run {
        let run = RunDirectory::open(run)?;
        Judgment::new(&judged, scores.as_ref(), common.environment(&opened.name)).write(run.path())?;
    }
    let Contest { win_rate, kl, .. } = judged;
    let mut text = format!("{}\nKL to the baseline {kl:.2} nats a response", describe(&win_rate));
    let [score_before, score_after] = [|s: &Scores| mean(&s.baseline), |s: &Scores| mean(&s.candidate)]
        .map(|mean_of| scores.as_ref().and_then(mean_of));
    if let (Some(before), Some(after)) = (score_before, score_after) {
        text += &format!("\nscore {before:.2} of the baseline, {after:.2} of the tuned model");
    }
    let outcome = Outcome {
        win_rate: win_rate.rate,
        win_rate_low: win_rate.low,
        win_rate_high: win_rate.high,
        pairs: win_rate.pairs,
        wins: win_rate.wins,
        losses: win_rate.losses,
        ties: win_rate.ties,
        first_shown_rate: win_rate.first_shown_rate,
        kl,
        score_before,
        score_after,
        labeler: win_rate.labeler,
    };
    common.print(&outcome, &text)
}

/// The same page as for `label`. Choices may be taken back until the last is made.
fn ask_people(judging: &Judging<'_>, arguments: &Arguments, common: &Common) -> Result<Contest> {
    let interrupt = Interrupt::install()?;
    let instructions = label::read_instructions(&arguments.instructions)?;
    let plan = Plan { wanted: judging.pairs, repeated: 0.0, seed: judging.seed };
    let desk = Arc::new(SharedDesk::new(Desk::new(label::open_log(&arguments.judgments)?, plan)));
    let page = label::open_page(&desk, &instructions, arguments.port, common)?;
    let judged = judging.run(&mut People::at(&desk, interrupt.clone())).and_then(|mut contest| {
        contest.win_rate = judging.judge(&contest.pairs, &mut People::at(&desk, interrupt))?;
        Ok(contest)
    });
    if judged.is_ok() {
        desk.with(Desk::finish);
    }
    page.stop();
    judged
}

/// The win rate in words.
pub fn describe(win_rate: &WinRate) -> String {
    format!(
        "preferred in {:.1}% of {} pairs (95% interval {:.1} to {:.1}), {} {} counted half; judged by {}",
        100.0 * win_rate.rate,
        win_rate.pairs,
        100.0 * win_rate.low,
        100.0 * win_rate.high,
        win_rate.ties,
        if win_rate.ties == 1 { "tie" } else { "ties" },
        win_rate.labeler,
    )
}

fn write_pairs(path: &Path, pairs: &[Pair]) -> Result<()> {
    let lines: Vec<String> = pairs.iter().filter_map(|pair| serde_json::to_string(pair).ok()).collect();
    files::create_folder_of(path)?;
    files::write_atomically(path, (lines.join("\n") + "\n").as_bytes())
}
