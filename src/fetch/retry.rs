//! Further attempts after an error: their number, and the pauses between them.

use std::time::Duration;

use super::fetch_error::FetchError;
use super::http::Client;
use super::waiting::sleep;

/// Largest number of attempts in a row that bring no bytes.
pub(super) const ATTEMPTS: u32 = 5;

/// Longest pause before another attempt, even if the server asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Counter of attempts that brought nothing, with the pauses between them.
pub(super) struct Retries<'a> {
    client: &'a Client,
    attempts: u32,
    in_vain: u32,
}

impl<'a> Retries<'a> {
    /// Returns a counter that gives up after `attempts` attempts in a row that bring nothing.
    pub(super) fn new(client: &'a Client, attempts: u32) -> Self {
        Self { client, attempts, in_vain: 0 }
    }

    /// Waits until it is time to try again. `gained` says whether the attempt brought any bytes.
    ///
    /// # Errors
    /// Returns `trouble` if another attempt would not help or if there were enough of them.
    pub(super) fn pause(&mut self, trouble: FetchError, gained: bool) -> Result<(), FetchError> {
        let FetchError::Passing { what, retry_after } = trouble else { return Err(trouble) };
        self.in_vain = if gained { 1 } else { self.in_vain + 1 };
        if self.in_vain >= self.attempts {
            let times = if self.attempts > 1 { format!(", {} times in a row", self.attempts) } else { String::new() };
            return Err(FetchError::passing(format!("{what}{times}")));
        }
        let pause = pause(self.client.first_pause, self.in_vain, retry_after);
        tracing::warn!("{what}; trying again in {:.1} s", pause.as_secs_f64());
        sleep(pause, &self.client.interrupt)
    }
}

/// Repeats `work` until it succeeds, fails for good, or has failed `attempts` times.
pub(super) fn retried<T>(
    client: &Client,
    attempts: u32,
    mut work: impl FnMut() -> Result<T, FetchError>,
) -> Result<T, FetchError> {
    let mut retries = Retries::new(client, attempts);
    loop {
        match work() {
            Ok(done) => return Ok(done),
            Err(trouble) => retries.pause(trouble, false)?,
        }
    }
}

/// Returns the next pause, which is twice the one before and at least what the server asked for.
fn pause(first: Duration, in_vain: u32, retry_after: Option<Duration>) -> Duration {
    let doubled = first.saturating_mul(1 << in_vain.saturating_sub(1).min(16));
    doubled.max(retry_after.unwrap_or_default()).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_servers_may_ask_for_longer_ones() {
        let secs = Duration::from_secs;
        assert_eq!([1, 2, 3, 4].map(|in_vain| pause(secs(1), in_vain, None)), [1, 2, 4, 8].map(secs));
        assert_eq!(pause(secs(1), 1, Some(secs(7))), secs(7));
        assert_eq!(pause(secs(1), 1, Some(secs(3600))), LONGEST_PAUSE);
        assert_eq!(pause(secs(1), 40, None), LONGEST_PAUSE);
    }
}
