//! Ringway: a SIP media gateway for Linux.
//!
//! # The two planes
//!
//! ```text
//!  SIP (UDP TCP TLS)                                      RTP/RTCP ports
//!       │                                                        │
//!  ┌────▼─────────── control thread ─────────┐      ┌────────────▼─── worker 1..N (pinned) ──┐
//!  │ runtime::control_loop                   │      │ runtime::media_loop  (io_uring)         │
//!  │   sip::Endpoint   bytes → transactions  │ link │   media::Worker   packet in → verdict   │
//!  │   control::gate → admission → dialplan  │─────►│                                         │
//!  │   control::call   the B2BUA             │ Cmd  │     session: latch, relay, echo         │
//!  │   control::ports  leases port numbers   │◄─────│     audio: decode, play, mix, record    │
//!  └──────────┬──────────────────────────────┘ Event└─────────────────────────────────────────┘
//!             │ admin (HTTP: metrics, API)
//! ```
//!
//! **The path of a call.** [`runtime`] reads a datagram; [`control::Controller`] asks the [`control::gate`], hands the
//! bytes to [`sip::Endpoint`], takes its event, identifies the sender ([`control::admission`]), starts a
//! [`control::call`], which walks the [`control::dialplan`] and dials out. What is to be sent, told to a worker or looked up comes
//! out of the controller as values, and `runtime` does it.
//!
//! **The path of a packet.** A worker's ring completes a receive; [`media::Worker`] judges the packet in
//! place (who sent it, where it goes, what its header must say) and the ring sends it from the same buffer.
//!
//! **The path of audio** that is decoded or made: a packet that does not pass as it is goes into its leg's jitter buffer;
//! a hundred times a second `media::audio` takes a block of 10 ms from each, and what prompts, rooms and far sides make
//! of them goes out in packets of the worker's own. Prompts come to a worker decoded, recordings leave it by a queue, both
//! through [`link`], so that no file stalls a call.
//!
//! # Layers
//!
//! | layer | may import (of ours) |
//! |---|---|
//! | `codec`, `rtp`, `sip`, `metrics`, `store` | nothing |
//! | `sdp` | `codec`, `rtp` |
//! | `config` | `codec`, `sip` types, `metrics` |
//! | `link` | `codec`, `rtp` keys, `sip` types, `metrics` |
//! | `media` | `codec`, `rtp`, `link`, `metrics` |
//! | `control` | `codec`, `rtp` keys, `sdp`, `sip`, `config`, `link`, `metrics`, `store` |
//! | `admin` | `link`, `metrics`, `config` |
//! | `sim` | all but `runtime`, `cli` |
//! | `runtime` | all but `sim`, `cli` |
//! | `cli` | all but `sim` |
//!
//! Nothing but `runtime` and `cli` touches sockets, files, threads or the clock: bytes and `now` go in,
//! transmits, commands, events and the next deadline come out. `tests/tidy.rs` enforces the table.
#![warn(missing_docs)]

pub mod admin;
pub mod cli;
pub mod codec;
pub mod config;
pub mod control;
pub mod link;
pub mod media;
pub mod metrics;
pub mod rtp;
pub mod runtime;
pub mod sdp;
pub mod sim;
pub mod sip;
pub mod store;
