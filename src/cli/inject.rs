//! `spandrel inject`: puts the sidecar into a manifest, as the chart's policy puts it into pods; `--uninject` takes
//! it out again.
//!
//! Text is put in between marks (`inject/splice.rs`); all other text stays as it is, byte for byte. A pod that can
//! not have a sidecar, or has one, is left alone and said.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod facts;
mod parameters;
mod pods;
mod splice;
#[cfg(test)]
mod tests;
mod yaml;

use facts::Facts;
pub use parameters::of_description;

use parameters::Parameters;
use pods::Pod;
use splice::Splice;
use yaml::{Kind, Node};

/// The sidecar and its volumes: the chart's own file.
const SIDECAR: &str = include_str!("../../helm/spandrel/files/sidecar.yaml");
/// Whether a namespace or pod wants one.
const LABEL: &str = "spandrel.dev/inject";

/// Which manifest, and what to put into it.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The manifest: YAML, any number of documents; `-` is standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    file: PathBuf,

    /// Take out what was put in; the manifest is then as it was
    #[arg(long, conflicts_with_all = ["parameters", "parameter", "namespace"])]
    uninject: bool,

    /// The chart's ConfigMap of parameters, as `kubectl get configmap spandrel-injection -o yaml` prints it
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,

    /// One of its parameters, as in `-p upstream=http://gateway:4317`
    #[arg(short = 'p', long, value_name = "NAME=VALUE")]
    parameter: Vec<String>,

    /// The namespace of objects that name none
    #[arg(short = 'n', long, value_name = "NAME")]
    namespace: Option<String>,
}

/// Prints the manifest with, or without, what is put in.
pub fn run(options: &Options) -> ExitCode {
    match changed(options, &mut |remark| eprintln!("spandrel: {remark}")) {
        Ok(text) => super::print(&text),
        Err(why) => {
            eprintln!("spandrel: {why}");
            ExitCode::from(super::WRONG)
        }
    }
}

fn changed(options: &Options, say: &mut dyn FnMut(String)) -> Result<String, String> {
    let text = read(&options.file)?;
    let shown = options.file.display();
    if options.uninject {
        let (text, removed) = splice::remove(&text).map_err(|why| format!("{shown}: {why}"))?;
        if removed == 0 {
            say(format!("{shown}: nothing was put in here by `spandrel inject`"));
        }
        return Ok(text);
    }
    let config_map = options.parameters.as_deref().map(read).transpose()?;
    let parameters = Parameters::of(config_map.as_deref(), &options.parameter)?;
    let namespace = options.namespace.as_deref();
    inject(&text, parameters, namespace, say).map_err(|why| format!("{shown}: {why}"))
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().lock().read_to_string(&mut text).map(|_| text),
        _ => std::fs::read_to_string(path),
    };
    read.map_err(|cause| format!("can't read `{}`: {cause}", path.display()))
}

/// The manifest with a sidecar in every pod that can have one.
fn inject(
    text: &str,
    mut parameters: Parameters,
    namespace: Option<&str>,
    say: &mut dyn FnMut(String),
) -> Result<String, String> {
    if text.trim_start().starts_with('{') {
        let hint = "make it YAML first: `kubectl create --dry-run=client -o yaml -f FILE`";
        return Err(format!("JSON has no room for the marks of what is put in; {hint}"));
    }
    let documents = yaml::read(text)?;
    let template = yaml::read(SIDECAR)?;
    let mut splice = Splice::new(text);
    let pods = pods::find(&documents);
    if pods.is_empty() {
        say("there is no pod in here".to_owned());
    }
    for pod in pods {
        let hindrance = if matches!(pod.label(LABEL), Some("disabled" | "false")) {
            Some("it is labelled so")
        } else {
            facts::hindrance(&pod)
        };
        if let Some(why) = hindrance {
            say(format!("{} is left alone: {why}", pod.shown()));
            continue;
        }
        if let Some(odd) = pod.label(LABEL).filter(|label| !matches!(*label, "enabled" | "true")) {
            say(format!(
                "{}: its label {LABEL} is `{odd}`, which is neither `enabled` nor `disabled`",
                pod.shown()
            ));
        }
        let namespace = pod.namespace().or(namespace);
        let label = namespace.and_then(|name| of_namespace(&documents, name, &parameters.environment_label));
        let facts = Facts::of(&pod, &parameters, (namespace, label));
        put(&mut splice, &pod, &facts, &mut parameters, &template)?;
    }
    Ok(splice.done())
}

/// What a namespace in the same manifest says of the environment.
fn of_namespace<'a>(documents: &'a [Node], name: &str, label: &str) -> Option<&'a str> {
    let is = |object: &&Node| {
        object.text_at(&["kind"]) == Some("Namespace") && object.text_at(&["metadata", "name"]) == Some(name)
    };
    documents.iter().find(is)?.text_at(&["metadata", "labels", label])
}

fn put(
    splice: &mut Splice<'_>,
    pod: &Pod<'_>,
    facts: &Facts,
    parameters: &mut Parameters,
    template: &[Node],
) -> Result<(), String> {
    written_out(pod.spec, &["containers", "initContainers"])?;
    pod.containers().iter().try_for_each(|container| written_out(container, &["env"]))?;
    if !facts::is_here(pod) {
        let value = |node: &Node, parameters: &mut Parameters| filled(node, facts, parameters);
        let part = |key| template.first().and_then(|template| template.get(key));
        let sidecar: Vec<Node> = part("container").map(|node| value(node, parameters)).into_iter().collect();
        let volumes = part("volumes").map(Node::items).unwrap_or_default();
        let volumes: Vec<Node> = volumes.iter().map(|node| value(node, parameters)).collect();
        splice.items(pod.spec, Some(pod.line), "initContainers", &sidecar)?;
        splice.items(pod.spec, Some(pod.line), "volumes", &volumes)?;
    }
    for container in pod.containers().iter().filter(|container| !facts::is_ours(container)) {
        let variables = variables(container, facts, &parameters.protocol);
        if !variables.is_empty() {
            splice.items(container, None, "env", &variables)?;
        }
    }
    Ok(())
}

/// Whether a mapping says itself what it has under these keys. What is merged in (`<<`) or an alias stands elsewhere:
/// a key that is put in would hide it.
fn written_out(map: &Node, keys: &[&str]) -> Result<(), String> {
    let elsewhere = |entry: &&yaml::Entry| {
        entry.key == "<<" || (keys.contains(&entry.key.as_str()) && matches!(entry.value.kind, Kind::Alias))
    };
    match map.entries().iter().find(elsewhere) {
        None => Ok(()),
        Some(entry) => Err(format!(
            "line {}: `{}` is an alias of what stands elsewhere; write it out",
            entry.line, entry.key
        )),
    }
}

/// What the user has not set in this container.
fn variables(container: &Node, facts: &Facts, protocol: &str) -> Vec<Node> {
    let set = container.get("env").map(Node::items).unwrap_or_default();
    let names: Vec<&str> = set.iter().filter_map(|variable| variable.text_at(&["name"])).collect();
    let endpoint = |name: &&str| name.starts_with("OTEL_EXPORTER_OTLP_") && name.ends_with("ENDPOINT");
    // A protocol goes with an endpoint: beside the user's own endpoint, ours would be wrong.
    let own_way = names.contains(&"OTEL_EXPORTER_OTLP_PROTOCOL") || names.iter().any(endpoint);
    let attributes = facts.attributes_of(container);
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318", false),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol, own_way),
        ("OTEL_SERVICE_NAME", &facts.service, false),
        ("OTEL_RESOURCE_ATTRIBUTES", &attributes, false),
    ]
    .into_iter()
    .filter(|(name, _, given)| !given && !names.contains(name))
    .map(|(name, value, _)| variable(name, value))
    .collect()
}

fn variable(name: &str, value: &str) -> Node {
    let entry = |key: &str, text: &str, plain| yaml::Entry {
        key: key.to_owned(),
        start: 0,
        line: 0,
        column: 0,
        value: Node::new(Kind::Scalar { text: text.to_owned(), plain }),
    };
    Node::new(Kind::Map {
        flow: true,
        entries: vec![entry("name", name, true), entry("value", value, false)],
    })
}

/// A piece of the template with its `${name}`s filled in.
fn filled(node: &Node, facts: &Facts, parameters: &mut Parameters) -> Node {
    Node::new(match &node.kind {
        Kind::Scalar { text, .. } if text.starts_with("${") => {
            let name = text.trim_start_matches("${").trim_end_matches('}');
            let value = match name {
                "environment" => Some(facts.environment.as_str()),
                "release" => Some(facts.release.as_str()),
                // Where it begins with `dns:` it is a name for several gateways.
                "gateway" => Some(parameters.upstream.as_str()).filter(|to| to.starts_with("dns:")),
                "endpoint" => Some(parameters.upstream.as_str()).filter(|to| !to.starts_with("dns:")),
                name => parameters.get(name),
            };
            Kind::Scalar { text: value.unwrap_or_default().to_owned(), plain: false }
        }
        Kind::List { flow, items } => {
            let items = items.iter().map(|item| filled(item, facts, parameters)).collect();
            Kind::List { flow: *flow, items }
        }
        Kind::Map { flow, entries } => {
            let fill = |entry: &yaml::Entry, parameters: &mut Parameters| yaml::Entry {
                value: filled(&entry.value, facts, parameters),
                ..entry.clone()
            };
            let entries = entries.iter().map(|entry| fill(entry, parameters)).collect();
            Kind::Map { flow: *flow, entries }
        }
        kind => kind.clone(),
    })
}
