//! Threads, sockets, files and time: the only layer that touches them.

pub mod bell;
pub mod media_loop;
pub mod topology;
pub mod uring;
