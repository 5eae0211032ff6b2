//! The gateway under a virtual clock and a seeded network: both planes, no sockets.
