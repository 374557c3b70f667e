//! A Collector's files and what is taken of them.

use crate::config::{Ask, Surroundings, Variables, load_in, rule_file};
use crate::rules::{Context, Rules};
use crate::wire::Signal;

/// Two pipelines, each with processors of its own, in another order than the file's.
const COLLECTOR: &str = r#"
receivers: {otlp: {}}
processors:
  batch: {}
  filter/health:
    error_mode: propagate
    traces:
      resource: ['attributes["service.name"] == "none"']
      span: ['attributes["http.target"] == "/healthz"']
  transform/b:
    log_statements:
      - set(log.attributes["b"], "${env:WHO}-${env:UNSET}$$1")
  transform/a:
    error_mode: silent
    trace_statements:
      - set(resource.attributes["a"], "x")
      - set(span.attributes["a"], resource.attributes["a"]) where span.kind == SPAN_KIND_SERVER
    log_statements:
      - context: log
        conditions: [severity_number > 8]
        statements: ['set(attributes["a"], body)']
        error_mode: ignore
  transform/idle:
    trace_statements: ['set(span.name, "idle")']
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch, transform/a, filter/health], exporters: []}
    logs/x: {processors: [transform/b, transform/a]}
"#;

struct Got {
    rules: std::sync::Arc<Rules>,
    notes: Vec<String>,
    files: usize,
}

fn load(rules: &str, collector: &str) -> Result<Got, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("spandrel.yaml");
    std::fs::write(directory.path().join("collector.yaml"), collector).unwrap();
    std::fs::write(&file, format!("rules: {rules}\n")).unwrap();
    let variables = Variables::from([("WHO", "me")]);
    let surroundings = Surroundings { variables, ..Surroundings::of_process() };
    let loaded = load_in(&Ask { file: Some(file), set: Vec::new() }, &surroundings);
    let loaded = loaded.map_err(|mistakes| mistakes.to_string())?;
    let files = loaded.followed();
    Ok(Got { rules: loaded.plan.rules, notes: loaded.plan.notes, files })
}

fn taken(rules: &str, collector: &str) -> Got {
    load(rules, collector).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn refused(rules: &str, collector: &str) -> String {
    load(rules, collector).err().expect("it is refused")
}

/// Each statement's group, and what it runs on.
fn names(rules: &Rules) -> Vec<String> {
    let of = |number: u32| {
        let name = rules.part(number)?.name.clone().unwrap_or_default();
        Some(format!("{name} {}", rules.context(number)?.name()))
    };
    (0..).map_while(of).collect()
}

#[test]
fn processors_apply_as_the_pipelines_say() {
    let got = taken("{from_collector: collector.yaml}", COLLECTOR);
    let expect = [
        "transform/a.trace_statements/1 resource",
        "transform/a.trace_statements/2 span",
        "filter/health.traces.resource resource",
        "filter/health.traces.span span",
        "transform/b.log_statements log",
        "transform/a.log_statements[1] log",
    ];
    assert_eq!(names(&got.rules), expect);
    assert!(got.rules.has(Signal::Traces) && got.rules.has_context(Context::Resource));
    assert!(got.rules.differ_by_signal());
    assert_eq!(got.files, 2, "the configuration and the Collector's");
    let told = |text: &str| assert!(got.notes.iter().any(|note| note.contains(text)), "{:?}", got.notes);
    told(
        "collector.yaml:6:5: `filter/health`: with `error_mode: propagate` the Collector drops the whole request",
    );
    told("not `batch`; look whether settings of ours do the same");
    told("`transform/idle` is in no pipeline, and not taken");
}

#[test]
fn without_pipelines_the_file_s_order_counts_and_the_user_s_word_before_all() {
    let (processors, _) = COLLECTOR.split_once("service:").unwrap();
    let all = names(&taken("[{from_collector: collector.yaml}]", processors).rules);
    assert_eq!(all.first().unwrap(), "filter/health.traces.resource resource");
    assert!(all.contains(&"transform/idle.trace_statements span".to_owned()));
    let some = "[{from_collector: collector.yaml, processors: [transform/idle, transform/b]}]";
    let some = names(&taken(some, COLLECTOR).rules);
    assert_eq!(some, ["transform/idle.trace_statements span", "transform/b.log_statements log"]);
    let wrong = refused("[{from_collector: collector.yaml, processors: [transform/idel]}]", COLLECTOR);
    assert!(wrong.contains("no `transform` or `filter` called `transform/idel`; did you mean"), "{wrong}");
}

#[test]
fn they_stand_among_other_rules() {
    let list =
        "[llm_only, {from_collector: collector.yaml, processors: [transform/b]}, 'set(span.name, \"x\")']";
    assert_eq!(
        names(&taken(list, COLLECTOR).rules),
        ["llm_only span", "transform/b.log_statements log", " span"]
    );
    let list = "[{from_collector: collector.yaml, processors: [transform/a]}, 'set(span.name, \"x\")']";
    assert_eq!(
        names(&taken(list, COLLECTOR).rules).last().unwrap(),
        "2 span",
        "as it is counted in the list"
    );
}

#[test]
fn variables_are_what_the_collector_makes_of_them() {
    let bytes = {
        use prost::Message;
        opentelemetry_proto::tonic::logs::v1::LogRecord { severity_text: "x".into(), ..Default::default() }
            .encode_to_vec()
    };
    let got = taken("[{from_collector: collector.yaml, processors: [transform/b]}]", COLLECTOR);
    let outcome = got.rules.apply_item(Signal::Logs, &bytes, crate::rules::Frame::default());
    let after = outcome.edits.apply(&bytes);
    assert!(after.windows(5).any(|window| window == b"me-$1"), "{after:?}");
}

#[test]
fn what_is_not_supported_is_refused_with_all_reasons_or_left_out_and_told() {
    let collector = r#"
processors:
  transform:
    trace_statements:
      - set(span.name, "a")
      - set_semconv_span_name("1.37.0")
      - set(resource.attributes["x"], span.name)
    metric_statements:
      - {context: exemplar, statements: [set(flags, 1)]}
  filter:
    metrics: {include: {match_type: strict, metric_names: [a]}}
    traces: {span: ['name == "b"', 'HasAttr("x")']}
"#;
    let wrong = refused("{from_collector: collector.yaml}", collector);
    for text in [
        "collector.yaml:6:9: `transform.trace_statements/2`: unknown editor `set_semconv_span_name`",
        "collector.yaml:7:9: `transform.trace_statements/2`: from a span the resource can be read, not written",
        "collector.yaml:9:19: `transform.metric_statements[1].context`: `exemplar` is not supported for metrics",
        "collector.yaml:11:15: `filter.metrics.include`: is not supported; write `metrics: {metric: [...]}`",
        "collector.yaml:12:36: `filter.traces.span`: unknown converter `HasAttr`",
    ] {
        assert!(wrong.contains(text), "{text}\n{wrong}");
    }
    let got = taken("{from_collector: collector.yaml, unsupported: skip}", collector);
    let left = ["transform.trace_statements/1 span", "filter.traces.span span"];
    assert_eq!(names(&got.rules), left, "a condition goes alone while others are left");
    assert_eq!(got.notes.iter().filter(|note| note.ends_with("; left out")).count(), 5, "{:?}", got.notes);
}

#[test]
fn a_resource_may_not_change_behind_a_rule_that_reads_what_changes() {
    let collector = |key: &str| {
        format!(
            "processors:\n  transform:\n    trace_statements:\n      - set(span.attributes[\"n\"], \
             resource.attributes[\"n\"])\n      - delete_key(resource.attributes, \"{key}\")\n"
        )
    };
    taken("{from_collector: collector.yaml}", &collector("m"));
    let wrong = refused("{from_collector: collector.yaml}", &collector("n"));
    assert!(
        wrong.contains(
            "collector.yaml:5:9: `transform.trace_statements/2`: rules about a resource run before"
        )
    );
}

#[test]
fn pipelines_that_differ_are_asked_about() {
    let collector = COLLECTOR.replace("logs/x:", "traces/y: {processors: [filter/health]}\n    logs/x:");
    let wrong = refused("{from_collector: collector.yaml}", &collector);
    assert!(
        wrong.contains("the pipelines `traces` and `traces/y` run different rules; say which"),
        "{wrong}"
    );
    let wrong = refused("{from_collector: collector.yaml}", "processors: {batch: {}}\n");
    assert!(wrong.contains("collector.yaml:1:1: has no `transform` or `filter`"), "{wrong}");
    let wrong = refused("{from_collector: none.yaml}", COLLECTOR);
    assert!(wrong.contains("none.yaml:1:1: can't be read: no such file"), "{wrong}");
}

#[test]
fn a_collector_s_file_can_be_tried_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("collector.yaml");
    std::fs::write(&path, COLLECTOR).unwrap();
    let file = rule_file(&path).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert_eq!((file.rules.statements(), file.statements.len()), (6, 6));
    assert!(file.statements[0].0.ends_with("collector.yaml:16"), "{:?}", file.statements[0]);
    assert!(!file.notes.is_empty());
}
