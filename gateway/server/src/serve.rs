//! `deltagate serve`: puts the parts together, in the order in which they may fail, and runs them until told to stop.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway_core::{
    Access, ArtefactDigest, BitsPerSecond, Change, CoreConfig, Gateway, ImageDigest, LinkConfig, LinkName,
    Prefix,
};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use wire_coap::BlockSize;

use crate::admin::Calls;
use crate::admin::conversation::Desk;
use crate::admin::listener::{AdminError, AdminListener};
use crate::admin::remote::{RemoteError, RemoteListener};
use crate::artefacts::BuildPool;
use crate::audit::Entry;
use crate::blobs::{BlobError, Blobs};
use crate::clock::Clock;
use crate::config::{self, Config, Link};
use crate::dtls::Dtls;
use crate::engine::{Engine, Parts, SecurePort};
use crate::import::Importer;
use crate::logging::Recent;
use crate::observe::http::HttpListener;
use crate::observe::{Observer, Pages};
use crate::publisher::{AnchorError, load_anchors};
use crate::restore::restorable;
use crate::state_dir::{
    COAP_ADDRESS, COAPS_ADDRESS, METRICS_ADDRESS, REMOTE_ADDRESS, StateDir, StateDirError,
};
use crate::store::{self, Store, StoreError};
use crate::supervisor;
use crate::trust::{self, Trust};
use crate::udp::{CoapSocket, RECEIVE_BUFFER_BYTES};

/// Why a gateway does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another gateway, or no permission.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
    /// A publisher's key cannot be used.
    #[error("trust")]
    Anchor(#[from] AnchorError),
    /// The database.
    #[error("cannot use database {path}")]
    Store {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The blobs.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The technician's socket.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// Technicians elsewhere.
    #[error("remote")]
    Remote(#[from] RemoteError),
    /// The CoAP socket.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The configured address.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket of CoAP over DTLS.
    #[error("cannot listen on {listen} for coaps://")]
    ListenSecure {
        /// The configured address.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket for metrics.
    #[error("cannot serve metrics on {listen}")]
    Metrics {
        /// The configured address.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system refused something every process gets.
    #[error("cannot start")]
    System(#[from] io::Error),
}

impl ServeError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            ServeError::StateDir(StateDirError::InUse { .. })
            | ServeError::Admin(AdminError::InUse { .. }) => {
                Some("ask the one that runs: deltagate status".to_owned())
            }
            ServeError::Anchor(error) => Some(error.hint()),
            ServeError::Remote(RemoteError::Identity(error)) => error.hint(),
            ServeError::Remote(RemoteError::Listen { .. }) => {
                Some("name a free address and port as `address` under [remote]".to_owned())
            }
            ServeError::Store {
                source: StoreError::Newer { .. },
                ..
            } => Some("start the newer deltagate again, or name another state_dir".to_owned()),
            ServeError::Store { source, .. } if source.is_full() => {
                Some("make room where state_dir lies, then start it again".to_owned())
            }
            ServeError::Store {
                source: StoreError::Sqlite(_) | StoreError::Damaged { .. },
                ..
            } => Some(
                "see what is wrong: deltagate doctor; restore gateway.db* and images/ from a backup, or name another state_dir"
                    .to_owned(),
            ),
            ServeError::Store {
                source: StoreError::Sealing(error),
                ..
            } => Some(error.hint()),
            ServeError::Listen { .. } => Some("name a free address and port as `listen`".to_owned()),
            ServeError::ListenSecure { .. } => {
                Some("name a free address and port as `coaps_listen`, or none".to_owned())
            }
            ServeError::Metrics { .. } => {
                Some("name a free loopback address and port as `metrics`".to_owned())
            }
            _ => None,
        }
    }

    /// Whether the state of the machine forbids it, rather than a fault of ours.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            ServeError::System(_)
                | ServeError::Store {
                    source: StoreError::Sqlite(_),
                    ..
                }
        )
    }
}

/// Runs a gateway until SIGINT or SIGTERM. `recent` is what technicians are shown of its log.
pub fn serve(config: &Config, recent: Recent) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(config, recent));
    // An import that is being verified may end by itself; it was not answered.
    runtime.shutdown_background();
    result
}

async fn run(config: &Config, recent: Recent) -> Result<(), ServeError> {
    let state = StateDir::open(&config.state_dir)?;
    let anchors = load_anchors(&config.trust)?;
    let blobs = Arc::new(Blobs::open(state.path())?);
    let database = store::path_in(state.path());
    let store_failed = |source| ServeError::Store {
        path: database.clone(),
        source,
    };
    // systemd.exec(5).
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let (store, changes) = Store::open(&database, credentials.as_deref()).map_err(store_failed)?;
    let known_keys = Store::trusted_keys(&database).map_err(store_failed)?;
    let trust_changes = trust::changes(&known_keys, &anchors);
    trust_changes.iter().for_each(Entry::log);
    // On disk before the first image can come in.
    store
        .commit(Vec::new(), trust_changes)
        .await
        .map_err(store_failed)?;
    remove_orphans(state.path(), &blobs, &changes)?;
    let mut core = Gateway::new(CoreConfig {
        echo_seed: random()?,
        factory_keys: anchors.iter().map(|anchor| anchor.key).collect(),
        trusted_keys: Some(anchors.iter().map(|anchor| anchor.key_id().0).collect()),
        ..core_config(config)
    });
    let rows = changes.len();
    let sets = changes.iter().filter_map(|change| match change {
        Change::Anchors(set) => Some(set.clone()),
        _ => None,
    });
    let trust = Trust::new(anchors.clone(), sets.collect());
    for change in restorable(changes, &blobs) {
        core.restore(change);
    }
    core.handle_random(&random()?);
    let listen_failed = |source| ServeError::Listen {
        listen: config.listen,
        source,
    };
    let socket = CoapSocket::bind(config.listen).map_err(listen_failed)?;
    let address = socket.local_address().map_err(listen_failed)?;
    warn_about_buffer(&socket);
    let clock = Clock::start();
    let secure = match config.coaps_listen {
        Some(listen) => Some(bind_secure(listen, &clock)?),
        None => None,
    };
    let admin = AdminListener::bind(&config.admin_socket)?;
    let metrics = match config.metrics {
        Some(listen) => Some(bind_metrics(listen).await?),
        None => None,
    };
    let remote = match &config.remote {
        Some(remote) => Some(RemoteListener::bind(remote).await?),
        None => None,
    };
    let (calls, questions) = Calls::channel();
    let (observer, looks) = Observer::channel();
    let (report, built) = mpsc::channel(BUILT_MAX);
    let builds = BuildPool::start(config.build_workers, Arc::clone(&blobs), move |outcome| {
        // Only fails when the gateway is stopping; the build is asked for again at the next start.
        let _ = report.blocking_send(outcome);
    })?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    if anchors.is_empty() {
        tracing::warn!("no publisher is trusted: no image can be imported until `trust` names one");
    }
    let importer = Importer::new(trust, Arc::clone(&blobs));
    state.write_address(COAP_ADDRESS, Some(address))?;
    let secure_address = secure.as_ref().map(|(_, address)| *address);
    state.write_address(COAPS_ADDRESS, secure_address)?;
    let metrics_address = metrics.as_ref().map(|(_, address)| *address);
    state.write_address(METRICS_ADDRESS, metrics_address)?;
    let remote_address = remote.as_ref().map(RemoteListener::local_address).transpose()?;
    state.write_address(REMOTE_ADDRESS, remote_address)?;
    announce(address, secure_address);
    let status = format!("serving CoAP on {address}");
    supervisor::tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    tracing::info!(
        coap = %address,
        coaps = secure_address.map(tracing::field::display),
        metrics = metrics_address.map(tracing::field::display),
        remote = remote_address.map(tracing::field::display),
        admin = %config.admin_socket.display(),
        rows,
        "listening"
    );
    let parts = Parts {
        core,
        socket,
        secure: secure.map(|(port, _)| port),
        store,
        blobs,
        built,
        builds,
        calls: questions,
        looks,
        clock,
    };
    let desk = Desk {
        calls,
        importer,
        database: database.clone(),
        recent,
    };
    if let Some(remote) = remote {
        tokio::spawn(remote.serve(desk.clone()));
    }
    let technicians = tokio::spawn(admin.serve(desk));
    tokio::spawn(supervisor::feed_watchdog(observer.clone()));
    if let Some((listener, _)) = metrics {
        let pages = Pages::new(observer, state.path().to_path_buf(), address);
        tokio::spawn(listener.serve(pages));
    }
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
        supervisor::tell(&[NotifyState::Stopping]);
    };
    let result = Engine::new(parts)?.run(stop).await;
    technicians.abort();
    // Dropped by the abort, and with it the socket's file.
    let _ = technicians.await;
    result.map_err(store_failed)
}

fn bind_secure(listen: SocketAddr, clock: &Clock) -> Result<(SecurePort, SocketAddr), ServeError> {
    let failed = |source| ServeError::ListenSecure { listen, source };
    let socket = CoapSocket::bind(listen).map_err(failed)?;
    let address = socket.local_address().map_err(failed)?;
    let port = SecurePort::new(socket, Dtls::new(clock.at(0), random()?));
    Ok((port, address))
}

async fn bind_metrics(listen: SocketAddr) -> Result<(HttpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Metrics { listen, source };
    let listener = HttpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_address().map_err(failed)?;
    Ok((listener, address))
}

/// Finished builds that wait for the engine; a worker waits for room.
const BUILT_MAX: usize = 64;

/// One line of each port for programs. Nobody has to read it.
fn announce(address: SocketAddr, secure: Option<SocketAddr>) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "listening coap://{address}")
        .and_then(|()| secure.map_or(Ok(()), |secure| writeln!(stdout, "listening coaps://{secure}")))
        .and_then(|()| stdout.flush());
}

fn warn_about_buffer(socket: &CoapSocket) {
    let granted = socket.receive_buffer_bytes();
    if granted < RECEIVE_BUFFER_BYTES {
        tracing::warn!(
            granted,
            wanted = RECEIVE_BUFFER_BYTES,
            "receive buffer is smaller than wanted, bursts may be lost; sysctl net.core.rmem_max raises the limit"
        );
    }
}

/// What no row names: images whose import was interrupted between keeping the bytes and storing the record, and what was to be removed
/// when the power went.
fn remove_orphans(state_dir: &Path, blobs: &Blobs, changes: &[Change]) -> Result<(), ServeError> {
    let named = |change: &Change| match change {
        Change::Image(image) => Some(image.digest.0),
        Change::Artefact(artefact) => Some(artefact.digest.0),
        _ => None,
    };
    let known: BTreeSet<[u8; 32]> = changes.iter().filter_map(named).collect();
    for (directory, is_image) in [("images", true), ("artefacts", false)] {
        for entry in std::fs::read_dir(state_dir.join(directory))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let Some(digest) = digest_named(&name).filter(|digest| !known.contains(digest)) else {
                continue;
            };
            tracing::info!(directory, name, "removing a file that nothing refers to");
            match is_image {
                true => blobs.remove_image(&ImageDigest(digest))?,
                false => blobs.remove_artefact(&ArtefactDigest(digest))?,
            }
        }
    }
    Ok(())
}

fn digest_named(name: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if name.len() != 64 {
        return None;
    }
    for (byte, digits) in digest.iter_mut().zip(name.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// How often traffic, times last heard and progress are stored, which nothing is decided from: a power cut forgets as much of
/// them. With 1,000 devices checking in hourly a minute's batch touches 22 pages of the database and one of ten minutes 33:
/// less than a sixth in a day. Counted by tests/writes.rs.
const COUNTERS_INTERVAL_S: u32 = 600;

/// What the core is told of a configuration.
pub fn core_config(config: &Config) -> CoreConfig {
    CoreConfig {
        links: config.links.iter().map(link_config).collect(),
        check_in_interval_s: config.check_in_interval_s,
        deferral_patience_s: config.deferral_patience_s,
        unclaimed_max: config.unclaimed_max,
        counters_interval_s: COUNTERS_INTERVAL_S,
        disk_bytes_max: config.disk_bytes_max.map(gateway_core::Bytes),
        default_link: LinkConfig {
            access: access(config.access),
            ..LinkConfig::default()
        },
        trusted_prefixes: config.trusted_prefixes.iter().map(prefix).collect(),
        public_images: config.public_images.iter().copied().collect(),
        ..CoreConfig::default()
    }
}

fn access(access: config::Access) -> Access {
    match access {
        config::Access::Open => Access::Open,
        config::Access::Authenticated => Access::Authenticated,
    }
}

/// What this start is told from others by.
fn random() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    Ok(seed)
}

fn prefix(prefix: &config::IpPrefix) -> Prefix {
    Prefix::new(prefix.address, prefix.length).expect("the configuration was checked")
}

fn link_config(link: &Link) -> LinkConfig {
    LinkConfig {
        name: LinkName(link.name.clone()),
        prefixes: link.prefixes.iter().map(prefix).collect(),
        rate: BitsPerSecond::new(link.rate_bits_per_second).expect("the configuration was checked"),
        ack_timeout_ms: link.ack_timeout_ms,
        block_size_max: BlockSize::largest_within(link.block_size_max.into())
            .expect("the configuration was checked"),
        mtu: link.mtu,
        // A link with any IPv6 prefix is counted with the larger header.
        header_bytes: if link.prefixes.iter().any(|prefix| prefix.address.is_ipv6()) {
            48
        } else {
            28
        },
        access: access(link.access),
    }
}
