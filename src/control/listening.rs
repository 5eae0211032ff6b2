//! What a reload does with transports. Sockets stay as they were bound, so a [`TransportId`] means the same one to the
//! end: the place of its section in the first configuration, or behind those for one that a reload has added.
//!
//! | in the new configuration a section | now | after a restart |
//! |---|---|---|
//! | stands elsewhere in the file | nothing | nothing |
//! | has another `local_net`, external address, certificate | holds | |
//! | has another `protocol` or `bind` | listens as before | as it says |
//! | is gone | listens as before | is gone |
//! | is new | listens, where the runtime can bind it; else what names it reaches nobody | listens |

use super::controller::Controller;
use super::setup::Setup;
use crate::config::Settings;
use crate::config::settings::Transport;
use crate::sip::flow::TransportId;

/// The transports in the order of the ones that listen, then those that do not yet.
pub(super) struct Arranged {
    transports: Vec<Transport>,
    /// Where each transport of the new configuration is now.
    ids: Vec<TransportId>,
    /// What waits for a restart, a line each.
    pub needs_restart: Vec<String>,
}

impl Arranged {
    pub(super) fn new(listening: &[Transport], wanted: &[Transport]) -> Arranged {
        let mut needs_restart = Vec::new();
        let kept = listening.iter().map(|old| {
            let new = wanted.iter().find(|new| new.name == old.name);
            let (transport, what) = keep(old, new);
            needs_restart.extend(what.map(|what| format!("transport.{}: {what}", old.name)));
            transport
        });
        let mut transports: Vec<Transport> = kept.collect();
        for new in wanted {
            if !listening.iter().any(|old| old.name == new.name) {
                needs_restart.push(format!("transport.{}: added", new.name));
                transports.push(new.clone());
            }
        }
        let place = |new: &Transport| transports.iter().position(|one| one.name == new.name);
        let ids = wanted.iter().filter_map(place);
        let ids = ids.filter_map(|place| u16::try_from(place).ok());
        Arranged {
            ids: ids.map(TransportId).collect(),
            transports,
            needs_restart,
        }
    }

    /// True if what `settings` says of transports by their places has to be said anew.
    pub(super) fn moves(&self) -> bool {
        let places = (0..).map(TransportId);
        !self.ids.iter().zip(places).all(|(id, place)| *id == place)
    }

    /// Puts them in place.
    pub(super) fn apply(self, settings: &mut Settings) {
        let move_one = |id: &mut Option<TransportId>| {
            *id = id.and_then(|id| self.ids.get(usize::from(id.0)).copied());
        };
        for endpoint in &mut settings.endpoints {
            move_one(&mut endpoint.transport);
        }
        for registration in &mut settings.registrations {
            move_one(&mut registration.transport);
        }
        for identify in &mut settings.identifies {
            move_one(&mut identify.transport);
        }
        settings.transports = self.transports;
    }
}

impl Controller {
    /// The transports of a configuration that do not listen yet.
    pub fn new_transports(&self, setup: &Setup) -> Vec<Transport> {
        let wanted = setup.settings().transports.iter();
        let listens = |new: &Transport| self.listening.iter().any(|old| old.name == new.name);
        wanted.filter(|new| !listens(new)).cloned().collect()
    }

    /// What the next transport will be called that begins to listen.
    pub fn next_transport(&self) -> TransportId {
        TransportId(u16::try_from(self.listening.len()).unwrap_or(u16::MAX))
    }

    /// A transport listens as [`Controller::next_transport`]. Its configuration comes with the next
    /// [`Controller::reload`].
    pub fn listens(&mut self, transport: Transport) {
        self.listening.push(transport);
    }
}

/// What holds of a transport that listens, and what waits for a restart.
fn keep(old: &Transport, new: Option<&Transport>) -> (Transport, Option<&'static str>) {
    match new {
        None => (old.clone(), Some("removed")),
        Some(new) if new.protocol != old.protocol => (old.clone(), Some("protocol changed")),
        Some(new) if new.bind != old.bind => {
            let listens = Transport {
                bind: old.bind,
                ..new.clone()
            };
            (listens, Some("bind changed"))
        }
        Some(new) => (new.clone(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NoLookup, parse};

    const UDP: &str = "[transport.udp]\nbind = \"127.0.0.1:5060\"\n";
    const TCP: &str = "[transport.tcp]\nprotocol = \"tcp\"\nbind = \"127.0.0.1:5060\"\n";
    const REST: &str =
        "[endpoint.a]\ntransport = \"udp\"\n[endpoint.b]\ntransport = \"tcp\"\n[endpoint.c]\n";

    fn settings(parts: &[&str]) -> Settings {
        match parse("test", &parts.concat(), &NoLookup) {
            Ok(loaded) => loaded.settings,
            Err(error) => panic!("{error}"),
        }
    }

    /// `name bind` of each place, the transport's place of each endpoint, and what waits.
    fn arrange(wanted: &[&str]) -> (Vec<String>, Vec<Option<u16>>, Vec<String>) {
        let (old, mut new) = (settings(&[UDP, TCP, REST]), settings(wanted));
        let arranged = Arranged::new(&old.transports, &new.transports);
        let needs_restart = arranged.needs_restart.clone();
        arranged.apply(&mut new);
        let transports = new.transports.iter();
        let transports = transports.map(|one| format!("{} {}", one.name, one.bind));
        let endpoints = new.endpoints.iter();
        let endpoints = endpoints.map(|one| one.transport.map(|id| id.0));
        (transports.collect(), endpoints.collect(), needs_restart)
    }

    const BOTH: [&str; 2] = ["udp 127.0.0.1:5060", "tcp 127.0.0.1:5060"];

    #[test]
    fn another_order_is_no_change() {
        let (transports, endpoints, needs_restart) = arrange(&[TCP, UDP, REST]);
        assert_eq!(transports, BOTH);
        assert_eq!(endpoints, [Some(0), Some(1), None]);
        assert_eq!(needs_restart, [""; 0]);
    }

    #[test]
    fn what_would_need_a_socket_waits_for_a_restart() {
        let new = "[transport.new]\nbind = \"127.0.0.1:5070\"\n";
        let (transports, endpoints, needs_restart) = arrange(&[new, TCP, UDP, REST]);
        assert_eq!(transports, [BOTH[0], BOTH[1], "new 127.0.0.1:5070"]);
        assert_eq!(endpoints, [Some(0), Some(1), None]);
        assert_eq!(needs_restart, ["transport.new: added"]);

        let without = REST.replace("transport = \"udp\"\n", "");
        let (transports, endpoints, needs_restart) = arrange(&[TCP, &without]);
        assert_eq!(transports, BOTH);
        assert_eq!(endpoints, [None, Some(1), None]);
        assert_eq!(needs_restart, ["transport.udp: removed"]);

        let bind = UDP.replace("5060", "5070");
        let (transports, _, needs_restart) = arrange(&[TCP, &bind, REST]);
        assert_eq!(transports, BOTH);
        assert_eq!(needs_restart, ["transport.udp: bind changed"]);

        let other = UDP.replace("[transport.udp]", "[transport.udp]\nprotocol = \"tcp\"");
        let other = other.replace("5060", "5070");
        let (transports, _, needs_restart) = arrange(&[&other, TCP, REST]);
        assert_eq!(transports, BOTH);
        assert_eq!(needs_restart, ["transport.udp: protocol changed"]);
    }

    #[test]
    fn what_needs_no_socket_holds_at_once() {
        let local = format!("{UDP}local_net = [\"10.0.0.0/8\"]\n").replace("5060", "5070");
        let (old, mut new) = (settings(&[UDP, TCP, REST]), settings(&[TCP, &local, REST]));
        let arranged = Arranged::new(&old.transports, &new.transports);
        assert!(arranged.moves());
        arranged.apply(&mut new);
        let udp = &new.transports[0];
        assert_eq!((udp.local_net.len(), udp.bind.port()), (1, 5060));
        let same = Arranged::new(&old.transports, &old.transports);
        assert!(!same.moves());
    }
}
