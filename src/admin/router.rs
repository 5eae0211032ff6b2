//! Paths and methods: which request each is.

use super::guard::{Guard, Refusal};
use super::request::{AdminRequest, AdminResponse, Asked};
use crate::metrics::Format;
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot};

/// The way to the control thread.
type Control = mpsc::Sender<Asked>;

/// The whole interface. A full `control` queue answers 503.
pub fn router(guard: Guard, control: Control) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "alive\n"))
        .route(
            "/readyz",
            get(async |control| ask(control, AdminRequest::Readiness).await),
        )
        .route(
            "/api/v1/status",
            get(async |control| ask(control, AdminRequest::Status).await),
        )
        .route(
            "/api/v1/calls",
            get(async |control| ask(control, AdminRequest::Calls).await),
        )
        .route("/api/v1/calls/{id}", get(call).delete(hangup))
        .route(
            "/api/v1/rooms",
            get(async |control| ask(control, AdminRequest::Rooms).await),
        )
        .route(
            "/api/v1/endpoints",
            get(async |control| ask(control, AdminRequest::Endpoints).await),
        )
        .route(
            "/api/v1/contacts",
            get(async |control| ask(control, AdminRequest::Contacts).await),
        )
        .route(
            "/api/v1/registrations",
            get(async |control| ask(control, AdminRequest::Registrations).await),
        )
        .route(
            "/api/v1/bans",
            get(async |control| ask(control, AdminRequest::Bans).await),
        )
        .route("/api/v1/bans/{address}", delete(unban))
        .route(
            "/api/v1/strangers",
            get(async |control| ask(control, AdminRequest::Strangers).await),
        )
        .route(
            "/api/v1/workers",
            get(async |control| ask(control, AdminRequest::Workers).await),
        )
        .route(
            "/api/v1/transports",
            get(async |control| ask(control, AdminRequest::Transports).await),
        )
        .route("/api/v1/dialplan", get(dialplan))
        .route(
            "/api/v1/reload",
            post(async |control| ask(control, AdminRequest::Reload).await),
        )
        .route(
            "/api/v1/drain",
            post(async |control| ask(control, AdminRequest::Drain).await),
        )
        .fallback(async || AdminResponse::error(StatusCode::NOT_FOUND, "no such path"))
        .method_not_allowed_fallback(async || {
            AdminResponse::error(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path has other methods, see Allow",
            )
        })
        .layer(middleware::from_fn_with_state(guard, check))
        .with_state(control)
}

async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Err(refusal) = guard.check(request.uri().path(), request.headers()) else {
        return next.run(request).await;
    };
    let mut response = AdminResponse::error(refusal.status(), refusal).into_response();
    if refusal == Refusal::Unauthorized {
        // RFC 6750 §3.
        let challenge = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

async fn ask(State(control): State<Control>, request: AdminRequest) -> AdminResponse {
    let (answer, answered) = oneshot::channel();
    if control.try_send(Asked { request, answer }).is_err() {
        return AdminResponse::error(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once");
    }
    answered.await.unwrap_or_else(|_| {
        AdminResponse::error(StatusCode::SERVICE_UNAVAILABLE, "the gateway is stopping")
    })
}

async fn metrics(control: State<Control>, headers: HeaderMap) -> AdminResponse {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    ask(control, AdminRequest::Metrics(Format::negotiate(accept))).await
}

async fn call(control: State<Control>, Path(id): Path<String>) -> AdminResponse {
    ask(control, AdminRequest::Call { id }).await
}

async fn hangup(control: State<Control>, Path(id): Path<String>) -> AdminResponse {
    ask(control, AdminRequest::Hangup { id }).await
}

async fn unban(control: State<Control>, Path(address): Path<String>) -> AdminResponse {
    ask(control, AdminRequest::Unban { address }).await
}

#[derive(Deserialize)]
struct DialplanQuery {
    context: Option<String>,
}

async fn dialplan(control: State<Control>, Query(query): Query<DialplanQuery>) -> AdminResponse {
    ask(
        control,
        AdminRequest::Dialplan {
            context: query.context,
        },
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Admin;
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    /// Sends one request through the router to a control that answers with what it was asked.
    async fn exchange(
        method: &str,
        path: &str,
        accept: Option<&str>,
    ) -> (StatusCode, HeaderMap, String) {
        let guard = Guard::new(&Admin {
            listen: ([127, 0, 0, 1], 8088).into(),
            token: None,
        });
        let (control, mut asked) = mpsc::channel::<Asked>(1);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost:8088");
        if let Some(accept) = accept {
            request = request.header(header::ACCEPT, accept);
        }
        let request = request.body(Body::empty()).expect("a good request");
        let answering = async {
            if let Some(asked) = asked.recv().await {
                let answer = match asked.request {
                    AdminRequest::Metrics(format) => {
                        AdminResponse::Metrics(format, String::from("m 1\n"))
                    }
                    request => AdminResponse::ok(format!("{request:?}")),
                };
                asked.answer.send(answer).expect("somebody waits");
            }
        };
        let (response, ()) = tokio::join!(router(guard, control).oneshot(request), answering);
        let response = response.expect("a router always answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body(), 4096)
            .await
            .expect("a short body");
        (
            status,
            headers,
            String::from_utf8(body.to_vec()).expect("text"),
        )
    }

    #[tokio::test]
    async fn each_path_asks_for_its_own() {
        for (method, path, wanted) in [
            ("GET", "/readyz", "Readiness"),
            ("GET", "/api/v1/status", "Status"),
            ("GET", "/api/v1/calls", "Calls"),
            ("GET", "/api/v1/calls/c-17", "Call { id: \\\"c-17\\\" }"),
            ("GET", "/api/v1/rooms", "Rooms"),
            ("GET", "/api/v1/endpoints", "Endpoints"),
            ("GET", "/api/v1/contacts", "Contacts"),
            ("GET", "/api/v1/registrations", "Registrations"),
            ("GET", "/api/v1/workers", "Workers"),
            ("GET", "/api/v1/transports", "Transports"),
            ("GET", "/api/v1/dialplan", "Dialplan { context: None }"),
            (
                "GET",
                "/api/v1/dialplan?context=a%20b",
                "Dialplan { context: Some(\\\"a b\\\") }",
            ),
            ("POST", "/api/v1/reload", "Reload"),
            ("POST", "/api/v1/drain", "Drain"),
            (
                "DELETE",
                "/api/v1/calls/c-17",
                "Hangup { id: \\\"c-17\\\" }",
            ),
        ] {
            let (status, headers, body) = exchange(method, path, None).await;
            assert_eq!(
                (status, body),
                (StatusCode::OK, format!("\"{wanted}\"")),
                "{method} {path}"
            );
            assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        }
    }

    #[tokio::test]
    async fn metrics_come_in_the_format_that_was_asked_for() {
        let (status, headers, body) = exchange("GET", "/metrics", None).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "m 1\n"));
        assert_eq!(
            headers[header::CONTENT_TYPE],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        let (_, headers, _) =
            exchange("GET", "/metrics", Some("application/openmetrics-text")).await;
        assert_eq!(
            headers[header::CONTENT_TYPE],
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
    }

    #[tokio::test]
    async fn what_is_not_there_says_so_in_json() {
        let (status, _, body) = exchange("GET", "/api/v1/queues", None).await;
        assert_eq!(
            (status, body.as_str()),
            (StatusCode::NOT_FOUND, "{\"error\":\"no such path\"}")
        );
        let (status, headers, body) = exchange("GET", "/api/v1/drain", None).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers[header::ALLOW], "POST");
        assert!(body.starts_with("{\"error\":"), "{body}");
    }

    #[tokio::test]
    async fn liveness_asks_nobody() {
        let (status, _, body) = exchange("GET", "/healthz", None).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, "alive\n"));
    }

    #[tokio::test]
    async fn a_strange_host_reaches_nothing() {
        let guard = Guard::new(&Admin {
            listen: ([127, 0, 0, 1], 8088).into(),
            token: None,
        });
        let (control, mut asked) = mpsc::channel(1);
        let request = Request::builder()
            .uri("/api/v1/calls")
            .header(header::HOST, "evil.example");
        let request = request.body(Body::empty()).expect("a good request");
        let response = router(guard, control)
            .oneshot(request)
            .await
            .expect("an answer");
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
        assert!(asked.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_full_queue_or_a_stopping_gateway_is_503() {
        let guard = Guard::new(&Admin {
            listen: ([127, 0, 0, 1], 8088).into(),
            token: None,
        });
        let (control, asked) = mpsc::channel(1);
        let (answer, _nobody) = oneshot::channel();
        control
            .try_send(Asked {
                request: AdminRequest::Calls,
                answer,
            })
            .expect("room for one");
        let request = || {
            let request = Request::builder()
                .uri("/api/v1/calls")
                .header(header::HOST, "localhost");
            request.body(Body::empty()).expect("a good request")
        };
        let app = router(guard, control);
        let full = app.clone().oneshot(request()).await.expect("an answer");
        assert_eq!(full.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(asked);
        let stopping = app.oneshot(request()).await.expect("an answer");
        assert_eq!(stopping.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
