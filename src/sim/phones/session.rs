//! One dialog of a telephone's, from its first INVITE on.

use crate::codec::Codec;
use crate::sdp::{self, Description, Direction, LocalMedia, OurOffer};
use crate::sip::Request;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{ClientTx, ServerTx};
use std::net::IpAddr;

const CODECS: [Codec; 2] = [Codec::Ulaw, Codec::Alaw];
const FIRST_RTP_PORT: u16 = 30_000;

/// See the module's comment.
pub(super) struct Session {
    pub number: u16,
    pub address: IpAddr,
    pub call_id: String,
    pub tag: String,
    pub stage: Stage,
    pub dialog: Option<Dialog>,
    /// The gateway's INVITE that waits for our final response, the first or a later one.
    pub asked: Option<(ServerTx, Request)>,
    /// Our offer or refresh that waits for its final response.
    pub ours: Option<ClientTx>,
    /// Our last INVITE had no offer: the gateway's is to be answered.
    pub owes_answer: bool,
    /// RSeq of the last response: ours to the gateway, or the gateway's to us.
    pub rseq: Option<u32>,
    pub version: u64,
    /// It has shown credentials.
    pub has_authorized: bool,
    /// It has asked for credentials.
    pub has_challenged: bool,
}

/// How far it has come.
pub(super) enum Stage {
    /// Our INVITE is out.
    Calling(ClientTx),
    /// Theirs is in.
    Called,
    /// Our 200 is out, and waits for its ACK.
    Answered,
    Up,
    Leaving,
    Done,
}

impl Session {
    pub fn new(
        number: u16,
        address: IpAddr,
        call_id: String,
        tag: String,
        stage: Stage,
    ) -> Session {
        Session {
            number,
            address,
            call_id,
            tag,
            stage,
            dialog: None,
            asked: None,
            ours: None,
            owes_answer: false,
            rseq: None,
            version: 1,
            has_authorized: false,
            has_challenged: false,
        }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up)
    }

    fn local(&mut self) -> LocalMedia {
        self.version += 1;
        LocalMedia {
            session_id: u64::from(self.number) + 1,
            version: self.version,
            address: self.address,
            port: FIRST_RTP_PORT + 2 * (self.number % 1000),
            keys: sdp::OurKeys::default(),
        }
    }

    /// An offer.
    pub fn offer(&mut self, direction: Direction) -> String {
        let formats = sdp::formats_for(&CODECS, true);
        self.local().offer(&OurOffer {
            formats: &formats,
            direction,
            ptime_ms: None,
            rtcp_mux: false,
        })
    }

    /// The answer to an offer; None if it has no codec of ours.
    pub fn answer(&mut self, offer: &Description) -> Option<String> {
        let formats = sdp::common_formats(&offer.audio()?.formats, &CODECS, true);
        let local = self.local();
        let ours = OurOffer {
            formats: &formats,
            direction: Direction::SendRecv,
            ptime_ms: None,
            rtcp_mux: false,
        };
        (!formats.is_empty()).then(|| sdp::answer(&local, offer, &ours))
    }

    /// Names the dialog as another one would in Replaces for the gateway.
    pub fn name(&self) -> Option<String> {
        let id = self.dialog.as_ref()?.id();
        Some(format!(
            "{};to-tag={};from-tag={}",
            id.call_id, id.remote_tag, id.local_tag
        ))
    }
}
