//! Elements of a line chart: axes, lines, dots, reference lines.

use super::scale::{Scale, is_drawable};
use super::text::escape;

/// Width of a drawing in its own units, one of which is about a pixel in a three-column page.
pub(super) const WIDTH: f64 = 360.0;
pub(super) const HEIGHT: f64 = 214.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 348.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 180.0;

/// Number of line styles in the style sheet; a further series begins again with the first.
pub(super) const LINE_STYLES: usize = 4;

/// The two axes of a chart.
pub(super) struct Axes {
    pub x: Scale,
    pub y: Scale,
}

impl Axes {
    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.across(x), self.height(y))
    }

    fn across(&self, x: f64) -> f64 {
        LEFT + self.x.fraction(x) * (RIGHT - LEFT)
    }

    fn height(&self, y: f64) -> f64 {
        BOTTOM - self.y.fraction(y) * (BOTTOM - TOP)
    }

    pub(super) fn draw(&self, x_label: &str, y_label: &str) -> String {
        let mut drawing = format!("<text x=\"0\" y=\"11\">{}</text>\n", escape(y_label));
        for tick in self.y.ticks() {
            let y = self.height(tick);
            drawing.push_str(&format!(
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/><text class=\"end\" x=\"{:.0}\" y=\"{:.1}\">{}</text>\n",
                LEFT - 6.0,
                y + 4.0,
                self.y.label(tick)
            ));
        }
        for tick in self.x.ticks() {
            drawing.push_str(&format!(
                "<text class=\"middle\" x=\"{:.1}\" y=\"{:.0}\">{}</text>\n",
                self.across(tick),
                BOTTOM + 15.0,
                self.x.label(tick)
            ));
        }
        drawing.push_str(&format!(
            "<text class=\"end\" x=\"{RIGHT}\" y=\"{:.0}\">{}</text>\n",
            HEIGHT - 4.0,
            escape(x_label)
        ));
        drawing
    }

    pub(super) fn draw_reference_line(&self, name: &str, value: f64, index: usize) -> String {
        let y = self.height(value);
        // The names of neighbouring lines stand at opposite ends, so that they do not overlap.
        let (x, class) = if index.is_multiple_of(2) { (RIGHT, "halo end") } else { (LEFT + 4.0, "halo") };
        let baseline = if y - TOP < 14.0 { y + 13.0 } else { y - 4.0 };
        format!(
            "<path class=\"reference\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/><text class=\"{class}\" x=\"{x}\" y=\"{baseline:.1}\">{}</text>\n",
            escape(name)
        )
    }

    /// Draws a line for each run of points without a gap, and a dot for a single point.
    pub(super) fn draw_series(&self, points: &[(f64, f64)], index: usize) -> String {
        let style = index % LINE_STYLES;
        points
            .split(|point| !is_point(*point))
            .map(|run| match run {
                [] => String::new(),
                [alone] => {
                    let (x, y) = self.place(*alone);
                    format!("<circle class=\"dot-{style}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>\n")
                }
                _ => {
                    let placed: Vec<_> = run.iter().map(|point| self.place(*point)).collect();
                    let line = coordinates(&thin(&placed));
                    format!("<path class=\"line line-{style}\" d=\"M{line}\"/>\n")
                }
            })
            .collect()
    }
}

/// Checks whether a point can be drawn on a chart.
pub(super) fn is_point((x, y): (f64, f64)) -> bool {
    is_drawable(x) && is_drawable(y)
}

fn coordinates(points: &[(f64, f64)]) -> String {
    let texts: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    texts.join("L")
}

/// Keeps the first, lowest, highest and last point of every half unit of width. The drawing looks the same,
/// and that of a long run stays a small file (M4, Jugel et al. 2014).
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let column = |point: &(f64, f64)| (point.0 * 2.0).round();
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let numbered = || group.iter().copied().enumerate();
        let by_height = |a: &(usize, (f64, f64)), b: &(usize, (f64, f64))| (a.1.1).total_cmp(&b.1.1);
        let lowest = numbered().min_by(by_height);
        let highest = numbered().max_by(by_height);
        let ends = [numbered().next(), numbered().next_back()];
        let mut chosen: Vec<_> = ends.into_iter().chain([lowest, highest]).flatten().collect();
        chosen.sort_by_key(|(index, _)| *index);
        chosen.dedup_by_key(|(index, _)| *index);
        kept.extend(chosen.into_iter().map(|(_, point)| point));
    }
    kept
}
