//! Host names that calls go to, and their addresses for a while.

use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long an address is believed. Fixed, since the look-up tells no time to live.
pub const TTL: Duration = Duration::from_secs(60);
/// How long a name that has no address is not asked for again.
pub const TTL_UNKNOWN: Duration = Duration::from_secs(5);
/// How long an answer is waited for.
pub const WAIT_MAX: Duration = Duration::from_secs(5);
/// Most names kept. Beyond it those that are old go; if none is, a further name is as if unknown.
pub const HOSTS_MAX: usize = 4096;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Its addresses, at least one.
    Known(Vec<IpAddr>),
    /// Asked for; the answer comes later. `ask` says that this caller is the first, and has to ask.
    Pending {
        /// Emit the question.
        ask: bool,
    },
    /// It has none, or the table is full.
    Unknown,
}

#[derive(Debug)]
enum Entry<W> {
    Asked {
        until: Instant,
        waiting: Vec<W>,
    },
    Answered {
        until: Instant,
        addresses: Vec<IpAddr>,
    },
}

impl<W> Entry<W> {
    fn until(&self) -> Instant {
        match self {
            Entry::Asked { until, .. } | Entry::Answered { until, .. } => *until,
        }
    }
}

/// Names, and who waits for them (`W`).
#[derive(Debug)]
pub struct Hosts<W> {
    entries: FxHashMap<String, Entry<W>>,
}

impl<W> Default for Hosts<W> {
    fn default() -> Self {
        Hosts {
            entries: FxHashMap::default(),
        }
    }
}

impl<W> Hosts<W> {
    /// Looks a name up; where the answer is still to come, `waiter` is given back with it by [`Hosts::answer`].
    pub fn look_up(&mut self, now: Instant, host: &str, waiter: W) -> Lookup {
        match self.entries.get_mut(host) {
            Some(entry) if entry.until() <= now => {}
            Some(Entry::Asked { waiting, .. }) => {
                waiting.push(waiter);
                return Lookup::Pending { ask: false };
            }
            Some(Entry::Answered { addresses, .. }) if addresses.is_empty() => {
                return Lookup::Unknown;
            }
            Some(Entry::Answered { addresses, .. }) => return Lookup::Known(addresses.clone()),
            None => {}
        }
        if self.entries.len() >= HOSTS_MAX {
            self.entries.retain(|_, entry| entry.until() > now);
        }
        if self.entries.len() >= HOSTS_MAX {
            return Lookup::Unknown;
        }
        let asked = Entry::Asked {
            until: now + WAIT_MAX,
            waiting: vec![waiter],
        };
        self.entries.insert(host.to_owned(), asked);
        Lookup::Pending { ask: true }
    }

    /// Takes an answer; gives back those who wait for it.
    pub fn answer(&mut self, now: Instant, host: &str, addresses: &[IpAddr]) -> Vec<W> {
        let ttl = if addresses.is_empty() {
            TTL_UNKNOWN
        } else {
            TTL
        };
        let answered = Entry::Answered {
            until: now + ttl,
            addresses: addresses.to_vec(),
        };
        match self.entries.get_mut(host) {
            Some(entry) => match std::mem::replace(entry, answered) {
                Entry::Asked { waiting, .. } => waiting,
                Entry::Answered { .. } => Vec::new(),
            },
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_asked_once_believed_for_a_while_and_asked_again() {
        let start = Instant::now();
        let address = IpAddr::from([192, 0, 2, 1]);
        let mut hosts = Hosts::default();
        let host = "pbx.example.com";
        assert_eq!(hosts.look_up(start, host, 1), Lookup::Pending { ask: true });
        assert_eq!(
            hosts.look_up(start, host, 2),
            Lookup::Pending { ask: false }
        );
        assert_eq!(hosts.answer(start, host, &[address]), [1, 2]);
        assert_eq!(hosts.answer(start, host, &[address]), [0; 0]);
        assert_eq!(hosts.look_up(start, host, 3), Lookup::Known(vec![address]));
        assert_eq!(
            hosts.look_up(start + TTL, host, 4),
            Lookup::Pending { ask: true }
        );
        assert_eq!(hosts.answer(start + TTL, host, &[]), [4]);
        assert_eq!(hosts.look_up(start + TTL, host, 5), Lookup::Unknown);
    }

    #[test]
    fn the_table_is_bounded_and_old_names_make_room() {
        let start = Instant::now();
        let mut hosts = Hosts::default();
        for number in 0..HOSTS_MAX {
            hosts.look_up(start, &format!("host{number}.example.com"), ());
        }
        assert_eq!(
            hosts.look_up(start, "more.example.com", ()),
            Lookup::Unknown
        );
        assert_eq!(
            hosts.look_up(start + WAIT_MAX, "more.example.com", ()),
            Lookup::Pending { ask: true }
        );
    }
}
