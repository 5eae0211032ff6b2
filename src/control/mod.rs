//! The control plane, sans-IO: who may speak, what a call does, which ports it holds.
//!
//! | what comes in, in this order | where |
//! |---|---|
//! | everything, one thing at a time; everything that is to be done comes out | [`controller`], [`context`] |
//! | may this peer be heard at all | `gate`: [`acl`], [`bans`] |
//! | who is it, and may it | `admission`: [`identify`], [`strangers`], `neighbours`, [`load`] |
//! | an INVITE becomes a call | [`call`], [`dialplan`], [`ports`]; two calls at once: [`transfer`], [`replaces`], [`pickup`], [`rooms`] |
//! | a REGISTER becomes a binding | [`registrar`] |
//!
//! | what we ask of others | where |
//! |---|---|
//! | where requests go | [`locate`] over [`names`] (DNS), [`outages`] (what failed lately), [`domains`] (TLS), [`path`] (our addresses) |
//! | requests outside of calls, with our [`credentials`] | [`outside`], for [`register_out`] and [`qualify`] |

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
mod listening;
pub mod load;
pub mod locate;
pub mod names;
mod neighbours;
mod operator;
pub mod outages;
pub mod outside;
pub mod owners;
pub mod path;
pub mod pickup;
pub mod ports;
pub mod qualify;
pub mod recordings;
pub mod refusals;
pub mod register_out;
pub mod registrar;
pub mod replaces;
mod resolving;
pub mod rooms;
pub mod setup;
pub mod sounds;
pub mod strangers;
mod surroundings;
pub mod token_bucket;
pub mod transfer;

#[cfg(test)]
mod tests;

pub use controller::{Controller, Output, Service, Surroundings};
pub use leftovers::Leftovers;
pub use operator::ReloadReport;
pub use setup::Setup;
