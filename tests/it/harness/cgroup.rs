//! A control group for one test: version 2 where it is mounted, else version 1. Needs root.

use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// Gone when dropped; whoever was in it must have ended before.
pub struct Group {
    directories: Vec<PathBuf>,
}

impl Group {
    /// At most so many bytes of memory.
    pub fn of_memory(name: &str, bytes: usize) -> Self {
        let (v1, v2) = ("memory.limit_in_bytes", "memory.max");
        Self::new(name, "memory", [v1, v2], [bytes.to_string(), bytes.to_string()])
    }

    /// Another limit for one that was made with [`Group::of_memory`].
    pub fn resize_memory(&self, bytes: usize) {
        for directory in &self.directories {
            let files = ["memory.limit_in_bytes", "memory.max"].map(|file| directory.join(file));
            let file = files.iter().find(|file| file.exists()).expect("it limits memory");
            std::fs::write(file, bytes.to_string()).expect("root may");
        }
    }

    /// So many hundredths of a core.
    pub fn of_cpu(name: &str, percent: u32) -> Self {
        let quota = percent * 1000;
        let limits = [quota.to_string(), format!("{quota} 100000")];
        Self::new(name, "cpu", ["cpu.cfs_quota_us", "cpu.max"], limits)
    }

    fn new(name: &str, controller: &str, files: [&str; 2], limits: [String; 2]) -> Self {
        let name = format!("spandrel-{name}-{}", std::process::id());
        let root = Path::new(ROOT);
        let unified = root.join("cgroup.controllers").exists();
        let (parent, version) = if unified { (root.to_owned(), 1) } else { (root.join(controller), 0) };
        if unified {
            // It may be on already, or not ours to turn on: then the limit below can not be written.
            let _ = std::fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        let directory = parent.join(name);
        let made = std::fs::create_dir(&directory);
        made.unwrap_or_else(|e| panic!("{}: {e}; this test needs root and cgroups", directory.display()));
        let group = Self { directories: vec![directory.clone()] };
        let file = directory.join(files[version]);
        std::fs::write(&file, &limits[version]).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        group
    }

    /// A line of shell by which a process enters.
    pub fn enter(&self) -> String {
        let files = self.directories.iter().map(|directory| directory.join("cgroup.procs"));
        files.map(|file| format!("echo $$ > {};", file.display())).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for directory in &self.directories {
            // A process that was just killed may take a moment to leave.
            for _ in 0..100 {
                if std::fs::remove_dir(directory).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
}
