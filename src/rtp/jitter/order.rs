//! The last packets by their sequence numbers: which are here, and how much of a gap in time is due to loss.

/// Packets remembered: half a second at 4 ms a packet.
const REMEMBERED: usize = 128;

/// What a sequence number stood for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Audio,
    Noise,
    /// Something that has no place in the time of the audio: a telephone event, an unknown payload type.
    Other,
}

/// A packet that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) extended: u32,
    pub(super) kind: Kind,
    /// Its octets.
    pub(super) len: u16,
    /// Its time stamp; that of the last audio before for [`Kind::Other`].
    pub(super) start: u64,
}

impl Entry {
    /// The time stamp of what follows it.
    pub(super) fn end(&self) -> u64 {
        self.start + u64::from(self.len)
    }
}

pub(super) struct Order {
    entries: [Option<Entry>; REMEMBERED],
    highest: Option<u32>,
}

impl Order {
    pub(super) const fn new() -> Self {
        Order {
            entries: [None; REMEMBERED],
            highest: None,
        }
    }

    pub(super) fn note(&mut self, entry: Entry) {
        self.highest = self.highest.max(Some(entry.extended));
        let place = &mut self.entries[entry.extended as usize % REMEMBERED];
        // One that comes later than all this remembers is of no use.
        if place.is_none_or(|held| held.extended < entry.extended) {
            *place = Some(entry);
        }
    }

    /// The packet of this number, if it came and is not forgotten.
    pub(super) fn get(&self, extended: u32) -> Option<&Entry> {
        let entry = self.entries[extended as usize % REMEMBERED].as_ref();
        entry.filter(|entry| entry.extended == extended)
    }

    /// True for a number above all that came.
    pub(super) fn is_newest(&self, extended: u32) -> bool {
        self.highest.is_none_or(|highest| extended > highest)
    }

    /// The packet of the highest number.
    pub(super) fn last(&self) -> Option<&Entry> {
        self.get(self.highest?)
    }

    /// The nearest packet before this one that has a place in time, and how many between the two have not come.
    pub(super) fn before(&self, extended: u32) -> Option<(Entry, u32)> {
        self.nearest((1..REMEMBERED as u32).map(|distance| extended.wrapping_sub(distance)))
    }

    /// The nearest one after this one.
    pub(super) fn after(&self, extended: u32) -> Option<(Entry, u32)> {
        if self.highest.is_none_or(|highest| highest <= extended) {
            return None;
        }
        self.nearest((1..REMEMBERED as u32).map(|distance| extended.wrapping_add(distance)))
    }

    fn nearest(&self, numbers: impl Iterator<Item = u32>) -> Option<(Entry, u32)> {
        let mut missing = 0;
        for number in numbers {
            match self.get(number) {
                None => missing += 1,
                Some(entry) if entry.kind == Kind::Other => {}
                Some(entry) => return Some((*entry, missing)),
            }
        }
        None
    }
}
