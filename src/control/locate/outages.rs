//! Addresses that did not work lately: they are tried last, not never (RFC 3263 §4.3).
//!
//! A dead target comes back by itself after a while, and at once when it answers anything.

use crate::sip::flow::{Flow, Protocol};
use crate::sip::message::Response;
use rustc_hash::FxHashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a target that failed is tried last.
pub const DEAD_TIME: Duration = Duration::from_secs(60);
/// The longest that a Retry-After may put it back.
pub const DEAD_TIME_MAX: Duration = Duration::from_secs(300);
/// Most targets remembered; one more is not.
pub const DEAD_MAX: usize = 1024;

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Outages {
    dead: FxHashMap<(Protocol, SocketAddr), Instant>,
}

impl Outages {
    /// A response came: 503 is a failure, for as long as its Retry-After says.
    pub fn heard(&mut self, now: Instant, flow: Flow, response: &Response) {
        if response.status() != 503 {
            return self.answered(flow);
        }
        let seconds = response.headers().get("Retry-After");
        let seconds = seconds.and_then(|value| value.split([';', ' ', '(']).next()?.parse().ok());
        self.failed(now, flow, seconds.map(Duration::from_secs));
    }

    /// It could not be reached, did not respond at all, or said 503 (with this Retry-After).
    pub fn failed(&mut self, now: Instant, flow: Flow, retry_after: Option<Duration>) {
        if self.dead.len() >= DEAD_MAX {
            self.dead.retain(|_, until| *until > now);
        }
        let time = retry_after.unwrap_or(DEAD_TIME);
        let until = now + time.clamp(DEAD_TIME, DEAD_TIME_MAX);
        let key = (flow.protocol, flow.peer);
        let has_room = self.dead.len() < DEAD_MAX || self.dead.contains_key(&key);
        if has_room && self.dead.insert(key, until).is_none() {
            let protocol = flow.protocol.name();
            tracing::info!(peer = %flow.peer, protocol, "target failed, tried last for a while");
        }
    }

    fn answered(&mut self, flow: Flow) {
        // Nearly always empty, and then this costs nothing.
        if !self.dead.is_empty() && self.dead.remove(&(flow.protocol, flow.peer)).is_some() {
            tracing::info!(peer = %flow.peer, protocol = flow.protocol.name(), "target answers again");
        }
    }

    /// Puts dead ones behind the others; the order is kept otherwise.
    pub fn sort(&self, now: Instant, flows: &mut [Flow]) {
        if !self.dead.is_empty() {
            flows.sort_by_key(|flow| self.is_dead(now, *flow));
        }
    }

    fn is_dead(&self, now: Instant, flow: Flow) -> bool {
        let until = self.dead.get(&(flow.protocol, flow.peer));
        until.is_some_and(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::TransportId;

    fn flow(last: u8) -> Flow {
        Flow {
            transport: TransportId(0),
            protocol: Protocol::Udp,
            peer: ([192, 0, 2, last], 5060).into(),
            domain: None,
        }
    }

    fn order(outages: &Outages, now: Instant) -> Vec<u8> {
        let mut flows = [flow(1), flow(2), flow(3)];
        outages.sort(now, &mut flows);
        let last = |flow: &Flow| match flow.peer.ip() {
            std::net::IpAddr::V4(address) => address.octets()[3],
            std::net::IpAddr::V6(_) => 0,
        };
        flows.iter().map(last).collect()
    }

    #[test]
    fn a_dead_target_is_tried_last_until_its_time_is_over_or_it_answers() {
        let now = Instant::now();
        let mut outages = Outages::default();
        outages.failed(now, flow(1), None);
        assert_eq!(order(&outages, now), [2, 3, 1]);
        assert_eq!(order(&outages, now + DEAD_TIME), [1, 2, 3]);
        outages.failed(now, flow(2), Some(Duration::from_secs(120)));
        assert_eq!(order(&outages, now + DEAD_TIME), [1, 3, 2]);
        outages.answered(flow(1));
        assert_eq!(order(&outages, now), [1, 3, 2]);
        // All dead: all tried, in their order.
        for last in 1..=3 {
            outages.failed(now, flow(last), None);
        }
        assert_eq!(order(&outages, now), [1, 2, 3]);
        let same_address_by_tcp = Flow {
            protocol: Protocol::Tcp,
            ..flow(1)
        };
        assert!(!outages.is_dead(now, same_address_by_tcp));
    }

    #[test]
    fn the_memory_is_bounded() {
        let now = Instant::now();
        let mut outages = Outages::default();
        for port in 0..2 * DEAD_MAX as u16 {
            let mut flow = flow(1);
            flow.peer.set_port(port + 1);
            outages.failed(now, flow, Some(Duration::from_secs(1_000_000)));
        }
        assert_eq!(outages.dead.len(), DEAD_MAX);
        outages.failed(now + DEAD_TIME_MAX, flow(9), None);
        assert_eq!(outages.dead.len(), 1);
    }
}
