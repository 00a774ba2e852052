//! Reads what a run left in its folder, for its report.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::run_report_input::Guessing;
use super::{Contestants, RunReportInput, SampleRow};
use crate::config::Config;
use crate::data::entries::Entries;
use crate::data::preferences::{Preference, PreferenceReader};
use crate::error::{Error, Result};
use crate::eval::{Contest, Pair, Standing, TournamentResult, WinRate};
use crate::format_version::{FormatVersion, NEWER_HINT, fault_of};
use crate::json;
use crate::platform::files;
use crate::run::{Metric, MetricsRow, Stage};
use crate::run::{metrics, work};
use crate::stages::fits_of;
use crate::statistics::mean;

/// Name of the file of judgments in a run folder.
const JUDGMENT_FILE: &str = "judgment.json";

const METRICS_FILE: &str = "metrics.jsonl";

/// Number of rows in the table of responses before and after tuning.
const SAMPLES: usize = 24;

/// The result of judging a run once. `judgment.json` keeps a list of these, the latest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Judgment {
    #[serde(default)]
    version: FormatVersion,
    /// Description of who chose: a labeler with its instructions or classifier, or a reward model.
    by: String,
    contests: Vec<Verdict>,
    /// Responses of the first contest.
    samples: Vec<SampleRow>,
    /// KL and score of each contestant.
    contestants: Vec<Standing>,
    /// Facts about where the judging ran, as (name, value).
    environment: Vec<(String, String)>,
}

/// The result of one contest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    pub candidate: String,
    pub baseline: String,
    pub win_rate: WinRate,
    /// Number of different queries in the pairs.
    pub queries: usize,
    /// True if the contest is that of the paper's experiment, the tuned model against the pretrained one.
    pub is_the_papers: bool,
}

impl Verdict {
    fn is_between_those_of(&self, other: &Self) -> bool {
        (&self.candidate, &self.baseline) == (&other.candidate, &other.baseline)
    }
}

impl Judgment {
    /// Returns the judgment of contests. `by` describes who chose.
    pub fn new(judged: &TournamentResult, by: String, environment: Vec<(String, String)>) -> Self {
        let sample = |contest: &Contest, (index, pair): (usize, &Pair)| SampleRow {
            query: pair.query.clone(),
            before: pair.baseline.clone(),
            after: pair.candidate.clone(),
            before_score: contest.baseline_scores.get(index).copied(),
            after_score: contest.candidate_scores.get(index).copied(),
        };
        let samples = judged.contests.first().map_or_else(Vec::new, |contest| {
            contest.pairs.iter().enumerate().take(SAMPLES).map(|pair| sample(contest, pair)).collect()
        });
        let verdict = |contest: &Contest| Verdict {
            candidate: contest.candidate.clone(),
            baseline: contest.baseline.clone(),
            win_rate: contest.win_rate.clone(),
            queries: judged.queries,
            is_the_papers: false,
        };
        let contests = judged.contests.iter().map(verdict).collect();
        let contestants = judged.standings.clone();
        Self { version: FormatVersion, by, contests, samples, contestants, environment }
    }

    /// Returns the judgment of the paper's experiment. The report shows the paper's own result beside the
    /// first contest.
    pub fn of_experiment(judged: &TournamentResult, environment: Vec<(String, String)>) -> Self {
        let mut judgment = Self::new(judged, "the paper's experiment".into(), environment);
        if let Some(first) = judgment.contests.first_mut() {
            first.is_the_papers = true;
        }
        judgment
    }

    /// Writes the judgment into the folder of a run, before the older ones. A contest that the same judge has
    /// now judged again is removed from the older ones. All older ones are removed if the policy was trained
    /// further after them.
    ///
    /// # Errors
    /// Fails when the older judgments cannot be read, or when the operating system refuses to write.
    pub fn write(self, run: &Path) -> Result<()> {
        let mut before = if is_older_than_training(run) { Vec::new() } else { judgments(run)? };
        for judgment in before.iter_mut().filter(|judgment| is_same_judge(&judgment.by, &self.by)) {
            judgment.contests.retain(|old| !self.contests.iter().any(|new| new.is_between_those_of(old)));
        }
        before.retain(|judgment| !judgment.contests.is_empty());
        before.insert(0, self);
        let json = serde_json::to_vec_pretty(&before).map_err(json::not_written)?;
        files::write_atomically(&run.join(JUDGMENT_FILE), &json)
    }

    fn to_contestants(&self) -> Contestants {
        let labeler = self.contests.first().map_or_else(String::new, |contest| contest.win_rate.labeler.clone());
        Contestants { labeler, standings: self.contestants.clone() }
    }
}

/// Checks whether two descriptions are of the same judge: by the contents of its files, not by their paths.
fn is_same_judge(one: &str, other: &str) -> bool {
    let known_by = |by: &str| -> (String, Vec<String>) {
        let is_sha256 = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let contents: Vec<String> = by.split_whitespace().filter(|word| is_sha256(word)).map(String::from).collect();
        let kind = by.split_whitespace().take(if contents.is_empty() { usize::MAX } else { 2 });
        (kind.collect::<Vec<_>>().join(" "), contents)
    };
    known_by(one) == known_by(other)
}

/// Checks that a judgment can be added to those of a run.
///
/// # Errors
/// Fails when the judgments that are there cannot be read.
pub fn check_judgments(run: &Path) -> Result<()> {
    judgments(run).map(drop)
}

/// Reads the judgments of a run, the latest first.
fn judgments(run: &Path) -> Result<Vec<Judgment>> {
    let path = run.join(JUDGMENT_FILE);
    if !files::exists(&path)? {
        return Ok(Vec::new());
    }
    let json = files::read(&path)?;
    json::from_slice(&json).map_err(|error| {
        let is_newer = serde_json::from_slice::<Vec<serde_json::Value>>(&json)
            .is_ok_and(|all| all.iter().any(|one| FormatVersion::fault_in(one).is_some()));
        let hint = if is_newer { NEWER_HINT } else { "delete it, and write it anew with `preftune eval --run`" };
        Error::input(&path, format!("this file has no readable results of `eval`: {error}"), hint)
    })
}

impl RunReportInput {
    /// Reads what a run left: its settings, its metrics, those of its stages, and its judgments.
    ///
    /// # Errors
    /// [`Error::Input`] when the folder has none of these files, or when a file has the wrong content.
    pub fn of_run(run: &Path) -> Result<Self> {
        let metrics = Stage::folders().map(|folder| run.join(folder).join(METRICS_FILE));
        let parts = [run.join("config.toml"), run.join(JUDGMENT_FILE)].into_iter().chain(metrics);
        if !parts.into_iter().any(|part| part.exists()) {
            let hint = "name the folder that a command was given with --run, or the folder above its stages";
            return Err(Error::input(run, "no run is in this folder", hint));
        }
        refuse_newer(run)?;
        let settings_path = run.join("config.toml");
        let settings_text =
            if files::exists(&settings_path)? { files::read_text(&settings_path)? } else { String::new() };
        // A policy that was trained by its own command has its own settings.
        let Config { policy, task, .. } = match run.join(Stage::Policy.folder()).join("config.toml") {
            path if files::exists(&path)? => Config::of_run(&path, &files::read_text(&path)?)?,
            _ => Config::of_run(&run.join("config.toml"), &settings_text)?,
        };
        let own = metrics_of(run)?;
        let own_of =
            |stage: Stage| own.iter().filter(move |row| row.stage() == Some(stage)).cloned().collect::<Vec<_>>();
        let mut fits = fits_of(run)?;
        fits.retain(|(_, folder)| folder.join(METRICS_FILE).exists());
        let last_fit = fits.last().map_or_else(|| run.join(Stage::Reward.folder()), |(_, folder)| folder.clone());
        let reward_metrics = [metrics_of(&last_fit)?, own_of(Stage::Reward)].concat();
        let guessing = match guessing_of(&reward_metrics) {
            measured @ Some(_) => measured,
            None => guessing_of_comparisons(run)?,
        };
        let judgments = judgments(run)?;
        let Judgment { samples, environment, .. } = judgments.first().cloned().unwrap_or_default();
        Ok(Self {
            title: format!("preftune: {}", run.display()),
            policy_metrics: [metrics_of(&run.join(Stage::Policy.folder()))?, own_of(Stage::Policy)].concat(),
            reward_metrics,
            fits: fits.iter().map(last_measured).filter_map(Result::transpose).collect::<Result<_>>()?,
            supervised_metrics: [metrics_of(&run.join(Stage::Supervised.folder()))?, own_of(Stage::Supervised)]
                .concat(),
            kl_target: policy.kl.adaptive.then_some(policy.kl.target),
            updates: policy.updates,
            guessing,
            penalty: (!task.truncate_token.is_empty()).then_some(task.penalty_score),
            contests: judgments.iter().flat_map(|judgment| judgment.contests.clone()).collect(),
            contestants: judgments.iter().map(Judgment::to_contestants).collect(),
            is_older: is_older_than_training(run),
            stops: stops_of(run)?,
            samples,
            settings: settings_of_stages(run)?,
            environment,
        })
    }
}

/// Refuses a run, or a stage of one, that a newer version of the program began.
fn refuse_newer(run: &Path) -> Result<()> {
    for path in Stage::folders().map(|folder| run.join(folder).join(work::FILE)) {
        if !files::exists(&path)? {
            continue;
        }
        if let Some(fault) = fault_of(&files::read(&path)?) {
            return Err(Error::input(&path, fault, NEWER_HINT));
        }
    }
    Ok(())
}

/// Checks whether the policy was trained further after the last judgment.
fn is_older_than_training(run: &Path) -> bool {
    let changed = |file: &Path| std::fs::metadata(run.join(file)).and_then(|metadata| metadata.modified()).ok();
    let trained = ["", Stage::Policy.folder()].map(|folder| Path::new(folder).join(METRICS_FILE));
    let trained = trained.iter().filter_map(|file| changed(file)).max();
    changed(Path::new(JUDGMENT_FILE)).zip(trained).is_some_and(|(judged, trained)| judged < trained)
}

/// Reads the settings of the run, and of each stage that its own command began.
fn settings_of_stages(run: &Path) -> Result<String> {
    let mut texts = Vec::new();
    for folder in Stage::folders() {
        let path = run.join(folder).join("config.toml");
        if files::exists(&path)? {
            texts.push(format!("# {}\n\n{}", path.display(), files::read_text(&path)?));
        }
    }
    Ok(texts.join("\n"))
}

/// Returns the last held-out measurement of a reward model, with the update before its training as the step.
fn last_measured((update, folder): &(usize, PathBuf)) -> Result<Option<MetricsRow>> {
    let measured = metrics_of(folder)?.into_iter().rev().find(|row| row.get(Metric::HeldOutAccuracy).is_some());
    Ok(measured.map(|row| row.at(*update as f64)))
}

/// Returns the accuracy and the loss of guessing that the last training of a reward model recorded.
fn guessing_of(reward_metrics: &[MetricsRow]) -> Option<Guessing> {
    let last = |metric| reward_metrics.iter().rev().find_map(|row| row.get(metric));
    Some(Guessing { accuracy: last(Metric::Chance)?, loss: last(Metric::LossOfGuessing)? })
}

/// Computes the accuracy and the loss of guessing from the run's comparisons, if it has any. Older runs did
/// not record them.
fn guessing_of_comparisons(run: &Path) -> Result<Option<Guessing>> {
    let path = run.join("comparisons.jsonl");
    let mut counts = Vec::new();
    if files::exists(&path)? {
        files::refuse_pipe_or_device(&path)?;
        // Entries are read one at a time, because a file of labels may be large.
        for preference in PreferenceReader::new(Entries::new(files::open_buffered(&path)?, &path), None) {
            match preference? {
                Preference::Chosen(one) => counts.push(Some(one.responses.len() as f64)),
                Preference::TakenBack(number) => counts.iter_mut().skip(number).take(1).for_each(|count| *count = None),
            }
        }
    }
    let of_each = |of: fn(f64) -> f64| -> Vec<f64> { counts.iter().flatten().map(|&count| of(count)).collect() };
    let (accuracy, loss) = (mean(&of_each(f64::recip)), mean(&of_each(f64::ln)));
    Ok(accuracy.zip(loss).map(|(accuracy, loss)| Guessing { accuracy, loss }))
}

/// Reads from `events.jsonl` why the run or a stage stopped, each time.
fn stops_of(run: &Path) -> Result<Vec<String>> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(run).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders.insert(0, run.into());
    let mut stops = Vec::new();
    for path in folders.iter().map(|folder| folder.join("events.jsonl")) {
        if !files::exists(&path)? {
            continue;
        }
        for (line, number) in files::read_text(&path)?.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
            let event = serde_json::from_str::<serde_json::Value>(line).unwrap_or_default();
            if let Some(fault) = FormatVersion::fault_in(&event) {
                return Err(Error::line(&path, number, fault, NEWER_HINT));
            }
            match event.get("stopped").and_then(|why| why.as_str()) {
                Some(why) => stops.push(why.to_string()),
                // A crash may have left an incomplete line.
                None => {
                    tracing::warn!("{}:{number}: left out, because it does not say why a run stopped", path.display())
                }
            }
        }
    }
    Ok(stops)
}

fn metrics_of(folder: &Path) -> Result<Vec<MetricsRow>> {
    let path = folder.join(METRICS_FILE);
    if files::exists(&path)? { metrics::read_metrics(&path) } else { Ok(Vec::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Interval;

    fn judgment(baselines: &[&str], labeler: &str, wins: usize) -> Judgment {
        let contest = |baseline: &&str| Contest {
            candidate: "tuned".into(),
            baseline: (*baseline).into(),
            win_rate: WinRate {
                labeler: labeler.into(),
                wins,
                rate: wins as f64 / 100.0,
                low: 0.0,
                high: 1.0,
                pairs: 100,
                losses: 100 - wins,
                ties: 0,
                first_shown_rate: 0.5,
                first_shown: Interval { low: 0.4, high: 0.6 },
                judged: Vec::new(),
            },
            pairs: Vec::new(),
            candidate_scores: Vec::new(),
            baseline_scores: Vec::new(),
        };
        let standing = |name: &&str| Standing {
            name: (*name).into(),
            kl: wins as f64,
            score: None,
            valid: None,
            variety: None,
            bits_per_byte: None,
        };
        let standings = ["tuned"].iter().chain(baselines).map(standing).collect();
        let judged = TournamentResult { standings, contests: baselines.iter().map(contest).collect(), queries: 100 };
        Judgment::new(&judged, format!("{labeler} of the test"), Vec::new())
    }

    #[test]
    fn a_run_that_a_newer_version_began_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("policy")).unwrap();
        std::fs::write(folder.path().join("metrics.jsonl"), "").unwrap();
        std::fs::write(folder.path().join("policy/run.json"), "{\"version\":2}").unwrap();
        let error = RunReportInput::of_run(folder.path()).err().unwrap();
        assert!(error.to_string().contains("run.json: written by a newer preftune"), "{error}");
    }

    #[test]
    fn judgments_by_others_and_of_others_stay_until_the_policy_is_trained_on() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let kept = || -> Vec<(String, usize, usize)> {
            let parts = |one: Judgment| (one.by, one.contests.len(), one.contests.first().unwrap().win_rate.wins);
            judgments(run).unwrap().into_iter().map(parts).collect()
        };
        let expected = |all: &[(&str, usize, usize)]| -> Vec<(String, usize, usize)> {
            all.iter().map(|(by, contests, wins)| (format!("{by} of the test"), *contests, *wins)).collect()
        };
        judgment(&["old", "sft"], "people", 60).write(run).unwrap();
        judgment(&["old"], "simulated", 90).write(run).unwrap();
        judgment(&["old"], "people", 70).write(run).unwrap();
        judgment(&["old"], "simulated", 91).write(run).unwrap();
        assert_eq!(kept(), expected(&[("simulated", 1, 91), ("people", 1, 70), ("people", 1, 60)]));
        // The judgment with one more baseline replaces both earlier ones of people, so that no contest appears twice.
        judgment(&["old", "sft", "best"], "people", 80).write(run).unwrap();
        assert_eq!(kept(), expected(&[("people", 3, 80), ("simulated", 1, 91)]));

        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        std::fs::File::create(run.join("metrics.jsonl")).unwrap().set_modified(later).unwrap();
        judgment(&["old"], "simulated", 50).write(run).unwrap();
        assert_eq!(kept(), expected(&[("simulated", 1, 50)]));

        files::write_atomically(&run.join(JUDGMENT_FILE), b"{}").unwrap();
        let fresh = tempfile::tempdir().unwrap();
        files::write_atomically(&fresh.path().join(JUDGMENT_FILE), b"{}").unwrap();
        let error = judgment(&["old"], "simulated", 50).write(fresh.path()).unwrap_err();
        assert!(error.to_string().contains("judgment.json: this file has no readable results of `eval`"), "{error}");
    }

    #[test]
    fn a_policy_of_its_own_has_settings_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let write = |name: &str, text: &str| {
            files::create_folder_of(&run.join(name)).unwrap();
            files::write_atomically(&run.join(name), text.as_bytes()).unwrap();
        };
        write("config.toml", "[policy]\nupdates = 60\n");
        write("policy/config.toml", "[policy]\nupdates = 20\nkl.target = 7.0\n");
        let input = RunReportInput::of_run(run).unwrap();
        assert_eq!((input.updates, input.kl_target), (20, Some(7.0)));
    }

    #[test]
    fn guessing_is_what_the_comparisons_say_and_not_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path();
        let guessing = || RunReportInput::of_run(run).unwrap().guessing;
        let write = |name: &str, text: &str| files::write_atomically(&run.join(name), text.as_bytes()).unwrap();
        write("config.toml", "[labels]\nresponses_per_query = 4\n");
        let older = "{\"step\":8,\"reward/loss\":0.7,\"reward/held_out_accuracy\":0.5}\n";
        write("metrics.jsonl", older);
        assert_eq!(guessing(), None, "not known");
        let line = |id: &str, responses: &str| {
            format!(
                "{{\"id\":\"{id}\",\"query\":\"a\",\"responses\":{responses},\"best\":0,\"labeler\":\"x\",\"order\":[0,1]}}\n"
            )
        };
        write("comparisons.jsonl", &line("1", r#"["b","c"]"#));
        assert_eq!(guessing(), Some(Guessing { accuracy: 0.5, loss: 2f64.ln() }));
        let measured = "{\"step\":9,\"reward/chance\":0.375,\"reward/loss_of_guessing\":1.04}\n";
        write("metrics.jsonl", &format!("{older}{measured}"));
        assert_eq!(guessing(), Some(Guessing { accuracy: 0.375, loss: 1.04 }));
    }

    #[test]
    fn a_judgment_with_a_number_that_was_not_finite_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut judged = judgment(&["old"], "simulated", 50);
        judged.contestants.iter_mut().for_each(|standing| standing.kl = f64::NAN);
        judged.write(folder.path()).unwrap();
        assert!(judgments(folder.path()).unwrap()[0].contestants.iter().all(|standing| standing.kl.is_nan()));
    }
}
