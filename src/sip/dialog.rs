//! Dialogs (RFC 3261 §12): who the two ends are, over which proxies they talk, and in which order.
//!
//! ```text
//!            101-199 with a To tag                 2xx
//!   INVITE ───────────────────────► Early ───────────────► Confirmed ── BYE ──► dropped by its owner
//!        └──────────────────────── 2xx ───────────────────────▲
//! ```
//!
//! A dialog writes the requests that go inside it and judges those that come. It sends nothing; Contact and
//! whatever else a request is to carry is the owner's.

use super::message::{Headers, Method, NameAddr, Request, RequestDraft, Response, Uri};

/// The highest sequence number (RFC 3261 §8.1.1.5).
const CSEQ_MAX: u32 = (1 << 31) - 1;

/// What a dialog is known by, seen from our end (RFC 3261 §12).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DialogId {
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// The peer's tag; empty for a peer of RFC 2543 that gives none.
    pub remote_tag: String,
}

impl DialogId {
    /// The dialog that a request from the peer is for; None if it is outside of any, without a To tag.
    pub fn of_request(request: &Request) -> Option<DialogId> {
        let headers = request.headers();
        Some(DialogId {
            call_id: headers.call_id().to_owned(),
            local_tag: headers.to_tag()?.to_owned(),
            remote_tag: headers.from_tag().unwrap_or_default().to_owned(),
        })
    }

    /// The dialog that a response to a request of ours is in, or makes.
    pub fn of_response(response: &Response) -> DialogId {
        let headers = response.headers();
        DialogId {
            call_id: headers.call_id().to_owned(),
            local_tag: headers.from_tag().unwrap_or_default().to_owned(),
            remote_tag: headers.to_tag().unwrap_or_default().to_owned(),
        }
    }
}

/// How far a dialog has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialogState {
    /// Made by a provisional response.
    Early,
    /// Made or confirmed by a 2xx.
    Confirmed,
}

/// A request came out of order: its CSeq is lower than that of one before. Answer 500 (RFC 3261 §12.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("CSeq {came} after {last}")]
pub struct OutOfOrder {
    /// The number that came.
    pub came: u32,
    /// The highest one before.
    pub last: u32,
}

/// One end of a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    id: DialogId,
    state: DialogState,
    /// Our From, tag and all.
    local: String,
    /// Our To, tag and all.
    remote: String,
    /// The number of our last request; 0 before the first.
    local_cseq: u32,
    /// The number of the peer's last request.
    remote_cseq: Option<u32>,
    /// Values for Route, the nearest proxy first.
    route_set: Vec<String>,
    remote_target: Uri,
}

impl Dialog {
    /// The dialog that our answer with `local_tag` to this request makes (RFC 3261 §12.1.1). It is Early until
    /// [`Dialog::confirm`]. None if the request has no Contact: answer 400.
    pub fn uas(request: &Request, local_tag: &str) -> Option<Dialog> {
        let headers = request.headers();
        let remote_target = headers.contact()?.uri;
        let (to, from) = (headers.get("To")?, headers.get("From")?);
        let local = match headers.to_tag() {
            Some(_) => to.to_owned(),
            None => format!("{to};tag={local_tag}"),
        };
        Some(Dialog {
            id: DialogId {
                call_id: headers.call_id().to_owned(),
                local_tag: headers.to_tag().unwrap_or(local_tag).to_owned(),
                remote_tag: headers.from_tag().unwrap_or_default().to_owned(),
            },
            state: DialogState::Early,
            local,
            remote: from.to_owned(),
            local_cseq: 0,
            remote_cseq: Some(headers.cseq().number),
            route_set: record_route(headers).collect(),
            remote_target,
        })
    }

    /// The dialog that this response to our request makes (RFC 3261 §12.1.2): Early by a 101 to 199 with a To tag,
    /// Confirmed by a 2xx. None for any other. `request_uri` is the target where the response has no Contact.
    pub fn uac(response: &Response, request_uri: &Uri) -> Option<Dialog> {
        let headers = response.headers();
        let state = match response.status() {
            101..200 if headers.to_tag().is_some() => DialogState::Early,
            200..300 => DialogState::Confirmed,
            _ => return None,
        };
        let target = headers.contact().map(|contact| contact.uri);
        Some(Dialog {
            id: DialogId::of_response(response),
            state,
            local: headers.get("From")?.to_owned(),
            remote: headers.get("To")?.to_owned(),
            local_cseq: headers.cseq().number,
            remote_cseq: None,
            route_set: reversed_record_route(headers),
            remote_target: target.unwrap_or_else(|| request_uri.clone()),
        })
    }

    /// Call-ID and tags.
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// How far it has come.
    pub fn state(&self) -> DialogState {
        self.state
    }

    /// The number of the peer's last request; None before the first.
    pub fn remote_cseq(&self) -> Option<u32> {
        self.remote_cseq
    }

    /// Our From as it goes on our requests, with our tag.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The peer as it goes on our requests' To, with its tag.
    pub fn remote(&self) -> &str {
        &self.remote
    }

    /// Where the peer wants its requests: its Contact.
    pub fn remote_target(&self) -> &Uri {
        &self.remote_target
    }

    /// Sets another target, as for a peer behind a NAT whose Contact cannot be reached.
    pub fn set_remote_target(&mut self, target: Uri) {
        self.remote_target = target;
    }

    /// Values for Route, the nearest proxy first.
    pub fn route_set(&self) -> &[String] {
        &self.route_set
    }

    /// True if this request of the peer is for this dialog.
    pub fn matches(&self, request: &Request) -> bool {
        let headers = request.headers();
        headers.call_id() == self.id.call_id
            && headers.to_tag() == Some(&self.id.local_tag)
            && headers.from_tag().unwrap_or_default() == self.id.remote_tag
    }

    /// We have sent a 2xx to the INVITE that made this dialog.
    pub fn confirm(&mut self) {
        self.state = DialogState::Confirmed;
    }

    /// Takes note of a response to our request in this dialog: a 2xx to the INVITE that made it confirms it and gives
    /// its final route set (RFC 3261 §13.2.2.4); a 2xx to an INVITE or UPDATE moves the target (§12.2.1.2).
    pub fn receive_response(&mut self, response: &Response) {
        let headers = response.headers();
        let method = headers.cseq().method;
        if !(200..300).contains(&response.status()) || !refreshes_target(&method) {
            return;
        }
        if self.state == DialogState::Early && method == Method::Invite {
            self.state = DialogState::Confirmed;
            self.route_set = reversed_record_route(headers);
        }
        if let Some(contact) = headers.contact() {
            self.remote_target = contact.uri;
        }
    }

    /// Takes note of a request of the peer in this dialog, but ACK and CANCEL, whose CSeq is their INVITE's. An INVITE
    /// or UPDATE moves the target (RFC 3261 §12.2.2).
    ///
    /// # Errors
    /// [`OutOfOrder`]: answer 500; nothing has changed.
    pub fn receive_request(&mut self, request: &Request) -> Result<(), OutOfOrder> {
        if matches!(request.method(), Method::Ack | Method::Cancel) {
            return Ok(());
        }
        let came = request.headers().cseq().number;
        match self.remote_cseq {
            Some(last) if came < last => return Err(OutOfOrder { came, last }),
            _ => self.remote_cseq = Some(came),
        }
        if refreshes_target(request.method())
            && let Some(contact) = request.headers().contact()
        {
            self.remote_target = contact.uri;
        }
        Ok(())
    }

    /// A new request inside the dialog, with the next CSeq (RFC 3261 §12.2.1.1). Never for ACK ([`Dialog::ack`]) or
    /// CANCEL.
    pub fn request(&mut self, method: Method) -> RequestDraft {
        // It wraps after 2^31 requests; no call lives that long.
        self.local_cseq = self.local_cseq % CSEQ_MAX + 1;
        self.draft(method, self.local_cseq)
    }

    /// The ACK of a 2xx to our INVITE, with that INVITE's CSeq (RFC 3261 §13.2.2.4). Its credentials, if the INVITE
    /// had any, are the owner's to add.
    pub fn ack(&self, response: &Response) -> RequestDraft {
        self.draft(Method::Ack, response.headers().cseq().number)
    }

    /// The URI that decides where our requests go (RFC 3261 §8.1.2): the first proxy, else the target.
    pub fn next_hop(&self) -> Uri {
        let first = self.route_set.first();
        first
            .and_then(|route| NameAddr::parse(route))
            .map_or_else(|| self.remote_target.clone(), |route| route.uri)
    }

    fn draft(&self, method: Method, cseq: u32) -> RequestDraft {
        let cseq = format!("{cseq} {method}");
        let (uri, routes) = self.uri_and_routes();
        let draft = RequestDraft::new(method, uri);
        let draft = routes
            .iter()
            .fold(draft, |draft, route| draft.header("Route", route));
        draft
            .header("From", &self.local)
            .header("To", &self.remote)
            .header("Call-ID", &self.id.call_id)
            .header("CSeq", cseq)
    }

    /// Request-URI and Route values (RFC 3261 §12.2.1.1).
    fn uri_and_routes(&self) -> (String, Vec<String>) {
        let target = self.remote_target.to_string();
        let first = self.route_set.first();
        let strict = first
            .and_then(|route| NameAddr::parse(route))
            .filter(|route| route.uri.param("lr").is_none());
        match strict {
            None => (target, self.route_set.clone()),
            Some(mut first) => {
                // A strict router of RFC 2543: its URI is the Request-URI, the target goes to the end of the route.
                first.uri.headers.clear();
                let rest = self.route_set.iter().skip(1).cloned();
                let routes = rest.chain([format!("<{target}>")]).collect();
                (first.uri.to_string(), routes)
            }
        }
    }
}

/// RFC 3261 §6 and RFC 3311 §5.1: the requests that move the target.
fn refreshes_target(method: &Method) -> bool {
    matches!(method, Method::Invite | Method::Update)
}

fn record_route(headers: &Headers) -> impl Iterator<Item = String> {
    headers.values("Record-Route").map(str::to_owned)
}

/// As the client sees it: the proxy that is nearest to us wrote its line first, so it stands last.
fn reversed_record_route(headers: &Headers) -> Vec<String> {
    let mut routes: Vec<String> = record_route(headers).collect();
    routes.reverse();
    routes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    fn message(start: &str, extra: &str) -> Message {
        let is_response = start.starts_with("SIP/2.0");
        let method = if is_response {
            "INVITE"
        } else {
            start.split(' ').next().unwrap_or("")
        };
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nMax-Forwards: 70\r\nFrom: \"A\" <sip:a@h>;tag=from\r\n\
             Call-ID: c\r\n{extra}{}\r\n",
            if extra.contains("CSeq") {
                String::new()
            } else {
                format!("CSeq: 7 {method}\r\n")
            }
        );
        Message::parse(text.into_bytes().into()).expect("it parses")
    }

    fn request(start: &str, extra: &str) -> Request {
        match message(start, extra) {
            Message::Request(request) => request,
            Message::Response(_) => panic!("it is a response"),
        }
    }

    fn response(status: u16, extra: &str) -> Response {
        match message(&format!("SIP/2.0 {status} X"), extra) {
            Message::Response(response) => response,
            Message::Request(_) => panic!("it is a request"),
        }
    }

    fn uri(text: &str) -> Uri {
        Uri::parse(text).expect("it is a URI")
    }

    /// Start line and header lines but Via and Max-Forwards.
    fn written(draft: &RequestDraft) -> String {
        let bytes = draft.write("SIP/2.0/UDP h");
        let text = String::from_utf8_lossy(&bytes);
        let keep = |line: &&str| {
            !["Via", "Max-Forwards", "Content-Length"]
                .iter()
                .any(|name| line.starts_with(name))
        };
        text.trim_end()
            .split("\r\n")
            .filter(keep)
            .collect::<Vec<_>>()
            .join("\n")
    }

    const TO: &str = "To: <sip:b@h>;tag=to\r\n";

    #[test]
    fn a_uas_dialog_takes_route_target_and_sequence_from_the_request() {
        let invite = request(
            "INVITE sip:b@h SIP/2.0",
            "To: <sip:b@h>\r\nContact: <sip:a@1.2.3.4:5062>\r\nRecord-Route: <sip:p1;lr>, <sip:p2;lr>\r\nRecord-Route: <sip:p3;lr>\r\n",
        );
        let mut dialog = Dialog::uas(&invite, "ours").expect("it has a Contact");
        assert_eq!(dialog.state(), DialogState::Early);
        dialog.confirm();
        assert_eq!(dialog.state(), DialogState::Confirmed);
        assert_eq!(
            dialog.id(),
            &DialogId {
                call_id: "c".into(),
                local_tag: "ours".into(),
                remote_tag: "from".into()
            }
        );
        assert_eq!(dialog.next_hop(), uri("sip:p1;lr"));
        assert_eq!(
            written(&dialog.request(Method::Bye)),
            "BYE sip:a@1.2.3.4:5062 SIP/2.0\nRoute: <sip:p1;lr>\nRoute: <sip:p2;lr>\nRoute: <sip:p3;lr>\n\
             From: <sip:b@h>;tag=ours\nTo: \"A\" <sip:a@h>;tag=from\nCall-ID: c\nCSeq: 1 BYE"
        );
        assert!(written(&dialog.request(Method::Info)).contains("CSeq: 2 INFO"));
        let without = request("INVITE sip:b@h SIP/2.0", "To: <sip:b@h>\r\n");
        assert_eq!(Dialog::uas(&without, "ours"), None);
    }

    #[test]
    fn a_uac_dialog_reverses_the_route_and_goes_on_counting() {
        let ok = response(
            200,
            &format!("{TO}Contact: <sip:b@5.6.7.8>\r\nRecord-Route: <sip:p1;lr>,<sip:p2;lr>\r\n"),
        );
        let mut dialog = Dialog::uac(&ok, &uri("sip:b@h")).expect("a 2xx makes one");
        assert_eq!(dialog.id(), &DialogId::of_response(&ok));
        assert_eq!(dialog.state(), DialogState::Confirmed);
        assert_eq!(dialog.next_hop(), uri("sip:p2;lr"));
        assert_eq!(
            written(&dialog.ack(&ok)),
            "ACK sip:b@5.6.7.8 SIP/2.0\nRoute: <sip:p2;lr>\nRoute: <sip:p1;lr>\n\
             From: \"A\" <sip:a@h>;tag=from\nTo: <sip:b@h>;tag=to\nCall-ID: c\nCSeq: 7 ACK"
        );
        assert!(written(&dialog.request(Method::Bye)).ends_with("CSeq: 8 BYE"));
    }

    #[test]
    fn which_responses_make_a_dialog() {
        let target = uri("sip:b@h");
        for (status, to, state) in [
            (100, TO, None),
            (180, TO, Some(DialogState::Early)),
            (183, "To: <sip:b@h>\r\n", None),
            (200, TO, Some(DialogState::Confirmed)),
            // RFC 3261 §12.1.2: a peer of RFC 2543 may give no tag.
            (200, "To: <sip:b@h>\r\n", Some(DialogState::Confirmed)),
            (302, TO, None),
            (486, TO, None),
        ] {
            let dialog = Dialog::uac(&response(status, to), &target);
            assert_eq!(dialog.as_ref().map(Dialog::state), state, "{status} {to}");
            assert!(
                dialog.is_none_or(|dialog| *dialog.remote_target() == target),
                "no Contact"
            );
        }
    }

    #[test]
    fn the_2xx_confirms_and_recomputes_the_route() {
        let early = response(
            180,
            &format!("{TO}Contact: <sip:b@early>\r\nRecord-Route: <sip:p1;lr>\r\n"),
        );
        let mut dialog = Dialog::uac(&early, &uri("sip:b@h")).expect("it has a tag");
        dialog.receive_response(&response(
            200,
            &format!("{TO}Contact: <sip:b@late>\r\nRecord-Route: <sip:p2;lr>\r\n"),
        ));
        assert_eq!(dialog.state(), DialogState::Confirmed);
        assert_eq!(dialog.route_set(), ["<sip:p2;lr>"]);
        assert_eq!(dialog.remote_target(), &uri("sip:b@late"));
        // A re-INVITE moves the target, never the route; a failure and a BYE move nothing.
        let again = format!("{TO}Contact: <sip:b@moved>\r\nRecord-Route: <sip:p9;lr>\r\n");
        dialog.receive_response(&response(200, &again));
        assert_eq!(dialog.route_set(), ["<sip:p2;lr>"]);
        assert_eq!(dialog.remote_target(), &uri("sip:b@moved"));
        for (status, cseq) in [(488, "CSeq: 9 INVITE\r\n"), (200, "CSeq: 9 BYE\r\n")] {
            let other = format!("{TO}{cseq}Contact: <sip:b@nowhere>\r\n");
            dialog.receive_response(&response(status, &other));
            assert_eq!(dialog.remote_target(), &uri("sip:b@moved"));
        }
    }

    #[test]
    fn requests_in_order_move_the_target_and_others_are_refused() {
        let to = "To: <sip:b@h>;tag=ours\r\n";
        let invite = request(
            "INVITE sip:b@h SIP/2.0",
            "To: <sip:b@h>\r\nContact: <sip:a@1>\r\n",
        );
        let mut dialog = Dialog::uas(&invite, "ours").expect("it has a Contact");
        for (start, cseq, result, target) in [
            ("INVITE", 8, Ok(()), "sip:a@8"),
            ("UPDATE", 9, Ok(()), "sip:a@9"),
            ("INFO", 10, Ok(()), "sip:a@9"),
            (
                "INVITE",
                9,
                Err(OutOfOrder { came: 9, last: 10 }),
                "sip:a@9",
            ),
            ("ACK", 8, Ok(()), "sip:a@9"),
            ("BYE", 1_000, Ok(()), "sip:a@9"),
        ] {
            let extra = format!("{to}CSeq: {cseq} {start}\r\nContact: <sip:a@{cseq}>\r\n");
            let came = request(&format!("{start} sip:b@h SIP/2.0"), &extra);
            assert!(dialog.matches(&came));
            assert_eq!(DialogId::of_request(&came).as_ref(), Some(dialog.id()));
            assert_eq!(dialog.receive_request(&came), result, "{start} {cseq}");
            assert_eq!(dialog.remote_target(), &uri(target), "{start} {cseq}");
        }
        let other = request("BYE sip:b@h SIP/2.0", "To: <sip:b@h>;tag=other\r\n");
        assert!(!dialog.matches(&other));
        assert_eq!(DialogId::of_request(&invite), None);
    }

    #[test]
    fn a_strict_router_gets_its_uri_as_request_uri() {
        let ok = response(
            200,
            &format!("{TO}Contact: <sip:b@5.6.7.8>\r\nRecord-Route: <sip:p1;lr>,<sip:p2>\r\n"),
        );
        let mut dialog = Dialog::uac(&ok, &uri("sip:b@h")).expect("a 2xx makes one");
        assert_eq!(dialog.next_hop(), uri("sip:p2"));
        let bye = written(&dialog.request(Method::Bye));
        assert!(
            bye.starts_with("BYE sip:p2 SIP/2.0\nRoute: <sip:p1;lr>\nRoute: <sip:b@5.6.7.8>\nFrom"),
            "{bye}"
        );
        dialog.set_remote_target(uri("sip:b@9.9.9.9:5080"));
        assert!(written(&dialog.request(Method::Bye)).contains("Route: <sip:b@9.9.9.9:5080>"));
    }
}
