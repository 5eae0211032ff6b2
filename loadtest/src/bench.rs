//! Ringway and rtpengine with the same calls up, each in the tested namespace on core 0.

use crate::child::Running;
use crate::gateway::{Gateway, GatewaySettings};
use crate::ledger::LegAddresses;
use crate::netns::{CALLED, CALLED_RTP, CALLER, CALLER_RTP, Hosts, TESTED};
use crate::place::Place;
use crate::rtpengine;
use crate::sipp::{self, Calls, Signalling, Sipps};
use crate::speech::Codec;
use anyhow::{Context, Result, bail};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

/// What both are started with.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    /// The `ringway` binary.
    pub gateway: &'a Path,
    /// Calls at once.
    pub calls: u32,
    /// Of callers and called.
    pub codecs: [Codec; 2],
    /// More lines for Ringway's `[rtp]`.
    pub rtp: &'a str,
    /// The namespaces.
    pub hosts: &'a Hosts,
    /// For their files.
    pub folder: &'a Path,
}

/// Ringway with its calls: what keeps them up, and their legs.
pub struct Ringway {
    /// Callers first, then whom they called in the same order.
    pub legs: Vec<LegAddresses>,
    _sipps: Sipps,
    /// The gateway.
    pub gateway: Gateway,
}

/// rtpengine with its calls.
pub struct Rtpengine {
    /// Callers first, then whom they called in the same order.
    pub legs: Vec<LegAddresses>,
    /// The daemon.
    pub daemon: Running,
}

impl Bench<'_> {
    /// Starts the gateway, and SIPp's calls through it.
    pub fn start_ringway(&self) -> Result<Ringway> {
        let Bench {
            hosts,
            folder,
            codecs: [a, b],
            ..
        } = *self;
        let called = SocketAddrV4::new(CALLED, 5060);
        let settings = GatewaySettings {
            binary: self.gateway.to_owned(),
            place: Place {
                namespace: Some(hosts.tested.clone()),
                core: Some(0),
            },
            sip: SocketAddrV4::new(TESTED, 5060),
            admin: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8088),
            caller: CALLER,
            called,
            codecs: (a.name().to_owned(), b.name().to_owned()),
            rtp: format!("workers = 1\ncores = [0]\ntimeout = 7200\n{}", self.rtp),
            phones: 0,
        };
        let gateway = settings.start(folder)?;
        let signalling = Signalling {
            place: Place {
                namespace: Some(hosts.load.clone()),
                core: Some(1),
            },
            caller: SocketAddrV4::new(CALLER, 5060),
            called,
            caller_rtp: CALLER_RTP,
            called_rtp: CALLED_RTP,
            gateway: settings.sip,
            gateway_rtp: TESTED,
            formats: (a.payload_type(), b.payload_type()),
        };
        // Calls outlive the measurement by far; SIPp ends them with its process, the gateway with its own.
        let calls = Calls {
            count: self.calls,
            rate: 200,
            hold: Duration::from_secs(7_200),
        };
        let mut sipps = sipp::start(folder, &signalling, &calls)?;
        let legs = sipps.wait_answered()?;
        if legs.len() != self.calls as usize * 2 {
            bail!("only {} of {} legs are up", legs.len(), self.calls * 2);
        }
        Ok(Ringway {
            legs,
            _sipps: sipps,
            gateway,
        })
    }

    /// Starts rtpengine, and sets up the same calls; call it in the load's namespace.
    pub fn start_rtpengine(&self) -> Result<Rtpengine> {
        let Bench { hosts, folder, .. } = *self;
        let place = Place {
            namespace: Some(hosts.tested.clone()),
            core: Some(0),
        };
        let daemon = rtpengine::start(folder, &place)?;
        let legs = rtpengine::set_up(self.calls, self.codecs)
            .with_context(|| last_lines(&folder.join("rtpengine.log")))?;
        Ok(Rtpengine { legs, daemon })
    }
}

fn last_lines(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
