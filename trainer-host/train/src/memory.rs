//! The memory of the process and of the machine, where the system tells: Linux.

use std::fmt;
use std::fs::{File, read_to_string};
use std::io::Read;
use std::path::Path;
use std::sync::Mutex;

static EXPECTED: Mutex<Option<String>> = Mutex::new(None);

/// Remembers what is about to be needed, for the message where it is not there; none forgets it.
pub fn expect(estimate: Option<String>) {
    if let Ok(mut expected) = EXPECTED.lock() {
        *expected = estimate;
    }
}

/// Tells what was expected last. Neither waits nor allocates: whoever asks has been given no memory.
pub fn tell_expected(tell: impl FnOnce(&str)) {
    if let Ok(Some(expected)) = EXPECTED.try_lock().as_deref() {
        tell(expected);
    }
}

/// Bytes in words, such as `1.41 GB`.
#[derive(Clone, Copy, Debug)]
pub struct Gigabytes(pub u64);

impl fmt::Display for Gigabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000_000 => write!(f, "{:.1} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", bytes / 1e6),
            _ => write!(f, "{:.2} GB", bytes / 1e9),
        }
    }
}

/// Starts a new peak at what is resident now, so that one run's peak is not another's. Linux only.
pub fn reset_peak() {
    if cfg!(target_os = "linux") {
        // Refused in some containers; then the peak is that of the whole process.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
    }
}

/// Largest resident memory since [`reset_peak`], in bytes. Linux only.
pub fn peak_bytes() -> Option<u64> {
    status("VmHWM:")
}

/// Resident memory now, in bytes; found without an allocation. Linux only.
pub fn resident_bytes() -> Option<u64> {
    status("VmRSS:")
}

/// A number of this process's, in bytes.
fn status(key: &str) -> Option<u64> {
    // Memory is told of in the first half of it.
    let mut buffer = [0; 4096];
    let count = File::open("/proc/self/status").ok()?.read(&mut buffer).ok()?;
    let text = buffer[..count].utf8_chunks().next()?.valid();
    kilobytes(text, key)
}

/// Bytes that the process can still have: what the machine has free, within the limits of its control group and of its
/// address space. Linux only.
pub fn available() -> Option<u64> {
    let free = kilobytes(&read_to_string("/proc/meminfo").ok()?, "MemAvailable:");
    [free, left_in_group(), left_of_addresses()].into_iter().flatten().min()
}

/// Bytes of memory and swap space that the machine has in all. Linux only.
pub fn installed() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    Some(kilobytes(&text, "MemTotal:")? + kilobytes(&text, "SwapTotal:").unwrap_or(0))
}

/// Bytes that `ulimit -v` leaves.
fn left_of_addresses() -> Option<u64> {
    let limits = read_to_string("/proc/self/limits").ok()?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = limit.split_whitespace().next()?.parse().ok()?;
    let used = status("VmSize:")?;
    Some(limit.saturating_sub(used))
}

/// Bytes that the memory limits of the control groups around this process leave, as containers and schedulers set them.
fn left_in_group() -> Option<u64> {
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    let left = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (root, limit, used) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max", "memory.current"),
            all if all.split(',').any(|one| one == "memory") => (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
            ),
            _ => return None,
        };
        // In a container the path may be that of the host, and only the root be there.
        let path = Path::new(path.trim_start_matches('/'));
        let folders = path.ancestors().map(|group| Path::new(root).join(group));
        folders.filter_map(|folder| left_in(&folder, limit, used)).min()
    });
    left.min()
}

/// A group's limit less what is used, the cache of files not counted, which makes way.
fn left_in(folder: &Path, limit: &str, used: &str) -> Option<u64> {
    let number = |file: &str| read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    let stat = read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let cached = ["inactive_file ", "total_inactive_file "].iter().find_map(|key| {
        stat.lines()
            .find_map(|line| line.strip_prefix(key)?.parse::<u64>().ok())
    });
    let used = number(used)?.saturating_sub(cached.unwrap_or(0));
    Some(number(limit)?.saturating_sub(used))
}

/// The bytes of a line such as `VmHWM:  1024 kB`.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_there_and_not_nothing() {
        let (resident, peak) = (resident_bytes().unwrap(), peak_bytes().unwrap());
        // Other tests come and go meanwhile.
        assert!(
            resident > 1 << 20 && peak + (256 << 20) > resident,
            "{resident}, {peak}"
        );
    }

    #[test]
    fn there_is_memory_left_and_less_than_the_machine_has() {
        let total = kilobytes(&read_to_string("/proc/meminfo").unwrap(), "MemTotal:").unwrap();
        let left = available().unwrap();
        assert!(left > 1 << 20 && left < total, "{left} of {total}");
    }

    #[test]
    fn a_group_has_its_limit_less_what_is_used_and_not_cached() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| std::fs::write(folder.path().join(file), text).unwrap();
        let left = || left_in(folder.path(), "memory.max", "memory.current");
        assert_eq!(left(), None);
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(left(), None);
        write("memory.max", "1000\n");
        assert_eq!(left(), Some(300));
        write("memory.stat", "anon 400\ninactive_file 200\n");
        assert_eq!(left(), Some(500));
        write("memory.current", "5000\n");
        assert_eq!(left(), Some(0));
    }
}
