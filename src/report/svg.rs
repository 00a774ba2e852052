//! The curves of a report as one SVG: for a README, a slide, an image viewer.

use super::axes::{HEIGHT, LINE_STYLES, WIDTH};
use super::text::{escape, number};
use super::{Chart, Report};

const COLUMNS: usize = 2;
const MARGIN: f64 = 14.0;
/// Height of the title above a drawing.
const TITLE: f64 = 26.0;
const LEGEND: f64 = 20.0;
const CELL_WIDTH: f64 = WIDTH + 2.0 * MARGIN;
const CELL_HEIGHT: f64 = TITLE + HEIGHT + LEGEND + 2.0 * MARGIN;

/// Styles that the page's style sheet has only for HTML elements.
const STYLE: &str = "text { font: 11.5px system-ui, sans-serif; fill: var(--soft); }\n\
    .title { font-size: 15px; font-weight: 600; fill: var(--text); }\n\
    .value { font-weight: 600; fill: var(--text); }\n\
    .page { fill: var(--page); }\n\
    .card { fill: var(--card); stroke: var(--edge); }\n";

impl Report {
    /// Returns the charts in two columns, in light or dark colours as the viewer prefers, with the same bytes
    /// for the same report.
    pub fn to_svg(&self) -> String {
        let cells: String = self.charts.iter().enumerate().map(|(index, chart)| cell(chart, index)).collect();
        let columns = self.charts.len().clamp(1, COLUMNS) as f64;
        let width = columns * (CELL_WIDTH + MARGIN) + MARGIN;
        let height = self.charts.len().div_ceil(COLUMNS) as f64 * (CELL_HEIGHT + MARGIN) + MARGIN;
        let described: Vec<String> =
            self.charts.iter().map(|chart| format!("{}. {}", chart.title, chart.describe())).collect();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"title description\">\n\
             <title id=\"title\">{}</title><desc id=\"description\">{}</desc>\n\
             <style>\n{}{STYLE}</style>\n\
             <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n{cells}</svg>\n",
            escape(&self.title),
            escape(&described.join(" ")),
            include_str!("drawing.css"),
        )
    }
}

fn cell(chart: &Chart, index: usize) -> String {
    let (column, row) = ((index % COLUMNS) as f64, (index / COLUMNS) as f64);
    let (x, y) = (MARGIN + column * (CELL_WIDTH + MARGIN), MARGIN + row * (CELL_HEIGHT + MARGIN));
    let drawing = chart.draw().unwrap_or_else(|| "<text y=\"30\">No finite values.</text>".into());
    format!(
        "<g transform=\"translate({x} {y})\">\n\
         <rect class=\"card\" width=\"{CELL_WIDTH}\" height=\"{CELL_HEIGHT}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"{:.0}\">{}</text>\n\
         <g transform=\"translate({MARGIN} {})\">\n{drawing}{}</g>\n</g>\n",
        MARGIN + 14.0,
        escape(&chart.title),
        MARGIN + TITLE,
        legend(chart)
    )
}

fn legend(chart: &Chart) -> String {
    let share = WIDTH / chart.series.len().max(1) as f64;
    let y = HEIGHT + LEGEND;
    let item = |(index, name, value): (usize, &str, f64)| {
        let x = index as f64 * share;
        format!(
            "<path class=\"line line-{}\" d=\"M{x:.1} {:.1}h22\"/><text x=\"{:.1}\" y=\"{y}\">{} \
             <tspan class=\"value\">{}</tspan></text>\n",
            index % LINE_STYLES,
            y - 4.0,
            x + 28.0,
            escape(name),
            number(value)
        )
    };
    chart.last_values().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Series;
    use super::*;

    #[test]
    fn every_chart_has_its_place_and_nothing_is_loaded() {
        let series = |name: &str| Series { name: name.into(), points: vec![(1.0, 0.0), (2.0, 1.5)] };
        let chart =
            |title: &str| Chart { title: title.into(), series: vec![series("a <b>"), series("c")], ..Chart::default() };
        let report = Report { title: "run".into(), charts: ["x", "y", "z"].map(chart).into(), ..Report::default() };
        let svg = report.to_svg();
        assert_eq!(svg.matches("class=\"card\"").count(), 3);
        for place in ["translate(14 14)", "translate(416 14)", "translate(14 316)"] {
            assert!(svg.contains(place), "{place}");
        }
        assert!(svg.contains("a &lt;b&gt; <tspan class=\"value\">1.50</tspan>"));
        assert!(!svg.contains("<script") && !svg.contains("url(") && !svg.contains("href"));
    }
}
