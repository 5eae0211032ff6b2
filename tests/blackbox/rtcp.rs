//! The gateway's own RTCP as a peer sees it, read by RFC 3550 §6.4 with no code of the gateway.

use crate::lab::{Call, Codec, Side, Sound, Talk};
use crate::media::Peer;
use std::net::SocketAddrV4;

const TEXT: &str = "The birch canoe slid on the smooth planks, and four hours of steady work faced us. Glue the sheet \
    to the dark blue background; it is easy to tell the depth of a well. These days a chicken leg is a rare dish.";

/// Packet types (RFC 3550 §12.1).
const SR: u8 = 200;
const RR: u8 = 201;
const SDES: u8 = 202;
const BYE: u8 = 203;

/// One report block.
#[derive(Clone, Copy, Debug)]
struct Block {
    ssrc: u32,
    cumulative_lost: u32,
    highest: u32,
}

/// One compound packet.
#[derive(Clone, Debug, Default)]
struct Compound {
    types: Vec<u8>,
    /// SSRC of the sender of the first packet.
    sender: u32,
    /// RTP time stamp and packet count of a sender report.
    sent: Option<(u32, u32)>,
    blocks: Vec<Block>,
    /// SDES items' types.
    items: Vec<u8>,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl Compound {
    #[track_caller]
    fn read(mut bytes: &[u8]) -> Compound {
        let mut compound = Compound {
            sender: word(bytes, 4),
            ..Compound::default()
        };
        while !bytes.is_empty() {
            assert_eq!(bytes[0] >> 6, 2, "version");
            let length = 4 * (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])) + 1);
            let (packet, rest) = bytes.split_at(length);
            let (count, kind) = (usize::from(packet[0] & 31), packet[1]);
            compound.types.push(kind);
            let blocks = match kind {
                SR => {
                    compound.sent = Some((word(packet, 16), word(packet, 20)));
                    &packet[28..]
                }
                RR => &packet[8..],
                _ => &[],
            };
            let blocks = blocks.chunks_exact(24).take(count);
            compound.blocks.extend(blocks.map(|block| Block {
                ssrc: word(block, 0),
                cumulative_lost: word(block, 4) & 0x00ff_ffff,
                highest: word(block, 8),
            }));
            if kind == SDES {
                compound.items.push(packet[8]);
            }
            bytes = rest;
        }
        compound
    }
}

/// What a peer has got on the port beside its audio's.
fn reports(control: &Peer) -> Vec<Compound> {
    let packets = control.pending();
    packets
        .iter()
        .map(|packet| Compound::read(packet))
        .collect()
}

#[track_caller]
fn assert_reports(codecs: [Codec; 2]) {
    let speech = Sound::speech(TEXT);
    let call = Call::between(codecs.map(|codec| Side::of(codec, 20)));
    let hosts = [call.gateway.network.caller(), call.gateway.network.called()];
    let controls = hosts.map(|host| Peer::bind(SocketAddrV4::new(host, 6001)));
    let whole = codecs.map(|codec| Talk::new(codec, &speech, 20));
    let talks = [whole[0].clone().lose(0.05), whole[1].clone()];
    let lost = (whole[0].count() - talks[0].count()) as u32;
    let heard = call.talk([&talks[0], &talks[1]]);
    let during = controls.each_ref().map(reports);
    call.end();
    let after = controls.each_ref().map(reports);
    for side in 0..2 {
        let what = format!("side {side}: {:#?}", during[side]);
        assert!(
            during[side].len() >= 2,
            "a report each five seconds, and one sooner: {what}"
        );
        let packets = &heard[side].packets;
        let ours = word(&packets[0], 8);
        for compound in &during[side] {
            assert!([SR, RR].contains(&compound.types[0]), "{what}");
            assert!(
                compound.types.contains(&SDES) && compound.items == [1],
                "CNAME: {what}"
            );
            assert_eq!(compound.sender, ours, "the SSRC of the audio: {what}");
        }
        let last = &during[side][during[side].len() - 1];
        let [block] = last.blocks[..] else {
            panic!("one source, one block: {what}")
        };
        assert_eq!(block.ssrc, talks[side].ssrc(), "{what}");
        let (first, sent) = (talks[side].first_sequence(), whole[side].count() as u32);
        let seen = block.highest.wrapping_sub(first) & 0xffff;
        assert!(seen < sent && seen > sent / 4, "{seen} of {sent}: {what}");
        assert_eq!(
            block.highest >> 16,
            1,
            "the sequence numbers have rolled over once: {what}"
        );
        match side {
            0 => assert!(
                (1..=lost).contains(&block.cumulative_lost),
                "{lost} lost: {what}"
            ),
            _ => assert_eq!(block.cumulative_lost, 0, "{what}"),
        }
        let (_, count) = last
            .sent
            .unwrap_or_else(|| panic!("it sends, so it says what: {what}"));
        assert!(
            count as usize <= packets.len() && count as usize > packets.len() / 4,
            "{what}"
        );
        let byes = during[side].iter().chain(&after[side]);
        let byes = byes
            .filter(|compound| compound.types.contains(&BYE))
            .count();
        assert_eq!(byes, 1, "one BYE when the call ends: {:?}", after[side]);
    }
}

#[test]
fn each_side_of_a_relay_is_told_what_was_sent_and_what_was_lost() {
    assert_reports([Codec::Ulaw, Codec::Ulaw]);
}

#[test]
fn each_side_of_a_transcoded_call_is_told_what_was_sent_and_what_was_lost() {
    assert_reports([Codec::Ulaw, Codec::G722]);
}
