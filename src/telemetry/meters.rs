//! Every metric in one table. `docs/metrics.md` is generated from it.
//!
//! Names follow the Collector's `otelcol_*` in meaning, under `spandrel_*`. For each signal and
//! upstream that takes it: received = delivered + refused + lost, once nothing is in flight. Log records that
//! no upstream takes, and that are let in because they belong to spans, are in the books of whoever takes spans.

use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// One row of the table, for the generated page.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! make {
    (counter, $name:expr, $help:expr, $labels:expr, $buckets:expr) => {
        IntCounterVec::new(Opts::new($name, $help), &$labels).expect("a static metric is well formed")
    };
    (gauges, $name:expr, $help:expr, $labels:expr, $buckets:expr) => {
        IntGaugeVec::new(Opts::new($name, $help), &$labels).expect("a static metric is well formed")
    };
    (amounts, $name:expr, $help:expr, $labels:expr, $buckets:expr) => {
        CounterVec::new(Opts::new($name, $help), &$labels).expect("a static metric is well formed")
    };
    (histograms, $name:expr, $help:expr, $labels:expr, $buckets:expr) => {
        HistogramVec::new(HistogramOpts::new($name, $help).buckets($buckets.to_vec()), &$labels)
            .expect("a static metric is well formed")
    };
    (gauge, $name:expr, $help:expr, $labels:expr, $buckets:expr) => {
        IntGauge::new($name, $help).expect("a static metric is well formed")
    };
    (histogram, $name:expr, $help:expr, $labels:expr, $buckets:expr) => {
        Histogram::with_opts(HistogramOpts::new($name, $help).buckets($buckets.to_vec()))
            .expect("a static metric is well formed")
    };
}

macro_rules! kind {
    (counter) => {
        IntCounterVec
    };
    (amounts) => {
        CounterVec
    };
    (histograms) => {
        HistogramVec
    };
    (gauges) => {
        IntGaugeVec
    };
    (gauge) => {
        IntGauge
    };
    (histogram) => {
        Histogram
    };
}

macro_rules! meters {
    ($($field:ident: $kind:ident $name:literal [$($label:literal),*] $buckets:expr, $help:literal;)*) => {
        /// Handles to every metric. Cheap to share behind an `Arc`.
        #[derive(Clone, Debug)]
        pub struct Meters {
            pub registry: Registry,
            $(#[doc = $help] pub $field: kind!($kind),)*
        }

        impl Meters {
            #[allow(clippy::new_without_default, clippy::expect_used)]
            pub fn new() -> Self {
                let registry = Registry::new();
                $(
                    let $field = make!($kind, $name, $help, [$($label),*], $buckets);
                    registry.register(Box::new($field.clone())).expect("names in the table are unique");
                )*
                Self { registry, $($field,)* }
            }

            /// The table, in the order written here.
            pub const TABLE: &'static [Row] = &[$(
                Row { name: $name, kind: stringify!($kind), labels: &[$($label),*], help: $help },
            )*];
        }
    };
}

const SECONDS: [f64; 12] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 6.0, 10.0, 30.0];
const SPANS: [f64; 8] = [1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e5];
/// Seconds, from a call in memory to an agent at work.
const LATENCIES: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// For the rows that are no histograms; the macro drops it.
#[expect(dead_code)]
const NO: [f64; 0] = [];

meters! {
    received_items: counter "spandrel_receiver_received_items_total" ["signal", "transport"] NO,
        "Items (spans, log records, data points, profiles) read from callers, refused ones included.";
    receiver_refused_items: counter "spandrel_receiver_refused_items_total" ["signal", "reason"] NO,
        "Items refused to the caller, by reason.";
    requests: counter "spandrel_receiver_requests_total" ["signal", "transport", "outcome"] NO,
        "Requests answered, by outcome: ok, partial, or the refusal's name.";
    lenient_json: counter "spandrel_receiver_lenient_json_total" [] NO,
        "Names in snake_case and enums as text taken because `receive.lenient_json` is on.";
    connections: gauge "spandrel_receiver_connections" [] NO,
        "Connections open now.";
    refused_connections: counter "spandrel_receiver_refused_connections_total" [] NO,
        "Connections closed at once because as many as may be were open.";
    failed_handshakes: counter "spandrel_receiver_failed_handshakes_total" ["reason"] NO,
        "TLS handshakes of callers that failed: refused, or too slow.";
    reloads: counter "spandrel_receiver_reloads_total" ["what", "outcome"] NO,
        "Certificates and credentials read again because their files changed; after `failed` the last good ones stay in use.";
    config_reloads: counter "spandrel_config_reloads_total" ["outcome"] NO,
        "The configuration read again, because a file changed or on SIGHUP, by outcome: ok, unchanged, or refused, and then the last stays in force.";
    config_loaded: gauge "spandrel_config_last_reload_success_timestamp_seconds" [] NO,
        "When the configuration was last found good, in Unix seconds; the start counts.";
    source_age: gauges "spandrel_source_age_seconds" ["source"] NO,
        "For how long a source of labels or a table (`${file:…}`, `Lookup`) could not be used, while its last good value stays, or has said that the pod's injection could not do as it was told; 0 while all is well.";
    source_errors: counter "spandrel_source_errors_total" ["source"] NO,
        "Times that what a source says was found to be of no use.";
    config_refused: gauge "spandrel_config_refused" [] NO,
        "1 while a configuration that is written is not in force because it can not be used: `/readyz` says why.";
    delivered_items: counter "spandrel_exporter_delivered_items_total" ["signal", "upstream"] NO,
        "Items an upstream accepted, and copies of spans that had gone to it before, which are not sent again.";
    upstream_refused_items: counter "spandrel_exporter_refused_items_total" ["signal", "upstream", "reason"] NO,
        "Items an upstream refused for good, by reason.";
    lost_items: counter "spandrel_exporter_lost_items_total" ["signal", "upstream", "reason"] NO,
        "Items given up after they were accepted, by reason. `dropped_by_rule`, `sampled_out`, `routed_elsewhere` (another upstream is given them) and `no_route` (none is) are the user's own wish (`rules`).";
    rule_errors: counter "spandrel_rule_errors_total" ["rule"] NO,
        "Statements of `rules` that failed on an item, which went on without them: `3.1` is the first statement of the third entry, `mask.1` that of the group `mask`.";
    sends: counter "spandrel_exporter_sends_total" ["signal", "upstream", "outcome"] NO,
        "Calls to an upstream, by outcome.";
    divided: counter "spandrel_exporter_divided_batches_total" ["signal", "upstream", "reason"] NO,
        "Batches an upstream refused whole and was sent in parts, by what it said: invalid, too_large.";
    relayed: counter "spandrel_relay_requests_total" ["what", "method", "outcome"] NO,
        "Requests that are not OTLP, handed on to the platform behind the upstream, by what they are about (scores, prompts, projects, …; page: a browser sent there) and by the reply: 2xx, 3xx, 4xx, 5xx, or busy, unreachable, silent.";
    scores: counter "spandrel_scores_total" ["outcome"] NO,
        "Evaluations (`scores.evaluations`), by what became of them: sent (as a score), refused (by the platform, for good), gave_up, queue_full, shutdown; or no_name, no_value where one is no score.";
    gateways: gauges "spandrel_gateway_addresses" ["upstream", "state"] NO,
        "Gateways an upstream's name stands for (`gateway`), those that can be reached (up) and those that can not (down).";
    gateway_lookups: counter "spandrel_gateway_lookups_total" ["upstream", "outcome"] NO,
        "Times the name was asked for; after `failed` the gateways stay as they were.";
    gateway_splits: counter "spandrel_gateway_split_traces_total" ["upstream"] NO,
        "Traces whose parts went to several gateways, because the first could not be reached or they went on for longer than it is known.";
    gateway_moved: counter "spandrel_gateway_moved_items_total" ["signal", "upstream"] NO,
        "Items that one gateway was to have and another was sent.";
    outbox_bytes: gauges "spandrel_exporter_queue_bytes" ["upstream"] NO,
        "Bytes of batches waiting for an upstream.";
    outbox_batches: gauges "spandrel_exporter_queue_batches" ["upstream"] NO,
        "Batches waiting for an upstream.";
    batches: counter "spandrel_batch_closed_total" ["signal", "reason"] NO,
        "Batches closed, by what closed them: size, age, drain.";
    left: counter "spandrel_join_left_traces_total" ["reason"] NO,
        "Traces that left the join, by reason.";
    left_spans: counter "spandrel_join_left_spans_total" ["reason"] NO,
        "Spans that left the join, by reason.";
    duplicates: counter "spandrel_join_duplicate_spans_total" [] NO,
        "Spans that came more than once and were collapsed; each settles with the span that was kept, or by itself once that has left.";
    oddities: counter "spandrel_join_odd_spans_total" ["kind"] NO,
        "Spans with a parent that can not be right: orphan, zero_parent, cycle.";
    claims: counter "spandrel_join_odd_claims_total" ["kind"] NO,
        "What spans claim of their trace and is not passed on (`context`): disputed (a span nearer to the root says something else), left_out (too long, too many, or of a type nobody reads). It stays on the span that claims it.";
    mended: counter "spandrel_join_mended_spans_total" [] NO,
        "Spans whose parent or root mark was mended for the dialect's server; the parent they named is kept in `spandrel.parent_span_id`.";
    notes: counter "spandrel_join_log_records_total" ["outcome"] NO,
        "Log records that belong to spans (`join.logs`), by what became of them: attached to their span, copy of one that was, late (the span had left), no_span (it did not come within ten minutes), no_room.";
    split: counter "spandrel_join_split_traces_total" [] NO,
        "Traces larger than a batch, sent in consecutive requests.";
    held_traces: gauge "spandrel_join_held_traces" [] NO,
        "Traces in the join now.";
    held_bytes: gauge "spandrel_join_held_bytes" [] NO,
        "Bytes held by the join now.";
    hold_seconds: histogram "spandrel_join_quiet_seconds" [] SECONDS,
        "From a trace's last span to its leaving.";
    trace_spans: histogram "spandrel_join_trace_spans" [] SPANS,
        "Spans a trace.";
    shapes: gauge "spandrel_join_shapes" [] NO,
        "Span shapes the join has learned.";
    memory_used: gauge "spandrel_memory_used_bytes" [] NO,
        "Bytes counted against the budget now.";
    memory_limit: gauge "spandrel_memory_limit_bytes" [] NO,
        "The byte budget.";
    watch_missed: counter "spandrel_watch_missed_traces_total" ["looker"] NO,
        "Joined traces a looker (console, watch, rollups) was too slow for; they were forwarded all the same.";
    lookers: gauge "spandrel_watch_lookers" [] NO,
        "Who looks at joined traces now: the console, who counts them, and readers of the inspection API.";
    recent_traces: gauge "spandrel_recent_traces" [] NO,
        "Joined traces kept to be looked at.";
    recent_bytes: gauge "spandrel_recent_bytes" [] NO,
        "Bytes of joined traces kept to be looked at.";
    recent_evicted: counter "spandrel_recent_evicted_traces_total" [] NO,
        "Joined traces no longer kept to be looked at, because newer ones needed the room.";
    queue_requests: gauge "spandrel_queue_requests" [] NO,
        "Requests waiting for a lane.";
    trace_seconds: histograms "spandrel_trace_duration_seconds" ["service", "environment"] LATENCIES,
        "From a trace's earliest start to its latest end, by its root's service (`rollups.metrics`).";
    trace_errors: counter "spandrel_trace_errors_total" ["service", "environment"] NO,
        "Spans of joined traces whose level is an error (`rollups.metrics`).";
    trace_tokens: counter "spandrel_trace_tokens_total" ["service", "environment", "model", "side"] NO,
        "Tokens of joined traces, input and output, without what would count twice (`rollups.metrics`).";
    trace_cost: amounts "spandrel_trace_cost_usd_total" ["service", "environment", "model"] NO,
        "What joined traces cost, in USD (`rollups.metrics`).";
    trace_other: counter "spandrel_trace_other_total" [] NO,
        "Times that something of a trace was counted under `other`, because 1,000 sets of service, environment and model were known.";
}

/// docs/metrics.md, written from the table.
pub fn reference() -> String {
    use std::fmt::Write;
    let mut page = String::from(
        "\
# Metrics

<!-- Generated: `spandrel docs metrics > docs/metrics.md`. Edit src/telemetry/meters.rs instead. -->

Served in Prometheus' text format at `/metrics` on the admin address (127.0.0.1:8888). Names follow the
Collector's `otelcol_*` in meaning. For each signal and each upstream that takes it, once nothing is in flight:
received = delivered + refused + lost. Log records that no upstream takes are let in only where they belong to
spans (`join.logs`); an upstream that takes their spans has taken them, and those without a span are lost
(`no_span`, `no_room`). Of a batch that ends in parts, each part settles its share of them.

| metric | type | labels | meaning |
|---|---|---|---|
",
    );
    for row in Meters::TABLE {
        // With labels or without, whole numbers or not: from outside these look alike.
        let kind = match row.kind {
            "gauges" => "gauge",
            "amounts" => "counter",
            "histograms" => "histogram",
            kind => kind,
        };
        let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            page,
            "| `{}` | {kind} | {} | {} |",
            row.name,
            labels.join(", "),
            row.help.replace('|', "\\|")
        );
    }
    page
}

impl Meters {
    /// Items lost because the process ended before they were sent, over all signals and upstreams.
    pub fn lost_to_shutdown(&self) -> u64 {
        use prometheus::core::Collector;
        let of_shutdown = |metric: &prometheus::proto::Metric| {
            metric.get_label().iter().any(|l| l.name() == "reason" && l.value() == "shutdown")
        };
        let families = self.lost_items.collect();
        let lost = families.iter().flat_map(|f| f.get_metric()).filter(|m| of_shutdown(m));
        // A counter of items never leaves the range a double holds exactly.
        lost.map(|m| m.get_counter().get_value() as u64).sum()
    }
}
