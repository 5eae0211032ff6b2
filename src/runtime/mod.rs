//! Threads, sockets, files and time: the only layer that touches them.

pub mod bell;
pub mod input;
pub mod logging;
pub mod media_loop;
pub mod resolver;
pub mod sip_udp;
pub mod surroundings;
pub mod topology;
pub mod uring;
