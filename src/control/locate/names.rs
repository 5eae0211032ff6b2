//! What the DNS has said, for as long as it holds.
//!
//! ```text
//!   (unknown) ──ask──► asked ──answer──► answered ──its time is over──► asked, the old answer still at hand
//!                        └── no answer at all ──► the old answer for a while, or nothing
//! ```

use crate::sip::resolve::{Question, Records};
use rustc_hash::FxHashMap;
use std::time::{Duration, Instant};

/// The shortest that an answer is believed: a name whose records live for no time must not be asked at every call, and
/// the first of a chain of answers must still hold when the last has come.
pub const TTL_MIN: Duration = Duration::from_secs(15);
/// The longest, so that a move is seen the same hour whatever the DNS says.
pub const TTL_MAX: Duration = Duration::from_secs(3600);
/// How long a name or record that does not exist is not asked for again.
pub const TTL_NONE: Duration = Duration::from_secs(30);
/// How long, after no name server has answered, an old answer is believed on (RFC 8767) and nobody is asked.
pub const TTL_FAILED: Duration = Duration::from_secs(10);
/// How long an answer is waited for.
pub const WAIT_MAX: Duration = Duration::from_secs(10);
/// Most questions kept. Beyond it those that are old go; if none is, a further one is as if there were no answer.
pub const NAMES_MAX: usize = 8192;
/// Most who wait for one answer; one more is as if there were none.
pub const WAITING_MAX: usize = 8192;

/// How a look-up ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The DNS has answered, perhaps that there is nothing.
    Records {
        /// What it said.
        records: Records,
        /// How long that holds, as the DNS says; None where it does not.
        ttl: Option<Duration>,
    },
    /// Nobody has answered.
    Failed,
}

/// What is known of a question when somebody wants its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Nobody has asked: ask.
    Ask,
    /// It is asked.
    Asked,
    /// There is no room for it.
    Full,
}

#[derive(Debug)]
struct Entry<W> {
    /// The last answer.
    records: Option<Records>,
    state: State<W>,
}

#[derive(Debug)]
enum State<W> {
    Asked { until: Instant, waiting: Vec<W> },
    Answered { until: Instant },
}

impl<W> Entry<W> {
    fn until(&self) -> Instant {
        match self.state {
            State::Asked { until, .. } | State::Answered { until } => until,
        }
    }
}

/// Questions and answers, and who waits for them (`W`).
#[derive(Debug)]
pub struct Names<W> {
    entries: FxHashMap<Question, Entry<W>>,
}

impl<W> Default for Names<W> {
    fn default() -> Self {
        Names {
            entries: FxHashMap::default(),
        }
    }
}

impl<W: PartialEq> Names<W> {
    /// The answer, if it is known and still holds.
    pub fn known(&self, now: Instant, question: &Question) -> Option<&Records> {
        let entry = self.entries.get(question)?;
        match entry.state {
            State::Answered { until } if until > now => entry.records.as_ref(),
            _ => None,
        }
    }

    /// Waits for an answer that is not known: `waiter` is given back with it by [`Names::answer`].
    pub fn wait(&mut self, now: Instant, question: &Question, waiter: W) -> Asking {
        let asked = |waiter| State::Asked {
            until: now + WAIT_MAX,
            waiting: vec![waiter],
        };
        if let Some(entry) = self.entries.get_mut(question) {
            match &mut entry.state {
                State::Asked { until, waiting } if *until > now => {
                    if waiting.len() >= WAITING_MAX {
                        return Asking::Full;
                    }
                    if !waiting.contains(&waiter) {
                        waiting.push(waiter);
                    }
                    return Asking::Asked;
                }
                state => *state = asked(waiter),
            }
            return Asking::Ask;
        }
        if self.entries.len() >= NAMES_MAX {
            self.entries.retain(|_, entry| entry.until() > now);
        }
        if self.entries.len() >= NAMES_MAX {
            return Asking::Full;
        }
        let entry = Entry {
            records: None,
            state: asked(waiter),
        };
        self.entries.insert(question.clone(), entry);
        Asking::Ask
    }

    /// Takes an answer; gives back those who wait for it.
    pub fn answer(&mut self, now: Instant, question: &Question, answer: Answer) -> Vec<W> {
        let Some(entry) = self.entries.get_mut(question) else {
            return Vec::new();
        };
        let ttl = holds(&answer);
        match answer {
            Answer::Records { records, .. } => entry.records = Some(records),
            Answer::Failed => {
                entry.records.get_or_insert(Records::none(question));
            }
        }
        let answered = State::Answered { until: now + ttl };
        match std::mem::replace(&mut entry.state, answered) {
            State::Asked { waiting, .. } => waiting,
            State::Answered { .. } => Vec::new(),
        }
    }
}

/// How long an answer is believed.
pub fn holds(answer: &Answer) -> Duration {
    match answer {
        Answer::Records { records, ttl } if records.is_empty() => {
            ttl.unwrap_or(TTL_NONE).clamp(TTL_MIN, TTL_NONE)
        }
        Answer::Records { ttl, .. } => ttl.unwrap_or(TTL_MIN).clamp(TTL_MIN, TTL_MAX),
        Answer::Failed => TTL_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(last: u8) -> Answer {
        Answer::Records {
            records: Records::Addresses(vec![[192, 0, 2, last].into()]),
            ttl: Some(Duration::from_secs(60)),
        }
    }

    fn none(ttl: u64) -> Answer {
        Answer::Records {
            records: Records::Addresses(Vec::new()),
            ttl: Some(Duration::from_secs(ttl)),
        }
    }

    fn first(names: &Names<u32>, now: Instant, question: &Question) -> Option<String> {
        match names.known(now, question)? {
            Records::Addresses(addresses) => addresses.first().map(ToString::to_string),
            _ => None,
        }
    }

    #[test]
    fn a_question_is_asked_once_believed_for_its_time_and_asked_again() {
        let start = Instant::now();
        let question = Question::address("PBX.example.com.");
        let mut names = Names::default();
        assert_eq!(names.wait(start, &question, 1), Asking::Ask);
        assert_eq!(names.wait(start, &question, 2), Asking::Asked);
        assert_eq!(names.wait(start, &question, 2), Asking::Asked);
        assert_eq!(names.answer(start, &question, addresses(1)), [1, 2]);
        assert_eq!(names.answer(start, &question, addresses(1)), [0; 0]);
        let known = |names: &Names<u32>, seconds| {
            first(names, start + Duration::from_secs(seconds), &question)
        };
        assert_eq!(known(&names, 59).as_deref(), Some("192.0.2.1"));
        assert_eq!(known(&names, 60), None);
        let later = start + Duration::from_secs(60);
        assert_eq!(names.wait(later, &question, 3), Asking::Ask);
        assert_eq!(names.answer(later, &question, addresses(2)), [3]);
        assert_eq!(known(&names, 61).as_deref(), Some("192.0.2.2"));
    }

    #[test]
    fn an_answer_outlives_the_name_server() {
        let start = Instant::now();
        let question = Question::address("pbx.example.com");
        let mut names = Names::default();
        names.wait(start, &question, 1);
        names.answer(start, &question, addresses(1));
        let later = start + Duration::from_secs(100);
        assert_eq!(names.wait(later, &question, 1), Asking::Ask);
        assert_eq!(names.answer(later, &question, Answer::Failed), [1]);
        assert_eq!(
            first(&names, later, &question).as_deref(),
            Some("192.0.2.1")
        );
        // It is asked again soon, and the name server's word that there is nothing is believed.
        let later = later + TTL_FAILED;
        assert_eq!(names.wait(later, &question, 1), Asking::Ask);
        names.answer(later, &question, none(1));
        let known = names.known(later, &question).expect("an answer");
        assert!(known.is_empty());
        assert!(names.known(later + TTL_MIN, &question).is_none());
    }

    #[test]
    fn a_look_up_that_never_ends_is_begun_anew() {
        let start = Instant::now();
        let question = Question::address("pbx.example.com");
        let mut names = Names::default();
        assert_eq!(names.wait(start, &question, 1), Asking::Ask);
        assert_eq!(names.wait(start + WAIT_MAX, &question, 2), Asking::Ask);
    }

    #[test]
    fn times_to_live_are_kept_within_bounds() {
        let with = |ttl| match addresses(1) {
            Answer::Records { records, .. } => Answer::Records { records, ttl },
            Answer::Failed => Answer::Failed,
        };
        assert_eq!(holds(&with(Some(Duration::ZERO))), TTL_MIN);
        assert_eq!(holds(&with(Some(Duration::from_secs(1_000_000)))), TTL_MAX);
        assert_eq!(holds(&with(None)), TTL_MIN);
        assert_eq!(holds(&none(1_000_000)), TTL_NONE);
    }

    #[test]
    fn the_table_is_bounded_and_old_answers_make_room() {
        let start = Instant::now();
        let mut names = Names::default();
        for number in 0..NAMES_MAX {
            names.wait(start, &Question::Srv(number.to_string()), ());
        }
        let more = Question::address("more.example.com");
        assert_eq!(names.wait(start, &more, ()), Asking::Full);
        assert_eq!(names.wait(start + WAIT_MAX, &more, ()), Asking::Ask);
    }
}
