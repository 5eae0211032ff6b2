//! The steps of a history, as control would command them.

use super::history::Step;
use super::peer::{Place, formats};
use super::watch::payload_map;
use super::world::MediaWorld;
use crate::codec::{Codec, Rate};
use crate::link::recording::recording;
use crate::link::{
    Channels, Clip, ClipHandle, Command, LegId, Listening, PlayId, PlayMode, RecordId, RoomId,
};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

const BIND: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

impl MediaWorld {
    /// Does a step. What is about a leg that is not open does nothing.
    pub(super) fn act(&mut self, step: Step) {
        match step {
            Step::Open(peer) => self.open(peer),
            Step::Close(peer) => self.close(peer),
            Step::Bridge(a, b) => self.bridge(a, b),
            Step::Echo(peer) if self.peers[peer].hears_itself() => self.stand(peer, Place::Echo),
            Step::Echo(peer) | Step::Detach(peer) => self.stand(peer, Place::Alone),
            Step::Direction(peer, send, receive) => self.direct(peer, send, receive),
            Step::Formats(peer, codec, ptime_ms) => self.change_formats(peer, codec, ptime_ms),
            Step::Rekey(peer) => self.rekey(peer),
            Step::Play(peer, mode, rate, millis) => self.play(peer, mode, rate, millis),
            Step::StopPlay(peer) => self.tell(peer, |leg| Command::StopPlay { leg }),
            Step::SendDigit(peer, digit, duration_ms) => {
                self.tell(peer, |leg| Command::SendDigit {
                    leg,
                    digit,
                    duration_ms,
                });
                if let Some(lease) = &mut self.peers[peer].lease {
                    lease.digits_sent += 1;
                }
            }
            Step::Listen(peer, listening) => {
                self.tell(peer, |leg| Command::Listen { leg, listening });
            }
            Step::Record(peer, channels, rate) => self.record(peer, channels, rate),
            Step::StopRecord(peer) => {
                self.tell(peer, |leg| Command::StopRecord {
                    leg,
                    record: RecordId(0),
                });
                self.end_recording(peer);
            }
            Step::Join(peer, room, talks, hears) => {
                self.part(peer, Place::Room);
                let room = RoomId(room);
                self.tell(peer, |leg| Command::Join {
                    leg,
                    room,
                    talks,
                    hears,
                });
            }
            of_a_peer => self.act_as_peer(of_a_peer),
        }
    }

    fn act_as_peer(&mut self, step: Step) {
        let now = self.now;
        let random = &mut self.random;
        let (Step::Speak(peer, _)
        | Step::Pause(peer, _)
        | Step::Press(peer, ..)
        | Step::ChangeSource(peer)) = step
        else {
            return;
        };
        let has_events = self.peers[peer].plan.events.is_some();
        let Some(lease) = &mut self.peers[peer].lease else {
            return;
        };
        match step {
            // An echo of it would be of no use to it.
            Step::Speak(..) if lease.place == Place::Echo => {}
            Step::Speak(_, codec) => lease.mouth.speak(codec),
            Step::Pause(_, millis) => lease.mouth.pause(now + Duration::from_millis(millis)),
            Step::Press(_, digit, duration_ms) if has_events => {
                lease.pressed += usize::from(lease.mouth.press(digit, duration_ms));
            }
            Step::ChangeSource(_) => {
                lease.mouth.change_source(random);
                lease.numbers.clear();
            }
            _ => {}
        }
    }

    /// A command about the peer's leg, if it has one.
    fn tell(&mut self, peer: usize, command: impl FnOnce(LegId) -> Command) {
        if let Some(lease) = &self.peers[peer].lease {
            let command = command(lease.id);
            self.command(peer, command);
        }
    }

    fn open(&mut self, peer: usize) {
        if self.peers[peer].lease.is_some() {
            return;
        }
        let crypto = self.peers[peer].open(self.now, &mut self.random);
        self.tell(peer, |leg| Command::Open { leg, bind: BIND });
        let Some(lease) = &self.peers[peer].lease else {
            return;
        };
        let formats = lease.formats;
        self.tell(peer, |leg| Command::SetFormats {
            leg,
            formats: Box::new(formats),
        });
        if crypto.is_some() {
            self.tell(peer, |leg| Command::SetCrypto { leg, crypto });
        }
        self.tell_remote(peer);
    }

    fn tell_remote(&mut self, peer: usize) {
        if let Some(remote) = self.peers[peer].remote() {
            self.tell(peer, |leg| Command::SetRemote { leg, remote });
        }
    }

    pub(super) fn close(&mut self, peer: usize) {
        self.tell(peer, |leg| Command::Close { leg });
        self.end_recording(peer);
        self.part(peer, Place::Alone);
        if let Some(lease) = self.peers[peer].lease.take() {
            self.judge_lease(peer, &lease);
        }
    }

    /// The peer's leg is somewhere else from now on; one that it was bridged to stands alone.
    fn part(&mut self, peer: usize, place: Place) {
        let Some(lease) = &mut self.peers[peer].lease else {
            return;
        };
        let before = std::mem::replace(&mut lease.place, place);
        if let Place::Bridged(far) = before
            && let Some(far) = &mut self.peers[far].lease
        {
            far.place = Place::Alone;
        }
    }

    fn bridge(&mut self, a: usize, b: usize) {
        let are_open = [a, b].iter().all(|peer| self.peers[*peer].lease.is_some());
        if a == b || !are_open || self.worker_of(a) != self.worker_of(b) {
            return;
        }
        self.part(a, Place::Bridged(b));
        self.part(b, Place::Bridged(a));
        // The second parting undid the first, if the two were bridged already.
        for (peer, far) in [(a, b), (b, a)] {
            if let Some(lease) = &mut self.peers[peer].lease {
                lease.place = Place::Bridged(far);
            }
        }
        self.tell_bridge(a, b);
    }

    fn tell_bridge(&mut self, a: usize, b: usize) {
        let (Some(of_a), Some(of_b)) = (&self.peers[a].lease, &self.peers[b].lease) else {
            return;
        };
        let command = Command::Bridge {
            a: of_a.id,
            b: of_b.id,
            a_to_b: payload_map(&of_a.formats, &of_b.formats),
            b_to_a: payload_map(&of_b.formats, &of_a.formats),
        };
        self.command(a, command);
    }

    fn stand(&mut self, peer: usize, place: Place) {
        self.part(peer, place);
        self.tell(peer, |leg| match place {
            Place::Echo => Command::Echo { leg },
            _ => Command::Detach { leg },
        });
    }

    fn direct(&mut self, peer: usize, send: bool, receive: bool) {
        if let Some(lease) = &mut self.peers[peer].lease {
            (lease.send, lease.receive) = (send, receive);
            lease.is_disturbed = true;
        }
        self.tell_remote(peer);
    }

    fn change_formats(&mut self, peer: usize, codec: Codec, ptime_ms: u8) {
        let formats = formats(&self.peers[peer].plan, codec, ptime_ms);
        let Some(lease) = &mut self.peers[peer].lease else {
            return;
        };
        lease.formats = formats;
        lease.watch.follow_ptime(ptime_ms);
        lease.is_disturbed = true;
        let place = lease.place;
        self.tell(peer, |leg| Command::SetFormats {
            leg,
            formats: Box::new(formats),
        });
        match place {
            Place::Bridged(far) => self.tell_bridge(peer, far),
            // What it says may be none of what it now hears.
            Place::Echo => self.stand(peer, Place::Alone),
            Place::Alone | Place::Room => {}
        }
    }

    fn rekey(&mut self, peer: usize) {
        let crypto = self.peers[peer].rekey(self.now, &mut self.random);
        if crypto.is_some() {
            self.outcome.rekeyed += 1;
            self.tell(peer, |leg| Command::SetCrypto { leg, crypto });
        }
    }

    fn play(&mut self, peer: usize, mode: PlayMode, rate: Rate, millis: u32) {
        if self.peers[peer].lease.is_none() {
            return;
        }
        let play = PlayId(self.plays.len() as u32);
        self.plays.insert(play.0, 0);
        let samples = (0..rate.hz() * millis / 1_000).map(|at| (at % 64) as i16 * 100);
        let clip = ClipHandle(Arc::new(Clip {
            rate,
            samples: samples.collect(),
        }));
        self.tell(peer, |leg| Command::Play {
            leg,
            play,
            clip,
            mode,
        });
    }

    fn record(&mut self, peer: usize, channels: Channels, rate: Rate) {
        if self.peers[peer].lease.is_none() {
            return;
        }
        let (sink, source) = recording(rate, channels);
        self.tell(peer, |leg| Command::Record {
            leg,
            record: RecordId(0),
            sink,
            silence_ms: 200,
        });
        self.end_recording(peer);
        self.begin_recording(peer, source, (rate, channels.count()));
    }

    /// The worker has let go of what it recorded of this peer.
    fn end_recording(&mut self, peer: usize) {
        let running = self.recordings.iter_mut();
        let running = running.filter(|r| r.peer == peer && r.is_running);
        let mut kept = false;
        for recording in running {
            recording.is_running = false;
            kept |= !recording.source.is_over();
        }
        if kept {
            self.violate("a recording that ended is kept".to_owned());
        }
    }

    /// Asks nothing more of any leg.
    pub(super) fn ask_nothing(&mut self) {
        for peer in 0..self.peers.len() {
            self.stand(peer, Place::Alone);
            self.act(Step::StopPlay(peer));
            self.act(Step::Listen(peer, Listening::Off));
            self.act(Step::StopRecord(peer));
        }
    }
}
