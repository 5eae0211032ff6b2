//! The rows that `show`, `status` and the JSON API give. Control and the workers fill them, admin prints them.

use serde::{Deserialize, Serialize};

/// One running call (`show calls`, `GET /api/v1/calls`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallRow {
    /// The id for `ringway hangup`.
    pub id: String,
    /// Where it stands: `dialplan`, `ringing`, `up`, `held`, `ending`.
    pub state: String,
    /// The endpoint that called.
    pub from_endpoint: String,
    /// The endpoint called, once dialled.
    pub to_endpoint: Option<String>,
    /// The caller's number.
    pub caller: String,
    /// The number dialled.
    pub called: String,
    /// The dialplan context it came into.
    pub context: String,
    /// Seconds since the INVITE.
    pub age_s: u64,
    /// Seconds since the answer, if answered.
    pub up_s: Option<u64>,
    /// The two RTP ports of ours.
    pub rtp_ports: Vec<u16>,
    /// The latched sources, one a leg, if any.
    pub rtp_sources: Vec<String>,
    /// How each leg's audio fares.
    #[serde(default)]
    pub media: Vec<MediaRow>,
}

/// One running call and all that is known of it (`show call ID`, `GET /api/v1/calls/ID`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallDetail {
    /// As in `show calls`.
    pub call: CallRow,
    /// What it does, or waits for.
    pub doing: String,
    /// The room that its caller is in: a conference's name, or `page`.
    pub room: Option<String>,
    /// The steps of the dialplan that ran, the first 32.
    pub steps: Vec<String>,
    /// Its legs, the caller's first.
    pub legs: Vec<LegRow>,
}

/// One leg of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LegRow {
    /// Its endpoint.
    pub endpoint: String,
    /// `caller` or `callee`.
    pub side: String,
    /// How its dialog stands: `asked`, `unacked` (its ACK is missing), `calling`, `cancelled`, `up`, `leaving` (our BYE has no answer).
    pub state: String,
    /// Where its SIP goes.
    pub sip: String,
    /// Its audio, where it has a port.
    pub media: Option<LegMediaRow>,
}

/// Where a leg's audio goes and comes from, and what of it cannot be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LegMediaRow {
    /// Our RTP port.
    pub port: u16,
    /// Where its SDP wants audio.
    pub sdp: Option<String>,
    /// `sendrecv`, `sendonly` (it holds), `recvonly`, `inactive`: what it does.
    pub direction: String,
    /// It was agreed to be SRTP.
    pub encrypted: bool,
    /// What it may send, as `0 ulaw`.
    pub formats: Vec<String>,
    /// The files that MixMonitor records it into.
    pub recordings: Vec<String>,
    /// Packets from anybody else, dropped.
    pub strangers: u64,
    /// Packets that SRTP did not open.
    pub unauthentic: u64,
    /// Packets of a payload type that was not agreed.
    pub not_agreed: u64,
    /// How it fares.
    pub counts: MediaRow,
}

/// One call in a room (`show rooms`, `GET /api/v1/rooms`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomRow {
    /// The conference's name, or `page`.
    pub room: String,
    /// Which of all rooms.
    pub number: u32,
    /// The id of the call.
    pub call: String,
    /// Its endpoint.
    pub endpoint: String,
    /// Its caller.
    pub caller: String,
    /// The others hear it.
    pub talks: bool,
    /// Seconds since its INVITE.
    pub age_s: u64,
}

/// A leg's audio, as of its worker's last report (each 5 s).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MediaRow {
    /// The codec that its peer would rather hear; none before one was agreed.
    pub codec: Option<String>,
    /// Where its audio comes from, once it has come.
    #[serde(default)]
    pub source: Option<String>,
    /// RTP packets from the peer.
    pub packets_in: u64,
    /// RTP packets to it.
    pub packets_out: u64,
    /// Lost on the way to us; below 0 where packets came twice.
    pub lost_in: i64,
    /// Lost on the way to it, if it reports that.
    pub lost_out: Option<i32>,
    /// Interarrival jitter of what comes, in milliseconds.
    pub jitter_ms: f64,
    /// The way there and back in milliseconds, if it reports.
    pub round_trip_ms: Option<u32>,
    /// Mean opinion score of what comes, 1 to 4.5 (ITU-T G.107).
    pub mos: Option<f32>,
}

/// One running ban (`show bans`, `GET /api/v1/bans`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BanRow {
    /// The address, the /64 of an IPv6 address, or one port of an address that is vouched for.
    pub source: String,
    /// Seconds since it began.
    pub age_s: u64,
    /// Seconds until it ends.
    pub left_s: u64,
    /// Which ban of this source it is, from 1.
    pub times: u32,
}

/// A source whose requests were refused lately (`show strangers`, `GET /api/v1/strangers`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StrangerRow {
    /// Its address.
    pub source: String,
    /// How many were refused.
    pub requests: u64,
    /// Seconds since the first.
    pub first_s: u64,
    /// Seconds since the last.
    pub last_s: u64,
    /// Why the last was refused, as `ringway_sip_rejected_total` counts it.
    pub reason: String,
    /// The method of the first; empty where an ACL denied it unread.
    pub method: String,
    /// The From of the first, cut to 128 characters; empty where an ACL denied it unread.
    pub from: String,
    /// The endpoint that has an address next to it (the same /24, or /64 of IPv6).
    pub beside: Option<String>,
}

/// One media worker (`show workers`, `GET /api/v1/workers`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkerRow {
    /// From 0.
    pub worker: u16,
    /// The core that it is pinned to, if it is.
    pub core: Option<usize>,
    /// First and last RTP port of its slice.
    pub ports: (u16, u16),
    /// Open legs.
    pub legs: u64,
    /// RTP packets in.
    pub packets_in: u64,
    /// RTP packets out.
    pub packets_out: u64,
    /// Packets dropped, for any reason.
    pub dropped: u64,
    /// Relay latency quantiles in microseconds: p50, p99, p99.9.
    pub latency_us: (f64, f64, f64),
    /// Part of the last second that the thread was busy, 0 to 1.
    pub busy: f64,
}

/// One endpoint (`show endpoints`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndpointRow {
    /// Its section name.
    pub name: String,
    /// Its context.
    pub context: String,
    /// Its transport, if it names one.
    pub transport: Option<String>,
    /// Codec names in order.
    pub allow: Vec<String>,
    /// Static contacts.
    pub contacts: Vec<String>,
    /// What identifies it: networks, or `username`.
    pub identified_by: Vec<String>,
    /// Running calls.
    pub calls: u64,
}

/// One contact of an address of record (`show contacts`, `GET /api/v1/contacts`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactRow {
    /// The address of record.
    pub aor: String,
    /// The contact, as configured or as the phone registered it.
    pub uri: String,
    /// Where its last REGISTER came from; None for a static contact.
    pub source: Option<String>,
    /// Its User-Agent; empty if it told none.
    pub user_agent: String,
    /// Seconds until it is over unless it is refreshed; None for a static contact.
    pub expires_in_s: Option<u64>,
    /// `static` or `registered`; where it is asked whether it is there (`qualify_frequency`), `unknown` before the first
    /// answer, then `reachable` or `unreachable`.
    pub status: String,
    /// The last round trip to it in milliseconds, if it is known.
    pub rtt_ms: Option<f64>,
}

/// One transport (`show transports`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TransportRow {
    /// Its section name.
    pub name: String,
    /// `udp`, `tcp` or `tls`.
    pub protocol: String,
    /// Where it listens.
    pub listen: String,
    /// Open connections, on a stream.
    pub connections: u64,
}

/// One of our registrations (`show registrations`, `GET /api/v1/registrations`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationRow {
    /// Its section name.
    pub name: String,
    /// The registrar.
    pub server_uri: String,
    /// Our address of record there.
    pub client_uri: String,
    /// `waiting` for its turn, `registering`, `registered`, `rejected` (it is tried again) or `stopped` (it is not).
    pub state: String,
    /// The address that took the registration, if it stands.
    pub registrar: Option<String>,
    /// Seconds since it stands, if it does.
    pub registered_s: Option<u64>,
    /// Seconds that it lasts if it is not refreshed.
    pub expires_in_s: Option<u64>,
    /// Seconds to the next attempt, if one is waited for.
    pub retry_in_s: Option<u64>,
    /// How the last attempt failed.
    pub last_error: Option<String>,
}

/// The screen of `ringway status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusRow {
    /// The version.
    pub version: String,
    /// `starting`, `serving` or `draining`.
    pub state: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Calls now.
    pub calls_active: u64,
    /// Calls since the start.
    pub calls_total: u64,
    /// Our registrations that stand, and all of them.
    pub registrations: (u64, u64),
    /// Contacts that are registered with us.
    pub contacts: u64,
    /// SIP transactions now.
    pub transactions: u64,
    /// Port pairs in calls, resting after a call, and in all.
    pub rtp_pairs: (u64, u64, u64),
    /// SIP requests rejected, by reason.
    pub rejected: Vec<(String, u64)>,
    /// RTP packets dropped, by reason.
    pub rtp_dropped: Vec<(String, u64)>,
    /// Recordings that could not be written, or not to their end, and blocks of 10 ms that the disk was too slow for.
    #[serde(default)]
    pub recordings_lost: (u64, u64),
    /// The workers.
    pub workers: Vec<WorkerRow>,
    /// When the configuration was last read without error, in seconds since the start.
    pub config_loaded_s_ago: u64,
    /// Whether the last reload succeeded.
    pub config_ok: bool,
}
