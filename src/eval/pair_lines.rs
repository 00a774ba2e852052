//! Every pair with the labeler's choice, for other programs.

use serde::Serialize;

use super::contest::Contest;
use super::win_rate::{JudgedPair, Pair};
use crate::format_version::FormatVersion;

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    version: FormatVersion,
    /// Names of the models that wrote the two responses.
    models: Models<'a>,
    #[serde(flatten)]
    pair: &'a Pair,
    #[serde(flatten)]
    judged: &'a JudgedPair,
}

#[derive(Serialize)]
struct Models<'a> {
    candidate: &'a str,
    baseline: &'a str,
}

/// Returns JSONL of all contests: query, both responses, who wrote them, the outcome, and which was shown first.
pub fn pair_lines(contests: &[Contest]) -> String {
    let of_contest = |contest: &Contest| {
        let Contest { candidate, baseline, win_rate, pairs, .. } = contest;
        let line = |(pair, judged): (&Pair, &JudgedPair)| {
            // Cannot fail: serde_json refuses only keys that are not strings.
            serde_json::to_string(&Line {
                version: FormatVersion,
                models: Models { candidate, baseline },
                pair,
                judged,
            })
            .unwrap_or_default()
                + "\n"
        };
        pairs.iter().zip(&win_rate.judged).map(line).collect::<String>()
    };
    contests.iter().map(of_contest).collect()
}
