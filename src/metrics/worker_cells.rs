//! The cells that one worker writes and a scrape reads. One writer, so a plain load and store is enough: no locked
//! instruction, no shared cache line with another worker.

use super::control_metrics::Direction;
use super::latency::{BUCKETS, Latency, bucket_of};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How a packet went through: the `path` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Sent on as it came, its header rewritten (a bridge, or the echo).
    Relay,
    /// Decoded here: for a far side that knows another codec, for a room. Of sessions: all that has audio decoded or made.
    Transcode,
    /// Begun here: prompts, music, digits.
    Generated,
}

impl Path {
    /// All of them, in the order of their numbers.
    pub const ALL: [Path; 3] = [Path::Relay, Path::Transcode, Path::Generated];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Path::Relay => "relay",
            Path::Transcode => "transcode",
            Path::Generated => "generated",
        }
    }
}

/// Why a packet went nowhere: the `reason` label of `ringway_rtp_dropped_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtpDrop {
    /// The leg has no remote yet, or is closed.
    Unlatched,
    /// The source is not the leg's peer.
    WrongSource,
    /// The buffer ring was empty, so a receive ended.
    NoBuffer,
    /// The kernel did not take it (its send queue is full, or the peer is unreachable).
    SendFailed,
    /// Neither RTP nor RTCP.
    Malformed,
    /// The socket's receive queue was full (SO_RXQ_OVFL).
    SocketOverflow,
    /// From before a change of source, or far off its stream's sequence numbers.
    Late,
    /// Not sealed by the key that was agreed (SRTP), or not sealed at all.
    Unauthentic,
    /// A payload type that was not agreed.
    PayloadType,
    /// Of a peer that sends far more than anybody speaks, or whose audio goes round.
    Flood,
}

impl RtpDrop {
    /// All of them, in the order of their numbers.
    pub const ALL: [RtpDrop; 10] = [
        RtpDrop::Unlatched,
        RtpDrop::WrongSource,
        RtpDrop::NoBuffer,
        RtpDrop::SendFailed,
        RtpDrop::Malformed,
        RtpDrop::SocketOverflow,
        RtpDrop::Late,
        RtpDrop::Unauthentic,
        RtpDrop::PayloadType,
        RtpDrop::Flood,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            RtpDrop::Unlatched => "unlatched",
            RtpDrop::WrongSource => "wrong_source",
            RtpDrop::NoBuffer => "no_buffer",
            RtpDrop::SendFailed => "send_failed",
            RtpDrop::Malformed => "malformed",
            RtpDrop::SocketOverflow => "socket_overflow",
            RtpDrop::Late => "late",
            RtpDrop::Unauthentic => "unauthentic",
            RtpDrop::PayloadType => "payload_type",
            RtpDrop::Flood => "flood",
        }
    }
}

/// One number that one thread writes and any thread reads.
#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl Cell {
    /// Not a read-modify-write: there is no other writer.
    #[inline]
    fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    #[inline]
    fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Packets and bytes of one direction on one path.
#[derive(Debug, Default)]
struct Traffic {
    packets: Cell,
    bytes: Cell,
}

/// One worker's cells, shared by `Arc` between it and the scrape. Only the worker's own thread may call the methods
/// that write (else counts are lost, though nothing worse); the aligned start keeps two workers off one cache line,
/// and off its neighbour that the prefetcher takes along.
#[derive(Debug)]
#[repr(align(128))]
pub struct WorkerCells {
    traffic: [[Traffic; Path::ALL.len()]; 2],
    dropped: [Cell; RtpDrop::ALL.len()],
    sessions: [Cell; Path::ALL.len()],
    busy_ratio_bits: Cell,
    latency_sum_ns: Cell,
    latency: Box<[Cell; BUCKETS]>,
}

impl Default for WorkerCells {
    fn default() -> Self {
        WorkerCells::new()
    }
}

impl WorkerCells {
    /// All zero.
    pub fn new() -> WorkerCells {
        WorkerCells {
            traffic: Default::default(),
            dropped: Default::default(),
            sessions: Default::default(),
            busy_ratio_bits: Cell::default(),
            latency_sum_ns: Cell::default(),
            latency: Box::new(std::array::from_fn(|_| Cell::default())),
        }
    }

    /// Counts `packets` RTP packets of `bytes` bytes in all (RTP header and payload).
    #[inline]
    pub fn count(&self, direction: Direction, path: Path, packets: u64, bytes: u64) {
        let traffic = &self.traffic[direction as usize][path as usize];
        traffic.packets.add(packets);
        traffic.bytes.add(bytes);
    }

    /// Counts packets that went nowhere.
    #[inline]
    pub fn dropped(&self, reason: RtpDrop, packets: u64) {
        self.dropped[reason as usize].add(packets);
    }

    /// Records one packet's time from the kernel's receive time stamp to its send.
    #[inline]
    pub fn latency(&self, nanos: u64) {
        self.latency[bucket_of(nanos)].add(1);
        self.latency_sum_ns.add(nanos);
    }

    /// Tells how many legs are open.
    pub fn set_sessions(&self, path: Path, legs: u64) {
        self.sessions[path as usize].set(legs);
    }

    /// Tells which part of the last second the thread was busy, 0 to 1.
    pub fn set_busy_ratio(&self, ratio: f64) {
        self.busy_ratio_bits.set(ratio.clamp(0.0, 1.0).to_bits());
    }

    /// RTP packets counted so far.
    pub fn packets(&self, direction: Direction, path: Path) -> u64 {
        self.traffic[direction as usize][path as usize]
            .packets
            .get()
    }

    /// Their bytes.
    pub fn bytes(&self, direction: Direction, path: Path) -> u64 {
        self.traffic[direction as usize][path as usize].bytes.get()
    }

    /// Packets dropped so far for this reason.
    pub fn drops(&self, reason: RtpDrop) -> u64 {
        self.dropped[reason as usize].get()
    }

    /// Packets dropped so far.
    pub fn drops_all(&self) -> u64 {
        RtpDrop::ALL.iter().map(|reason| self.drops(*reason)).sum()
    }

    /// Open legs, as last told.
    pub fn sessions(&self, path: Path) -> u64 {
        self.sessions[path as usize].get()
    }

    /// The busy ratio, as last told.
    pub fn busy_ratio(&self) -> f64 {
        f64::from_bits(self.busy_ratio_bits.get())
    }

    /// The latencies so far.
    pub fn latencies(&self) -> Latency {
        Latency {
            counts: self.latency.iter().map(Cell::get).collect(),
            sum_ns: self.latency_sum_ns.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_in_the_order_of_their_numbers() {
        for (place, path) in Path::ALL.into_iter().enumerate() {
            assert_eq!(path as usize, place);
        }
        for (place, reason) in RtpDrop::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }

    #[test]
    fn a_reader_on_another_thread_sees_what_the_writer_counted() {
        let cells = std::sync::Arc::new(WorkerCells::new());
        let writer = std::sync::Arc::clone(&cells);
        let thread = std::thread::spawn(move || {
            for n in 0..10_000 {
                writer.count(Direction::In, Path::Relay, 1, 172);
                writer.latency(n * 1_000);
            }
            writer.dropped(RtpDrop::WrongSource, 3);
            writer.set_busy_ratio(0.25);
        });
        thread.join().expect("the writer ends");
        assert_eq!(cells.packets(Direction::In, Path::Relay), 10_000);
        assert_eq!(cells.bytes(Direction::In, Path::Relay), 1_720_000);
        assert_eq!(cells.packets(Direction::Out, Path::Relay), 0);
        assert_eq!(
            (cells.drops(RtpDrop::WrongSource), cells.drops_all()),
            (3, 3)
        );
        assert_eq!(cells.busy_ratio(), 0.25);
        assert_eq!(cells.latencies().count(), 10_000);
    }
}
