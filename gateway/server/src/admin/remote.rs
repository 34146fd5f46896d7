//! The way in for technicians elsewhere: the same questions over TLS 1.3, by certificates of the site's own authority, as far as each
//! technician's [`Role`] goes. Off unless `[remote]` is configured.
//!
//! Strangers get as far as a handshake, and only so many at a time, in all and from one address, each for so long. They have places
//! of their own: neither the admin socket nor a technician whose certificate was accepted waits for one of theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::AnswerResult;
use super::conversation::{Caller, Desk, Pace, converse, tell};
use super::role::Role;
use super::turned_away::{TurnedAway, What};
use crate::config::Remote;
use crate::tls::certificate::{Fingerprint, Identity, common_name, is_name};
use crate::tls::{TlsError, server};

/// Handshakes at a time; the next one waits in the system's queue.
pub const HANDSHAKES_MAX: usize = 16;
/// Connections of one IPv4 address, or one IPv6 network of 64 bits, whatever their state: a person with several windows.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 4;
/// Technicians at a time whose certificate was accepted; further ones are told to come back. Each may bring a file of
/// [`super::BODY_BYTES_MAX`], once its role allows that.
pub const CONNECTIONS_MAX: usize = 8;
/// From the first byte to the last of the handshake: two round trips, on a bad mobile link.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two connections that are accepted: devices are served by the same thread, and a handshake costs it two public-key
/// operations or three.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(20);
/// A whole file of the largest size takes as long at 150 kbit/s.
const PACE: Pace = Pace {
    line: Duration::from_secs(10),
    silence: Duration::from_secs(20),
    whole: Duration::from_secs(15 * 60),
};
/// After the last word, what a caller still sends is read and dropped for so long, and so much of it: who has bytes left to
/// read when he closes resets the connection, and his last word with it.
const LINGER: Duration = Duration::from_secs(2);
/// See [`LINGER`].
const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// After a failed accept, which is for want of descriptors: each connection that ends frees one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket with what it takes to know technicians.
pub struct RemoteListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    technicians: Arc<Technicians>,
}

/// Why there is no way in for technicians elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The gateway's own certificate or key.
    #[error(transparent)]
    Identity(#[from] TlsError),
    /// The socket.
    #[error("cannot listen for technicians on {address}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Who may what, as the configuration says.
#[derive(Debug)]
struct Technicians {
    roles: BTreeMap<String, Role>,
    revoked: BTreeSet<Fingerprint>,
}

impl RemoteListener {
    /// Reads the identity and binds the address. Nobody is answered yet.
    pub async fn bind(config: &Remote) -> Result<RemoteListener, RemoteError> {
        let tls = server(Identity::read(&config.identity)?)?;
        let failed = |source| RemoteError::Listen {
            address: config.address,
            source,
        };
        let listener = TcpListener::bind(config.address).await.map_err(failed)?;
        Ok(RemoteListener {
            listener,
            acceptor: TlsAcceptor::from(tls),
            technicians: Arc::new(Technicians {
                roles: config.technicians.clone(),
                revoked: config.revoked.iter().copied().collect(),
            }),
        })
    }

    /// Where it listens, with the port the system chose.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves technicians until the task is dropped.
    pub async fn serve(self, desk: Desk) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let door = Door {
            acceptor: self.acceptor,
            technicians: self.technicians,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            strangers: TurnedAway::new(desk.calls.clone()),
            refusals: TurnedAway::new(desk.calls.clone()),
            desk,
        };
        let addresses = Addresses::default();
        loop {
            let Ok(handshake) = Arc::clone(&handshakes).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let from = peer.ip().to_canonical();
                    tokio::time::sleep(ACCEPT_INTERVAL).await;
                    // Who has too many connections loses the newest.
                    let Some(counted) = addresses.count(from) else {
                        continue;
                    };
                    let door = door.clone();
                    tokio::spawn(async move {
                        let accepted = door.shake_hands(stream, from).await;
                        drop(handshake);
                        if let Some((stream, der)) = accepted {
                            door.receive(stream, &der, from).await;
                        }
                        drop(counted);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept technicians");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// What each connection needs. Cheap to clone.
#[derive(Clone)]
struct Door {
    acceptor: TlsAcceptor,
    technicians: Arc<Technicians>,
    places: Arc<Semaphore>,
    /// Of whom nothing is known. Counted apart, so that they cannot hide what technicians try.
    strangers: TurnedAway,
    /// Of technicians.
    refusals: TurnedAway,
    desk: Desk,
}

impl Door {
    /// The connection and the certificate of who proved to have its key; all others are noted and told by TLS alone.
    async fn shake_hands(&self, stream: TcpStream, from: IpAddr) -> Option<(TlsStream<TcpStream>, Vec<u8>)> {
        let shaken = self.acceptor.accept(stream).into_fallible();
        let why = match timeout(HANDSHAKE_TIMEOUT, shaken).await {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let der = certificates.and_then(|all| all.first()).map(|der| der.to_vec());
                // rustls lets nobody in without one.
                return der.map(|der| (stream, der));
            }
            Ok(Err((error, mut stream))) => {
                // The reason went out as an alert.
                let _ = stream.shutdown().await;
                linger(&mut stream).await;
                error.to_string()
            }
            Err(_) => "the handshake took too long".to_owned(),
        };
        let who = format!("somebody from {from}");
        self.strangers.note(&who, What::Remote, why).await;
        None
    }

    async fn receive(&self, mut stream: TlsStream<TcpStream>, der: &[u8], from: IpAddr) {
        let place = self.places.try_acquire();
        let (who, judged) = self.technicians.judge(der, from);
        let answered = match judged {
            _ if place.is_err() => {
                let problem = format!("{CONNECTIONS_MAX} technicians are being served, and no more can be");
                let busy = AnswerResult::refused(problem, "the same command a little later");
                tell(&mut stream, busy, PACE).await
            }
            Ok(role) => {
                let pace = PACE;
                let caller = Caller { who, role, pace };
                converse(&mut stream, &self.desk, &caller, &self.refusals).await
            }
            Err((why, hint)) => {
                self.refusals.note(&who, What::Remote, why.clone()).await;
                tell(&mut stream, AnswerResult::refused(why, hint), PACE).await
            }
        };
        match answered {
            Ok(()) => linger(&mut stream).await,
            Err(error) => tracing::debug!(%error, "a technician went away"),
        }
    }
}

impl Technicians {
    /// A name for the audit trail, and the role; or why there is none, and what to do.
    fn judge(&self, der: &[u8], from: IpAddr) -> (String, Result<Role, (String, String)>) {
        let fingerprint = Fingerprint::of(der);
        // Of whose authority this is, names are what it says; still nothing unprintable gets into trail and log.
        let name = common_name(der).filter(|name| is_name(name));
        let name = name.as_deref().unwrap_or("somebody without a name");
        let who = format!("{name} (certificate {}) from {from}", fingerprint.short());
        if self.revoked.contains(&fingerprint) {
            let why = format!("the certificate {} of {name} is revoked", fingerprint.short());
            let hint = "ask the keeper of the site's authority for another: deltagate admin-cert technician";
            return (who, Err((why, hint.to_owned())));
        }
        match self.roles.get(name) {
            Some(role) => (who, Ok(*role)),
            None => {
                let why = format!("{name} has no role at this gateway");
                let hint = "ask whoever keeps its gateway.toml to name you under [remote] in `view`, `operate` or `admin`";
                (who, Err((why, hint.to_owned())))
            }
        }
    }
}

/// Reads until the other end closes, within bounds.
async fn linger(stream: &mut (impl AsyncRead + Unpin)) {
    let drained = async {
        let (mut piece, mut left) = ([0; 4_096], LINGER_BYTES_MAX);
        while let Ok(read @ 1..) = stream.read(&mut piece).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    // Who sends on after that is cut off.
    let _ = timeout(LINGER, drained).await;
}

/// How many connections each address has: at most as many entries as there are connections.
#[derive(Debug, Clone, Default)]
struct Addresses(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

/// One counted connection.
struct Counted {
    addresses: Addresses,
    of: IpAddr,
}

impl Addresses {
    /// `None` when it has enough.
    fn count(&self, from: IpAddr) -> Option<Counted> {
        let of = network(from);
        let mut counts = self.0.lock().ok()?;
        let count = counts.entry(of).or_default();
        if *count == CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        *count += 1;
        let addresses = self.clone();
        Some(Counted { addresses, of })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Ok(mut counts) = self.addresses.0.lock() else {
            return;
        };
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}

/// What one subscriber has: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_a_network_of_ipv6_counts_as_one() {
        let addresses = Addresses::default();
        let from = |text: &str| addresses.count(text.parse().unwrap());
        let held: Vec<_> = (0..CONNECTIONS_PER_ADDRESS_MAX)
            .map(|n| from(&format!("2001:db8::{n}")).unwrap())
            .collect();
        assert!(from("2001:db8::ffff").is_none());
        let other = from("2001:db8:0:1::1");
        assert!(other.is_some() && from("192.0.2.1").is_some());
        drop(held);
        assert!(from("2001:db8::ffff").is_some());
        drop(other);
        assert!(addresses.0.lock().unwrap().is_empty());
    }
}
