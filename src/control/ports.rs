//! Leases of RTP port pairs. A pair rests for a while after a call, so that late packets meet nobody.
