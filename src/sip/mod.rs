//! SIP, sans-IO (RFC 3261): messages, transactions, dialogs. It does no I/O and reads no clock.
//!
//! Bytes go into [`Endpoint`]; [`Event`]s for the transaction user and [`Transmit`]s for the wire come out.

pub mod auth;
pub mod dialog;
pub mod endpoint;
pub mod flow;
pub mod message;
mod random;
pub mod reliable;
pub mod resolve;
pub mod session_timer;
pub mod stream;
pub mod timer;
pub mod transaction;

pub use endpoint::{Endpoint, EndpointSettings, Event};
pub use flow::{DomainId, Flow, Protocol, Transmit, TransportId};
pub use message::{Message, Method, Request, Response};
