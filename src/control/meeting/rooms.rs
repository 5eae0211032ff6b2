//! Rooms: whose audio is mixed with whose, by ConfBridge and Page.
//!
//! ```text
//!  Page        open ── the host ──┬── expect ── a phone answers ──► admit
//!                                 └── the host leaves: Closed to all others
//!  ConfBridge  enter ── the first makes the room ── … ── the last to leave frees it
//! ```
//!
//! A room lives on one worker, that of the leg which it began with. Who is left alone in a room is told so, and so is that
//! one when somebody comes; what that means is the call's own affair.

use crate::control::call::application::paging::Paged;
use crate::control::call::{Call, CallKey};
use crate::control::controller::Controller;
use crate::link::{RoomId, WorkerId};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Instant;

/// Most rooms, conferences and pages together: 64 legs in each of them would be far more than a machine mixes.
pub const ROOMS_MAX: usize = 1_024;

/// Most bytes of a conference's name.
pub const NAME_MAX: usize = 80;

/// Why nobody can come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// There are [`ROOMS_MAX`].
    #[error("there are {ROOMS_MAX} rooms already")]
    TooMany,
    /// The room has [`RoomId::LEGS_MAX`] legs.
    #[error("the room is full: {} are in it", RoomId::LEGS_MAX)]
    Full,
    /// There is no such room any more.
    #[error("the room is closed")]
    Closed,
}

/// What a member is told of its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomNews {
    /// Nobody else is there, and nobody is expected.
    Alone,
    /// Somebody else has come.
    Company,
    /// Its host has left.
    Closed,
}

/// See the module's comment.
#[derive(Default)]
pub struct Rooms {
    rooms: FxHashMap<RoomId, Room>,
    by_name: FxHashMap<String, RoomId>,
    /// Counts the rooms.
    last: u32,
    /// What is to be told, the oldest first. At most one for each who comes or goes, and each member of a closed room.
    news: VecDeque<(CallKey, RoomNews)>,
    /// Phones that have answered a page and have no call of their own yet; at most one for each answer.
    paged: VecDeque<Paged>,
}

struct Room {
    name: Option<String>,
    worker: WorkerId,
    /// In the order of their coming.
    members: Vec<CallKey>,
    /// Without it the room is closed.
    host: Option<CallKey>,
    /// Who has answered a page and is on its way in.
    expected: usize,
}

impl Rooms {
    /// The worker of the conference of that name, if there is one.
    pub fn worker_of(&self, name: &str) -> Option<WorkerId> {
        let id = self.by_name.get(name)?;
        Some(self.rooms.get(id)?.worker)
    }

    /// What an operator calls a room: the conference's name, or `page`.
    pub fn name_of(&self, id: RoomId) -> &str {
        let name = self.rooms.get(&id).and_then(|room| room.name.as_deref());
        name.unwrap_or("page")
    }

    /// Comes into the conference of that name, which begins on this worker if there is none.
    ///
    /// # Errors
    /// It is full, or there are too many.
    pub fn enter(&mut self, name: &str, worker: WorkerId, call: CallKey) -> Result<RoomId, NoRoom> {
        let id = match self.by_name.get(name) {
            Some(id) => *id,
            None => self.begin(Some(name.to_owned()), worker, None)?,
        };
        self.seat(id, call)?;
        Ok(id)
    }

    /// Opens a room without a name, which is closed when this call leaves it.
    ///
    /// # Errors
    /// There are too many.
    pub fn open(&mut self, worker: WorkerId, host: CallKey) -> Result<RoomId, NoRoom> {
        let id = self.begin(None, worker, Some(host))?;
        self.seat(id, host)?;
        Ok(id)
    }

    /// Somebody has answered the host and comes in as soon as it has a call.
    pub fn expect(&mut self, paged: Paged) {
        if let Some(room) = self.rooms.get_mut(&paged.room()) {
            room.expected += 1;
        }
        self.paged.push_back(paged);
    }

    /// The next of those.
    pub fn next_paged(&mut self) -> Option<Paged> {
        self.paged.pop_front()
    }

    /// Lets one in who was expected.
    ///
    /// # Errors
    /// The room is closed, or full.
    pub fn admit(&mut self, id: RoomId, call: CallKey) -> Result<(), NoRoom> {
        let room = self.rooms.get_mut(&id).ok_or(NoRoom::Closed)?;
        room.expected = room.expected.saturating_sub(1);
        let seated = self.seat(id, call);
        if seated.is_err() {
            self.tell_the_last(id);
        }
        seated
    }

    /// True if nobody else is in the room, nor expected.
    pub fn is_alone(&self, id: RoomId) -> bool {
        self.rooms
            .get(&id)
            .is_none_or(|room| room.members.len() <= 1 && room.expected == 0)
    }

    /// Leaves a room; the last one frees it, and the host closes it.
    pub fn leave(&mut self, id: RoomId, call: CallKey) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        room.members.retain(|member| *member != call);
        if room.host == Some(call) {
            for member in room.members.drain(..) {
                self.news.push_back((member, RoomNews::Closed));
            }
        }
        if room.members.is_empty() {
            let name = self.rooms.remove(&id).and_then(|room| room.name);
            if let Some(name) = name {
                self.by_name.remove(&name);
            }
        } else {
            self.tell_the_last(id);
        }
    }

    /// What is to be told next, and to whom.
    pub fn next_news(&mut self) -> Option<(CallKey, RoomNews)> {
        self.news.pop_front()
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    fn begin(
        &mut self,
        name: Option<String>,
        worker: WorkerId,
        host: Option<CallKey>,
    ) -> Result<RoomId, NoRoom> {
        if self.rooms.len() >= ROOMS_MAX {
            return Err(NoRoom::TooMany);
        }
        self.last = self.last.wrapping_add(1);
        let id = RoomId(self.last);
        if let Some(name) = &name {
            self.by_name.insert(name.clone(), id);
        }
        let room = Room {
            name,
            worker,
            members: Vec::new(),
            host,
            expected: 0,
        };
        self.rooms.insert(id, room);
        Ok(id)
    }

    fn seat(&mut self, id: RoomId, call: CallKey) -> Result<(), NoRoom> {
        let room = self.rooms.get_mut(&id).ok_or(NoRoom::Closed)?;
        if room.members.len() >= RoomId::LEGS_MAX {
            return Err(NoRoom::Full);
        }
        if let [alone] = room.members[..] {
            self.news.push_back((alone, RoomNews::Company));
        }
        room.members.push(call);
        Ok(())
    }

    fn tell_the_last(&mut self, id: RoomId) {
        if let Some(room) = self.rooms.get(&id)
            && let ([alone], 0) = (&room.members[..], room.expected)
        {
            self.news.push_back((*alone, RoomNews::Alone));
        }
    }
}

impl Controller {
    /// Seats who has answered a page, and tells members the news. Each was caused by somebody who came or left, so this
    /// ends.
    pub(super) fn settle_rooms(&mut self, now: Instant) {
        loop {
            if let Some(paged) = self.ctx.rooms.next_paged() {
                let key = self.next_key();
                let (call, invitation) = Call::paged(&mut self.ctx, now, key, paged);
                self.start_call(now, call, |call, ctx| call.take_seat(ctx, now, invitation));
            } else if let Some((call, news)) = self.ctx.rooms.next_news() {
                self.with_call(now, call, |call, ctx| call.on_room_news(ctx, now, news));
            } else {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(index: u32) -> CallKey {
        CallKey {
            index,
            generation: 0,
        }
    }

    fn news(rooms: &mut Rooms) -> Vec<(u32, RoomNews)> {
        std::iter::from_fn(|| rooms.next_news())
            .map(|(call, news)| (call.index, news))
            .collect()
    }

    const FIRST: WorkerId = WorkerId(1);
    const OTHER: WorkerId = WorkerId(0);

    #[test]
    fn a_conference_stays_on_the_worker_of_its_first_and_goes_with_its_last() {
        let mut rooms = Rooms::default();
        assert_eq!(rooms.worker_of("sales"), None);
        let id = rooms.enter("sales", FIRST, call(1)).expect("a room");
        assert_eq!(rooms.enter("sales", OTHER, call(2)), Ok(id));
        assert_ne!(rooms.enter("other", OTHER, call(3)), Ok(id));
        assert_eq!(rooms.worker_of("sales"), Some(FIRST));
        assert_eq!(news(&mut rooms), [(1, RoomNews::Company)]);
        rooms.leave(id, call(1));
        assert_eq!(news(&mut rooms), [(2, RoomNews::Alone)]);
        rooms.leave(id, call(1));
        assert_eq!(rooms.worker_of("sales"), Some(FIRST), "one leaves once");
        rooms.leave(id, call(2));
        assert_eq!(rooms.worker_of("sales"), None);
        assert_ne!(rooms.enter("sales", OTHER, call(4)), Ok(id), "a new one");
    }

    #[test]
    fn a_room_of_64_takes_nobody_in_and_neither_does_a_full_table() {
        let mut rooms = Rooms::default();
        let id = rooms.enter("full", FIRST, call(0)).expect("a room");
        for index in 1..64 {
            assert_eq!(rooms.enter("full", FIRST, call(index)), Ok(id));
        }
        assert_eq!(rooms.enter("full", FIRST, call(64)), Err(NoRoom::Full));
        rooms.leave(id, call(7));
        assert_eq!(rooms.enter("full", FIRST, call(64)), Ok(id));
        for index in 1..ROOMS_MAX {
            rooms.open(FIRST, call(index as u32)).expect("a room");
        }
        assert_eq!(rooms.open(FIRST, call(9)), Err(NoRoom::TooMany));
        assert_eq!(rooms.enter("more", FIRST, call(9)), Err(NoRoom::TooMany));
        assert_eq!(rooms.worker_of("more"), None);
        assert_eq!(rooms.enter("full", FIRST, call(65)), Err(NoRoom::Full));
    }

    #[test]
    fn without_its_host_a_page_is_closed() {
        let mut rooms = Rooms::default();
        let id = rooms.open(FIRST, call(1)).expect("a room");
        assert!(rooms.is_alone(id));
        assert_eq!(rooms.admit(id, call(2)), Ok(()));
        assert_eq!(rooms.admit(id, call(3)), Ok(()));
        assert!(!rooms.is_alone(id));
        rooms.leave(id, call(2));
        assert_eq!(news(&mut rooms), [(1, RoomNews::Company)]);
        rooms.leave(id, call(1));
        assert_eq!(news(&mut rooms), [(3, RoomNews::Closed)]);
        assert_eq!(rooms.admit(id, call(4)), Err(NoRoom::Closed));
        assert!(rooms.is_empty());
    }
}
