//! The page around the charts.

use super::text::{escape, escape_lines, number, percent};
use super::{Contestants, KeyFigure, Report, SampleRow};
use crate::eval::Standing;

/// Forbids all loading and all scripts, should text from a model ever get past the escaping.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

impl Report {
    /// The page as HTML: self-contained, and the same bytes for the same report.
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
            contestants = contestants(&self.contestants),
            samples = samples(&self.samples),
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

fn contestants(times: &[Contestants]) -> String {
    let tables: String = times.iter().filter(|one| !one.standings.is_empty()).map(table_of).collect();
    let tables = unless_empty(&tables, |tables| {
        format!(
            "{tables}<p class=\"note\">On the responses that were judged; the figures above are of the last update.</p>\n"
        )
    });
    section("Who was judged", "contestants", &tables)
}

fn table_of(Contestants { labeler, standings }: &Contestants) -> String {
    let is_scored = standings.iter().any(|standing| standing.score.is_some());
    // Judgments of preftune 0.1.0 do not say it.
    let penalized_is_known = standings.iter().any(|standing| standing.penalized.is_some());
    let row = |Standing { name, kl, score, penalized }: &Standing| {
        let score = score.map_or_else(String::new, number);
        let mut score = if is_scored { format!("<td data-label=\"Score\">{score}</td>") } else { String::new() };
        if penalized_is_known {
            let share = penalized.map_or_else(String::new, percent);
            score += &format!("<td data-label=\"Penalized\">{share}</td>");
        }
        // The pretrained model's own KL is 0, of either sign.
        let kl = if kl.abs() < 0.005 { 0.0 } else { *kl };
        format!("<tr><th scope=\"row\">{}</th><td data-label=\"KL\">{}</td>{score}</tr>\n", escape(name), number(kl))
    };
    let body: String = standings.iter().map(row).collect();
    let score = if is_scored { "<th scope=\"col\">Mean score</th>" } else { "" };
    let score = if penalized_is_known { format!("{score}<th scope=\"col\">Penalized</th>") } else { score.into() };
    format!(
        "<table><caption>Judged by the labeler \"{}\"</caption>\n<thead><tr><th scope=\"col\">Contestant</th><th scope=\"col\">KL, nats a response</th>{score}</tr>\
         </thead>\n<tbody>\n{body}</tbody></table>\n",
        escape(labeler)
    )
}

fn samples(rows: &[SampleRow]) -> String {
    let body: String = rows.iter().map(sample).collect();
    let is_scored = rows.iter().any(|row| row.after_score.is_some());
    let scores = if is_scored {
        "The number at a response is its score: what the reward model gives, or the penalty where it could not be cut. "
    } else {
        ""
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

fn sample(row: &SampleRow) -> String {
    // Directions are isolated: a response in a right-to-left script stays in its own cell.
    let response = |name: &str, text: &str, score: Option<f64>, class: &str| {
        let score = score.map(|score| format!("<span class=\"score {class}\">{}</span>", number(score)));
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
                standings: vec![Standing { name: "<b>\n".into(), kl: -1e-9, score: None, penalized: None }],
            }],
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
