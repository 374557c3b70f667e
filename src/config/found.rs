//! Values nobody wrote into our configuration but the surroundings know: environment, release, memory.

use std::path::Path;

use super::files::Files;
use super::otel::pairs;
use super::raw::Raw;
use super::source::Source;
use super::surroundings::{Surroundings, Variables};
use super::words::Size;

/// The tracing SDKs' own variables for the environment (semantics §2).
const ENVIRONMENT_VARIABLES: [&str; 2] =
    ["INTERACTIVEAI_TRACING_ENVIRONMENT", "LANGFUSE_TRACING_ENVIRONMENT"];

/// The tracing SDKs' own variables for the release, then what build systems and platforms call the
/// commit, in the SDKs' order (semantics §2).
const RELEASE_VARIABLES: [&str; 12] = [
    "INTERACTIVEAI_RELEASE",
    "LANGFUSE_RELEASE",
    "RENDER_GIT_COMMIT",
    "CI_COMMIT_SHA",
    "CIRCLE_SHA1",
    "SOURCE_VERSION",
    "TRAVIS_COMMIT",
    "GIT_COMMIT",
    "GITHUB_SHA",
    "BITBUCKET_COMMIT",
    "BUILD_SOURCEVERSION",
    "DRONE_COMMIT_SHA",
];

/// Where the SDKs send to, which is where their UI is.
const UI_VARIABLES: [&str; 4] =
    ["INTERACTIVEAI_BASE_URL", "INTERACTIVEAI_HOST", "LANGFUSE_BASE_URL", "LANGFUSE_HOST"];

const PROJECT_VARIABLES: [&str; 2] = ["INTERACTIVEAI_PROJECT_ID", "LANGFUSE_PROJECT_ID"];

/// Where a pod's labels are mounted by custom, and which of them is its version.
const POD_LABELS: &str = "etc/podinfo/labels";
const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// Beside them its annotations, in one of which injection says what it could not do as it was told.
const POD_ANNOTATIONS: &str = "etc/podinfo/annotations";
const INJECTION_ANNOTATION: &str = "spandrel.dev/injection";

const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// Fills in what was not given.
pub fn fill(raw: &mut Raw, surroundings: &Surroundings, files: &mut Files) {
    let variables = &surroundings.variables;
    let own = raw.dialect.value.name().to_uppercase();
    if raw.environment.own.value.is_none()
        && let Some((value, name)) = label(
            variables,
            &["deployment.environment.name", "deployment.environment"],
            &ENVIRONMENT_VARIABLES,
            &own,
        )
    {
        raw.environment.own.put(Some(value), Source::Borrowed(name));
    }
    if raw.release.value.is_none()
        && let Some((value, name)) = label(variables, &["service.version"], &RELEASE_VARIABLES, &own)
    {
        raw.release.put(Some(value), Source::Borrowed(name));
    }
    if raw.release.value.is_none() {
        of_the_pod(raw, &surroundings.root, files);
    }
    of_injection(&surroundings.root, files);
    for (slot, names) in [(&mut raw.ui.url, &UI_VARIABLES[..]), (&mut raw.ui.project, &PROJECT_VARIABLES)] {
        if slot.value.is_none()
            && let Some((value, name)) = label(variables, &[], names, &own)
        {
            slot.put(Some(value), Source::Borrowed(name));
        }
    }
    if raw.memory.value.is_none() {
        let (bytes, how) = memory(&surroundings.root);
        raw.memory.put(Some(Size(bytes)), Source::Derived(how));
    }
}

/// What the pod's own label says of its release, where its labels are mounted as Kubernetes' documentation has it.
fn of_the_pod(raw: &mut Raw, root: &Path, files: &mut Files) {
    let labels = root.join(POD_LABELS);
    if !labels.exists() {
        return;
    }
    let reference = format!("{}[{VERSION_LABEL}]", labels.display());
    match files.value(&reference) {
        Ok(value) => {
            raw.release.put(Some(value), Source::Derived(format!("the pod's label {VERSION_LABEL}")))
        }
        Err(_) => files.excuse(&reference),
    }
}

/// What the pod's injection says it could not do: told as what is wrong with any other source is.
fn of_injection(root: &Path, files: &mut Files) {
    let annotations = root.join(POD_ANNOTATIONS);
    if !annotations.exists() {
        return;
    }
    let reference = format!("{}[{INJECTION_ANNOTATION}]", annotations.display());
    match files.value(&reference) {
        Ok(_) => files.take_as_complaint(&reference),
        // Nothing was to be said.
        Err(_) => files.excuse(&reference),
    }
}

/// The value and the variable it is from; those that begin like the dialect's `own` are asked first.
fn label(variables: &Variables, attributes: &[&str], names: &[&str], own: &str) -> Option<(String, String)> {
    let given = variables.get(RESOURCE_ATTRIBUTES).map(pairs).unwrap_or_default();
    let of_resource = attributes.iter().find_map(|wanted| {
        let (_, value) = given.iter().find(|(key, value)| key == wanted && !value.is_empty())?;
        Some((value.clone(), RESOURCE_ATTRIBUTES.to_owned()))
    });
    of_resource.or_else(|| {
        let (first, then): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.starts_with(own));
        first
            .iter()
            .chain(&then)
            .find_map(|name| Some((variables.get(name)?.trim().to_owned(), (*name).to_owned())))
    })
}

const MEMORY_MIN: usize = 16 << 20;
const MEMORY_UNLIMITED: usize = 256 << 20;

/// The byte budget when none is given, and how it came about: a quarter of the cgroup's limit; without
/// one, 256 MiB or a quarter of the machine, whichever is less. The other three quarters are for what is
/// not counted: the program, buffers of sockets and TLS, the allocator's slack.
pub fn memory(root: &Path) -> (usize, String) {
    let physical = physical(root);
    let limit = cgroup_limit(root).filter(|limit| physical.is_none_or(|physical| *limit < physical));
    match (limit, physical) {
        (Some(limit), _) => ((limit / 4).max(MEMORY_MIN), format!("a quarter of the cgroup's {limit} bytes")),
        (None, Some(physical)) if physical / 4 < MEMORY_UNLIMITED => {
            ((physical / 4).max(MEMORY_MIN), "a quarter of the machine".to_owned())
        }
        (None, _) => (MEMORY_UNLIMITED, "default without a cgroup limit".to_owned()),
    }
}

/// The smallest memory limit on the way from our cgroup up to the root; version 2 and version 1. `None`
/// where there is none.
pub fn cgroup_limit(root: &Path) -> Option<usize> {
    let membership = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    membership
        .lines()
        .filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let (mount, file) = match controllers {
                "" => ("sys/fs/cgroup", "memory.max"),
                _ if controllers.split(',').any(|c| c == "memory") => {
                    ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
                }
                _ => return None,
            };
            let mount = root.join(mount);
            let inside = mount.join(path.trim_start_matches('/'));
            // In a container the path may be the host's, and only the mount itself is there.
            let upwards = inside.ancestors().take_while(|dir| dir.starts_with(&mount));
            upwards.filter_map(|dir| read_number(&dir.join(file))).min()
        })
        .min()
}

/// `None` for `max` and for what is not there.
fn read_number(file: &Path) -> Option<usize> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn physical(root: &Path) -> Option<usize> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
