//! Results of contests, as tables and as JSON.

use serde::Serialize;

use crate::data::LeftOut;
use crate::eval::{Contest, Standing, TournamentResult};
use crate::labels::describe_labeler;
use crate::task::Variety;

/// Results of all contests of an evaluation.
#[derive(Serialize)]
pub(super) struct Standings {
    pub labeler: String,
    /// Number of different queries in the pairs.
    queries: usize,
    contestants: Vec<Standing>,
    contests: Vec<Outcome>,
    /// Counts of the queries that were left out or shortened.
    left_out: LeftOut,
}

#[derive(Serialize)]
struct Outcome {
    candidate: String,
    baseline: String,
    win_rate: f64,
    win_rate_low: f64,
    win_rate_high: f64,
    pairs: usize,
    wins: usize,
    losses: usize,
    ties: usize,
    first_shown_rate: f64,
    first_shown_low: f64,
    first_shown_high: f64,
}

impl Standings {
    pub(super) fn of(judged: &TournamentResult, left_out: LeftOut) -> Self {
        let outcome = |Contest { candidate, baseline, win_rate, .. }: &Contest| Outcome {
            candidate: candidate.clone(),
            baseline: baseline.clone(),
            win_rate: win_rate.rate,
            win_rate_low: win_rate.low,
            win_rate_high: win_rate.high,
            pairs: win_rate.pairs,
            wins: win_rate.wins,
            losses: win_rate.losses,
            ties: win_rate.ties,
            first_shown_rate: win_rate.first_shown_rate,
            first_shown_low: win_rate.first_shown.low,
            first_shown_high: win_rate.first_shown.high,
        };
        let TournamentResult { standings, contests, queries } = judged;
        Self {
            labeler: contests.first().map_or_else(String::new, |contest| contest.win_rate.labeler.clone()),
            queries: *queries,
            contestants: standings.clone(),
            contests: contests.iter().map(outcome).collect(),
            left_out,
        }
    }

    /// Formats two tables: the results of the contests, and KL and score of each contestant.
    pub(super) fn to_text(&self) -> String {
        let percent = |rate: f64| format!("{:.1}%", 100.0 * rate);
        let interval = |low: f64, high: f64| format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high);
        let contest = |one: &Outcome| {
            vec![
                one.candidate.clone(),
                one.baseline.clone(),
                percent(one.win_rate),
                interval(one.win_rate_low, one.win_rate_high),
                one.pairs.to_string(),
                one.ties.to_string(),
                percent(one.first_shown_rate),
                interval(one.first_shown_low, one.first_shown_high),
            ]
        };
        let heading = ["", "against", "preferred", "95% interval", "pairs", "ties", "first shown", "95% interval"];
        let contests = table(&heading, 2, &self.contests.iter().map(contest).collect::<Vec<_>>());
        let read = self.contestants.iter().any(|one| one.bits_per_byte.is_some());
        let scored = self.contestants.iter().any(|one| one.score.is_some());
        let contestant = |one: &Standing| {
            // The reference has a KL of 0 from itself, but for rounding, which may give it either sign.
            let kl = format!("{:.2}", if one.kl.abs() < 0.005 { 0.0 } else { one.kl });
            let score = one.score.map_or_else(String::new, |score| format!("{score:.2}"));
            let penalized = one.valid.map_or_else(String::new, |valid| percent(1.0 - valid));
            let scores = if scored { vec![score, penalized] } else { Vec::new() };
            let of_variety =
                |share: fn(&Variety) -> f64| one.variety.as_ref().map_or_else(String::new, |v| percent(share(v)));
            let variety = [of_variety(|v| v.distinct_bigrams), of_variety(|v| v.distinct_responses)];
            let bits = if read {
                vec![one.bits_per_byte.map_or_else(String::new, |bits| format!("{bits:.2}"))]
            } else {
                Vec::new()
            };
            [&[one.name.clone(), kl][..], &scores, &variety, &bits].concat()
        };
        let scores: &[&str] = if scored { &["score", "penalized"] } else { &[] };
        let bits: &[&str] = if read { &["bits per byte"] } else { &[] };
        let heading = [&["", "KL"], scores, &["distinct bigrams", "distinct responses"], bits].concat();
        let contestants = table(&heading, 1, &self.contestants.iter().map(contestant).collect::<Vec<_>>());
        let Self { labeler, queries, .. } = self;
        let (judge, noun) = (describe_labeler(labeler), if *queries == 1 { "query" } else { "queries" });
        format!("{contests}\njudged by {judge} on {queries} {noun}; a tie counts half\n\n{contestants}")
    }
}

/// Formats a table whose first `words` columns are aligned to the left and whose other columns to the right.
fn table(heading: &[&str], words: usize, rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = heading.iter().map(|name| (*name).into()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&heading).chain(rows).collect();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let line = |cells: &&Vec<String>| {
        let cell = |(column, cell): (usize, &String)| match column < words {
            true => format!("{cell:<width$}", width = width(column)),
            false => format!("{cell:>width$}", width = width(column)),
        };
        cells.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_words_begin_and_columns_of_numbers_end_in_one_place() {
        let rows = [["tuned", "storyteller", "97.9%"], ["ä", "b", "5.0%"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(String::from).to_vec()).collect();
        let text = table(&["", "against", "preferred"], 2, &rows);
        assert_eq!(text, "       against      preferred\ntuned  storyteller      97.9%\nä      b                 5.0%");
    }
}
