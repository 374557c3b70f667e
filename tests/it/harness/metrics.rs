//! The program's own metrics, read as a scraper reads them, and the equation they must satisfy.

use std::collections::BTreeMap;

use spandrel::wire::Signal;

/// One reading of `/metrics`.
#[derive(Clone, Debug)]
pub struct Metrics {
    series: Vec<Series>,
}

#[derive(Clone, Debug)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// What became of the items of one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    pub received: u64,
    pub delivered: u64,
    pub refused: u64,
    pub lost: u64,
}

impl Metrics {
    /// Reads the Prometheus text format.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self { series: lines.map(Series::parse).collect() }
    }

    /// The sum of every series of this name whose labels have these values; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let matching = self.series.iter().filter(|series| series.name == name);
        let matching = matching.filter(|series| {
            labels.iter().all(|(label, value)| series.labels.get(*label).is_some_and(|it| it == value))
        });
        matching.map(|series| series.value).sum::<f64>() as u64
    }

    /// The received items of a signal and their ends, as one upstream saw them.
    pub fn ledger(&self, signal: Signal, upstream: &str) -> Ledger {
        let signal = ("signal", signal.name());
        let at = ("upstream", upstream);
        Ledger {
            received: self.sum("spandrel_receiver_received_items_total", &[signal]),
            delivered: self.sum("spandrel_exporter_delivered_items_total", &[signal, at]),
            refused: self.sum("spandrel_receiver_refused_items_total", &[signal])
                + self.sum("spandrel_exporter_refused_items_total", &[signal, at]),
            lost: self.sum("spandrel_exporter_lost_items_total", &[signal, at]),
        }
    }
}

impl Ledger {
    /// received = delivered + refused + lost.
    pub fn is_settled(&self) -> bool {
        self.received == self.delivered + self.refused + self.lost
    }
}

impl Series {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line:?}"));
        let value = value.parse().unwrap_or_else(|_| panic!("no number at the end of {line:?}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.trim_end_matches('}')),
            None => (series, ""),
        };
        let labels = labels.split("\",").filter(|pair| !pair.is_empty()).map(|pair| {
            let (label, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("no label in {line:?}"));
            (label.into(), value.trim_end_matches('"').into())
        });
        Self { name: name.into(), labels: labels.collect(), value }
    }
}

#[test]
fn reads_the_prometheus_text_format() {
    let metrics = Metrics::parse(concat!(
        "# HELP a_total Things.\n# TYPE a_total counter\n",
        "a_total{signal=\"traces\",upstream=\"x\"} 3\n",
        "a_total{signal=\"logs\",upstream=\"x\"} 4\n",
        "b 1.5e3\n",
    ));
    assert_eq!(metrics.sum("a_total", &[]), 7);
    assert_eq!(metrics.sum("a_total", &[("signal", "logs")]), 4);
    assert_eq!(metrics.sum("a_total", &[("signal", "profiles")]), 0);
    assert_eq!(metrics.sum("b", &[]), 1500);
}
