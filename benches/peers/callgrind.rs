//! Reads what callgrind wrote, and sums it up by stage.
//!
//! A stage is a directory of our sources or a crate. What is inlined counts where it is written, but for the small
//! tools of everybody (the standard library, byte buffers, hash tables), which count as whoever called them: the
//! question is which stage takes the time, not which container.

use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default)]
pub struct Costs {
    /// Instructions by stage.
    pub stages: BTreeMap<String, u64>,
}

/// Crates that count as their callers.
const TOOLS: [&str; 12] = [
    "ahash",
    "bytes",
    "hashbrown",
    "smallvec",
    "crossbeam",
    "twox-hash",
    "indexmap",
    "slab",
    "fnv",
    "atomic-waker",
    "futures",
    "memchr",
];
/// Crates that are one thing to us.
const GROUPS: [(&str, &[&str]); 4] = [
    ("HTTP: h2, hyper, http", &["h2", "hyper", "http", "httparse", "tower", "want", "httpdate"]),
    ("tokio, mio", &["tokio", "mio", "signal-hook", "socket2"]),
    ("gzip: flate2, zlib-rs", &["flate2", "zlib-rs", "crc32fast", "miniz_oxide"]),
    ("allocator: mimalloc", &["libmimalloc", "mimalloc"]),
];

impl Costs {
    pub fn read(text: &str) -> Self {
        let (mut names, mut costs) = (Names::default(), Self::default());
        // The stage of the function, and of the file of what is inlined in it.
        let (mut function, mut own, mut inlined) = (String::new(), None, None);
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some((key, value)) = line.split_once('=') else {
                // `+3 12`: a line and its cost.
                let cost = line.split_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok());
                if let (Some(cost), true) =
                    (cost, line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)))
                {
                    let stage = inlined.clone().or(own.clone()).unwrap_or_else(|| by_name(&function));
                    *costs.stages.entry(stage).or_default() += cost;
                }
                continue;
            };
            match key {
                "fl" => {
                    own = stage_of(&names.file(value));
                    inlined = None;
                }
                "fi" | "fe" => inlined = stage_of(&names.file(value)),
                "fn" => function = names.function(value),
                "cfi" | "cfl" => _ = names.file(value),
                "cfn" => _ = names.function(value),
                // The next line is what the called function took, which is counted there.
                "calls" => _ = lines.next(),
                _ => {}
            }
        }
        costs
    }
}

/// Names are written once, `(3) name`, and then by their numbers.
#[derive(Default)]
struct Names {
    files: HashMap<String, String>,
    functions: HashMap<String, String>,
}

impl Names {
    fn file(&mut self, value: &str) -> String {
        named(&mut self.files, value)
    }

    fn function(&mut self, value: &str) -> String {
        named(&mut self.functions, value)
    }
}

fn named(known: &mut HashMap<String, String>, value: &str) -> String {
    let (number, name) = value.split_once(' ').unwrap_or((value, ""));
    if !name.is_empty() {
        known.insert(number.to_owned(), name.to_owned());
    }
    known.get(number).cloned().unwrap_or_default()
}

/// The stage a file belongs to; none for the tools of everybody.
fn stage_of(file: &str) -> Option<String> {
    // As the packages name them: `<root>/packages/hot/../../src/wire/walk.rs`.
    let own = file.strip_prefix(env!("CARGO_MANIFEST_DIR")).and_then(|path| path.split_once("/src/"));
    if let Some((_, path)) = own {
        let stage = path.split('/').next().unwrap_or_default();
        return Some(format!("`src/{}`", stage.trim_end_matches(".rs")));
    }
    let (_, path) = file.split_once("/registry/src/")?;
    let package = path.split('/').nth(1).unwrap_or_default();
    let is_of = |crates: &[&str]| crates.iter().any(|name| package.starts_with(name));
    if is_of(&TOOLS) {
        return None;
    }
    let group = GROUPS.iter().find(|(_, crates)| is_of(crates));
    Some(group.map_or("other crates", |(name, _)| name).to_owned())
}

/// What no file says, by the function's name.
fn by_name(function: &str) -> String {
    let words = [
        (&["memcpy", "memmove"][..], "copying (memcpy)"),
        (&["memset", "memcmp", "bcmp", "strlen"], "memset, memcmp"),
        (&["mi_", "_mi_", "malloc", "free"], "allocator: mimalloc"),
        (
            &["pthread", "futex", "syscall", "epoll", "writev", "recv", "send", "clock_gettime"],
            "system calls, clock, locks",
        ),
    ];
    let known = words.iter().find(|(starts, _)| starts.iter().any(|word| function.contains(word)));
    known.map_or("standard library and others", |(_, name)| name).to_owned()
}
