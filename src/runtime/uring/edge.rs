//! A worker's sockets on its ring: packets in from all legs, packets out from the same buffers.
//!
//! A turn is: [`Edge::enter`] the kernel (it executes the sends of the last turn, then waits for receives), take each
//! [`Edge::next_arrival`], judge it, [`Edge::dispatch`] it. With `MSG_DONTWAIT` a send is executed inside the enter
//! that submits it, never later, so its buffer is free as soon as that enter returns.

mod sending;

use self::sending::Outgoing;
use super::buffers::{BufferId, Buffers};
use super::counts::EdgeCounts;
use super::layout::{self, BUFFER_LEN, CONTROL_ROOM, NAME_ROOM, PACKET_START};
use super::legs::{EndStep, Legs, OpenStep, place};
use super::made::Made;
use super::socket;
use super::token::{Arm, Token};
use crate::media::worker::SocketOrder;
use crate::media::{Component, LegSlot};
use crate::runtime::bell::Bell;
use crate::runtime::pace::Wait;
use io_uring::types::{Fixed, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, opcode, squeue};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Legs whose packets all have their receive time told. It costs a packet some 3 % of its whole way, so of further legs
/// only one in so many is measured: the latency is the worker's, not the leg's.
const STAMPED_LEGS: usize = 64;
const STAMPED_ONE_IN: u16 = 8;

/// What an edge is made of.
#[derive(Clone, Copy, Debug)]
pub struct EdgeConfig {
    /// The even port of slot 0; the others follow, two ports a slot.
    pub first_port: u16,
    /// How many slots.
    pub legs: u16,
    /// DSCP of what is sent.
    pub dscp: u8,
    /// Receive buffers, a power of two. They hold what arrives while the last batch is being judged and sent.
    pub buffers: u16,
}

/// Receive buffers of a worker: some 30 ms of packets at the highest rate that a core relays.
pub const BUFFERS: u16 = 4096;

/// A packet that has come. It goes back by [`Edge::dispatch`].
#[derive(Debug)]
#[must_use = "a buffer that is not dispatched is lost to the ring"]
pub struct Arrival {
    /// The leg it came to.
    pub leg: LegSlot,
    /// On which of its sockets.
    pub component: Component,
    /// Who sent it.
    pub source: SocketAddr,
    buffer: BufferId,
    len: usize,
    received_ns: u64,
}

/// See the module's comment. Lives and dies on one thread.
pub struct Edge<'ring> {
    config: EdgeConfig,
    submitter: Submitter<'ring>,
    submissions: SubmissionQueue<'ring>,
    completions: CompletionQueue<'ring>,
    has_min_wait: bool,
    buffers: Buffers,
    made: Made,
    /// The room for name and control that every receive is armed with. The kernel reads it when it arms.
    shape: Box<libc::msghdr>,
    bell: Bell,
    legs: Legs,
    /// Submissions ever queued, wrapping.
    queued: u32,
    outgoing: VecDeque<Outgoing>,
    /// Receives to arm in the next turn, when buffers are back.
    ended: Vec<Arm>,
    /// Receives to arm at the next tick, so that an error that stays does not keep the worker busy.
    failed: Vec<Arm>,
    open_failures: VecDeque<(LegSlot, i32)>,
    /// Packets dropped so far by each socket, to tell its next count from its last.
    overflows: Vec<[u32; 2]>,
    latencies_ns: Vec<u64>,
    counts: EdgeCounts,
}

impl<'ring> Edge<'ring> {
    /// An edge with all slots closed. `bell` wakes it from [`Edge::enter`]. Errors: no memory (`RLIMIT_MEMLOCK`), more
    /// slots than `RLIMIT_NOFILE` allows.
    pub fn new(
        ring: &'ring mut IoUring,
        config: EdgeConfig,
        bell: Bell,
    ) -> io::Result<Edge<'ring>> {
        let has_min_wait = ring.params().is_feature_min_timeout();
        let (mut submitter, submissions, completions) = ring.split();
        submitter.register_ring_fd()?;
        submitter.register_files_sparse(u32::from(config.legs) * 2)?;
        let buffers = Buffers::new(config.buffers)?;
        buffers.register(&submitter)?;
        // SAFETY: all-zero is a msghdr with null pointers and zero lengths.
        let mut shape: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        shape.msg_namelen = NAME_ROOM as u32;
        shape.msg_controllen = CONTROL_ROOM as _;
        let mut edge = Edge {
            config,
            submitter,
            submissions,
            completions,
            has_min_wait,
            buffers,
            made: Made::new(),
            shape,
            bell,
            legs: Legs::new(config.legs),
            queued: 0,
            outgoing: VecDeque::with_capacity(usize::from(config.buffers)),
            ended: Vec::with_capacity(usize::from(config.legs) * 2),
            failed: Vec::with_capacity(usize::from(config.legs) * 2),
            open_failures: VecDeque::new(),
            overflows: vec![[0; 2]; usize::from(config.legs)],
            latencies_ns: Vec::with_capacity(usize::from(config.buffers)),
            counts: EdgeCounts::default(),
        };
        edge.arm_bell()?;
        Ok(edge)
    }

    /// Executes what is queued and waits as told, `timeout` at the longest. Errors: the ring is broken, which ends the
    /// worker.
    pub fn enter(&mut self, wait: Wait, timeout: Duration) -> io::Result<()> {
        self.rearm_ended()?;
        self.completions.sync();
        if self.submissions.cq_overflow() {
            self.counts.queue_overflow += 1;
        }
        // Completions that are left from the last turn are work enough.
        let idle = self.completions.is_empty();
        let timeout = match wait {
            Wait::No => Duration::ZERO,
            Wait::First | Wait::Batch { .. } => timeout,
        };
        let timespec = Timespec::from(timeout);
        let mut args = SubmitArgs::new().timespec(&timespec);
        let batch_timespec;
        let want = match wait {
            _ if !idle => 0,
            // Deferred work runs only for one who waits, though it be for no time.
            Wait::No | Wait::First => 1,
            Wait::Batch {
                completions,
                longest_us,
            } if self.has_min_wait => {
                args = args.min_wait_usec(longest_us);
                completions
            }
            // Before 6.12: a wait that ends with or without a completion. Under load there is one.
            Wait::Batch {
                completions,
                longest_us,
            } => {
                batch_timespec = Timespec::from(Duration::from_micros(longest_us.into()));
                args = args.timespec(&batch_timespec);
                completions
            }
        };
        self.note_latencies();
        self.submissions.sync();
        let result = self.submitter.submit_with_args(want as usize, &args);
        check_enter(result)?;
        self.after_submit();
        Ok(())
    }

    /// The next packet of this turn. Completions of other kinds are seen to on the way.
    #[inline]
    pub fn next_arrival(&mut self) -> io::Result<Option<Arrival>> {
        while let Some(completion) = self.completions.next() {
            match Token::unpack(completion.user_data()) {
                Some(Token::Receive(arm)) => {
                    if let Some(arrival) = self.received(arm, &completion)? {
                        return Ok(Some(arrival));
                    }
                }
                // A send completes visibly only when it failed.
                Some(Token::Send(_)) => self.counts.send_failed += 1,
                Some(Token::Bell) => {
                    self.bell.silence();
                    if !cqueue::more(completion.flags()) {
                        self.arm_bell()?;
                    }
                }
                // There was no receive to cancel: its last completion has come, or comes in this turn.
                Some(Token::Cancel) | None => {}
            }
        }
        Ok(None)
    }

    /// The packet where the kernel put it, with the room behind it, and its length.
    #[inline]
    pub fn packet(&mut self, arrival: &Arrival) -> (&mut [u8], usize) {
        let room = self
            .buffers
            .bytes(&arrival.buffer, PACKET_START..BUFFER_LEN);
        (room, arrival.len)
    }

    /// Does what the worker orders about sockets. An open that fails is told by [`Edge::poll_open_failure`].
    pub fn obey(&mut self, order: SocketOrder) -> io::Result<()> {
        match order {
            SocketOrder::Open { leg, bind, .. } => match self.legs.begin_open(leg, bind) {
                OpenStep::Now => self.open(leg, bind),
                OpenStep::Later => Ok(()),
                OpenStep::Refuse => {
                    self.open_failures.push_back((leg, libc::EADDRINUSE));
                    Ok(())
                }
            },
            SocketOrder::Connect {
                leg,
                component,
                peer,
            } => {
                if let Some(pair) = self.legs.get(leg) {
                    let endpoint = pair.endpoint(component);
                    // Without a route now it stays unconnected, and each send finds out for itself.
                    endpoint.peer = socket::connect(&endpoint.socket, peer).ok().map(|()| peer);
                }
                Ok(())
            }
            SocketOrder::Disconnect { leg, component } => {
                if let Some(pair) = self.legs.get(leg) {
                    let endpoint = pair.endpoint(component);
                    if endpoint.peer.take().is_some() {
                        socket::disconnect(&endpoint.socket)?;
                    }
                }
                Ok(())
            }
            SocketOrder::Close { leg } => self.close(leg),
        }
    }

    /// The next open that failed: the leg, and why.
    pub fn poll_open_failure(&mut self) -> Option<(LegSlot, i32)> {
        self.open_failures.pop_front()
    }

    /// Tries again what failed since the last tick.
    pub fn handle_tick(&mut self) {
        self.ended.append(&mut self.failed);
    }

    /// Closes every leg.
    pub fn close_all(&mut self) -> io::Result<()> {
        let used: Vec<LegSlot> = self.legs.used_slots().collect();
        used.into_iter().try_for_each(|leg| self.close(leg))
    }

    /// How many legs have sockets, those that are closing included.
    pub fn legs_used(&self) -> usize {
        self.legs.used()
    }

    /// What has been counted since the beginning.
    pub fn counts(&self) -> &EdgeCounts {
        &self.counts
    }

    /// Takes the relay latencies of the packets sent since last asked: from the kernel's receive time stamp to the
    /// enter that sent them, in nanoseconds.
    pub fn drain_latencies_ns(&mut self) -> impl Iterator<Item = u64> + '_ {
        self.latencies_ns.drain(..)
    }

    fn received(&mut self, arm: Arm, completion: &cqueue::Entry) -> io::Result<Option<Arrival>> {
        let (flags, result) = (completion.flags(), completion.result());
        let current = self.legs.is_current(arm);
        if !cqueue::more(flags) {
            self.receive_ended(arm, result)?;
        }
        let buffer = cqueue::buffer_select(flags).and_then(|number| self.buffers.taken(number));
        let Some(buffer) = buffer else {
            return Ok(None);
        };
        if !current {
            self.counts.late += 1;
            self.buffers.give_back(buffer);
            return Ok(None);
        }
        let filled_len = usize::try_from(result).unwrap_or(0).min(BUFFER_LEN);
        let Some(reception) = layout::read(self.buffers.bytes(&buffer, 0..filled_len)) else {
            self.counts.oversize += 1;
            self.buffers.give_back(buffer);
            return Ok(None);
        };
        if let Some(overflows) = reception.overflows {
            self.note_overflows(arm, overflows);
        }
        self.counts.received += 1;
        Ok(Some(Arrival {
            leg: arm.leg,
            component: arm.component,
            source: reception.source,
            buffer,
            len: reception.len,
            received_ns: reception.received_ns,
        }))
    }

    /// A multishot receive has ended: because it was cancelled, or for one of its usual reasons.
    fn receive_ended(&mut self, arm: Arm, result: i32) -> io::Result<()> {
        match self.legs.receive_ended(arm) {
            EndStep::Nothing => {}
            EndStep::Free => self.free(arm.leg)?,
            EndStep::Rearm => match -result {
                libc::ENOBUFS => {
                    self.counts.no_buffer += u64::from(!self.buffers.deepen());
                    self.ended.push(arm);
                }
                // It had a packet and ended all the same: the completion queue was full.
                ..=0 => self.ended.push(arm),
                libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH => {
                    self.counts.socket_errors += 1;
                    self.ended.push(arm);
                }
                _ => {
                    self.counts.socket_errors += 1;
                    self.failed.push(arm);
                }
            },
        }
        Ok(())
    }

    fn note_overflows(&mut self, arm: Arm, overflows: u32) {
        let last = &mut self.overflows[usize::from(arm.leg.0)][place(arm.component)];
        self.counts.socket_overflow += u64::from(overflows.wrapping_sub(*last));
        *last = overflows;
    }

    fn open(&mut self, leg: LegSlot, bind: IpAddr) -> io::Result<()> {
        let port = self.config.first_port + leg.0 * 2;
        let is_stamped = self.legs.used() <= STAMPED_LEGS || leg.0.is_multiple_of(STAMPED_ONE_IN);
        let pair = socket::open(SocketAddr::new(bind, port), self.config.dscp).and_then(|rtp| {
            if is_stamped {
                socket::stamp_receives(&rtp)?;
            }
            let rtcp = socket::open(SocketAddr::new(bind, port + 1), self.config.dscp)?;
            self.set_files(leg, [rtp.as_raw_fd(), rtcp.as_raw_fd()])?;
            Ok((rtp, rtcp))
        });
        let (rtp, rtcp) = match pair {
            Ok(pair) => pair,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                self.open_failures.push_back((leg, errno));
                return Ok(());
            }
        };
        let generation = self.legs.open(leg, rtp, rtcp);
        self.overflows[usize::from(leg.0)] = [0; 2];
        for component in [Component::Rtp, Component::Rtcp] {
            self.arm_receive(Arm {
                leg,
                component,
                generation,
            })?;
        }
        Ok(())
    }

    fn close(&mut self, leg: LegSlot) -> io::Result<()> {
        let Some(arms) = self.legs.begin_close(leg) else {
            return Ok(());
        };
        for arm in arms.into_iter().flatten() {
            let cancel = opcode::AsyncCancel::new(Token::Receive(arm).pack())
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(Token::Cancel.pack());
            self.queue(cancel)?;
        }
        match self.legs.is_spent(leg) {
            true => self.free(leg),
            false => Ok(()),
        }
    }

    /// The last completion of a closing leg has come: frees its places in the file table, closes, and opens again if
    /// that is wanted.
    fn free(&mut self, leg: LegSlot) -> io::Result<()> {
        // What is queued from its sockets goes out before they go.
        self.submit()?;
        self.set_files(leg, [-1, -1])?;
        match self.legs.finish_close(leg) {
            Some(bind) => self.open(leg, bind),
            None => Ok(()),
        }
    }

    fn set_files(&self, leg: LegSlot, files: [i32; 2]) -> io::Result<()> {
        let offset = u32::from(leg.0) * 2;
        self.submitter
            .register_files_update(offset, &files)
            .map(drop)
    }

    fn rearm_ended(&mut self) -> io::Result<()> {
        while let Some(arm) = self.ended.pop() {
            if self.legs.is_current(arm) {
                if let Some(pair) = self.legs.get(arm.leg) {
                    pair.endpoint(arm.component).armed = true;
                }
                self.arm_receive(arm)?;
            }
        }
        Ok(())
    }

    fn arm_receive(&mut self, arm: Arm) -> io::Result<()> {
        let file = file(arm.leg, arm.component);
        let receive = opcode::RecvMsgMulti::new(file, &*self.shape, super::buffers::GROUP)
            .build()
            .user_data(Token::Receive(arm).pack());
        self.queue(receive)
    }

    fn arm_bell(&mut self) -> io::Result<()> {
        let bell = io_uring::types::Fd(self.bell.as_raw_fd());
        let poll = opcode::PollAdd::new(bell, libc::POLLIN as u32)
            .multi(true)
            .build()
            .user_data(Token::Bell.pack());
        self.queue(poll)
    }

    /// Queues a submission; if the queue is full, the kernel executes it first.
    #[inline]
    fn queue(&mut self, entry: squeue::Entry) -> io::Result<()> {
        if self.submissions.is_full() {
            self.submit()?;
        }
        // SAFETY: what an entry points to lives until the kernel has consumed it: a packet and its address in memory
        // that is given back after that (`after_submit`), `shape` as long as the edge. None is asynchronous: sends
        // carry MSG_DONTWAIT, and a receive keeps no pointer but into the buffer ring.
        let pushed = unsafe { self.submissions.push(&entry) };
        pushed.map_err(|_| io::Error::other("the kernel left the submission queue full"))?;
        self.queued = self.queued.wrapping_add(1);
        Ok(())
    }

    /// Has the kernel execute what is queued, without waiting for anything.
    fn submit(&mut self) -> io::Result<()> {
        self.note_latencies();
        self.submissions.sync();
        check_enter(self.submitter.submit())?;
        self.after_submit();
        Ok(())
    }
}

impl Drop for Edge<'_> {
    fn drop(&mut self) {
        // The kernel must not write to the buffers once they are unmapped. It does so only inside an enter of this
        // thread, and there is none after this; without the ring of buffers not even then.
        let _ = self.buffers.unregister(&self.submitter);
    }
}

/// A socket's place in the ring's file table.
#[inline]
fn file(leg: LegSlot, component: Component) -> Fixed {
    Fixed(u32::from(leg.0) * 2 + place(component) as u32)
}

/// An enter that ended early is no error: time is up, a signal came, or there are completions to take first.
fn check_enter(result: io::Result<usize>) -> io::Result<()> {
    match result {
        Ok(_) => Ok(()),
        Err(error) => match error.raw_os_error() {
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
            _ => Err(error),
        },
    }
}
