//! A directory as Kubernetes mounts it: its files are links through one link, which is put elsewhere when they change.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Puts the next version of all files there, at once. What is there already under their names is replaced.
pub fn swap(directory: &Path, version: usize, files: &[(&str, &str)]) {
    let name = |name: &str| directory.join(name);
    let data = format!("..version_{version}");
    fs::create_dir_all(name(&data)).expect("a writable directory");
    for (file, text) in files {
        fs::write(name(&data).join(file), text).expect("as above");
    }
    symlink(&data, name("..next")).expect("a new link");
    fs::rename(name("..next"), name("..data")).expect("a link to put another over");
    for (file, _) in files.iter().filter(|(file, _)| !name(file).is_symlink()) {
        symlink(format!("..data/{file}"), name("next")).expect("a new link");
        fs::rename(name("next"), name(file)).expect("a file to put a link over");
    }
}
