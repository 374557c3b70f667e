//! Any text as a configuration: it is refused with places inside it, or it is a plan, and then what
//! `print-config` prints of it is itself a configuration that prints the same.

use std::net::IpAddr;
use std::path::PathBuf;

use spandrel::config::{Loaded, Surroundings, Variables, load_text};

pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match load_text(text, &surroundings()) {
        Err(mistakes) => {
            assert!(!mistakes.list.is_empty());
            let shown = mistakes.to_string();
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        }
        Ok(loaded) => {
            let printed = values(&loaded);
            let again = load_text(&loaded.print(), &surroundings());
            let again = again.unwrap_or_else(|mistakes| panic!("{mistakes}\nin\n{}", loaded.print()));
            assert_eq!(values(&again), printed);
        }
    }
}

/// What is in force, without where it came from.
fn values(loaded: &Loaded) -> Vec<String> {
    let printed = loaded.print();
    printed
        .lines()
        .map(|line| line.rsplit_once(" # ").map_or(line, |(value, _)| value).trim_end().to_owned())
        .collect()
}

/// A world without files, names or variables, so that a text always means the same.
fn surroundings() -> Surroundings {
    Surroundings {
        variables: Variables::default(),
        root: PathBuf::from("/nowhere"),
        resolve: |_| vec![IpAddr::from([192, 0, 2, 1])],
        is_ours: |address| address.is_loopback(),
    }
}
