//! The binary that users run, between real peers: SIPp as trunks, Prometheus as watcher, all over loopback.
//!
//! Each test has addresses of its own (127.x.y.1 for the gateway, .2 and .3 for the trunks, others for whoever it
//! needs), so all run side by side on their standard ports.

mod calls;
mod gateway;
mod media;
mod monitoring;
mod provider;
mod registrar;
mod scenario;
mod strangers;
