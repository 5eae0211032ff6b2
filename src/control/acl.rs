//! Access control lists: who may send SIP at all, asked before anything is parsed.
