//! How this machine's processors spent their time since boot (`/proc/stat`).

use anyhow::{Context, Result};

/// Places in a line: user nice system idle iowait irq softirq steal guest guest_nice; guest is in user already.
const BUSY: [usize; 5] = [0, 1, 2, 5, 6];
const STOLEN: [usize; 1] = [7];

/// Busy seconds of a core: everything but idle, waiting for I/O, and what the machine's host took for others.
pub fn core_busy_s(core: usize) -> Result<f64> {
    seconds(&format!("cpu{core}"), &BUSY)
}

/// Seconds that the machine's host gave to others while something was to be done here, all cores together. Audio that is
/// late meanwhile is late for want of them.
pub fn stolen_s() -> Result<f64> {
    seconds("cpu", &STOLEN)
}

fn seconds(name: &str, places: &[usize]) -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat
        .lines()
        .find(|line| line.split(' ').next() == Some(name))
        .context("no such core")?;
    let ticks: Vec<f64> = line
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    let sum: f64 = places.iter().filter_map(|place| ticks.get(*place)).sum();
    // SAFETY: sysconf has no memory to get wrong.
    let hertz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    Ok(sum / hertz)
}
