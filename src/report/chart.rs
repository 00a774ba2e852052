//! Line charts as SVG in a `<figure>`, without a script, with colours from the page's style.

use super::axes::{Axes, HEIGHT, LINE_STYLES, WIDTH, is_point};
use super::scale::{Scale, is_drawable};
use super::text::{escape, number};

/// One line of a chart, with points in the order of x. The line has a gap where y is not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// A line chart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Chart {
    pub title: String,
    pub x_label: String,
    pub y_label: String,
    pub series: Vec<Series>,
    /// Horizontal lines to compare with, such as a target or the accuracy of guessing.
    pub reference_lines: Vec<(String, f64)>,
}

impl Chart {
    /// Checks whether any series has a point to draw.
    pub fn has_points(&self) -> bool {
        self.series.iter().flat_map(|series| &series.points).any(|point| is_point(*point))
    }

    /// Returns the chart as HTML. `id` must be unique on the page and valid as an HTML id.
    pub fn to_figure(&self, id: &str) -> String {
        let Some(drawing) = self.draw() else {
            return format!("<figure><h3>{}</h3><p>No finite values.</p></figure>\n", escape(&self.title));
        };
        figure(id, &self.title, &self.describe(), HEIGHT, &drawing, &self.legend())
    }

    /// Draws axes and lines as SVG, without title and legend. Returns `None` if there is no finite value.
    pub(super) fn draw(&self) -> Option<String> {
        let axes = self.axes()?;
        let mut drawing = axes.draw(&self.x_label, &self.y_label);
        // The first series matters most, and is drawn over the others.
        for (index, series) in self.series.iter().enumerate().rev() {
            drawing.push_str(&axes.draw_series(&series.points, index));
        }
        // Reference lines are drawn last, so that their names stay readable.
        for (index, (name, value)) in self.drawable_references().enumerate() {
            drawing.push_str(&axes.draw_reference_line(name, *value, index));
        }
        Some(drawing)
    }

    fn axes(&self) -> Option<Axes> {
        let points = || self.series.iter().flat_map(|series| &series.points).copied().filter(|point| is_point(*point));
        let x = Scale::tight(points().map(|(x, _)| x))?;
        let references = self.drawable_references().map(|(_, value)| *value);
        let y = Scale::rounded(points().map(|(_, y)| y).chain(references))?;
        Some(Axes { x, y })
    }

    fn drawable_references(&self) -> impl Iterator<Item = &(String, f64)> {
        self.reference_lines.iter().filter(|(_, value)| is_drawable(*value))
    }

    /// Describes the chart in text, for screen readers.
    pub(super) fn describe(&self) -> String {
        let mut sentences = vec![format!("{} by {}.", self.y_label, self.x_label)];
        for series in &self.series {
            let drawn: Vec<_> = series.points.iter().copied().filter(|point| is_point(*point)).collect();
            if let (Some((first_x, first_y)), Some((last_x, last_y))) = (drawn.first(), drawn.last()) {
                sentences.push(format!(
                    "{}: {} at {}, {} at {}.",
                    series.name,
                    number(*first_y),
                    axis_value(*first_x),
                    number(*last_y),
                    axis_value(*last_x)
                ));
            }
        }
        sentences.extend(self.drawable_references().map(|(name, value)| format!("Line: {name}, {}.", number(*value))));
        sentences.join(" ")
    }

    fn legend(&self) -> String {
        let mut items = String::new();
        for (index, name, value) in self.last_values() {
            items.push_str(&format!(
                "<span><svg class=\"key\" viewBox=\"0 0 22 8\" aria-hidden=\"true\"><path class=\"line line-{}\" d=\"M0 4H22\"/></svg> {} <b>{}</b></span> ",
                index % LINE_STYLES, escape(name), number(value)
            ));
        }
        items
    }

    /// Returns index, name and last value of each series that has one.
    pub(super) fn last_values(&self) -> impl Iterator<Item = (usize, &str, f64)> {
        self.series.iter().enumerate().filter_map(|(index, series)| {
            let (_, value) = series.points.iter().rev().find(|point| is_point(**point))?;
            Some((index, series.name.as_str(), *value))
        })
    }
}

/// Returns a drawing in the frame that all drawings share. `title` and `description` are plain text,
/// `drawing` and `caption` are markup.
pub(super) fn figure(id: &str, title: &str, description: &str, height: f64, drawing: &str, caption: &str) -> String {
    let title = escape(title);
    format!(
        "<figure><h3>{title}</h3>\n\
         <svg role=\"img\" viewBox=\"0 0 {WIDTH} {height}\" aria-labelledby=\"{id}-title {id}-description\">\n\
         <title id=\"{id}-title\">{title}</title><desc id=\"{id}-description\">{}</desc>\n\
         {drawing}</svg>\n<figcaption>{caption}</figcaption></figure>\n",
        escape(description)
    )
}

/// Formats a value of x. Steps are whole numbers and must not be rounded to three digits.
fn axis_value(x: f64) -> String {
    if x.fract() == 0.0 { format!("{x:.0}") } else { number(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Chart {
        Chart {
            title: "KL <policy & reference>".into(),
            x_label: "update".into(),
            y_label: "nats".into(),
            series: vec![Series { name: "KL".into(), points }],
            reference_lines: vec![("target".into(), 6.0)],
        }
    }

    #[test]
    fn the_line_has_a_gap_where_a_value_is_missing() {
        let figure = chart(vec![(1.0, 1.0), (2.0, 2.0), (3.0, f64::NAN), (4.0, 2.0), (5.0, 3.0)]).to_figure("kl");
        assert_eq!(figure.matches("<path class=\"line line-0\" d=\"M").count(), 3, "two pieces and the legend");
        assert!(!figure.contains("NaN") && !figure.contains("inf"));
    }

    #[test]
    fn a_single_point_is_a_dot_and_no_point_is_said_so() {
        let figure = chart(vec![(1.0, 4.0)]).to_figure("kl");
        assert_eq!(figure.matches("<circle").count(), 1);
        assert!(chart(vec![(1.0, f64::INFINITY)]).to_figure("kl").contains("No finite values"));
    }

    #[test]
    fn a_constant_series_is_a_level_line() {
        let mut level = chart(vec![(1.0, 0.15), (2.0, 0.15)]);
        level.reference_lines.clear();
        assert!(level.to_figure("b").contains("d=\"M40.0 102.0L348.0 102.0\""), "{}", level.to_figure("b"));
    }

    #[test]
    fn it_can_be_heard() {
        let figure = chart(vec![(1.0, 0.0), (1200.0, 5.9)]).to_figure("kl");
        assert!(figure.contains("role=\"img\"") && figure.contains("aria-labelledby=\"kl-title kl-description\""));
        assert!(figure.contains("<title id=\"kl-title\">KL &lt;policy &amp; reference&gt;</title>"));
        assert!(figure.contains("nats by update. KL: 0 at 1, 5.90 at 1200. Line: target, 6.00."));
    }

    #[test]
    fn thinning_keeps_the_extremes_of_a_long_run() {
        let mut points: Vec<_> = (0..100_000).map(|step| (f64::from(step), 1.0)).collect();
        points[70_001].1 = 50.0;
        let figure = chart(points).to_figure("kl");
        assert!(figure.len() < 100_000);
        assert!(figure.contains(" 50.0L"), "the peak, 50 on an axis to 60");
    }
}
