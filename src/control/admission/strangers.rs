//! Which refused sources were logged lately: a scanner that knocks a thousand times a second gets a line a minute.

use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a source is not logged again, where nothing else is said.
const QUIET: Duration = Duration::from_secs(60);
/// Most sources remembered; beyond it all are forgotten, and no more than so many lines in that time are written.
const SOURCES_MAX: usize = 1024;

/// See the module's comment.
#[derive(Debug)]
pub struct Strangers {
    quiet: Duration,
    logged: FxHashMap<IpAddr, Instant>,
    full_until: Option<Instant>,
}

impl Default for Strangers {
    /// A line a minute.
    fn default() -> Strangers {
        Strangers::every(QUIET)
    }
}

impl Strangers {
    /// A source is news again after `quiet`.
    pub fn every(quiet: Duration) -> Strangers {
        Strangers {
            quiet,
            logged: FxHashMap::default(),
            full_until: None,
        }
    }

    /// True if this source is to be logged now.
    pub fn is_news(&mut self, now: Instant, source: IpAddr) -> bool {
        if let Some(then) = self.logged.get(&source)
            && now.saturating_duration_since(*then) < self.quiet
        {
            return false;
        }
        if self.full_until.is_some_and(|until| now < until) {
            return false;
        }
        if self.logged.len() >= SOURCES_MAX {
            self.logged.clear();
            self.full_until = Some(now + self.quiet);
        }
        self.logged.insert(source, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_news_once_a_minute_and_a_flood_is_bounded() {
        let start = Instant::now();
        let mut strangers = Strangers::default();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        assert!(strangers.is_news(start, address(1)));
        assert!(!strangers.is_news(start, address(1)));
        assert!(strangers.is_news(start + QUIET, address(1)));
        let lines = (0..100_000).filter(|number| strangers.is_news(start, address(*number)));
        assert!(lines.count() <= SOURCES_MAX + 1);
    }
}
