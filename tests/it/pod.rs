//! What a sidecar is told by its pod, as the kubelet mounts it: labels it is to go by, what injection could not do,
//! how much memory it has. What is wrong with a label or with injection keeps no app and no span, and is in the log,
//! the metrics and the readiness.

use std::path::Path;

use prost::Message;
use spandrel::wire::Signal;

use crate::harness::proxy::mounted;
use crate::harness::read::{ENVIRONMENT, RELEASE, text};
use crate::harness::volume::swap;
use crate::harness::{Proxy, Start, Upstream, made};

/// Sends a trace, and gives the environment and release it comes with.
async fn labelled(upstream: &Upstream, proxy: &Proxy, number: u64) -> [Option<String>; 2] {
    upstream.forget();
    let body = made::request(made::trace(number, 2)).encode_to_vec();
    proxy.client().grpc(Signal::Traces, body).await.assert_taken();
    let came = upstream.await_spans(2).await;
    let resource = &came[0].export.resources()[0];
    [ENVIRONMENT, RELEASE].map(|key| text(&resource.attributes, key).map(str::to_owned))
}

fn both(environment: &str, release: Option<&str>) -> [Option<String>; 2] {
    [Some(environment.to_owned()), release.map(str::to_owned)]
}

fn config(upstream: &Upstream) -> String {
    let fast = "join: {scope: local}\nbatch: {age: 10ms}\n";
    format!("upstream: {}\nenvironment: production\n{fast}", upstream.endpoint())
}

/// Whoever looks finds it: in the log, in the metrics of this source, and where the pod's readiness is asked.
async fn assert_said(proxy: &Proxy, source: &str, what: &str) {
    let said = format!("`{source}` {what}");
    let logged = proxy.await_stderr("the reason", |line| line.contains(&said)).await;
    assert!(logged.contains("WARN"), "{logged}");
    let metrics = proxy.metrics().await;
    assert!(
        metrics.sum("spandrel_source_errors_total", &[("source", source)]) > 0,
        "{source} is not counted"
    );
    let of_source = [("source", source)];
    proxy.await_metrics("its age", |m| m.sum("spandrel_source_age_seconds", &of_source) > 0).await;
    let readiness = proxy.readiness().await;
    assert!(readiness.starts_with("listening on") && readiness.contains(&said), "{readiness}");
}

async fn await_good(proxy: &Proxy) {
    proxy.await_metrics("all to be good", |m| m.sum("spandrel_source_age_seconds", &[]) == 0).await;
    let readiness = proxy.readiness().await;
    assert!(!readiness.contains('`'), "{readiness}");
}

#[tokio::test]
async fn a_wrong_label_is_told_and_all_else_goes_on() {
    let upstream = Upstream::start().await;
    let pod = tempfile::tempdir().unwrap();
    swap(pod.path(), 1, &[("labels", "app=\"shop\"\napp.kubernetes.io/version=\"1.4.0\"\n")]);
    let labels = pod.path().join("labels").display().to_string();
    let config = |label: &str| format!("{}release: ${{file:{labels}[{label}]}}\n", config(&upstream));
    let proxy = Proxy::with(config("app.kubernetes.io/verison")).await;
    let source = format!("file:{labels}[app.kubernetes.io/verison]");
    let what =
        "has no `app.kubernetes.io/verison`; did you mean `app.kubernetes.io/version`?; there is no value";
    assert_said(&proxy, &source, what).await;
    assert_eq!(labelled(&upstream, &proxy, 1).await, both("production", None));

    proxy.write(&config("app.kubernetes.io/version"));
    await_good(&proxy).await;
    assert_eq!(labelled(&upstream, &proxy, 2).await, both("production", Some("1.4.0")));

    swap(pod.path(), 2, &[("labels", "app.kubernetes.io/version=1.5.0\n")]);
    let source = format!("file:{labels}[app.kubernetes.io/version]");
    let what = "line 1: the value is not quoted as Kubernetes quotes; its last good value stays";
    assert_said(&proxy, &source, what).await;
    assert_eq!(labelled(&upstream, &proxy, 3).await, both("production", Some("1.4.0")));
}

/// Nothing but what every sidecar has: its release is the pod's label, and the policy's annotation is heard.
#[tokio::test]
#[ignore = "needs a mount namespace"]
async fn what_injection_could_not_do_is_told_by_the_sidecar() {
    const REMARK: &str = "parameters that can not be meant, the chart's own are used: cpuLimit, scope";
    let upstream = Upstream::start().await;
    let etc = tempfile::tempdir().unwrap();
    let podinfo = etc.path().join("podinfo");
    let version = |version: &str| format!("app.kubernetes.io/version=\"{version}\"\n");
    let annotations = format!("kubernetes.io/config.seen=\"now\"\nspandrel.dev/injection=\"{REMARK}\"\n");
    std::fs::create_dir(&podinfo).unwrap();
    swap(&podinfo, 1, &[("labels", &version("1.4.0")), ("annotations", &annotations)]);
    let before = Some(mounted(&[(etc.path(), "/etc")]));
    let proxy = Proxy::start(Start { config: config(&upstream), before, ..Start::default() }).await;
    let source = "file:/etc/podinfo/annotations[spandrel.dev/injection]";
    assert_said(&proxy, source, &format!("says: {REMARK}")).await;
    assert_eq!(labelled(&upstream, &proxy, 1).await, both("production", Some("1.4.0")));

    // Taken away, it is no longer told; the label is followed.
    swap(&podinfo, 2, &[("labels", &version("1.5.0")), ("annotations", "")]);
    await_good(&proxy).await;
    assert_eq!(labelled(&upstream, &proxy, 2).await, both("production", Some("1.5.0")));

    let unreadable = |name: &str| {
        let path: &Path = &podinfo.join(name);
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
    };
    unreadable("labels");
    let source = "file:/etc/podinfo/labels[app.kubernetes.io/version]";
    assert_said(&proxy, source, "is a directory; its last good value stays").await;
    assert_eq!(labelled(&upstream, &proxy, 3).await, both("production", Some("1.5.0")));
}

/// Kubernetes resizes a pod in place. Version 1 of cgroups, with real ones, is in `faults_capped`.
#[tokio::test]
#[ignore = "needs a mount namespace"]
async fn its_memory_follows_the_limit_that_version_2_of_cgroups_has() {
    let (group, membership) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(membership.path(), "0::/\n").unwrap();
    let limit = |mebibytes: u64| {
        std::fs::write(group.path().join("memory.max"), format!("{}\n", mebibytes << 20)).unwrap();
    };
    limit(256);
    let upstream = Upstream::start().await;
    let mounts = [(group.path(), "/sys/fs/cgroup"), (membership.path(), "/proc/$$/cgroup")];
    let start = Start { config: config(&upstream), before: Some(mounted(&mounts)), ..Start::default() };
    let proxy = Proxy::start(start).await;
    for mebibytes in [256, 512, 128] {
        limit(mebibytes);
        let quarter = (mebibytes << 20) / 4;
        proxy.await_metrics("a quarter", |m| m.sum("spandrel_memory_limit_bytes", &[]) == quarter).await;
    }
}
