//! What is checked before anything serves: that this kernel has the io_uring that the workers need and lets us use it,
//! that the limits are wide enough, that the RTP ports are free. Each error is one line: what, where, what to change.

use super::bell::Bell;
use super::topology::Topology;
use super::uring::{self, Edge, EdgeConfig};
use crate::config::settings::Settings;
use crate::link::{PortRange, RtpPort, WorkerId};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Open files besides RTP sockets: rings, bells, SIP and HTTP connections, logs.
const OTHER_FILES: u64 = 2048;

/// Sockets of a call: RTP and RTCP on two legs.
const SOCKETS_A_CALL: u64 = 4;

/// Why the gateway cannot run here.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PreflightError {
    /// The kernel lacks what came with 6.1.
    #[error(
        "Linux {release} is too old: its io_uring lacks {missing}; the media workers need Linux 6.1 or newer"
    )]
    KernelTooOld {
        /// What `uname -r` says.
        release: String,
        /// What it lacks.
        missing: String,
    },
    /// `kernel.io_uring_disabled` is not 0.
    #[error(
        "io_uring is disabled on this machine (kernel.io_uring_disabled = {value}); enable it: sysctl -w kernel.io_uring_disabled=0{}",
        if *value == 1 { ", or add this user's group to kernel.io_uring_group" } else { "" }
    )]
    UringDisabled {
        /// 1: for all but privileged users and a group; 2: for all.
        value: u8,
    },
    /// EPERM or ENOSYS without a sysctl to blame.
    #[error(
        "io_uring is forbidden to this process ({error}), as the default seccomp profile of container runtimes does; allow io_uring_setup, io_uring_enter and io_uring_register in the profile, or run with --security-opt seccomp=unconfined"
    )]
    UringForbidden {
        /// What the kernel said.
        error: String,
    },
    /// The ring cannot be had for another reason.
    #[error("io_uring cannot be set up: {error}")]
    Uring {
        /// What the kernel said.
        error: String,
    },
    /// `RLIMIT_NOFILE` cannot be raised far enough.
    #[error(
        "{needed} open files are needed (four RTP sockets for each of global.max_calls = {max_calls}, no more than rtp.ports has, and {OTHER_FILES} besides), and the hard limit is {hard}; raise it (LimitNOFILE= in the systemd unit, ulimit -Hn), or lower global.max_calls or narrow rtp.ports"
    )]
    FilesTooFew {
        /// How many.
        needed: u64,
        /// The hard limit.
        hard: u64,
        /// From the settings.
        max_calls: u32,
    },
    /// `RLIMIT_MEMLOCK` is too small for the rings.
    #[error(
        "no memory for the rings of {workers} media workers; the limit of locked memory is {limit} bytes, and each takes about {}: raise it (LimitMEMLOCK= in the systemd unit, ulimit -l)",
        RING_BYTES
    )]
    MemlockTooLow {
        /// How many workers.
        workers: usize,
        /// The limit.
        limit: u64,
    },
    /// Not one port pair of a worker is free.
    #[error(
        "every RTP port of media worker {} ({first}-{last}) is taken at {address}; choose other rtp.ports, or stop the program that has them (ss -lunp names it)",
        worker.0
    )]
    NoPortFree {
        /// Which worker.
        worker: WorkerId,
        /// Its first port.
        first: u16,
        /// Its last.
        last: u16,
        /// Where.
        address: IpAddr,
    },
}

/// What a worker's ring and its buffer ring take of `RLIMIT_MEMLOCK`, where the kernel counts them (6.14 and later):
/// 4,096 submissions of 64 bytes, 32,768 completions of 16, 4,096 buffer entries of 16, and their heads.
const RING_BYTES: u64 = 1 << 20;

/// What the checks found that is no error.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Port pairs that something else has: not to be leased.
    pub taken: Vec<TakenPair>,
}

/// A port pair that cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenPair {
    /// Which.
    pub port: RtpPort,
    /// Where.
    pub address: IpAddr,
    /// Why.
    pub errno: i32,
}

impl fmt::Display for TakenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rtp, rtcp) = (self.port.rtp(), self.port.rtcp());
        let why = io::Error::from_raw_os_error(self.errno);
        write!(f, "RTP ports {rtp} and {rtcp} at {}: {why}", self.address)
    }
}

/// Checks everything. Raises the soft limit of open files on the way.
///
/// # Errors
/// The first reason why the gateway cannot run here.
pub fn check(settings: &Settings, topology: &Topology) -> Result<Report, PreflightError> {
    let max_calls = settings.global.max_calls;
    let needed = files_needed(max_calls, &topology.range);
    raise_files(needed, max_calls)?;
    check_ring(topology)?;
    let addresses: BTreeSet<IpAddr> = settings.transports.iter().map(|t| t.bind.ip()).collect();
    let taken = addresses
        .into_iter()
        .flat_map(|address| taken_pairs(&topology.range, address))
        .collect();
    judge_ports(&topology.range, taken)
}

/// How many open files the gateway needs at its limits.
fn files_needed(max_calls: u32, range: &PortRange) -> u64 {
    let at_most = u64::from(range.pairs()) * 2;
    let sockets = (u64::from(max_calls) * SOCKETS_A_CALL).min(at_most);
    // The ring's file table has a place for every socket of the worker's slice, and counts against the limit alone.
    let slices = (0..range.workers()).map(|worker| range.ports_of(WorkerId(worker)).len() as u64);
    let table = slices.max().unwrap_or(0) * 2;
    (sockets + OTHER_FILES).max(table)
}

fn raise_files(needed: u64, max_calls: u32) -> Result<(), PreflightError> {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(());
    };
    let soft_wanted = judge_files(needed, (soft, hard), max_calls)?;
    if soft_wanted > soft {
        // The kernel allows up to the hard limit; should it not, opening a leg will fail and be told.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft_wanted, hard);
    }
    Ok(())
}

/// The soft limit to set, given what is needed and the limits found.
fn judge_files(
    needed: u64,
    (soft, hard): (u64, u64),
    max_calls: u32,
) -> Result<u64, PreflightError> {
    match needed <= hard {
        true => Ok(soft.max(needed)),
        false => Err(PreflightError::FilesTooFew {
            needed,
            hard,
            max_calls,
        }),
    }
}

/// Where the ring's set-up failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RingFault {
    /// It cannot be had.
    Setup(i32),
    /// This operation is missing.
    Missing(&'static str),
    /// Its buffers or its file table cannot be had.
    Resources(i32),
}

/// What the machine says about itself.
#[derive(Clone, Debug)]
struct Machine {
    release: String,
    /// `kernel.io_uring_disabled`; None on a kernel that does not have it (before 6.6).
    uring_disabled: Option<u8>,
    memlock: u64,
}

impl Machine {
    fn read() -> Machine {
        let line = |path| std::fs::read_to_string(path).unwrap_or_default();
        Machine {
            release: line("/proc/sys/kernel/osrelease").trim().to_owned(),
            uring_disabled: line("/proc/sys/kernel/io_uring_disabled")
                .trim()
                .parse()
                .ok(),
            memlock: getrlimit(Resource::RLIMIT_MEMLOCK).map_or(0, |(soft, _)| soft),
        }
    }
}

/// Sets up as many rings as there are workers, as they will, and drops them.
fn check_ring(topology: &Topology) -> Result<(), PreflightError> {
    let workers = topology.worker_cores.len();
    // Each on a thread of its own: the kernel ties a ring to the thread that made it.
    let faults = std::thread::scope(|scope| {
        let first_slice = topology.range.ports_of(WorkerId(0)).len();
        let probes: Vec<_> = (0..workers)
            .map(|_| scope.spawn(move || probe_ring(first_slice)))
            .collect();
        let results: Vec<_> = probes.into_iter().map(|probe| probe.join()).collect();
        results
            .into_iter()
            .filter_map(Result::ok)
            .find_map(Result::err)
    });
    match faults {
        Some(fault) => Err(judge_ring(fault, &Machine::read(), workers)),
        None => Ok(()),
    }
}

fn probe_ring(pairs: usize) -> Result<(), RingFault> {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    let mut ring = uring::ring::build().map_err(|error| RingFault::Setup(errno(error)))?;
    let missing = uring::ring::missing_operation(&ring);
    if let Some(missing) = missing.map_err(|error| RingFault::Setup(errno(error)))? {
        return Err(RingFault::Missing(missing));
    }
    let config = EdgeConfig {
        first_port: 2,
        legs: u16::try_from(pairs).unwrap_or(u16::MAX),
        dscp: 0,
        buffers: uring::BUFFERS,
    };
    let edge = Bell::new().and_then(|bell| Edge::new(&mut ring, config, bell).map(drop));
    edge.map_err(|error| RingFault::Resources(errno(error)))
}

/// Puts a fault of the ring into words.
fn judge_ring(fault: RingFault, machine: &Machine, workers: usize) -> PreflightError {
    let release = machine.release.clone();
    match fault {
        RingFault::Missing(operation) => PreflightError::KernelTooOld {
            release,
            missing: operation.to_owned(),
        },
        RingFault::Setup(libc::EINVAL) => PreflightError::KernelTooOld {
            release,
            missing: "DEFER_TASKRUN".to_owned(),
        },
        RingFault::Resources(libc::EINVAL) => PreflightError::KernelTooOld {
            release,
            missing: "provided-buffer rings".to_owned(),
        },
        RingFault::Setup(errno @ (libc::EPERM | libc::ENOSYS)) => match machine.uring_disabled {
            Some(value @ 1..) => PreflightError::UringDisabled { value },
            Some(0) | None => PreflightError::UringForbidden {
                error: io::Error::from_raw_os_error(errno).to_string(),
            },
        },
        RingFault::Setup(libc::ENOMEM) | RingFault::Resources(libc::ENOMEM) => {
            PreflightError::MemlockTooLow {
                workers,
                limit: machine.memlock,
            }
        }
        RingFault::Setup(errno) | RingFault::Resources(errno) => PreflightError::Uring {
            error: io::Error::from_raw_os_error(errno).to_string(),
        },
    }
}

/// Binds each pair of the range at this address for a moment; returns those that cannot be bound.
fn taken_pairs(range: &PortRange, address: IpAddr) -> Vec<TakenPair> {
    let bind = |port| UdpSocket::bind(SocketAddr::new(address, port));
    (0..range.workers())
        .flat_map(|worker| range.ports_of(WorkerId(worker)))
        .filter_map(|port| {
            let both = bind(port.rtp()).and_then(|rtp| Ok((rtp, bind(port.rtcp())?)));
            let errno = both.err()?.raw_os_error().unwrap_or(libc::EIO);
            Some(TakenPair {
                port,
                address,
                errno,
            })
        })
        .collect()
}

/// Some taken pairs are worth a warning, a worker that has none left is an error.
fn judge_ports(range: &PortRange, taken: Vec<TakenPair>) -> Result<Report, PreflightError> {
    for worker in (0..range.workers()).map(WorkerId) {
        let mut free: BTreeSet<RtpPort> = range.ports_of(worker).collect();
        for pair in &taken {
            free.remove(&pair.port);
            if !free.is_empty() || range.worker_of(pair.port) != Some(worker) {
                continue;
            }
            let mut ports = range.ports_of(worker);
            if let Some(first) = ports.next() {
                return Err(PreflightError::NoPortFree {
                    worker,
                    first: first.rtp(),
                    last: ports.last().unwrap_or(first).rtcp(),
                    address: pair.address,
                });
            }
        }
    }
    Ok(Report { taken })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn range(first: u16, last: u16, workers: u16) -> PortRange {
        PortRange::new(first, last, workers).expect("a range")
    }

    fn machine(uring_disabled: Option<u8>) -> Machine {
        Machine {
            release: "5.15.0".to_owned(),
            uring_disabled,
            memlock: 65536,
        }
    }

    fn ring_error(fault: RingFault, uring_disabled: Option<u8>) -> String {
        judge_ring(fault, &machine(uring_disabled), 2).to_string()
    }

    #[test]
    fn files_are_four_a_call_but_no_more_than_there_are_ports() {
        let wide = range(10000, 20000, 2);
        assert_eq!(files_needed(100, &wide), 5000);
        assert_eq!(files_needed(1000, &wide), 4000 + OTHER_FILES);
        assert_eq!(files_needed(4000, &wide), 10000 + OTHER_FILES);
        assert_eq!(
            files_needed(4000, &range(30000, 30100, 1)),
            100 + OTHER_FILES
        );
    }

    #[test]
    fn the_soft_limit_is_raised_and_the_hard_limit_is_told() {
        assert_eq!(judge_files(6000, (1024, 524_288), 1000), Ok(6000));
        assert_eq!(judge_files(6000, (8192, 524_288), 1000), Ok(8192));
        let error = judge_files(6000, (1024, 4096), 1000).expect_err("too few");
        assert!(error.to_string().starts_with("6000 open files are needed"));
        assert!(error.to_string().contains("LimitNOFILE"));
    }

    #[test]
    fn a_ring_that_cannot_be_had_is_put_into_words() {
        let old = "Linux 5.15.0 is too old: its io_uring lacks DEFER_TASKRUN; the media workers need Linux 6.1 or newer";
        assert_eq!(ring_error(RingFault::Setup(libc::EINVAL), None), old);
        let missing = ring_error(RingFault::Missing("SEND_ZC"), None);
        assert!(missing.contains("lacks SEND_ZC"), "{missing}");

        let disabled = ring_error(RingFault::Setup(libc::EPERM), Some(2));
        assert!(
            disabled.contains("kernel.io_uring_disabled = 2"),
            "{disabled}"
        );
        let group = ring_error(RingFault::Setup(libc::EPERM), Some(1));
        assert!(group.contains("io_uring_group"), "{group}");
        for (errno, sysctl) in [
            (libc::EPERM, Some(0)),
            (libc::EPERM, None),
            (libc::ENOSYS, None),
        ] {
            let forbidden = ring_error(RingFault::Setup(errno), sysctl);
            assert!(forbidden.contains("seccomp"), "{forbidden}");
        }
        let memory = ring_error(RingFault::Resources(libc::ENOMEM), Some(0));
        assert!(memory.contains("LimitMEMLOCK"), "{memory}");
        assert!(memory.contains("65536"), "{memory}");
        let other = ring_error(RingFault::Setup(libc::EIO), Some(0));
        assert!(other.starts_with("io_uring cannot be set up"), "{other}");
    }

    #[test]
    fn a_taken_pair_is_found_whichever_of_its_ports_is_taken() {
        let address = IpAddr::V4(Ipv4Addr::new(127, 0, 96, 1));
        let range = range(30000, 30019, 2);
        assert_eq!(taken_pairs(&range, address), []);
        let _rtp = UdpSocket::bind((address, 30002)).expect("free");
        let _rtcp = UdpSocket::bind((address, 30015)).expect("free");
        let taken = taken_pairs(&range, address);
        let ports: Vec<u16> = taken.iter().map(|pair| pair.port.rtp()).collect();
        assert_eq!(ports, [30002, 30014]);
        assert!(taken.iter().all(|pair| pair.errno == libc::EADDRINUSE));
        assert_eq!(
            taken[0].to_string(),
            "RTP ports 30002 and 30003 at 127.0.96.1: Address already in use (os error 98)"
        );
    }

    #[test]
    fn a_worker_without_a_port_is_an_error_and_one_with_some_is_not() {
        let range = range(30000, 30007, 2);
        let taken = |ports: &[u16]| -> Vec<TakenPair> {
            let pair = |port: &u16| TakenPair {
                port: RtpPort::new(*port).expect("even"),
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                errno: libc::EADDRINUSE,
            };
            ports.iter().map(pair).collect()
        };
        for some in [&[][..], &[30000], &[30002, 30006]] {
            let report = judge_ports(&range, taken(some)).expect("enough");
            assert_eq!(report.taken, taken(some));
        }
        let error = judge_ports(&range, taken(&[30002, 30004, 30006])).expect_err("none left");
        assert_eq!(
            error.to_string(),
            "every RTP port of media worker 1 (30004-30007) is taken at 127.0.0.1; choose other rtp.ports, or stop the program that has them (ss -lunp names it)"
        );
    }

    #[test]
    fn this_machine_passes() {
        let topology = Topology {
            control_cores: vec![0],
            worker_cores: vec![0, 0],
            range: range(20000, 20999, 2),
        };
        assert_eq!(check_ring(&topology), Ok(()));
    }
}
