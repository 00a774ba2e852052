//! The HTML page with charts, tables and texts.

use super::text::{escape, escape_lines, number, percent};
use super::{Contestants, KeyFigure, Report, SampleRow};
use crate::eval::Standing;
use crate::labels::describe_labeler;

/// Policy that forbids all loading and all scripts, in case text from a model is ever not escaped.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

impl Report {
    /// Returns the page as self-contained HTML, with the same bytes for the same report.
    pub fn to_html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{CONTENT_SECURITY_POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n{summary}{key_figures}{charts}{contestants}{samples}{settings}{environment}\
             </main>\n</body>\n</html>\n",
            title = escape(&self.title),
            style = concat!(include_str!("drawing.css"), include_str!("style.css")),
            summary = unless_empty(&self.summary, |summary| format!("<p class=\"summary\">{}</p>\n", escape(summary))),
            key_figures = key_figures(&self.key_figures),
            charts = self.figures(),
            contestants = contestants(&self.contestants, self.penalty),
            samples = samples(&self.samples, self.penalty),
            settings = unless_empty(&self.settings, |settings| {
                format!("<details><summary>Settings</summary><pre>{}</pre></details>\n", escape_lines(settings))
            }),
            environment = environment(&self.environment),
        )
    }

    fn figures(&self) -> String {
        let mut figures: Vec<String> =
            self.charts.iter().enumerate().map(|(index, chart)| chart.to_figure(&format!("chart-{index}"))).collect();
        let win_rates = self.win_rates.iter().enumerate();
        figures.extend(win_rates.map(|(index, chart)| chart.to_figure(&format!("win-rate-{index}"))));
        section("Charts", "charts", &figures.concat())
    }
}

fn unless_empty(text: &str, show: impl Fn(&str) -> String) -> String {
    if text.trim().is_empty() { String::new() } else { show(text) }
}

fn section(heading: &str, class: &str, content: &str) -> String {
    unless_empty(content, |content| {
        format!("<section><h2>{heading}</h2>\n<div class=\"{class}\">\n{content}</div></section>\n")
    })
}

fn key_figures(figures: &[KeyFigure]) -> String {
    let items: String = figures
        .iter()
        .map(|figure| {
            format!(
                "<div><dt>{}</dt><dd><b>{}</b><span>{}</span></dd></div>\n",
                escape(&figure.label),
                escape(&figure.value),
                escape(&figure.note)
            )
        })
        .collect();
    unless_empty(&items, |items| format!("<dl class=\"key-figures\">\n{items}</dl>\n"))
}

fn contestants(times: &[Contestants], penalty: Option<f64>) -> String {
    let tables: String = times.iter().filter(|one| !one.standings.is_empty()).map(table_of).collect();
    let is_scored = times.iter().flat_map(|one| &one.standings).any(|standing| standing.score.is_some());
    let penalty = penalty.filter(|_| is_scored).map_or_else(String::new, |penalty| {
        format!(
            " The mean score is that of the reward model for valid responses (those with the truncate token where it counts), and the penalty of {} for the others.",
            number(penalty)
        )
    });
    let tables = unless_empty(&tables, |tables| {
        format!(
            "{tables}<p class=\"note\">These numbers are from the judged responses; the figures above are from the last update.{penalty}</p>\n"
        )
    });
    section("Who was judged", "contestants", &tables)
}

fn table_of(Contestants { labeler, standings }: &Contestants) -> String {
    let is_scored = standings.iter().any(|standing| standing.score.is_some());
    let is_checked = standings.iter().any(|standing| standing.valid.is_some());
    let is_read = standings.iter().any(|standing| standing.bits_per_byte.is_some());
    let is_varied = standings.iter().any(|standing| standing.variety.is_some());
    let cell = |is_shown: bool, label: &str, value: Option<String>| match is_shown {
        true => format!("<td data-label=\"{label}\">{}</td>", value.unwrap_or_else(|| "missing".into())),
        false => String::new(),
    };
    let row = |Standing { name, kl, score, valid, variety, bits_per_byte }: &Standing| {
        let score = cell(is_scored, "Score", score.map(number));
        let valid = cell(is_checked, "Valid", valid.map(percent));
        let bigrams = cell(is_varied, "Distinct bigrams", variety.map(|variety| percent(variety.distinct_bigrams)));
        let responses =
            cell(is_varied, "Distinct responses", variety.map(|variety| percent(variety.distinct_responses)));
        let bits = cell(is_read, "Bits per byte", bits_per_byte.map(number));
        // The pretrained model has a KL of 0 from itself, but for rounding, which may give it either sign.
        let kl = if kl.abs() < 0.005 { 0.0 } else { *kl };
        format!(
            "<tr><th scope=\"row\">{}</th><td data-label=\"KL\">{}</td>{score}{valid}{bigrams}{responses}{bits}</tr>\n",
            escape(name),
            number(kl)
        )
    };
    let body: String = standings.iter().map(row).collect();
    let score = if is_scored { "<th scope=\"col\">Mean score</th>" } else { "" };
    let valid = if is_checked { "<th scope=\"col\">Valid</th>" } else { "" };
    let variety = match is_varied {
        true => "<th scope=\"col\">Distinct bigrams</th><th scope=\"col\">Distinct responses</th>",
        false => "",
    };
    let bits = if is_read { "<th scope=\"col\">Bits per byte</th>" } else { "" };
    format!(
        "<table><caption>Judged by {}</caption>\n<thead><tr><th scope=\"col\">Contestant</th><th scope=\"col\">KL, nats per response</th>{score}{valid}{variety}{bits}</tr>\
         </thead>\n<tbody>\n{body}</tbody></table>\n",
        escape(&describe_labeler(labeler))
    )
}

fn samples(rows: &[SampleRow], penalty: Option<f64>) -> String {
    let body: String = rows.iter().map(|row| sample(row, penalty)).collect();
    let scores = match rows.iter().any(|row| row.after_score.is_some()) {
        false => "",
        true if penalty.is_some() => "The number beside a response is its reward, or the penalty if it is not valid. ",
        true => "The number beside a response is its reward. ",
    };
    let table = unless_empty(&body, |body| {
        format!(
            "<table><thead><tr><th scope=\"col\">Query</th><th scope=\"col\">Before</th><th scope=\"col\">After</th></tr></thead>\n\
             <tbody>\n{body}</tbody></table>\n\
             <p class=\"note\">{scores}⏎ is a line break.</p>\n"
        )
    });
    section("The same queries, before and after", "samples", &table)
}

fn sample(row: &SampleRow, penalty: Option<f64>) -> String {
    // Text directions are isolated, so that a response in a right-to-left script stays in its cell.
    let response = |name: &str, text: &str, score: Option<f64>, class: &str| {
        let score = score.map(|score| {
            let penalty = if Some(score) == penalty { ", penalty" } else { "" };
            format!("<span class=\"score {class}\">{}{penalty}</span>", number(score))
        });
        format!(
            "<td data-label=\"{name}\">{}<div dir=\"auto\">{}</div></td>\n",
            score.unwrap_or_default(),
            escape(text)
        )
    };
    let class = if row.after_score > row.before_score { "better" } else { "" };
    format!(
        "<tr><th scope=\"row\"><div dir=\"auto\">{}</div></th>\n{}{}</tr>\n",
        escape(&row.query),
        response("Before", &row.before, row.before_score, ""),
        response("After", &row.after, row.after_score, class)
    )
}

fn environment(facts: &[(String, String)]) -> String {
    let rows: String =
        facts.iter().map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value))).collect();
    unless_empty(&rows, |rows| {
        format!("<details><summary>Environment</summary><dl class=\"facts\">\n{rows}</dl></details>\n")
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Chart, Series};
    use super::*;

    fn report() -> Report {
        let series = Series { name: "</svg><script>".into(), points: vec![(1.0, 0.0), (2.0, 1.0)] };
        Report {
            title: "run <b>".into(),
            summary: "It \"worked\".".into(),
            key_figures: vec![KeyFigure { label: "KL".into(), value: "5.9".into(), note: "<i>".into() }],
            charts: vec![Chart { title: "Score".into(), series: vec![series], ..Chart::default() }],
            win_rates: Vec::new(),
            contestants: vec![Contestants {
                labeler: "<i>".into(),
                standings: vec![
                    Standing {
                        name: "<b>\n".into(),
                        kl: -1e-9,
                        score: None,
                        valid: None,
                        variety: None,
                        bits_per_byte: None,
                    },
                    Standing {
                        name: "a".into(),
                        kl: f64::NAN,
                        score: Some(0.5),
                        valid: Some(0.25),
                        variety: None,
                        bits_per_byte: None,
                    },
                ],
            }],
            penalty: Some(-1.0),
            samples: vec![SampleRow {
                query: "Once\nupon".into(),
                before: "<script>alert(1)</script>\u{1b}[2J".into(),
                after: "\u{202e}<img src=x onerror=alert(1)>".into(),
                before_score: Some(-1.0),
                after_score: Some(f64::NAN),
            }],
            settings: "seed = 1\nname = \"</pre>\"".into(),
            environment: vec![("device".into(), "<cpu>".into())],
        }
    }

    #[test]
    fn nothing_from_a_model_becomes_markup() {
        let html = report().to_html();
        for forbidden in ["<script", "<img", "<b>\n", "<i>", "</pre>\"", "<cpu>", "\u{1b}", "\u{202e}"] {
            assert!(!html.contains(forbidden), "{forbidden:?}");
        }
        assert!(html.contains("Once⏎upon") && html.contains("␛[2J") && html.contains("⟨U+202E⟩"));
    }

    #[test]
    fn what_is_not_known_is_missing_and_a_penalty_is_no_score() {
        let html = report().to_html();
        assert!(!html.contains("NaN"));
        assert!(html.contains(
            "<td data-label=\"KL\">missing</td><td data-label=\"Score\">0.50</td><td data-label=\"Valid\">25%</td>"
        ));
        assert!(html.contains("<td data-label=\"KL\">0</td><td data-label=\"Score\">missing</td>"), "{html}");
        assert!(html.contains(">-1.00, penalty</span>") && html.contains("the penalty of -1.00 for the others"));
    }

    #[test]
    fn nothing_is_loaded_from_anywhere() {
        let html = report().to_html();
        for address in ["http:", "https:", "//", "url(", "@import", "href", " src=\""] {
            assert!(!html.contains(address), "{address:?}");
        }
    }

    #[test]
    fn what_is_missing_is_left_out() {
        let html = Report { title: "empty".into(), ..Report::default() }.to_html();
        let body = html.split("<body>").nth(1).unwrap();
        assert_eq!(body, "\n<main>\n<h1>empty</h1>\n</main>\n</body>\n</html>\n");
    }
}
