//! What a compound packet says.

use super::{
    BLOCK_LEN, GOODBYE, HEADER_LEN, Part, RECEIVER_REPORT, ReportBlock, SENDER_INFO_LEN,
    SENDER_REPORT, SOURCE_DESCRIPTION, SenderInfo, word,
};

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// SR or RR (§6.4).
    Report {
        /// Who sends it.
        ssrc: u32,
        /// Of its stream, in a sender report.
        sender: Option<SenderInfo>,
        /// Of the streams that it receives.
        blocks: Blocks<'a>,
    },
    /// SDES (§6.5); its chunks do not matter to us.
    Description,
    /// BYE (§6.6): who leaves, four octets each.
    Goodbye {
        /// The sources.
        sources: &'a [[u8; 4]],
    },
    /// Anything else, by its packet type.
    Other(u8),
}

/// The blocks of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [[u8; BLOCK_LEN]]);

impl Blocks<'_> {
    /// Each of them, at most 31.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> + '_ {
        self.0.iter().map(ReportBlock::read)
    }
}

impl ReportBlock {
    fn read(octets: &[u8; BLOCK_LEN]) -> Self {
        let (words, _) = octets.as_chunks::<4>();
        let word = |at: usize| u32::from_be_bytes(words[at]);
        ReportBlock {
            ssrc: word(0),
            fraction_lost: octets[4],
            // 24 bits with a sign.
            lost: (word(1) << 8) as i32 >> 8,
            highest: word(2),
            jitter: word(3),
            last_report: word(4),
            delay: word(5),
        }
    }
}

impl<'a> Packet<'a> {
    /// None if it is shorter than its counts say, which [`super::check`] excludes.
    fn read(part: &Part, bytes: &'a [u8]) -> Option<Self> {
        let body = bytes.get(HEADER_LEN..bytes.len() - part.padding)?;
        let count = usize::from(part.count);
        Some(match part.kind {
            SENDER_REPORT => Packet::Report {
                ssrc: word(body, 0)?,
                sender: Some(SenderInfo {
                    ntp: u64::from(word(body, 4)?) << 32 | u64::from(word(body, 8)?),
                    timestamp: word(body, 12)?,
                    packets: word(body, 16)?,
                    octets: word(body, 20)?,
                }),
                blocks: Blocks(several(body.get(4 + SENDER_INFO_LEN..)?, count)?),
            },
            RECEIVER_REPORT => Packet::Report {
                ssrc: word(body, 0)?,
                sender: None,
                blocks: Blocks(several(body.get(4..)?, count)?),
            },
            SOURCE_DESCRIPTION => Packet::Description,
            GOODBYE => Packet::Goodbye {
                sources: several(body, count)?,
            },
            other => Packet::Other(other),
        })
    }
}

fn several<const N: usize>(bytes: &[u8], count: usize) -> Option<&[[u8; N]]> {
    bytes.as_chunks::<N>().0.get(..count)
}

/// The packets of a compound that [`super::check`] found good; of another, those before the first that is not.
pub fn packets(compound: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let (part, len) = Part::split(rest).ok()?;
        let (bytes, after) = rest.split_at(len);
        rest = after;
        Packet::read(&part, bytes)
    })
}
