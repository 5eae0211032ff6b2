//! What operators see of a call: its row while it runs, its line in the log and its metrics when it ends.
//!
//! | file | concept |
//! |---|---|
//! | `detail` | all of one call |
//! | `unusable` | audio that comes and goes nowhere |

mod detail;
mod unusable;

use super::leg::{Leg, MediaState};
use super::media::LegMedia;
use super::{Call, Phase};
use crate::codec::Payload;
use crate::config::settings::EndpointId;
use crate::control::context::Context;
use crate::control::setup::Setup;
use crate::link::query::{CallRow, MediaRow};
use crate::metrics::{CallResult, EndpointMetrics};
use crate::sdp;
use std::time::Instant;

impl Call {
    /// The call's row.
    pub fn row(&self, now: Instant) -> CallRow {
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs();
        let callee = self
            .joined()
            .and_then(|no| self.leg(no))
            .or(self.callees.last());
        let media = || self.legs().filter_map(Leg::media);
        CallRow {
            id: self.id.clone(),
            state: self.state_name().to_owned(),
            from_endpoint: self.name_of(self.caller.endpoint).to_owned(),
            to_endpoint: callee.map(|leg| self.name_of(leg.endpoint).to_owned()),
            caller: self.facts.caller.clone(),
            called: self.facts.called.clone(),
            context: self.facts.context.clone(),
            age_s: seconds(self.caller.began),
            up_s: self.caller.answered.map(seconds),
            rtp_ports: media().map(|media| media.leg.port.rtp()).collect(),
            rtp_sources: media()
                .filter_map(|media| media.latched)
                .map(|source| source.to_string())
                .collect(),
            media: media().map(media_row).collect(),
        }
    }

    fn state_name(&self) -> &'static str {
        let on_hold = |media: &LegMedia| {
            media.is_agreed() && media.peer_direction() != sdp::Direction::SendRecv
        };
        match &self.phase {
            Phase::Ready
            | Phase::Paused { .. }
            | Phase::AwaitingAck { .. }
            | Phase::Referring { .. }
            | Phase::PickingUp => "dialplan",
            Phase::Dialling(_) => "ringing",
            Phase::Bridged { .. } if self.legs().filter_map(Leg::media).any(on_hold) => "held",
            Phase::Bridged { .. } | Phase::Echo | Phase::Attending(_) => "up",
            Phase::Lingering { .. } | Phase::Ending { .. } => "ending",
        }
    }

    pub(super) fn name_of(&self, endpoint: EndpointId) -> &str {
        &self.setup.endpoint(endpoint).name
    }

    pub(super) fn metrics_of<'a>(
        &self,
        ctx: &'a mut Context,
        endpoint: EndpointId,
    ) -> &'a EndpointMetrics {
        ctx.load.metrics(self.name_of(endpoint), &ctx.metrics)
    }

    /// The call's line in the log, when it is over.
    pub fn log_end(&self, now: Instant) {
        let Phase::Ending { end, .. } = &self.phase else {
            return;
        };
        let up = self
            .caller
            .answered
            .map(|answered| end.at.saturating_duration_since(answered).as_secs_f64());
        let answered = self.callees.iter().find(|leg| leg.answered.is_some());
        let joined = end.with.and_then(|no| self.leg(no));
        let callee = joined.or(answered).or(self.callees.last());
        tracing::info!(
            call = self.id,
            from = self.name_of(self.caller.endpoint),
            source = %self.facts.source,
            identified = self.facts.identified,
            caller = self.facts.caller,
            called = self.facts.called,
            context = self.facts.context,
            steps = self.steps.join(" "),
            to = callee.map(|leg| self.name_of(leg.endpoint)),
            ended_by = end.by.name(),
            cause = end.cause.0,
            why = end.why,
            age_s = now.saturating_duration_since(self.caller.began).as_secs_f64(),
            up_s = up,
            caller_media = media_text(&self.caller),
            callee_media = callee.map(media_text),
            "call ended"
        );
    }
}

pub(super) fn media_row(media: &LegMedia) -> MediaRow {
    let codecs = media.formats().iter();
    let mut codecs = codecs.filter_map(|format| match format.payload {
        Payload::Codec(codec) => Some(codec.name().to_owned()),
        _ => None,
    });
    let report = &media.reported;
    MediaRow {
        codec: codecs.next(),
        source: media.latched.map(|source| source.to_string()),
        packets_in: report.packets_in,
        packets_out: report.packets_out,
        lost_in: report.lost_in,
        lost_out: report.lost_out,
        jitter_ms: f64::from(report.jitter_us) / 1_000.0,
        round_trip_ms: report.round_trip_ms,
        mos: report.mos,
    }
}

/// A leg's final counts in a few words.
fn media_text(leg: &Leg) -> String {
    match &leg.media {
        MediaState::Closed(report) => {
            let heard = format!(
                "in {} lost {} jitter {:.1}ms out {} strangers {}",
                report.packets_in,
                report.lost_in,
                f64::from(report.jitter_us) / 1_000.0,
                report.packets_out,
                report.strangers
            );
            let known = [
                text_if(report.unauthentic, "unauthentic"),
                text_if(report.not_agreed, "not_agreed"),
                report.mos.map(|mos| format!(" mos {mos:.1}")),
                report
                    .round_trip_ms
                    .map(|ms| format!(" round_trip_ms {ms}")),
                report.lost_out.map(|lost| format!(" lost_out {lost}")),
            ];
            known
                .into_iter()
                .flatten()
                .fold(heard, |text, more| text + &more)
        }
        _ => String::from("none"),
    }
}

/// A count that is told where it is not 0.
fn text_if(count: u64, name: &str) -> Option<String> {
    (count > 0).then(|| format!(" {name} {count}"))
}

impl Leg {
    /// Counts the leg's beginning.
    pub(super) fn count_begin(&self, ctx: &mut Context, setup: &Setup) {
        let name = &setup.endpoint(self.endpoint).name;
        ctx.load
            .metrics(name, &ctx.metrics)
            .call_started(self.direction);
    }

    /// Counts the leg's end, once: its endpoint has a call less from now on. `failed` is the status or cause of a leg
    /// that was not answered; None for a leg that was cancelled.
    pub(super) fn count_end(
        &mut self,
        ctx: &mut Context,
        setup: &Setup,
        now: Instant,
        failed: Option<u16>,
    ) {
        if std::mem::replace(&mut self.is_counted, true) {
            return;
        }
        let name = &setup.endpoint(self.endpoint).name;
        ctx.load.release(name);
        let metrics = ctx.load.metrics(name, &ctx.metrics);
        let result = match (self.answered, failed) {
            (Some(answered), _) => {
                metrics.duration(now.saturating_duration_since(answered));
                CallResult::Answered
            }
            (None, Some(status)) => result_of(status),
            (None, None) => CallResult::Cancelled,
        };
        metrics.call_ended(self.direction, result);
    }
}

fn result_of(status: u16) -> CallResult {
    match status {
        486 | 600 => CallResult::Busy,
        408 | 480 => CallResult::NoAnswer,
        401 | 403 | 404 | 407 | 603 => CallResult::Rejected,
        _ => CallResult::Failed,
    }
}
