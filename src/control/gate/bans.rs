//! Scanners and password guessers, known by what they do: who is refused too often within a minute is not heard for a
//! while, each time longer.
//!
//! ```text
//!             offence              `after` of them within WINDOW
//!  unknown ───────────► suspect ────────────────────────────────► banned ── its time is over ──► suspect
//!     ▲                    │ quiet for WINDOW                        │ lifted                        │
//!     └────────────────────┴─────────────────────────────────────────┴── quiet for MEMORY ───────────┘
//! ```
//!
//! An address that has shown good credentials, or that we have asked something ourselves, is vouched for: behind it may
//! be an office with one phone whose password is wrong. There each port is judged by itself, and the address never banned
//! as a whole. The addresses of `[identify.*]` and of `exempt` are not judged at all.

use crate::config::settings::Bans as Settings;
use rustc_hash::FxHashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Offences are counted over so long: each is forgotten little by little.
pub const WINDOW: Duration = Duration::from_secs(60);
/// How long a ban is remembered after its end: the next one within it lasts twice as long.
pub const MEMORY: Duration = Duration::from_secs(24 * 3600);
/// No ban is longer.
pub const BAN_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long an address is vouched for after its last good word.
pub const VOUCHED: Duration = Duration::from_secs(3600);
/// Most sources of which something is remembered. Beyond it those that matter least are forgotten.
pub const SOURCES_MAX: usize = 65_536;
/// How often a full table is looked through for what can go.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Whom a ban hits: an address (IPv6: its /64, which is one customer), or one port of a vouched address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Suspect {
    /// All of it.
    Host(IpAddr),
    /// One port.
    Port(SocketAddr),
}

impl std::fmt::Display for Suspect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Suspect::Host(IpAddr::V6(network)) => write!(f, "{network}/64"),
            Suspect::Host(address) => write!(f, "{address}"),
            Suspect::Port(address) => write!(f, "{address}"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Offences, less what time has forgiven since `at`.
    score: f64,
    at: Instant,
    banned: Option<Banned>,
    /// Bans so far.
    times: u32,
}

#[derive(Clone, Copy, Debug)]
struct Banned {
    since: Instant,
    until: Instant,
}

/// A running ban, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whom.
    pub suspect: Suspect,
    /// How long it has run.
    pub age: Duration,
    /// How long it is still to run.
    pub left: Duration,
    /// Which ban of this suspect it is, from 1.
    pub times: u32,
}

/// See the module's comment.
#[derive(Debug)]
pub struct Bans {
    settings: Settings,
    records: FxHashMap<Suspect, Record>,
    banned: usize,
    vouched: FxHashMap<IpAddr, Instant>,
    swept: Option<Instant>,
}

impl Bans {
    /// Nobody is suspected.
    pub fn new(settings: Settings) -> Bans {
        Bans {
            settings,
            records: FxHashMap::default(),
            banned: 0,
            vouched: FxHashMap::default(),
            swept: None,
        }
    }

    /// Takes new settings. Bans go on, but of those who are exempt now.
    pub fn reload(&mut self, settings: Settings) {
        self.settings = settings;
        let exempt = &self.settings.exempt;
        self.records.retain(|suspect, _| {
            let ip = match suspect {
                Suspect::Host(ip) => *ip,
                Suspect::Port(address) => address.ip(),
            };
            !exempt.iter().any(|network| network.contains(&ip))
        });
        self.count_banned();
    }

    /// True if nothing of this peer is to be heard.
    pub fn is_banned(&mut self, now: Instant, peer: SocketAddr) -> bool {
        if self.banned == 0 {
            return false;
        }
        let ip = customer(peer.ip());
        let port = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        self.is_running(now, Suspect::Host(ip)) || self.is_running(now, Suspect::Port(port))
    }

    fn is_running(&mut self, now: Instant, suspect: Suspect) -> bool {
        let Some(record) = self.records.get_mut(&suspect) else {
            return false;
        };
        match record.banned {
            Some(banned) if now < banned.until => true,
            Some(banned) => {
                record.banned = None;
                record.score = 0.0;
                record.at = banned.until;
                self.banned -= 1;
                false
            }
            None => false,
        }
    }

    /// A peer was refused for what it is; `weight` 1 is a whole offence. Returns the ban that begins with it, if one does.
    pub fn offend(&mut self, now: Instant, peer: SocketAddr, weight: f64) -> Option<Ban> {
        let ip = peer.ip().to_canonical();
        let is_exempt = self.settings.exempt.iter().any(|net| net.contains(&ip));
        if self.settings.after == 0 || is_exempt {
            return None;
        }
        let suspect = if self.is_vouched(now, ip) {
            Suspect::Port(SocketAddr::new(ip, peer.port()))
        } else {
            Suspect::Host(customer(ip))
        };
        self.make_room(now);
        if self.records.len() >= SOURCES_MAX && !self.records.contains_key(&suspect) {
            return None;
        }
        let after = f64::from(self.settings.after);
        let record = self.records.entry(suspect).or_insert(Record {
            score: 0.0,
            at: now,
            banned: None,
            times: 0,
        });
        if record.banned.is_some() {
            return None;
        }
        record.score = record.score_at(now, after) + weight;
        record.at = now;
        // A thousandth is forgiven: the sum of many small weights is not exact.
        if record.score < after - 0.001 {
            return None;
        }
        let time = self.settings.time * 2_u32.saturating_pow(record.times.min(16));
        let time = time.min(BAN_MAX);
        record.times += 1;
        record.banned = Some(Banned {
            since: now,
            until: now + time,
        });
        self.banned += 1;
        Some(Ban {
            suspect,
            age: Duration::ZERO,
            left: time,
            times: record.times,
        })
    }

    /// This address has proved itself, or we speak to it by our own will.
    pub fn vouch(&mut self, now: Instant, ip: IpAddr) {
        let ip = ip.to_canonical();
        if self.vouched.len() >= SOURCES_MAX && !self.vouched.contains_key(&ip) {
            self.make_room(now);
            if self.vouched.len() >= SOURCES_MAX {
                return;
            }
        }
        self.vouched.insert(ip, now + VOUCHED);
    }

    /// True if this address is vouched for.
    pub fn is_vouched(&self, now: Instant, ip: IpAddr) -> bool {
        let until = self.vouched.get(&ip.to_canonical());
        until.is_some_and(|until| now < *until)
    }

    /// The running bans, those that end last first.
    pub fn rows(&self, now: Instant) -> Vec<Ban> {
        let mut rows: Vec<Ban> = self
            .records
            .iter()
            .filter_map(|(suspect, record)| {
                let banned = record.banned.filter(|banned| now < banned.until)?;
                Some(Ban {
                    suspect: *suspect,
                    age: now.saturating_duration_since(banned.since),
                    left: banned.until.saturating_duration_since(now),
                    times: record.times,
                })
            })
            .collect();
        rows.sort_by_key(|ban| std::cmp::Reverse((ban.left, ban.suspect.to_string())));
        rows
    }

    /// Lifts every ban of an address and its ports; they begin anew. False if there is none.
    pub fn lift(&mut self, ip: IpAddr) -> bool {
        let before = self.records.len();
        let host = customer(ip);
        self.records.retain(|suspect, _| match suspect {
            Suspect::Host(banned) => *banned != host,
            Suspect::Port(banned) => customer(banned.ip()) != host,
        });
        self.count_banned();
        self.records.len() != before
    }

    /// Forgets what says nothing any more, once a second at most while a table is full.
    fn make_room(&mut self, now: Instant) {
        let is_full = self.records.len() >= SOURCES_MAX || self.vouched.len() >= SOURCES_MAX;
        let is_due = self
            .swept
            .is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP_INTERVAL);
        if !is_full || !is_due {
            return;
        }
        self.swept = Some(now);
        self.vouched.retain(|_, until| now < *until);
        self.records.retain(|_, record| !record.is_spent(now));
        if self.records.len() >= SOURCES_MAX {
            // A flood from many addresses: suspects give way to more of them, bans do not.
            self.records.retain(|_, record| record.banned.is_some());
        }
        self.count_banned();
    }

    fn count_banned(&mut self) {
        let records = self.records.values();
        self.banned = records.filter(|record| record.banned.is_some()).count();
    }
}

impl Record {
    /// What is left of the score: WINDOW forgives as many offences as lead to a ban.
    fn score_at(&self, now: Instant, after: f64) -> f64 {
        let quiet = now.saturating_duration_since(self.at);
        let forgiven = after * quiet.as_secs_f64() / WINDOW.as_secs_f64();
        (self.score - forgiven).max(0.0)
    }

    /// True if it would change nothing to forget it.
    fn is_spent(&self, now: Instant) -> bool {
        let memory = if self.times > 0 { MEMORY } else { WINDOW };
        let end = self.banned.map_or(self.at, |banned| banned.until);
        now.saturating_duration_since(end) >= memory
    }
}

/// An address as one customer of the network: all of it for IPv4, its /64 for IPv6.
fn customer(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let network = u128::from(ip) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bans() -> Bans {
        Bans::new(Settings {
            after: 10,
            time: 300 * SECOND,
            exempt: vec!["127.0.0.0/8".parse().expect("a network")],
        })
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// Offends until banned; the offences that it took.
    fn offend_until_banned(bans: &mut Bans, now: Instant, peer: SocketAddr) -> u32 {
        (1..=1000)
            .find(|_| bans.offend(now, peer, 1.0).is_some())
            .expect("a ban")
    }

    #[test]
    fn ten_offences_ban_for_five_minutes_and_again_for_ten() {
        let (mut bans, start) = (bans(), Instant::now());
        let scanner = peer("203.0.113.66:5060");
        assert_eq!(offend_until_banned(&mut bans, start, scanner), 10);
        // From any of its ports, and nobody else.
        assert!(bans.is_banned(start + 299 * SECOND, peer("203.0.113.66:9")));
        assert!(!bans.is_banned(start, peer("203.0.113.67:5060")));
        let then = start + 300 * SECOND;
        assert!(!bans.is_banned(then, scanner));
        assert_eq!(offend_until_banned(&mut bans, then, scanner), 10);
        assert!(bans.is_banned(then + 599 * SECOND, scanner));
        assert!(!bans.is_banned(then + 600 * SECOND, scanner));
    }

    #[test]
    fn who_offends_seldom_is_never_banned() {
        let (mut bans, start) = (bans(), Instant::now());
        let phone = peer("198.51.100.7:5060");
        let seldom =
            (0..10_000).find(|n| bans.offend(start + *n * 7 * SECOND, phone, 1.0).is_some());
        assert_eq!(seldom, None);
    }

    #[test]
    fn an_office_with_one_wrong_phone_goes_on() {
        let (mut bans, now) = (bans(), Instant::now());
        bans.vouch(now, peer("198.51.100.7:1").ip());
        let (wrong, good) = (peer("198.51.100.7:40000"), peer("198.51.100.7:40001"));
        offend_until_banned(&mut bans, now, wrong);
        assert!(bans.is_banned(now, wrong));
        assert!(!bans.is_banned(now, good));
        assert_eq!(bans.rows(now)[0].suspect, Suspect::Port(wrong));
    }

    #[test]
    fn a_ban_is_listed_and_lifted() {
        let (mut bans, now) = (bans(), Instant::now());
        let scanner = peer("[2001:db8:1:2:3::4]:5060");
        offend_until_banned(&mut bans, now, scanner);
        let neighbour = peer("[2001:db8:1:2::9]:5060");
        assert!(bans.is_banned(now, neighbour));
        let rows = bans.rows(now + 100 * SECOND);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].suspect.to_string(), "2001:db8:1:2::/64");
        assert_eq!((rows[0].age, rows[0].left), (100 * SECOND, 200 * SECOND));
        assert!(bans.lift(neighbour.ip()));
        assert!(!bans.lift(neighbour.ip()));
        assert!(!bans.is_banned(now, scanner));
        assert!(bans.rows(now).is_empty());
    }

    #[test]
    fn the_exempt_and_a_reload_that_exempts() {
        let (mut bans, now) = (bans(), Instant::now());
        let loopback = peer("127.0.0.9:5060");
        assert!((0..1000).all(|_| bans.offend(now, loopback, 1.0).is_none()));
        let scanner = peer("203.0.113.66:5060");
        offend_until_banned(&mut bans, now, scanner);
        bans.reload(Settings {
            after: 10,
            time: SECOND,
            exempt: vec!["203.0.113.0/24".parse().expect("a network")],
        });
        assert!(!bans.is_banned(now, scanner));
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded_and_keeps_the_bans() {
        let (mut bans, start) = (bans(), Instant::now());
        let scanner = peer("203.0.113.66:5060");
        offend_until_banned(&mut bans, start, scanner);
        for number in 0..200_000_u32 {
            let now = start + Duration::from_micros(u64::from(number) * 20);
            let ip = IpAddr::from((0x0a00_0000 + number).to_be_bytes());
            bans.offend(now, SocketAddr::new(ip, 5060), 1.0);
            bans.vouch(now, ip);
            assert!(bans.records.len() <= SOURCES_MAX && bans.vouched.len() <= SOURCES_MAX);
        }
        assert!(bans.is_banned(start + 4 * SECOND, scanner));
    }
}
