//! What the system says of this process and of its disk. A reading that the system refuses is left out, not invented.

use std::fs;
use std::path::Path;

/// Readings of one instant.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Memory that is resident.
    pub(super) resident_bytes: Option<u64>,
    /// What was sent to storage for this process since its start.
    pub(super) written_bytes: Option<u64>,
    /// What an ordinary user may still write where the state lies.
    pub(super) disk_free_bytes: Option<u64>,
}

impl Host {
    pub(super) fn read(state_dir: &Path) -> Host {
        Host {
            // proc_pid_status(5): in kB, which are KiB.
            resident_bytes: field("/proc/self/status", "VmRSS:").map(|kib| kib * 1_024),
            written_bytes: field("/proc/self/io", "write_bytes:"),
            disk_free_bytes: rustix::fs::statvfs(state_dir)
                .ok()
                .map(|disk| disk.f_bavail * disk.f_frsize),
        }
    }
}

/// The number behind `name` in a file of lines `name number [unit]`.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_disk() {
        let host = Host::read(Path::new("/"));
        assert!(host.resident_bytes.unwrap() > 1 << 20);
        assert!(host.disk_free_bytes.is_some());
        assert_eq!(field("/proc/self/status", "NoSuchField:"), None);
    }
}
