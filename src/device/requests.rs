//! Counts of the host's requests to a device. On a graphics adapter each request takes time, however little it
//! computes.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

static READBACKS: AtomicU64 = AtomicU64::new(0);

/// Numbers of requests to a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Kernels sent to a graphics adapter; none on a CPU.
    pub dispatches: u64,
    /// Reads from a device, each of which waits until everything that it reads is computed.
    pub readbacks: u64,
}

impl Requests {
    /// Adds `other`, multiplied by `times`.
    #[must_use]
    pub fn plus(self, other: Self, times: u64) -> Self {
        Self {
            dispatches: self.dispatches + times * other.dispatches,
            readbacks: self.readbacks + times * other.readbacks,
        }
    }

    /// Divides the numbers by `parts`, rounded up.
    #[must_use]
    pub fn each_of(self, parts: usize) -> Self {
        let parts = parts.max(1) as u64;
        Self { dispatches: self.dispatches.div_ceil(parts), readbacks: self.readbacks.div_ceil(parts) }
    }

    /// Subtracts the numbers of `other`, down to 0 at least.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self {
            dispatches: self.dispatches.saturating_sub(other.dispatches),
            readbacks: self.readbacks.saturating_sub(other.readbacks),
        }
    }
}

pub(super) fn count_readback() {
    READBACKS.fetch_add(1, Ordering::Relaxed);
}

/// Does `work`, and counts the requests of this process to its devices meanwhile.
pub fn count_requests<T>(work: impl FnOnce() -> T) -> (T, Requests) {
    let readbacks_before = READBACKS.load(Ordering::Relaxed);
    let (done, dispatches) = count_dispatches(work);
    (done, Requests { dispatches, readbacks: READBACKS.load(Ordering::Relaxed) - readbacks_before })
}

#[cfg(feature = "wgpu")]
fn count_dispatches<T>(work: impl FnOnce() -> T) -> (T, u64) {
    use std::sync::Arc;

    use burn_cubecl::cubecl::logging::{LaunchObservation, LaunchObserver};

    #[derive(Default)]
    struct Counter(AtomicU64);

    impl LaunchObserver for Counter {
        fn launched(&self, _kernel: &'static str) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    let counter = Arc::new(Counter::default());
    let observation = LaunchObservation::new(counter.clone());
    let done = work();
    drop(observation);
    (done, counter.0.load(Ordering::Relaxed))
}

#[cfg(not(feature = "wgpu"))]
fn count_dispatches<T>(work: impl FnOnce() -> T) -> (T, u64) {
    (work(), 0)
}
