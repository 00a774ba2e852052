//! A progress bar on a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

/// A bar that is redrawn in its place on stderr.
#[derive(Debug)]
pub(super) struct Bar(ProgressBar);

impl Bar {
    /// Makes a bar of `total` units; `None` where stderr is no terminal.
    pub(super) fn on_terminal(what: &str, total: u64) -> Option<Self> {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        // A template that does not parse could only be a bug here; the plain bar will do then.
        let style = ProgressStyle::with_template("{prefix} [{bar:24}] {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let styled = |bar: ProgressBar| {
            Self(bar.with_style(style).with_prefix(what.to_string()).with_finish(ProgressFinish::Abandon))
        };
        (!bar.is_hidden()).then_some(bar).map(styled)
    }

    pub(super) fn show(&self, done: u64, status: String) {
        self.0.set_position(done);
        self.0.set_message(status);
    }

    /// Hides the bar while `work` runs, so that `work` may print.
    pub(super) fn suspend<R>(&self, work: impl FnOnce() -> R) -> R {
        self.0.suspend(work)
    }

    /// Ends the bar, and leaves it on the terminal as it is.
    pub(super) fn finish(&self) {
        self.0.abandon();
    }
}
