//! Spans as SDKs send them: some 380 bytes of an HTTP call, or a call to a model with its texts.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use super::template::{self, Template, span_mark, trace_mark};

/// Spans of one trace over three services.
pub const TRACE_SPANS: usize = 12;
const SERVICE_SPANS: u16 = 4;
const SERVICES: [&str; 3] = ["shop-gateway", "orders", "stock"];
/// What the root of a trace of model calls says of its session, and no other span does.
pub const SESSION: &str = "checkout-session-4711";
/// Bytes of a prompt, and of an answer.
const TEXT: usize = 4096;

pub fn text(key: &str, value: &str) -> KeyValue {
    any(key, any_value::Value::StringValue(value.to_owned()))
}

pub fn number(key: &str, value: i64) -> KeyValue {
    any(key, any_value::Value::IntValue(value))
}

fn any(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub fn resource(service: &str, language: &str) -> Resource {
    let attributes = vec![
        text("service.name", service),
        text("service.instance.id", "4ac425da-186f-48d4-b205-a1bbd6109338"),
        text("telemetry.sdk.language", language),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.version", "1.57.0"),
    ];
    Resource { attributes, ..Resource::default() }
}

pub fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() }
}

fn request(service: &str, spans: Vec<Span>) -> Template {
    of((resource(service, "java"), scope("io.opentelemetry.http")), spans)
}

fn of((resource, scope): (Resource, InstrumentationScope), spans: Vec<Span>) -> Template {
    let items = spans.len() as u64;
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let block = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    Template::of(ExportTraceServiceRequest { resource_spans: vec![block] }.encode_to_vec(), items)
}

/// One span of about 380 bytes with 8 attributes.
fn span(trace: u16, nth: u16, parent: Option<u16>, name: &str, kind: i32) -> Span {
    Span {
        trace_id: trace_mark(trace),
        span_id: span_mark(trace, nth),
        parent_span_id: parent.map(|parent| span_mark(trace, parent)).unwrap_or_default(),
        name: name.to_owned(),
        kind,
        flags: 0x101,
        start_time_unix_nano: 1_795_347_879_000_000_000 + u64::from(nth) * 1_000_000,
        end_time_unix_nano: 1_795_347_879_500_000_000,
        attributes: vec![
            text("http.request.method", "GET"),
            text("url.full", "https://orders.internal.example.com/v1/orders/8812"),
            text("server.address", "orders.internal.example.com"),
            number("server.port", 443),
            number("http.response.status_code", 200),
            text("network.protocol.version", "1.1"),
            text("user_agent.original", "okhttp/4.12.0"),
            text("thread.name", "http-nio-8080-exec-7"),
        ],
        status: Some(Status::default()),
        ..Span::default()
    }
}

/// Whole traces of 10 spans, of one service.
pub fn flat(spans: u16) -> Template {
    let one = |n: u16| span(n / 10, n % 10, (!n.is_multiple_of(10)).then_some(0), "GET /v1/orders/{id}", 3);
    request("orders", (0..spans).map(one).collect())
}

/// Requests of the same spans in which values vary as they do in a service at work: nothing that an order has its own
/// of comes twice (its URL, its user, its statement), the rest is drawn from what a few services say. A quarter are
/// calls to a database, some of the others failed, and not all have all attributes.
pub fn varied(spans: u16) -> Vec<Template> {
    (0..VARIED).map(|nth| request("orders", (0..spans).map(|n| varied_span(nth, n)).collect())).collect()
}

/// Requests before the same come again.
const VARIED: u64 = 64;

fn varied_span(request: u64, n: u16) -> Span {
    let mut state = request << 16 | u64::from(n);
    let mut draw = |of: u64| {
        state = template::mix(state);
        state % of
    };
    let (order, user, host) = (draw(90_000_000), draw(9_000_000), draw(6));
    let server = format!(
        "{}.internal.example.com",
        ["orders", "stock", "users", "mail", "pay", "search"][host as usize]
    );
    let method = ["GET", "GET", "GET", "POST", "PUT", "DELETE"][draw(6) as usize];
    let status = [200, 200, 200, 200, 200, 201, 204, 302, 404, 422, 500, 503][draw(12) as usize];
    let path = ["orders", "baskets", "items", "users"][draw(4) as usize];
    let agent =
        format!("{}/{}.{}", ["okhttp", "okhttp", "axios", "curl"][draw(4) as usize], draw(4), draw(9));
    let thread = text("thread.name", &format!("http-nio-8080-exec-{}", draw(200)));
    let attributes = if draw(4) == 0 {
        let statement = format!("SELECT id, state FROM {path} WHERE customer = {user} AND id = {order}");
        vec![
            text("db.system.name", "postgresql"),
            text("db.namespace", path),
            text("db.query.text", &statement),
            text("server.address", &server),
            number("server.port", 5432),
            number("db.response.returned_rows", draw(60) as i64),
            thread,
            text("enduser.id", &format!("customer-{user}")),
        ]
    } else {
        let mut all = vec![
            text("http.request.method", method),
            text("url.full", &format!("https://{server}/v1/{path}/{order}")),
            text("server.address", &server),
            number("server.port", 443),
            number("http.response.status_code", status),
            text("network.protocol.version", "1.1"),
            text("user_agent.original", &agent),
            thread,
        ];
        if draw(3) > 0 {
            all.push(text("enduser.id", &format!("customer-{user}")));
        }
        if draw(3) == 0 {
            all.push(number("http.response.body.size", draw(100_000) as i64));
        }
        all
    };
    let start = 1_795_347_879_000_000_000 + draw(1_000_000_000);
    Span {
        attributes,
        start_time_unix_nano: start,
        end_time_unix_nano: start + draw(900_000_000),
        status: Some(Status { code: if status >= 500 { 2 } else { 0 }, ..Status::default() }),
        ..span(n / 10, n % 10, (!n.is_multiple_of(10)).then_some(0), "GET /v1/orders/{id}", 3)
    }
}

/// Three requests, one a service, of the same 25 traces: what a service did for a trace comes together.
pub fn services() -> Vec<Template> {
    let service = |n: usize| {
        let own =
            move |trace| (0..SERVICE_SPANS).map(move |nth| checkout(trace, n as u16 * SERVICE_SPANS + nth));
        request(SERVICES[n], (0..25).flat_map(own).collect())
    };
    (0..SERVICES.len()).map(service).collect()
}

/// The same spans, each of a trace in another request: twelve requests of the same 100 traces, service by service
/// in turn.
pub fn scattered() -> Vec<Template> {
    let part = |nth: u16, n: usize| {
        let spans = (0..100).map(|trace| checkout(trace, n as u16 * SERVICE_SPANS + nth));
        request(SERVICES[n], spans.collect())
    };
    (0..SERVICE_SPANS).flat_map(|nth| (0..SERVICES.len()).map(move |n| part(nth, n))).collect()
}

/// The `nth` of a trace's twelve spans. Each service has a SERVER span, two INTERNAL below it, and a CLIENT that
/// calls the next.
fn checkout(trace: u16, nth: u16) -> Span {
    let server = nth / SERVICE_SPANS * SERVICE_SPANS;
    let is_last = usize::from(nth) + 1 == TRACE_SPANS;
    match nth % SERVICE_SPANS {
        0 => span(trace, nth, nth.checked_sub(1), "POST /checkout", 2),
        1 => span(trace, nth, Some(server), "load basket", 1),
        2 => span(trace, nth, Some(server), "price basket", 1),
        _ => span(trace, nth, Some(server), if is_last { "SELECT orders" } else { "POST" }, 3),
    }
}

/// Spans that wait for a parent.
pub fn orphans() -> Template {
    request("orders", (0..100).map(|trace| span(trace, 1, Some(0), "GET /v1/orders/{id}", 3)).collect())
}

/// Calls to a model as the SDKs of Langfuse and InteractiveAI write them.
pub fn llm() -> Template {
    let spans = (0..20).map(|n| generation(n / 10, n % 10)).collect();
    of((resource("agent", "python"), scope("langfuse-sdk")), spans)
}

fn generation(trace: u16, nth: u16) -> Span {
    let prose = "The basket holds three items; the customer asks whether they can be delivered by Friday. ";
    let texts = prose.repeat(TEXT / prose.len());
    let mut attributes = vec![
        text("langfuse.observation.type", "generation"),
        text("langfuse.observation.input", &format!("[{{\"role\": \"user\", \"content\": \"{texts}\"}}]")),
        text(
            "langfuse.observation.output",
            &format!("{{\"role\": \"assistant\", \"content\": \"{texts}\"}}"),
        ),
        text("langfuse.observation.model.name", "gpt-5-mini"),
        text("langfuse.observation.usage_details", "{\"input\": 912, \"output\": 871, \"total\": 1783}"),
    ];
    if nth == 0 {
        attributes.extend([
            text("langfuse.trace.name", "answer a customer"),
            text("user.id", "customer-8812"),
            text("session.id", SESSION),
        ]);
    }
    let parent = (nth > 0).then_some(0);
    Span { attributes, ..span(trace, nth, parent, "chat gpt-5-mini", 1) }
}
