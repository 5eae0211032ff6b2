//! The four transaction machines (RFC 3261 §17, RFC 6026), each a pure state machine on virtual time.
