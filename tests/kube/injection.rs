//! What becomes of pods: of each shape in `shapes/`, field by field; by the policy and by `spandrel inject`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster::{Cluster, OBSERVABILITY, cluster};
use crate::flat::{difference, flat};
use crate::{golden, output, ran, root, spandrel};

/// What the policy says where it could not do everything.
const REMARK: &str = "spandrel.dev/injection";

/// Pods of all sorts, by name.
pub fn shapes() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(directory()).expect("part of the checkout");
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    let mut shapes: Vec<(String, String)> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a readable file"))
        })
        .collect();
    shapes.sort();
    assert!(shapes.len() >= 15, "where are the shapes?");
    shapes
}

fn directory() -> PathBuf {
    root().join("tests/kube/shapes")
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn a_pod_of_every_shape_is_stored_as_expected() {
    let cluster = cluster();
    for ((name, text), (_, before)) in shapes().iter().zip(&cluster.before) {
        let after = cluster.stored(text).unwrap_or_else(|why| panic!("{name}: {why}"));
        golden(&directory().join(format!("{name}.added")), &difference(&flat(before), &flat(&after)));
        if let Some(first) = after["spec"]["initContainers"][0]["name"].as_str()
            && flat(before) != flat(&after)
        {
            assert_eq!(first, "spandrel", "{name}");
        }
    }
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn twice_through_the_policy_changes_nothing() {
    let cluster = cluster();
    for (name, text) in shapes() {
        let once = cluster.would_store(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        let twice = cluster.would_store(&anew(once.clone()).to_string());
        let twice = twice.unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(difference(&flat(&once), &flat(&twice)), "", "{name}");
    }
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn the_policy_and_inject_make_the_same_pod() {
    let cluster = cluster();
    let parameters = parameters_of(&cluster);
    for (name, text) in shapes() {
        let by_policy = cluster.would_store(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
        let by_hand = by_hand(&cluster, &parameters, &name, &text);
        assert_eq!(difference(&flat(&by_policy), &flat(&by_hand)), "", "{name}");
    }
}

/// The pod as `spandrel inject` makes it, stored where no policy touches it.
fn by_hand(cluster: &Cluster, parameters: &str, name: &str, text: &str) -> Value {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a writable directory");
        path
    };
    let namespace =
        text.lines().find_map(|line| line.trim().strip_prefix("namespace: ")).expect("a namespace");
    // What the namespace says of the environment stands in the manifest, as it would in a release's.
    let shown = output(cluster.kubectl().args(["get", "namespace", namespace, "-o", "yaml"]));
    let manifest = file("manifest.yaml", &format!("{text}\n---\n{shown}"));
    let parameters = file("parameters.yaml", parameters);
    let with = output(spandrel().args(["inject", "-f"]).arg(&manifest).arg("--parameters").arg(parameters));
    let again = file("again.yaml", &with);
    let without = output(spandrel().args(["inject", "--uninject", "-f"]).arg(again));
    assert_eq!(without, std::fs::read_to_string(manifest).expect("just written"), "{name}");
    let (pod, _) = with.split_once("\n---\n").expect("two documents");
    // Without the labels that the policy goes by; they are put back for the comparison.
    let unlabelled = pod.replace("spandrel.dev/inject:", "spandrel.dev/was:");
    let moved = unlabelled.replace(&format!("namespace: {namespace}"), "namespace: bare");
    let mut stored = cluster.would_store(&moved).unwrap_or_else(|why| panic!("{name}: {why}\n{with}"));
    stored["metadata"]["namespace"] = namespace.into();
    if let Some(labels) = stored.pointer_mut("/metadata/labels").and_then(Value::as_object_mut)
        && let Some(value) = labels.remove("spandrel.dev/was")
    {
        labels.insert("spandrel.dev/inject".to_owned(), value);
    }
    // What the policy says in an annotation, `inject` says on standard error.
    let policy_says =
        cluster.would_store(text).expect("stored before")["metadata"]["annotations"][REMARK].clone();
    if policy_says.is_string() {
        stored["metadata"]["annotations"][REMARK] = policy_says;
    }
    stored
}

/// The chart's parameters, as a person would fetch them.
fn parameters_of(cluster: &Cluster) -> String {
    let get = ["-n", OBSERVABILITY, "get", "configmap", "spandrel-injection", "-o", "yaml"];
    output(cluster.kubectl().args(get))
}

/// A stored pod, to be created once more.
fn anew(mut pod: Value) -> Value {
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    for made_up in ["uid", "creationTimestamp", "generation", "resourceVersion", "managedFields"] {
        metadata.remove(made_up);
    }
    pod.as_object_mut().expect("an object").remove("status");
    pod
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn parameters_that_can_not_be_meant_leave_the_app_running_and_are_said() {
    let cluster = cluster();
    let (_, plain) = shapes().into_iter().find(|(name, _)| name == "plain").expect("a shape");
    let usual = cluster.would_store(&plain).expect("a pod");
    let good = parameters_of(&cluster);
    let set = |data: Value| {
        let patch = json!({ "data": data }).to_string();
        output(cluster.kubectl().args([
            "-n",
            OBSERVABILITY,
            "patch",
            "configmap",
            "spandrel-injection",
            "-p",
            &patch,
        ]));
    };
    let remark = |pod: &Value| pod["metadata"]["annotations"][REMARK].as_str().unwrap_or_default().to_owned();
    let said = |names: &str| {
        let said = format!("parameters that can not be meant, the chart's own are used: {names}");
        cluster.until("the policy sees it", |cluster| {
            cluster.would_store(&plain).is_ok_and(|pod| remark(&pod) == said)
        });
        cluster.would_store(&plain).expect("a pod")["spec"]["initContainers"][0].clone()
    };
    set(json!({"cpuLimit": "many", "scope": "everywhere", "image": null, "cpuLimits": "1"}));
    let sidecar = said("cpuLimit, cpuLimits, scope");
    assert_eq!(sidecar["resources"]["limits"]["cpu"], "200m", "the chart's own");
    assert_eq!(sidecar["image"], "spandrel:0.1.0");
    takes_its_variables(&sidecar);

    // With these as they are the pod would be refused, its image be no image, or the sidecar would not start; and
    // while it does not start, neither does the app.
    set(json!({"cpuLimits": null, "scope": "", "image": "No Image", "imagePullPolicy": "Sometimes",
        "upstream": "http://localhost:4317/", "protocol": "thrift", "environment": "a\nb", "environmentLabel": "a b",
        "configMap": "My Map", "cpuLimit": "-1", "cpuRequest": "3", "memoryLimit": "32", "memoryRequest": "1Ti"}));
    let sidecar = said(
        "configMap, cpuLimit, cpuRequest, environment, environmentLabel, image, imagePullPolicy, memoryLimit, \
         memoryRequest, protocol, scope, upstream",
    );
    assert_eq!(sidecar["resources"]["requests"], json!({"cpu": "200m", "memory": "64Mi"}), "as its limits");
    takes_its_variables(&sidecar);
    let odd =
        ["htp://a:1", "gateway", "dns:gateway", "http://a:99999", "dns:127.0.0.1:4318", "http://u:p@a:1"];
    for (number, odd) in (1..).zip(odd) {
        let mark = format!("{number}m");
        set(json!({"upstream": odd, "cpuRequest": mark}));
        cluster.until(odd, |cluster| {
            let pod = cluster.would_store(&plain).expect("a pod");
            let is_seen = pod["spec"]["initContainers"][0]["resources"]["requests"]["cpu"] == mark.as_str();
            assert!(!is_seen || remark(&pod).ends_with(", upstream"), "{odd}");
            is_seen
        });
    }

    // Without any, pods are as the chart has them.
    output(cluster.kubectl().args(["delete", "configmap", "spandrel-injection", "-n", OBSERVABILITY]));
    let missing = "without parameters, for the ConfigMap observability/spandrel-injection is missing: the chart's own are used";
    cluster.until("the policy sees that too", |cluster| {
        cluster.would_store(&plain).is_ok_and(|pod| remark(&pod) == missing)
    });
    let pod = cluster.would_store(&plain).expect("a pod");
    takes_its_variables(&pod["spec"]["initContainers"][0]);
    let mut as_usual = pod.clone();
    let annotations = as_usual["metadata"].as_object_mut().expect("metadata");
    annotations.remove("annotations");
    assert_eq!(difference(&flat(&usual), &flat(&as_usual)), "");

    let fresh: String = good
        .lines()
        .filter(|line| !line.contains("resourceVersion") && !line.contains("uid:"))
        .fold(String::new(), |all, line| all + line + "\n");
    cluster.apply(&fresh).expect("the parameters as they were");
    cluster.until("it works as before", |cluster| {
        cluster
            .would_store(&plain)
            .is_ok_and(|pod| remark(&pod).is_empty() && !pod["spec"]["initContainers"].is_null())
    });
    // One that was made meanwhile is as it would have been, when it is made anew.
    set(json!({"cpuLimit": "150m", "configMap": "other", "image": "spandrel:0.2", "protocol": "grpc"}));
    cluster.until("they are seen", |cluster| {
        let [fresh, anew] = [plain.clone(), anew(pod.clone()).to_string()]
            .map(|pod| cluster.would_store(&pod).expect("a pod"));
        let is_seen = fresh["spec"]["initContainers"][0]["image"] == "spandrel:0.2";
        assert!(!is_seen || difference(&flat(&fresh), &flat(&anew)).is_empty());
        assert!(!is_seen || fresh.to_string().contains("\"value\":\"grpc\""), "{fresh}");
        is_seen
    });
    output(cluster.kubectl().args(["delete", "configmap", "spandrel-injection", "-n", OBSERVABILITY]));
    cluster.apply(&fresh).expect("the parameters as they were");
    cluster.until("it works as before", |cluster| {
        cluster.would_store(&plain).is_ok_and(|pod| difference(&flat(&usual), &flat(&pod)).is_empty())
    });
}

/// The program starts with what the sidecar is told by variables.
fn takes_its_variables(sidecar: &Value) {
    let mut check = spandrel();
    check.arg("check");
    for variable in sidecar["env"].as_array().expect("variables") {
        let text = |key: &str| variable[key].as_str().unwrap_or_default();
        check.env(text("name"), text("value").replace("$(", "").replace(')', ""));
    }
    output(&mut check);
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn a_label_that_is_neither_yes_nor_no_is_said() {
    let cluster = cluster();
    let (_, plain) = shapes().into_iter().find(|(name, _)| name == "plain").expect("a shape");
    let of = |label: &str, namespace: &str| {
        let mut pod = cluster.would_store(&plain).expect("a pod");
        pod = anew(pod);
        pod["spec"].as_object_mut().expect("a spec").retain(|key, _| key == "containers");
        pod["spec"]["containers"] = json!([{"name": "app", "image": "orders:1"}]);
        pod["metadata"]["namespace"] = namespace.into();
        pod["metadata"]["labels"] =
            if label.is_empty() { json!({}) } else { json!({"spandrel.dev/inject": label}) };
        let pod = cluster.would_store(&pod.to_string()).expect("a pod");
        let remark = pod["metadata"]["annotations"][REMARK].as_str().unwrap_or_default().to_owned();
        (!pod["spec"]["initContainers"].is_null(), remark)
    };
    let odd = |whose: &str, label: &str| {
        format!(
            "the label spandrel.dev/inject of the {whose} is `{label}`, which is neither `enabled` nor `disabled`"
        )
    };
    assert_eq!(of("true", "shop"), (true, String::new()));
    assert_eq!(of("enable", "shop"), (true, odd("pod", "enable")), "its namespace says yes");
    assert_eq!(of("enable", "bare"), (false, format!("not injected; {}", odd("pod", "enable"))));
    assert_eq!(of("false", "shop"), (false, String::new()));
    let of_namespace = odd("namespace", "enable");
    assert_eq!(of("", "mistyped"), (false, format!("not injected; {of_namespace}")));
    assert_eq!(of("enabled", "mistyped"), (true, of_namespace), "its own label says yes");
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn pods_of_a_deployment_are_what_its_injected_template_makes() {
    let cluster = cluster();
    let deployment = root().join("tests/kube/deployment.yaml");
    let text = std::fs::read_to_string(&deployment).expect("part of the checkout");
    let parameters = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(parameters.path(), parameters_of(&cluster)).expect("a writable file");
    let with = output(
        spandrel()
            .args(["inject", "-n", "shop", "-p", "environment=production", "-f"])
            .arg(&deployment)
            .arg("--parameters")
            .arg(parameters.path()),
    );
    // As a ReplicaSet would make them of the template: of the one by the policy, of the other by hand.
    let pod = |manifest: &str, namespace: &str| {
        let manifest = manifest.replace("namespace: shop", &format!("namespace: {namespace}"));
        let deployment = cluster.would_store(&manifest).expect("a deployment");
        let mut template = deployment["spec"]["template"].clone();
        template["apiVersion"] = "v1".into();
        template["kind"] = "Pod".into();
        let metadata = &mut template["metadata"];
        metadata["namespace"] = namespace.into();
        metadata["generateName"] = "orders-7d4b9-".into();
        metadata["labels"]["pod-template-hash"] = "7d4b9".into();
        metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "orders-7d4b9",
            "uid": "00000000-0000-0000-0000-000000000001", "controller": true}]);
        let mut stored = cluster.would_store(&template.to_string()).expect("a pod");
        stored["metadata"]["namespace"] = "shop".into();
        stored
    };
    assert_eq!(difference(&flat(&pod(&text, "shop")), &flat(&pod(&with, "bare"))), "");
}

#[test]
#[ignore = "builds Kubernetes and helm: run with --ignored"]
fn what_the_chart_installs_is_accepted_where_pod_security_is_restricted() {
    let cluster = cluster();
    let deployment = output(cluster.kubectl().args([
        "-n",
        OBSERVABILITY,
        "get",
        "deployment",
        "spandrel-gateway",
        "-o",
        "json",
    ]));
    let deployment: Value = serde_json::from_str(&deployment).expect("JSON");
    let mut pod = deployment["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "gateway".into();
    pod["metadata"]["namespace"] = OBSERVABILITY.into();
    pod["spec"]["priorityClassName"] = Value::Null;
    cluster.would_store(&pod.to_string()).expect("the gateway's pod");
    // A pod that may not be there is refused here: the namespace is what it says.
    let loose = "{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: strict}, spec: {containers: [{name: a, image: b}]}}";
    assert!(cluster.would_store(loose).expect_err("refused").contains("violates PodSecurity \"restricted"));
    // `helm test` is a pod of the chart's, too.
    let (well, hook, err) = ran(cluster.helm().args(["get", "hooks", "spandrel"]));
    assert!(well && hook.contains("health"), "{hook}{err}");
    cluster.would_store(&hook).expect("the test's pod");
}
