//! `preftune demo`: the stylistic experiment from end to end, the other commands' stages in a row.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::common::{Session, load_labeler, load_model, remembered_model, write_model};
use super::{Common, eval, label, report, train_policy, train_reward};
use crate::data::queries::openings;
use crate::error::Result;
use crate::eval::{Contest, Judging};
use crate::lm::{Queries, STORYTELLER, Task};
use crate::policy::Judges;
use crate::report::Judgment;
use crate::reward::token_comparisons;
use crate::run::{Interrupt, files};
use crate::statistics::mean;

/// Run the whole experiment: label, fit a reward model, tune, judge, report
///
/// Four continuations of each story opening are drawn from the storyteller model; a sentiment
/// classifier chooses the best; a reward model learns its choices; PPO tunes the storyteller
/// towards it; and the classifier judges the result on openings that training never used.
#[derive(Args)]
#[command(after_help = "Examples:
  preftune demo
  preftune demo --quick
  preftune demo --seed 2 --json > result.json")]
pub struct Arguments {
    /// The same stages at the smallest size
    #[arg(long)]
    quick: bool,
}

/// The object that `--json` prints.
#[derive(Serialize)]
struct Outcome {
    reward_model_accuracy: Option<f64>,
    win_rate: f64,
    win_rate_low: f64,
    win_rate_high: f64,
    pairs: usize,
    ties: usize,
    kl: f64,
    kl_target: f64,
    score_before: f64,
    score_after: f64,
    updates: usize,
    seconds: f64,
    device: String,
    seed: u64,
    report: PathBuf,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let started = Instant::now();
    let mut common = common.clone();
    if arguments.quick {
        common.preset.get_or_insert_with(|| "quick".into());
    }
    let common = &common;
    let settings = common.settings()?;
    let opened = common.open_device()?;
    let name = format!("demo{}-seed-{}", if arguments.quick { "-quick" } else { "" }, common.seed);
    let directory = common.run_directory(&name, &settings, &[remembered_model(STORYTELLER)?])?;
    let interrupt = Interrupt::install()?;
    let model = load_model(STORYTELLER, &opened.device)?;
    let mut labeler = load_labeler(None)?;
    let queries = openings()?;

    let session = Session { model: &model, settings: &settings, interrupt: &interrupt, common, room: opened.room };
    let path = directory.comparisons();
    label::write_comparisons(&session, STORYTELLER, &queries.train, &mut labeler, &path)?;
    let task = Task::new(&settings.task, &model)?;
    let comparisons = token_comparisons(&files::read_text(&path)?, &path, &model, &task)?;
    let tokens = Queries::Text(queries.train.clone()).tokens(&model, &task)?;
    let stage = directory.stage("reward")?;
    let (fitted, fit) = train_reward::fit(&session, comparisons, &tokens, &stage.path().join("model"), &stage)?;
    let stage = directory.stage("policy")?;
    let policy = train_policy::tune(&session, &fitted.model, &tokens, settings.policy.updates, &stage)?;
    write_model(&stage.path().join("model"), policy.to_files(&model)?)?;
    let tuned = model.with_transformer(policy.transformer.clone());
    let judging = Judging {
        candidate: &tuned,
        baseline: &model,
        queries: &queries.held_out,
        task: &settings.task,
        pairs: settings.eval.pairs,
        seed: common.seed,
        progress: common.progress(),
    };
    let contest = judging.run(&mut labeler)?;
    let rows_at_once = settings.policy.micro_batch_size;
    let judges = Judges { reference: &model, reward_model: &fitted.model, task, rows_at_once };
    let scores = contest.scores(&judges)?;
    let win_rate = contest.win_rate.clone();
    let outcome = Outcome {
        reward_model_accuracy: fit.held_out_accuracy,
        win_rate: win_rate.rate,
        win_rate_low: win_rate.low,
        win_rate_high: win_rate.high,
        pairs: win_rate.pairs,
        ties: win_rate.ties,
        kl: contest.kl,
        kl_target: settings.policy.kl.target,
        score_before: mean(&scores.baseline).unwrap_or(f64::NAN),
        score_after: mean(&scores.candidate).unwrap_or(f64::NAN),
        updates: settings.policy.updates,
        seconds: started.elapsed().as_secs_f64(),
        device: opened.name.clone(),
        seed: common.seed,
        report: directory.report(),
    };
    let mut environment = common.environment(&opened.name);
    environment.push(("seconds".into(), format!("{:.0}", outcome.seconds)));
    Judgment::new(&contest, Some(&scores), environment).write(directory.path())?;
    report::write(directory.path(), &directory.report())?;
    print(&outcome, &contest, fit.chance, common)
}

fn print(outcome: &Outcome, contest: &Contest, chance: f64, common: &Common) -> Result<()> {
    let examples: Vec<String> = contest
        .pairs
        .iter()
        .take(3)
        .map(|pair| {
            let [query, before, after] =
                [&pair.query, &pair.baseline, &pair.candidate].map(|text| super::sample::one_line(text));
            format!("  {query}\n    before:{before}\n    after: {after}")
        })
        .collect();
    let reward_model =
        outcome.reward_model_accuracy.map_or("not measured: no comparison was held out".into(), |right| {
            format!("{:.1}% right on comparisons it had not seen (guessing: {:.0}%)", 100.0 * right, 100.0 * chance)
        });
    let text = format!(
        "{}\n\nreward model   {}\n\
         tuned model    {}\n\
         score          {:.2} before, {:.2} after\n\
         KL             {:.2} nats a response, target {:.1}\n\
         time           {:.0} s on {}\n\
         report         {}",
        examples.join("\n"),
        reward_model,
        eval::describe(&contest.win_rate),
        outcome.score_before,
        outcome.score_after,
        outcome.kl,
        outcome.kl_target,
        outcome.seconds,
        outcome.device,
        outcome.report.display(),
    );
    common.print(outcome, &text)
}
