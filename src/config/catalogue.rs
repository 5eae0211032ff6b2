//! Every section and key that a configuration may hold: what it accepts, and whether this version acts on it.
//!
//! Names, meanings and defaults are those of pjsip.conf, rtp.conf, queues.conf and voicemail.conf. A key that this
//! version only accepts is turned on by writing `acts` in place of `later` on its line and reading it in `build`.

use super::identity::{CalledParty, Presentation};
use super::sound::TONE_ZONES;

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) accepts: Accepts,
    pub(super) effect: Effect,
    pub(super) required: bool,
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Accepts {
    /// Any string.
    Text,
    /// A string that is not empty.
    Word,
    /// A string that no message shows.
    Secret,
    /// An array of strings.
    Texts,
    /// `true` or `false`.
    Boolean,
    /// An integer, both ends included.
    Integer(i64, i64),
    /// An array of integers, both ends included.
    Integers(i64, i64),
    /// A number of seconds, 0 or more.
    Seconds,
    /// A number above 0.
    Rate,
    /// One of these strings. Where `yes` or `no` is among them, `true` and `false` stand for them.
    OneOf(&'static [&'static str]),
    /// An array of these strings, each once.
    SomeOf(&'static [&'static str]),
    /// `"auto"` or an integer, both ends included.
    AutoOr(i64, i64),
    /// An array of codec names, each once.
    Codecs,
    /// An array of addresses and networks.
    Networks,
    /// An array of addresses, networks and host names.
    Hosts,
    /// `value`, or `/regex/`.
    TextMatch,
    /// `NAME: value`, or `NAME: /regex/`.
    HeaderMatch,
    /// An IP address.
    Address,
    /// An IP address, with a port or without.
    Bind,
    /// An IP address with a port.
    Listen,
    /// An array of IP addresses, each with a port or without.
    Servers,
    /// `"FIRST-LAST"` with room for at least one RTP/RTCP pair.
    Ports,
    /// A SIP URI with a host.
    Uri,
    /// An array of them.
    Uris,
    /// `Name <number>`, `<number>` or `number`.
    CallerId,
    /// The name of a section of that kind.
    Reference(&'static str),
    /// An array of them.
    References(&'static str),
    /// One or an array of them.
    OneOrMore(&'static str),
    /// A table with these keys.
    Inline(&'static [Row]),
    /// The name of a section of that kind, or a table with these keys in its place.
    ReferenceOr(&'static str, &'static [Row]),
    /// An array of tables with these keys.
    Tables(&'static [Row]),
}

/// What a key does in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// What it says.
    Acts,
    /// Nothing yet; a warning says so.
    Later,
    /// Any value but this one is an error: to ignore it would weaken security or break its promise.
    RefusedUnless(&'static str),
}

impl Row {
    const fn new(key: &'static str, accepts: Accepts, effect: Effect) -> Row {
        Row {
            key,
            accepts,
            effect,
            required: false,
        }
    }

    const fn required(mut self) -> Row {
        self.required = true;
        self
    }
}

const fn acts(key: &'static str, accepts: Accepts) -> Row {
    Row::new(key, accepts, Effect::Acts)
}

const fn later(key: &'static str, accepts: Accepts) -> Row {
    Row::new(key, accepts, Effect::Later)
}

const fn refused_unless(key: &'static str, accepts: Accepts, value: &'static str) -> Row {
    Row::new(key, accepts, Effect::RefusedUnless(value))
}

use Accepts::{
    Address, Bind, Boolean, CallerId, Codecs, HeaderMatch, Hosts, Inline, Integer, Integers,
    Listen, Networks, OneOf, OneOrMore, Ports, Rate, Reference, ReferenceOr, References, Seconds,
    Secret, Servers, SomeOf, Tables, Text, TextMatch, Texts, Uri, Uris, Word,
};

const COUNT_MAX: i64 = u32::MAX as i64;

/// `[global]`
pub(super) const GLOBAL: &[Row] = &[
    acts("user_agent", Text),
    acts(
        "endpoint_identifier_order",
        SomeOf(&[
            "ip",
            "username",
            "auth_username",
            "header",
            "request_uri",
            "anonymous",
        ]),
    ),
    acts("default_from_user", Word),
    acts("max_calls", Integer(1, COUNT_MAX)),
    acts("keep_alive_interval", Seconds),
    acts("state_dir", Word),
    acts("nameservers", Servers),
    acts("default_auth_algorithms_uas", SomeOf(&["MD5", "SHA-256"])),
];

/// `[rtp]`
pub(super) const RTP: &[Row] = &[
    acts("ports", Ports),
    acts("workers", Accepts::AutoOr(1, 256)),
    acts("cores", Integers(0, 1023)),
    acts("timeout", Seconds),
    acts("dscp", Integer(0, 63)),
    acts("batch_wait_us", Integer(0, 20_000)),
    acts("rtcp", OneOf(&["own", "relay"])),
];

/// `[admin]`
pub(super) const ADMIN: &[Row] = &[acts("listen", Listen), acts("token", Secret)];

/// `[bans]`
pub(super) const BANS: &[Row] = &[
    acts("after", Integer(0, 1_000_000)),
    acts("time", Seconds),
    acts("exempt", Networks),
];

/// `[sounds]`
pub(super) const SOUNDS: &[Row] = &[
    acts("directory", Word),
    acts("language", Word),
    acts("tone_zone", OneOf(TONE_ZONES)),
    acts("cache_mib", Integer(1, 65_536)),
];

/// `[recording]`
pub(super) const RECORDING: &[Row] = &[acts("directory", Word), acts("max_mib", Integer(1, 4095))];

/// `[musiconhold.*]`
pub(super) const MUSIC_ON_HOLD: &[Row] = &[
    refused_unless(
        "mode",
        OneOf(&["files", "playlist", "custom", "mp3", "quietmp3"]),
        "files",
    ),
    acts("directory", Word),
    acts("files", Texts),
    acts("sort", OneOf(&["alpha", "random", "randstart"])),
];

/// `[transport.*]`
pub(super) const TRANSPORT: &[Row] = &[
    acts("protocol", OneOf(&["udp", "tcp", "tls"])),
    acts("bind", Bind).required(),
    acts("local_net", Networks),
    acts("external_signaling_address", Address),
    acts("external_media_address", Address),
    acts("cert_file", Word),
    acts("priv_key_file", Word),
    acts("ca_list_file", Word),
    acts("verify_client", Boolean),
    acts("verify_server", Boolean),
    acts("allow_wildcard_certs", Boolean),
];

/// `[acl.*]`
pub(super) const ACL: &[Row] = &[acts("deny", Networks), acts("permit", Networks)];

/// `[auth.*]`, and `auth` and `outbound_auth` in place
pub(super) const AUTH: &[Row] = &[
    refused_unless(
        "auth_type",
        OneOf(&["userpass", "md5", "google_oauth", "digest"]),
        "userpass",
    ),
    acts("username", Word).required(),
    acts("password", Secret).required(),
    acts("realm", Word),
];

/// `[aor.*]`, and `aor` in place
pub(super) const AOR: &[Row] = &[
    acts("contact", Uris),
    acts("max_contacts", Integer(0, COUNT_MAX)),
    acts("remove_existing", Boolean),
    acts("minimum_expiration", Seconds),
    acts("maximum_expiration", Seconds),
    acts("default_expiration", Seconds),
    acts("qualify_frequency", Seconds),
    acts("qualify_timeout", Seconds),
];

/// `[endpoint.*]` and `[template.*]`
pub(super) const ENDPOINT: &[Row] = &[
    acts("use", OneOrMore("template")),
    acts("transport", Reference("transport")),
    acts("context", Reference("context")),
    acts("allow", Codecs),
    acts("auth", ReferenceOr("auth", AUTH)),
    acts("outbound_auth", ReferenceOr("auth", AUTH)),
    acts("aors", References("aor")),
    acts("aor", Inline(AOR)),
    acts("acl", References("acl")),
    acts("callerid", CallerId),
    acts("from_user", Word),
    acts("from_domain", Word),
    acts("contact_user", Word),
    acts("called_party", SomeOf(CalledParty::NAMES)),
    acts("callerid_privacy", OneOf(Presentation::NAMES)),
    acts("trust_id_inbound", Boolean),
    acts("trust_id_outbound", Boolean),
    acts("send_pai", Boolean),
    acts("send_rpid", Boolean),
    acts("send_diversion", Boolean),
    acts("send_history_info", Boolean),
    acts("rtp_symmetric", Boolean),
    acts("force_rport", Boolean),
    acts("rewrite_contact", Boolean),
    acts(
        "100rel",
        OneOf(&["no", "yes", "required", "peer_supported"]),
    ),
    acts("allow_transfer", Boolean),
    acts("call_group", Integers(0, 63)),
    acts("pickup_group", Integers(0, 63)),
    acts("named_call_group", Texts),
    acts("named_pickup_group", Texts),
    acts("redirect_method", OneOf(&["user", "uri_pjsip"])),
    acts(
        "dtmf_mode",
        OneOf(&["rfc4733", "inband", "info", "auto", "auto_info"]),
    ),
    acts("language", Word),
    acts("tone_zone", OneOf(TONE_ZONES)),
    acts("moh_suggest", Word),
    acts("comfort_noise", Boolean),
    acts("rtcp_mux", Boolean),
    acts("use_ptime", Boolean),
    acts("t38_udptl", Boolean),
    acts("max_calls", Integer(1, COUNT_MAX)),
    acts("cps", Rate),
    acts("direct_media", Boolean),
    acts(
        "timers",
        OneOf(&["no", "yes", "required", "always", "forced"]),
    ),
    acts("timers_min_se", Integer(90, 86_400)),
    acts("timers_sess_expires", Integer(90, 86_400)),
    later("mailboxes", Texts),
    later("subscribe_context", Reference("context")),
    acts("media_encryption", OneOf(&["no", "sdes"])),
    acts("media_encryption_optimistic", Boolean),
    acts("media_encryption_over_insecure_signalling", Boolean),
];

/// `[identify.*]`
pub(super) const IDENTIFY: &[Row] = &[
    acts("endpoint", Reference("endpoint")).required(),
    acts("match", Hosts),
    acts("match_header", HeaderMatch),
    acts("match_request_uri", TextMatch),
    acts("transport", Reference("transport")),
];

/// `[registration.*]`
pub(super) const REGISTRATION: &[Row] = &[
    acts("transport", Reference("transport")),
    acts("outbound_auth", ReferenceOr("auth", AUTH)),
    acts("server_uri", Uri).required(),
    acts("client_uri", Uri).required(),
    acts("contact_user", Word),
    acts("contact_header_params", Word),
    acts("outbound_proxy", Uri),
    acts("expiration", Seconds),
    acts("retry_interval", Seconds),
    acts("forbidden_retry_interval", Seconds),
    acts("fatal_retry_interval", Seconds),
    acts("max_retries", Integer(0, COUNT_MAX)),
    acts("auth_rejection_permanent", Boolean),
    acts("support_path", Boolean),
    acts("line", Boolean),
    acts("endpoint", Reference("endpoint")),
];

/// `[trunk_group.*]`
pub(super) const TRUNK_GROUP: &[Row] = &[
    acts("members", Tables(TRUNK_MEMBER)).required(),
    acts("failover_on", Integers(400, 599)),
    acts("response_timeout", Seconds),
];

/// One of `members`
pub(super) const TRUNK_MEMBER: &[Row] = &[
    acts("endpoint", Reference("endpoint")).required(),
    acts("priority", Integer(0, 65_535)),
    acts("weight", Integer(1, 65_535)),
];

const QUEUE_EMPTY: &[&str] = &["yes", "no", "strict", "loose"];

/// `[queue]`: general settings of queues.conf
pub(super) const QUEUE_GENERAL: &[Row] = &[
    later("persistentmembers", Boolean),
    later("autofill", Boolean),
    later("monitor-type", Word),
    later("shared_lastcall", Boolean),
    later("log_membername_as_agent", Boolean),
];

/// `[queue.*]`
pub(super) const QUEUE: &[Row] = &[
    later(
        "strategy",
        OneOf(&[
            "ringall",
            "leastrecent",
            "fewestcalls",
            "random",
            "rrmemory",
            "rrordered",
            "linear",
            "wrandom",
        ]),
    ),
    later("timeout", Seconds),
    later("member", Texts),
    later("announce-frequency", Seconds),
    later("announce-holdtime", OneOf(&["yes", "no", "once"])),
    later(
        "announce-position",
        OneOf(&["yes", "no", "limit", "more", "less"]),
    ),
    later("periodic-announce-frequency", Seconds),
    later("joinempty", OneOf(QUEUE_EMPTY)),
    later("leavewhenempty", OneOf(QUEUE_EMPTY)),
    later("ringinuse", Boolean),
    later("autofill", Boolean),
    later("monitor-type", Word),
];

/// `[voicemail]`: general settings of voicemail.conf
pub(super) const VOICEMAIL: &[Row] = &[
    later("format", Texts),
    later("serveremail", Word),
    later("attach", Boolean),
    later("maxmsg", Integer(1, 9999)),
    later("maxsecs", Seconds),
    later("maxgreet", Seconds),
    later("skipms", Integer(0, 3_600_000)),
    later("maxsilence", Seconds),
    later("silencethreshold", Integer(0, 32_767)),
    later("maxlogins", Integer(1, 1000)),
    later("emailsubject", Text),
    later("emailbody", Text),
    later("emaildateformat", Text),
    later("tz", Word),
    later("locale", Word),
    later("minpassword", Integer(0, 80)),
];

/// `[voicemail.box.*]`
pub(super) const VOICEMAIL_BOX: &[Row] = &[
    later("password", Secret),
    later("name", Text),
    later("email", Text),
    later("pager", Text),
    later("attach", Boolean),
    later("tz", Word),
    later("locale", Word),
];

/// Every section, in the order of the documentation.
pub(super) const SECTIONS: &[&str] = &[
    "global",
    "rtp",
    "admin",
    "bans",
    "transport",
    "acl",
    "auth",
    "aor",
    "endpoint",
    "template",
    "identify",
    "registration",
    "trunk_group",
    "sounds",
    "musiconhold",
    "recording",
    "globals",
    "context",
    "queue",
    "voicemail",
];

/// What to write in place of a name that users of Asterisk know: section, name, advice.
pub(super) const INSTEAD: &[(&str, &str, &str)] = &[
    (
        "endpoint",
        "disallow",
        "`allow` is the whole list, in order",
    ),
    (
        "endpoint",
        "type",
        "the section's name says it: [endpoint.NAME]",
    ),
    ("rtp", "rtpstart", "write ports = \"FIRST-LAST\""),
    ("rtp", "rtpend", "write ports = \"FIRST-LAST\""),
    ("auth", "auth", "write username and password"),
    ("global", "type", "the section's name says it: [global]"),
];
