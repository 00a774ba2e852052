//! Panics of a library, caught without output on stderr: the caller reports the error.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Returns the result of `work`, or `None` if it panicked. The values that `work` changed must not be used
/// after a panic.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                print(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    IS_QUIET.set(false);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_others_stay_loud() {
        let quiet = caught(|| {
            assert!(IS_QUIET.get());
            panic!("of a library");
        });
        assert_eq!(quiet, None::<()>);
        assert!(!IS_QUIET.get());
        assert_eq!(caught(|| 3), Some(3));
    }
}
