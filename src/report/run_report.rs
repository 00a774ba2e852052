//! The choice of charts in the report of a run.

use super::reward_charts::{accuracy_by_round_chart, accuracy_chart, loss_chart};
use super::run_report_input::{RunReportInput, has_penalties, series};
use super::summary::{key_figures, summary};
use super::text::percent;
use super::{Chart, IntervalChart, Report, Verdict};
use crate::eval::WinRate;
use crate::labels::describe_labeler;
use crate::run::Metric;

/// Win rate of the paper's sentiment policy (5,000 labels, offline) against the model before tuning, judged
/// by people.
const PAPER_WIN_RATE: f64 = 0.88;

/// Builds the report of one run.
pub fn run_report(input: &RunReportInput) -> Report {
    let charts = [
        score_chart(input),
        valid_chart(input),
        variety_chart(input),
        kl_chart(input),
        kl_coefficient_chart(input),
        loss_chart(input),
        accuracy_chart(input),
        accuracy_by_round_chart(input),
        supervised_chart(input),
    ];
    Report {
        title: input.title.clone(),
        summary: summary(input),
        key_figures: key_figures(input),
        charts: charts.into_iter().filter(Chart::has_points).collect(),
        win_rates: win_rate_charts(input),
        contestants: input.contestants.clone(),
        samples: input.samples.clone(),
        penalty: input.penalty,
        settings: input.settings.clone(),
        environment: input.environment.clone(),
    }
}

fn score_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "Score of the policy's responses".into(),
        x_label: "update".into(),
        y_label: if has_penalties(input) { "mean score with penalties" } else { "mean score" }.into(),
        series: series(
            &input.policy_metrics,
            &[("score", Metric::Score, 1.0), ("less the KL penalty", Metric::ScoreTotal, 1.0)],
        ),
        ..Chart::default()
    }
}

/// Charts the share of valid responses, which the reward model scored, if the others have the penalty for their
/// score.
fn valid_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "Valid responses".into(),
        x_label: "update".into(),
        y_label: "% of responses".into(),
        series: match has_penalties(input) {
            true => series(&input.policy_metrics, &[("valid", Metric::ValidResponses, 100.0)]),
            false => Vec::new(),
        },
        ..Chart::default()
    }
}

/// Charts how far the responses of an update differ from each other.
fn variety_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "Variety of the responses".into(),
        x_label: "update".into(),
        y_label: "distinct, % of all".into(),
        series: series(
            &input.policy_metrics,
            &[
                ("distinct bigrams", Metric::DistinctBigrams, 100.0),
                ("distinct responses", Metric::DistinctResponses, 100.0),
            ],
        ),
        ..Chart::default()
    }
}

fn kl_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "KL from the reference".into(),
        x_label: "update".into(),
        y_label: "nats per response".into(),
        series: series(&input.policy_metrics, &[("KL", Metric::Kl, 1.0)]),
        reference_lines: input.kl_target.map(|target| (format!("target {target}"), target)).into_iter().collect(),
    }
}

fn kl_coefficient_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "KL coefficient β".into(),
        x_label: "update".into(),
        y_label: "score per nat".into(),
        series: series(&input.policy_metrics, &[("β", Metric::KlCoefficient, 1.0)]),
        ..Chart::default()
    }
}

fn supervised_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "Next-token training: loss".into(),
        x_label: "step".into(),
        y_label: "cross-entropy, nats per token".into(),
        series: series(
            &input.supervised_metrics,
            &[("held out", Metric::HeldOutLoss, 1.0), ("training", Metric::TrainingLoss, 1.0)],
        ),
        ..Chart::default()
    }
}

fn win_rate_charts(input: &RunReportInput) -> Vec<IntervalChart> {
    let chart = |Verdict { candidate, baseline, win_rate, queries, is_the_papers }: &Verdict| {
        let WinRate { labeler, first_shown_rate, first_shown, .. } = win_rate;
        let mut reference_lines = vec![("even 50%".into(), 0.5)];
        let mut note = format!(
            "Judged blind by {}. The response shown first was preferred in {} ({} to {}).",
            describe_labeler(labeler),
            percent(*first_shown_rate),
            percent(first_shown.low),
            percent(first_shown.high)
        );
        if *queries < win_rate.pairs {
            note += &format!(
                " Only {queries} different queries were used for {} pairs, so the true interval is wider.",
                win_rate.pairs
            );
        }
        if *is_the_papers {
            reference_lines.push(("paper 88%".into(), PAPER_WIN_RATE));
            note += " The paper's 88% are people's choices for its sentiment policy, a larger model.";
        }
        IntervalChart {
            title: format!("{candidate}, preferred to {baseline}"),
            rate: win_rate.rate,
            low: win_rate.low,
            high: win_rate.high,
            wins: win_rate.wins,
            ties: win_rate.ties,
            losses: win_rate.losses,
            reference_lines,
            note,
        }
    };
    input.contests.iter().map(chart).collect()
}

#[cfg(test)]
mod tests {
    use super::super::run_report_input::Guessing;
    use super::*;
    use crate::run::MetricsRow;

    fn row(step: f64, values: &[(Metric, f64)]) -> MetricsRow {
        MetricsRow::new(step, values.iter().copied())
    }

    const GUESSING: Guessing = Guessing { accuracy: 0.25, loss: 1.386 };

    #[test]
    fn a_reward_model_that_may_be_guessing_is_called_so() {
        let summary = |accuracy: f64, comparisons: f64| {
            let measured =
                [(Metric::HeldOutAccuracy, accuracy), (Metric::HeldOutComparisons, comparisons), (Metric::Chance, 0.5)];
            let input = RunReportInput { reward_metrics: vec![row(10.0, &measured)], ..RunReportInput::default() };
            let report = run_report(&input);
            let [chart] = report.charts.as_slice() else { panic!("one chart: {:?}", report.charts) };
            assert_eq!(chart.series.len(), 3, "with the ends of the interval");
            (report.summary, report.key_figures.first().unwrap().note.clone())
        };
        let (said, note) = summary(0.6, 10.0);
        assert!(
            said.contains("in 60% of the 10 comparisons") && said.contains("(95% interval 31.3% to 83.2%)"),
            "{said}"
        );
        assert!(
            said.contains("guessing would find it in 50%") && said.contains("cannot be told from guessing"),
            "{said}"
        );
        assert!(note.contains("cannot be told from guessing"), "{note}");
        let (said, note) = summary(0.6, 1000.0);
        assert!(!said.contains("cannot be told") && note.contains("56.9% to 63%"), "{said} {note}");
    }

    #[test]
    fn a_score_of_penalties_is_not_called_the_reward_models() {
        let input = |valid: [f64; 2]| RunReportInput {
            policy_metrics: [1.0, 2.0]
                .into_iter()
                .zip(valid)
                .map(|(step, valid)| row(step, &[(Metric::Score, -valid), (Metric::ValidResponses, valid)]))
                .collect(),
            penalty: Some(-1.0),
            ..RunReportInput::default()
        };
        let report = run_report(&input([0.26, 0.55]));
        assert!(
            report.summary.contains("The share of valid responses (")
                && report.summary.contains("went from 26% to 55%"),
            "{}",
            report.summary
        );
        assert!(report.charts.iter().any(|chart| chart.title == "Valid responses"));
        let report = run_report(&input([0.3, 0.0]));
        assert!(report.summary.contains("In the last update no response was valid"), "{}", report.summary);
        let report = run_report(&input([1.0, 1.0]));
        assert!(!report.summary.contains("valid") && report.charts.iter().all(|chart| !chart.title.contains("Valid")));
    }

    #[test]
    fn the_summary_says_what_the_numbers_say() {
        let input = RunReportInput {
            title: "storyteller".into(),
            policy_metrics: vec![
                row(1.0, &[(Metric::Score, 0.02), (Metric::Kl, 0.0)]),
                row(2.0, &[(Metric::Score, 2.71), (Metric::Kl, 5.9)]),
                row(3.0, &[(Metric::Score, f64::NAN), (Metric::Kl, f64::NAN)]),
            ],
            reward_metrics: vec![row(10.0, &[(Metric::HeldOutAccuracy, 0.625)])],
            guessing: Some(GUESSING),
            kl_target: Some(6.0),
            ..RunReportInput::default()
        };
        let report = run_report(&input);
        assert!(
            report.summary.contains("62.5%") && report.summary.contains("from 0.020 to 2.71"),
            "{}",
            report.summary
        );
        assert!(report.summary.contains("5.90 nats"));
        let titles: Vec<_> = report.charts.iter().map(|chart| chart.title.as_str()).collect();
        assert_eq!(titles, ["Score of the policy's responses", "KL from the reference", "Reward model: accuracy"]);
    }

    #[test]
    fn accuracy_is_shown_in_percent_beside_chance() {
        let input = RunReportInput {
            reward_metrics: vec![row(10.0, &[(Metric::HeldOutAccuracy, 0.5)])],
            guessing: Some(GUESSING),
            ..RunReportInput::default()
        };
        let report = run_report(&input);
        let [chart] = report.charts.as_slice() else { panic!("one chart: {:?}", report.charts) };
        assert_eq!(chart.series.first().unwrap().points, [(10.0, 50.0)]);
        assert_eq!(chart.reference_lines, [("guessing 25%".to_string(), 25.0)]);
    }

    #[test]
    fn rounds_are_shown_beside_each_other_where_there_are_several() {
        let fit = |update, accuracy| row(update, &[(Metric::HeldOutAccuracy, accuracy)]);
        let titles = |fits: &[MetricsRow]| {
            let input = RunReportInput { fits: fits.to_vec(), ..RunReportInput::default() };
            run_report(&input).charts.into_iter().map(|chart| chart.title).collect::<Vec<_>>()
        };
        assert!(titles(&[fit(0.0, 0.5)]).is_empty());
        assert_eq!(titles(&[fit(0.0, 0.5), fit(20.0, 0.6)]), ["Reward model of each round: accuracy"]);
    }

    #[test]
    fn a_run_without_numbers_claims_nothing() {
        let report = run_report(&RunReportInput { title: "new".into(), ..RunReportInput::default() });
        assert_eq!(report, Report { title: "new".into(), ..Report::default() });
    }
}
