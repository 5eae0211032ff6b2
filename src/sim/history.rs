//! Random call histories: what each peer will do, drawn from a seed before the run.

use crate::codec::Codec;
use crate::sim::network::Faults;
use std::time::Duration;

/// What happens in one run.
#[derive(Clone, Debug)]
pub struct History {
    /// Draws everything else.
    pub seed: u64,
    /// The network.
    pub faults: Faults,
    /// The calls, by when they begin.
    pub calls: Vec<CallPlan>,
    /// The intruder sends this often, if at all.
    pub intruder: Option<Duration>,
    /// The gateway takes no more than so many calls.
    pub calls_max: u32,
}

/// One call: what the caller will do, and what the called.
#[derive(Clone, Debug)]
pub struct CallPlan {
    /// After the start of the run.
    pub begins: Duration,
    /// What the dialplan does with it.
    pub route: Route,
    /// The caller's part.
    pub caller: CallerPlan,
    /// The called's part.
    pub called: CalledPlan,
}

/// What the dialplan does with a call; the number dialled begins with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Dials the called.
    Dial,
    /// Answers, waits, then dials.
    AnswerThenDial,
    /// Answers and echoes.
    Echo,
    /// Dials the called and the caller's own trunk at once.
    DialBoth,
}

impl Route {
    /// The first digits of its numbers.
    pub fn prefix(self) -> &'static str {
        match self {
            Route::Dial => "555",
            Route::AnswerThenDial => "556",
            Route::Echo => "557",
            Route::DialBoth => "558",
        }
    }
}

/// The caller's part.
#[derive(Clone, Debug)]
pub struct CallerPlan {
    /// The INVITE has an offer; else the ACK answers the gateway's.
    pub offers: bool,
    /// What it offers.
    pub codecs: Vec<Codec>,
    /// CANCEL this long after the INVITE, if there is no final answer by then.
    pub cancels_after: Option<Duration>,
    /// What it does once the call is up.
    pub within: WithinPlan,
}

/// The called's part.
#[derive(Clone, Debug)]
pub struct CalledPlan {
    /// 180 this long after the INVITE.
    pub rings_after: Option<Duration>,
    /// 183 with an answer this long after the INVITE.
    pub early_after: Option<Duration>,
    /// The final status, this long after the INVITE; None: it never answers.
    pub answers: Option<(Duration, u16)>,
    /// What it can.
    pub codecs: Vec<Codec>,
    /// What it does once the call is up.
    pub within: WithinPlan,
}

/// What a side does in a call that is up, each so long after it came up.
#[derive(Clone, Debug, Default)]
pub struct WithinPlan {
    /// Re-INVITE with `a=sendonly`.
    pub holds_after: Option<Duration>,
    /// Re-INVITE with `a=sendrecv` and another RTP port.
    pub moves_after: Option<Duration>,
    /// BYE.
    pub hangs_up_after: Option<Duration>,
    /// Falls silent on SIP and RTP, for ever.
    pub dies_after: Option<Duration>,
    /// Answers a re-INVITE with this instead of 200.
    pub refuses_reinvite: Option<u16>,
    /// Answers a re-INVITE this late.
    pub reinvite_takes: Duration,
}

struct Draw(fastrand::Rng);

impl Draw {
    fn chance(&mut self, part: f64) -> bool {
        self.0.f64() < part
    }

    fn up_to_ms(&mut self, milliseconds: u64) -> Duration {
        Duration::from_millis(self.0.u64(0..=milliseconds))
    }

    fn perhaps_ms(&mut self, part: f64, milliseconds: u64) -> Option<Duration> {
        self.chance(part).then(|| self.up_to_ms(milliseconds))
    }

    fn codecs(&mut self) -> Vec<Codec> {
        let mut codecs = vec![Codec::Ulaw, Codec::Alaw, Codec::G722];
        self.0.shuffle(&mut codecs);
        codecs.truncate(self.0.usize(1..=3));
        codecs
    }

    fn within(&mut self, may_die: bool) -> WithinPlan {
        let dies_after = if may_die {
            self.perhaps_ms(0.1, 5_000)
        } else {
            None
        };
        WithinPlan {
            holds_after: self.perhaps_ms(0.3, 4_000),
            moves_after: self.perhaps_ms(0.3, 4_000),
            hangs_up_after: self.perhaps_ms(0.5, 8_000),
            dies_after,
            refuses_reinvite: self
                .chance(0.2)
                .then(|| [488, 491, 500][self.0.usize(0..3)]),
            reinvite_takes: self.up_to_ms(600),
        }
    }

    fn call(&mut self) -> CallPlan {
        let mut caller = CallerPlan {
            offers: self.chance(0.85),
            codecs: self.codecs(),
            cancels_after: self.perhaps_ms(0.25, 3_000),
            within: self.within(true),
        };
        let status = [
            200, 200, 200, 200, 200, 302, 404, 486, 480, 488, 500, 503, 603,
        ][self.0.usize(0..13)];
        let caller_lives = caller.within.dies_after.is_none();
        let mut called = CalledPlan {
            rings_after: self.perhaps_ms(0.8, 500),
            early_after: self.perhaps_ms(0.3, 800),
            answers: self.chance(0.93).then(|| (self.up_to_ms(3_000), status)),
            codecs: self.codecs(),
            within: self.within(caller_lives),
        };
        // Somebody who lives ends the call: without session timers nothing else would end one on hold.
        let end = self.up_to_ms(10_000);
        if caller_lives {
            caller.within.hangs_up_after.get_or_insert(end);
        } else {
            called.within.hangs_up_after.get_or_insert(end);
        }
        let routes = [
            Route::Dial,
            Route::Dial,
            Route::Dial,
            Route::AnswerThenDial,
            Route::Echo,
            Route::DialBoth,
        ];
        let route = routes[self.0.usize(0..routes.len())];
        if route == Route::Echo {
            caller.within.dies_after = None;
            caller.within.hangs_up_after.get_or_insert(end);
        }
        CallPlan {
            begins: self.up_to_ms(5_000),
            route,
            caller,
            called,
        }
    }
}

impl History {
    /// The history of a seed: one to six calls over a network from perfect to bad.
    pub fn random(seed: u64) -> History {
        let mut draw = Draw(fastrand::Rng::with_seed(seed));
        let worst = draw.0.f64();
        let faults = Faults {
            loss: 0.2 * worst * draw.0.f64(),
            duplication: 0.2 * worst * draw.0.f64(),
            delay: (
                Duration::from_millis(1),
                Duration::from_millis(2) + draw.up_to_ms(200).mul_f64(worst),
            ),
        };
        let calls = (0..draw.0.usize(1..=6)).map(|_| draw.call()).collect();
        let intruder = draw
            .chance(0.5)
            .then(|| Duration::from_millis(5 + draw.0.u64(0..100)));
        let calls_max = if draw.chance(0.1) { 1 } else { 100 };
        History {
            seed,
            faults,
            calls,
            intruder,
            calls_max,
        }
    }
}
