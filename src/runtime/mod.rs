//! Threads, sockets, files and time: the only layer that touches them.

pub mod bell;
pub mod uring;
