//! Bad configurations and the message each must give, word for word; and the good ones beside them.
//!
//! `BLESS=1 cargo test` writes the messages anew; read the difference before it is committed.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use spandrel::config::{Ask, Surroundings, Variables, load_in, reference};
use spandrel::telemetry::meters;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config")
}

/// A machine without files, on which `myself.example` is ourselves.
fn surroundings(variables: Variables) -> Surroundings {
    let resolve = |host: &str| match host {
        "myself.example" => vec![IpAddr::from([10, 0, 0, 7])],
        _ => vec![IpAddr::from([192, 0, 2, 1])],
    };
    let is_ours = |address: IpAddr| address.is_loopback() || address == IpAddr::from([10, 0, 0, 7]);
    Surroundings { variables, root: data().join("nowhere"), resolve, is_ours }
}

/// The file holds what is expected; with `BLESS` set it is made to.
fn assert_file(path: &Path, got: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, got).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(expected, got, "{} differs; if it should, run with BLESS=1", path.display());
}

#[test]
fn bad_files_get_exactly_these_messages() {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    names.sort();
    assert!(names.len() >= 15, "only {} bad files", names.len());
    for path in names {
        let ask = Ask { file: Some(path.clone()), set: Vec::new() };
        let Err(mistakes) = load_in(&ask, &surroundings(Variables::default())) else {
            panic!("{} has no mistakes", path.display());
        };
        let mut mistakes = mistakes;
        mistakes.file = path.file_name().unwrap().to_string_lossy().into_owned();
        let message = format!("{mistakes}\n");
        assert!(!message.contains("hunter2"), "{} shows a secret:\n{message}", path.display());
        assert!(!message.contains('\u{1b}'), "{} speaks to the terminal", path.display());
        assert_file(&path.with_extension("txt"), &message);
    }
}

#[test]
fn bad_variables_get_exactly_these_messages() {
    let variables = Variables::from([
        ("SPANDREL_UPSTREM", "https://otel.example.com"),
        ("SPANDREL_BATCH_BYTE", "1MiB"),
        ("SPANDREL_JOIN_QUIET", "soon"),
        ("SPANDREL_UPSTREAMS_BACKEND_ENDPONT", "https://otel.example.com"),
        ("SPANDREL_UPSTREAMS_BACKEND_TLS_KEY_FILE", "/etc/key.pem"),
        ("SPANDREL_RESOURCE", "team"),
        ("SPANDREL_GATEWAY_SERVICE_HOST", "10.0.0.1"),
        ("SPANDREL_GATEWAY_PORT_4317_TCP_ADDR", "10.0.0.1"),
        ("SPANDREL_PORT", "tcp://10.0.0.1:4317"),
        ("SPANDREL_LANES", ""),
        ("SPANDREL_", "x"),
    ]);
    let mistakes = load_in(&Ask::default(), &surroundings(variables)).unwrap_err();
    assert_file(&data().join("variables.txt"), &format!("{mistakes}\n"));
}

#[test]
fn bad_arguments_get_exactly_these_messages() {
    let set = [
        "batch.size=1MiB",
        "lanes",
        "join=off",
        "upstreams.x.headers=hunter2",
        "join.scope.x=1",
        "=",
        "memory=",
    ];
    let ask = Ask { file: None, set: set.map(str::to_owned).to_vec() };
    let message = match load_in(&ask, &surroundings(Variables::default())) {
        Ok(_) => panic!("no mistakes"),
        Err(mistakes) => format!("{mistakes}\n"),
    };
    assert!(!message.contains("hunter2"), "{message}");
    assert_file(&data().join("arguments.txt"), &message);
}

#[test]
fn bad_otel_variables_get_exactly_these_messages() {
    let variables = Variables::from([
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://otel.example.com:4318/other"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/xml"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "lz4"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=,x=1"),
    ]);
    let mistakes = load_in(&Ask::default(), &surroundings(variables)).unwrap_err();
    assert_file(&data().join("otel.txt"), &format!("{mistakes}\n"));
}

fn spandrel(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spandrel"));
    command.args(arguments).env_clear().output().unwrap()
}

#[test]
fn check_exits_with_2_and_says_everything_or_with_0_and_says_ok() {
    let bad = spandrel(&["check", "--config", data().join("typo.yaml").to_str().unwrap()]);
    assert_eq!(bad.status.code(), Some(2));
    let said = String::from_utf8(bad.stderr).unwrap();
    assert_eq!(said.matches("did you mean").count(), 4, "{said}");
    assert!(said.contains("typo.yaml:8:1: unknown key `envronment`"), "{said}");

    let good = spandrel(&["check", "--set", "upstream=http://192.0.2.1:4317", "--set", "environment=test"]);
    assert_eq!(good.status.code(), Some(0));
    let said = String::from_utf8(good.stdout).unwrap();
    assert!(said.starts_with("ok: "), "{said}");
    assert!(said.contains("http://192.0.2.1:4317") && said.contains("environment `test` (--set)"), "{said}");
}

#[test]
fn a_file_that_can_not_be_had_is_said_so_and_exits_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let check = |path: &Path, expect: &str| {
        let output = spandrel(&["run", "--config", path.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said, format!("{}: {expect}\n", path.display()));
    };
    check(&directory.path().join("gone.yaml"), "can't be read: no such file");
    check(directory.path(), "is a directory; name the file in it");
    let only = directory.path().join("spandrel.yaml");
    std::fs::write(&only, "# nothing\n").unwrap();
    let hint = format!("is a directory; name the file in it, as in `{}`", only.display());
    check(directory.path(), &hint);
    let large = directory.path().join("large.txt");
    std::fs::write(&large, "#".repeat((1 << 20) + 1)).unwrap();
    check(&large, "is larger than 1MiB; is it a configuration?");
}

#[test]
fn the_generated_pages_are_fresh() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    assert_file(&docs.join("config.md"), &reference());
    assert_file(&docs.join("metrics.md"), &meters::reference());
    let printed = spandrel(&["docs", "config"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), reference());
}
