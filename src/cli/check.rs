//! `spandrel check`: says everything that is wrong with the configuration, and runs nothing.

use std::fmt::Write;
use std::process::ExitCode;

use super::{print, with};
use crate::config::{Ask, Loaded, Plan, SourceState};
use crate::receive::Listen;

pub fn run(ask: &Ask) -> ExitCode {
    with(ask, |loaded| print(&said_of(&loaded)))
}

/// `ok`, what is listened on and where it goes, what is written, and what may surprise.
fn said_of(loaded: &Loaded) -> String {
    let plan = &loaded.plan;
    let mut said = format!("ok: {}\n", loaded.file.as_deref().unwrap_or("no file, defaults and variables"));
    let listen: Vec<String> = plan.receive.listen.iter().map(show_listen).collect();
    let to: Vec<String> =
        plan.upstreams.iter().map(|u| format!("{} ({})", show_url(&u.endpoint), u.name)).collect();
    let to = if to.is_empty() { "shown here".to_owned() } else { to.join(", ") };
    let _ = writeln!(said, "  {} -> {to}", listen.join(", "));
    let _ = writeln!(
        said,
        "  environment {}{}, release {}",
        asked_for(plan),
        labelled(plan.labels.environment.as_deref(), plan.labels_from.environment.as_deref()),
        labelled(plan.labels.release.as_deref(), plan.labels_from.release.as_deref()),
    );
    sources(loaded, &mut said);
    notes(plan, &mut said);
    said
}

fn show_listen(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// Without the `/` that stands for no path.
fn show_url(url: &http::Uri) -> String {
    url.to_string().trim_end_matches('/').to_owned()
}

/// Where an environment is looked for before the one that is configured.
fn asked_for(plan: &Plan) -> String {
    let header = plan.labels.environment_header.as_ref().map(|name| format!("by header `{name}`, else "));
    let namespaces = (!plan.labels.namespaces.is_empty()).then(|| "by namespace, else ".to_owned());
    header.into_iter().chain(namespaces).collect()
}

fn labelled(value: Option<&str>, from: Option<&str>) -> String {
    match (value, from) {
        (Some(value), Some(from)) => format!("`{value}` ({from})"),
        (Some(value), None) => format!("`{value}`"),
        (None, _) => "as services say".to_owned(),
    }
}

/// What values come from, and what is wrong with it: the process would run without.
fn sources(loaded: &Loaded, said: &mut String) {
    for SourceState { name, wrong, .. } in loaded.sources() {
        let how = wrong.map_or_else(String::new, |wrong| format!(" {wrong}"));
        let _ = writeln!(said, "  source `{name}`{how}");
    }
}

fn notes(plan: &Plan, said: &mut String) {
    for note in &plan.notes {
        let _ = writeln!(said, "  note: {note}");
    }
}
