//! What the controller asks of its machine.

use crate::config::Settings;
use std::net::IpAddr;
use std::path::PathBuf;

/// What the controller asks of its surroundings at once, without waiting.
pub trait Surroundings {
    /// The local address that a packet to `peer` would leave from, for transports bound to any address.
    /// None if there is no route.
    fn source_address(&self, peer: IpAddr) -> Option<IpAddr>;

    /// Seconds since the epoch, for `${EPOCH}` and STRFTIME.
    fn unix_time(&self) -> u64;

    /// Where recordings go, by the settings or else by the environment. None: nothing can be recorded,
    /// as where there are no files.
    fn recording_directory(&self, _settings: &Settings) -> Option<PathBuf> {
        None
    }

    /// Bytes that nobody can guess, for keys: from the operating system's random source.
    fn fill_secret(&self, bytes: &mut [u8]);
}
