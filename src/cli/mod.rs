//! The command line: arguments → what to do.
