//! What a load test prints of what it counted, and when it has failed.

use crate::hearing::Judgement;
use crate::ledger::MediaResult;
use crate::sipp::SippResult;
use anyhow::{Result, bail};

/// Calls and their set-up time.
pub fn signalling_rows(sipp: &SippResult) -> String {
    format!(
        "calls                           offered {}   answered and ended {}   failed {}\n\
         call set-up (INVITE to 200)     p50 {:.0} ms   p99 {:.0} ms",
        sipp.offered,
        sipp.successful,
        sipp.failed,
        sipp.setup_quantile(0.5),
        sipp.setup_quantile(0.99),
    )
}

/// Packets, as the generator saw them.
pub fn media_row(result: &MediaResult) -> String {
    format!(
        "RTP packets                     sent {}   received {}   lost {}   wrong {}   ({:.0}/s)",
        result.sent,
        result.received,
        result.lost,
        result.wrong(),
        result.rate,
    )
}

/// The latency of packets that say when they were sent.
pub fn latency_row(result: &MediaResult) -> String {
    let [p50, p99, p999, highest] = result.latency_us;
    format!(
        "latency (generator to generator) p50 {p50:.0} us   p99 {p99:.0} us   p99.9 {p999:.0} us   max {highest:.0} us"
    )
}

/// What the ears of the generator heard, and how long after it was said.
pub fn audio_rows(audio: &Judgement) -> String {
    let (p50, p99, highest) = (
        audio.latency_ms(0.5),
        audio.latency_ms(0.99),
        audio.latency_ms(1.0),
    );
    format!(
        "audio                           {}\n\
         latency of the audio            p50 {p50:.1} ms   p99 {p99:.1} ms   max {highest:.1} ms",
        audio_words(audio),
    )
}

/// The same in a few words.
pub fn audio_words(audio: &Judgement) -> String {
    format!(
        "{} s compared, {} s bad, correlation {:.3} (least {:.3}), level {:+.2} dB, {:.1} ms late",
        audio.pieces(),
        audio.bad(),
        audio.correlation(0.5),
        audio.correlation(0.0),
        audio.level_db(0.5),
        audio.latency_ms(0.5),
    )
}

/// An error if a call failed, more than this part of the packets was lost or wrong, or anything is left over.
pub fn judge(
    sipp: &SippResult,
    media: Option<(&MediaResult, f64)>,
    calls: u32,
    leftovers: &str,
) -> Result<()> {
    if sipp.successful != u64::from(calls) || sipp.failed != 0 {
        bail!(
            "{} of {calls} calls went well, {} failed; SIPp says: {}",
            sipp.successful,
            sipp.failed,
            sipp.errors
        );
    }
    if let Some((media, loss_max)) = media
        && (media.loss() > loss_max || media.sent == 0)
    {
        bail!("RTP was lost or wrong: {media:?}");
    }
    if leftovers != "0 calls, 0 transactions, 0 port pairs" {
        bail!("left over: {leftovers}");
    }
    Ok(())
}

/// An error if what was heard is not what was said.
pub fn judge_audio(audio: &Judgement) -> Result<()> {
    if !audio.is_good() {
        bail!("the audio is not what was said: {}", audio_words(audio));
    }
    Ok(())
}

/// Median, and minimum to maximum.
pub fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return "no rounds".to_owned();
    };
    format!(
        "{:.3}  ({first:.3} to {last:.3}, {} rounds)",
        sorted[sorted.len() / 2],
        sorted.len()
    )
}
