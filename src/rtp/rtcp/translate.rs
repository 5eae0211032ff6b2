//! Compound packets translated in place from one side's SSRCs to the other's.
//!
//! A relay that keeps one SSRC towards a listener while the speakers behind it change must translate what they report,
//! as RFC 3550 §7.2 asks of a translator that changes the data: senders' SSRCs, the RTP time stamps of sender reports and
//! the sources and sequence numbers of report blocks. What it cannot translate does not pass: other packet types (APP,
//! feedback, XR), the reports' profile-specific ends, blocks about strangers. Neither does what would tell one side about
//! the other: a CNAME often is `user@address`, so that ours stands in its place, and all other SDES items and the reason
//! of a BYE are left out.

use super::{
    BLOCK_LEN, GOODBYE, HEADER_LEN, ITEM_CNAME, ITEM_END, Part, RECEIVER_REPORT, SENDER_INFO_LEN,
    SENDER_REPORT, SOURCE_DESCRIPTION, cname_octet, put_word, word,
};

/// How the sender of a compound packet is known on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderMap {
    /// The SSRC of its stream.
    pub from: u32,
    /// What that is towards the other side.
    pub to: u32,
    /// What is added to its RTP time stamps.
    pub timestamp_offset: u32,
}

/// How the stream that a compound packet reports about is known on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedMap {
    /// Its SSRC towards the reporter.
    pub from: u32,
    /// What it is on the other side, that sends it.
    pub to: u32,
    /// What was added to its sequence numbers towards the reporter.
    pub sequence_offset: u16,
    /// The highest extended sequence number that came from the other side (as in a report block, §6.4.1).
    pub highest: u32,
}

/// The translation of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// None while the sender has sent no RTP: then its receiver reports pass under their own SSRC.
    pub sender: Option<SenderMap>,
    /// None while it is sent nothing: then report blocks do not pass.
    pub reported: Option<ReportedMap>,
    /// The sender's CNAME towards the other side, in hexadecimal.
    pub cname: u64,
}

/// Translates a compound packet that [`super::check`] found good. The length of what may pass; None if nothing may: a
/// packet that does not begin with a report does not.
pub fn translate(compound: &mut [u8], translation: &Translation) -> Option<usize> {
    Part::split(compound)
        .ok()
        .filter(|(first, _)| first.is_report())?;
    let sender = translation.sender_of(compound)?;
    let (mut read, mut write) = (0, 0);
    while let Ok((part, len)) = Part::split(compound.get(read..)?) {
        let body = read + HEADER_LEN;
        let end = read + len - part.padding;
        // Each writes at `write + HEADER_LEN`, which is never after `body`, and no more than it has read.
        let into = write + HEADER_LEN;
        let written = match part.kind {
            SENDER_REPORT | RECEIVER_REPORT => {
                reports(compound, &part, body, into, &sender, translation)
            }
            SOURCE_DESCRIPTION => {
                let chunk = find_chunk(compound.get(..end)?, body, part.count, sender.from);
                chunk.and_then(|chunk| chunk.describe(compound, into, sender.to, translation.cname))
            }
            GOODBYE => goodbyes(compound, body, into, part.count, &sender),
            _ => None,
        };
        if let Some((count, body_len)) = written {
            let words = (body_len / 4) as u16;
            let header = compound.get_mut(write..write + HEADER_LEN)?;
            header[0] = 0x80 | count;
            header[1] = part.kind;
            header[2..4].copy_from_slice(&words.to_be_bytes());
            write += HEADER_LEN + body_len;
        }
        read += len;
    }
    (write > 0).then_some(write)
}

impl Translation {
    /// The map of whoever sends the compound packet. None if it is not the stream's source, so that all must be
    /// dropped.
    fn sender_of(&self, compound: &[u8]) -> Option<SenderMap> {
        let ssrc = word(compound, HEADER_LEN)?;
        match self.sender {
            Some(map) => (map.from == ssrc).then_some(map),
            None => (*compound.get(1)? == RECEIVER_REPORT).then_some(SenderMap {
                from: ssrc,
                to: ssrc,
                timestamp_offset: 0,
            }),
        }
    }
}

/// A sender or receiver report (§6.4): report count and length of the body written at `into`.
fn reports(
    compound: &mut [u8],
    part: &Part,
    body: usize,
    into: usize,
    sender: &SenderMap,
    translation: &Translation,
) -> Option<(u8, usize)> {
    if word(compound, body)? != sender.from {
        return None;
    }
    let mut from = body + 4;
    let mut to = into + 4;
    put_word(compound, into, sender.to);
    if part.kind == SENDER_REPORT {
        compound.copy_within(from..from + SENDER_INFO_LEN, to);
        let timestamp = word(compound, to + 8)?.wrapping_add(sender.timestamp_offset);
        put_word(compound, to + 8, timestamp);
        from += SENDER_INFO_LEN;
        to += SENDER_INFO_LEN;
    }
    let mut count = 0;
    for _ in 0..part.count {
        if let Some(map) = translation.reported
            && word(compound, from)? == map.from
        {
            compound.copy_within(from..from + BLOCK_LEN, to);
            put_word(compound, to, map.to);
            let sequence = word(compound, to + 8)? as u16;
            put_word(compound, to + 8, map.extend(sequence));
            to += BLOCK_LEN;
            count += 1;
        }
        from += BLOCK_LEN;
    }
    Some((count, to - into))
}

impl ReportedMap {
    /// The reporter's 16-bit number as the other side counts: the nearest at or below the highest that it sent.
    fn extend(&self, sequence: u16) -> u32 {
        let behind =
            (self.highest as u16).wrapping_sub(sequence.wrapping_sub(self.sequence_offset));
        self.highest.wrapping_sub(u32::from(behind))
    }
}

/// An SDES chunk (§6.5) with a CNAME.
struct Chunk {
    cname_len: usize,
    /// Where the next one begins.
    end: usize,
}

impl Chunk {
    /// Writes the chunk with our CNAME, as long as theirs so that all fits where it was.
    fn describe(
        &self,
        compound: &mut [u8],
        into: usize,
        ssrc: u32,
        cname: u64,
    ) -> Option<(u8, usize)> {
        let len = self.cname_len;
        let written = (4 + 2 + len + 1).next_multiple_of(4);
        put_word(compound, into, ssrc);
        let items = compound
            .get_mut(into + 4..self.end)?
            .get_mut(..written - 4)?;
        items.fill(ITEM_END);
        let (kind_and_len, text) = items.split_at_mut(2);
        kind_and_len.copy_from_slice(&[ITEM_CNAME, len as u8]);
        for (at, octet) in text[..len].iter_mut().enumerate() {
            *octet = cname_octet(cname, at);
        }
        Some((1, written))
    }
}

/// The chunk of a source. None if there is none, it has no CNAME, or the items run over their end.
fn find_chunk(bytes: &[u8], body: usize, chunks: u8, ssrc: u32) -> Option<Chunk> {
    let mut at = body;
    for _ in 0..chunks {
        let (cname_len, end) = chunk_items(bytes, at)?;
        if word(bytes, at)? == ssrc {
            return cname_len.map(|cname_len| Chunk { cname_len, end });
        }
        at = end;
    }
    None
}

/// The length of a chunk's CNAME, if it has one, and where the next chunk begins. None if it runs over its end.
fn chunk_items(bytes: &[u8], chunk: usize) -> Option<(Option<usize>, usize)> {
    let mut at = chunk + 4;
    let mut cname_len = None;
    loop {
        let kind = *bytes.get(at)?;
        if kind == ITEM_END {
            // One or more null octets, up to the next word.
            let end = chunk + (at + 1 - chunk).next_multiple_of(4);
            return (end <= bytes.len()).then_some((cname_len, end));
        }
        let len = usize::from(*bytes.get(at + 1)?);
        if kind == ITEM_CNAME {
            cname_len = Some(len);
        }
        at += 2 + len;
    }
}

/// A BYE (§6.6) if the sender is among those that leave.
fn goodbyes(
    compound: &mut [u8],
    body: usize,
    into: usize,
    sources: u8,
    sender: &SenderMap,
) -> Option<(u8, usize)> {
    for source in 0..usize::from(sources) {
        if word(compound, body + source * 4)? == sender.from {
            put_word(compound, into, sender.to);
            return Some((1, 4));
        }
    }
    None
}
