//! The admin interface as values: an HTTP request becomes an [`AdminRequest`], its answer an [`AdminResponse`].
//!
//! The control thread owns everything that is asked for, so a request travels to it through a bounded queue and its
//! answer comes back. Sockets, time limits and the number of connections are `runtime::admin_loop`'s.

pub mod guard;
pub mod request;
pub mod router;
pub mod rows;

pub use guard::Guard;
pub use request::{AdminRequest, AdminResponse, Asked};
pub use router::router;
