//! What calls leave behind: for tests of leaks.

use super::controller::Controller;

/// See [`Controller::leftovers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Calls in the table.
    pub calls: usize,
    /// SIP transactions.
    pub transactions: usize,
    /// Transactions with an owner.
    pub owners: usize,
    /// Timers of calls.
    pub timers: usize,
    /// Ports with an owner, legs that have moved to another call, and recordings that have moved to another leg.
    pub media: usize,
    /// Ports leased.
    pub leased: u64,
    /// Calls that count against the limits of endpoints.
    pub counted: u32,
    /// Rooms that somebody is in.
    pub rooms: usize,
}

impl Controller {
    /// What belongs to calls, and should be none when no call is left and nobody is registered.
    pub fn leftovers(&self) -> Leftovers {
        Leftovers {
            calls: self.calls.len(),
            transactions: self.ctx.sip.transactions(),
            owners: self.ctx.servers.len() + self.ctx.clients.len(),
            timers: self.ctx.timers.len(),
            media: self.ctx.media_owners.len()
                + self.ctx.moved_legs.len()
                + self.ctx.moved_recordings.len(),
            leased: self.ctx.ports.gauges().in_use,
            counted: self.ctx.load.calls_in_all(),
            rooms: self.ctx.rooms.len(),
        }
    }
}
