//! What happens at the edge between a worker and the kernel, counted.

/// What an edge has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdgeCounts {
    /// Packets received, of any kind, on legs that were open.
    pub received: u64,
    /// Receives that ended because every buffer was in use. The packet waits in its socket and is received after.
    pub no_buffer: u64,
    /// Packets that could not be sent: the socket's send queue is full, no route, the peer's host refused the last.
    pub send_failed: u64,
    /// Packets that the kernel dropped because a socket's receive queue was full.
    pub socket_overflow: u64,
    /// Packets too long for a buffer.
    pub oversize: u64,
    /// Receives that ended with an error of the socket, mostly an ICMP message that a peer is not there. Armed again.
    pub socket_errors: u64,
    /// Turns that found the completion queue full. Nothing is lost: the kernel keeps the rest aside.
    pub queue_overflow: u64,
    /// Completions of receives whose leg has been closed meanwhile.
    pub late: u64,
}
