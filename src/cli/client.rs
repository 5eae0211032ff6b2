//! The HTTP client that speaks to the running gateway.

use super::{Failure, Gateway};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Request, Response, StatusCode};
use ureq::{Body, SendBody};

/// The environment variable with the token of `[admin]`. Not an argument: those show in the list of processes.
const TOKEN_VARIABLE: &str = "RINGWAY_ADMIN_TOKEN";
/// For the whole exchange; a reload of a large configuration takes the longest.
const TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of an answer: ten thousand calls take a few megabytes.
const ANSWER_MAX: u64 = 256 << 20;

impl Gateway {
    /// Asks for rows.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let (_, value) = self.exchange("GET", path, &[StatusCode::OK])?;
        serde_json::from_value(value).map_err(|error| {
            self.failure(format!(
                "its answer is not understood ({error}); is it of another version?"
            ))
        })
    }

    /// Sends a request, and gives back the status, one of those `wanted`, and the JSON of the answer.
    pub fn exchange(
        &self,
        method: &str,
        path: &str,
        wanted: &[StatusCode],
    ) -> Result<(StatusCode, Value), Failure> {
        let base = self.admin.trim_end_matches('/');
        if !base.starts_with("http://") {
            return Err(Failure::new(format!(
                "--admin {base}: accepted: http://HOST:PORT"
            )));
        }
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"));
        if let Ok(token) = std::env::var(TOKEN_VARIABLE) {
            request = request.header("Authorization", format!("Bearer {}", token.trim()));
        }
        let request = request.body(SendBody::none()).map_err(|error| {
            Failure::new(format!(
                "--admin {base}: {error}; accepted: http://HOST:PORT"
            ))
        })?;
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(TIME_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            // The gateway is near; a proxy of the environment is for the world outside.
            .proxy(None)
            .build()
            .into();
        let response = agent
            .run(request)
            .map_err(|error| self.unreachable(&error))?;
        self.judge(response, wanted)
    }

    fn judge(
        &self,
        mut response: Response<Body>,
        wanted: &[StatusCode],
    ) -> Result<(StatusCode, Value), Failure> {
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_MAX)
            .read_to_string()
            .map_err(|error| self.failure(format!("its answer broke off: {error}")))?;
        if status == StatusCode::UNAUTHORIZED {
            let message = format!("it needs the token of [admin]: set {TOKEN_VARIABLE}");
            return Err(self.failure(message));
        }
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if wanted.contains(&status) {
            return Ok((status, value));
        }
        let said = value
            .get("error")
            .and_then(Value::as_str)
            .unwrap_or("no reason given");
        Err(self.failure(format!("{said} (HTTP {})", status.as_u16())))
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        Failure::new(format!(
            "no gateway answers at {}: {error}; start one with `ringway run`, or name its address with --admin URL",
            self.admin
        ))
    }

    fn failure(&self, message: impl std::fmt::Display) -> Failure {
        Failure::new(format!("the gateway at {}: {message}", self.admin))
    }
}

/// A text as one segment of a path (RFC 3986 §3.3): all but unreserved characters escaped.
pub fn segment(text: &str) -> String {
    use std::fmt::Write;
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_escaped() {
        assert_eq!(segment("c-17.~_"), "c-17.~_");
        assert_eq!(segment("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
    }
}
