//! A media worker's thread: one loop around one ring.
//!
//! ```text
//!  ┌► enter the kernel: send the last batch, wait for the next
//!  │  obey commands            (some a turn)
//!  │  judge each packet        (some a turn; sent by the next enter)
//!  │  audio                    (a hundred times a second, while any is decoded or made)
//!  │  tick                     (twenty times a second)
//!  └─ tell events, publish counts
//! ```

use super::bell::Bell;
use super::pace::{Pace, Wait};
use super::uring::{self, Edge, EdgeConfig, EdgeCounts};
use crate::link::ring::{Receiver, Sender};
use crate::link::{Command, Event, PortRange, WorkerId};
use crate::media::worker::Counters;
use crate::media::{DropReason, Nanos, Worker};
use crate::metrics::{Direction, Path, RtpDrop, WorkerCells};
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Commands obeyed in a turn: each open is some twenty system calls, and packets wait meanwhile.
const COMMANDS_MAX: usize = 32;

/// Packets taken in a turn; the rest are taken in the next, after commands and ticks had theirs.
const PACKETS_MAX: usize = 1024;

/// Between two ticks of the worker.
const TICK: Duration = Duration::from_millis(50);

/// Over which time the busy ratio is taken.
const BUSY_SPAN_NS: u64 = 1_000_000_000;

/// How long a stopping worker waits for its last legs to close and its last events to be taken.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// What a worker's thread takes with it.
pub struct Seat {
    /// Which worker.
    pub id: WorkerId,
    /// All workers' ports.
    pub range: PortRange,
    /// DSCP of what it sends.
    pub dscp: u8,
    /// The longest wait for a batch, in microseconds.
    pub batch_wait_us: u32,
    /// RTCP is relayed from one side to the other.
    pub relays_rtcp: bool,
    /// Feeds SSRCs and first sequence numbers.
    pub seed: u64,
    /// From control.
    pub commands: Receiver<Command>,
    /// Wakes this worker.
    pub bell: Bell,
    /// To control.
    pub events: Sender<Event, Bell>,
    /// What a scrape reads.
    pub cells: Arc<WorkerCells>,
}

/// Runs a worker until it is told to stop. Calls `ready` once the ring stands. Errors: the ring cannot be had, or broke.
pub fn run(seat: Seat, ready: impl FnOnce()) -> io::Result<()> {
    let mut ring = uring::ring::build()?;
    let mut media_loop = MediaLoop::new(&mut ring, seat)?;
    ready();
    media_loop.run()
}

struct MediaLoop<'ring> {
    worker: Worker,
    edge: Edge<'ring>,
    commands: Receiver<Command>,
    events: Sender<Event, Bell>,
    pace: Pace,
    now: Nanos,
    next_tick: Nanos,
    life: Life,
    publisher: Publisher,
    busy: Busy,
}

/// Whether the worker goes on.
enum Life {
    Running,
    Stopping { until: Nanos },
}

impl<'ring> MediaLoop<'ring> {
    fn new(ring: &'ring mut io_uring::IoUring, seat: Seat) -> io::Result<MediaLoop<'ring>> {
        let ports = seat.range.ports_of(seat.id);
        let legs = u16::try_from(ports.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let first = ports
            .into_iter()
            .next()
            .ok_or(io::ErrorKind::InvalidInput)?;
        let config = EdgeConfig {
            first_port: first.rtp(),
            legs,
            dscp: seat.dscp,
            buffers: uring::BUFFERS,
        };
        let now = monotonic()?;
        let worker = Worker::new(seat.id, seat.range, seat.seed);
        Ok(MediaLoop {
            worker: match seat.relays_rtcp {
                true => worker.relaying_rtcp(),
                false => worker,
            },
            edge: Edge::new(ring, config, seat.bell)?,
            commands: seat.commands,
            events: seat.events,
            pace: Pace::new(seat.batch_wait_us),
            now,
            next_tick: now,
            life: Life::Running,
            publisher: Publisher::new(seat.cells),
            busy: Busy::new(now)?,
        })
    }

    fn run(&mut self) -> io::Result<()> {
        while !self.has_ended() {
            self.enter()?;
            self.take_commands()?;
            let packets = self.take_packets()?;
            self.pace.count(self.now, packets as u64);
            if self.worker.next_audio().is_some_and(|due| self.now >= due) {
                self.worker.handle_audio(self.now);
                self.transmit()?;
            }
            if self.now >= self.next_tick {
                self.tick()?;
            }
            self.tell_events();
            self.publish();
        }
        Ok(())
    }

    fn enter(&mut self) -> io::Result<()> {
        let wait = match self.commands.may_sleep() {
            true => self.pace.wait(),
            false => Wait::No,
        };
        let next_audio = self.worker.next_audio().unwrap_or(self.next_tick);
        let due = self.next_tick.min(next_audio);
        let timeout = Duration::from_nanos(due.since(self.now).0);
        self.edge.enter(wait, timeout)?;
        self.commands.awake();
        self.now = monotonic()?;
        Ok(())
    }

    fn take_commands(&mut self) -> io::Result<()> {
        for _ in 0..COMMANDS_MAX {
            let Some(command) = self.commands.receive() else {
                break;
            };
            let is_last = command == Command::Stop;
            self.worker.handle_command(self.now, command);
            self.transmit()?;
            self.obey_orders()?;
            if is_last {
                self.life = Life::Stopping {
                    until: Nanos(self.now.0 + STOP_WITHIN.as_nanos() as u64),
                };
            }
        }
        Ok(())
    }

    fn take_packets(&mut self) -> io::Result<usize> {
        let mut taken = 0;
        while taken < PACKETS_MAX {
            let Some(arrival) = self.edge.next_arrival()? else {
                break;
            };
            taken += 1;
            let (room, len) = self.edge.packet(&arrival);
            let verdict = self.worker.handle_packet(
                self.now,
                arrival.leg,
                arrival.component,
                arrival.source,
                room,
                len,
            );
            self.edge.dispatch(arrival, verdict)?;
            self.obey_orders()?;
        }
        // A leg that was closing may have been opened again, and failed.
        self.obey_orders()?;
        Ok(taken)
    }

    #[inline]
    fn obey_orders(&mut self) -> io::Result<()> {
        while let Some(order) = self.worker.poll_socket() {
            self.edge.obey(order)?;
        }
        while let Some((leg, errno)) = self.edge.poll_open_failure() {
            self.worker.handle_open_failed(self.now, leg, errno);
        }
        Ok(())
    }

    /// Sends what the worker made. Before orders, which may close the socket that it goes out of.
    fn transmit(&mut self) -> io::Result<()> {
        while let Some(transmit) = self.worker.poll_transmit() {
            self.edge.transmit(transmit)?;
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        self.next_tick = Nanos(self.now.0 + TICK.as_nanos() as u64);
        self.worker.handle_tick(self.now);
        self.transmit()?;
        self.obey_orders()?;
        self.edge.handle_tick();
        if let Some(ratio) = self.busy.ratio(self.now)? {
            self.publisher.cells.set_busy_ratio(ratio);
        }
        Ok(())
    }

    fn tell_events(&mut self) {
        while let Some(event) = self.worker.poll_event() {
            // Never refused: what may not be lost is kept, the rest is dropped and counted by the queue.
            let _ = self.events.send(event);
        }
        self.events.flush();
    }

    fn publish(&mut self) {
        let (worker, edge) = (self.worker.counters(), *self.edge.counts());
        self.publisher.publish(worker, edge);
        let cells = &self.publisher.cells;
        for latency_ns in self.edge.drain_latencies_ns() {
            cells.latency(latency_ns);
        }
        let audio = self.worker.audio_legs() as u64;
        cells.set_sessions(Path::Transcode, audio);
        cells.set_sessions(Path::Relay, self.worker.open_legs() as u64 - audio);
    }

    fn has_ended(&self) -> bool {
        match self.life {
            Life::Running => false,
            Life::Stopping { until } => {
                let done = self.edge.legs_used() == 0 && self.events.backlog() == 0;
                done || self.now >= until
            }
        }
    }
}

/// Carries what worker and edge have counted to the cells, once a turn.
struct Publisher {
    cells: Arc<WorkerCells>,
    worker: Counters,
    edge: EdgeCounts,
}

impl Publisher {
    fn new(cells: Arc<WorkerCells>) -> Publisher {
        Publisher {
            cells,
            worker: Counters::default(),
            edge: EdgeCounts::default(),
        }
    }

    fn publish(&mut self, worker: Counters, edge: EdgeCounts) {
        let last = &self.worker;
        for (direction, path, packets, bytes) in traffic(&worker, last) {
            self.cells.count(direction, path, packets, bytes);
        }
        for reason in DropReason::ALL {
            let dropped = worker.dropped[reason as usize] - last.dropped[reason as usize];
            if let Some(label) = label(reason)
                && dropped > 0
            {
                self.cells.dropped(label, dropped);
            }
        }
        self.worker = worker;
        if edge != self.edge {
            self.publish_edge(edge);
        }
    }

    fn publish_edge(&mut self, edge: EdgeCounts) {
        let last = &self.edge;
        for (reason, dropped) in [
            (RtpDrop::NoBuffer, edge.no_buffer - last.no_buffer),
            (RtpDrop::SendFailed, edge.send_failed - last.send_failed),
            (RtpDrop::Malformed, edge.oversize - last.oversize),
            (
                RtpDrop::SocketOverflow,
                edge.socket_overflow - last.socket_overflow,
            ),
        ] {
            self.cells.dropped(reason, dropped);
        }
        self.edge = edge;
    }
}

/// What went through since `last`, by direction and path.
fn traffic(now: &Counters, last: &Counters) -> [(Direction, Path, u64, u64); 5] {
    let transcoded_in = now.transcoded_in - last.transcoded_in;
    let transcoded_in_bytes = now.transcoded_in_bytes - last.transcoded_in_bytes;
    let transcoded_out = now.transcoded_out - last.transcoded_out;
    let transcoded_out_bytes = now.transcoded_out_bytes - last.transcoded_out_bytes;
    let generated = now.generated_out - last.generated_out;
    let generated_bytes = now.generated_out_bytes - last.generated_out_bytes;
    let relayed_in = now.packets_in - last.packets_in - transcoded_in;
    let relayed_in_bytes = now.bytes_in - last.bytes_in - transcoded_in_bytes;
    let relayed_out = now.packets_out - last.packets_out - transcoded_out - generated;
    let relayed_out_bytes = now.bytes_out - last.bytes_out - transcoded_out_bytes - generated_bytes;
    [
        (Direction::In, Path::Relay, relayed_in, relayed_in_bytes),
        (Direction::Out, Path::Relay, relayed_out, relayed_out_bytes),
        (
            Direction::In,
            Path::Transcode,
            transcoded_in,
            transcoded_in_bytes,
        ),
        (
            Direction::Out,
            Path::Transcode,
            transcoded_out,
            transcoded_out_bytes,
        ),
        (Direction::Out, Path::Generated, generated, generated_bytes),
    ]
}

/// The label that a drop is counted under. What nobody is to hear is no fault, and not counted as dropped.
fn label(reason: DropReason) -> Option<RtpDrop> {
    match reason {
        DropReason::Unlatched => Some(RtpDrop::Unlatched),
        DropReason::WrongSource => Some(RtpDrop::WrongSource),
        DropReason::Malformed => Some(RtpDrop::Malformed),
        DropReason::PayloadType => Some(RtpDrop::PayloadType),
        DropReason::Late => Some(RtpDrop::Late),
        DropReason::Unauthentic => Some(RtpDrop::Unauthentic),
        DropReason::Flood => Some(RtpDrop::Flood),
        DropReason::Unheard => None,
    }
}

/// Which part of the time the thread has worked.
struct Busy {
    since: Nanos,
    cpu: Nanos,
}

impl Busy {
    fn new(now: Nanos) -> io::Result<Busy> {
        Ok(Busy {
            since: now,
            cpu: clock(ClockId::CLOCK_THREAD_CPUTIME_ID)?,
        })
    }

    /// The thread's CPU time over the wall's, once a span is over.
    fn ratio(&mut self, now: Nanos) -> io::Result<Option<f64>> {
        let wall_ns = now.0 - self.since.0;
        if wall_ns < BUSY_SPAN_NS {
            return Ok(None);
        }
        let cpu = clock(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        let ratio = (cpu.0 - self.cpu.0) as f64 / wall_ns as f64;
        (self.since, self.cpu) = (now, cpu);
        Ok(Some(ratio))
    }
}

fn monotonic() -> io::Result<Nanos> {
    clock(ClockId::CLOCK_MONOTONIC)
}

fn clock(id: ClockId) -> io::Result<Nanos> {
    let time = clock_gettime(id)?;
    Ok(Nanos(
        time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64,
    ))
}

#[cfg(test)]
mod tests;
