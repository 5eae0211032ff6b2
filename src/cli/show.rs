//! `ringway show WHAT`.

mod call;

use super::client::segment;
use super::output::{print, table};
use super::{Failure, Gateway};
use crate::admin::rows::DialplanRow;
use crate::link::query::{
    BanRow, CallRow, ContactRow, EndpointRow, MediaRow, RegistrationRow, RoomRow, StrangerRow,
    TransportRow, WorkerRow,
};
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    gateway: Gateway,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Configured endpoints
    Endpoints,
    /// Static and registered contacts
    Contacts,
    /// Running calls
    Calls,
    /// All that is known of one call
    Call {
        /// Its id, as `show calls` has it
        id: String,
    },
    /// Who is in which conference or page
    Rooms,
    /// Our registrations at other registrars
    Registrations,
    /// SIP listeners
    Transports,
    /// Sources that are not heard
    Bans,
    /// Sources whose requests were refused lately
    Strangers,
    /// Media workers
    Workers,
    /// Extensions and their steps
    Dialplan {
        /// Only this context
        context: Option<String>,
    },
}

/// Prints the table, or the JSON that the gateway gave.
pub fn show(args: &ShowArgs) -> Result<(), Failure> {
    match &args.what {
        What::Endpoints => args.print("/api/v1/endpoints", ENDPOINTS, endpoint),
        What::Contacts => args.print("/api/v1/contacts", CONTACTS, contact),
        What::Calls => args.print("/api/v1/calls", CALLS, call),
        What::Call { id } => args.print_call(id),
        What::Rooms => args.print("/api/v1/rooms", ROOMS, room),
        What::Registrations => args.print("/api/v1/registrations", REGISTRATIONS, registration),
        What::Transports => args.print("/api/v1/transports", TRANSPORTS, transport),
        What::Bans => args.print("/api/v1/bans", BANS, ban),
        What::Strangers => args.print("/api/v1/strangers", STRANGERS, stranger),
        What::Workers => args.print("/api/v1/workers", WORKERS, worker),
        What::Dialplan { context } => {
            let query = context
                .as_deref()
                .map(|name| format!("?context={}", segment(name)));
            let path = format!("/api/v1/dialplan{}", query.unwrap_or_default());
            args.print(&path, DIALPLAN, extension)
        }
    }
}

impl ShowArgs {
    fn print_call(&self, id: &str) -> Result<(), Failure> {
        let path = format!("/api/v1/calls/{}", segment(id));
        if self.json {
            let detail: Value = self.gateway.get(&path)?;
            print(&format!("{detail:#}\n"));
        } else {
            print(&call::text(self.gateway.get(&path)?));
        }
        Ok(())
    }

    fn print<T: DeserializeOwned>(
        &self,
        path: &str,
        header: &[&str],
        row: fn(T) -> Vec<String>,
    ) -> Result<(), Failure> {
        if self.json {
            let rows: Value = self.gateway.get(path)?;
            print(&format!("{rows:#}\n"));
        } else {
            let rows: Vec<T> = self.gateway.get(path)?;
            let rows: Vec<Vec<String>> = rows.into_iter().map(row).collect();
            print(&table(header, &rows));
        }
        Ok(())
    }
}

const NONE: &str = "-";

fn list(items: &[String]) -> String {
    if items.is_empty() {
        NONE.into()
    } else {
        items.join(",")
    }
}

const ENDPOINTS: &[&str] = &[
    "ENDPOINT",
    "CONTEXT",
    "TRANSPORT",
    "CALLS",
    "ALLOW",
    "CONTACTS",
    "IDENTIFIED BY",
];

fn endpoint(row: EndpointRow) -> Vec<String> {
    vec![
        row.name,
        row.context,
        row.transport.unwrap_or_else(|| NONE.into()),
        row.calls.to_string(),
        list(&row.allow),
        list(&row.contacts),
        list(&row.identified_by),
    ]
}

const CONTACTS: &[&str] = &[
    "AOR",
    "CONTACT",
    "SOURCE",
    "STATUS",
    "RTT",
    "EXPIRES",
    "USER AGENT",
];

fn contact(row: ContactRow) -> Vec<String> {
    vec![
        row.aor,
        row.uri,
        row.source.unwrap_or_else(|| NONE.into()),
        row.status,
        row.rtt_ms
            .map_or_else(|| NONE.into(), |ms| format!("{ms:.1} ms")),
        row.expires_in_s.map_or_else(|| NONE.into(), duration),
        Some(row.user_agent)
            .filter(|agent| !agent.is_empty())
            .unwrap_or_else(|| NONE.into()),
    ]
}

const BANS: &[&str] = &["SOURCE", "SINCE", "ENDS IN", "TIMES"];

fn ban(row: BanRow) -> Vec<String> {
    vec![
        row.source,
        duration(row.age_s),
        duration(row.left_s),
        row.times.to_string(),
    ]
}

const STRANGERS: &[&str] = &[
    "SOURCE", "REQUESTS", "FIRST", "LAST", "REASON", "METHOD", "FROM", "NEXT TO",
];

fn stranger(row: StrangerRow) -> Vec<String> {
    let or_none = |text: String| if text.is_empty() { NONE.into() } else { text };
    vec![
        row.source,
        row.requests.to_string(),
        duration(row.first_s),
        duration(row.last_s),
        row.reason,
        or_none(row.method),
        or_none(row.from),
        row.beside.unwrap_or_else(|| NONE.into()),
    ]
}

const CALLS: &[&str] = &[
    "ID",
    "STATE",
    "FROM",
    "TO",
    "CALLER",
    "CALLED",
    "CONTEXT",
    "AGE",
    "UP",
    "RTP PORTS",
    "RTP SOURCES",
    "CODECS",
    "LOST",
    "MOS",
];

fn call(row: CallRow) -> Vec<String> {
    let ports: Vec<String> = row.rtp_ports.iter().map(u16::to_string).collect();
    vec![
        row.id,
        row.state,
        row.from_endpoint,
        row.to_endpoint.unwrap_or_else(|| NONE.into()),
        row.caller,
        row.called,
        row.context,
        duration(row.age_s),
        row.up_s.map_or_else(|| NONE.into(), duration),
        list(&ports),
        each(&row.media, |media| media.source.clone()),
        each(&row.media, |media| media.codec.clone()),
        each(&row.media, |media| Some(media.lost_in.to_string())),
        each(&row.media, |media| media.mos.map(|mos| format!("{mos:.1}"))),
    ]
}

const ROOMS: &[&str] = &["ROOM", "CALL", "ENDPOINT", "CALLER", "TALKS", "AGE"];

fn room(row: RoomRow) -> Vec<String> {
    let talks = if row.talks { "yes" } else { "no" };
    vec![
        row.room,
        row.call,
        row.endpoint,
        row.caller,
        talks.into(),
        duration(row.age_s),
    ]
}

/// A cell with something of each leg.
fn each(media: &[MediaRow], say: impl Fn(&MediaRow) -> Option<String>) -> String {
    let said = media
        .iter()
        .map(|leg| say(leg).unwrap_or_else(|| NONE.into()));
    list(&said.collect::<Vec<String>>())
}

const REGISTRATIONS: &[&str] = &[
    "REGISTRATION",
    "STATE",
    "CLIENT",
    "SERVER",
    "REGISTRAR",
    "SINCE",
    "EXPIRES IN",
    "RETRY IN",
    "LAST ERROR",
];

fn registration(row: RegistrationRow) -> Vec<String> {
    let time = |seconds: Option<u64>| seconds.map_or_else(|| NONE.into(), duration);
    let text = |text: Option<String>| text.unwrap_or_else(|| NONE.into());
    vec![
        row.name,
        row.state,
        row.client_uri,
        row.server_uri,
        text(row.registrar),
        time(row.registered_s),
        time(row.expires_in_s),
        time(row.retry_in_s),
        text(row.last_error),
    ]
}

const TRANSPORTS: &[&str] = &["TRANSPORT", "PROTOCOL", "LISTEN", "CONNECTIONS"];

fn transport(row: TransportRow) -> Vec<String> {
    let connections = match row.protocol.as_str() {
        "udp" => NONE.into(),
        _ => row.connections.to_string(),
    };
    vec![row.name, row.protocol, row.listen, connections]
}

const WORKERS: &[&str] = &[
    "WORKER", "CORE", "PORTS", "LEGS", "IN", "OUT", "DROPPED", "BUSY", "P50", "P99", "P99.9",
];

/// One row; `status` prints it too.
pub fn worker(row: WorkerRow) -> Vec<String> {
    let (p50, p99, p999) = row.latency_us;
    vec![
        row.worker.to_string(),
        row.core
            .map_or_else(|| NONE.into(), |core| core.to_string()),
        format!("{}-{}", row.ports.0, row.ports.1),
        row.legs.to_string(),
        row.packets_in.to_string(),
        row.packets_out.to_string(),
        row.dropped.to_string(),
        format!("{:.0}%", row.busy * 100.0),
        microseconds(p50),
        microseconds(p99),
        microseconds(p999),
    ]
}

/// The table of workers.
pub fn workers(rows: Vec<WorkerRow>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().map(worker).collect();
    table(WORKERS, &rows)
}

const DIALPLAN: &[&str] = &["CONTEXT", "EXTENSION", "STEPS"];

fn extension(row: DialplanRow) -> Vec<String> {
    match row.extension {
        Some(extension) => vec![row.context, extension, row.steps.join(" → ")],
        None => vec![row.context, "include".into(), row.steps.join(" ")],
    }
}

fn microseconds(us: f64) -> String {
    if us >= 10_000.0 {
        format!("{:.1} ms", us / 1000.0)
    } else {
        format!("{us:.0} µs")
    }
}

/// `1:02:03`, or `2:03` below an hour.
pub fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_clock() {
        assert_eq!(duration(0), "0:00");
        assert_eq!(duration(59), "0:59");
        assert_eq!(duration(3599), "59:59");
        assert_eq!(duration(3661), "1:01:01");
        assert_eq!(duration(90_000), "25:00:00");
    }

    #[test]
    fn a_registration_that_failed_says_why_and_when_it_is_tried_again() {
        let cells = registration(RegistrationRow {
            name: "telekom".into(),
            server_uri: "sip:tel.t-online.de".into(),
            client_uri: "sip:+49301@tel.t-online.de".into(),
            state: "rejected".into(),
            registrar: None,
            registered_s: None,
            expires_in_s: None,
            retry_in_s: Some(61),
            last_error: Some("403 Forbidden".into()),
        });
        assert_eq!(cells.len(), REGISTRATIONS.len());
        assert_eq!(cells[1..2], ["rejected"]);
        assert_eq!(cells[4..], ["-", "-", "-", "1:01", "403 Forbidden"]);
    }

    #[test]
    fn a_call_not_yet_answered_has_dashes() {
        let cells = call(CallRow {
            id: "c1".into(),
            state: "ringing".into(),
            from_endpoint: "trunk".into(),
            to_endpoint: None,
            caller: "100".into(),
            called: "200".into(),
            context: "in".into(),
            age_s: 5,
            up_s: None,
            rtp_ports: vec![20000, 20002],
            rtp_sources: vec![],
            media: vec![
                MediaRow {
                    codec: Some("ulaw".into()),
                    source: Some("192.0.2.1:4000".into()),
                    lost_in: 3,
                    mos: Some(4.26),
                    ..MediaRow::default()
                },
                MediaRow::default(),
            ],
        });
        let wanted = [
            "c1",
            "ringing",
            "trunk",
            "-",
            "100",
            "200",
            "in",
            "0:05",
            "-",
            "20000,20002",
            "192.0.2.1:4000,-",
            "ulaw,-",
            "3,0",
            "4.3,-",
        ];
        assert_eq!(cells, wanted);
        assert_eq!(cells.len(), CALLS.len());
    }
}
