//! The port of `coaps://`: between its socket, its sessions and the core.

use std::io;
use std::net::SocketAddr;

use gateway_core::Channel;

use super::{BATCH_DATAGRAMS_MAX, Engine};
use crate::dtls::{Dtls, DtlsCounters, SessionMessage};
use crate::udp::CoapSocket;

/// Socket and sessions.
#[derive(Debug)]
pub struct SecurePort {
    socket: CoapSocket,
    dtls: Dtls,
    /// Of the keys that [`Dtls`] was told: [`gateway_core::Gateway::psks_generation`].
    generation: Option<u64>,
}

impl SecurePort {
    /// A port that knows no key yet.
    pub fn new(socket: CoapSocket, dtls: Dtls) -> SecurePort {
        SecurePort {
            socket,
            dtls,
            generation: None,
        }
    }

    /// When it wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<u64> {
        self.dtls.poll_timeout()
    }

    /// What has happened so far.
    pub(super) fn counters(&self) -> DtlsCounters {
        self.dtls.counters()
    }
}

/// The next datagram; never, where there is no such port.
pub(super) async fn receive(port: Option<&SecurePort>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match port {
        Some(port) => port.socket.receive(buffer).await,
        None => std::future::pending().await,
    }
}

impl Engine {
    /// The datagram that woke us and those behind it, up to a batch.
    pub(super) fn take_secure_datagrams(
        &mut self,
        first: io::Result<(usize, SocketAddr)>,
        buffer: &mut [u8],
    ) {
        let mut received = first;
        for taken in 1..=BATCH_DATAGRAMS_MAX {
            match received {
                Ok((length, peer)) => self.take_secure_datagram(peer, &buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.count_error("receive", &error),
            }
            let Some(port) = self.parts.secure.as_ref().filter(|_| taken < BATCH_DATAGRAMS_MAX) else {
                return;
            };
            received = port.socket.try_receive(buffer);
        }
    }

    fn take_secure_datagram(&mut self, peer: SocketAddr, datagram: &[u8]) {
        let Some(port) = &mut self.parts.secure else {
            return;
        };
        let now = self.parts.clock.now();
        port.dtls.handle_datagram(now.monotonic_ms, peer, datagram);
        let messages: Vec<SessionMessage> = std::iter::from_fn(|| port.dtls.poll_message()).collect();
        let handshake_bytes = if messages.is_empty() { datagram.len() } else { 0 };
        self.hand_over_flights(Some((peer, handshake_bytes)));
        for message in messages {
            let SessionMessage {
                peer,
                session,
                proof,
                bytes,
            } = message;
            let blobs = self.parts.blobs.as_ref();
            let counts = self
                .parts
                .core
                .handle_session_datagram(now, (peer, session), &proof, &bytes, blobs);
            self.collect();
            if let Some(port) = self.parts.secure.as_mut().filter(|_| !counts) {
                port.dtls.end(session);
            }
        }
    }

    /// Does what is due.
    pub(super) fn secure_timeout(&mut self) {
        let Some(port) = &mut self.parts.secure else {
            return;
        };
        port.dtls.handle_timeout(self.parts.clock.now().monotonic_ms);
        self.hand_over_flights(None);
    }

    /// Flights take their turn on their link like every answer; so does what came count.
    fn hand_over_flights(&mut self, received: Option<(SocketAddr, usize)>) {
        let now = self.parts.clock.now();
        if let Some((peer, bytes)) = received {
            self.parts.core.handle_handshake(now, peer, bytes, Vec::new());
        }
        while let Some((peer, flight)) = self
            .parts
            .secure
            .as_mut()
            .and_then(|port| port.dtls.poll_flight())
        {
            self.parts.core.handle_handshake(now, peer, 0, vec![flight]);
        }
        self.collect();
    }

    /// Tells the port which keys count, when that is news.
    pub(super) fn refresh_keys(&mut self) {
        let Some(port) = &mut self.parts.secure else {
            return;
        };
        let generation = Some(self.parts.core.psks_generation());
        if port.generation != generation {
            port.generation = generation;
            port.dtls.set_keys(self.parts.core.psks());
        }
    }

    /// An answer to a session that is gone is an answer to nobody, and no error.
    pub(super) async fn send_secure(
        &mut self,
        peer: SocketAddr,
        channel: Channel,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        let Some(port) = &mut self.parts.secure else {
            return Ok(());
        };
        let (peer, bytes) = match channel {
            Channel::Session(session) => {
                let now_ms = self.parts.clock.now().monotonic_ms;
                match port.dtls.protect(now_ms, session, &bytes) {
                    Some(protected) => protected,
                    None => return Ok(()),
                }
            }
            Channel::Plain | Channel::Handshake => (peer, bytes),
        };
        port.socket.send(peer, &bytes).await
    }
}
