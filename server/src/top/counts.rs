//! One reading of the page: each series' value, and what follows from two readings.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Values of all series, by their name and labels as the page writes them.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    at: Instant,
    values: BTreeMap<String, f64>,
}

impl Counts {
    /// What a page says, read at this time.
    pub(crate) fn of(text: &str, at: Instant) -> Counts {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let values = samples
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(series, value)| Some((series.to_owned(), value.parse().ok()?)));
        Counts {
            at,
            values: values.collect(),
        }
    }

    /// A series' value; none when the page does not show it.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        self.values.get(series).copied()
    }

    /// Series of a family with their one label's value.
    pub(crate) fn labelled<'a>(&'a self, family: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.values.iter().filter_map(move |(series, value)| {
            let labels = series.strip_prefix(family)?.strip_prefix('{')?;
            Some((labels.split('"').nth(1)?, *value))
        })
    }

    /// By how much a series grew since another reading, a second; after a restart it began anew.
    pub(crate) fn rate(&self, before: &Counts, series: &str) -> f64 {
        // While it recovers, the exchange tells of nothing: what it tells then has not come in a second.
        let Some((now, then)) = self.value(series).zip(before.value(series)) else {
            return 0.0;
        };
        let grown = if now < then { now } else { now - then };
        grown / self.seconds_since(before)
    }

    /// The same of all series of a family together.
    pub(crate) fn rate_of_all(&self, before: &Counts, family: &str) -> f64 {
        let sum = |counts: &Counts| counts.labelled(family).map(|(_, value)| value).sum::<f64>();
        let (now, then) = (sum(self), sum(before));
        match before.labelled(family).next() {
            None => 0.0,
            Some(_) if now < then => now / self.seconds_since(before),
            Some(_) => (now - then) / self.seconds_since(before),
        }
    }

    fn seconds_since(&self, before: &Counts) -> f64 {
        self.at
            .duration_since(before.at)
            .max(Duration::from_millis(1))
            .as_secs_f64()
    }

    /// The bound below which this share of what a histogram counted since another reading lies, seconds; none when it
    /// counted nothing. Bounds are powers of two of a microsecond, and so is the answer.
    pub(crate) fn quantile(&self, before: &Counts, histogram: &str, share: f64) -> Option<f64> {
        let family = format!("{histogram}_bucket");
        let then: BTreeMap<&str, f64> = before.labelled(&family).collect();
        let grown = |(bound, now): (&str, f64)| {
            let upper = match bound {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().ok()?,
            };
            let then = then.get(bound).copied().unwrap_or(0.0);
            Some((upper, if now < then { now } else { now - then }))
        };
        let mut steps: Vec<(f64, f64)> = self.labelled(&family).filter_map(grown).collect();
        steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = steps
            .last()
            .map(|(_, count)| *count)
            .filter(|count| *count > 0.0)?;
        let is_reached = |(_, count): &&(f64, f64)| *count >= all * share;
        steps.iter().find(is_reached).map(|(upper, _)| *upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(commands: u32, quick: u32, slow: u32) -> String {
        format!(
            "# TYPE xq_door_commands counter\nxq_door_commands_total {commands}\n\
             xq_door_bytes_total{{direction=\"in\"}} {commands}\nxq_door_bytes_total{{direction=\"out\"}} 0\n\
             xq_commit_seconds_bucket{{le=\"0.001\"}} {quick}\n\
             xq_commit_seconds_bucket{{le=\"0.002\"}} {}\nxq_commit_seconds_bucket{{le=\"+Inf\"}} {}\n# EOF\n",
            quick + slow,
            quick + slow
        )
    }

    #[test]
    fn rates_and_quantiles_are_of_what_came_between_two_readings() {
        let start = Instant::now();
        let before = Counts::of(&page(100, 50, 0), start);
        let now = Counts::of(&page(300, 140, 10), start + Duration::from_secs(2));
        assert_eq!(now.rate(&before, "xq_door_commands_total"), 100.0);
        assert_eq!(now.rate_of_all(&before, "xq_door_bytes_total"), 100.0);
        let recovering = Counts::of("", start);
        assert_eq!(now.rate(&recovering, "xq_door_commands_total"), 0.0);
        assert_eq!(now.value("xq_door_bytes_total{direction=\"in\"}"), Some(300.0));
        assert_eq!(now.quantile(&before, "xq_commit_seconds", 0.5), Some(0.001));
        assert_eq!(now.quantile(&before, "xq_commit_seconds", 0.99), Some(0.002));
        assert_eq!(now.quantile(&now, "xq_commit_seconds", 0.5), None, "nothing came");
        let restarted = Counts::of(&page(40, 4, 0), start + Duration::from_secs(4));
        assert_eq!(restarted.rate(&now, "xq_door_commands_total"), 20.0);
        assert_eq!(restarted.quantile(&now, "xq_commit_seconds", 0.99), Some(0.001));
    }
}
