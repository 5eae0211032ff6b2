//! What can be asked of the running gateway, and what it answers.

use crate::metrics::Format;
use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminRequest {
    /// `GET /metrics`
    Metrics(Format),
    /// `GET /readyz`: whether it serves.
    Readiness,
    /// `GET /api/v1/status`
    Status,
    /// `GET /api/v1/calls`
    Calls,
    /// `GET /api/v1/calls/ID`
    Call {
        /// ID
        id: String,
    },
    /// `GET /api/v1/rooms`
    Rooms,
    /// `GET /api/v1/endpoints`
    Endpoints,
    /// `GET /api/v1/contacts`
    Contacts,
    /// `GET /api/v1/registrations`
    Registrations,
    /// `GET /api/v1/bans`
    Bans,
    /// `DELETE /api/v1/bans/ADDRESS`
    Unban {
        /// ADDRESS
        address: String,
    },
    /// `GET /api/v1/strangers`
    Strangers,
    /// `GET /api/v1/workers`
    Workers,
    /// `GET /api/v1/transports`
    Transports,
    /// `GET /api/v1/dialplan`
    Dialplan {
        /// `?context=NAME`: only this one.
        context: Option<String>,
    },
    /// `POST /api/v1/reload`
    Reload,
    /// `POST /api/v1/drain`
    Drain,
    /// `DELETE /api/v1/calls/ID`
    Hangup {
        /// ID
        id: String,
    },
}

/// A request on its way to the control thread, with the way back.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: AdminRequest,
    /// Where the answer goes. Nobody may be waiting any more.
    pub answer: oneshot::Sender<AdminResponse>,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub enum AdminResponse {
    /// JSON, with this status.
    Json(StatusCode, Value),
    /// `/metrics`.
    Metrics(Format, String),
}

impl AdminResponse {
    /// 200 with this value.
    pub fn ok(value: impl Serialize) -> AdminResponse {
        AdminResponse::with(StatusCode::OK, value)
    }

    /// This status with this value.
    pub fn with(status: StatusCode, value: impl Serialize) -> AdminResponse {
        match serde_json::to_value(value) {
            Ok(value) => AdminResponse::Json(status, value),
            Err(error) => AdminResponse::error(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    /// This status with `{"error": …}`.
    pub fn error(status: StatusCode, message: impl std::fmt::Display) -> AdminResponse {
        AdminResponse::Json(status, json!({ "error": message.to_string() }))
    }
}

impl IntoResponse for AdminResponse {
    fn into_response(self) -> Response {
        match self {
            AdminResponse::Json(status, value) => (status, Json(value)).into_response(),
            AdminResponse::Metrics(format, text) => {
                ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
            }
        }
    }
}
