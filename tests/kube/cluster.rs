//! etcd and an API server on loopback, and what is asked of them.
//!
//! They live as long as the shell that started them has an open standard input: they end with this process, however
//! that ends.

use std::io::Write;
use std::net::TcpListener;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use crate::tools::tool;
use crate::{chart, output, ran};

/// A minute and a half and more: each look takes its time, too.
const LOOKS_MAX: usize = 900;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Where the chart is installed.
pub const OBSERVABILITY: &str = "observability";

pub struct Cluster {
    directory: tempfile::TempDir,
    kubeconfig: PathBuf,
    /// etcd and the API server, ended when these are dropped.
    _running: Vec<Child>,
    /// The pods of `shapes/` as they are stored without the chart.
    pub before: Vec<(String, Value)>,
}

/// The one cluster, with the chart installed; whoever has it has it alone.
pub fn cluster() -> Alone {
    static CLUSTER: Mutex<Option<Cluster>> = Mutex::new(None);
    let mut held = CLUSTER.lock().unwrap_or_else(|poisoned| {
        let held = poisoned.into_inner();
        assert!(held.is_some(), "the cluster could not be started: see the first test that failed");
        held
    });
    if held.is_none() {
        let mut cluster = Cluster::start();
        cluster.furnish();
        *held = Some(cluster);
    }
    Alone(held)
}

/// The cluster, and nobody else's meanwhile.
pub struct Alone(MutexGuard<'static, Option<Cluster>>);

impl Deref for Alone {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("started before it is given away")
    }
}

impl Cluster {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| directory.path().join(name).display().to_string();
        let key = rcgen::KeyPair::generate().expect("a key");
        std::fs::write(path("sa.key"), key.serialize_pem()).expect("a writable directory");
        std::fs::write(path("sa.pub"), key.public_key_pem()).expect("as above");
        std::fs::write(path("tokens.csv"), "admintoken,admin,admin-uid,\"system:masters\"\n")
            .expect("as above");
        let [etcd, peer, api] = free_ports();
        let (etcd, peer) = (format!("http://127.0.0.1:{etcd}"), format!("http://127.0.0.1:{peer}"));
        let mut running = vec![bound(
            tool("etcd").args(["--unsafe-no-fsync", "--log-level", "warn"]).args([
                "--data-dir",
                &path("etcd"),
                "--listen-client-urls",
                &etcd,
                "--advertise-client-urls",
                &etcd,
                "--listen-peer-urls",
                &peer,
            ]),
            &directory.path().join("etcd.log"),
        )];
        let mut server = tool("kube-apiserver");
        for (option, value) in [
            ("etcd-servers", etcd.as_str()),
            ("bind-address", "127.0.0.1"),
            ("advertise-address", "127.0.0.1"),
            ("secure-port", &api.to_string()),
            ("cert-dir", &path("certs")),
            ("service-cluster-ip-range", "10.96.0.0/24"),
            ("authorization-mode", "RBAC"),
            ("token-auth-file", &path("tokens.csv")),
            ("service-account-issuer", "https://kubernetes.default.svc"),
            ("service-account-key-file", &path("sa.pub")),
            ("service-account-signing-key-file", &path("sa.key")),
            ("endpoint-reconciler-type", "none"),
        ] {
            server.arg(format!("--{option}={value}"));
        }
        running.push(bound(&server, &directory.path().join("apiserver.log")));
        let kubeconfig = directory.path().join("kubeconfig");
        let config = format!(
            "{{apiVersion: v1, kind: Config, current-context: t,\n\
             clusters: [{{name: t, cluster: {{server: 'https://127.0.0.1:{api}', certificate-authority: {}}}}}],\n\
             users: [{{name: a, user: {{token: admintoken}}}}],\n\
             contexts: [{{name: t, context: {{cluster: t, user: a}}}}]}}\n",
            path("certs/apiserver.crt")
        );
        std::fs::write(&kubeconfig, config).expect("a writable directory");
        let cluster = Self { directory, kubeconfig, _running: running, before: Vec::new() };
        cluster.until("the API server is ready", |cluster| {
            ran(cluster.kubectl().args(["get", "--raw", "/readyz"])).0
        });
        cluster
    }

    /// Namespaces, what pods are without the chart, then the chart.
    fn furnish(&mut self) {
        for (name, labels) in [
            ("shop", "{spandrel.dev/inject: enabled, spandrel.dev/environment: production}"),
            (
                "strict",
                "{spandrel.dev/inject: 'true', spandrel.dev/environment: staging, \
                 pod-security.kubernetes.io/enforce: restricted}",
            ),
            ("bare", "{spandrel.dev/environment: test}"),
            ("mistyped", "{spandrel.dev/inject: enable}"),
            (OBSERVABILITY, "{pod-security.kubernetes.io/enforce: restricted}"),
        ] {
            let namespace = format!(
                "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {labels}}}}}\n---\n\
                 {{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {name}}}}}\n"
            );
            self.until("there are namespaces", |cluster| cluster.apply(&namespace).is_ok());
        }
        self.before = crate::injection::shapes()
            .into_iter()
            .map(|(name, text)| {
                let stored = self.would_store(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
                (name, stored)
            })
            .collect();
        for kind in crate::tools::operator_kinds() {
            output(self.kubectl().args(["create", "-f"]).arg(kind));
        }
        let values = chart().join("examples/production/values.yaml");
        self.until("the operator's kinds are known", |cluster| {
            ran(cluster.kubectl().args(["get", "podmonitors,servicemonitors,prometheusrules", "-A"])).0
        });
        output(
            self.helm()
                .args([
                    "install",
                    "spandrel",
                    "--set",
                    "image.digest=,image.repository=spandrel,injection.environment=",
                ])
                .arg(chart())
                .arg("-f")
                .arg(values),
        );
        // A policy works some tenths of a second after it is there.
        let (_, plain) =
            crate::injection::shapes().into_iter().find(|(name, _)| name == "plain").expect("a shape");
        self.until("the policy works", |cluster| {
            cluster.would_store(&plain).is_ok_and(|pod| !pod["spec"]["initContainers"].is_null())
        });
    }

    pub fn kubectl(&self) -> Command {
        let mut kubectl = tool("kubectl");
        kubectl
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(self.directory.path().join("cache"));
        kubectl
    }

    pub fn helm(&self) -> Command {
        let mut helm = tool("helm");
        helm.arg("--kubeconfig").arg(&self.kubeconfig).args(["-n", OBSERVABILITY]);
        helm
    }

    /// What the API server would store of a pod. Objects beside it are passed over.
    pub fn would_store(&self, manifest: &str) -> Result<Value, String> {
        let arguments = ["create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-"];
        let said = self.given(self.kubectl().args(arguments), manifest)?;
        serde_json::from_str(&said).map_err(|cause| format!("{cause}: {said}"))
    }

    /// What it did store, fetched again; the pod is gone then.
    pub fn stored(&self, manifest: &str) -> Result<Value, String> {
        self.given(self.kubectl().args(["create", "--validate=strict", "-f", "-"]), manifest)?;
        let said = self.given(self.kubectl().args(["get", "-o", "json", "-f", "-"]), manifest)?;
        self.given(self.kubectl().args(["delete", "--force", "--grace-period=0", "-f", "-"]), manifest)?;
        let mut list: Value = serde_json::from_str(&said).map_err(|cause| format!("{cause}: {said}"))?;
        Ok(list["items"][0].take())
    }

    pub fn apply(&self, manifest: &str) -> Result<String, String> {
        self.given(self.kubectl().args(["apply", "--validate=strict", "-f", "-"]), manifest)
    }

    fn given(&self, command: &mut Command, input: &str) -> Result<String, String> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.map_err(|cause| cause.to_string())?;
        // It may refuse before it has read everything.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        let output = child.wait_with_output().map_err(|cause| cause.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Waits until it is so.
    pub fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        for _ in 0..LOOKS_MAX {
            if is(self) {
                return;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        let log = std::fs::read_to_string(self.directory.path().join("apiserver.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(15).collect();
        panic!("not in time: {what}; the API server's last words, latest first:\n{}", lines.join("\n"));
    }
}

/// Starts a program that is killed when our end of its shell's standard input does.
fn bound(command: &Command, log: &Path) -> Child {
    let log = std::fs::File::create(log).expect("a writable directory");
    let script = "\"$@\" <&- & trap 'kill -9 $!; wait' EXIT; read -r _";
    Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a descriptor"))
        .stderr(log)
        .spawn()
        .expect("a shell")
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("bound").port())
}
