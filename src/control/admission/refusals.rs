//! Whose requests were refused lately, for operators: `ringway show strangers`.

use crate::link::query::StrangerRow;
use crate::metrics::RejectReason;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::time::Instant;

/// Most sources that are remembered. A further one takes the place of the one heard of the longest ago.
const SOURCES_MAX: usize = 256;
/// Most characters of what a stranger has written.
const FROM_MAX: usize = 128;

/// What is known of one source.
#[derive(Clone, Debug)]
struct Source {
    requests: u64,
    first: Instant,
    last: Instant,
    reason: RejectReason,
    method: String,
    from: String,
}

/// A refused request, as far as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'r> {
    /// Why.
    pub reason: RejectReason,
    /// Its method; empty if it was not read.
    pub method: &'r str,
    /// Its From; empty if it was not read.
    pub from: &'r str,
}

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Refusals {
    sources: FxHashMap<IpAddr, Source>,
}

impl Refusals {
    /// One more of this source.
    pub fn note(&mut self, now: Instant, source: IpAddr, refused: Refused<'_>) {
        if let Some(known) = self.sources.get_mut(&source) {
            known.requests += 1;
            known.last = now;
            known.reason = refused.reason;
            return;
        }
        if self.sources.len() >= SOURCES_MAX {
            let oldest = self.sources.iter().min_by_key(|(_, one)| one.last);
            if let Some(oldest) = oldest.map(|(source, _)| *source) {
                self.sources.remove(&oldest);
            }
        }
        let known = Source {
            requests: 1,
            first: now,
            last: now,
            reason: refused.reason,
            method: refused.method.to_owned(),
            from: printable(refused.from),
        };
        self.sources.insert(source, known);
    }

    /// The sources, that heard of last first. `beside` says whose neighbour one is.
    pub fn rows(
        &self,
        now: Instant,
        beside: impl Fn(IpAddr) -> Option<String>,
    ) -> Vec<StrangerRow> {
        let mut sources: Vec<_> = self.sources.iter().collect();
        sources.sort_by_key(|(source, one)| (std::cmp::Reverse(one.last), **source));
        let row = |(source, one): (&IpAddr, &Source)| StrangerRow {
            source: source.to_string(),
            requests: one.requests,
            first_s: now.saturating_duration_since(one.first).as_secs(),
            last_s: now.saturating_duration_since(one.last).as_secs(),
            reason: one.reason.label().to_owned(),
            method: one.method.clone(),
            from: one.from.clone(),
            beside: beside(*source),
        };
        sources.into_iter().map(row).collect()
    }
}

/// What a stranger has written, fit for a terminal.
fn printable(text: &str) -> String {
    let text = text.chars().take(FROM_MAX);
    text.map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const REFUSED: Refused<'_> = Refused {
        reason: RejectReason::Unidentified,
        method: "OPTIONS",
        from: "<sip:scan@203.0.113.66>",
    };

    #[test]
    fn a_source_has_a_row_and_the_oldest_makes_room() {
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let address = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        for number in 0..2_000 {
            refusals.note(
                start + Duration::from_secs(number.into()),
                address(number),
                REFUSED,
            );
            assert!(refusals.sources.len() <= SOURCES_MAX);
        }
        let now = start + Duration::from_secs(2_010);
        refusals.note(now, address(1_999), REFUSED);
        let rows = refusals.rows(now, |source| (source == address(1_998)).then(|| "b".into()));
        assert_eq!(rows.len(), SOURCES_MAX);
        let (first, second) = (&rows[0], &rows[1]);
        assert_eq!(first.source, "10.0.7.207");
        assert_eq!((first.requests, first.first_s, first.last_s), (2, 11, 0));
        assert_eq!((second.last_s, second.beside.as_deref()), (12, Some("b")));
    }

    #[test]
    fn what_a_stranger_writes_is_cut_and_fit_for_a_terminal() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let from = format!("\u{1b}{}", "ä".repeat(100_000));
        refusals.note(
            now,
            IpAddr::from([10, 0, 0, 1]),
            Refused {
                from: &from,
                ..REFUSED
            },
        );
        let row = &refusals.rows(now, |_| None)[0];
        assert_eq!(row.from, format!("?{}", "ä".repeat(FROM_MAX - 1)));
    }
}
