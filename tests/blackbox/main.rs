//! The binary that users run, between real peers: SIPp, Kamailio, baresip and peers of our own as trunks and telephones,
//! Prometheus as watcher, all over loopback.
//!
//! Each test has addresses of its own (127.x.y.1 for the gateway, .2 and .3 for the trunks, others for whoever it
//! needs), so all run side by side on their standard ports.

mod baresip;
mod calls;
mod clicks;
mod digits;
mod examples;
mod gateway;
mod hold;
mod kamailio;
mod lab;
mod laboratory;
mod media;
mod monitoring;
mod peer;
mod phones;
mod prompts;
mod provider;
mod recordings;
mod registrar;
mod reload;
mod rooms;
mod rtcp;
mod scenario;
mod strangers;
mod transcoding;
mod trunk;
mod wide_phones;
