//! Digest authentication (RFC 3261 §22, RFC 8760): challenges written, credentials read and checked, both ways.
