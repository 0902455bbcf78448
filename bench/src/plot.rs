//! Reports drawn as one SVG: latency by percentile, and over time. By hand, because two panels of lines are less text
//! than any library's set-up, and nothing is added to the build.

use std::fmt::Write as _;

use crate::report::Report;
use crate::units::{count, time, whole};

const WIDTH: f64 = 920.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 30.0;
const PANEL: f64 = 300.0;
const GAP: f64 = 80.0;
const TOP: f64 = 70.0;

/// Colours that people tell apart who see colours differently (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
];

/// Percentiles with a mark on the axis.
const MARKS: [(&str, f64); 6] = [
    ("0", 0.0),
    ("90 %", 0.9),
    ("99 %", 0.99),
    ("99.9 %", 0.999),
    ("99.99 %", 0.9999),
    ("99.999 %", 0.99999),
];

/// Where a panel's numbers lie on the page.
struct Panel {
    top: f64,
    low: f64,
    high: f64,
}

impl Panel {
    /// A panel for latencies between these, on a logarithmic scale of whole powers of ten.
    fn new(top: f64, values: impl Iterator<Item = u64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|&value| value > 0) {
            low = low.min(value as f64);
            high = high.max(value as f64);
        }
        if !low.is_finite() {
            (low, high) = (1e3, 1e6);
        }
        let low = low.log10().floor();
        Self {
            top,
            low,
            high: high.log10().ceil().max(low + 1.0),
        }
    }

    fn y(&self, ns: u64) -> f64 {
        let share = ((ns.max(1) as f64).log10() - self.low) / (self.high - self.low);
        self.top + PANEL * (1.0 - share.clamp(0.0, 1.0))
    }

    fn frame(&self, out: &mut String, title: &str) -> std::fmt::Result {
        let bottom = self.top + PANEL;
        writeln!(
            out,
            r#"<text x="{LEFT}" y="{:.1}" class="title">{title}</text>"#,
            self.top - 12.0
        )?;
        let mut power = whole(self.low);
        while power <= whole(self.high) {
            let ns = 10_u64.saturating_pow(u32::try_from(power).unwrap_or(0));
            let y = self.y(ns);
            writeln!(out, r#"<path class="grid" d="M{LEFT} {y:.1}H{:.1}"/>"#, WIDTH - RIGHT)?;
            writeln!(
                out,
                r#"<text x="{:.1}" y="{:.1}" class="end">{}</text>"#,
                LEFT - 8.0,
                y + 4.0,
                mark(ns)
            )?;
            power += 1;
        }
        writeln!(
            out,
            r#"<path class="axis" d="M{LEFT} {:.1}V{bottom:.1}H{:.1}"/>"#,
            self.top,
            WIDTH - RIGHT
        )
    }
}

/// A power of ten as a time: `100 µs`.
fn mark(ns: u64) -> String {
    time(ns)
        .replace(".00", "")
        .replace(".0 ", " ")
        .replace("1000 ms", "1 s")
}

/// Draws the reports over each other.
#[must_use]
pub fn render(reports: &[Report], title: &str) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = draw(&mut out, reports, title);
    out
}

fn draw(out: &mut String, reports: &[Report], title: &str) -> std::fmt::Result {
    let legend = 20.0 * reports.len() as f64;
    let top = TOP + legend;
    let height = top + 2.0 * PANEL + GAP + 60.0;
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12" fill="#333">"##
    )?;
    writeln!(
        out,
        "<style>.title{{font-size:14px;font-weight:bold}}.grid{{stroke:#e4e4e4;fill:none}}.axis{{stroke:#333;fill:none}}\
         .line{{fill:none;stroke-width:1.8}}.end{{text-anchor:end}}.middle{{text-anchor:middle}}.thin{{stroke-width:1.2}}</style>"
    )?;
    writeln!(out, r##"<rect width="100%" height="100%" fill="#fff"/>"##)?;
    writeln!(
        out,
        r#"<text x="{LEFT}" y="28" class="title">{}</text>"#,
        escaped(title)
    )?;
    for (index, report) in reports.iter().enumerate() {
        let y = 48.0 + 20.0 * index as f64;
        writeln!(
            out,
            r#"<path d="M{LEFT} {:.1}h24" class="line" stroke="{}"/>"#,
            y - 4.0,
            colour(index)
        )?;
        let asked = report.rate_asked.map_or("closed loop".into(), |rate| {
            format!("{}/s asked for", count(whole(rate.round())))
        });
        let words = format!(
            "{}: {} requests/s ({asked}), p99 {}",
            report.name,
            count(whole(report.rate.round())),
            time(report.latency.p99)
        );
        writeln!(
            out,
            r#"<text x="{:.1}" y="{y:.1}">{}</text>"#,
            LEFT + 32.0,
            escaped(&words)
        )?;
    }
    percentiles(out, reports, top)?;
    over_time(out, reports, top + PANEL + GAP)?;
    writeln!(out, "</svg>")
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn percentiles(out: &mut String, reports: &[Report], top: f64) -> std::fmt::Result {
    let values = reports
        .iter()
        .flat_map(|report| report.histogram.iter().map(|&(ns, _)| ns));
    let panel = Panel::new(top, values);
    panel.frame(out, "latency by percentile, from when each request was due")?;
    let most = reports.iter().map(Report::latency_count).max().unwrap_or(1).max(10);
    let nines = (most as f64).log10().min(5.0);
    let x = |share: f64| LEFT + (WIDTH - LEFT - RIGHT) * (-(1.0 - share).log10() / nines).clamp(0.0, 1.0);
    for (name, share) in MARKS.iter().filter(|(_, share)| -(1.0 - share).log10() <= nines + 1e-9) {
        let (x, bottom) = (x(*share), top + PANEL);
        writeln!(out, r#"<path class="grid" d="M{x:.1} {top:.1}V{bottom:.1}"/>"#)?;
        writeln!(
            out,
            r#"<text x="{x:.1}" y="{:.1}" class="middle">{name}</text>"#,
            bottom + 18.0
        )?;
    }
    for (index, report) in reports.iter().enumerate() {
        let total = report.latency_count() as f64;
        let (mut seen, mut points, mut last) = (0, String::new(), f64::NEG_INFINITY);
        for &(ns, number) in &report.histogram {
            // The line stands at the share of requests below this value before it rises to it.
            let at = x(seen as f64 / total);
            seen += number;
            if at - last >= 0.5 || seen as f64 >= total {
                write!(points, "{at:.1},{:.1} ", panel.y(ns))?;
                last = at;
            }
        }
        writeln!(
            out,
            r#"<polyline class="line" stroke="{}" points="{}"/>"#,
            colour(index),
            points.trim_end()
        )?;
    }
    Ok(())
}

fn over_time(out: &mut String, reports: &[Report], top: f64) -> std::fmt::Result {
    let values = reports
        .iter()
        .flat_map(|report| report.steps.iter().flat_map(|step| [step.p50, step.p99]));
    let panel = Panel::new(top, values);
    panel.frame(out, "latency over time: p99 (solid) and p50 (dashed)")?;
    let longest = reports.iter().map(|report| report.seconds).fold(1e-9, f64::max);
    let x = |at: f64| LEFT + (WIDTH - LEFT - RIGHT) * (at / longest).clamp(0.0, 1.0);
    for tenth in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (at, bottom) = (longest * tenth, top + PANEL);
        let text = if longest < 10.0 {
            format!("{at:.1} s")
        } else {
            format!("{at:.0} s")
        };
        writeln!(
            out,
            r#"<text x="{:.1}" y="{:.1}" class="middle">{text}</text>"#,
            x(at),
            bottom + 18.0
        )?;
    }
    for (index, report) in reports.iter().enumerate() {
        for (quantile, style) in [(0, ""), (1, r#" stroke-dasharray="5 4""#)] {
            let filled = report.steps.iter().filter(|step| step.max > 0);
            let points: Vec<String> = filled
                .map(|step| {
                    let ns = if quantile == 0 { step.p99 } else { step.p50 };
                    format!("{:.1},{:.1}", x(step.at_s), panel.y(ns))
                })
                .collect();
            writeln!(
                out,
                r#"<polyline class="line thin" stroke="{}"{style} points="{}"/>"#,
                colour(index),
                points.join(" ")
            )?;
        }
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
