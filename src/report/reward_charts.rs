//! Charts of the reward model, compared with guessing.

use super::run_report_input::{Guessing, RunReportInput, series};
use super::text::{number, percent};
use super::{Chart, Series};
use crate::reward::HeldOutAccuracy;
use crate::run::{Metric, MetricsRow};
use crate::statistics::Interval;

pub(super) fn loss_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "Reward model: loss".into(),
        x_label: "step".into(),
        y_label: "cross-entropy, nats".into(),
        series: series(&input.reward_metrics, &[("training", Metric::RewardLoss, 1.0)]),
        reference_lines: guessing_line(input, |guessing| guessing.loss, number),
    }
}

pub(super) fn accuracy_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "Reward model: accuracy".into(),
        x_label: "step".into(),
        y_label: "best response found, %".into(),
        series: [
            series(
                &input.reward_metrics,
                &[("held out", Metric::HeldOutAccuracy, 100.0), ("training", Metric::RewardAccuracy, 100.0)],
            ),
            interval_series(&input.reward_metrics),
        ]
        .concat(),
        reference_lines: chance_line(input),
    }
}

/// Returns a line at the accuracy or the loss of guessing, if that is known.
fn guessing_line(input: &RunReportInput, value: fn(&Guessing) -> f64, shown: fn(f64) -> String) -> Vec<(String, f64)> {
    input.guessing.iter().map(value).map(|value| (format!("guessing {}", shown(value)), value)).collect()
}

fn chance_line(input: &RunReportInput) -> Vec<(String, f64)> {
    guessing_line(input, |guessing| 100.0 * guessing.accuracy, |percentage| percent(percentage / 100.0))
}

/// Returns the held-out accuracy of a row, if the row has the number of comparisons, which older rows lack.
pub(super) fn held_out_of(row: &MetricsRow) -> Option<HeldOutAccuracy> {
    Some(HeldOutAccuracy {
        accuracy: row.get(Metric::HeldOutAccuracy)?,
        comparisons: row.get(Metric::HeldOutComparisons)? as usize,
        chance: row.get(Metric::Chance)?,
    })
}

/// Returns the two ends of the 95% confidence interval around the held-out accuracy, as series.
fn interval_series(rows: &[MetricsRow]) -> Vec<Series> {
    let series = |name: &str, end: fn(Interval) -> f64| Series {
        name: name.into(),
        points: rows.iter().filter_map(|row| Some((row.step, 100.0 * end(held_out_of(row)?.interval())))).collect(),
    };
    let ends = [series("95% interval from", |interval| interval.low), series("to", |interval| interval.high)];
    ends.into_iter().filter(|series| !series.points.is_empty()).collect()
}

pub(super) fn accuracy_by_round_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "Reward model of each round: accuracy".into(),
        x_label: "updates before it was trained".into(),
        y_label: "best response found, %".into(),
        series: match input.fits.len() {
            0 | 1 => Vec::new(),
            _ => [
                series(&input.fits, &[("held out", Metric::HeldOutAccuracy, 100.0)]),
                interval_series(&input.fits),
                series(&input.fits, &[("guessing", Metric::Chance, 100.0)]),
            ]
            .concat(),
        },
        ..Chart::default()
    }
}
