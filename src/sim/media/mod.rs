//! The media plane alone: workers under a virtual clock, peers that speak and listen, and a network that loses, repeats
//! and reorders what they send each other.
//!
//! Every history has a [`Combination`] (two codecs, a packet time, who has SRTP, what the network does) that follows from
//! its seed, so that a run of [`Combination::COUNT`] seeds in a row has each of them. A conversation leaves it at
//! that: two peers are bridged and talk, and what each hears is measured. Any other history does to its legs what control
//! could, in any order. [`watch`] judges every packet that a worker sends.

mod acts;
mod combination;
mod ear;
mod ending;
mod history;
mod mouth;
mod peer;
mod watch;
mod world;

pub use combination::{Combination, Loss, Sealed};
pub use history::{MediaHistory, PeerPlan, Step};
pub use world::{MediaOutcome, MediaWorld};
