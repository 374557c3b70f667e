//! Metrics and log records as SDKs send them.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use prost::Message;

use super::spans::{number, resource, scope, text};
use super::template::{Template, span_mark, trace_mark};

const NOW: u64 = 1_795_347_879_000_000_000;

/// 20 counters of 5 data points each.
pub fn metrics() -> Template {
    let point = |n: i64| NumberDataPoint {
        attributes: vec![
            text("http.request.method", "GET"),
            text("http.route", "/v1/orders/{id}"),
            number("http.response.status_code", 200 + n),
            text("server.address", "orders.internal.example.com"),
        ],
        start_time_unix_nano: NOW,
        time_unix_nano: NOW + 10_000_000_000,
        value: Some(number_data_point::Value::AsInt(8812 + n)),
        ..NumberDataPoint::default()
    };
    let metric = |n: usize| Metric {
        name: format!("http.server.requests.{n}"),
        unit: "{request}".to_owned(),
        data: Some(metric::Data::Sum(Sum {
            data_points: (0..5).map(point).collect(),
            aggregation_temporality: 2,
            is_monotonic: true,
        })),
        ..Metric::default()
    };
    let scope_metrics = vec![ScopeMetrics {
        scope: Some(scope("io.opentelemetry.http")),
        metrics: (0..20).map(metric).collect(),
        ..ScopeMetrics::default()
    }];
    let block = ResourceMetrics {
        resource: Some(resource("orders", "java")),
        scope_metrics,
        ..ResourceMetrics::default()
    };
    Template::of(ExportMetricsServiceRequest { resource_metrics: vec![block] }.encode_to_vec(), 100)
}

/// 100 records of 10 traces.
pub fn logs() -> Template {
    let record = |n: u16| LogRecord {
        time_unix_nano: NOW + u64::from(n),
        observed_time_unix_nano: NOW + u64::from(n),
        severity_number: 9,
        severity_text: "INFO".to_owned(),
        body: Some(AnyValue {
            value: Some(any_value::Value::StringValue(format!(
                "order {n} of customer 4711 was accepted and handed to the warehouse for delivery by Friday"
            ))),
        }),
        attributes: vec![
            text("logger.name", "com.example.orders.OrderService"),
            text("thread.name", "http-nio-8080-exec-7"),
            number("order.id", i64::from(n)),
        ],
        flags: 1,
        trace_id: trace_mark(n / 10),
        span_id: span_mark(n / 10, n % 10),
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs {
        scope: Some(scope("com.example.orders")),
        log_records: (0..100).map(record).collect(),
        ..ScopeLogs::default()
    }];
    let block =
        ResourceLogs { resource: Some(resource("orders", "java")), scope_logs, ..ResourceLogs::default() };
    Template::of(ExportLogsServiceRequest { resource_logs: vec![block] }.encode_to_vec(), 100)
}
