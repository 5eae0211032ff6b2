//! The data plane, sans-IO: what a worker does with a packet. No sockets, no clock, no allocation and no lock for a
//! packet. The ring below it (`runtime::uring`) owns sockets and buffers.

mod audio;
mod clock;
mod counting;
mod crypto;
mod events;
mod flood;
mod in_stream;
mod latch;
mod leg;
mod legs;
mod out_stream;
mod outbox;
mod peer;
mod reports;
mod rtcp_latch;
mod seam;
#[cfg(test)]
mod testing;
mod unusable;
pub mod worker;

pub use seam::{TRANSMIT_LEN_MAX, Transmit};
pub use worker::{Component, Counters, DropReason, LegSlot, Nanos, SocketOrder, Verdict, Worker};
