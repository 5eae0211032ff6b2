//! Reports of our own.

use super::{
    BLOCK_LEN, BLOCKS_MAX, GOODBYE, HEADER_LEN, ITEM_CNAME, RECEIVER_REPORT, ReportBlock,
    SENDER_INFO_LEN, SENDER_REPORT, SOURCE_DESCRIPTION, SenderInfo, cname_octet,
};

/// Octets of our CNAME: 64 random bits in hexadecimal (RFC 7022 §4.2 has a short-term one made of random bits).
const CNAME_LEN: usize = 16;
/// Source, item, its octets, and nulls to the next word.
const CHUNK_LEN: usize = 4 + (2 + CNAME_LEN + 1_usize).next_multiple_of(4);

/// A compound packet: a sender or receiver report, SDES, and a BYE at the end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// Our source.
    pub ssrc: u32,
    /// 64 random bits, kept for the call.
    pub cname: u64,
    /// Of what we send; None if nothing was sent since the report before the last (§6.4): a receiver report.
    pub sender: Option<SenderInfo>,
    /// Of what we receive. What is beyond 31 of them is left out.
    pub blocks: &'a [ReportBlock],
    /// We leave.
    pub goodbye: bool,
}

/// Octets that a report with so many blocks takes at most.
pub const fn report_len_max(blocks: usize) -> usize {
    HEADER_LEN + 4 + SENDER_INFO_LEN + blocks * BLOCK_LEN + HEADER_LEN + CHUNK_LEN + HEADER_LEN + 4
}

impl Report<'_> {
    /// Writes it to the beginning of a buffer. Its length; None if the buffer is too short.
    pub fn write(&self, buffer: &mut [u8]) -> Option<usize> {
        let mut writer = Writer { buffer, at: 0 };
        let blocks = &self.blocks[..self.blocks.len().min(BLOCKS_MAX)];
        let blocks_len = blocks.len() * BLOCK_LEN;
        match &self.sender {
            Some(info) => {
                let len = 4 + SENDER_INFO_LEN + blocks_len;
                writer.header(SENDER_REPORT, blocks.len(), len)?;
                writer.word(self.ssrc)?;
                writer.word((info.ntp >> 32) as u32)?;
                writer.word(info.ntp as u32)?;
                writer.word(info.timestamp)?;
                writer.word(info.packets)?;
                writer.word(info.octets)?;
            }
            None => {
                writer.header(RECEIVER_REPORT, blocks.len(), 4 + blocks_len)?;
                writer.word(self.ssrc)?;
            }
        }
        for block in blocks {
            writer.block(block)?;
        }
        writer.header(SOURCE_DESCRIPTION, 1, CHUNK_LEN)?;
        writer.word(self.ssrc)?;
        let items = writer.take(CHUNK_LEN - 4)?;
        items.fill(0);
        items[..2].copy_from_slice(&[ITEM_CNAME, CNAME_LEN as u8]);
        for (at, octet) in items[2..2 + CNAME_LEN].iter_mut().enumerate() {
            *octet = cname_octet(self.cname, at);
        }
        if self.goodbye {
            writer.header(GOODBYE, 1, 4)?;
            writer.word(self.ssrc)?;
        }
        Some(writer.at)
    }
}

struct Writer<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn take(&mut self, len: usize) -> Option<&mut [u8]> {
        let place = self.buffer.get_mut(self.at..self.at + len)?;
        self.at += len;
        Some(place)
    }

    fn word(&mut self, word: u32) -> Option<()> {
        self.take(4)?.copy_from_slice(&word.to_be_bytes());
        Some(())
    }

    fn header(&mut self, kind: u8, count: usize, body_len: usize) -> Option<()> {
        let words = (body_len / 4) as u32;
        self.word(0x8000_0000 | (count as u32) << 24 | u32::from(kind) << 16 | words)
    }

    fn block(&mut self, block: &ReportBlock) -> Option<()> {
        // 24 bits with a sign.
        let lost = block.lost.clamp(-(1 << 23), (1 << 23) - 1) as u32 & 0xff_ffff;
        self.word(block.ssrc)?;
        self.word(u32::from(block.fraction_lost) << 24 | lost)?;
        self.word(block.highest)?;
        self.word(block.jitter)?;
        self.word(block.last_report)?;
        self.word(block.delay)
    }
}
