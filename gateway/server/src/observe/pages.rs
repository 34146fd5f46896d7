//! The three pages, and what each means.
//!
//! | page | 200 | 503 |
//! |---|---|---|
//! | `/healthz` | the engine answers | it does not within [`LOOK_TIMEOUT`]: restart the gateway |
//! | `/readyz` | sockets are bound, the database can be written, the disk has room | one of these is not so; the line says which |
//! | `/metrics` | OpenMetrics text | the engine does not answer |
//!
//! The clock is told on `/readyz` and never the reason for a 503: a gateway without a clock serves devices all the same.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::host::Host;
use super::http::Response;
use super::{Observer, Snapshot, metrics};
use crate::clock::ClockState;

/// The longest that a living engine takes: one batch with a commit to a slow SD card.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Room without which the gateway is not ready: a delta and its database rows fit many times.
const DISK_FREE_BYTES_MIN: u64 = 16 << 20;

/// Makes pages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pages {
    observer: Observer,
    state_dir: PathBuf,
    coap: SocketAddr,
}

impl Pages {
    /// Of the engine behind `observer`, which listens on `coap` and keeps its state in `state_dir`.
    pub fn new(observer: Observer, state_dir: PathBuf, coap: SocketAddr) -> Pages {
        Pages {
            observer,
            state_dir,
            coap,
        }
    }

    pub(super) async fn page(&self, path: &str) -> Response {
        match path {
            "/healthz" => match self.look().await {
                Some(_) => Response::text(200, "ok\n"),
                None => silent(),
            },
            "/readyz" => match self.look().await {
                Some(snapshot) => self.ready(&snapshot),
                None => silent(),
            },
            "/metrics" => match self.look().await {
                Some(snapshot) => {
                    metrics::response(&snapshot, &Host::read(&self.state_dir), ClockState::now())
                }
                None => silent(),
            },
            _ => Response::text(404, "there are /metrics, /healthz and /readyz\n"),
        }
    }

    async fn look(&self) -> Option<Snapshot> {
        let look = tokio::time::timeout(LOOK_TIMEOUT, self.observer.look());
        look.await.ok().flatten()
    }

    fn ready(&self, snapshot: &Snapshot) -> Response {
        let disk = match Host::read(&self.state_dir).disk_free_bytes {
            Some(free) if free < DISK_FREE_BYTES_MIN => {
                Err(format!("{free} bytes free, needs {DISK_FREE_BYTES_MIN}"))
            }
            Some(free) => Ok(format!("{free} bytes free")),
            None => Err("its free space cannot be read".to_owned()),
        };
        let checks = [
            ("sockets", Ok(format!("coap {}", self.coap))),
            (
                "database",
                snapshot.database.clone().map(|()| "can be written".to_owned()),
            ),
            ("disk", disk),
        ];
        let mut text = String::new();
        let is_ready = checks.iter().all(|(_, found)| found.is_ok());
        for (what, found) in &checks {
            let (verdict, found) = match found {
                Ok(found) => ("ok", found),
                Err(found) => ("failed", found),
            };
            let _ = writeln!(text, "{what} {verdict}: {found}");
        }
        let _ = writeln!(text, "clock {}", ClockState::now());
        text.push_str(if is_ready { "ready\n" } else { "not ready\n" });
        Response::text(if is_ready { 200 } else { 503 }, text)
    }
}

fn silent() -> Response {
    Response::text(503, "the engine does not answer\n")
}
