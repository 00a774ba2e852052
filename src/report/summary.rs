//! Sentences and numbers at the top of a run's report.

use super::reward_charts::held_out_of;
use super::run_report_input::{RunReportInput, has_penalties, points};
use super::text::{number, percent};
use super::{KeyFigure, Verdict};
use crate::eval::WinRate;
use crate::labels::describe_labeler;
use crate::reward::HeldOutAccuracy;
use crate::run::{Metric, MetricsRow};
use crate::statistics::Interval;

/// Summarizes the parts that the run has, in plain sentences.
pub(super) fn summary(input: &RunReportInput) -> String {
    let sentences = [
        reward_model_sentence(input),
        score_sentence(input),
        penalty_sentence(input),
        kl_sentence(input),
        stops_sentence(input),
        win_rate_sentence(input),
    ];
    sentences.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn reward_model_sentence(input: &RunReportInput) -> Option<String> {
    let Some(held_out) = held_out(input) else {
        let guessing =
            input.guessing.map(|guessing| format!("; guessing would find it in {}", percent(guessing.accuracy)));
        return Some(format!(
            "The reward model finds the preferred response in {} of the comparisons held out from its training{}.",
            percent(reward_model_accuracy(input)?),
            guessing.unwrap_or_default()
        ));
    };
    let Interval { low, high } = held_out.interval();
    let verdict = if held_out.may_be_guessing() { " It cannot be told from guessing." } else { "" };
    Some(format!(
        "The reward model finds the preferred response in {} of the {} comparisons held out from its training (95% interval {} to {}); guessing would find it in {}.{verdict}",
        percent(held_out.accuracy),
        held_out.comparisons,
        percent(low),
        percent(high),
        percent(held_out.chance)
    ))
}

fn score_sentence(input: &RunReportInput) -> Option<String> {
    let ((first_step, first), (last_step, last)) = first_and_last(&input.policy_metrics, Metric::Score)?;
    let [first, last] = [first, last].map(number);
    let what = match has_penalties(input) {
        true => "the mean score of the policy's responses, penalties included,",
        false => "the mean score of the policy's responses",
    };
    Some(match (last_step as usize) < input.updates {
        _ if first_step == last_step => format!("At update {first_step} {what} was {last}."),
        true => format!("Up to update {last_step} of {} {what} went from {first} to {last}.", input.updates),
        false => format!("From update {first_step} to update {last_step} {what} went from {first} to {last}."),
    })
}

/// Says how many responses the reward model scored, if the others have the penalty.
fn penalty_sentence(input: &RunReportInput) -> Option<String> {
    let ((_, first), (_, last)) =
        has_penalties(input).then(|| first_and_last(&input.policy_metrics, Metric::ValidResponses))??;
    let penalty = input.penalty.map_or_else(String::new, |penalty| format!(" of {}", number(penalty)));
    Some(match last {
        0.0 => format!(
            "In the last update no response was valid (had the truncate token where it counts): every score is the penalty{penalty}, and the reward model had no effect."
        ),
        _ => format!(
            "The share of valid responses (those with the truncate token where it counts) went from {} to {}; the others got the penalty{penalty}.",
            percent(first),
            percent(last)
        ),
    })
}

fn kl_sentence(input: &RunReportInput) -> Option<String> {
    let (_, (step, kl)) = first_and_last(&input.policy_metrics, Metric::Kl)?;
    // Before the first update, the policy is the reference, up to rounding.
    let kl = number(if kl.abs() < 0.005 { 0.0 } else { kl });
    Some(format!(
        "In the rollout of update {step}, the policy was {kl} nats per response away from the reference it started from."
    ))
}

fn stops_sentence(input: &RunReportInput) -> Option<String> {
    let last = input.stops.last()?;
    let why = match last.strip_prefix("stopped, because ") {
        Some(why) => format!("because {why}"),
        None => format!("when {last}"),
    };
    Some(match input.stops.len() {
        1 => format!("The run stopped once before its end, {why}."),
        times => format!("The run stopped {times} times before its end, the last time {why}."),
    })
}

fn win_rate_sentence(input: &RunReportInput) -> Option<String> {
    let Verdict { candidate, baseline, win_rate, .. } = input.contests.first()?;
    let WinRate { labeler, rate, low, high, pairs, .. } = win_rate;
    let judge = describe_labeler(labeler);
    let older = if input.is_older {
        " This was measured before the last updates; run `preftune eval --run` to judge again."
    } else {
        ""
    };
    let verdict = if (*low..=*high).contains(&0.5) { " This does not differ measurably from 50%." } else { "" };
    Some(format!(
        "In {pairs} blind comparisons with responses of \"{baseline}\", {judge} preferred those of \"{candidate}\" in {} (95% interval {} to {}, a tie counting one half).{verdict}{older}",
        percent(*rate),
        percent(*low),
        percent(*high)
    ))
}

/// Returns the most important numbers that the run has.
pub(super) fn key_figures(input: &RunReportInput) -> Vec<KeyFigure> {
    [win_rate_figure(input), score_figure(input), kl_figure(input), accuracy_figure(input)]
        .into_iter()
        .flatten()
        .collect()
}

fn win_rate_figure(input: &RunReportInput) -> Option<KeyFigure> {
    let win_rate = &input.contests.first()?.win_rate;
    Some(KeyFigure {
        label: "Win rate".into(),
        value: percent(win_rate.rate),
        note: format!(
            "{} to {} (95%), by {}",
            percent(win_rate.low),
            percent(win_rate.high),
            describe_labeler(&win_rate.labeler)
        ),
    })
}

fn score_figure(input: &RunReportInput) -> Option<KeyFigure> {
    let ((_, first), (_, last)) = first_and_last(&input.policy_metrics, Metric::Score)?;
    let valid = first_and_last(&input.policy_metrics, Metric::ValidResponses).filter(|_| has_penalties(input));
    let penalties = valid.map_or_else(String::new, |(_, (_, valid))| {
        format!("; {} of the responses were valid, the others got the penalty", percent(valid))
    });
    Some(KeyFigure {
        label: "Score, last update".into(),
        value: number(last),
        note: format!("at the start {}{penalties}", number(first)),
    })
}

fn kl_figure(input: &RunReportInput) -> Option<KeyFigure> {
    let (_, (_, last)) = first_and_last(&input.policy_metrics, Metric::Kl)?;
    let target = input.kl_target.map(|target| format!(", target {target}"));
    Some(KeyFigure {
        label: "KL, last update".into(),
        value: number(last),
        note: format!("nats per response{}", target.unwrap_or_default()),
    })
}

fn accuracy_figure(input: &RunReportInput) -> Option<KeyFigure> {
    let note = match held_out(input) {
        None => {
            let guessing = input.guessing.map(|guessing| format!("; guessing {}", percent(guessing.accuracy)));
            format!("held out{}", guessing.unwrap_or_default())
        }
        Some(held_out) => {
            let Interval { low, high } = held_out.interval();
            let verdict = if held_out.may_be_guessing() { "; cannot be told from guessing" } else { "" };
            let [low, high, chance] = [low, high, held_out.chance].map(percent);
            format!("{low} to {high} (95%), {} held out; guessing {chance}{verdict}", held_out.comparisons)
        }
    };
    Some(KeyFigure { label: "Reward model accuracy".into(), value: percent(reward_model_accuracy(input)?), note })
}

/// Returns the last held-out accuracy of the reward model with what its confidence interval needs.
fn held_out(input: &RunReportInput) -> Option<HeldOutAccuracy> {
    input.reward_metrics.iter().rev().find(|row| row.get(Metric::HeldOutAccuracy).is_some()).and_then(held_out_of)
}

/// Returns the accuracy on held-out comparisons after training, in 0..=1.
fn reward_model_accuracy(input: &RunReportInput) -> Option<f64> {
    let (_, (_, accuracy)) = first_and_last(&input.reward_metrics, Metric::HeldOutAccuracy)?;
    Some(accuracy)
}

/// Returns the first and the last finite value of a metric, each with its step.
fn first_and_last(rows: &[MetricsRow], metric: Metric) -> Option<((f64, f64), (f64, f64))> {
    let finite = || points(rows, metric).filter(|(_, value)| value.is_finite());
    Some((finite().next()?, finite().next_back()?))
}
