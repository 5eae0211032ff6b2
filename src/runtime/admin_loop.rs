//! The admin address: connections and their limits. What a request means is `admin`'s.

use crate::admin::{AdminResponse, Asked, Guard, router};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tower_service::Service;

/// Most connections at once; a further one waits in the kernel's backlog until one ends.
const CONNECTIONS_MAX: usize = 64;
/// Most requests that wait for the control thread; a further one is answered 503.
pub const REQUESTS_MAX: usize = 64;
/// For a request's head, and between two requests of one connection.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);
/// For the control thread to answer. A reload may resolve environment and files, so seconds rather than less.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// For a whole connection: a client that reads its answer a byte a minute ends here.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(3600);
/// Bytes of a request's head.
const HEAD_MAX: usize = 16 * 1024;

/// Serves until the sender of `stop` says so or is gone. Requests go to `control`. Answers on their way are still
/// written then; each connection holds a `stop` until it ends.
pub async fn serve(
    listener: TcpListener,
    guard: Guard,
    control: mpsc::Sender<Asked>,
    mut stop: watch::Receiver<()>,
) {
    let app = router(guard, control);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = connection(stream, app.clone(), stop.clone());
                // A panic ends this task alone.
                tokio::spawn(async move {
                    let _ = timeout(CONNECTION_TIME_MAX, serving).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "admin connection not taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, app: Router, mut stop: watch::Receiver<()>) {
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        answer(app.clone(), request.map(Body::new))
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_MAX);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        _ = stop.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin connection ended");
    }
}

async fn answer(mut app: Router, request: Request<Body>) -> Result<Response, Infallible> {
    match timeout(ANSWER_TIME_MAX, app.call(request)).await {
        Ok(response) => response,
        Err(_) => {
            let late = AdminResponse::error(StatusCode::GATEWAY_TIMEOUT, "no answer in time");
            Ok(late.into_response())
        }
    }
}
