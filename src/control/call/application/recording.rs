//! MixMonitor records a call beside all else; Record takes what the caller says, until it ends it.
//!
//! ```text
//!  Record: beep ──► the caller speaks ──a digit, silence, its time──► the file is completed ──► RECORD_STATUS
//!                        └── it hangs up: the file goes, unless option k keeps it
//! ```
//!
//! A leg has [`RECORDINGS_MAX`] recordings at a time: a Record, and all others MixMonitor's. One MixMonitor too many is not
//! begun, with a warning.
//!
//! ```text
//!  MixMonitor ──► waits ──the caller has audio and, with option b, talks to somebody──► runs ──StopMixMonitor──► over
//!                   ▲───────────── with option b: the conversation is over ───────────────┘
//! ```

use super::Application;
use crate::control::call::leg::{Leg, MediaState};
use crate::control::call::media::LegMedia;
use crate::control::call::{Call, LegNo, Phase};
use crate::control::context::Context;
use crate::control::controller::Output;
use crate::control::dialplan::{BEEP, MonitorRequest, MonitorSpan, RecordRequest};
use crate::control::recordings::{Keep, Recorded, RecordingOrder, file_in};
use crate::control::sounds::{Asker, Sound};
use crate::link::recording::RECORDINGS_MAX;
use crate::link::{Channels, Command, Digit, RecordId, RunningRecording};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a file is waited for that is to be completed.
const COMPLETE_MAX: Duration = Duration::from_secs(5);
/// Recordings of MixMonitor at a time: one place is Record's.
const MONITORS_MAX: usize = RECORDINGS_MAX - 1;

/// A Record that runs.
pub(in crate::control::call) struct Taking {
    request: RecordRequest,
    path: PathBuf,
    state: State,
}

enum State {
    Beeping,
    Running(Running),
    /// It is over; the file is completed.
    Completing {
        recording: Running,
        status: &'static str,
    },
}

/// A recording of a leg.
#[derive(Clone, Debug)]
struct Running {
    /// Which of its leg's.
    id: RecordId,
    /// Who has asked for its file: the leg that it began on.
    asker: Asker,
    audio: RunningRecording,
    silence_ms: u32,
    keep: Keep,
}

impl Taking {
    /// True if this digit ends it.
    pub(super) fn ends_with(&self, digit: Digit) -> bool {
        matches!(self.state, State::Running(_)) && self.request.terminators.contains(digit.symbol())
    }

    /// True before it records.
    pub(super) fn is_beeping(&self) -> bool {
        matches!(self.state, State::Beeping)
    }

    /// The caller hangs up meanwhile.
    pub(super) fn hung_up(&self) {
        if let State::Running(running) = &self.state
            && self.request.keep
        {
            running.keep.keep();
        }
    }

    /// Whoever speaks on this leg is recorded from now on, in place of who did on the other, into the same file.
    pub(in crate::control::call) fn go_on_with(
        &mut self,
        ctx: &mut Context,
        leg: &mut LegMedia,
        from: &LegMedia,
    ) {
        match &mut self.state {
            State::Beeping => {}
            State::Running(recording) | State::Completing { recording, .. } => {
                leg.take_recording(ctx, recording, from);
            }
        }
    }
}

impl Call {
    /// Records the caller's leg from now on, or as soon as it has audio.
    pub(super) fn start_monitor(&mut self, ctx: &mut Context, request: &MonitorRequest) {
        let Some(path) = self.recording_path(ctx, &request.file) else {
            return;
        };
        if self.caller.monitor_count() >= MONITORS_MAX {
            let file = path.display();
            return tracing::warn!(
                call = self.id,
                %file,
                "not recorded: {MONITORS_MAX} recordings of this caller run already"
            );
        }
        let name = path.to_string_lossy().into_owned();
        self.execution.set_variable("MIXMONITOR_FILENAME", name);
        ctx.monitors_begun = ctx.monitors_begun.wrapping_add(1);
        let number = ctx.monitors_begun;
        if let Some(variable) = &request.number_to {
            self.execution.set_variable(variable, number.to_string());
        }
        self.caller.monitors.push(Monitor {
            number,
            call: self.id.clone(),
            path,
            channels: request.channels,
            span: request.span,
            part: 1,
        });
        self.settle_monitors(ctx);
    }

    /// Begins what waits and may run, and ends what may run no longer.
    pub(in crate::control::call) fn settle_monitors(&mut self, ctx: &mut Context) {
        let bytes_max = self.recording_max();
        let (caller, is_seated, partner) = (self.caller.no, self.seat.is_some(), self.partner());
        for leg in self.legs_mut() {
            let is_conversation = match leg.no {
                no if no == caller => is_seated || partner.is_some(),
                no => partner == Some(no),
            };
            leg.settle_monitors(ctx, is_conversation, bytes_max);
        }
    }

    /// True if somebody in the call is recorded, or is to be.
    pub(in crate::control::call) fn is_monitored(&self) -> bool {
        let mut there = self.legs().filter(|leg| !leg.has_left());
        there.any(|leg| leg.monitor_count() > 0)
    }

    pub(in crate::control::call) fn recording_max(&self) -> u64 {
        u64::from(self.setup.settings().recording.max_mib) << 20
    }

    fn stop_recording(&self, ctx: &mut Context, record: RecordId) {
        if let Some(media) = self.caller.media() {
            media.stop_recording(ctx, record);
        }
    }

    /// Begins to take what the caller says.
    pub(super) fn record(&mut self, ctx: &mut Context, now: Instant, request: RecordRequest) {
        let Some(path) = self.recording_path(ctx, &request.file) else {
            return self.set_record_status("ERROR");
        };
        let is_quiet = request.quiet;
        let taking = Box::new(Taking {
            request,
            path,
            state: State::Beeping,
        });
        if is_quiet {
            return self.take_down(ctx, now, taking);
        }
        self.play_to_caller(ctx, vec![Sound::File(BEEP.to_owned())], None);
        self.attend(ctx, now, Application::Record(taking), None);
    }

    /// The beep is over.
    pub(super) fn take_down(&mut self, ctx: &mut Context, now: Instant, mut taking: Box<Taking>) {
        let silence = taking.request.silence.unwrap_or_default();
        let path = taking.path.clone();
        let Some(running) = self.start_recording(ctx, path, Channels::Heard, silence) else {
            return self.set_record_status("ERROR");
        };
        taking.state = State::Running(running);
        let time = taking.request.time;
        self.attend(ctx, now, Application::Record(taking), time);
    }

    /// Its time is over, or that of its completion.
    pub(super) fn on_record_due(&mut self, ctx: &mut Context, now: Instant, taking: Box<Taking>) {
        match taking.state {
            State::Completing { status, .. } => {
                tracing::warn!(call = self.id, "a recording is still not complete");
                self.set_record_status(status);
            }
            _ => self.end_record(ctx, now, taking, "TIMEOUT"),
        }
    }

    /// Ends a Record: the dialplan goes on when its file is complete.
    pub(super) fn end_record(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        mut taking: Box<Taking>,
        status: &'static str,
    ) {
        if let State::Running(running) = &taking.state {
            running.keep.keep();
            let recording = running.clone();
            self.stop_recording(ctx, recording.id);
            taking.state = State::Completing { recording, status };
            self.attend(ctx, now, Application::Record(taking), Some(COMPLETE_MAX));
        }
    }

    /// The caller has been silent for as long as Record allows.
    pub(in crate::control::call) fn on_hushed(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
    ) {
        let is_recorded = match &self.phase {
            Phase::Attending(attending) => attending.records(),
            _ => false,
        };
        if no == self.caller.no
            && is_recorded
            && let Some(Application::Record(taking)) = self.take_application(ctx, now)
        {
            self.end_record(ctx, now, taking, "SILENCE");
        }
    }

    /// A recording of a leg is complete, or has failed.
    pub fn on_recorded(&mut self, ctx: &mut Context, now: Instant, no: LegNo, recorded: Recorded) {
        let number = recorded.asker.number;
        let media = self.leg_mut(no).and_then(Leg::media_mut);
        if let Some(media) = media.filter(|media| media.leg == recorded.asker.leg) {
            media
                .monitored
                .retain(|one| one.running.id != RecordId(number));
        }
        let is_awaited = match &self.phase {
            Phase::Attending(attending) => attending.awaits_recording(RecordId(number)),
            _ => false,
        };
        if no == self.caller.no
            && is_awaited
            && let Some(Application::Record(taking)) = self.take_application(ctx, now)
        {
            self.on_taken(ctx, *taking, recorded.path);
        }
        self.advance(ctx, now);
    }

    fn on_taken(&mut self, ctx: &mut Context, taking: Taking, path: Option<PathBuf>) {
        let status = match (taking.state, &path) {
            (State::Completing { status, .. }, Some(_)) => status,
            // Its disk has failed, or it was full: what there is was kept.
            (State::Running(running), _) => {
                self.stop_recording(ctx, running.id);
                "ERROR"
            }
            _ => "ERROR",
        };
        if let Some(path) = path {
            let name = path.with_extension("").to_string_lossy().into_owned();
            self.execution.set_variable("RECORDED_FILE", name);
        }
        self.set_record_status(status);
    }

    pub(super) fn set_record_status(&mut self, status: &str) {
        self.execution
            .set_variable("RECORD_STATUS", status.to_owned());
    }

    /// Where a recording of that name goes.
    fn recording_path(&self, ctx: &Context, name: &str) -> Option<PathBuf> {
        let settings = self.setup.settings();
        let Some(directory) = ctx.surroundings.recording_directory(settings) else {
            tracing::warn!(
                call = self.id,
                "not recorded: neither recording.directory nor a state directory is set"
            );
            return None;
        };
        let path = file_in(&directory, name);
        if path.is_none() {
            tracing::warn!(
                call = self.id,
                name,
                directory = %directory.display(),
                "not recorded: the name leads out of the directory"
            );
        }
        path
    }

    /// Records the caller's leg into this file. None if it has no audio.
    fn start_recording(
        &mut self,
        ctx: &mut Context,
        path: PathBuf,
        channels: Channels,
        silence: Duration,
    ) -> Option<Running> {
        let bytes_max = self.recording_max();
        let media = self.caller.media_mut().filter(|media| media.is_agreed())?;
        let file = (self.id.clone(), path);
        Some(media.record(ctx, file, (channels, silence), bytes_max))
    }
}

impl Leg {
    /// How many MixMonitors record it, or are to.
    fn monitor_count(&self) -> usize {
        let running = self.media().map_or(0, |media| media.monitored.len());
        self.monitors.len() + running
    }

    /// Begins what waits and may run, and ends what may run no longer.
    fn settle_monitors(&mut self, ctx: &mut Context, is_conversation: bool, bytes_max: u64) {
        let is_due = |span| span == MonitorSpan::Always || is_conversation;
        let MediaState::Open(media) = &mut self.media else {
            return;
        };
        if !media.is_agreed() {
            return;
        }
        let over = |one: &mut Monitored| !is_due(one.monitor.span);
        let over: Vec<Monitored> = media.monitored.extract_if(.., over).collect();
        let begins = |monitor: &mut Monitor| is_due(monitor.span);
        for monitor in self.monitors.extract_if(.., begins) {
            media.monitor(ctx, monitor, bytes_max);
        }
        for one in over {
            media.stop_recording(ctx, one.running.id);
            self.monitors.push(one.monitor.next());
        }
    }

    /// MixMonitor records it no longer: this recording of it, or (None) all.
    pub(super) fn stop_monitors(&mut self, ctx: &mut Context, number: Option<u32>) {
        let is_meant = |monitor: &Monitor| number.is_none_or(|number| number == monitor.number);
        self.monitors.retain(|waiting| !is_meant(waiting));
        let Some(media) = self.media_mut() else {
            return;
        };
        let over = |one: &mut Monitored| is_meant(&one.monitor);
        let over: Vec<Monitored> = media.monitored.extract_if(.., over).collect();
        for one in over {
            media.stop_recording(ctx, one.running.id);
        }
    }

    /// In the place of another, it is recorded as that one was to be, as far as there is room.
    pub(in crate::control::call) fn inherit_monitors(&mut self, from: &mut Leg) {
        let room = MONITORS_MAX.saturating_sub(self.monitor_count());
        self.monitors.extend(from.monitors.drain(..).take(room));
    }

    /// In the place of another in an application, it is recorded as that one was and was to be, into the same files, as far as
    /// there is room.
    pub(in crate::control::call) fn inherit_recordings(
        &mut self,
        ctx: &mut Context,
        from: &mut Leg,
    ) {
        let room = MONITORS_MAX.saturating_sub(self.monitor_count());
        if let (Some(own), Some(old)) = (self.media_mut(), from.media_mut()) {
            let running = std::mem::take(&mut old.monitored);
            for mut one in running.into_iter().take(room) {
                own.take_recording(ctx, &mut one.running, old);
                own.monitored.push(one);
            }
        }
        self.inherit_monitors(from);
    }
}

impl LegMedia {
    /// Records the leg into this file, at most so many bytes.
    fn record(
        &mut self,
        ctx: &mut Context,
        (call, path): (String, PathBuf),
        (channels, silence): (Channels, Duration),
        bytes_max: u64,
    ) -> Running {
        let silence_ms = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
        let asker = Asker {
            leg: self.leg,
            number: self.player.count(),
        };
        let terms = (self.rate(), channels);
        let (sink, order) = RecordingOrder::new(asker, (call, path), terms, bytes_max);
        let running = Running {
            id: RecordId(asker.number),
            asker,
            audio: sink.running(),
            silence_ms,
            keep: order.keep.clone(),
        };
        let leg = self.leg;
        ctx.outputs.push_back(Output::Record(order));
        let record = Command::Record {
            leg,
            record: running.id,
            sink,
            silence_ms,
        };
        ctx.command(self.worker(), record);
        running
    }

    /// A recording of another leg of this worker is one of this leg from now on.
    fn take_recording(&mut self, ctx: &mut Context, recording: &mut Running, from: &LegMedia) {
        let (leg, number) = (self.leg, self.player.count());
        let (old, record) = (recording.id, RecordId(number));
        if let Some(sink) = recording.audio.sink() {
            let silence_ms = recording.silence_ms;
            let record = Command::Record {
                leg,
                record,
                sink,
                silence_ms,
            };
            ctx.command(self.worker(), record);
        }
        // Behind that, so that its audio never seems to be over.
        from.stop_recording(ctx, old);
        ctx.moved_recordings
            .insert(recording.asker, Asker { leg, number });
        recording.id = record;
    }

    /// The leg has left its port for another one: what was recorded there goes on in files of their own.
    pub(in crate::control::call) fn go_on_recording(
        &mut self,
        ctx: &mut Context,
        call: &str,
        bytes_max: u64,
    ) {
        for monitored in std::mem::take(&mut self.monitored) {
            let next = monitored.monitor.next();
            let file = next.path.display().to_string();
            tracing::info!(
                call,
                file,
                "a recording goes on in another file, since its leg has another port"
            );
            self.monitor(ctx, next, bytes_max);
        }
    }

    fn stop_recording(&self, ctx: &mut Context, record: RecordId) {
        let leg = self.leg;
        ctx.command(self.worker(), Command::StopRecord { leg, record });
    }

    fn monitor(&mut self, ctx: &mut Context, monitor: Monitor, bytes_max: u64) {
        let terms = (monitor.channels, Duration::ZERO);
        let file = (monitor.call.clone(), monitor.path.clone());
        let running = self.record(ctx, file, terms, bytes_max);
        running.keep.keep();
        self.monitored.push(Monitored { running, monitor });
    }
}

/// A MixMonitor, and the file that it is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control::call) struct Monitor {
    /// Which it is of all.
    number: u32,
    /// The id of the call whose dialplan began it.
    call: String,
    path: PathBuf,
    channels: Channels,
    span: MonitorSpan,
    /// Which of its files this is, from 1.
    part: u32,
}

/// A MixMonitor that runs on a leg.
#[derive(Debug)]
pub(in crate::control::call) struct Monitored {
    running: Running,
    monitor: Monitor,
}

impl Monitored {
    /// Where it goes.
    pub(in crate::control::call) fn file(&self) -> String {
        self.monitor.path.display().to_string()
    }
}

impl Monitor {
    /// At its next file: `name-2.wav` behind `name.wav`.
    fn next(&self) -> Monitor {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let first = match self.part {
            1 => &stem[..],
            part => stem.strip_suffix(&format!("-{part}")).unwrap_or(&stem),
        };
        let part = self.part + 1;
        let mut name = format!("{first}-{part}");
        if let Some(ending) = self.path.extension() {
            name = format!("{name}.{}", ending.to_string_lossy());
        }
        Monitor {
            path: self.path.with_file_name(name),
            part,
            ..self.clone()
        }
    }
}

impl super::Attending {
    /// True if a Record runs.
    fn records(&self) -> bool {
        match &self.application {
            Application::Record(taking) => matches!(taking.state, State::Running(_)),
            _ => false,
        }
    }

    /// True if it waits for this recording.
    fn awaits_recording(&self, awaited: RecordId) -> bool {
        match &self.application {
            Application::Record(taking) => match &taking.state {
                State::Running(recording) | State::Completing { recording, .. } => {
                    recording.id == awaited
                }
                State::Beeping => false,
            },
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_recording_are_counted() {
        for (first, second, third) in [
            ("calls/a.wav", "calls/a-2.wav", "calls/a-3.wav"),
            ("7-2.wav", "7-2-2.wav", "7-2-3.wav"),
            ("plain", "plain-2", "plain-3"),
        ] {
            let began = Monitor {
                number: 1,
                call: String::from("c"),
                path: PathBuf::from(first),
                channels: Channels::Mixed,
                span: MonitorSpan::Always,
                part: 1,
            };
            let next = began.next();
            assert_eq!(next.path.to_str(), Some(second));
            assert_eq!(next.next().path.to_str(), Some(third));
        }
    }
}
