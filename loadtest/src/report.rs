//! What a load test prints of what it counted, and when it has failed.

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

/// Packets and their latency, as the generator saw them.
pub fn media_rows(result: &MediaResult) -> String {
    let [p50, p99, p999, highest] = result.latency_us;
    format!(
        "RTP packets                     sent {}   received {}   lost {}   wrong {}   ({:.0}/s)\n\
         latency (generator to generator) p50 {p50:.0} us   p99 {p99:.0} us   p99.9 {p999:.0} us   max {highest:.0} us",
        result.sent,
        result.received,
        result.lost,
        result.rubbish + result.wrong_source + result.broken_sequence + result.send_failed,
        result.rate,
    )
}

/// An error if a call failed, a packet was lost or wrong, or anything is left over.
pub fn judge(
    sipp: &SippResult,
    media: Option<&MediaResult>,
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
    if let Some(media) = media
        && (media.loss() > 0.0 || media.sent == 0)
    {
        bail!("RTP was lost or wrong: {media:?}");
    }
    if leftovers != "0 calls, 0 transactions, 0 port pairs" {
        bail!("left over: {leftovers}");
    }
    Ok(())
}
