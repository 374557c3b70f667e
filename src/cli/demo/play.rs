//! The play: a shop's checkout over three services, cut into the requests their SDKs would send.
//!
//! Python `shop-gateway` calls Java `orders`, which calls back into Python `agent-worker`. Only the
//! gateway says which environment it is. Ids and times are fresh; everything else is written here.

use rand::seq::SliceRandom;
use serde_json::{Value, json};

/// One service of the play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Gateway,
    Orders,
    Agent,
}

impl Service {
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Orders, Self::Agent];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "shop-gateway",
            Self::Orders => "orders",
            Self::Agent => "agent-worker",
        }
    }

    /// How it exports.
    pub fn way(self) -> Way {
        match self {
            Self::Gateway => Way::Grpc,
            Self::Orders => Way::Protobuf,
            Self::Agent => Way::Json,
        }
    }

    fn resource(self) -> Vec<(&'static str, Say)> {
        let (language, version) = match self {
            Self::Gateway => ("python", "2.14.0"),
            Self::Orders => ("java", "7.3.1"),
            Self::Agent => ("python", "0.9.4"),
        };
        let mut said = vec![
            ("service.name", Say::Text(self.name())),
            ("service.version", Say::Text(version)),
            ("telemetry.sdk.name", Say::Text("opentelemetry")),
            ("telemetry.sdk.language", Say::Text(language)),
        ];
        if self == Self::Gateway {
            said.push(("deployment.environment.name", Say::Text("production")));
        }
        said
    }

    fn scope(self) -> &'static str {
        match self {
            Self::Gateway => "opentelemetry.instrumentation.fastapi",
            Self::Orders => "io.opentelemetry.spring-webmvc-6.0",
            Self::Agent => "agent_worker.tracing",
        }
    }
}

/// The three ways to send OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Grpc,
    Protobuf,
    Json,
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "OTLP/gRPC",
            Self::Protobuf => "OTLP/HTTP protobuf",
            Self::Json => "OTLP/HTTP JSON",
        }
    }
}

/// One request of one service, as OTLP/JSON.
#[derive(Clone, Debug)]
pub struct Export {
    pub service: Service,
    pub spans: usize,
    pub json: Value,
}

/// An attribute's value.
#[derive(Clone, Copy, Debug)]
enum Say {
    Text(&'static str),
    Count(i64),
}

/// `Span.SpanKind`.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// A span of the play. Times are milliseconds after the root's start.
struct Step {
    service: Service,
    /// In which of the service's requests it goes: spans go when they have ended.
    export: usize,
    /// Index of its parent.
    parent: Option<usize>,
    name: &'static str,
    kind: u8,
    from: u64,
    to: u64,
    attributes: &'static [(&'static str, Say)],
}

/// Spans of one trace.
pub const SPANS: usize = STEPS.len();
/// How long the whole took.
const TOOK_MS: u64 = STEPS[0].to;

const STEPS: [Step; 10] = [
    Step {
        service: Service::Gateway,
        export: 1,
        parent: None,
        name: "POST /checkout",
        kind: SERVER,
        from: 0,
        to: 931,
        attributes: &[
            ("http.request.method", Say::Text("POST")),
            ("http.route", Say::Text("/checkout")),
            ("http.response.status_code", Say::Count(200)),
            ("user.id", Say::Text("u-58201")),
            ("session.id", Say::Text("s-7f3a")),
        ],
    },
    Step {
        service: Service::Gateway,
        export: 0,
        parent: Some(0),
        name: "validate cart",
        kind: INTERNAL,
        from: 2,
        to: 9,
        attributes: &[("shop.cart.items", Say::Count(3))],
    },
    Step {
        service: Service::Gateway,
        export: 0,
        parent: Some(0),
        name: "POST",
        kind: CLIENT,
        from: 11,
        to: 926,
        attributes: &[
            ("http.request.method", Say::Text("POST")),
            ("url.full", Say::Text("http://orders:8080/api/orders")),
            ("server.address", Say::Text("orders")),
        ],
    },
    Step {
        service: Service::Orders,
        export: 1,
        parent: Some(2),
        name: "POST /api/orders",
        kind: SERVER,
        from: 14,
        to: 922,
        attributes: &[
            ("http.route", Say::Text("/api/orders")),
            ("thread.name", Say::Text("http-nio-8080-exec-4")),
        ],
    },
    Step {
        service: Service::Orders,
        export: 0,
        parent: Some(3),
        name: "INSERT shop.orders",
        kind: CLIENT,
        from: 18,
        to: 31,
        attributes: &[
            ("db.system.name", Say::Text("postgresql")),
            ("db.operation.name", Say::Text("INSERT")),
            ("db.collection.name", Say::Text("orders")),
        ],
    },
    Step {
        service: Service::Orders,
        export: 1,
        parent: Some(3),
        name: "POST",
        kind: CLIENT,
        from: 35,
        to: 917,
        attributes: &[("url.full", Say::Text("http://agent-worker:8000/review"))],
    },
    Step {
        service: Service::Agent,
        export: 1,
        parent: Some(5),
        name: "POST /review",
        kind: SERVER,
        from: 39,
        to: 912,
        attributes: &[("http.route", Say::Text("/review"))],
    },
    Step {
        service: Service::Agent,
        export: 1,
        parent: Some(6),
        name: "invoke_agent fraud-review",
        kind: INTERNAL,
        from: 42,
        to: 908,
        attributes: &[
            ("gen_ai.operation.name", Say::Text("invoke_agent")),
            ("gen_ai.agent.name", Say::Text("fraud-review")),
        ],
    },
    Step {
        service: Service::Agent,
        export: 0,
        parent: Some(7),
        name: "execute_tool customer_history",
        kind: INTERNAL,
        from: 47,
        to: 71,
        attributes: &[
            ("gen_ai.operation.name", Say::Text("execute_tool")),
            ("gen_ai.tool.name", Say::Text("customer_history")),
        ],
    },
    Step {
        service: Service::Agent,
        export: 0,
        parent: Some(7),
        name: "chat gpt-4o-mini",
        kind: CLIENT,
        from: 74,
        to: 899,
        attributes: &[
            ("gen_ai.operation.name", Say::Text("chat")),
            ("gen_ai.provider.name", Say::Text("openai")),
            ("gen_ai.request.model", Say::Text("gpt-4o-mini")),
            ("gen_ai.usage.input_tokens", Say::Count(1_284)),
            ("gen_ai.usage.output_tokens", Say::Count(97)),
        ],
    },
];

/// One trace that ended at `ended` (Unix nanoseconds): its id, and its requests in a random order.
pub fn trace(ended: u64) -> ([u8; 16], Vec<Export>) {
    let trace: [u8; 16] = rand::random();
    let ids: [[u8; 8]; SPANS] = std::array::from_fn(|_| rand::random());
    let began = ended.saturating_sub(TOOK_MS * 1_000_000);
    let mut exports = Vec::new();
    for service in Service::ALL {
        for export in 0..2 {
            let of_export = |step: &&Step| step.service == service && step.export == export;
            let spans: Vec<Value> = STEPS
                .iter()
                .zip(&ids)
                .filter(|(step, _)| of_export(step))
                .map(|(step, id)| span(step, id, &trace, &ids, began))
                .collect();
            exports.push(Export { service, spans: spans.len(), json: request(service, spans) });
        }
    }
    exports.shuffle(&mut rand::rng());
    (trace, exports)
}

fn request(service: Service, spans: Vec<Value>) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(&service.resource()) },
        "scopeSpans": [{ "scope": { "name": service.scope() }, "spans": spans }],
    }] })
}

fn span(step: &Step, id: &[u8; 8], trace: &[u8; 16], ids: &[[u8; 8]], began: u64) -> Value {
    let parent = step.parent.and_then(|parent| ids.get(parent)).map(|id| hex(id)).unwrap_or_default();
    json!({
        "traceId": hex(trace),
        "spanId": hex(id),
        "parentSpanId": parent,
        "name": step.name,
        "kind": step.kind,
        "startTimeUnixNano": (began + step.from * 1_000_000).to_string(),
        "endTimeUnixNano": (began + step.to * 1_000_000).to_string(),
        "attributes": attributes(step.attributes),
    })
}

fn attributes(all: &[(&str, Say)]) -> Vec<Value> {
    all.iter()
        .map(|(key, say)| match say {
            Say::Text(text) => json!({ "key": key, "value": { "stringValue": text } }),
            Say::Count(count) => json!({ "key": key, "value": { "intValue": count.to_string() } }),
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_requests_carry_every_span_once_and_every_parent_is_a_span() {
        let (trace, exports) = trace(1_795_347_881_000_000_000);
        assert_eq!(exports.len(), 6);
        assert_eq!(exports.iter().map(|e| e.spans).sum::<usize>(), SPANS);
        let spans: Vec<&Value> = exports
            .iter()
            .flat_map(|e| e.json["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap())
            .collect();
        let ids: std::collections::HashSet<&str> =
            spans.iter().map(|s| s["spanId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), SPANS);
        assert!(spans.iter().all(|s| s["traceId"] == hex(&trace)));
        let parents: Vec<&str> = spans.iter().map(|s| s["parentSpanId"].as_str().unwrap()).collect();
        assert_eq!(parents.iter().filter(|p| p.is_empty()).count(), 1, "one root");
        assert!(parents.iter().all(|p| p.is_empty() || ids.contains(p)));
    }

    #[test]
    fn only_the_gateway_says_its_environment() {
        for export in trace(1_795_347_881_000_000_000).1 {
            let says = export.json["resourceSpans"][0]["resource"].to_string().contains("deployment");
            assert_eq!(says, export.service == Service::Gateway);
        }
    }
}
