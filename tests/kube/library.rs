//! The chart as a library of others: what its includes make of a pod is what `spandrel inject` makes of it.

use std::path::Path;

use crate::cluster::cluster;
use crate::flat::{difference, flat};
use crate::tools::tool;
use crate::{chart, output, root, spandrel};

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn a_chart_that_includes_the_sidecar_gets_the_one_that_inject_puts_in() {
    let cluster = cluster();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let library = root().join("tests/kube/library");
    copy(&library.join("orders"), &directory.path().join("orders"));
    copy(&chart(), &directory.path().join("orders/charts/spandrel"));
    let included = output(tool("helm").args(["template", "orders"]).arg(directory.path().join("orders")));
    let mut inject = spandrel();
    inject.args([
        "inject",
        "-n",
        "bare",
        "-p",
        "upstream=http://gateway:4317",
        "-p",
        "environment=production",
        "-f",
    ]);
    let injected = output(inject.arg(library.join("orders.yaml")));
    let [included, injected] =
        [included, injected].map(|pod| flat(&cluster.would_store(&pod).expect("a pod")));
    assert_eq!(difference(&included, &injected), "");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a writable directory");
    for entry in std::fs::read_dir(from).expect("a readable directory") {
        let path = entry.expect("as above").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target)
        } else {
            std::fs::copy(&path, target).expect("as above");
        }
    }
}
