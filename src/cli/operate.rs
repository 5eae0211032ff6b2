//! `ringway reload`, `hangup`, `unban`, `drain`: what changes the running gateway.

use super::client::segment;
use super::{Failure, Gateway, output};
use serde_json::Value;
use ureq::http::StatusCode;

/// Prints what changed, or what `check` would print.
pub fn reload(gateway: &Gateway) -> Result<(), Failure> {
    let wanted = [StatusCode::OK, StatusCode::UNPROCESSABLE_ENTITY];
    let (status, answer) = gateway.exchange("POST", "/api/v1/reload", &wanted)?;
    if status != StatusCode::OK {
        let said = answer
            .get("error")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let mut lines = vec![format!("not reloaded: {said}")];
        lines.extend(texts(&answer, "diagnostics").map(String::from));
        return Err(Failure::new(lines.join("\n")));
    }
    for warning in texts(&answer, "warnings") {
        output::error(warning);
    }
    let mut text = String::new();
    for line in texts(&answer, "changed") {
        text.push_str(&format!("{line}\n"));
    }
    for line in texts(&answer, "needs_restart") {
        text.push_str(&format!("{line} (after a restart)\n"));
    }
    if text.is_empty() {
        text.push_str("nothing changed\n");
    }
    output::print(&text);
    Ok(())
}

fn texts<'a>(answer: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    answer
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Ends a call.
pub fn hangup(gateway: &Gateway, call_id: &str) -> Result<(), Failure> {
    let path = format!("/api/v1/calls/{}", segment(call_id));
    gateway.exchange("DELETE", &path, &[StatusCode::OK])?;
    output::print(&format!("{call_id} hung up\n"));
    Ok(())
}

/// Lifts the bans of an address.
pub fn unban(gateway: &Gateway, address: &str) -> Result<(), Failure> {
    let path = format!("/api/v1/bans/{}", segment(address));
    let (_, answer) = gateway.exchange("DELETE", &path, &[StatusCode::OK])?;
    let what = match answer.get("lifted").and_then(Value::as_bool) {
        Some(true) => "is heard again",
        _ => "was not banned",
    };
    output::print(&format!("{address} {what}\n"));
    Ok(())
}

/// Lets it end with its last call.
pub fn drain(gateway: &Gateway) -> Result<(), Failure> {
    gateway.exchange("POST", "/api/v1/drain", &[StatusCode::ACCEPTED])?;
    output::print("draining: no new calls, the gateway ends with the last one\n");
    Ok(())
}
