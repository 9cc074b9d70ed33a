//! The operations page, plain HTTP: `/metrics` (OpenMetrics text), `/livez`, `/readyz`.
//!
//! On a thread of its own, from before recovery on, at a loopback address: the machine's own agent reads it. It shows no
//! key, name or order. Few may ask at once, and each has little time: nobody who asks takes from the exchange what it
//! needs, as open files.

use crate::exit::Failure;
use crate::metrics::Readings;
use crate::pipeline::spawn;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener as AsyncListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use xq_protocol::Seq;

/// The content type that Prometheus asks for.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How many may ask at once; others wait until one has its answer.
const ASKING_MAX: usize = 16;
/// How long a question and its answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked whether commands become durable.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The page, as long as the process runs.
pub struct Page {
    address: SocketAddr,
    shown: Arc<Shown>,
}

struct Shown {
    readings: OnceLock<Readings>,
    /// A Tick is a command, too: with none durable for so long, the disk stands still, or a thread does.
    still_after: Duration,
    /// The last durable command that was seen, and when it was new.
    progress: Mutex<(Seq, Instant)>,
}

impl Page {
    /// Takes the address and answers from now on: alive, and not ready.
    ///
    /// # Errors
    /// [`Failure::CannotCreate`], naming the address.
    pub fn open(listen: SocketAddr, tick_interval: Duration) -> Result<Page, Failure> {
        let cannot = |source| Failure::CannotCreate {
            what: format!("`metrics.listen` = \"{listen}\""),
            source,
        };
        let listener = TcpListener::bind(listen).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(cannot)?;
        let shown = Arc::new(Shown {
            readings: OnceLock::new(),
            still_after: Duration::from_secs(2).max(3 * tick_interval),
            progress: Mutex::new((Seq::ZERO, Instant::now())),
        });
        let serving = Arc::clone(&shown);
        spawn("page", None, move || runtime.block_on(serve(listener, serving)))?;
        Ok(Page { address, shown })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it shows this exchange, which has recovered.
    pub fn show(&self, readings: Readings) {
        self.shown.look(&readings);
        // It is shown once: an exchange recovers once in its process.
        let _ = self.shown.readings.set(readings);
    }
}

async fn serve(listener: TcpListener, shown: Arc<Shown>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .with_state(Arc::clone(&shown));
    match AsyncListener::from_std(listener) {
        Ok(listener) => {
            tokio::join!(look_now_and_then(&shown), answer(&listener, &router));
        }
        Err(error) => tracing::error!(%error, "the operations page has ended"),
    }
}

async fn look_now_and_then(shown: &Shown) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(readings) = shown.readings.get() {
            shown.look(readings);
        }
    }
}

pub(crate) async fn answer(listener: &AsyncListener, router: &Router) {
    let places = Arc::new(Semaphore::new(ASKING_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            // Most likely this process has as many files open as it may; others need them more.
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut asking = http1::Builder::new();
            let asking = asking
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever broke off, or took too long, has no answer.
            let _ = timeout(ANSWER_WITHIN, asking).await;
            drop(place);
        });
    }
}

async fn metrics(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    let mut registry = Registry::default();
    if let Some(readings) = shown.readings.get() {
        registry.register_collector(Box::new(readings.clone()));
    }
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            format!("{error}\n"),
        ),
    }
}

async fn ready(State(shown): State<Arc<Shown>>) -> impl IntoResponse {
    let checks = shown.checks();
    let mut text = String::new();
    for (what, holds) in checks {
        let word = if holds { "yes" } else { "no" };
        writeln!(text, "{what}: {word}").expect("writing to a string does not fail");
    }
    let all = checks.iter().all(|(_, holds)| *holds);
    let code = if all {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, text)
}

impl Shown {
    /// Takes note of how far commands are durable.
    fn look(&self, readings: &Readings) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let durable = readings.durable.seq();
        if durable != progress.0 {
            *progress = (durable, Instant::now());
        }
    }

    /// What must hold for orders to be taken and to become durable.
    fn checks(&self) -> [(&'static str, bool); 4] {
        let readings = self.readings.get();
        let (_, since) = *self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = |check: &dyn Fn(&Readings) -> bool| readings.is_some_and(check);
        [
            ("recovered", readings.is_some()),
            ("durable", holds(&|_| since.elapsed() < self.still_after)),
            (
                "open",
                holds(&|readings| !readings.gauges.stopping.load(Ordering::Acquire)),
            ),
            (
                "room on the disk",
                holds(&|readings| !readings.gauges.disk_is_low.load(Ordering::Relaxed)),
            ),
        ]
    }
}
