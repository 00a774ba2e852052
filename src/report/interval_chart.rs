//! A chart of a proportion with its confidence interval, on an axis from 0 to 100%, and of the verdicts
//! behind it.

use super::chart::figure;
use super::text::{escape, percent};

/// A chart of a win rate.
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalChart {
    pub title: String,
    /// Win rate in 0..=1; `low` and `high` are the ends of its confidence interval.
    pub rate: f64,
    pub low: f64,
    pub high: f64,
    pub wins: usize,
    pub ties: usize,
    pub losses: usize,
    /// Proportions to compare with, in 0..=1.
    pub reference_lines: Vec<(String, f64)>,
    /// Note that a reader needs for comparisons, as plain text.
    pub note: String,
}

const HEIGHT: f64 = 164.0;
const LEFT: f64 = 14.0;
const RIGHT: f64 = 346.0;
/// Distance of the interval from the top of the drawing.
const INTERVAL_Y: f64 = 52.0;
const AXIS_Y: f64 = 78.0;
const VERDICTS_Y: f64 = 132.0;

impl IntervalChart {
    /// Returns the chart as HTML. `id` must be unique on the page and valid as an HTML id.
    pub fn to_figure(&self, id: &str) -> String {
        let description = format!(
            "{} preferred, 95% interval {} to {}. {} won, {} tied, {} lost.",
            percent(self.rate),
            percent(self.low),
            percent(self.high),
            self.wins,
            self.ties,
            self.losses
        );
        let drawing = format!("{}{}{}", self.draw_axis(), self.draw_interval(), self.draw_verdicts());
        let caption = format!(
            "{}{}{}<p class=\"note\">{}</p>",
            legend_item("win", "won", self.wins),
            legend_item("tie", "tied", self.ties),
            legend_item("loss", "lost", self.losses),
            escape(&self.note)
        );
        figure(id, &self.title, &description, HEIGHT, &drawing, &caption)
    }

    fn draw_axis(&self) -> String {
        let mut drawing = format!("<path class=\"grid\" d=\"M{LEFT} {AXIS_Y}H{RIGHT}\"/>\n");
        for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
            drawing.push_str(&format!(
                "<path class=\"grid\" d=\"M{x:.1} {AXIS_Y}v4\"/><text class=\"middle\" x=\"{x:.1}\" y=\"{:.0}\">{:.0}%</text>\n",
                AXIS_Y + 18.0, tick * 100.0, x = place(tick)
            ));
        }
        for (name, proportion) in &self.reference_lines {
            drawing.push_str(&format!(
                "<path class=\"reference\" d=\"M{x:.1} 22V{AXIS_Y}\"/><text class=\"middle\" x=\"{x:.1}\" y=\"16\">{}</text>\n",
                escape(name), x = place(*proportion)
            ));
        }
        drawing
    }

    fn draw_interval(&self) -> String {
        let (low, high, rate) = (place(self.low), place(self.high), place(self.rate));
        format!(
            "<path class=\"interval\" d=\"M{low:.1} {INTERVAL_Y}H{high:.1}M{low:.1} {:.0}v12M{high:.1} {:.0}v12\"/>\n\
             <circle class=\"dot-0\" cx=\"{rate:.1}\" cy=\"{INTERVAL_Y}\" r=\"6\"/>\n",
            INTERVAL_Y - 6.0,
            INTERVAL_Y - 6.0
        )
    }

    fn draw_verdicts(&self) -> String {
        let pairs = (self.wins + self.ties + self.losses).max(1) as f64;
        let mut start = LEFT;
        let mut drawing = format!("<text x=\"{LEFT}\" y=\"{:.0}\">choices</text>\n", VERDICTS_Y - 8.0);
        for (class, count) in [("win", self.wins), ("tie", self.ties), ("loss", self.losses)] {
            let width = count as f64 / pairs * (RIGHT - LEFT);
            drawing.push_str(&format!(
                "<rect class=\"{class}\" x=\"{start:.1}\" y=\"{VERDICTS_Y}\" width=\"{width:.1}\" height=\"22\"/>\n"
            ));
            start += width;
        }
        drawing
    }
}

fn place(proportion: f64) -> f64 {
    LEFT + proportion * (RIGHT - LEFT)
}

fn legend_item(class: &str, name: &str, count: usize) -> String {
    format!(
        "<span><svg class=\"key\" viewBox=\"0 0 22 8\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"22\" height=\"8\"/></svg> {name} <b>{count}</b></span> "
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_lies_on_an_axis_from_0_to_100_percent() {
        let chart = IntervalChart {
            title: "Win rate".into(),
            rate: 0.5,
            low: 0.25,
            high: 1.0,
            wins: 2,
            ties: 0,
            losses: 2,
            reference_lines: vec![("even".into(), 0.5)],
            note: "Judged by <people>.".into(),
        };
        let figure = chart.to_figure("win-rate");
        assert!(figure.contains("M97.0 52H346.0"), "{figure}");
        assert!(figure.contains("cx=\"180.0\"") && figure.contains("Judged by &lt;people&gt;."));
        assert!(figure.contains("50% preferred, 95% interval 25% to 100%. 2 won, 0 tied, 2 lost."));
    }
}
