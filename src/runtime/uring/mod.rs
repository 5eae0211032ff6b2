//! The io_uring edge of a worker: sockets, buffers and the ring, with no idea of what a packet means.
//!
//! One ring a worker, used by its thread alone: completions run only when the thread enters the kernel
//! (`DEFER_TASKRUN`), receives are multishot into provided buffers, sockets are registered files, sends are queued and
//! executed by the same enter that waits for the next packets. All `unsafe` of the data plane is in this directory.

pub mod buffers;
pub mod counts;
pub mod edge;
pub mod layout;
pub mod legs;
mod made;
pub mod ring;
pub mod socket;
pub mod token;

pub use counts::EdgeCounts;
pub use edge::{Arrival, BUFFERS, Edge, EdgeConfig};

#[cfg(test)]
mod tests;
