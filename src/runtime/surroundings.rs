//! What the controller asks of this machine at once: its address towards a peer, and the time of day.

use super::state_directory;
use crate::config::Settings;
use crate::control::controller::Surroundings;
use ring::rand::{SecureRandom, SystemRandom};
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most peers whose answer is remembered; beyond it all are forgotten and asked anew.
const CACHE_MAX: usize = 1024;
/// How long an answer holds. Routes change seldom, but they do.
const CACHE_TIME: Duration = Duration::from_secs(10);

/// This machine.
#[derive(Debug, Default)]
pub struct Machine {
    sources: RefCell<FxHashMap<IpAddr, (Instant, Option<IpAddr>)>>,
}

impl Surroundings for Machine {
    fn source_address(&self, peer: IpAddr) -> Option<IpAddr> {
        let now = Instant::now();
        let mut sources = self.sources.borrow_mut();
        if let Some((asked, source)) = sources.get(&peer)
            && now.duration_since(*asked) < CACHE_TIME
        {
            return *source;
        }
        if sources.len() >= CACHE_MAX {
            sources.clear();
        }
        let source = route_source(peer);
        sources.insert(peer, (now, source));
        source
    }

    fn unix_time(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    fn recording_directory(&self, settings: &Settings) -> Option<PathBuf> {
        let configured = settings.recording.directory.clone();
        configured.or_else(|| {
            let state = state_directory::choose(settings.global.state_dir.as_deref())?;
            Some(state.join("monitor"))
        })
    }

    fn fill_secret(&self, bytes: &mut [u8]) {
        // getrandom(2), which can only fail before the machine has gathered its first randomness after boot; it waits.
        SystemRandom::new()
            .fill(bytes)
            .expect("the kernel has a random source");
    }
}

/// Connecting a UDP socket sends nothing; it makes the kernel choose a route, and with it a source address.
fn route_source(peer: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match peer {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Any port but 0, which some kernels refuse.
    socket.connect(SocketAddr::new(peer, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|source| !source.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        let machine = Machine::default();
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(machine.source_address(loopback), Some(loopback));
        assert_eq!(machine.source_address(loopback), Some(loopback));
        assert_eq!(machine.sources.borrow().len(), 1);
    }

    #[test]
    fn the_cache_is_bounded() {
        let machine = Machine::default();
        for n in 0..2 * CACHE_MAX {
            machine.source_address(IpAddr::from([127, 1, (n >> 8) as u8, n as u8]));
        }
        assert!(machine.sources.borrow().len() <= CACHE_MAX);
    }

    #[test]
    fn secrets_differ() {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        Machine::default().fill_secret(&mut first);
        Machine::default().fill_secret(&mut second);
        assert_ne!(first, second);
    }

    #[test]
    fn the_time_of_day_is_of_this_century() {
        assert!(Machine::default().unix_time() > 1_700_000_000);
    }
}
