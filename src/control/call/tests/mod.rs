//! Calls on the wire: a controller and telephones of its kind on virtual time.

mod admission;
mod audio;
mod basic;
mod challenge;
mod direct;
mod groups;
mod hold;
mod identified;
mod identity;
mod locating;
mod loss;
mod offer_answer;
mod offers;
mod options;
mod pickup;
mod redirect;
mod referral;
mod registered;
mod reliable;
mod reload;
mod reoffer;
mod replace;
mod session;
mod transcoding;
mod transfer;
mod update;
pub(crate) mod world;
