//! A picture of named lines, as SVG: what measurements are shown with.
//!
//! Invariant: every line within the frame is named at its end, in its colour and beside no other name; ours is drawn last
//! and boldest. The colours are those of Okabe and Ito (2008), which people who see red and green alike tell apart. It knows
//! nothing of engines, so that any measurement can use it.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const SIZE: (u32, u32) = (1080, 680);
/// Room for the title above and for the names at the right.
const TOP: u32 = 76;
const RIGHT: u32 = 190;
/// Room for the labels of the axes.
const BELOW: u32 = 52;
const LEFT: u32 = 72;
/// Least distance of two names, in pixels.
const NAME_HEIGHT: i32 = 17;

const OURS: RGBColor = RGBColor(213, 94, 0);
const OTHERS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(190, 140, 0),
    RGBColor(90, 90, 90),
];
const TEXT: RGBColor = RGBColor(40, 40, 40);
const FAINT: RGBColor = RGBColor(228, 228, 228);

/// Recalls that can stand at an axis.
const RECALLS: [f64; 10] = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999];
/// What an axis of recall shows.
const RECALL_RANGE: Range<f64> = 0.8..0.9995;
/// Recall 1 lies infinitely far; this lies outside of every picture.
const RECALL_MAX: f64 = 0.9999;

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Evenly.
    Linear,
    /// Equal ratios apart alike; values must be positive.
    Log,
    /// By the logarithm of what is missed, so that .9, .99 and .999 are evenly apart; from .8 to .9995.
    Recall,
}

/// A named line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its points by ascending x.
    pub points: Vec<(f64, f64)>,
    /// Where its dots are: at its points, unless what was measured is put beside a line that was predicted.
    pub dots: Option<Vec<(f64, f64)>>,
    /// Whether it stands out.
    pub is_ours: bool,
}

/// A picture of lines.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What it shows, in a few words.
    pub title: String,
    /// How that was measured.
    pub subtitle: String,
    /// The horizontal axis and its label.
    pub x: (Axis, String),
    /// The vertical axis and its label.
    pub y: (Axis, String),
    /// What is drawn.
    pub lines: Vec<Line>,
}

/// An axis with its ends.
#[derive(Clone)]
struct Scale {
    axis: Axis,
    low: f64,
    high: f64,
}

impl Scale {
    /// A scale that shows all of `values`.
    fn of(axis: Axis, values: impl Iterator<Item = f64>) -> Self {
        let fits = |value: &f64| value.is_finite() && (axis != Axis::Log || *value > 0.0);
        let (low, high) = values
            .filter(fits)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (value.min(low), value.max(high)));
        let (low, high) = match axis {
            Axis::Recall => (RECALL_RANGE.start, RECALL_RANGE.end),
            _ if low > high => (1.0, 10.0),
            Axis::Linear => (low.min(0.0), high + (high - low.min(0.0)).max(f64::MIN_POSITIVE) * 0.05),
            Axis::Log => (low / 1.3, high * 1.3),
        };
        Self { axis, low, high }
    }

    /// A number that grows evenly along the axis.
    fn even(&self, value: f64) -> f64 {
        match self.axis {
            Axis::Linear => value,
            Axis::Log => value.ln(),
            Axis::Recall => -(1.0 - value.min(RECALL_MAX)).ln(),
        }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end.
    fn place(&self, value: f64) -> f64 {
        let (low, high) = (self.even(self.low), self.even(self.high));
        (self.even(value) - low) / (high - low)
    }

    fn ticks(&self) -> Vec<f64> {
        let all: Vec<f64> = match self.axis {
            Axis::Recall => RECALLS.into(),
            Axis::Log => {
                let decades = self.low.log10().floor() as i32..=self.high.log10().ceil() as i32;
                decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade))).collect()
            }
            Axis::Linear => {
                let step = 10_f64.powf(((self.high - self.low) / 2.0).log10().floor());
                let mut steps = [1.0, 2.0, 5.0].map(|digit| digit * step).into_iter();
                let step = steps.rfind(|step| (self.high - self.low) / step >= 4.0).unwrap_or(self.high - self.low);
                (0..=20).map(|tick| (self.low / step).ceil() * step + f64::from(tick) * step).collect()
            }
        };
        all.into_iter().filter(|tick| (self.low..=self.high).contains(tick)).collect()
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        start + (f64::from(end - start) * self.place(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        match value.abs() {
            large if large >= 1e6 => format!("{}M", value / 1e6),
            large if large >= 1e3 => format!("{}k", value / 1e3),
            // Sums of steps are not the numbers one writes down.
            _ => format!("{:.4}", value).trim_end_matches('0').trim_end_matches('.').to_owned(),
        }
    }
}

/// The part of a line between the ends of the horizontal axis; it ends where the axis does.
fn inside(points: &[(f64, f64)], x: &Scale, y: &Scale) -> Vec<(f64, f64)> {
    let at = |(x0, y0): (f64, f64), (x1, y1): (f64, f64), end: f64| {
        let share = (x.even(end) - x.even(x0)) / (x.even(x1) - x.even(x0));
        let even = y.even(y0) + share * (y.even(y1) - y.even(y0));
        (end, if y.axis == Axis::Log { even.exp() } else { even })
    };
    let mut inside = Vec::new();
    for (number, point) in points.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| points[before]);
        for end in [x.low, x.high] {
            if let Some(before) = before.filter(|before| before.0 < end && end < point.0) {
                inside.push(at(before, *point, end));
            }
        }
        if (x.low..=x.high).contains(&point.0) {
            inside.push(*point);
        }
    }
    inside
}

/// Moves heights apart that are closer than a name is high, as little as possible within `range`; in the given order.
fn spread(mut heights: Vec<i32>, range: Range<i32>) -> Vec<i32> {
    for at in 0..heights.len() {
        let least = at.checked_sub(1).map_or(range.start, |before| heights[before] + NAME_HEIGHT);
        heights[at] = heights[at].max(least);
    }
    let mut most = range.end;
    for height in heights.iter_mut().rev() {
        *height = (*height).min(most);
        most = *height - NAME_HEIGHT;
    }
    heights
}

impl Picture {
    /// The picture as an SVG document.
    ///
    /// # Errors
    /// Those of the drawing library.
    pub fn svg(&self) -> Result<String, String> {
        let mut text = String::new();
        self.draw(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn draw(&self, text: &mut String) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let font = |size: i32| ("sans-serif", size).into_font();
        root.draw(&Text::new(self.title.clone(), (LEFT as i32, 18), font(22).style(FontStyle::Bold).color(&TEXT)))?;
        root.draw(&Text::new(self.subtitle.clone(), (LEFT as i32, 47), font(13).color(&TEXT)))?;

        let all = || self.lines.iter().flat_map(|line| line.points.iter().chain(line.dots.iter().flatten()));
        let x = Scale::of(self.x.0, all().map(|point| point.0));
        let shown = all().filter(|point| (x.low..=x.high).contains(&point.0));
        let y = Scale::of(self.y.0, shown.map(|point| point.1));
        let mut chart = ChartBuilder::on(&root)
            .margin_top(TOP)
            .margin_right(RIGHT)
            .margin_bottom(10)
            .margin_left(10)
            .x_label_area_size(BELOW)
            .y_label_area_size(LEFT - 10)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT)
            .axis_style(TEXT)
            .label_style(font(13).color(&TEXT))
            .axis_desc_style(font(15).color(&TEXT))
            .x_desc(self.x.1.clone())
            .y_desc(self.y.1.clone())
            .draw()?;

        // Ours lies on top.
        let mut lines: Vec<(usize, &Line)> = self.lines.iter().filter(|line| !line.is_ours).enumerate().collect();
        lines.extend(self.lines.iter().filter(|line| line.is_ours).map(|line| (0, line)));
        let mut names = Vec::new();
        for (number, line) in lines {
            let color = if line.is_ours { OURS } else { OTHERS[number % OTHERS.len()] };
            let style = color.stroke_width(if line.is_ours { 4 } else { 2 });
            let points = inside(&line.points, &x, &y);
            chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
            let dots = line.dots.as_ref().unwrap_or(&line.points).iter();
            let dots = dots.filter(|point| (x.low..=x.high).contains(&point.0)).copied();
            let size = if line.is_ours { 5 } else { 3 };
            match number / OTHERS.len() {
                0 => chart.draw_series(dots.map(|dot| Circle::new(dot, size, color.filled())))?,
                1 => chart.draw_series(dots.map(|dot| TriangleMarker::new(dot, size + 2, color.filled())))?,
                _ => chart.draw_series(dots.map(|dot| Cross::new(dot, size, style)))?,
            };
            if let Some(end) = points.last() {
                names.push((chart.backend_coord(end), line, color));
            }
        }
        names.sort_by_key(|((_, height), ..)| *height);
        let heights = names.iter().map(|((_, height), ..)| *height).collect();
        let heights = spread(heights, TOP as i32..(SIZE.1 - BELOW) as i32);
        let column = (SIZE.0 - RIGHT) as i32 + 22;
        for ((end, line, color), height) in names.into_iter().zip(heights) {
            root.draw(&PathElement::new([end, (column - 4, height)], color.mix(0.4)))?;
            let weight = if line.is_ours { FontStyle::Bold } else { FontStyle::Normal };
            let style = TextStyle::from(font(14).style(weight)).color(&color).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(line.name.clone(), (column, height), style))?;
        }
        root.present()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, is_ours: bool, points: &[(f64, f64)]) -> Line {
        Line { name: name.into(), points: points.to_vec(), dots: None, is_ours }
    }

    fn picture(x: Axis, y: Axis, lines: Vec<Line>) -> String {
        let picture = Picture {
            title: "a < b & \"c\"".into(),
            subtitle: String::new(),
            x: (x, "x".into()),
            y: (y, "y".into()),
            lines,
        };
        picture.svg().unwrap()
    }

    /// Whether every element is closed in order; enough for a document without comments and embedded text.
    fn is_well_formed(svg: &str) -> bool {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag)) {
            let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next();
            match (tag.starts_with('/'), tag.ends_with('/') || tag.starts_with('?')) {
                (true, _) if open.pop() != Some(name) => return false,
                (false, false) => open.push(name),
                _ => {}
            }
        }
        open.is_empty() && svg.starts_with("<svg")
    }

    #[test]
    fn every_line_is_named() {
        let curve = [(0.85, 900.0), (0.95, 400.0), (0.9999, 90.0)];
        let names = ["lethedb", "a & b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"];
        let lines = names.iter().map(|name| line(name, *name == "lethedb", &curve)).collect();
        let svg = picture(Axis::Recall, Axis::Log, lines);
        assert!(is_well_formed(&svg), "{svg}");
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;"), "the title is escaped");
        for name in ["lethedb", "a &amp; b", "c", "m", "n", "0.95", "500"] {
            assert!(svg.contains(&format!(">\n{name}\n<")), "{name} is missing");
        }
        assert!(!is_well_formed(&svg.replacen("</text>", "", 1)), "the check sees what is missing");
    }

    #[test]
    fn nothing_and_one_thing_can_be_drawn() {
        for axis in [Axis::Linear, Axis::Log, Axis::Recall] {
            for lines in [Vec::new(), vec![line("dot", true, &[(0.9, 1.0)])], vec![line("no", false, &[(0.0, 0.0)])]] {
                assert!(is_well_formed(&picture(axis, axis, lines.clone())), "{axis:?} {lines:?}");
            }
        }
    }

    #[test]
    fn dots_beside_a_line_are_drawn_and_seen_whole() {
        let mut beside = line("beside", false, &[(1.0, 10.0), (10.0, 100.0)]);
        let dots = |line: &Line| picture(Axis::Log, Axis::Log, vec![line.clone()]).matches("<circle").count();
        assert_eq!(dots(&beside), 2);
        beside.dots = Some(vec![(1.0, 12.0), (3.0, 31.0), (10.0, 5000.0)]);
        assert_eq!(dots(&beside), 3);
        assert!(picture(Axis::Log, Axis::Log, vec![beside]).contains("5k"), "the axis reaches to the highest dot");
    }

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        let ticks = |axis, low, high| Scale { axis, low, high }.ticks();
        assert_eq!(ticks(Axis::Log, 150.0, 12_000.0), [200.0, 500.0, 1e3, 2e3, 5e3, 1e4]);
        assert_eq!(ticks(Axis::Linear, 0.0, 10.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(Axis::Recall, 0.8, 0.9995).first(), Some(&0.8));
    }

    #[test]
    fn a_line_ends_where_the_axis_does() {
        let x = Scale { axis: Axis::Linear, low: 0.0, high: 10.0 };
        let y = Scale { axis: Axis::Log, low: 1.0, high: 1000.0 };
        let cut = inside(&[(-10.0, 1.0), (10.0, 100.0), (30.0, 10_000.0)], &x, &y);
        assert_eq!(cut.len(), 2, "{cut:?}");
        assert!((cut[0].1 - 10.0).abs() < 1e-9 && cut[0].0 == 0.0, "{cut:?}");
        let crossing = inside(&[(-10.0, 1.0), (30.0, 10_000.0)], &x, &y);
        assert_eq!(crossing.iter().map(|point| point.0).collect::<Vec<_>>(), [0.0, 10.0]);
        assert!(inside(&[(11.0, 1.0)], &x, &y).is_empty());
    }

    #[test]
    fn names_keep_their_distance_and_order() {
        let heights = spread(vec![10, 12, 13, 400, 401], 0..402);
        assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= NAME_HEIGHT), "{heights:?}");
        assert_eq!((heights[0], heights[4]), (10, 402));
    }
}
