//! What is shipped beside the program agrees with it: the chart's schema, alerts, dashboard and runbook.
//!
//! What needs helm and an API server is in tests/kube.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use spandrel::telemetry::Meters;

use crate::harness::known_set::LABELS;
use crate::harness::read::{assert_labelled, text};
use crate::harness::sdk::Program;
use crate::harness::{Client, Proxy, Upstream, root, sdk};

/// Labels that Prometheus and Kubernetes add.
const ADDED: [&str; 5] = ["namespace", "pod", "job", "instance", "le"];

#[test]
fn the_charts_schema_is_as_generated() {
    let shipped = read("helm/spandrel/values.schema.json");
    let generated =
        Command::new(env!("CARGO_BIN_EXE_spandrel")).args(["docs", "values-schema"]).output().unwrap();
    let hint = "run `spandrel docs values-schema > helm/spandrel/values.schema.json`";
    assert!(shipped.as_bytes() == generated.stdout, "values.schema.json is stale; {hint}");
}

#[test]
fn the_charts_versions_are_the_programs() {
    let chart = read("helm/spandrel/Chart.yaml");
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        chart.contains(&format!("\nversion: {version}\n"))
            && chart.contains(&format!("\nappVersion: {version}\n"))
    );
}

#[test]
fn every_query_of_the_dashboard_asks_for_what_there_is() {
    let dashboard: Value = serde_json::from_str(&read("helm/spandrel/files/dashboard.json")).unwrap();
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
            check(title, target["expr"].as_str().unwrap());
            let labels = placeholders(target["legendFormat"].as_str().unwrap());
            for label in labels {
                let kept = target["expr"].as_str().unwrap();
                assert!(kept.contains(&label), "{title}: the legend shows {label}, which the query drops");
            }
            queries += 1;
        }
    }
    assert!(queries > 15);
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["definition"].as_str() {
            check("a variable", query.trim_start_matches("label_values"));
        }
    }
}

#[test]
fn every_alert_asks_for_what_there_is_and_has_its_line_in_the_runbook() {
    let text = read("helm/spandrel/files/alerts.yaml");
    let runbook = read("docs/runbook.md");
    let of = |key: &str| -> Vec<&str> {
        text.lines()
            .filter_map(|line| line.trim_start_matches(['-', ' ']).strip_prefix(key))
            .map(str::trim)
            .collect()
    };
    let (alerts, queries, summaries) = (of("alert:"), of("expr:"), of("summary:"));
    assert!(alerts.len() > 5 && alerts.len() == queries.len() && alerts.len() == summaries.len());
    for ((alert, query), summary) in alerts.iter().zip(queries).zip(summaries) {
        check(alert, query);
        assert!(runbook.contains(&format!("\n## {alert}\n")), "docs/runbook.md has no line for {alert}");
        for label in placeholders(summary) {
            let label = label.trim_start_matches("$labels.");
            assert!(
                query.contains(label) || ["namespace", "pod"].contains(&label),
                "{alert}: {label} is not kept"
            );
        }
    }
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("## "));
    for heading in headings {
        assert!(alerts.contains(&heading), "the runbook speaks of {heading}, which is no alert");
    }
}

#[test]
fn the_configurations_that_are_shipped_are_ones_the_program_takes() {
    for file in ["deploy/compose/spandrel.yaml", "deploy/systemd/spandrel.yaml"] {
        let check = ["check", "--config", file];
        let output =
            Command::new(env!("CARGO_BIN_EXE_spandrel")).args(check).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The variables every sidecar gets, as the kubelet hands them over.
#[test]
fn the_sidecars_variables_are_ones_the_program_takes() {
    let text = read("helm/spandrel/files/sidecar.yaml").replace("\n      value: ", ", value: ");
    let filled = [
        ("${endpoint}", ""),
        ("${gateway}", "dns:gateway.invalid:4317"),
        ("${scope}", "local"),
        ("${environment}", "production"),
        ("${release}", "1.4.0"),
    ];
    let mut check = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    check.env_clear().arg("check");
    let mut names = 0;
    for line in text.lines().filter(|line| line.contains("name: SPANDREL_")) {
        let (name, value) =
            line.split_once("name: ").and_then(|(_, rest)| rest.split_once(", value: ")).unwrap();
        let value = value.split('"').nth(1).unwrap_or(value.trim_end_matches('}'));
        let value = filled.iter().fold(value.to_owned(), |value, (name, with)| value.replace(name, with));
        check.env(name, value.replace("$(", "").replace(')', ""));
        names += 1;
    }
    assert!(names >= 8, "{names}");
    let output = check.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("http://gateway.invalid:4317 (default)"), "{said}");
    assert!(said.contains("`production` (env SPANDREL_ENVIRONMENT)"), "{said}");
}

/// deploy/compose without its containers: two services in two languages, what they say of one order joined.
#[tokio::test]
async fn the_services_of_the_compose_file_make_one_trace() {
    let upstream = Upstream::start().await;
    let proxy = Proxy::with(format!("upstream: {}\n{LABELS}", upstream.endpoint())).await;
    let endpoint = format!("http://{}", proxy.http());
    let service = async |mut program: Program, name: &str, stock: &str| {
        program.exporting(&endpoint, "http/protobuf").env("PORT", "0").env("OTEL_SERVICE_NAME", name);
        program.env("OTEL_BSP_SCHEDULE_DELAY", "300").env("STOCK", stock);
        let mut service = program.serve();
        let port: u16 = service.line().await.parse().expect("a port");
        (service, std::net::SocketAddr::from(([127, 0, 0, 1], port)))
    };
    let compose = "../../../deploy/compose";
    let program = sdk::node(&format!("{compose}/stock/stock.js")).await;
    let (_stock, stock) = service(program, "stock", "").await;
    let program = sdk::python(&format!("{compose}/orders/orders.py")).await;
    let (_orders, orders) = service(program, "orders", &format!("http://{stock}")).await;
    assert_eq!(Client::to(orders).get("/order").await.text(), "ordered; 7 in stock\n");
    let came = upstream.await_spans(3).await;
    assert_eq!(came.len(), 1, "the trace did not come whole: {}", upstream.summary());
    assert_labelled(&came[0].export);
    let resources = came[0].export.resources();
    let services: BTreeSet<_> =
        resources.iter().filter_map(|of| text(&of.attributes, "service.name")).collect();
    assert_eq!(services, ["orders", "stock"].into());
}

#[test]
#[ignore = "needs systemd"]
fn the_unit_is_one_systemd_takes_and_finds_well_confined() {
    let unit = root().join("deploy/systemd/spandrel.service");
    // The program need not be installed here: another stands for it.
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(unit).unwrap().replace("/usr/local/bin/spandrel", "/bin/true");
    let unit = directory.path().join("spandrel.service");
    std::fs::write(&unit, text).unwrap();
    let analyze = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).arg(&unit).output();
        let output = output.expect("this test needs `systemd-analyze` on the path");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    };
    let (well, said) = analyze(&["verify", "--man=no"]);
    assert!(well && !said.contains("spandrel.service:"), "{said}");
    // In tenths: 100 is a service that may do anything.
    let (well, said) = analyze(&["security", "--offline=true", "--threshold=20"]);
    assert!(well, "{said}");
}

/// The names in `{{ }}`.
fn placeholders(text: &str) -> Vec<String> {
    let parts = text.split("{{").skip(1).filter_map(|part| part.split_once("}}"));
    parts.map(|(name, _)| name.trim().to_owned()).collect()
}

/// Each metric of a query is one of ours, each label it goes by one of that metric's.
fn check(whose: &str, query: &str) {
    let known = known();
    let mut labels: BTreeSet<&str> = ADDED.into();
    let mut found = 0;
    for name in words(query).filter(|word| word.starts_with("spandrel_")) {
        let of = known.get(name).unwrap_or_else(|| panic!("{whose}: there is no metric {name}"));
        labels.extend(*of);
        found += 1;
    }
    assert!(found > 0, "{whose}: no metric in {query:?}");
    let grouped = query.split(" by (").skip(1).filter_map(|rest| rest.split_once(')'));
    let selected = query.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let named = grouped.flat_map(|(names, _)| names.split(','));
    let matched =
        selected.flat_map(|(pairs, _)| pairs.split(',')).filter_map(|pair| pair.split(['=', '!']).next());
    for label in named.chain(matched).map(str::trim) {
        assert!(
            labels.contains(label),
            "{whose}: none of its metrics has a label {label:?}; it asks {query:?}"
        );
    }
}

/// Metrics as Prometheus names them, with their labels.
fn known() -> BTreeMap<String, &'static [&'static str]> {
    let mut known = BTreeMap::new();
    for row in Meters::TABLE {
        let ends: &[&str] =
            if row.kind.starts_with("histogram") { &["_bucket", "_sum", "_count"] } else { &[""] };
        known.extend(ends.iter().map(|end| (format!("{}{end}", row.name), row.labels)));
    }
    known
}

fn words(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

fn read(path: &str) -> String {
    let path: PathBuf = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}
