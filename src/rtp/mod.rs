//! RTP and RTCP packets (RFC 3550), checked views over bytes.
