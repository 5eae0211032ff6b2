//! The gateway under a virtual clock and a seeded network: both planes, no sockets.
//!
//! A [`World`] holds one gateway (a `control::Controller` and its `media::Worker`s), two [`peer::Peer`]s that play
//! trunks, an intruder who sends to whatever port is open, and a [`network::Network`] that loses, repeats, delays and
//! reorders what they send each other. [`phones`] is another world, of signalling alone; [`media`] one
//! of workers and what their peers say and hear. [`history`] makes a random call history of a seed. The same seed gives the same
//! run, so a failure is repeated by its seed.

mod bare;
pub mod history;
pub mod media;
pub mod network;
pub mod peer;
pub mod phones;
mod speech;
pub mod world;

pub use history::History;
pub use media::{MediaHistory, MediaOutcome, MediaWorld};
pub use network::Faults;
pub use phones::Phones;
pub use world::{Outcome, World};
