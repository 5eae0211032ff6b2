//! SIPp scenarios, written as steps.

use crate::gateway::{Gateway, PATIENCE, POLL};
use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// One side of a call, step by step.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    steps: String,
    sequence: u32,
}

const OUR_HEADERS: &str = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
    From: <sip:4930555@[local_ip]:[local_port]>;tag=[pid]x[call_number]\n\
    Call-ID: [call_id]\nMax-Forwards: 70\nContact: <sip:peer@[local_ip]:[local_port];transport=[transport]>\n";
/// A CANCEL has the branch of its INVITE (RFC 3261 §9.1).
const INVITE_BRANCH: &str = "z9hG4bK-[pid]-[call_number]-invite";
const COPIED_HEADERS: &str = "[last_Via:]\n[last_Record-Route:]\n[last_From:]\n[last_To:];tag=[pid]y[call_number]\n\
    [last_Call-ID:]\n[last_CSeq:]\nContact: <sip:peer@[local_ip]:[local_port];transport=[transport]>\n";
const COPIED_HEADERS_IN_DIALOG: &str = "[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n\
    Contact: <sip:peer@[local_ip]:[local_port];transport=[transport]>\n";

/// An audio description: what it says besides where.
#[derive(Clone, Copy, Debug)]
pub struct Sdp {
    /// Payload types of the m= line.
    pub formats: &'static str,
    /// The direction attribute.
    pub direction: &'static str,
    /// Where it wants its media: `[rtp_ip]` is the role's own address.
    pub at: &'static str,
    /// Session version.
    pub version: u32,
    /// More lines of attributes, each with its end.
    pub attributes: &'static str,
}

/// µ-law, both ways.
pub const AUDIO: Sdp = Sdp {
    formats: "0",
    direction: "sendrecv",
    at: "[rtp_ip]",
    version: 1,
    attributes: "",
};

impl Sdp {
    /// The keys `rtp_ip` and `rtp_port` come from the command line.
    fn body(&self) -> String {
        let Sdp {
            formats,
            direction,
            at,
            version,
            attributes,
        } = self;
        format!(
            "Content-Type: application/sdp\nContent-Length: [len]\n\nv=0\no=- 1 {version} IN IP4 [rtp_ip]\ns=-\n\
             c=IN IP4 {at}\nt=0 0\nm=audio [rtp_port] RTP/AVP {formats}\na={direction}\n{attributes}"
        )
    }
}

fn body(sdp: Option<Sdp>) -> String {
    sdp.map_or_else(|| "Content-Length: 0\n\n".to_owned(), |sdp| sdp.body())
}

impl Scenario {
    /// Nothing yet.
    pub fn new() -> Scenario {
        Scenario {
            steps: String::new(),
            sequence: 0,
        }
    }

    fn send(mut self, attributes: &str, message: &str) -> Scenario {
        let _ = write!(
            self.steps,
            "<send {attributes}><![CDATA[\n{message}]]></send>\n"
        );
        self
    }

    /// Any other step, as XML.
    pub fn raw(mut self, xml: &str) -> Scenario {
        self.steps.push_str(xml);
        self
    }

    /// INVITE that begins the call.
    pub fn invite(mut self, sdp: Option<Sdp>) -> Scenario {
        self.sequence += 1;
        let message = format!(
            "INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0\n{}\
             To: <sip:[service]@[remote_ip]:[remote_port]>\nCSeq: {} INVITE\n{}",
            OUR_HEADERS.replace("[branch]", INVITE_BRANCH),
            self.sequence,
            body(sdp)
        );
        self.send("retrans=\"500\"", &message)
    }

    /// A request within the call, from the caller's side.
    pub fn request(mut self, method: &str, sdp: Option<Sdp>) -> Scenario {
        self.sequence += u32::from(method != "ACK");
        let retransmit = if method == "ACK" {
            ""
        } else {
            "retrans=\"500\""
        };
        let message = format!(
            "{method} [next_url] SIP/2.0\n{OUR_HEADERS}[routes]\nTo: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]\n\
             CSeq: {} {method}\n{}",
            self.sequence,
            body(sdp)
        );
        self.send(retransmit, &message)
    }

    /// INFO with a digit, from the caller's side, and its answer.
    pub fn press(mut self, digit: char, ms: u32) -> Scenario {
        self.sequence += 1;
        let message = format!(
            "INFO [next_url] SIP/2.0\n{OUR_HEADERS}[routes]\nTo: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]\n\
             CSeq: {} INFO\nContent-Type: application/dtmf-relay\nContent-Length: [len]\n\n\
             Signal={digit}\nDuration={ms}\n",
            self.sequence
        );
        self.send("retrans=\"500\"", &message).expect(200)
    }

    /// CANCEL of the INVITE.
    pub fn cancel(self) -> Scenario {
        let message = format!(
            "CANCEL sip:[service]@[remote_ip]:[remote_port] SIP/2.0\n\
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={INVITE_BRANCH}\n\
             From: <sip:4930555@[local_ip]:[local_port]>;tag=[pid]x[call_number]\n\
             To: <sip:[service]@[remote_ip]:[remote_port]>\nCall-ID: [call_id]\nCSeq: {} CANCEL\nMax-Forwards: 70\n\
             Content-Length: 0\n\n",
            self.sequence
        );
        self.send("retrans=\"500\"", &message)
    }

    /// The ACK of a failure: same branch, To of the response.
    pub fn ack_failure(self) -> Scenario {
        let message = format!(
            "ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n\
             CSeq: {} ACK\nMax-Forwards: 70\nContent-Length: 0\n\n",
            self.sequence
        );
        self.send("", &message)
    }

    /// A response to the last request; the first in a call makes our tag.
    pub fn respond(self, status: &str, sdp: Option<Sdp>) -> Scenario {
        let retransmit = if status.starts_with('1') {
            ""
        } else {
            "retrans=\"500\""
        };
        let message = format!("SIP/2.0 {status}\n{COPIED_HEADERS}{}", body(sdp));
        self.send(retransmit, &message)
    }

    /// A response to a request within the call.
    pub fn respond_in_dialog(self, status: &str, sdp: Option<Sdp>) -> Scenario {
        let message = format!("SIP/2.0 {status}\n{COPIED_HEADERS_IN_DIALOG}{}", body(sdp));
        self.send("", &message)
    }

    /// BYE from the called side: its From and To are the INVITE's To and From (RFC 3261 §12.2.1.1).
    pub fn bye_from_called(self) -> Scenario {
        let message = "BYE [next_url] SIP/2.0\nVia: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
            From:[$to];tag=[pid]y[call_number]\nTo:[$from]\n[routes]\n[last_Call-ID:]\nCSeq: 1 BYE\nMax-Forwards: 70\n\
            Content-Length: 0\n\n";
        self.send("retrans=\"500\"", message)
    }

    /// Waits for a request.
    pub fn expect_request(self, method: &str) -> Scenario {
        self.raw(&format!("<recv request=\"{method}\" rrs=\"true\"/>\n"))
    }

    /// Waits for a response.
    pub fn expect(self, status: u16) -> Scenario {
        self.raw(&format!("<recv response=\"{status}\" rrs=\"true\"/>\n"))
    }

    /// Lets a response pass, if it comes.
    pub fn perhaps(self, status: u16) -> Scenario {
        self.raw(&format!(
            "<recv response=\"{status}\" optional=\"true\"/>\n"
        ))
    }

    /// Waits for a response whose body matches, and logs the audio port in it.
    pub fn expect_audio(self, status: u16) -> Scenario {
        self.raw(&format!(
            "<recv response=\"{status}\" rrs=\"true\"><action>{LOG_PORT}</action></recv>\n"
        ))
    }

    /// Waits for an INVITE with an offer, and logs the audio port in it.
    pub fn expect_offer(self) -> Scenario {
        self.raw(&format!("<recv request=\"INVITE\" rrs=\"true\"><action>{FROM_AND_TO}{LOG_PORT}</action></recv>\n"))
    }

    /// Does nothing for so long.
    pub fn pause_ms(self, milliseconds: u32) -> Scenario {
        self.raw(&format!("<pause milliseconds=\"{milliseconds}\"/>\n"))
    }

    fn xml(&self) -> String {
        let steps = &self.steps;
        // SIPp refuses a variable that is assigned and never used.
        let names =
            ["line", "port", "from", "to"].map(|name| (name, format!("assign_to=\"{name}\"")));
        let in_pair = steps.contains("assign_to=\"line,port\"");
        let used = names
            .iter()
            .filter(|(name, assigned)| steps.contains(assigned) || (in_pair && *name == "line"));
        let used: Vec<&str> = used.map(|(name, _)| *name).collect();
        let reference = match used.as_slice() {
            [] => String::new(),
            names => format!("<Reference variables=\"{}\"/>\n", names.join(",")),
        };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n\
             <scenario name=\"test\">\n{steps}{reference}</scenario>\n"
        )
    }
}

const LOG_PORT: &str = "<ereg regexp=\"m=audio ([0-9]+) \" search_in=\"body\" check_it=\"true\" \
    assign_to=\"line,port\"/><log message=\"port [$port]\"/>";
const FROM_AND_TO: &str = "<ereg regexp=\".*\" search_in=\"hdr\" header=\"From:\" assign_to=\"from\"/>\
    <ereg regexp=\".*\" search_in=\"hdr\" header=\"To:\" assign_to=\"to\"/>";

/// A running SIPp.
pub struct Sipp {
    process: Child,
    role: &'static str,
    folder: PathBuf,
}

/// Which side of the gateway a SIPp stands on, and how it runs.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// `caller`, `called` or what else; names its files.
    pub name: &'static str,
    /// Its SIP address.
    pub address: SocketAddrV4,
    /// Where its SDP says that its RTP is.
    pub rtp: SocketAddrV4,
    /// It begins calls.
    pub begins: bool,
    /// Where its calls go; the gateway if nothing is said.
    pub target: Option<SocketAddrV4>,
    /// The number that it calls.
    pub number: &'static str,
    /// How many calls.
    pub calls: u32,
    /// More options.
    pub more: &'static [&'static str],
}

impl Role {
    /// The calling trunk: one call, RTP on port 6000 of its own address.
    pub fn caller(gateway: &Gateway) -> Role {
        Role::at("caller", gateway.network.caller(), true)
    }

    /// The called trunk.
    pub fn called(gateway: &Gateway) -> Role {
        Role::at("called", gateway.network.called(), false)
    }

    /// Anybody else.
    pub fn at(name: &'static str, host: Ipv4Addr, begins: bool) -> Role {
        let (address, rtp) = (SocketAddrV4::new(host, 5060), SocketAddrV4::new(host, 6000));
        Role {
            name,
            address,
            rtp,
            begins,
            target: None,
            number: "4930123456",
            calls: 1,
            more: &[],
        }
    }

    /// The same for many calls.
    pub fn calls(self, calls: u32) -> Role {
        Role { calls, ..self }
    }

    /// The same with more options of SIPp.
    pub fn with(self, more: &'static [&'static str]) -> Role {
        Role { more, ..self }
    }

    /// Starts SIPp with the scenario; one that waits for calls listens when this returns.
    pub fn start(self, gateway: &Gateway, scenario: &Scenario) -> Sipp {
        let folder = gateway.folder.path().to_owned();
        let name = self.name;
        std::fs::write(folder.join(format!("{name}.xml")), scenario.xml())
            .expect("the scenario is written");
        // An earlier call of this role has told another port in there.
        let _ = std::fs::remove_file(folder.join(format!("{name}.log")));
        let screen = std::fs::File::create(folder.join(format!("{name}.screen")))
            .expect("a file for its screen");
        let mut command = Command::new("sipp");
        command
            .current_dir(&folder)
            .args(["-sf", &format!("{name}.xml")]);
        command.args([
            "-i",
            &self.address.ip().to_string(),
            "-p",
            &self.address.port().to_string(),
        ]);
        // SIPp binds a media port of its own for each process.
        let media_port = 7000 + 10 * (self.address.port() - 5060);
        command.args([
            "-mi",
            &self.address.ip().to_string(),
            "-mp",
            &media_port.to_string(),
        ]);
        command.args([
            "-key",
            "rtp_ip",
            &self.rtp.ip().to_string(),
            "-key",
            "rtp_port",
            &self.rtp.port().to_string(),
        ]);
        command.args([
            "-m",
            &self.calls.to_string(),
            "-timeout",
            "60",
            "-timeout_error",
            "-nostdin",
        ]);
        command.args(["-trace_err", "-error_file", &format!("{name}.errors")]);
        command.args(["-trace_msg", "-message_file", &format!("{name}.messages")]);
        command
            .args(["-trace_logs", "-log_file", &format!("{name}.log")])
            .args(self.more);
        if self.begins {
            let ours = SocketAddrV4::new(gateway.network.gateway(), 5060);
            let target = self.target.unwrap_or(ours);
            command.args(["-s", self.number, &target.to_string()]);
        }
        command
            .stdin(Stdio::null())
            .stdout(screen.try_clone().expect("a second handle"))
            .stderr(screen);
        let process = command
            .spawn()
            .expect("sipp runs (Debian: sip-tester; `make test` installs it)");
        let sipp = Sipp {
            process,
            role: name,
            folder,
        };
        if !self.begins {
            sipp.wait_until_bound(&self.address);
        }
        sipp
    }
}

impl Sipp {
    fn wait_until_bound(&self, address: &SocketAddrV4) {
        let wanted = format!(
            "{:08X}:{:04X}",
            u32::from_ne_bytes(address.ip().octets()),
            address.port()
        );
        let start = Instant::now();
        let bound = |table: &str| {
            std::fs::read_to_string(table)
                .unwrap_or_default()
                .contains(&wanted)
        };
        while !bound("/proc/net/udp") && !bound("/proc/net/tcp") {
            assert!(
                start.elapsed() < PATIENCE,
                "SIPp does not listen on {address}: {}",
                self.file("screen")
            );
            std::thread::park_timeout(POLL);
        }
    }

    /// One of its files.
    pub fn file(&self, ending: &str) -> String {
        let bytes =
            std::fs::read(self.folder.join(format!("{}.{ending}", self.role))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Every audio port that the gateway told it so far.
    pub fn ports(&self) -> Vec<u16> {
        let log = self.file("log");
        log.lines()
            .filter_map(|line| line.strip_prefix("port ")?.trim().parse().ok())
            .collect()
    }

    /// The gateway's audio port, once told.
    pub fn port(&self) -> u16 {
        let start = Instant::now();
        loop {
            if let Some(port) = self.ports().last() {
                return *port;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "no audio port was told\n{}",
                self.file("errors")
            );
            std::thread::park_timeout(POLL);
        }
    }

    /// The SIP messages that it received, in order.
    pub fn received(&self) -> Vec<String> {
        let text = self.file("messages");
        let blocks = text.split("-----------------------------------------------");
        let received = blocks.filter_map(|block| block.split_once("message received ["));
        received
            .filter_map(|(_, rest)| Some(rest.split_once("\n\n")?.1.trim_start().to_owned()))
            .collect()
    }

    /// Waits for its end, and fails with its errors if its scenario did not run through.
    pub fn finish(mut self) -> Vec<String> {
        let status = self.process.wait().expect("sipp ends");
        assert!(
            status.success(),
            "{} ended with {status}\n{}\n{}",
            self.role,
            self.file("errors"),
            self.file("screen")
        );
        self.received()
    }
}

impl Sipp {
    /// Waits for its end, however its calls went.
    pub fn wait(mut self) {
        self.process.wait().expect("sipp ends");
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
