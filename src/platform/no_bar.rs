//! A stand-in for the progress bar in builds without the feature `cli`, which show progress in lines.

/// A bar that cannot be made.
#[derive(Debug)]
pub(super) enum Bar {}

impl Bar {
    pub(super) fn on_terminal(_what: &str, _total: u64) -> Option<Self> {
        None
    }

    pub(super) fn show(&self, _done: u64, _status: String) {
        match *self {}
    }

    pub(super) fn suspend<R>(&self, _work: impl FnOnce() -> R) -> R {
        match *self {}
    }

    pub(super) fn finish(&self) {
        match *self {}
    }
}
