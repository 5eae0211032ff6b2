//! The bounded queues between control and one worker, and the bell that wakes the other side.
//!
//! [`queue`] makes one direction: a [`Sender`] that one thread owns and a [`Receiver`] that another owns. The queue
//! between them is fixed in size, takes no lock and allocates nothing. What happens when it is full is a property of the
//! message ([`Message::at_limit`]) and is counted:
//!
//! | message | at a full queue |
//! |---|---|
//! | `Open` | handed back: control answers 503 |
//! | other commands | kept by the sender up to [`Limits::backlog_max`], then handed back |
//! | `Close`, `Stop`; `Closed`, `OpenFailed`, `Silent`, `Played`, `Hushed` | kept by the sender: never lost |
//! | `Latched`, `Stranger`, `Flooded`, `Unusable`, `Digit` | kept by the sender up to `backlog_max`, then dropped |
//! | `Report` | dropped |
//!
//! What is kept goes out in order before anything newer, so the order of one leg's messages holds. The never-lost ones
//! need no limit of their own: a lease of a port pair has one of each (a playing or a recording one more), and there are only
//! so many port pairs.
//!
//! The bell is rung by [`Sender::flush`], once for all that was sent since the last one, and only for a receiver that
//! said that it is about to sleep:
//!
//! ```text
//! receiver: asleep = true ── fence ── queue empty? ── sleeps ─────── woken, asleep = false
//! sender:   push … push ── flush: fence ── asleep? ── asleep = false, ring
//! ```
//!
//! With the fences one of the two always sees the other, so no message waits for a sleeper.

use super::{Command, Event};
use crossbeam_queue::ArrayQueue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Wakes the thread on the other side. An eventfd in `runtime`.
pub trait Bell {
    /// Wakes it, now or if it is just falling asleep. Must not block.
    fn ring(&self);
}

/// What becomes of a message that finds the queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLimit {
    /// Handed back to the caller at once.
    Refuse,
    /// Kept while there is room in the backlog, then handed back.
    KeepOrRefuse,
    /// Kept while there is room in the backlog, then dropped and counted.
    KeepOrDrop,
    /// Dropped and counted.
    Drop,
    /// Kept, whatever the backlog's length.
    Keep,
}

/// Something that goes through a [`queue`].
pub trait Message: Send {
    /// What becomes of it at a full queue.
    fn at_limit(&self) -> AtLimit;
}

impl Message for Command {
    fn at_limit(&self) -> AtLimit {
        match self {
            Command::Open { .. } => AtLimit::Refuse,
            Command::Close { .. } | Command::Stop => AtLimit::Keep,
            _ => AtLimit::KeepOrRefuse,
        }
    }
}

impl Message for Event {
    fn at_limit(&self) -> AtLimit {
        match self {
            Event::Latched { .. }
            | Event::Stranger { .. }
            | Event::Flooded { .. }
            | Event::Unusable { .. }
            | Event::Digit { .. } => AtLimit::KeepOrDrop,
            Event::Report { .. } => AtLimit::Drop,
            Event::OpenFailed { .. }
            | Event::Silent { .. }
            | Event::Played { .. }
            | Event::Hushed { .. }
            | Event::Closed { .. } => AtLimit::Keep,
        }
    }
}

/// How much one direction holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Messages in the queue, at least 1.
    pub queue_max: usize,
    /// Messages that the sender keeps when the queue is full, besides those that are never lost.
    pub backlog_max: usize,
}

/// One direction, from `Sender` to `Receiver`. `bell` wakes the receiver's thread.
pub fn queue<T: Message, B: Bell>(limits: Limits, bell: B) -> (Sender<T, B>, Receiver<T>) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(limits.queue_max.max(1)),
        asleep: AtomicBool::new(false),
    });
    let sender = Sender {
        shared: Arc::clone(&shared),
        backlog: VecDeque::new(),
        backlog_max: limits.backlog_max,
        dropped: 0,
        unheard: false,
        bell,
    };
    (sender, Receiver { shared })
}

struct Shared<T> {
    queue: ArrayQueue<T>,
    /// The receiver sleeps, or is about to.
    asleep: AtomicBool,
}

/// The sending side; one thread owns it.
pub struct Sender<T, B> {
    shared: Arc<Shared<T>>,
    /// What came at a full queue, oldest first.
    backlog: VecDeque<T>,
    backlog_max: usize,
    dropped: u64,
    /// Something was pushed since the bell last had its turn.
    unheard: bool,
    bell: B,
}

impl<T: Message, B: Bell> Sender<T, B> {
    /// Sends, keeps or drops the message as [`Message::at_limit`] says. A receiver that sleeps is woken by the next
    /// [`Sender::flush`].
    ///
    /// # Errors
    /// The message itself, if it was refused.
    pub fn send(&mut self, message: T) -> Result<(), T> {
        // Nothing may overtake what is kept.
        let message = match self.send_kept() {
            true => match self.push(message) {
                Ok(()) => return Ok(()),
                Err(message) => message,
            },
            false => message,
        };
        let room = self.backlog.len() < self.backlog_max;
        match message.at_limit() {
            AtLimit::Keep => self.backlog.push_back(message),
            AtLimit::KeepOrRefuse | AtLimit::KeepOrDrop if room => self.backlog.push_back(message),
            AtLimit::KeepOrDrop | AtLimit::Drop => self.dropped += 1,
            AtLimit::Refuse | AtLimit::KeepOrRefuse => return Err(message),
        }
        Ok(())
    }

    /// Sends what was kept, as far as there is room, and wakes the receiver if it sleeps and anything was sent. True if
    /// nothing is left. To be called after all that is sent at one time, and each turn of a loop.
    pub fn flush(&mut self) -> bool {
        let is_all = self.send_kept();
        if std::mem::take(&mut self.unheard) {
            self.wake();
        }
        is_all
    }

    fn send_kept(&mut self) -> bool {
        while let Some(message) = self.backlog.pop_front() {
            if let Err(message) = self.push(message) {
                self.backlog.push_front(message);
                return false;
            }
        }
        true
    }

    fn push(&mut self, message: T) -> Result<(), T> {
        self.shared.queue.push(message)?;
        self.unheard = true;
        Ok(())
    }

    /// How many messages are kept for a full queue.
    pub fn backlog(&self) -> usize {
        self.backlog.len()
    }

    /// How many messages were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn wake(&self) {
        // Pairs with the fence of `Receiver::may_sleep`: either it sees the message, or this sees it asleep.
        fence(Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::Relaxed)
            && self.shared.asleep.swap(false, Ordering::Relaxed)
        {
            self.bell.ring();
        }
    }
}

/// The receiving side; one thread owns it.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T: Message> Receiver<T> {
    /// The oldest message.
    pub fn receive(&mut self) -> Option<T> {
        self.shared.queue.pop()
    }

    /// To be asked right before sleeping. True: the thread may sleep, and the bell will be rung for the next message.
    /// False: messages are waiting.
    pub fn may_sleep(&mut self) -> bool {
        self.shared.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.shared.queue.is_empty() {
            return true;
        }
        self.awake();
        false
    }

    /// To be told after sleeping, whatever ended the sleep; spares needless rings.
    pub fn awake(&mut self) {
        self.shared.asleep.store(false, Ordering::Relaxed);
    }

    /// How many messages are waiting.
    pub fn waiting(&self) -> usize {
        self.shared.queue.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{LegId, LegReport, RtpPort};
    use std::cell::Cell;
    use std::net::{IpAddr, Ipv4Addr};
    use std::rc::Rc;
    use std::sync::mpsc;
    use std::thread;

    #[derive(Clone, Default)]
    struct Rings(Rc<Cell<u32>>);

    impl Bell for Rings {
        fn ring(&self) {
            self.0.set(self.0.get() + 1);
        }
    }

    fn leg(generation: u32) -> LegId {
        LegId {
            port: RtpPort::new(20000).expect("even"),
            generation,
        }
    }

    fn open(generation: u32) -> Command {
        Command::Open {
            leg: leg(generation),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    fn echo(generation: u32) -> Command {
        Command::Echo {
            leg: leg(generation),
        }
    }

    fn close(generation: u32) -> Command {
        Command::Close {
            leg: leg(generation),
        }
    }

    fn closed(generation: u32) -> Event {
        Event::Closed {
            leg: leg(generation),
            report: LegReport::default(),
        }
    }

    fn report(generation: u32) -> Event {
        Event::Report {
            leg: leg(generation),
            report: LegReport::default(),
        }
    }

    const SMALL: Limits = Limits {
        queue_max: 2,
        backlog_max: 1,
    };

    fn drain<T: Message>(receiver: &mut Receiver<T>) -> Vec<T> {
        std::iter::from_fn(|| receiver.receive()).collect()
    }

    #[test]
    fn a_full_queue_refuses_an_open_and_keeps_a_close() {
        let (mut sender, mut receiver) = queue(SMALL, Rings::default());
        assert_eq!(sender.send(open(1)), Ok(()));
        assert_eq!(sender.send(echo(1)), Ok(()));
        assert_eq!(sender.send(open(2)), Err(open(2)));
        assert_eq!(sender.send(echo(2)), Ok(()), "kept in the backlog");
        assert_eq!(sender.send(echo(3)), Err(echo(3)), "the backlog is full");
        assert_eq!(sender.send(close(1)), Ok(()));
        assert_eq!(sender.send(Command::Stop), Ok(()));
        assert_eq!(sender.backlog(), 3);

        assert_eq!(drain(&mut receiver), [open(1), echo(1)]);
        assert!(!sender.flush(), "one is still left");
        assert_eq!(drain(&mut receiver), [echo(2), close(1)]);
        assert!(sender.flush());
        assert_eq!(drain(&mut receiver), [Command::Stop]);
        assert_eq!(sender.dropped(), 0);
    }

    #[test]
    fn a_full_queue_drops_reports_and_counts_them() {
        let (mut sender, mut receiver) = queue(SMALL, Rings::default());
        for generation in 1..=4 {
            assert_eq!(sender.send(report(generation)), Ok(()));
        }
        assert_eq!(sender.dropped(), 2);
        for generation in 1..=4 {
            assert_eq!(sender.send(closed(generation)), Ok(()));
        }
        let stranger = Event::Stranger {
            leg: leg(5),
            source: ([192, 0, 2, 1], 9).into(),
        };
        assert_eq!(sender.send(stranger), Ok(()));
        assert_eq!(sender.dropped(), 3, "beyond the backlog");
        assert_eq!(drain(&mut receiver), [report(1), report(2)]);
        let mut seen = Vec::new();
        while !sender.flush() {
            seen.extend(drain(&mut receiver));
        }
        seen.extend(drain(&mut receiver));
        assert_eq!(seen, [1, 2, 3, 4].map(closed));
    }

    #[test]
    fn nothing_overtakes_the_backlog() {
        let (mut sender, mut receiver) = queue(SMALL, Rings::default());
        for generation in 1..=3 {
            assert_eq!(sender.send(close(generation)), Ok(()));
        }
        assert_eq!(receiver.receive(), Some(close(1)));
        assert_eq!(sender.send(open(4)), Err(open(4)), "3 took the room");
        assert_eq!(receiver.receive(), Some(close(2)));
        assert_eq!(sender.send(open(5)), Ok(()));
        assert_eq!(drain(&mut receiver), [close(3), open(5)]);
    }

    #[test]
    fn the_bell_rings_once_for_a_sleeper_and_not_for_one_awake() {
        let rings = Rings::default();
        let (mut sender, mut receiver) = queue(SMALL, rings.clone());
        assert_eq!(sender.send(echo(1)), Ok(()));
        assert!(sender.flush());
        assert_eq!(rings.0.get(), 0);
        assert!(!receiver.may_sleep(), "a message waits");
        assert_eq!(drain(&mut receiver).len(), 1);
        assert!(receiver.may_sleep());
        assert!(sender.flush());
        assert_eq!(rings.0.get(), 0, "there is nothing to hear");
        assert_eq!(sender.send(echo(1)), Ok(()));
        assert_eq!(sender.send(echo(1)), Ok(()));
        assert_eq!(rings.0.get(), 0, "not before all is sent");
        assert!(sender.flush());
        assert!(sender.flush());
        assert_eq!(rings.0.get(), 1);
        receiver.awake();
        assert_eq!(drain(&mut receiver).len(), 2);
        assert_eq!(sender.send(echo(1)), Ok(()));
        assert!(sender.flush());
        assert_eq!(rings.0.get(), 1);
    }

    struct Channel(mpsc::Sender<()>);

    impl Bell for Channel {
        fn ring(&self) {
            // The receiver may be gone at the end of the test, which is no matter.
            let _ = self.0.send(());
        }
    }

    #[test]
    fn between_threads_nothing_is_lost_reordered_or_slept_through() {
        const CLOSES: u32 = 200_000;
        let (bell, bell_heard) = mpsc::channel();
        let limits = Limits {
            queue_max: 8,
            backlog_max: 0,
        };
        let (mut sender, mut receiver) = queue(limits, Channel(bell));
        let sending = thread::spawn(move || {
            for generation in 1..=CLOSES {
                assert_eq!(sender.send(close(generation)), Ok(()));
                while sender.backlog() > 16 && !sender.flush() {
                    thread::yield_now();
                }
            }
            while !sender.flush() {
                thread::yield_now();
            }
        });
        let mut expected = 1;
        while expected <= CLOSES {
            while let Some(command) = receiver.receive() {
                assert_eq!(command, close(expected));
                expected += 1;
            }
            if expected <= CLOSES && receiver.may_sleep() {
                // A lost wake-up hangs here; the sender's end of the channel closing ends it with an error.
                bell_heard.recv().expect("rung for every sleep");
                receiver.awake();
            }
        }
        sending.join().expect("the sender ends");
    }
}
