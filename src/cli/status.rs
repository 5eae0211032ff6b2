//! `ringway status`.

use super::output::print;
use super::show::{duration, workers};
use super::{Failure, Gateway};
use crate::link::query::StatusRow;
use serde_json::Value;

/// One screen, or the JSON that the gateway gave.
pub fn status(gateway: &Gateway, json: bool) -> Result<(), Failure> {
    if json {
        let row: Value = gateway.get("/api/v1/status")?;
        print(&format!("{row:#}\n"));
    } else {
        print(&screen(gateway.get("/api/v1/status")?));
    }
    Ok(())
}

fn screen(row: StatusRow) -> String {
    let configuration = if row.config_ok {
        "read"
    } else {
        "LAST RELOAD FAILED, the one in use was read"
    };
    let (in_use, resting, total) = row.rtp_pairs;
    format!(
        "ringway {}  {}, up {}\n\
         configuration  {configuration} {} ago\n\
         calls          {} now, {} since the start\n\
         registrations  {} of {}\n\
         contacts       {}\n\
         transactions   {}\n\
         rejected       {}\n\
         rtp pairs      {in_use} in calls, {resting} resting, {total} in all\n\
         rtp dropped    {}\n\
         recordings     {}\n\
         \n{}",
        row.version,
        row.state,
        duration(row.uptime_s),
        duration(row.config_loaded_s_ago),
        row.calls_active,
        row.calls_total,
        row.registrations.0,
        row.registrations.1,
        row.contacts,
        row.transactions,
        counts(&row.rejected),
        counts(&row.rtp_dropped),
        recordings(row.recordings_lost),
        workers(row.workers),
    )
}

fn recordings((failed, blocks): (u64, u64)) -> String {
    match (failed, blocks) {
        (0, 0) => "none failed".into(),
        (failed, 0) => format!("{failed} failed"),
        (failed, blocks) => {
            let seconds = blocks as f64 / 100.0;
            format!("{failed} failed, {seconds:.2} s missing since the disk was too slow")
        }
    }
}

/// Those that are not 0.
fn counts(all: &[(String, u64)]) -> String {
    let some: Vec<String> = all
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| format!("{reason} {n}"))
        .collect();
    if some.is_empty() {
        "none".into()
    } else {
        some.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_screen() {
        let row = StatusRow {
            version: "0.1.0".into(),
            state: "serving".into(),
            uptime_s: 3661,
            calls_active: 2,
            calls_total: 120,
            registrations: (1, 2),
            contacts: 7,
            transactions: 5,
            rtp_pairs: (4, 2, 500),
            rejected: vec![("acl".into(), 3), ("auth".into(), 0), ("rate".into(), 1)],
            rtp_dropped: vec![("malformed".into(), 0)],
            recordings_lost: (3, 250),
            workers: vec![],
            config_loaded_s_ago: 61,
            config_ok: false,
        };
        assert_eq!(
            screen(row),
            "ringway 0.1.0  serving, up 1:01:01\n\
             configuration  LAST RELOAD FAILED, the one in use was read 1:01 ago\n\
             calls          2 now, 120 since the start\n\
             registrations  1 of 2\n\
             contacts       7\n\
             transactions   5\n\
             rejected       acl 3, rate 1\n\
             rtp pairs      4 in calls, 2 resting, 500 in all\n\
             rtp dropped    none\n\
             recordings     3 failed, 2.50 s missing since the disk was too slow\n\
             \n\
             WORKER  CORE  PORTS  LEGS  IN  OUT  DROPPED  BUSY  P50  P99  P99.9\n"
        );
    }
}
