//! The control plane, sans-IO: who may speak, what a call does, which ports it holds.
//!
//! | what comes in, in this order | where |
//! |---|---|
//! | everything, one thing at a time; everything that is to be done comes out | [`controller`], [`context`] |
//! | may this peer be heard at all | [`gate`] |
//! | who is it, and may it | [`admission`] |
//! | an INVITE becomes a call | [`call`], [`dialplan`], [`ports`]; where two calls meet: [`meeting`] |
//! | a REGISTER becomes a binding | [`registrar`] |
//!
//! | what we ask of others | where |
//! |---|---|
//! | where requests go | [`locate`] |
//! | requests outside of calls | [`outside`] |
//! | files that are read and written | [`sounds`], [`recordings`] |
//!
//! | what operators ask of us | where |
//! |---|---|
//! | rows, hang-up, reload, drain, stop | `operator`; [`setup`] and `listening` after a reload |

pub mod admission;
pub mod call;
pub mod context;
pub mod controller;
pub mod dialplan;
mod extensions;
pub mod gate;
mod leftovers;
mod listening;
pub mod locate;
pub mod meeting;
mod operator;
pub mod outside;
pub mod owners;
pub mod ports;
pub mod recordings;
pub mod registrar;
pub mod setup;
pub mod sounds;
mod surroundings;

#[cfg(test)]
mod tests;

pub use controller::{Controller, Output, Service, Surroundings};
pub use leftovers::Leftovers;
pub use operator::ReloadReport;
pub use setup::Setup;
