//! The control plane, sans-IO: who may speak, what a call does, which ports it holds.

pub mod acl;
pub mod call;
pub mod controller;
pub mod dialplan;
pub mod identify;
pub mod ports;
pub mod setup;

pub use controller::{Controller, Output, Surroundings};
pub use setup::Setup;
