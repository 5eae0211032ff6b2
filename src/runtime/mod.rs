//! Threads, sockets, files and time: the only layer that touches them.
//!
//! [`start::run`] is the way in; [`topology`] shows every thread, `control_loop` what the control thread waits for,
//! [`media_loop`] what a worker does.

pub mod admin_loop;
mod answers;
pub mod bell;
pub mod config_file;
mod control_loop;
pub mod input;
pub mod logging;
pub mod media_loop;
pub mod pace;
pub mod preflight;
mod recordings;
pub mod reload;
pub mod resolver;
pub mod signals;
pub mod sip_connection;
pub mod sip_streams;
pub mod sip_udp;
mod sockets;
mod sounds;
pub mod start;
mod state_directory;
mod store_sqlite;
mod store_thread;
pub mod surroundings;
pub mod tls;
pub mod topology;
pub mod uring;

pub use recordings::unwritable_recordings;
pub use reload::Reading;
pub use sounds::{missing_announcements, missing_music};
pub use start::{Launch, Listening, StartError};
