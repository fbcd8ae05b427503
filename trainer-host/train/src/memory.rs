//! The process's memory, where the system tells.

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

/// Resident memory now, in bytes. Linux only.
pub fn resident_bytes() -> Option<u64> {
    status("VmRSS:")
}

fn status(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_peak_is_there_and_not_nothing() {
        assert!(super::peak_bytes().unwrap() >= super::resident_bytes().unwrap());
        assert!(super::resident_bytes().unwrap() > 1 << 20);
    }
}
