//! Every thread, core, queue and depth, on one screen.
//!
//! ```text
//!  thread      cores                 waits on              queues                              at the limit
//!  ─────────── ───────────────────── ───────────────────── ─────────────────────────────────── ─────────────────
//!  main        those of no worker    tokio's io_uring      SIP and HTTP sockets; control's bell
//!  tls         as main               its own epoll         TLS handshakes 512, 64 of an address refused
//!              (with a TLS transport only)
//!  media-0..N  one each, pinned      its own ring          commands in  COMMANDS (1,024)       Open: 503
//!                                                          events out   EVENTS   (4,096)       reports dropped
//!                                                          packets in   uring::BUFFERS (4,096) wait in the socket
//!                                                          sends        4,096 a submit         submits, goes on
//!                                                          completions  32,768                 kept by the kernel
//!                                                          each socket  256 KiB                socket_overflow
//! ```
//!
//! Control and the workers share nothing but the queues, the two bells of each pair, and the cells that a scrape reads.
//! A worker that panics or loses its ring cannot be mended while its sockets are bound: [`start`] tells its `on_death`,
//! and the gateway ends with an error, for a supervisor to start anew, sooner than go on with silent calls.

use super::bell::Bell;
use super::media_loop::{self, Seat};
use crate::config::settings::Rtp;
use crate::link::ring::{Limits, Receiver, Sender, queue};
use crate::link::{Command, Event, PortRange, WorkerId};
use crate::metrics::WorkerCells;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// Control to a worker. A call takes some ten, so a hundred calls can begin between two turns.
const COMMANDS: Limits = Limits {
    queue_max: 1024,
    backlog_max: 4096,
};

/// A worker to control.
const EVENTS: Limits = Limits {
    queue_max: 4096,
    backlog_max: 4096,
};

/// Which thread runs where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Cores of the control thread: all that no worker has, or all if that leaves none.
    pub control_cores: Vec<usize>,
    /// The core of each worker.
    pub worker_cores: Vec<usize>,
    /// The RTP ports, cut into one slice a worker.
    pub range: PortRange,
}

/// Why no topology fits the settings and the machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// A core that this process may not use.
    #[error(
        "rtp.cores: core {core} is not one that this process may use ({allowed:?}); name others, or widen its CPU set"
    )]
    CoreNotAllowed {
        /// The core.
        core: usize,
        /// Those it may use.
        allowed: Vec<usize>,
    },
    /// More workers than port pairs.
    #[error(
        "rtp.ports: {first}-{last} is too small for {workers} workers; widen it, or set rtp.workers lower"
    )]
    TooFewPorts {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
        /// Workers wanted.
        workers: u16,
    },
}

impl Topology {
    /// Decides from the settings and the cores that the process may use (never empty).
    ///
    /// `cores` given: the workers take them in order, around again if there are more workers. Else control keeps the
    /// first core and the workers take the others; on a machine of one core they share it.
    ///
    /// # Errors
    /// See [`TopologyError`].
    pub fn plan(rtp: &Rtp, allowed: &[usize]) -> Result<Topology, TopologyError> {
        if let Some(core) = rtp.cores.iter().find(|core| !allowed.contains(core)) {
            return Err(TopologyError::CoreNotAllowed {
                core: *core,
                allowed: allowed.to_vec(),
            });
        }
        let for_workers = match (rtp.cores.as_slice(), allowed) {
            ([], [_, others @ ..]) if !others.is_empty() => others,
            ([], all) => all,
            (named, _) => named,
        };
        let (first, last) = rtp.ports;
        let auto = u16::try_from(for_workers.len()).unwrap_or(u16::MAX);
        let workers = rtp.workers.unwrap_or(auto);
        let range = PortRange::new(first, last, workers).ok_or(TopologyError::TooFewPorts {
            first,
            last,
            workers,
        })?;
        let around = for_workers.iter().cycle().copied();
        let worker_cores: Vec<usize> = around.take(workers.into()).collect();
        let unused = |core: &usize| !worker_cores.contains(core);
        let mut control_cores: Vec<usize> = allowed.iter().copied().filter(unused).collect();
        if control_cores.is_empty() {
            control_cores = allowed.to_vec();
        }
        Ok(Topology {
            control_cores,
            worker_cores,
            range,
        })
    }
}

/// The cores that this process may use. Errors: the system does not say.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|core| set.is_set(*core).unwrap_or(false))
        .collect())
}

/// Keeps the calling thread, and those it starts from now on, to these cores. Errors: not allowed.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Control's end of a worker.
pub struct WorkerHandle {
    /// Which.
    pub id: WorkerId,
    /// The core that it is pinned to; None if that was not allowed.
    pub core: Option<usize>,
    /// To the worker.
    pub commands: Sender<Command, Bell>,
    /// From the worker. Control's bell is rung for it.
    pub events: Receiver<Event>,
    /// What it counts.
    pub cells: Arc<WorkerCells>,
    /// Ends after [`Command::Stop`].
    pub thread: JoinHandle<()>,
}

/// Called on a dying worker's thread with the reason. It should end the process.
pub type OnDeath = fn(WorkerId, &str);

/// Starts all workers and returns when each has its ring. `control_bell` is rung for their events; `seed` feeds what
/// they draw by lot. Errors: a thread or a ring cannot be had (see `preflight` for the reasons put into words).
pub fn start(
    topology: &Topology,
    rtp: &Rtp,
    control_bell: &Bell,
    seed: u64,
    on_death: OnDeath,
) -> io::Result<Vec<WorkerHandle>> {
    let numbered = (0..).map(WorkerId).zip(&topology.worker_cores);
    numbered
        .map(|(id, core)| {
            let bell = Bell::new()?;
            let (commands, commands_in) = queue(COMMANDS, bell.try_clone()?);
            let (events_out, events) = queue(EVENTS, control_bell.try_clone()?);
            let cells = Arc::new(WorkerCells::new());
            let seat = Seat {
                id,
                range: topology.range,
                dscp: rtp.dscp,
                batch_wait_us: rtp.batch_wait_us,
                relays_rtcp: rtp.relays_rtcp,
                seed: seed.wrapping_add(u64::from(id.0).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
                commands: commands_in,
                bell,
                events: events_out,
                cells: Arc::clone(&cells),
            };
            let (core, thread) = spawn(seat, *core, on_death)?;
            Ok(WorkerHandle {
                id,
                core,
                commands,
                events,
                cells,
                thread,
            })
        })
        .collect()
}

/// Starts one worker's thread and waits until it stands; returns the core that it got.
fn spawn(
    seat: Seat,
    core: usize,
    on_death: OnDeath,
) -> io::Result<(Option<usize>, JoinHandle<()>)> {
    let id = seat.id;
    let (stands, stood) = mpsc::sync_channel(1);
    let failed = stands.clone();
    let body = move || {
        // Refused in some containers; then the scheduler places the thread, and the row of `show workers` says so.
        let pinned = pin(&[core]).is_ok().then_some(core);
        let mut started = false;
        let run = || {
            media_loop::run(seat, || {
                started = true;
                // Nobody listens only if the start was given up.
                let _ = stands.send(Ok(pinned));
            })
        };
        let reason = match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => return,
            Ok(Err(error)) if !started => {
                let _ = failed.send(Err(error));
                return;
            }
            Ok(Err(error)) => format!("its ring failed: {error}"),
            Err(_) => "it panicked (the panic's own message is above)".to_owned(),
        };
        on_death(id, &reason);
    };
    let thread = std::thread::Builder::new()
        .name(format!("media-{}", id.0))
        .spawn(body)?;
    let pinned = stood
        .recv()
        .map_err(|_| io::Error::other("a media worker died at its start"))??;
    Ok((pinned, thread))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn rtp(ports: (u16, u16), workers: Option<u16>, cores: &[usize]) -> Rtp {
        Rtp {
            ports,
            workers,
            cores: cores.to_vec(),
            timeout: Duration::from_secs(60),
            dscp: 46,
            batch_wait_us: 0,
            relays_rtcp: false,
        }
    }

    fn cores(rtp: &Rtp, allowed: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let topology = Topology::plan(rtp, allowed).expect("it fits");
        assert_eq!(
            topology.range.workers() as usize,
            topology.worker_cores.len()
        );
        (topology.control_cores, topology.worker_cores)
    }

    #[test]
    fn auto_leaves_control_a_core() {
        let auto = rtp((20000, 20999), None, &[]);
        assert_eq!(cores(&auto, &[0, 1]), (vec![0], vec![1]));
        assert_eq!(cores(&auto, &[2, 3, 5, 7]), (vec![2], vec![3, 5, 7]));
        assert_eq!(cores(&auto, &[4]), (vec![4], vec![4]));
    }

    #[test]
    fn named_cores_are_taken_in_order() {
        let named = rtp((20000, 20999), None, &[3, 1]);
        assert_eq!(cores(&named, &[0, 1, 2, 3]), (vec![0, 2], vec![3, 1]));
        let three = rtp((20000, 20999), Some(3), &[3, 1]);
        assert_eq!(cores(&three, &[0, 1, 2, 3]), (vec![0, 2], vec![3, 1, 3]));
        let all = rtp((20000, 20999), None, &[0, 1]);
        assert_eq!(cores(&all, &[0, 1]), (vec![0, 1], vec![0, 1]));
    }

    #[test]
    fn a_number_of_workers_is_kept_whatever_the_cores() {
        let two = rtp((20000, 20999), Some(2), &[]);
        assert_eq!(cores(&two, &[0, 1]), (vec![0], vec![1, 1]));
        assert_eq!(cores(&two, &[0]), (vec![0], vec![0, 0]));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let elsewhere = rtp((20000, 20999), None, &[1, 9]);
        let error = Topology::plan(&elsewhere, &[0, 1]).expect_err("no core 9");
        assert_eq!(
            error.to_string(),
            "rtp.cores: core 9 is not one that this process may use ([0, 1]); name others, or widen its CPU set"
        );
        let narrow = rtp((20000, 20003), Some(3), &[]);
        let error = Topology::plan(&narrow, &[0, 1]).expect_err("two pairs for three");
        assert_eq!(
            error.to_string(),
            "rtp.ports: 20000-20003 is too small for 3 workers; widen it, or set rtp.workers lower"
        );
    }

    #[test]
    fn this_process_has_cores() {
        let allowed = allowed_cores().expect("the system says");
        assert!(!allowed.is_empty());
        std::thread::spawn(move || {
            pin(&allowed[..1]).expect("a core of ours");
            assert_eq!(allowed_cores().expect("the system says"), allowed[..1]);
        })
        .join()
        .expect("pinned");
    }
}
