//! Manifests, what comes of them, and that they come back as they were.

use proptest::prelude::*;

use super::*;

fn parameters() -> Parameters {
    Parameters::of(None, &["upstream=http://gateway:4317".to_owned()]).unwrap()
}

fn injected(text: &str) -> String {
    inject(text, parameters(), Some("shop"), &mut |remark| panic!("{remark}")).unwrap()
}

/// Injects; checks that twice is once and that nothing is left when it is taken out.
fn check(text: &str) -> String {
    let with = injected(text);
    assert_ne!(with, text);
    assert_eq!(injected(&with), with, "twice is not once");
    assert_eq!(splice::remove(&with).unwrap().0, text, "it did not come back as it was:\n{with}");
    with
}

const DEPLOYMENT: &str = "\
# What we sell.
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}   # in braces
spec:
  template:
    metadata:
      labels: {app.kubernetes.io/name: orders}
    spec:
      # Ours.
      containers:
        # The app.
        - name: app
          image: reg:5000/orders:1.4.0
          env:
            # Told apart by hand.
            - name: OTEL_SERVICE_NAME
              value: 'mine'
      volumes:
      - name: data
        emptyDir: {}
";

#[test]
fn a_deployment_gets_it_between_marks_and_keeps_its_words() {
    let with = check(DEPLOYMENT);
    let pods = yaml::read(&with).unwrap();
    let spec = pods[0].at(&["spec", "template", "spec"]).unwrap();
    let sidecar = &spec.get("initContainers").unwrap().items()[0];
    assert_eq!(sidecar.text_at(&["restartPolicy"]), Some("Always"));
    assert_eq!(sidecar.text_at(&["resources", "limits", "memory"]), Some("32Mi"));
    let of = |node: &Node, name: &str| {
        let variables = node.get("env").unwrap().items().to_vec();
        let found = variables.iter().find(|variable| variable.text_at(&["name"]) == Some(name));
        found.and_then(|variable| variable.text_at(&["value"])).map(str::to_owned)
    };
    assert_eq!(of(sidecar, "SPANDREL_RELEASE").as_deref(), Some("1.4.0"));
    let app = &spec.get("containers").unwrap().items()[0];
    assert_eq!(of(app, "OTEL_SERVICE_NAME").as_deref(), Some("mine"));
    assert_eq!(
        of(app, "OTEL_RESOURCE_ATTRIBUTES").as_deref(),
        Some("k8s.container.name=app,service.namespace=shop,service.version=1.4.0")
    );
    let volumes: Vec<_> = spec.get("volumes").unwrap().items().iter().map(|v| v.text_at(&["name"])).collect();
    assert_eq!(volumes, [Some("spandrel-podinfo"), Some("spandrel-config"), Some("data")]);
    let marks = with.lines().filter(|line| line.contains("# spandrel inject: begin")).count();
    assert_eq!(marks, 3, "{with}");
}

#[test]
fn every_kind_of_several_documents_and_those_in_lists() {
    let pod = "spec: {containers: [{name: app, image: web}]}";
    let text = format!(
        "kind: Pod\nmetadata: {{name: a}}\n{pod}\n---\nkind: CronJob\nmetadata: {{name: b}}\nspec:\n  jobTemplate:\n    \
         spec:\n      template:\n        {pod}\n---\nkind: Service\n---\nkind: List\nitems:\n- kind: Job\n  metadata:\n    \
         name: c-28384920\n  spec:\n    template:\n      {pod}\n- kind: StatefulSet\n  metadata:\n    name: d\n  spec:\n    template:\n      {pod}\n"
    );
    let with = check(&text);
    let read = yaml::read(&with).unwrap();
    let pods = pods::find(&read);
    let all: Vec<_> = pods.iter().map(|pod| (pod.kind, pod.workload(), facts::is_here(pod))).collect();
    let expected = [("Pod", "a"), ("CronJob", "b"), ("Job", "c"), ("StatefulSet", "d")];
    assert_eq!(all, expected.map(|(kind, name)| (kind, name.to_owned(), true)));
}

#[test]
fn whatever_way_a_list_is_written() {
    let around = |env: &str| {
        format!("kind: Pod\nmetadata:\n  name: x\nspec:\n  containers:\n  - name: app\n    image: i\n{env}")
    };
    for env in [
        "",
        "    env: []\n",
        "    env: [{name: A, value: b}]  # one\n",
        "    env:\n",
        "    env:   # none yet\n    args: [x]\n",
        "    env:\n    - name: A\n      value: |+\n        text\n\n\n",
        "    env:\n        -   name: A\n            value: b",
        "    args:\n    - |\n      # spandrel is not here\n    env:",
    ] {
        check(&around(env));
    }
}

#[test]
fn what_can_not_have_one_is_left_alone_and_said() {
    let said = |spec: &str| {
        let text = format!(
            "kind: Pod\nmetadata: {{name: x}}\nspec: {{{spec}, containers: [{{name: a, image: i}}]}}\n"
        );
        let mut said = Vec::new();
        let with = inject(&text, parameters(), None, &mut |remark| said.push(remark)).unwrap();
        assert_eq!(with, text);
        said.join("\n")
    };
    assert!(
        said("hostNetwork: true").contains("Pod x is left alone: the pod shares the network of its node")
    );
    assert!(said("os: {name: windows}").contains("runs on Linux"));
    assert!(said("initContainers: [{name: b, ports: [{containerPort: 4317}]}]").contains("listens on 4317"));
}

#[test]
fn defaults_are_what_parameters_may_be_and_each_has_its_line() {
    let mut all = Parameters { upstream: "dns:gateway.shop.svc:4317".to_owned(), ..Parameters::default() };
    let set: Vec<_> = all.known().iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert!(set.len() >= 12 && Parameters::of(None, &set).is_ok(), "{set:?}");
}

#[test]
fn a_label_that_is_neither_yes_nor_no_is_said() {
    let text = |label: &str| {
        format!(
            "kind: Pod\nmetadata:\n  name: x\n  labels: {{spandrel.dev/inject: {label}}}\nspec:\n  containers: []\n"
        )
    };
    let said = |label: &str| {
        let mut said = Vec::new();
        inject(&text(label), parameters(), None, &mut |remark| said.push(remark)).unwrap();
        said.join("\n")
    };
    assert_eq!(said("enabled"), "");
    let expect =
        "Pod x: its label spandrel.dev/inject is `enable`, which is neither `enabled` nor `disabled`";
    assert_eq!(said("enable"), expect);
}

#[test]
fn what_can_not_be_done_names_the_line() {
    let wrong = |text: &str| inject(text, parameters(), None, &mut |_| ()).unwrap_err();
    let alias = "x: &e [{name: A}]\nkind: Pod\nspec:\n  containers:\n  - name: a\n    env: *e\n";
    assert!(wrong(alias).contains("line 6: `env` is an alias"), "{}", wrong(alias));
    let merged = "x: &e {env: [{name: A}]}\nkind: Pod\nspec:\n  containers:\n  - name: a\n    <<: *e\n";
    assert!(wrong(merged).contains("line 6: `<<` is an alias"), "{}", wrong(merged));
    let all = "x: &e [{name: a}]\nkind: Pod\nspec:\n  containers: *e\n";
    assert!(wrong(all).contains("line 4: `containers` is an alias"), "{}", wrong(all));
    assert!(wrong("kind: Pod\nspec:\n\t- x\n").contains("line 3: not YAML"));
    assert!(wrong("{\"kind\": \"Pod\"}").contains("kubectl create --dry-run=client -o yaml"));
    assert!(splice::remove("a\n# spandrel inject: begin\nb\n").unwrap_err().contains("without an end"));
}

#[test]
fn parameters_say_what_they_want() {
    let of = |set: &[&str]| Parameters::of(None, &set.iter().map(|&s| s.to_owned()).collect::<Vec<_>>());
    assert!(of(&[]).unwrap_err().contains("where should sidecars send?"));
    let wrong = of(&["upstream=http://x", "cpuLimit=many", "scoop=local", "scope=all"]).unwrap_err();
    assert!(wrong.contains("`many` can not be meant; it wants an amount like `100m`"), "{wrong}");
    assert!(wrong.contains("unknown parameter `scoop`; known: image,"), "{wrong}");
    assert!(wrong.contains("one of local, trace, off"), "{wrong}");
    let wrong = of(&["upstream=http://localhost:4317", "memoryLimit=32", "image=No Image", "cpuRequest=1"])
        .unwrap_err();
    assert!(
        wrong.contains("`upstream`: `http://localhost:4317` can not be meant; it wants an endpoint"),
        "{wrong}"
    );
    assert!(
        wrong.contains("`32` can not be meant; it wants an amount like `32Mi`, and 16Mi at least"),
        "{wrong}"
    );
    assert!(wrong.contains("`No Image` can not be meant; it wants an image like"), "{wrong}");
    assert!(
        wrong.contains("parameter `cpuRequest`: `1` is more than `cpuLimit`, `100m`; lower the one"),
        "{wrong}"
    );
    let config_map = "kind: ConfigMap\ndata:\n  upstream: \"http://x:1\"\n  cpuLimit: \"1\"\n";
    assert_eq!(Parameters::of(Some(config_map), &[]).unwrap().cpu_limit, "1");
}

#[test]
fn attributes_are_escaped_and_nothing_is_taken_for_a_variable() {
    let text = "kind: Pod\nmetadata:\n  name: x\n  annotations: {resource.opentelemetry.io/team: 'a b,c=$(d)', resource.opentelemetry.io/service.name: 's$(x)'}\nspec:\n  containers:\n  - {name: a, image: 'i@sha256:ab'}\n";
    let with = check(text);
    assert!(with.contains("team=a%20b%2Cc%3D%24(d)"), "{with}");
    assert!(with.contains("value: \"s$$(x)\""), "{with}");
    assert!(with.contains("service.version=sha256:ab"), "{with}");
}

proptest! {
    #[test]
    fn anything_comes_back_as_it_was(
        indent in 0usize..4,
        names in proptest::collection::vec("[a-z]{1,6}", 1..4),
        env in proptest::collection::vec(proptest::sample::select(vec!["", "[]", "[{name: A}]", "\n      - name: B", "\n          - {name: C}  # c", "\n\n      # c\n      - name: D"]), 3),
        volumes in proptest::sample::select(vec!["", "\n  volumes: []", "\n  volumes:\n  - name: v", "\n  volumes:"]),
        end in proptest::sample::select(vec!["\n", "", "\n\n# end", "\n---\n"]),
    ) {
        let mut text = format!("kind: Pod\nmetadata:\n  name: x\nspec:{volumes}\n  containers:\n");
        for (name, env) in names.iter().zip(&env) {
            let env = if env.is_empty() { String::new() } else { format!("\n      env: {env}") };
            text.push_str(&format!("{}  - name: {name}\n      image: i{env}\n", " ".repeat(2)));
        }
        let text = format!("{}{}{end}", "\n".repeat(indent), text.trim_end());
        check(&text);
    }
}
