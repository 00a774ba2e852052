//! Charts of the reward model, beside guessing.

use super::run_report_input::{Guessing, MetricsRow, RunReportInput, series};
use super::text::{number, percent};
use super::{Chart, Series};
use crate::reward::HeldOutAccuracy;
use crate::statistics::Interval;

pub(super) fn loss_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "Reward model: loss".into(),
        x_label: "step".into(),
        y_label: "cross-entropy, nats".into(),
        series: series(&input.reward_metrics, &[("training", "reward/loss", 1.0)]),
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
                &[("held out", "reward/held_out_accuracy", 100.0), ("training", "reward/accuracy", 100.0)],
            ),
            interval_series(&input.reward_metrics),
        ]
        .concat(),
        reference_lines: chance_line(input),
    }
}

/// A line at what guessing comes to, where that is known.
fn guessing_line(input: &RunReportInput, value: fn(&Guessing) -> f64, shown: fn(f64) -> String) -> Vec<(String, f64)> {
    input.guessing.iter().map(value).map(|value| (format!("guessing {}", shown(value)), value)).collect()
}

fn chance_line(input: &RunReportInput) -> Vec<(String, f64)> {
    guessing_line(input, |guessing| 100.0 * guessing.accuracy, |percentage| percent(percentage / 100.0))
}

/// What a row measured on held-out comparisons, if it says on how many: older ones do not.
pub(super) fn held_out_of(row: &MetricsRow) -> Option<HeldOutAccuracy> {
    Some(HeldOutAccuracy {
        accuracy: *row.get("reward/held_out_accuracy")?,
        comparisons: *row.get("reward/held_out_comparisons")? as usize,
        chance: *row.get("reward/chance")?,
    })
}

/// The ends of the 95% interval around the held-out accuracy.
fn interval_series(rows: &[MetricsRow]) -> Vec<Series> {
    let series = |name: &str, end: fn(Interval) -> f64| Series {
        name: name.into(),
        points: rows
            .iter()
            .filter_map(|row| Some((*row.get("step")?, 100.0 * end(held_out_of(row)?.interval()))))
            .collect(),
    };
    let ends = [series("95% interval from", |interval| interval.low), series("to", |interval| interval.high)];
    ends.into_iter().filter(|series| !series.points.is_empty()).collect()
}

pub(super) fn accuracy_by_round_chart(input: &RunReportInput) -> Chart {
    Chart {
        title: "Reward model of each round: accuracy".into(),
        x_label: "updates before it was fitted".into(),
        y_label: "best response found, %".into(),
        series: match input.fits.len() {
            0 | 1 => Vec::new(),
            _ => [
                series(&input.fits, &[("held out", "reward/held_out_accuracy", 100.0)]),
                interval_series(&input.fits),
                series(&input.fits, &[("guessing", "reward/chance", 100.0)]),
            ]
            .concat(),
        },
        ..Chart::default()
    }
}
