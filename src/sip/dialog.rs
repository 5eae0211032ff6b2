//! Dialogs (RFC 3261 §12): ids, route set, sequence numbers, remote target, and requests within them.
