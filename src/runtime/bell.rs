//! The eventfd behind [`crate::link::ring::Bell`]: wakes a thread that waits in its own event loop. Queues between planes carry the data, the bell only says
//! "look". Rings add up: ten of them before the other side wakes are one wake.

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One end of an eventfd. A clone made with [`Bell::try_clone`] rings, or hears, the same bell.
#[derive(Debug)]
pub struct Bell {
    fd: OwnedFd,
}

impl Bell {
    /// A bell that nobody has rung. Errors: no file descriptor left.
    pub fn new() -> io::Result<Bell> {
        // Non-blocking, so that `silence` never waits and tokio can poll it.
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let fd = EventFd::from_flags(flags)?;
        Ok(Bell { fd: fd.into() })
    }

    /// Another handle to the same bell. Errors: no file descriptor left.
    pub fn try_clone(&self) -> io::Result<Bell> {
        self.fd.try_clone().map(|fd| Bell { fd })
    }

    /// The bell for a tokio task to wait for. Must be called inside the runtime. Errors: the system's, from epoll.
    pub fn watched(self) -> io::Result<AsyncFd<Bell>> {
        // SAFETY: a bell owns its descriptor until it is dropped, and never changes it.
        unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) }
            .map_err(io::Error::from)
    }

    /// Silences the bell, so that it can be heard again; look into the queue after, not before. True if it had rung.
    pub fn silence(&self) -> bool {
        let mut count = [0; 8];
        loop {
            match nix::unistd::read(&self.fd, &mut count) {
                Ok(_) => return true,
                Err(Errno::EINTR) => {}
                Err(_) => return false,
            }
        }
    }
}

impl crate::link::ring::Bell for Bell {
    fn ring(&self) {
        // EAGAIN: 2^64 rings that nobody silenced; the bell is ringing, which is all that was wanted.
        let _ = nix::unistd::write(&self.fd, &1u64.to_ne_bytes());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::ring::Bell as _;

    #[test]
    fn rings_add_up_and_silence_clears_them() {
        let bell = Bell::new().expect("an eventfd");
        let other = bell.try_clone().expect("a second handle");
        assert!(!bell.silence());
        other.ring();
        other.ring();
        assert!(bell.silence());
        assert!(!bell.silence());
    }
}
