//! What the gateway shows of itself over HTTP: `/metrics` for Prometheus, `/healthz` and `/readyz` for supervisors.
//!
//! Off unless `gateway.toml` names a loopback address as `metrics`. Nobody is asked who they are, therefore nothing but loopback
//! is accepted, nothing can be changed here, and no page names a key, an address or a path on disk. docs/operations.md lists
//! every metric.
//!
//! A page is made from a [`Snapshot`], which the engine takes between two batches: what is shown is of one instant. An
//! engine that does not answer is what `/healthz` is there to find.

mod host;
pub mod http;
mod meters;
mod metrics;
mod pages;

use gateway_core::{DeviceView, LinkView, StatementView, StatusView};
use tokio::sync::{mpsc, oneshot};

use crate::dtls::DtlsCounters;
pub use meters::Meters;
pub use pages::Pages;

/// Claimed devices up to which each has metrics of its own. Prometheus keeps about 1 KiB for each time series: three per device,
/// so that a site of 100 costs it 300 KiB. Above it `device list --json` is the place to look.
pub const DEVICE_LABELS_MAX: usize = 100;

/// One instant of the gateway.
#[derive(Debug)]
pub struct Snapshot {
    /// The inventory in numbers.
    pub status: StatusView,
    /// What publishers state to be the latest of each class.
    pub statements: Vec<StatementView>,
    /// Every link, at most [`crate::config::LINKS_MAX`] and the default one.
    pub links: Vec<LinkView>,
    /// The claimed devices; empty when there are more than [`DEVICE_LABELS_MAX`].
    pub devices: Vec<DeviceView>,
    /// Datagrams lost to errors of the socket.
    pub datagram_errors: u64,
    /// When the gateway started.
    pub started_unix_s: u64,
    /// Whether the database can be written, or why not.
    pub database: Result<(), String>,
    /// What happened on the port of `coaps://`, where there is one.
    pub dtls: Option<DtlsCounters>,
    /// What is counted as it happens.
    pub meters: Meters,
}

/// The way to the engine for whoever wants to look.
#[derive(Debug, Clone)]
pub struct Observer {
    sender: mpsc::Sender<Look>,
}

/// One look, on its way to the engine.
pub type Look = oneshot::Sender<Snapshot>;

impl Observer {
    /// A way and its end, which the engine takes.
    pub fn channel() -> (Observer, mpsc::Receiver<Look>) {
        let (sender, receiver) = mpsc::channel(http::CONNECTIONS_MAX);
        (Observer { sender }, receiver)
    }

    /// Looks; `None` when the engine is gone.
    pub async fn look(&self) -> Option<Snapshot> {
        let (answer, answered) = oneshot::channel();
        self.sender.send(answer).await.ok()?;
        answered.await.ok()
    }
}
