//! What comes through sessions of DTLS. Handshakes and records are the shell's; whose a session is, and what its device may do, is
//! decided here, for every message anew.

use super::{Gateway, Origin};
use crate::effect::{Channel, DTLS_OVERHEAD_BYTES, Payloads};
use crate::meter::Way;
use crate::operator::enrol;
use crate::psk::{Psk, PskProof};
use crate::units::Now;
use core::net::SocketAddr;
use wire_coap::{MessageId, Token};

impl Gateway {
    /// Takes a CoAP message that `peer` sent through the shell's session `session`, which was made under the key of `proof`; answers leave
    /// through that session. Says whether that key still counts: when it does not, nothing was done, and the shell ends the session.
    pub fn handle_session_datagram(
        &mut self,
        now: Now,
        (peer, session): (SocketAddr, u64),
        proof: &PskProof,
        datagram: &[u8],
        payloads: &dyn Payloads,
    ) -> bool {
        let record = self.journal.state().identities.psks.proven(proof);
        let Some(device) = record.map(|record| record.device) else {
            return false;
        };
        enrol::psk_used(&mut self.journal, now, proof.identity);
        self.door.let_in(device);
        let origin = Origin {
            peer,
            link: self.links.of(peer.ip()),
            caller: Some(device),
            is_reached: true,
            asked_bytes: datagram.len(),
            channel: Channel::Session(session),
        };
        let whose = self.answer(now, origin, datagram, payloads);
        let bytes = datagram.len() + usize::from(DTLS_OVERHEAD_BYTES);
        self.count(origin.link, Way::Up, bytes, whose.or(Some(device)));
        self.settle(now);
        true
    }

    /// Takes what a handshake makes the shell send, after so many bytes came: it has to fit the link like everything else, and is nobody's
    /// bytes, because nobody has proved anything yet.
    pub fn handle_handshake(
        &mut self,
        now: Now,
        peer: SocketAddr,
        received_bytes: usize,
        flights: Vec<Vec<u8>>,
    ) {
        let origin = Origin {
            peer,
            link: self.links.of(peer.ip()),
            caller: None,
            is_reached: true,
            asked_bytes: received_bytes,
            channel: Channel::Handshake,
        };
        for flight in flights {
            self.admit(now, origin, (MessageId(0), Token::EMPTY), flight, None);
        }
        if received_bytes > 0 {
            self.count(origin.link, Way::Up, received_bytes, None);
        }
        self.settle(now);
    }

    /// Whether a session made under this key may go on.
    pub fn counts(&self, proof: &PskProof) -> bool {
        self.journal.state().identities.psks.proven(proof).is_some()
    }

    /// Every key of DTLS that counts: for the shell's handshakes.
    pub fn psks(&self) -> impl Iterator<Item = &Psk> {
        self.journal.state().identities.psks.all()
    }

    /// Another number whenever [`Gateway::psks`] says something else.
    pub fn psks_generation(&self) -> u64 {
        self.journal.state().identities.psks.generation
    }
}
