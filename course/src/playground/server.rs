//! The server: a page, and the few addresses that its script asks.
//!
//! | | |
//! |---|---|
//! | `GET /` | the page |
//! | `GET /about` | what the page needs to know: the layers' colours, the kernels' names, a sentence |
//! | `POST /digit` | 28 x 28 bytes in, probabilities and feature maps out |
//! | `POST /filter?kernel=sobel_x` | a PNG or JPEG in, a PNG out |
//!
//! What it refuses it answers with a line of plain text: 400 for what cannot be read, 403 for a request
//! under another name than this machine's own, 404 and 405 for other addresses, 408 for a body that does
//! not come, 413 for what is too large, 503 when too much is asked at once.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cnn_pictures::{Palette, filter};
use cnn_runtime::Model;
use cnn_runtime::inspect::Inspector;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::filter::Refused;
use super::network::{Digits, PIXELS, look};

const PAGE: &str = include_str!("page.html");

/// Most bytes of an uploaded image.
pub const MAX_UPLOAD: usize = 8 << 20;

/// Most bytes of a drawing. A digit has 784; what is a little too long is malformed rather than large.
pub const MAX_DRAWING: usize = 4096;

/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Filters at work or waiting; beyond these an upload is told to come back.
const FILTERS: usize = 4;

/// A running server on this machine. It stops when dropped.
pub struct Playground {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Playground {
    /// Serves `model`, with a sentence `about` it, at a port of the loopback address; 0 takes a free one.
    ///
    /// # Errors
    /// If the port is taken, or threads cannot be started.
    pub fn start(model: &Model<Digits>, about: &str, port: u16) -> io::Result<Self> {
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
        let address = listener.local_addr()?;
        let app = router(Arc::new(Shared::new(model, about)));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("playground".to_owned()).spawn(move || {
            runtime.block_on(async {
                // Not gracefully: an open connection would keep it alive.
                tokio::select! {
                    served = async { axum::serve(listener, app).await } => {
                        if let Err(error) = served {
                            eprintln!("the playground stopped: {error}");
                        }
                    }
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is found.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the program is ended.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What requests share.
struct Shared {
    about: String,
    /// One for each core: whoever asks takes one and puts it back.
    inspectors: Mutex<Vec<Inspector<Digits>>>,
    looking: Arc<Semaphore>,
    filtering: Arc<Semaphore>,
    uploads: Semaphore,
}

impl Shared {
    fn new(model: &Model<Digits>, about: &str) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let palette: Vec<u8> =
            (0..=255).flat_map(|byte| Palette::Viridis.of_byte(byte).0).collect();
        let kernels = filter::NAMED.map(|(name, _)| name);
        let about = json!({
            "about": about,
            "kernels": kernels,
            "palette": STANDARD.encode(palette),
        });
        Self {
            about: about.to_string(),
            inspectors: Mutex::new((0..cores).map(|_| Inspector::new(model)).collect()),
            looking: Arc::new(Semaphore::new(cores)),
            filtering: Arc::new(Semaphore::new(1)),
            uploads: Semaphore::new(FILTERS),
        }
    }
}

type Shares = State<Arc<Shared>>;

/// A status and a line of plain text.
type Refusal = (StatusCode, String);

fn refuse(status: StatusCode, why: impl Into<String>) -> Refusal {
    (status, why.into() + "\n")
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|| async { page() }))
        .route("/about", get(about))
        .route("/digit", post(digit).layer(DefaultBodyLimit::max(MAX_DRAWING)))
        .route("/filter", post(filter_image).layer(DefaultBodyLimit::max(MAX_UPLOAD)))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "there is nothing at this address") })
        .method_not_allowed_fallback(|| async {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method")
        })
        .layer(from_fn(own_name_only))
        .with_state(shared)
}

fn page() -> Response {
    // The browser itself makes sure that nothing comes from elsewhere.
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                  img-src 'self' blob: data:; connect-src 'self'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE)).into_response()
}

/// Pages of the web must not reach the server through a name of theirs that points to this machine.
async fn own_name_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let name = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _)| name));
    if matches!(name, Some("localhost" | "127.0.0.1")) {
        return next.run(request).await;
    }
    refuse(StatusCode::FORBIDDEN, "ask for localhost or 127.0.0.1").into_response()
}

async fn about(State(shared): Shares) -> Response {
    json_response(shared.about.clone())
}

fn json_response(json: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

/// The body, if it comes in time and is not too large.
async fn body(request: Request, limit: usize) -> Result<Bytes, Refusal> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // Before any of it comes.
    if length.is_some_and(|length| length > limit as u64) {
        return Err(refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("{limit} bytes are the most that this address takes"),
        ));
    }
    match timeout(PATIENCE, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(rejection)) => Err(refuse(rejection.status(), rejection.body_text())),
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

async fn digit(State(shared): Shares, request: Request) -> Result<Response, Refusal> {
    let drawing = body(request, MAX_DRAWING).await?;
    if drawing.len() != PIXELS {
        return Err(refuse(
            StatusCode::BAD_REQUEST,
            format!("a digit has {PIXELS} bytes, 28 x 28 pixels, and {} came", drawing.len()),
        ));
    }
    let turn = Arc::clone(&shared.looking).acquire_owned().await.map_err(|_| failed())?;
    let seen = spawn_blocking(move || {
        // Given back when the work is done, even if whoever asked is gone by then.
        let _turn = turn;
        let inspectors = || shared.inspectors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inspector = inspectors().pop()?;
        let seen = look(&mut inspector, &drawing);
        inspectors().push(inspector);
        seen.ok()
    });
    let seen = seen.await.ok().flatten().ok_or_else(failed)?;
    Ok(json_response(seen.to_string()))
}

async fn filter_image(
    State(shared): Shares,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Result<Response, Refusal> {
    let busy = || refuse(StatusCode::SERVICE_UNAVAILABLE, "too many images at once");
    let _upload = shared.uploads.try_acquire().map_err(|_| busy())?;
    let kernel = query.get("kernel").cloned().ok_or_else(|| {
        refuse(StatusCode::BAD_REQUEST, "say which filter: /filter?kernel=sobel_x")
    })?;
    let image = body(request, MAX_UPLOAD).await?;
    // One at a time, so that who draws need not wait for who filters.
    let turn = Arc::clone(&shared.filtering).acquire_owned().await.map_err(|_| failed())?;
    let filtered = spawn_blocking(move || {
        let _turn = turn;
        super::filter::run(&image, &kernel)
    })
    .await;
    match filtered.map_err(|_| failed())? {
        Ok(png) => Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response()),
        Err(Refused::Bad(why)) => Err(refuse(StatusCode::BAD_REQUEST, why)),
        Err(Refused::TooLarge(why)) => Err(refuse(StatusCode::PAYLOAD_TOO_LARGE, why)),
    }
}

fn failed() -> Refusal {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "this went wrong here, not with you")
}
