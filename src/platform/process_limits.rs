//! Limits of the operating system on this process (`ulimit`), known on Linux only.

use std::fs::read_to_string;

/// Returns the number of files that may be open at once; `None` where it is unlimited or unknown.
#[cfg(feature = "web")]
pub(crate) fn open_files() -> Option<u64> {
    limit("Max open files", &read_to_string("/proc/self/limits").ok()?)
}

/// Returns the bytes of the limit on the address space that are not in use; `None` where there is no limit.
/// Address space that is only reserved counts as not in use.
pub(crate) fn address_space_left() -> Option<u64> {
    let limit = limit("Max address space", &read_to_string("/proc/self/limits").ok()?)?;
    Some(limit.saturating_sub(in_use(&read_to_string("/proc/self/status").ok()?)?))
}

/// Returns the soft limit, which is in force; `None` if it is `unlimited`.
fn limit(name: &str, limits: &str) -> Option<u64> {
    let numbers = limits.lines().find_map(|line| line.strip_prefix(name))?;
    numbers.split_whitespace().next()?.parse().ok()
}

/// Returns the resident memory of the process, in bytes.
fn in_use(status: &str) -> Option<u64> {
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(1024 * kilobytes.split_whitespace().next()?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_linux_writes_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 1048576              files     \n\
                      Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!((limit("Max open files", limits), limit("Max address space", limits)), (Some(1024), None));
        let status = "Name:\tpreftune\nVmSize:\t  900000 kB\nVmRSS:\t   79244 kB\n";
        assert_eq!(in_use(status), Some(79_244 * 1024));
        assert_eq!(cfg!(target_os = "linux"), open_files().is_some());
    }
}
