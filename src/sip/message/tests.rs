//! Whole messages, read and written.

mod read;
