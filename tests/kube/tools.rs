//! The tools, built from their Go modules.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::{output, root};

/// What is built, and the package that it is.
const TOOLS: [(&str, &str); 5] = [
    ("helm", "helm.sh/helm/v4/cmd/helm"),
    ("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("etcd", "go.etcd.io/etcd/server/v3"),
];
/// What the API server says it is; it must be that of `tools/go.mod`.
const KUBERNETES: &str = "1.37.2";
/// Only its definitions of `PodMonitor` and its like are wanted.
const OPERATOR: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";

/// A tool, ready to be given arguments.
pub fn tool(name: &str) -> Command {
    let mut command = Command::new(directory().join(name));
    // Neither the tester's clusters nor the tester's charts.
    command.env("KUBECONFIG", "/dev/null").env("HELM_CONFIG_HOME", "/nonexistent");
    command
}

/// The definitions of the kinds that Prometheus' operator brings.
pub fn operator_kinds() -> Vec<PathBuf> {
    let said = output(go().args(["mod", "download", "-json", OPERATOR]));
    let said: serde_json::Value = serde_json::from_str(&said).expect("go says JSON");
    let directory =
        Path::new(said["Dir"].as_str().expect("a directory")).join("example/prometheus-operator-crd");
    let kinds = ["podmonitors", "servicemonitors", "prometheusrules"];
    kinds.map(|kind| directory.join(format!("monitoring.coreos.com_{kind}.yaml"))).to_vec()
}

/// The API's own description, in the module it is built from.
pub fn swagger() -> PathBuf {
    let directory = output(go().args(["list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"]));
    Path::new(directory.trim()).join("api/openapi-spec/swagger.json")
}

fn go() -> Command {
    let mut command = Command::new("go");
    command.current_dir(root().join("tests/kube/tools")).env("CGO_ENABLED", "0");
    command
}

fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(build)
}

fn build() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("kube");
    fs::create_dir_all(&directory).expect("a writable target directory");
    let lock = File::create(directory.join(".lock")).expect("a writable target directory");
    lock.lock().expect("a lock");
    let sums = fs::read_to_string(root().join("tests/kube/tools/go.sum")).expect("part of the checkout");
    let mark = directory.join(".built-from");
    if fs::read_to_string(&mark).is_ok_and(|built_from| built_from == sums) {
        return directory;
    }
    assert!(
        Command::new("go").arg("version").output().is_ok_and(|it| it.status.success()),
        "these tests build helm and Kubernetes: they need Go 1.26 or newer on the path"
    );
    let version = "k8s.io/component-base/version";
    let (major, minor) = (1, KUBERNETES.split('.').nth(1).expect("a version"));
    let flags = format!(
        "-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor={major} -X {version}.gitMinor={minor}"
    );
    for (name, package) in TOOLS {
        eprintln!("building {name}");
        output(
            go().args(["build", "-trimpath", "-ldflags", &flags, "-o"])
                .arg(directory.join(name))
                .arg(package),
        );
    }
    fs::write(mark, sums).expect("a writable target directory");
    directory
}
