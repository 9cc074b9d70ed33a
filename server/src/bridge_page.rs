//! The bridge's own operations page, plain HTTP: `/metrics` (OpenMetrics text), `/livez`, `/readyz`.

use crate::exit::Failure;
use crate::metrics::{Writer, value_of};
use crate::page::{OPEN_METRICS, answer};
use crate::pipeline::spawn;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener as AsyncListener;
use xq_settlement_bridge::Progress;

/// A bridge that is further behind is not ready.
const LAG_MAX: Duration = Duration::from_secs(10);

/// The page, as long as the process runs.
pub struct BridgePage {
    address: SocketAddr,
}

impl BridgePage {
    /// Takes the address and answers from now on.
    ///
    /// # Errors
    /// [`Failure::CannotCreate`], naming the address.
    pub fn open(listen: SocketAddr, progress: Arc<Progress>) -> Result<BridgePage, Failure> {
        let cannot = |source| Failure::CannotCreate {
            what: format!("the bridge's page at {listen}"),
            source,
        };
        let listener = TcpListener::bind(listen).map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        listener.set_nonblocking(true).map_err(cannot)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(cannot)?;
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(ready))
            .with_state(progress);
        spawn("page", None, move || {
            runtime.block_on(async {
                match AsyncListener::from_std(listener) {
                    Ok(listener) => answer(&listener, &router).await,
                    Err(error) => tracing::error!(%error, "the bridge's page has ended"),
                }
            });
        })?;
        Ok(BridgePage { address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn metrics(State(progress): State<Arc<Progress>>) -> impl IntoResponse {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Shown(progress)));
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

async fn ready(State(progress): State<Arc<Progress>>) -> impl IntoResponse {
    let reading = progress.read();
    let is_near = reading.lag < LAG_MAX;
    let word = |holds: bool| if holds { "yes" } else { "no" };
    let text = format!(
        "connected: {}\nnear: {}\n",
        word(reading.connected),
        word(is_near)
    );
    let code = match reading.connected && is_near {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, text)
}

#[derive(Debug)]
struct Shown(Arc<Progress>);

impl Collector for Shown {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (mut to, reading) = (Writer(encoder), self.0.read());
        let flag = |set: bool| f64::from(u8::from(set));
        to.gauge(
            (
                "xq_bridge_lag_seconds",
                "For how long events have waited to be written; 0 when none waits",
            ),
            reading.lag.as_secs_f64(),
        )?;
        to.gauge(
            ("xq_bridge_connected", "1 while PostgreSQL answers"),
            flag(reading.connected),
        )?;
        to.gauge(
            (
                "xq_bridge_torn_events",
                "1 while events stand there that are not whole",
            ),
            flag(reading.torn),
        )?;
        to.gauge(
            (
                "xq_bridge_committed_sequence",
                "The last command whose events are in PostgreSQL",
            ),
            value_of(reading.committed.0),
        )?;
        to.gauge(
            (
                "xq_bridge_read_sequence",
                "The last command whose events were read",
            ),
            value_of(reading.seen.0),
        )?;
        to.count(("xq_bridge_events", "Events written"), reading.events)?;
        to.count(
            ("xq_bridge_rows", "Rows written, changed ones included"),
            reading.rows,
        )?;
        to.count(("xq_bridge_trades", "Trades written"), reading.trades)?;
        to.count(
            ("xq_bridge_transactions", "Transactions committed"),
            reading.transactions,
        )?;
        to.count(
            (
                "xq_bridge_retries",
                "How often the bridge began anew after trouble that passes",
            ),
            reading.retries,
        )
    }
}
