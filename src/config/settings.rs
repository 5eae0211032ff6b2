//! The checked configuration. Every reference in it is known to exist, every value to be in range.
//!
//! Names and defaults are those of Asterisk's pjsip.conf and rtp.conf; CONTRACT: README, "Configuration".

use super::diagnostic::Location;
pub use super::identity::{CalledParty, Identity, Presentation};
pub use super::sound::{
    MUSIC_CLASS_DEFAULT, MusicClass, MusicSort, MusicSource, Recording, Sounds,
};
pub use super::text_match::{HeaderMatch, TextMatch};
use crate::codec::Codec;
use crate::sip::auth::Algorithm;
use crate::sip::flow::{Protocol, TransportId};
use crate::sip::message::Uri;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// All of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[global]`
    pub global: Global,
    /// `[rtp]`
    pub rtp: Rtp,
    /// `[admin]`
    pub admin: Admin,
    /// `[bans]`
    pub bans: Bans,
    /// `[sounds]`, `[musiconhold.*]`: shared with who looks for them.
    pub sounds: Arc<Sounds>,
    /// `[recording]`
    pub recording: Recording,
    /// `[transport.*]`, in the order of the file; [`TransportId`] is the place.
    pub transports: Vec<Transport>,
    /// `[acl.*]` by name. Every one guards all SIP traffic.
    pub acls: BTreeMap<String, Acl>,
    /// `[aor.*]`, and the `aor` in place of each endpoint that has one, in the order of their names.
    pub aors: Vec<Aor>,
    /// `[endpoint.*]`, templates applied, in the order of their names; [`EndpointId`] is the place.
    pub endpoints: Vec<Endpoint>,
    /// `[identify.*]`
    pub identifies: Vec<Identify>,
    /// `[globals]`, `[context.*]`
    pub dialplan: DialplanSource,
    /// `[registration.*]`, in the order of the file.
    pub registrations: Vec<Registration>,
    /// `[trunk_group.*]` by name.
    pub trunk_groups: BTreeMap<String, TrunkGroup>,
}

/// An endpoint's place in [`Settings::endpoints`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u32);

/// `[global]`
#[derive(Clone, Debug)]
pub struct Global {
    /// `user_agent`: Server and User-Agent headers; empty for none.
    pub user_agent: String,
    /// `endpoint_identifier_order`
    pub identifier_order: Vec<IdentifyBy>,
    /// `default_from_user`: From user of a call out, where nothing else gives one.
    pub default_from_user: String,
    /// `max_calls`: beyond it a new INVITE gets 503 with Retry-After.
    pub max_calls: u32,
    /// `keep_alive_interval`: how often a line end holds the way to a registrar open (RFC 5626 §3.5.1). None (left
    /// out) for every 90 s on streams and never on UDP; 0 for never.
    pub keep_alive_interval: Option<Duration>,
    /// `state_dir`: where what outlives a restart is kept; None for where the environment says.
    pub state_dir: Option<PathBuf>,
    /// `nameservers`: whom host names are asked of. Empty for those of the system.
    pub nameservers: Vec<SocketAddr>,
    /// `default_auth_algorithms_uas`: how everybody is challenged, the preferred first; at least one. Default MD5.
    pub challenge_algorithms: Vec<Algorithm>,
}

/// A way to tell who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifyBy {
    /// By source address and `[identify.*] match`.
    Ip,
    /// By the user of From.
    Username,
    /// By the user name of the digest credentials.
    AuthUsername,
    /// By `[identify.*] match_header`.
    Header,
    /// By the Request-URI and `[identify.*] match_request_uri`.
    RequestUri,
    /// The endpoint named `anonymous`.
    Anonymous,
}

/// `[rtp]`
#[derive(Clone, Debug)]
pub struct Rtp {
    /// `ports`: first and last, both inclusive.
    pub ports: (u16, u16),
    /// `workers`: None for `auto`.
    pub workers: Option<u16>,
    /// `cores`: empty if not set.
    pub cores: Vec<usize>,
    /// `timeout`: 0 for never.
    pub timeout: Duration,
    /// `dscp`: 0 to 63.
    pub dscp: u8,
    /// `batch_wait_us`: the longest that a loaded worker waits to gather a batch, in microseconds; 0 for never.
    pub batch_wait_us: u32,
    /// `rtcp`: relay what one side reports to the other, in place of reporting to each ourselves.
    pub relays_rtcp: bool,
}

/// `[admin]`
#[derive(Clone, Debug)]
pub struct Admin {
    /// `listen`
    pub listen: SocketAddr,
    /// `token`: a must on any address but loopback.
    pub token: Option<Secret>,
}

/// `[bans]`: sources that are refused again and again are not heard for a while.
#[derive(Clone, Debug)]
pub struct Bans {
    /// `after`: so many offences within a minute; 0 for never.
    pub after: u32,
    /// `time`: how long the first ban lasts. Each further one within a day lasts twice as long, up to a day.
    pub time: Duration,
    /// `exempt`: never banned.
    pub exempt: Vec<IpNet>,
}

/// Text that is never printed: its `Debug` is `***`, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// `[transport.*]`
#[derive(Clone, Debug)]
pub struct Transport {
    /// The section's name.
    pub name: String,
    /// `protocol`
    pub protocol: Protocol,
    /// `bind`
    pub bind: SocketAddr,
    /// `local_net`: peers in them see our inside addresses. Empty: nobody is inside.
    pub local_net: Vec<IpNet>,
    /// `external_signaling_address`: what peers outside `local_net` see in Via and Contact.
    pub external_signaling_address: Option<IpAddr>,
    /// `external_media_address`: what they see in SDP.
    pub external_media_address: Option<IpAddr>,
    /// For `protocol = "tls"`, and only for that.
    pub tls: Option<Tls>,
}

/// The keys of a TLS transport. Its files are read by `runtime`, at start and at each reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `cert_file`: PEM, our own certificate first, then the intermediate ones.
    pub cert_file: FileRef,
    /// `priv_key_file`: PEM, without a passphrase. The default is `cert_file`, which may hold both.
    pub priv_key_file: FileRef,
    /// `ca_list_file`: PEM, whom we trust. None for those whom the system trusts.
    pub ca_list_file: Option<FileRef>,
    /// `verify_client`: who connects must show a certificate that `ca_list_file` trusts. Default false.
    pub verify_client: bool,
    /// `verify_server`: whom we connect to must show one for the domain asked for (RFC 5922). Default true.
    pub verify_server: bool,
    /// `allow_wildcard_certs`: `*.example.com` in it stands for `sip.example.com` (RFC 5922 §7.2 says no). Default
    /// false.
    pub allow_wildcard_certs: bool,
}

/// A file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// As written; one that is not absolute starts from the configuration's directory.
    pub path: String,
    /// The key that names it (`transport.tls.cert_file`).
    pub key: String,
    /// Where its value stands.
    pub location: Location,
}

/// `[acl.*]`: Asterisk's rules: what `deny` covers is denied unless `permit` covers it too; the most specific rule
/// wins, whatever the order. Nothing said: permitted.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    /// `deny`
    pub deny: Vec<IpNet>,
    /// `permit`
    pub permit: Vec<IpNet>,
}

/// Digest credentials: `[auth.*]` or inline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// `username`
    pub username: String,
    /// `password`
    pub password: Secret,
    /// `realm`: None for the default (inbound: `ringway`; outbound: whatever the challenge says).
    pub realm: Option<String>,
}

/// An address of record: `[aor.*]`, or the `aor` of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aor {
    /// The section's name, or that of the endpoint that it stands in. Phones register as it.
    pub name: String,
    /// `contact`: static contacts, in order.
    pub contacts: Vec<Uri>,
    /// `max_contacts`: how many contacts may be registered at once; 0: nobody registers.
    pub max_contacts: u32,
    /// `remove_existing`: where there are more, the new ones take the place of the oldest.
    pub remove_existing: bool,
    /// `minimum_expiration`, in seconds: a registration that is to last less is refused with 423.
    pub minimum_expiration: u32,
    /// `maximum_expiration`, in seconds: what asks for more gets this.
    pub maximum_expiration: u32,
    /// `default_expiration`, in seconds: for a registration that says nothing.
    pub default_expiration: u32,
    /// `qualify_frequency`: how often each contact is asked whether it is there; 0: never.
    pub qualify_frequency: Duration,
    /// `qualify_timeout`: how long its answer may take. Default 3 s.
    pub qualify_timeout: Duration,
}

/// `[endpoint.*]`, with its `aors` and `auth` resolved.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The section's name.
    pub name: String,
    /// Where the section stands.
    pub location: Location,
    /// `context`: where its calls enter the dialplan.
    pub context: String,
    /// `transport`: for calls to it; None for the first that fits.
    pub transport: Option<TransportId>,
    /// `allow`: codecs in order of preference.
    pub allow: Vec<Codec>,
    /// `auth`: credentials that it must show.
    pub auth: Option<Auth>,
    /// `outbound_auth`: credentials that we show it.
    pub outbound_auth: Option<Auth>,
    /// `aors`, in order, then the one in place: names in [`Settings::aors`].
    pub aors: Vec<String>,
    /// Static contacts of its `aors`, in order.
    pub contacts: Vec<Uri>,
    /// `acl`: further ACLs, by name, that its requests must pass.
    pub acl: Vec<String>,
    /// `callerid`: name and number that its calls carry; None to keep what the peer says.
    pub callerid: Option<CallerId>,
    /// `from_user`: user of From on calls to it.
    pub from_user: Option<String>,
    /// `from_domain`: host of From on calls to it.
    pub from_domain: Option<String>,
    /// Who calls and who is called, as its calls say.
    pub identity: Identity,
    /// `rtp_symmetric`: send media to where its media comes from.
    pub rtp_symmetric: bool,
    /// `force_rport`: answer to the source address and port, asked or not (RFC 3581). Default true.
    pub force_rport: bool,
    /// `direct_media`: it and the other side of its calls may send their media to each other. Default false.
    pub direct_media: bool,
    /// `rewrite_contact`: in-dialog requests go to where it sends from, not to its Contact.
    pub rewrite_contact: bool,
    /// `100rel`. Default yes.
    pub rel100: Rel100,
    /// `allow_transfer`: it may send the other side of its calls elsewhere (REFER). Default true.
    pub allow_transfer: bool,
    /// `call_group`, `named_call_group`: who rings when it rings, for Pickup of others.
    pub call_group: PickupGroups,
    /// `pickup_group`, `named_pickup_group`: the groups whose ringing calls it may take over.
    pub pickup_group: PickupGroups,
    /// `redirect_method`: what a Contact in its 302 means.
    pub redirect_method: RedirectMethod,
    /// `timers`. Default yes.
    pub timers: Timers,
    /// `timers_min_se`: the least session interval that is taken, in seconds, 90 to 86400. Default 90.
    pub timers_min_se: u32,
    /// `timers_sess_expires`: the session interval that is asked for, in seconds, at least `timers_min_se`. Default 1800.
    pub timers_sess_expires: u32,
    /// `dtmf_mode`
    pub dtmf_mode: DtmfMode,
    /// `language`, `tone_zone`: of what it hears.
    pub language: String,
    /// See above.
    pub tone_zone: String,
    /// `moh_suggest`: the music class of those whom it puts on hold.
    pub moh_suggest: String,
    /// `comfort_noise`: it is offered comfort noise (RFC 3389), and may send it, whether the other side of its calls has it
    /// or not. Default false.
    pub comfort_noise: bool,
    /// `rtcp_mux`: RTCP by the port of RTP (RFC 5761) is offered to it. Where it offers that itself, it is taken in any
    /// case. Default false.
    pub rtcp_mux: bool,
    /// `use_ptime`: it gets audio in packets of the time that it asks for, also where the other side's packets could pass as
    /// they are. Default false.
    pub use_ptime: bool,
    /// `t38_udptl`: it may go over from audio to a fax by T.38, if the other side of its call may, too. Default false.
    pub t38_udptl: bool,
    /// `media_encryption`: SRTP with keys in the session description (RFC 4568); None, the default, for RTP.
    pub media_encryption: Option<MediaEncryption>,
    /// `max_calls`: concurrent calls, in and out; None for no limit.
    pub max_calls: Option<u32>,
    /// `cps`: new calls a second; None for no limit.
    pub cps: Option<f64>,
}

/// Groups of endpoints for call pickup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PickupGroups {
    /// Those with a number, 0 to 63: a bit for each.
    pub numbers: u64,
    /// Those with a name.
    pub names: BTreeSet<String>,
}

impl PickupGroups {
    /// True if a group is in both.
    pub fn meets(&self, other: &PickupGroups) -> bool {
        self.numbers & other.numbers != 0 || !self.names.is_disjoint(&other.names)
    }
}

/// `100rel`: provisional responses that are acknowledged by PRACK (RFC 3262), with the values of pjsip.conf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rel100 {
    /// Not spoken: a call that requires it gets 420.
    No,
    /// Spoken: offered to a callee, used towards a caller that requires it.
    Yes,
    /// As `Yes`, and towards a caller that supports it too.
    PeerSupported,
    /// Required: of a callee by `Require`, of a caller by 421.
    Required,
}

/// `redirect_method`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectMethod {
    /// Its user is an extension of the endpoint's context.
    #[default]
    User,
    /// It is called itself, in the endpoint's name.
    UriPjsip,
}

/// `timers`: session timers (RFC 4028), with the values of pjsip.conf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timers {
    /// Not spoken.
    No,
    /// One runs where the peer asks for it, or takes ours.
    Yes,
    /// The peer must speak them: a caller that does not gets 421.
    Required,
    /// One runs in every call; where the peer does not speak them, we refresh. Also written `forced`.
    Always,
}

/// How strictly media is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaEncryption {
    /// `media_encryption_optimistic`: calls without are taken too. Default false.
    pub optimistic: bool,
    /// `media_encryption_over_insecure_signalling`: keys may go over UDP and TCP, as the way is safe otherwise. Default
    /// false.
    pub over_insecure_signalling: bool,
}

/// `dtmf_mode`: how digits come and go, with the values of pjsip.conf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtmfMode {
    /// Telephone events (RFC 4733), offered and passed.
    Rfc4733,
    /// Tones in the audio; no telephone events are offered.
    Inband,
    /// SIP INFO; no telephone events are offered.
    Info,
    /// Telephone events where the peer takes them, else tones.
    Auto,
    /// Telephone events where the peer takes them, else SIP INFO.
    AutoInfo,
}

/// A name and a number: `Living Room <6001>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerId {
    /// The name; may be empty.
    pub name: String,
    /// The number; may be empty.
    pub number: String,
}

/// `[identify.*]`: whatever one of its rules matches is its endpoint's.
#[derive(Clone, Debug)]
pub struct Identify {
    /// The section's name.
    pub name: String,
    /// `endpoint`
    pub endpoint: EndpointId,
    /// `transport`, else that of the endpoint: its rules count only for what came by it. None: for all.
    pub transport: Option<TransportId>,
    /// Networks in `match`; an address is a /32 or /128.
    pub networks: Vec<IpNet>,
    /// Host names in `match`, resolved at start and again from time to time.
    pub hosts: Vec<String>,
    /// `match_header`
    pub header: Option<HeaderMatch>,
    /// `match_request_uri`
    pub request_uri: Option<TextMatch>,
}

/// `[registration.*]`: we register somewhere, for calls to come from there. Defaults as in pjsip.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The section's name.
    pub name: String,
    /// `transport`: None for the first that fits.
    pub transport: Option<TransportId>,
    /// `outbound_auth`: credentials that we show the registrar.
    pub outbound_auth: Option<Auth>,
    /// `server_uri`: the registrar.
    pub server_uri: Uri,
    /// `client_uri`: our address of record there.
    pub client_uri: Uri,
    /// `contact_user`: user of our Contact, and so of the Request-URI of calls that come by it. Default `s`.
    pub contact_user: String,
    /// `contact_header_params`: further parameters of our Contact header, without the first `;`.
    pub contact_header_params: String,
    /// `outbound_proxy`: where the REGISTER goes first.
    pub outbound_proxy: Option<Uri>,
    /// `expiration`: what we ask for. Default 3600 s, at least 1 s.
    pub expiration: Duration,
    /// `retry_interval`: after no answer, 5xx, 6xx. Default 60 s; 0 gives up.
    pub retry_interval: Duration,
    /// `forbidden_retry_interval`: after 403. Default 0, which gives up.
    pub forbidden_retry_interval: Duration,
    /// `fatal_retry_interval`: after any other refusal. Default 0, which gives up.
    pub fatal_retry_interval: Duration,
    /// `max_retries`: attempts in a row before it gives up; None (written as 0 or 4294967295) never does. Default 10.
    pub max_retries: Option<u32>,
    /// `auth_rejection_permanent`: a wrong password ends it. Default true.
    pub auth_rejection_permanent: bool,
    /// `support_path`: say that we understand Path (RFC 3327).
    pub support_path: bool,
    /// `line`: tell calls that come by it by a random parameter of our Contact.
    pub line: bool,
    /// `endpoint`: whose the calls are that come by it; a name, for it is looked up when they come.
    pub endpoint: Option<String>,
}

/// `[trunk_group.*]`
#[derive(Clone, Debug)]
pub struct TrunkGroup {
    /// `members`
    pub members: Vec<TrunkMember>,
    /// `failover_on`: SIP status codes.
    pub failover_on: Vec<u16>,
    /// `response_timeout`: how long a member may take for its first response before the next one is tried; 0: as long as
    /// its INVITE lives (timer B, 32 s). Default 4 s.
    pub response_timeout: Duration,
}

/// One of a group's `members`.
#[derive(Clone, Debug)]
pub struct TrunkMember {
    /// `endpoint`
    pub endpoint: EndpointId,
    /// `priority`: lower is tried first.
    pub priority: u16,
    /// `weight`: share among those of one priority.
    pub weight: u16,
}

/// The dialplan as written; `control::dialplan` compiles it.
#[derive(Clone, Debug, Default)]
pub struct DialplanSource {
    /// `[globals]` in order.
    pub globals: Vec<(String, String)>,
    /// `[context.*]` in order.
    pub contexts: Vec<ContextSource>,
}

/// `[context.NAME]`
#[derive(Clone, Debug)]
pub struct ContextSource {
    /// NAME
    pub name: String,
    /// Where the section stands.
    pub location: Location,
    /// `include`, in order, each with its place.
    pub include: Vec<(String, Location)>,
    /// `hint`: extension → device.
    pub hints: Vec<(String, String, Location)>,
    /// `exten`: in order.
    pub extensions: Vec<ExtensionSource>,
}

/// `"EXTEN" = ["step", …]`
#[derive(Clone, Debug)]
pub struct ExtensionSource {
    /// The extension or pattern, not yet expanded.
    pub pattern: String,
    /// Where the key stands.
    pub location: Location,
    /// The steps, each with its place.
    pub steps: Vec<(String, Location)>,
}
