//! What a pod is called and what it says of itself: service, version, environment, attributes.
//!
//! The same, from the same places and in the same order, as the chart's injection policy has it in CEL
//! (helm/spandrel/templates/injection-policy.yaml); tests/kube holds the two against each other.

use super::parameters::Parameters;
use super::pods::Pod;
use super::yaml::Node;

const ANNOTATION: &str = "resource.opentelemetry.io/";
const PORTS: [&str; 4] = ["4317", "4318", "8888", "8890"];

/// What is worked out once for a pod.
#[derive(Debug)]
pub struct Facts {
    pub service: String,
    pub release: String,
    pub environment: String,
    version: Option<String>,
    /// `name=value`, escaped.
    attributes: Vec<String>,
    says_version: bool,
}

impl Facts {
    /// `space` is the pod's namespace and what its label says of the environment, where they are known.
    pub fn of(pod: &Pod<'_>, parameters: &Parameters, space: (Option<&str>, Option<&str>)) -> Self {
        let annotated = |name: &str| pod.annotation(&format!("{ANNOTATION}{name}"));
        let version = annotated("service.version").or(pod.label("app.kubernetes.io/version"));
        let (namespace, of_namespace) = space;
        let workload = pod.workload();
        let service = annotated("service.name").or(pod.label("app.kubernetes.io/name")).unwrap_or(&workload);
        let environment = annotated("deployment.environment.name")
            .or(pod.label(&parameters.environment_label))
            .or(of_namespace)
            .or(Some(parameters.environment.as_str()));
        // What the pod's label says the sidecar reads itself, and follows.
        let release = match (annotated("service.version"), pod.label("app.kubernetes.io/version")) {
            (Some(annotated), _) => Some(annotated),
            (None, Some(_)) => None,
            (None, None) => pod.containers().first().and_then(tag),
        };
        let mut attributes: Vec<String> = pod
            .annotations()
            .filter_map(|(name, value)| Some((name.strip_prefix(ANNOTATION)?, value)))
            .filter(|(name, _)| *name != "service.name")
            .map(|(name, value)| pair(name, value))
            .collect();
        if annotated("service.namespace").is_none() {
            let part = pod.label("app.kubernetes.io/part-of").or(namespace);
            attributes.extend(part.map(|part| pair("service.namespace", part)));
        }
        Self {
            service: plain(service),
            release: plain(release.unwrap_or_default()),
            environment: plain(environment.unwrap_or_default()),
            version: version.map(str::to_owned),
            attributes,
            says_version: annotated("service.version").is_some(),
        }
    }

    /// `OTEL_RESOURCE_ATTRIBUTES` of one of its containers.
    pub fn attributes_of(&self, container: &Node) -> String {
        let mut all = self.attributes.clone();
        // Not escaped: a container's name can hold nothing that would have to be.
        all.push(format!("k8s.container.name={}", container.text_at(&["name"]).unwrap_or_default()));
        if !self.says_version {
            let version = self.version.as_deref().or_else(|| tag(container));
            all.extend(version.map(|version| pair("service.version", version)));
        }
        all.sort();
        all.join(",")
    }
}

/// Why a pod can not have a sidecar, if it can not.
pub fn hindrance(pod: &Pod<'_>) -> Option<&'static str> {
    let spec = pod.spec;
    let is = |path: &[&str], value| spec.text_at(path) == Some(value);
    let listens = |container: &Node| {
        let ports = container.get("ports").map(Node::items).unwrap_or_default();
        ports.iter().any(|port| port.text_at(&["containerPort"]).is_some_and(|port| PORTS.contains(&port)))
    };
    let mut containers = pod.init_containers().iter().chain(pod.containers());
    if is(&["os", "name"], "windows") || is(&["nodeSelector", "kubernetes.io/os"], "windows") {
        Some("Spandrel runs on Linux")
    } else if is(&["hostNetwork"], "true") {
        Some("the pod shares the network of its node, where the ports may be taken; send to the gateway")
    } else if !is_here(pod) && containers.any(listens) {
        Some("a container of the pod listens on 4317, 4318, 8888 or 8890, which are Spandrel's")
    } else {
        None
    }
}

/// Whether the pod has a Spandrel already.
pub fn is_here(pod: &Pod<'_>) -> bool {
    pod.init_containers().iter().chain(pod.containers()).any(is_ours)
}

pub fn is_ours(container: &Node) -> bool {
    container.text_at(&["name"]) == Some("spandrel")
}

/// The tag of a container's image, unless it says nothing; else the digest.
fn tag(container: &Node) -> Option<&str> {
    let image = container.text_at(&["image"])?;
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map(|(_, tag)| tag).filter(|tag| *tag != "latest").or(digest)
}

/// Escaped as values of baggage are, and from Kubernetes' `$( )`.
fn pair(name: &str, value: &str) -> String {
    let mut pair = format!("{name}=");
    for c in value.chars() {
        match c {
            '%' | ' ' | '"' | '$' | ',' | ';' | '=' | '\\' => {
                pair.push_str(&format!("%{:02X}", u32::from(c)))
            }
            c => pair.push(c),
        }
    }
    pair
}

/// As it stands: Kubernetes would take `$(NAME)` for a variable.
fn plain(value: &str) -> String {
    value.replace("$(", "$$(")
}
