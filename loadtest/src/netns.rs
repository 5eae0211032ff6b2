//! Two hosts on one machine: network namespaces joined by a veth pair, one for the system under test on core 0, one for
//! the load on core 1. What the tested side receives is processed on core 0 (RPS), and so is what it sends until the
//! load has its copy, so that the busy time of core 0 is all that the system under test and the kernel on its behalf
//! used.

use crate::wire::Mac;
use anyhow::{Context, Result, bail};
use std::net::Ipv4Addr;
use std::process::Command;

/// Address of the system under test (RFC 2544's benchmark range).
pub const TESTED: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// Address of the calling trunk.
pub const CALLER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// Address of the called trunk.
pub const CALLED: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 3);
/// Address of the calling trunk's media. No host of ours has it; see [`crate::wire`].
pub const CALLER_RTP: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 4);
/// Address of the called trunk's media.
pub const CALLED_RTP: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 5);

/// The load's device.
pub const LOAD_DEVICE: &str = "rw1";
/// Hardware address of the tested side's device (of the range that nobody administers).
pub const TESTED_MAC: Mac = [0x02, 0, 0, 0, 0, 1];
/// Hardware address that the tested side has for the media addresses: nobody's.
pub const MEDIA_MAC: Mac = [0x02, 0, 0, 0, 0, 4];

/// The pair; removed when it goes.
pub struct Hosts {
    /// Namespace of the system under test.
    pub tested: String,
    /// Namespace of the load.
    pub load: String,
}

impl Hosts {
    /// Makes them. Needs root.
    pub fn make() -> Result<Hosts> {
        let id = std::process::id();
        let hosts = Hosts {
            tested: format!("rw-tested-{id}"),
            load: format!("rw-load-{id}"),
        };
        let (tested, load) = (&hosts.tested, &hosts.load);
        for namespace in [tested, load] {
            ip(&["netns", "add", namespace])
                .context("a network namespace (this needs root and iproute2)")?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        ip(&[
            "-n", tested, "link", "add", "rw0", "type", "veth", "peer", "name", "rw1", "netns",
            load,
        ])?;
        ip(&[
            "-n",
            tested,
            "addr",
            "add",
            &format!("{TESTED}/24"),
            "dev",
            "rw0",
        ])?;
        for address in [CALLER, CALLED] {
            ip(&[
                "-n",
                load,
                "addr",
                "add",
                &format!("{address}/24"),
                "dev",
                "rw1",
            ])?;
        }
        for (namespace, device) in [(tested, "rw0"), (load, LOAD_DEVICE)] {
            ip(&[
                "-n",
                namespace,
                "link",
                "set",
                device,
                "txqueuelen",
                "10000",
                "up",
            ])?;
        }
        let set = "echo 1 > /sys/class/net/rw0/queues/rx-0/rps_cpus";
        run(Command::new("ip").args(["netns", "exec", tested, "sh", "-c", set]))?;
        hosts.set_hardware_addresses()?;
        Ok(hosts)
    }

    fn set_hardware_addresses(&self) -> Result<()> {
        let text = |mac: Mac| mac.map(|byte| format!("{byte:02x}")).join(":");
        let tested = &self.tested;
        ip(&[
            "-n",
            tested,
            "link",
            "set",
            "rw0",
            "address",
            &text(TESTED_MAC),
        ])?;
        for address in [CALLER_RTP, CALLED_RTP] {
            let (address, mac) = (address.to_string(), text(MEDIA_MAC));
            ip(&[
                "-n",
                tested,
                "neigh",
                "replace",
                &address,
                "lladdr",
                &mac,
                "dev",
                "rw0",
                "nud",
                "permanent",
            ])?;
        }
        Ok(())
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for namespace in [&self.tested, &self.load] {
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// Runs the work on a thread of its own in the namespace, pinned to the core: sockets that it opens live there.
pub fn inside<T: Send>(
    namespace: &str,
    core: usize,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let handle = std::fs::File::open(format!("/run/netns/{namespace}"))?;
            nix::sched::setns(handle, nix::sched::CloneFlags::CLONE_NEWNET)?;
            let mut cores = nix::sched::CpuSet::new();
            cores.set(core)?;
            nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &cores)?;
            work()
        });
        thread
            .join()
            .unwrap_or_else(|_| bail!("the thread in {namespace} panicked"))
    })
}
