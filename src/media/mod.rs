//! The data plane, sans-IO: what a worker does with a packet. No sockets, no clock, no allocation and no lock for a
//! packet. The ring below it (`runtime::uring`) owns sockets and buffers.

pub mod worker;

pub use worker::{Component, DropReason, LegSlot, Nanos, Verdict, Worker};
