//! How the counts are shown: as a live view in a terminal, or as lines of text.

use super::Counts;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph, Row, Table};

/// A table as full as this is shown in red.
const FULL: f64 = 0.8;
/// Histograms of a command's way, in its order; and what the machine did to all of it.
const STAGES: [(&str, &str); 5] = [
    ("ring", "xq_ring_seconds"),
    ("match, a batch", "xq_match_seconds"),
    ("durable, a batch", "xq_commit_seconds"),
    ("told", "xq_told_after_seconds"),
    ("hiccups", "xq_hiccup_seconds"),
];

/// What is shown.
pub(crate) struct Seen<'a> {
    /// Where it was asked.
    pub(crate) address: String,
    /// The last two readings.
    pub(crate) before: &'a Counts,
    pub(crate) now: &'a Counts,
    /// Commands made durable a second, by seconds ago.
    pub(crate) history: &'a [(f64, f64)],
    /// Why the page did not answer, if it did not.
    pub(crate) trouble: Option<String>,
}

impl Seen<'_> {
    fn rate(&self, series: &str) -> f64 {
        self.now.rate(self.before, series)
    }

    fn value(&self, series: &str) -> f64 {
        self.now.value(series).unwrap_or(0.0)
    }

    /// What is counted, by name.
    fn figures(&self) -> Vec<(&'static str, String)> {
        let rejects = |family: &str| self.now.rate_of_all(self.before, family);
        let segments =
            |journal: &str| self.value(&format!("xq_journal_free_segments{{journal=\"{journal}\"}}"));
        let bytes = |way: &str| self.rate(&format!("xq_door_bytes_total{{direction=\"{way}\"}}")) / 1_024.0;
        let (used, slots) = (
            self.value("xq_command_ring_slots"),
            self.value("xq_command_ring_capacity_slots"),
        );
        let days = (self.value("xq_certificate_end_timestamp_seconds") - unix_now()) / 86_400.0;
        vec![
            (
                "durable sequence",
                format!("{:.0}", self.value("xq_durable_sequence")),
            ),
            (
                "made durable",
                format!("{:.0}/s", self.rate("xq_durable_sequence")),
            ),
            (
                "through the door",
                format!("{:.0}/s", self.rate("xq_door_commands_total")),
            ),
            (
                "refused at the door",
                format!("{:.1}/s", rejects("xq_door_rejects_total")),
            ),
            (
                "refused by the exchange",
                format!("{:.1}/s", rejects("xq_exchange_rejects_total")),
            ),
            (
                "read · written",
                format!("{:.0} · {:.0} KiB/s", bytes("in"), bytes("out")),
            ),
            ("command ring", format!("{used:.0} of {slots:.0} slots")),
            (
                "publisher waits",
                format!("{:.0}/s", self.rate("xq_publisher_waits_total")),
            ),
            (
                "sessions · connections",
                format!(
                    "{:.0} · {:.0}",
                    self.value("xq_sessions"),
                    self.value("xq_connections")
                ),
            ),
            (
                "segments ready",
                format!("{:.0} · {:.0}", segments("command"), segments("event")),
            ),
            (
                "disk free",
                format!("{:.1} GiB", self.value("xq_disk_free_bytes") / 1_073_741_824.0),
            ),
            (
                "clock's offset",
                format!("{:.3} ms", self.value("xq_clock_offset_seconds") * 1e3),
            ),
            ("certificate ends in", format!("{days:.0} days")),
            (
                "last recovery",
                format!("{:.2} s", self.value("xq_recovery_seconds")),
            ),
        ]
    }

    /// Each stage with the bounds of its middle and of all but one in a hundred.
    fn stages(&self) -> [(&'static str, String, String); 5] {
        STAGES.map(|(name, histogram)| {
            let bound = |share| match self.now.quantile(self.before, histogram, share) {
                None => "-".to_owned(),
                Some(seconds) if seconds < 0.001 => format!("≤ {:.0} µs", seconds * 1e6),
                Some(seconds) => format!("≤ {:.0} ms", seconds * 1e3),
            };
            (name, bound(0.5), bound(0.99))
        })
    }

    /// How full each table is.
    fn tables(&self) -> Vec<(&str, f64, f64)> {
        let rows = self.now.labelled("xq_table_rows");
        rows.map(|(table, used)| {
            let capacity = self.value(&format!("xq_table_capacity_rows{{table=\"{table}\"}}"));
            (table, used, capacity)
        })
        .collect()
    }
}

fn unix_now() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |since| since.as_secs_f64())
}

/// The same as text, a line each.
pub(crate) fn lines(seen: &Seen<'_>) -> Vec<String> {
    let figures = seen
        .figures()
        .into_iter()
        .map(|(name, value)| format!("{name:<24} {value}"));
    let stages = seen.stages().into_iter();
    let stages = stages.map(|(name, half, most)| format!("{name:<24} p50 {half}, p99 {most}"));
    let tables = seen.tables().into_iter();
    let tables = tables.map(|(table, used, capacity)| format!("{table:<24} {used:.0} of {capacity:.0} rows"));
    figures.chain(stages).chain(tables).collect()
}

/// Draws all of it.
pub(crate) fn draw(frame: &mut Frame<'_>, seen: &Seen<'_>) {
    let [head, top, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(16), Constraint::Min(6)])
            .areas(frame.area());
    let [left, right] = Layout::horizontal([Constraint::Length(50), Constraint::Min(30)]).areas(top);
    let [stages, tables] = Layout::horizontal([Constraint::Length(50), Constraint::Min(30)]).areas(bottom);
    let title = match &seen.trouble {
        None => Line::from(format!(" {}   q: quit", seen.address)).reversed(),
        Some(trouble) => Line::from(format!(" {}   {trouble}   q: quit", seen.address))
            .white()
            .on_red(),
    };
    frame.render_widget(Paragraph::new(title), head);

    let widths = [Constraint::Length(24), Constraint::Min(20)];
    let figures = seen
        .figures()
        .into_iter()
        .map(|(name, value)| Row::new([name.to_owned(), value]));
    frame.render_widget(
        Table::new(figures, widths).block(Block::bordered().title(" now ")),
        left,
    );

    let widths = [
        Constraint::Length(18),
        Constraint::Length(13),
        Constraint::Min(13),
    ];
    let each = seen.stages().into_iter();
    let each = each.map(|(name, half, most)| Row::new([name.to_owned(), half, most]));
    let table = Table::new(each, widths);
    frame.render_widget(table.block(Block::bordered().title(" p50 and p99 ")), stages);

    draw_history(frame, seen, right);
    draw_tables(frame, seen, tables);
}

fn draw_history(frame: &mut Frame<'_>, seen: &Seen<'_>, area: ratatui::layout::Rect) {
    let highest = seen.history.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let line = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line);
    let line = line.style(Style::new().cyan()).data(seen.history);
    let (left, top) = (-120.0, highest * 1.1);
    let chart = Chart::new(vec![line])
        .x_axis(Axis::default().bounds([left, 0.0]).labels(["-120 s", "now"]))
        .y_axis(
            Axis::default()
                .bounds([0.0, top])
                .labels(["0".to_owned(), format!("{top:.0}")]),
        );
    frame.render_widget(
        chart.block(Block::bordered().title(" made durable a second ")),
        area,
    );
}

fn draw_tables(frame: &mut Frame<'_>, seen: &Seen<'_>, area: ratatui::layout::Rect) {
    let block = Block::bordered().title(" tables ");
    let inside = block.inner(area);
    frame.render_widget(block, area);
    let tables = seen.tables();
    let places = Layout::vertical(vec![Constraint::Length(1); tables.len()]).split(inside);
    for ((table, used, capacity), place) in tables.into_iter().zip(places.iter()) {
        let [name, bar] = Layout::horizontal([Constraint::Length(14), Constraint::Min(10)]).areas(*place);
        let share = (used / capacity.max(1.0)).clamp(0.0, 1.0);
        let style = if share < FULL {
            Style::new().green()
        } else {
            Style::new().red()
        };
        let gauge = Gauge::default().ratio(share).gauge_style(style);
        frame.render_widget(Paragraph::new(table), name);
        frame.render_widget(gauge.label(format!("{used:.0} of {capacity:.0}")), bar);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::{Duration, Instant};

    #[test]
    fn the_view_shows_rates_stages_and_full_tables() {
        let page = |durable: u32| {
            format!(
                "xq_durable_sequence {durable}.0\nxq_told_after_seconds_bucket{{le=\"0.000128\"}} {durable}\n\
                 xq_told_after_seconds_bucket{{le=\"+Inf\"}} {durable}\n\
                 xq_table_rows{{table=\"orders\"}} 90.0\nxq_table_capacity_rows{{table=\"orders\"}} 100.0\n"
            )
        };
        let start = Instant::now();
        let (before, now) = (
            Counts::of(&page(100), start),
            Counts::of(&page(1_100), start + Duration::from_secs(1)),
        );
        let seen = Seen {
            address: "127.0.0.1:4700".to_owned(),
            before: &before,
            now: &now,
            history: &[(-1.0, 500.0), (0.0, 1_000.0)],
            trouble: None,
        };
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).expect("a terminal in memory");
        terminal.draw(|frame| draw(frame, &seen)).expect("it is drawn");
        let screen = terminal.backend().to_string();
        for part in ["1000/s", "≤ 128 µs", "90 of 100", "127.0.0.1:4700"] {
            assert!(screen.contains(part), "{part} is not in\n{screen}");
        }
        let text = lines(&seen).join("\n");
        assert!(
            text.contains("made durable             1000/s") && text.contains("90 of 100 rows"),
            "{text}"
        );
    }

    /// A terminal of any size is drawn into.
    #[test]
    fn a_small_terminal_is_no_reason_to_end() {
        let counts = Counts::of("", Instant::now());
        let seen = Seen {
            address: String::new(),
            before: &counts,
            now: &counts,
            history: &[],
            trouble: Some("it does not answer".to_owned()),
        };
        for (width, height) in [(1, 1), (20, 5), (60, 12)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal in memory");
            terminal.draw(|frame| draw(frame, &seen)).expect("it is drawn");
        }
    }
}
