//! What is kept of each synchronisation source: a bounded table that grows for genuine packets only.

use super::index::Window;

/// Sources of one direction that are remembered. A leg has one at a time; a peer that changes its own at every hold and
/// resume is remembered for eight of them.
pub(super) const SOURCES_MAX: usize = 8;

/// A synchronisation source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) ssrc: u32,
    /// Its RTP packets; None before the first.
    pub(super) rtp: Option<Window>,
    /// Its RTCP packets; None before the first.
    pub(super) rtcp: Option<Window>,
    /// When it was last heard, in packets of all sources.
    heard: u64,
}

/// The sources, in no order.
#[derive(Debug, Default)]
pub(super) struct Sources {
    entries: [Option<Source>; SOURCES_MAX],
    heard: u64,
}

impl Sources {
    pub(super) fn find(&self, ssrc: u32) -> Option<&Source> {
        self.entries
            .iter()
            .flatten()
            .find(|source| source.ssrc == ssrc)
    }

    /// True if nobody was heard.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.iter().all(Option::is_none)
    }

    /// True if one more would take another's place.
    pub(super) fn is_full(&self) -> bool {
        self.entries.iter().all(Option::is_some)
    }

    /// The source of a genuine packet. A new one takes a free place, or that of the one that was silent for longest.
    pub(super) fn hear(&mut self, ssrc: u32) -> &mut Source {
        self.heard += 1;
        let is_it = |entry: &Option<Source>| entry.is_some_and(|source| source.ssrc == ssrc);
        let place = self.entries.iter().position(is_it).unwrap_or_else(|| {
            let last_heard = |place: &usize| self.entries[*place].map(|source| source.heard);
            // None, a free place, is the least.
            (0..SOURCES_MAX)
                .min_by_key(last_heard)
                .expect("the table has places")
        });
        let entry = &mut self.entries[place];
        if !is_it(entry) {
            *entry = None;
        }
        let source = entry.get_or_insert(Source {
            ssrc,
            rtp: None,
            rtcp: None,
            heard: 0,
        });
        source.heard = self.heard;
        source
    }
}

/// Takes a genuine packet into a window, which begins with its first.
pub(super) fn note(window: &mut Option<Window>, index: u64) {
    match window {
        Some(window) => window.note(index),
        None => *window = Some(Window::new(index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_silent_makes_room() {
        let mut sources = Sources::default();
        assert!(sources.is_empty());
        for ssrc in 1..=SOURCES_MAX as u32 {
            assert!(!sources.is_full());
            note(&mut sources.hear(ssrc).rtp, 7);
        }
        assert!(sources.is_full() && !sources.is_empty());
        sources.hear(1);
        let newcomer = sources.hear(99);
        assert!(newcomer.rtp.is_none());
        assert!(sources.find(2).is_none());
        assert!(sources.find(1).is_some_and(|source| source.rtp.is_some()));
        assert!(sources.find(99).is_some());
    }
}
