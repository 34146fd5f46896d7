//! The port of `coaps://`: a device with a session, another in the middle of its handshake, and strangers, at their own addresses and
//! at those of the two.
//!
//! ```text
//! input   one or more of    what u8 │ length u8 │ bytes
//!         what  bits 0..3   at which of 16 addresses: 0 is that of the session, 1 that of the handshake
//!               bits 4..5   0, 1: a datagram as it is; 2: what the device of the handshake sends next, altered; 3: nothing, but so many
//!                           tenths of a second pass
//!         of 2: bytes       offset u8 │ what is XORed there. None: as it is
//! ```
//!
//! Random numbers of handshakes are the system's, so that an input that is run again takes the same way with other bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deltagate::dtls::Dtls;
use gateway_core::{Psk, PskKey};

/// Messages of one input; more find nothing that fewer do not.
const STEPS_MAX: usize = 16;

pub(crate) fn dtls(bytes: &[u8]) {
    let psks = [psk("session", 1), psk("handshake", 2)];
    let mut port = Port::new(&psks);
    let mut session = Client::new(address(0), &psks[0]);
    port.connect(&mut session);
    let mut other = Client::new(address(1), &psks[1]);
    let mut rest = bytes;
    for _ in 0..STEPS_MAX {
        let [what, length, following @ ..] = rest else {
            break;
        };
        let (message, behind) = following.split_at(usize::from(*length).min(following.len()));
        rest = behind;
        match what >> 4 & 3 {
            0 | 1 => port.stranger(what & 0x0F, message),
            2 => port.altered(&mut other, message),
            _ => port.sleep(message.first().map_or(0, |tenths| u64::from(*tenths) * 100)),
        }
    }
    // Whatever strangers sent, wherever from: who has the key is heard.
    let record = session.says(b"still here");
    while port.dtls.poll_message().is_some() {}
    port.dtls.handle_datagram(port.now_ms, session.peer, &record);
    let heard = port.dtls.poll_message().map(|message| message.bytes);
    assert_eq!(heard.as_deref(), Some(&b"still here"[..]));
}

fn psk(name: &str, byte: u8) -> Psk {
    Psk {
        identity: name.parse().unwrap(),
        key: PskKey::new(&[byte; 16]).unwrap(),
    }
}

fn address(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, number, 1], 40_000))
}

struct Port {
    dtls: Dtls,
    now_ms: u64,
}

impl Port {
    fn new(psks: &[Psk]) -> Port {
        let mut dtls = Dtls::new(Instant::now(), [7; 32]);
        dtls.set_keys(psks.iter());
        Port { dtls, now_ms: 0 }
    }

    fn connect(&mut self, client: &mut Client) {
        loop {
            let sent = client.sends();
            if sent.is_empty() {
                break;
            }
            for datagram in sent {
                self.dtls.handle_datagram(self.now_ms, client.peer, &datagram);
                self.answer(client);
            }
        }
        assert!(client.is_connected);
    }

    fn answer(&mut self, client: &mut Client) {
        while let Some((_, flight)) = self.dtls.poll_flight() {
            client.takes(&flight);
        }
    }

    /// What it is answered goes to nobody.
    fn stranger(&mut self, number: u8, datagram: &[u8]) {
        let before = self.dtls.counters();
        self.dtls.handle_datagram(self.now_ms, address(number), datagram);
        let mut answered = 0;
        while let Some((_, flight)) = self.dtls.poll_flight() {
            answered += flight.len();
        }
        let after = self.dtls.counters();
        // The address of the handshake has proved itself; others get no more than they sent, and nothing is kept for them.
        if number != 1 {
            assert!(answered <= datagram.len(), "{answered} for {}", datagram.len());
            assert_eq!(after.handshakes, before.handshakes);
        }
        assert_eq!(after.sessions, before.sessions);
    }

    fn altered(&mut self, client: &mut Client, how: &[u8]) {
        for mut datagram in client.sends() {
            if let Some((offset, xor)) = how.split_first() {
                let at = datagram.iter_mut().skip(usize::from(*offset));
                at.zip(xor).for_each(|(byte, change)| *byte ^= change);
            }
            self.dtls.handle_datagram(self.now_ms, client.peer, &datagram);
            self.answer(client);
        }
    }

    fn sleep(&mut self, ms: u64) {
        self.now_ms += ms;
        if self.dtls.poll_timeout().is_some_and(|due| due <= self.now_ms) {
            self.dtls.handle_timeout(self.now_ms);
        }
        while self.dtls.poll_flight().is_some() {}
    }
}

struct Key(Vec<u8>);

impl dimpl::PskResolver for Key {
    fn resolve(&self, _: &[u8]) -> Option<Vec<u8>> {
        Some(self.0.clone())
    }
}

/// A device, whose time stands still: it repeats nothing.
struct Client {
    dtls: dimpl::Dtls,
    peer: SocketAddr,
    start: Instant,
    is_connected: bool,
}

impl Client {
    fn new(peer: SocketAddr, psk: &Psk) -> Client {
        let identity = psk.identity.as_bytes().to_vec();
        let config = dimpl::Config::builder()
            .with_crypto_provider(dimpl::crypto::rust_crypto::default_provider())
            .dtls12_cipher_suites(&[dimpl::crypto::Dtls12CipherSuite::PSK_AES128_CCM_8])
            .dtls13_cipher_suites(&[])
            .with_psk_client(identity, Arc::new(Key(psk.key.expose().to_vec())))
            .build();
        let start = Instant::now();
        let mut dtls = dimpl::Dtls::new_12_psk(Arc::new(config.unwrap()), start);
        dtls.set_active(true);
        Client {
            dtls,
            peer,
            start,
            is_connected: false,
        }
    }

    fn sends(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        // Whoever is refused has nothing to send any more.
        if self.dtls.handle_timeout(self.start + Duration::ZERO).is_err() {
            return sent;
        }
        let mut buffer = [0; 4_096];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                dimpl::Output::Packet(packet) => sent.push(packet.to_vec()),
                dimpl::Output::Connected => self.is_connected = true,
                dimpl::Output::Timeout(_) => return sent,
                _ => {}
            }
        }
    }

    fn takes(&mut self, datagram: &[u8]) {
        let _ = self.dtls.handle_packet(datagram);
    }

    fn says(&mut self, message: &[u8]) -> Vec<u8> {
        self.dtls.send_application_data(message).unwrap();
        self.sends().remove(0)
    }
}

/// One step.
fn step(what: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![what, u8::try_from(message.len()).unwrap()];
    bytes.extend(message);
    bytes
}

pub(crate) fn dtls_seeds() -> Vec<Vec<u8>> {
    let hello = Client::new(address(2), &psk("seed", 3)).sends().remove(0);
    let epoch_1 = b"\x17\xFE\xFD\x00\x01\x00\x00\x00\x00\x00\x05\x00\x10sixteen bytes of";
    let alert = b"\x15\xFE\xFD\x00\x00\x00\x00\x00\x00\x00\x09\x00\x02\x02\x28";
    let next = step(0x21, &[]);
    vec![
        // A stranger greets, at its own address and at those of the two.
        [step(2, &hello), step(0, &hello), step(1, &hello)].concat(),
        // Records from nowhere, into the session and into the handshake.
        [
            step(0, epoch_1),
            next.clone(),
            step(1, epoch_1),
            step(1, alert),
            next.clone(),
        ]
        .concat(),
        // The whole handshake, each flight with a bit of it changed before it goes as it is.
        [
            next.clone(),
            step(0x21, &[30, 1]),
            step(0x30, &[20]),
            next.clone(),
            next.clone(),
        ]
        .concat(),
        [
            next.clone(),
            next.clone(),
            step(0x21, &[13, 0x80, 0, 0, 1]),
            step(0, alert),
        ]
        .concat(),
        [step(0, alert), step(0x0F, epoch_1), step(0x30, &[255]), next].concat(),
    ]
}
