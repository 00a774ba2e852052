//! Free space on the disk, checked before work and named in errors.

use std::io;
use std::path::Path;

use crate::error::{Error, Result};

/// Returns the free bytes on the file system of this folder; `None` where they are unknown.
fn free(folder: &Path) -> Option<u64> {
    let of_file_system = fs4::statvfs(folder).ok().filter(|stats| stats.total_space() > 0)?;
    Some(of_file_system.available_space())
}

/// Makes sure that `needed` bytes can be written in this folder; `what` names them in the error.
///
/// # Errors
/// [`Error::Failed`] with the numbers of needed and of free bytes.
pub(crate) fn demand(folder: &Path, needed: u64, what: &str) -> Result<()> {
    match free(folder) {
        Some(free) if free < needed => {
            let text = format!("{what} take {}, and {} are free in {}", size(needed), size(free), folder.display());
            Err(Error::failed(text, "free some disk space, or choose another place with --run"))
        }
        _ => Ok(()),
    }
}

/// Adds to an error that a full disk caused the size of what was to be written, if that is known, and the free
/// space; returns other errors unchanged.
pub(crate) fn with_numbers(source: io::Error, folder: &Path, needed: Option<u64>) -> io::Error {
    match source.kind() {
        kind @ (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            let takes = needed.map(|needed| format!("it takes {}", size(needed)));
            let free = free(folder).map(|free| format!("{} are free", size(free)));
            let numbers: Vec<String> = takes.into_iter().chain(free).collect();
            io::Error::new(kind, format!("{source}; {}", numbers.join(", and ")))
        }
        _ => source,
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..100_000 => format!("{bytes} bytes"),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        demand(folder.path(), 1, "checkpoints").unwrap();
        let refusal = demand(folder.path(), u64::MAX, "checkpoints").unwrap_err();
        assert!(refusal.to_string().starts_with("checkpoints take 18446744073709.6 MB, and "), "{refusal}");
        assert_eq!(refusal.exit_code(), 1);
        demand(&folder.path().join("not there"), u64::MAX, "checkpoints").unwrap();
    }

    #[test]
    fn only_a_full_disk_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let explained = |kind: io::ErrorKind| with_numbers(kind.into(), folder.path(), Some(51_300_000));
        let full = explained(io::ErrorKind::StorageFull);
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(full.to_string().contains("; it takes 51.3 MB, and "), "{full}");
        let unknown = with_numbers(io::ErrorKind::StorageFull.into(), folder.path(), None).to_string();
        assert!(!unknown.contains("takes") && unknown.ends_with(" are free"), "{unknown}");
        assert_eq!([size(412), size(51_312_000)], ["412 bytes", "51.3 MB"]);
        assert_eq!(explained(io::ErrorKind::PermissionDenied).to_string(), "permission denied");
    }
}
