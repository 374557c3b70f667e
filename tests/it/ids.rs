//! Ids of seeds and links to traces: the commands, and the same on the admin port.

use std::process::Output;

use crate::harness::proxy::command;
use crate::harness::{Client, Proxy};

const UI: &str = "ui: {url: \"https://lf.example.com/\", project: p1}\n";
const SEED: &str = "your-trace-id";
const TRACE: &str = "f21c0b8fc2d39e41c10b1fdb8024101b";

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command();
    command.args(arguments).envs(variables.iter().copied());
    command.output().await.expect("the binary was built with the tests")
}

/// Exit code, standard output and standard error.
async fn says(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = run(arguments, variables).await;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("it was not killed"), text(stdout), text(stderr))
}

#[tokio::test]
async fn a_seed_gives_the_id_that_the_sdks_give() {
    let vectors = include_str!("../data/captures/trace-id-vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).expect("JSON");
    for vector in vectors.as_array().expect("a list") {
        let seed = match vector["seed"].as_str().expect("a seed") {
            "'a' x 1000" => "a".repeat(1000),
            seed => seed.to_owned(),
        };
        let Some(expect) = vector["trace_id"].as_str() else {
            let (code, _, why) = says(&["id", "--seed", &seed], &[]).await;
            assert!(code == 2 && why.contains("the seed is empty"), "{why}");
            continue;
        };
        assert_eq!(says(&["id", "--seed", &seed], &[]).await.1, format!("{expect}\n"), "{seed}");
        let observation = says(&["id", "--seed", &seed, "--observation"], &[]).await.1;
        assert_eq!(observation.trim_end(), vector["observation_id"], "{seed}");
    }
}

#[tokio::test]
async fn a_link_needs_a_base_a_project_and_a_real_id() {
    let config = tempfile::tempdir().expect("a temporary directory");
    let file = config.path().join("spandrel.yaml");
    std::fs::write(&file, UI).expect("a writable directory");
    let file = file.to_str().expect("UTF-8");
    let link = format!("https://lf.example.com/project/p1/traces/{TRACE}\n");
    assert_eq!(says(&["url", TRACE, "--config", file], &[]).await, (0, link, String::new()));

    let variables = [("LANGFUSE_HOST", "http://lf:3000"), ("LANGFUSE_PROJECT_ID", "p2")];
    let link = format!("http://lf:3000/project/p2/traces/{TRACE}\n");
    assert_eq!(says(&["url", TRACE], &variables).await.1, link);

    for (arguments, variables, code, why) in [
        (["url", TRACE], &[][..], 1, "set `ui.url`, or LANGFUSE_BASE_URL or INTERACTIVEAI_BASE_URL"),
        (["url", TRACE], &variables[..1], 1, "GET http://lf:3000/api/public/projects"),
        (["url", SEED], &variables[..], 2, "make one from a seed with `spandrel id --seed`"),
        (["url", "F21C"], &variables[..], 2, "write it in lower case"),
        (["url", TRACE], &[("LANGFUSE_HOST", "lf")][..], 2, "`ui.url`: `lf` is no base URL"),
    ] {
        let (got, out, said) = says(&arguments, variables).await;
        assert!(got == code && out.is_empty() && said.contains(why), "{arguments:?}: {got}, {said}");
    }
}

#[tokio::test]
async fn the_admin_port_gives_the_same() {
    let proxy = Proxy::with(UI).await;
    let ask = async |path: &str| {
        let reply = Client::to(proxy.admin()).get(path).await;
        (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).expect("UTF-8"))
    };
    assert_eq!(ask(&format!("/id?seed={SEED}")).await, (200, format!("{TRACE}\n")));
    assert_eq!(ask(&format!("/id?seed={SEED}&observation")).await, (200, format!("{}\n", &TRACE[..16])));
    let spaces = "81b14516b5d1331335d162196dd07afa\n".to_owned();
    assert_eq!(ask("/id?seed=%20leading+and%20trailing%20").await, (200, spaces));
    assert_eq!(ask("/id?seed=").await.0, 400);
    assert!(ask("/id").await.1.contains("give a seed"));
    let link = format!("https://lf.example.com/project/p1/traces/{TRACE}\n");
    assert_eq!(ask(&format!("/url/{TRACE}")).await, (200, link));
    let (status, why) = ask(&format!("/url/{SEED}")).await;
    assert!(status == 400 && why.contains("`y` at character 1"), "{why}");
}
