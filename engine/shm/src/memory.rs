//! How much memory there is to take, asked before taking it.
//!
//! `fallocate` on a memfd goes on until the machine has no page left and the kernel kills somebody;
//! it is no test of whether there is room. So the room is looked up first: `MemAvailable` of
//! `/proc/meminfo`, and the limits of the control groups that we are in. Between look and take others
//! may take memory too; the margin is for them.

use std::fs;
use std::path::{Path, PathBuf};

/// Left for others, at most: a sixteenth of what there is, or this.
const MARGIN: u64 = 64 << 20;

/// Whether `bytes` more can be taken now. Where the system does not say what there is, yes.
pub(crate) fn room_for(bytes: u64) -> bool {
    available().is_none_or(|available| fits(bytes, available))
}

fn fits(bytes: u64, available: u64) -> bool {
    bytes <= available - MARGIN.min(available / 16)
}

/// Bytes that can be taken without pushing anybody out.
fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|t| mem_available(&t));
    let groups = fs::read_to_string("/proc/self/cgroup").ok();
    let group = groups.and_then(|t| group_room(&t, Path::new("/sys/fs/cgroup")));
    match (machine, group) {
        (Some(m), Some(g)) => Some(m.min(g)),
        (m, g) => m.or(g),
    }
}

fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The least room in our control group (version 2, else version 1's memory controller) and those
/// around it; page cache that could be dropped counts as room.
fn group_room(cgroup: &str, root: &Path) -> Option<u64> {
    cgroup
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let (base, files) = if controllers.is_empty() {
                (root.to_path_buf(), ["memory.max", "memory.current", "inactive_file"])
            } else if controllers.split(',').any(|c| c == "memory") {
                let files =
                    ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"];
                (root.join("memory"), files)
            } else {
                return None;
            };
            let own: PathBuf = base.join(path.trim_start_matches('/'));
            own.ancestors()
                .take_while(|p| p.starts_with(&base))
                .filter_map(|p| room(p, files))
                .min()
        })
        .min()
}

fn room(group: &Path, [limit, usage, cache]: [&str; 3]) -> Option<u64> {
    let number = |name| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number(limit)?;
    let used = number(usage)?;
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|l| l.strip_prefix(cache)?.trim().parse::<u64>().ok());
    Some(limit.saturating_sub(used.saturating_sub(cache.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_some_but_not_an_exbibyte() {
        assert!(room_for(PAGES));
        assert!(!room_for(1 << 60));
        assert!(!room_for(u64::MAX));
    }

    const PAGES: u64 = 1 << 16;

    #[test]
    fn the_margin_is_left() {
        assert!(fits(15, 16));
        assert!(!fits(16, 16));
        assert!(fits(0, 0));
        assert!(fits((1 << 40) - MARGIN, 1 << 40));
        assert!(!fits((1 << 40) - MARGIN + 1, 1 << 40));
    }

    #[test]
    fn meminfo_is_read_in_kilobytes() {
        assert_eq!(mem_available("MemTotal: 9 kB\nMemAvailable:   24312 kB\n"), Some(24312 << 10));
        assert_eq!(mem_available("MemTotal: 9 kB\n"), None);
        assert_eq!(mem_available("MemAvailable: many kB\n"), None);
    }

    #[test]
    fn the_tightest_group_around_us_counts() {
        let root = std::env::temp_dir().join(format!("shmirror-groups-{}", std::process::id()));
        let inner = root.join("a/b");
        fs::create_dir_all(&inner).expect("a temporary directory");
        let write = |p: &Path, name: &str, text: &str| {
            fs::write(p.join(name), text).expect("a temporary file");
        };
        write(&inner, "memory.max", "max\n");
        write(&inner, "memory.current", "5\n");
        assert_eq!(group_room("0::/a/b\n", &root), None);
        write(&root.join("a"), "memory.max", "1000\n");
        write(&root.join("a"), "memory.current", "700\n");
        write(&root.join("a"), "memory.stat", "anon 1\ninactive_file 100\n");
        assert_eq!(group_room("4:cpu:/x\n0::/a/b\n", &root), Some(400));
        write(&inner, "memory.max", "105\n");
        assert_eq!(group_room("0::/a/b\n", &root), Some(100));
        fs::remove_dir_all(&root).expect("our own directory");
    }
}
