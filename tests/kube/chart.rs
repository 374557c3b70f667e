//! The chart by itself: what it renders, what it refuses, and whether what it renders is what Kubernetes and the
//! program take.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::cluster::cluster;
use crate::tools::{swagger, tool};
use crate::{chart, golden, output, ran, spandrel};

/// The directories of `examples/`, by name.
fn examples() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(chart().join("examples")).expect("part of the checkout");
    let mut examples: Vec<(String, PathBuf)> = entries
        .map(|entry| entry.expect("a readable directory"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect();
    examples.sort();
    assert!(examples.len() >= 4, "where are the examples?");
    examples
}

fn helm(verb: &[&str]) -> Command {
    let mut helm = tool("helm");
    helm.args(verb).arg(chart());
    helm
}

fn render(values: &Path) -> String {
    output(helm(&["template", "spandrel", "-n", "observability"]).arg("-f").arg(values))
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn lint_finds_nothing_however_strict() {
    output(&mut helm(&["lint", "--strict"]));
    for (_, example) in examples() {
        output(helm(&["lint", "--strict"]).arg("-f").arg(example.join("values.yaml")));
    }
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn examples_are_rendered_as_they_stand() {
    for (_, example) in examples() {
        golden(&example.join("rendered.yaml"), &render(&example.join("values.yaml")));
    }
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn the_configuration_of_every_example_is_one_the_program_takes() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut checked = 0;
    for (name, example) in examples() {
        let Some(text) = configuration(&render(&example.join("values.yaml"))) else { continue };
        let file = directory.path().join(&name);
        std::fs::write(&file, text).expect("a writable directory");
        let (well, said, wrong) = ran(spandrel().arg("check").arg("--config").arg(file));
        assert!(well && said.starts_with("ok"), "{name}:\n{said}{wrong}");
        checked += 1;
    }
    assert!(checked >= 3);
}

/// The file in the gateway's ConfigMap.
fn configuration(rendered: &str) -> Option<String> {
    let (_, rest) = rendered.split_once("  spandrel.yaml: |\n")?;
    let lines = rest.lines().map_while(|line| line.strip_prefix("    "));
    Some(lines.map(|line| format!("{line}\n")).collect())
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn wrong_values_are_refused_with_where_and_what_is_wanted() {
    for (set, said) in [
        (
            "gateway.config.join.idle=6parsecs",
            "at '/gateway/config/join/idle': '6parsecs' does not match pattern",
        ),
        ("gateway.config.jion.idle=6s", "at '/gateway/config': additional properties 'jion' not allowed"),
        ("gateway.config.upstreams.a.compression=brotli", "does not match pattern '^(none|gzip|zstd|"),
        ("gateway.config.lanes=900", "at '/gateway/config/lanes': maximum: got 900, want 256"),
        (
            "gateway.config.enforce=perhaps",
            "at '/gateway/config/enforce': 'perhaps' does not match pattern '^(true|false|",
        ),
        ("injection.protocol=thrift", "value must be one of 'http/protobuf', 'grpc'"),
        ("injection.resources.limits.cpu=many", "at '/injection/resources/limits/cpu'"),
        ("injection.upstream=gateway", "at '/injection/upstream': 'gateway' does not match pattern"),
        ("injection.upstream=http://localhost:4317", "at '/injection/upstream': 'not' failed"),
        (
            "injection.resources.limits.memory=32m",
            "at '/injection/resources/limits/memory': '32m' does not match pattern",
        ),
        ("injection.configMap=My Map", "at '/injection/configMap': 'My Map' does not match pattern"),
        ("image.pulPolicy=Always", "at '/image': additional properties 'pulPolicy' not allowed"),
        ("gateway.enabled=false", "injection.upstream: where should sidecars send?"),
    ] {
        let (well, _, wrong) = ran(helm(&["template", "spandrel"]).args(["--set", set]));
        assert!(!well && wrong.contains(said), "{set}: {wrong}");
    }
    let (well, _, wrong) = ran(helm(&["template", "spandrel"]).args(["--kube-version", "1.31.0"]));
    assert!(!well && wrong.contains("Kubernetes v1.31.0 has no MutatingAdmissionPolicy"), "{wrong}");
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn every_manifest_is_of_the_kind_it_says() {
    let schemas = tempfile::tempdir().expect("a temporary directory");
    write_schemas(&swagger(), schemas.path());
    let location = schemas.path().join("{{.ResourceKind}}{{.KindSuffix}}.json");
    let cluster = cluster();
    for (name, example) in examples() {
        let rendered = example.join("rendered.yaml");
        let mut conform = tool("kubeconform");
        // Kinds of Prometheus' operator: the API server below knows them.
        conform.args([
            "-strict",
            "-summary",
            "-skip",
            "PodMonitor,ServiceMonitor,PrometheusRule",
            "-schema-location",
        ]);
        let (well, said, wrong) = ran(conform.arg(&location).arg(&rendered));
        assert!(well && !said.contains("Valid: 0"), "{name}: {said}{wrong}");
        output(
            cluster
                .kubectl()
                .args([
                    "apply",
                    "--dry-run=server",
                    "--validate=strict",
                    "--force-conflicts",
                    "--server-side",
                    "-f",
                ])
                .arg(rendered),
        );
    }
}

/// One strict schema for each kind of the API's own description, for kubeconform.
fn write_schemas(swagger: &Path, directory: &Path) {
    let text = std::fs::read(swagger).expect("a readable module");
    let mut swagger: Value = serde_json::from_slice(&text).expect("JSON");
    let definitions = swagger["definitions"].as_object_mut().expect("definitions");
    for (name, definition) in definitions.iter_mut() {
        if definition["format"] == "int-or-string" || name.ends_with(".IntOrString") {
            *definition = json!({"type": ["string", "integer"]});
        } else if name.ends_with(".resource.Quantity") {
            *definition = json!({"type": ["string", "number"]});
        } else if definition["properties"].is_object() && definition["additionalProperties"].is_null() {
            definition["additionalProperties"] = false.into();
        }
        tidy(definition);
    }
    let shared = json!({ "definitions": definitions.clone() });
    std::fs::write(directory.join("_definitions.json"), shared.to_string()).expect("a writable directory");
    for definition in definitions.values() {
        let [kind] = definition["x-kubernetes-group-version-kind"].as_array().map_or(&[][..], Vec::as_slice)
        else {
            continue;
        };
        let text = |key: &str| kind[key].as_str().unwrap_or_default();
        let (group, version, kind) = (text("group"), text("version"), text("kind"));
        let suffix: Vec<&str> = [group.split('.').next().unwrap_or_default(), version]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        let mut schema = definition.clone();
        refer(&mut schema);
        let path = directory.join(format!("{kind}-{}.json", suffix.join("-")).to_lowercase());
        std::fs::write(path, schema.to_string()).expect("a writable directory");
    }
}

/// `null` stands where a field is looked for that is not there.
fn tidy(definition: &mut Value) {
    if let Some(fields) = definition.as_object_mut() {
        let kept = std::mem::take(fields).into_iter().filter(|(_, value)| !value.is_null());
        *fields = Map::from_iter(kept);
    }
}

/// Shared definitions stand in a file of their own.
fn refer(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_str().filter(|_| key == "$ref") {
                    Some(of) => *value = format!("_definitions.json{of}").into(),
                    None => refer(value),
                }
            }
        }
        Value::Array(members) => members.iter_mut().for_each(refer),
        _ => {}
    }
}
