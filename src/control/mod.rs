//! The control plane, sans-IO: who may speak, what a call does, which ports it holds.

pub mod acl;
mod admission;
pub mod bans;
pub mod call;
pub mod context;
pub mod controller;
pub mod credentials;
pub mod dialplan;
pub mod domains;
mod extensions;
mod gate;
pub mod identify;
mod leftovers;
pub mod load;
pub mod locate;
pub mod names;
mod operator;
pub mod outages;
pub mod outside;
pub mod owners;
pub mod path;
pub mod ports;
pub mod qualify;
pub mod register_out;
pub mod registrar;
pub mod replaces;
mod resolving;
pub mod setup;
pub mod strangers;
pub mod transfer;

#[cfg(test)]
mod tests;

pub use controller::{Controller, Output, Service, Surroundings};
pub use leftovers::Leftovers;
pub use operator::ReloadReport;
pub use setup::Setup;
