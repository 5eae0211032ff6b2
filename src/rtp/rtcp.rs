//! Compound RTCP packets (RFC 3550 §6), translated in place from one side's SSRCs to the other's.
//!
//! A relay that keeps one SSRC towards a listener while the speakers behind it change must translate what they report,
//! as RFC 3550 §7.2 asks of a translator that changes the data: senders' SSRCs, the RTP time stamps of sender reports and
//! the sources and sequence numbers of report blocks. What it cannot translate does not pass: other packet types (APP,
//! feedback, XR), the reports' profile-specific ends, blocks about strangers. Neither does what would tell one side about
//! the other: a CNAME often is `user@address`, so that ours stands in its place, and all other SDES items and the reason
//! of a BYE are left out.

use super::packet::Malformed;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;

const HEADER_LEN: usize = 4;
const BLOCK_LEN: usize = 24;
/// NTP and RTP time stamps, packet and octet counts (§6.4.1).
const SENDER_INFO_LEN: usize = 20;
const ITEM_END: u8 = 0;
const ITEM_CNAME: u8 = 1;

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

/// Checks a compound packet by RFC 3550 appendix A.2, and that every part holds what its counts say.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(compound: &[u8]) -> Result<(), Malformed> {
    let first = Part::split(compound)?.0;
    if first.kind != SENDER_REPORT && first.kind != RECEIVER_REPORT {
        return Err(Malformed::NoReport);
    }
    let mut rest = compound;
    while !rest.is_empty() {
        let (part, len) = Part::split(rest)?;
        rest = &rest[len..];
        if part.padding > 0 && !rest.is_empty() {
            return Err(Malformed::Padding);
        }
    }
    Ok(())
}

/// Translates a compound packet that [`check`] found good. The length of what may pass; None if nothing may.
pub fn translate(compound: &mut [u8], translation: &Translation) -> Option<usize> {
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

/// One packet of a compound.
struct Part {
    kind: u8,
    /// Report blocks, chunks or sources.
    count: u8,
    /// Bytes of padding at its end.
    padding: usize,
}

impl Part {
    /// The first packet of these bytes and its length with padding.
    fn split(bytes: &[u8]) -> Result<(Part, usize), Malformed> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(Malformed::Short)?;
        if header[0] >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let words = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let len = HEADER_LEN + words * 4;
        let whole = bytes.get(..len).ok_or(Malformed::Short)?;
        let padding = match header[0] & 0x20 {
            0 => 0,
            _ => usize::from(whole[len - 1]),
        };
        // A.2: a multiple of four; all of it behind the header.
        let padded = header[0] & 0x20 != 0;
        if padded && (padding == 0 || !padding.is_multiple_of(4) || padding > words * 4) {
            return Err(Malformed::Padding);
        }
        let part = Part {
            kind: header[1],
            count: header[0] & 0x1f,
            padding,
        };
        if words * 4 - padding < part.fixed_len() {
            return Err(Malformed::Short);
        }
        Ok((part, len))
    }

    /// The least that must follow the header.
    fn fixed_len(&self) -> usize {
        let count = usize::from(self.count);
        match self.kind {
            SENDER_REPORT => 4 + SENDER_INFO_LEN + count * BLOCK_LEN,
            RECEIVER_REPORT => 4 + count * BLOCK_LEN,
            GOODBYE => count * 4,
            _ => 0,
        }
    }
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
        for (at, byte) in text[..len].iter_mut().enumerate() {
            let nibble = cname >> (60 - at % 16 * 4) & 0xf;
            *byte = b"0123456789abcdef"[nibble as usize];
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

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Writes a word that lies within the packet; does nothing otherwise.
fn put_word(bytes: &mut [u8], at: usize, word: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const THEIRS: u32 = 0x1111_1111;
    const OURS: u32 = 0x2222_2222;
    const HEARD: u32 = 0x3333_3333;
    const FAR: u32 = 0x4444_4444;

    const TRANSLATION: Translation = Translation {
        sender: Some(SenderMap {
            from: THEIRS,
            to: OURS,
            timestamp_offset: 0xffff_ff00,
        }),
        reported: Some(ReportedMap {
            from: HEARD,
            to: FAR,
            sequence_offset: 10,
            highest: 0x0003_0005,
        }),
        cname: 0x0123_4567_89ab_cdef,
    };

    fn packet(kind: u8, count: u8, body: &[&[u8]]) -> Vec<u8> {
        let body = body.concat();
        assert_eq!(body.len() % 4, 0);
        let mut packet = vec![0x80 | count, kind];
        packet.extend(((body.len() / 4) as u16).to_be_bytes());
        packet.extend(body);
        packet
    }

    fn block(ssrc: u32, highest: u32) -> Vec<u8> {
        let mut block = ssrc.to_be_bytes().to_vec();
        block.extend([1, 0, 0, 2]);
        block.extend(highest.to_be_bytes());
        block.extend(*b"jittlsr.dlsr");
        block
    }

    fn sender_report(ssrc: u32, timestamp: u32, blocks: &[Vec<u8>]) -> Vec<u8> {
        let (ssrc, timestamp) = (ssrc.to_be_bytes(), timestamp.to_be_bytes());
        let count = blocks.len() as u8;
        packet(
            SENDER_REPORT,
            count,
            &[
                &ssrc,
                b"ntp time",
                &timestamp,
                b"packoctt",
                &blocks.concat(),
            ],
        )
    }

    fn receiver_report(ssrc: u32, blocks: &[Vec<u8>]) -> Vec<u8> {
        let ssrc = ssrc.to_be_bytes();
        packet(
            RECEIVER_REPORT,
            blocks.len() as u8,
            &[&ssrc, &blocks.concat()],
        )
    }

    fn cname(ssrc: u32) -> Vec<u8> {
        let items = b"\x06\x04tool\x01\x11bob@192.168.1.201\x02\x03Bob\0\0";
        packet(SOURCE_DESCRIPTION, 1, &[&ssrc.to_be_bytes(), items])
    }

    fn bye(sources: &[u32], reason: &[u8]) -> Vec<u8> {
        let list: Vec<u8> = sources.iter().flat_map(|ssrc| ssrc.to_be_bytes()).collect();
        packet(GOODBYE, sources.len() as u8, &[&list, reason])
    }

    fn translated(parts: &[Vec<u8>], translation: &Translation) -> Option<Vec<u8>> {
        let mut compound = parts.concat();
        check(&compound).expect("a good compound packet");
        let len = translate(&mut compound, translation)?;
        compound.truncate(len);
        check(&compound).expect("still one");
        Some(compound)
    }

    #[test]
    fn a_sender_report_with_its_description_is_translated() {
        let compound = [
            sender_report(THEIRS, 0x0000_0180, &[block(HEARD, 0x0001_0008)]),
            cname(THEIRS),
        ];
        let ours = b"\x01\x110123456789abcdef0\0";
        let expected = [
            // 8 less 10 is 0xfffe of the cycle before the highest.
            sender_report(OURS, 0x0000_0080, &[block(FAR, 0x0002_fffe)]),
            packet(SOURCE_DESCRIPTION, 1, &[&OURS.to_be_bytes(), ours]),
        ];
        assert_eq!(translated(&compound, &TRANSLATION), Some(expected.concat()));
    }

    #[test]
    fn what_cannot_be_mapped_is_left_out() {
        let compound = [
            receiver_report(THEIRS, &[block(FAR, 9), block(HEARD, 15), block(7, 9)]),
            receiver_report(7, &[block(HEARD, 15)]),
            packet(204, 0, &[&THEIRS.to_be_bytes(), b"APPx"]),
            packet(
                SOURCE_DESCRIPTION,
                1,
                &[&7u32.to_be_bytes(), b"\x01\x01x\0"],
            ),
            packet(
                SOURCE_DESCRIPTION,
                1,
                &[&THEIRS.to_be_bytes(), b"\x02\x01x\0"],
            ),
            packet(207, 0, &[&THEIRS.to_be_bytes()]),
            bye(&[7], b""),
            bye(&[7, THEIRS], b"\x0bfrom bob's "),
        ];
        let expected = [
            receiver_report(OURS, &[block(FAR, 0x0003_0005)]),
            bye(&[OURS], b""),
        ];
        assert_eq!(translated(&compound, &TRANSLATION), Some(expected.concat()));
    }

    #[test]
    fn a_report_of_another_sender_takes_the_whole_with_it() {
        let compound = [receiver_report(7, &[]), bye(&[THEIRS], b"")];
        assert_eq!(translated(&compound, &TRANSLATION), None);
    }

    #[test]
    fn one_who_only_listens_reports_under_its_own_ssrc() {
        let listener = Translation {
            sender: None,
            ..TRANSLATION
        };
        let report = |ssrc, heard| receiver_report(ssrc, &[block(heard, 0x0003_0005)]);
        let there = [receiver_report(7, &[block(HEARD, 15)])];
        assert_eq!(translated(&there, &listener), Some(report(7, FAR)));
        let speaker = [sender_report(7, 0, &[])];
        assert_eq!(translated(&speaker, &listener), None);
    }

    #[test]
    fn padding_and_a_profiles_own_end_do_not_pass() {
        let mut padded = receiver_report(THEIRS, &[]);
        padded.extend(*b"\0\0\0\x04");
        padded[0] |= 0x20;
        padded[3] += 1;
        let expected = Some(receiver_report(OURS, &[]));
        assert_eq!(translated(&[padded], &TRANSLATION), expected);
        let longer = packet(
            RECEIVER_REPORT,
            0,
            &[&THEIRS.to_be_bytes(), b"extension..."],
        );
        assert_eq!(translated(&[longer], &TRANSLATION), expected);
    }

    #[test]
    fn malformed_compounds_are_found() {
        let good = receiver_report(1, &[block(2, 3)]);
        let with = |at: usize, byte: u8| {
            let mut packet = good.clone();
            packet[at] = byte;
            packet
        };
        let mut padded_first = with(0, 0xa1);
        padded_first[31] = 4;
        padded_first.extend(&good);
        for (compound, expected) in [
            (vec![], Malformed::Short),
            (good[..3].to_vec(), Malformed::Short),
            (good[..31].to_vec(), Malformed::Short),
            (with(0, 0x82), Malformed::Short), // two blocks promised
            (with(3, 8), Malformed::Short),
            (with(3, 6), Malformed::Short),
            (with(0, 0x41), Malformed::Version),
            (with(1, 202), Malformed::NoReport),
            (with(1, 72), Malformed::NoReport),
            (with(0, 0xa1), Malformed::Padding), // "dlsr" is no count
            (padded_first, Malformed::Short),    // padding where the block should be
            ([good.clone(), vec![0x80, 203]].concat(), Malformed::Short),
            (
                [good.clone(), vec![0x81, 203, 0, 0]].concat(),
                Malformed::Short,
            ),
        ] {
            assert_eq!(check(&compound), Err(expected), "{compound:x?}");
        }
        assert_eq!(check(&good), Ok(()));
        let mut padded = receiver_report(1, &[]);
        padded.extend(*b"\0\0\0\x04");
        padded[0] |= 0x20;
        padded[3] += 1;
        assert_eq!(check(&padded), Ok(()));
        padded.extend(&good);
        assert_eq!(check(&padded), Err(Malformed::Padding), "only the last may");
    }

    proptest! {
        #[test]
        fn any_bytes_stay_within_themselves_and_come_out_good(
            kinds in proptest::collection::vec((0u8..32, 199u8..206, any::<bool>()), 1..5),
            filler in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut compound = Vec::new();
            for (place, (count, kind, known)) in kinds.iter().enumerate() {
                let mut body = filler.clone();
                body.resize(filler.len() / 4 * 4, 0);
                if let Some(first) = body.first_chunk_mut::<4>().filter(|_| *known) {
                    *first = THEIRS.to_be_bytes();
                }
                let kind = if place == 0 { RECEIVER_REPORT } else { *kind };
                let most = (body.len() / 4).saturating_sub(1) / 6;
                compound.extend(packet(kind, (*count).min(most as u8), &[&body]));
            }
            if check(&compound).is_ok() {
                let before = compound.len();
                if let Some(len) = translate(&mut compound, &TRANSLATION) {
                    prop_assert!(len <= before);
                    prop_assert_eq!(check(&compound[..len]), Ok(()));
                }
            }
        }
    }
}
