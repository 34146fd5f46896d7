//! One end of a handshake and of the session it becomes: dimpl's, fed so that nothing is kept before a cookie came back.
//!
//! dimpl makes and checks cookies by itself, of a secret of each association: with it there would be one for every hello of anybody. So
//! cookies are made and checked before there is an association ([`super::cookie`]), and a new one is brought to where it would be: it is
//! shown the hello that came before, what it answers is thrown away, and when it asks its crypto provider for the cookie of the hello
//! that has come, it is told the one that was found to be good. That question is the only use it makes of
//! [`HmacProvider::hmac_sha256`]; whenever nothing was found to be good it is answered with the truth, which fits no cookie.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use dimpl::crypto::{CryptoProvider, Dtls12CipherSuite, HmacProvider, rust_crypto};
use dimpl::{CryptoError, HashAlgorithm, Output};

use super::cookie::COOKIE_BYTES;
use super::hello::Hello;
use super::keys::Keys;
use super::record;

/// RFC 7925 §11: 9 seconds for devices whose network is not known, and twice as long each time.
const FLIGHT_RETRY: Duration = Duration::from_secs(9);
/// Three flights in all: 9 and 18 seconds between them.
const FLIGHT_RETRIES: usize = 2;
/// As long as the two waits and one more of 36 seconds take, about.
const HANDSHAKE_TIME: Duration = Duration::from_secs(60);
/// A client sends three messages and a change of cipher, each in a datagram of its own at worst, and all of them again.
const QUEUE_DATAGRAMS: usize = 10;
/// Room for what comes out at once: a datagram as long as any that is taken.
const OUTPUT_BYTES: usize = crate::udp::DATAGRAM_BYTES_MAX;

/// dimpl's own cryptography, but for the cookie.
static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(rust_crypto::default_provider);

thread_local! {
    /// The cookie that was found to be good, for as long as the hello with it is being handled.
    static GOOD: Cell<Option<[u8; COOKIE_BYTES]>> = const { Cell::new(None) };
}

#[derive(Debug)]
struct Hmac;

impl HmacProvider for Hmac {
    fn hmac_sha256(&self, key: &[u8], data: &[u8]) -> Result<[u8; COOKIE_BYTES], CryptoError> {
        match GOOD.take() {
            Some(cookie) => Ok(cookie),
            None => PROVIDER.hmac_provider.hmac_sha256(key, data),
        }
    }

    fn hmac(
        &self,
        hash: HashAlgorithm,
        key: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CryptoError> {
        PROVIDER.hmac_provider.hmac(hash, key, data, out)
    }
}

/// What every association is made of.
pub(super) fn config(keys: &Arc<Keys>) -> Arc<dimpl::Config> {
    let provider = CryptoProvider {
        hmac_provider: &Hmac,
        ..PROVIDER.clone()
    };
    let config = dimpl::Config::builder()
        .with_crypto_provider(provider)
        .dtls12_cipher_suites(&[Dtls12CipherSuite::PSK_AES128_CCM_8])
        .dtls13_cipher_suites(&[])
        .with_psk_server(None, Arc::clone(keys) as Arc<dyn dimpl::PskResolver>)
        .flight_start_rto(FLIGHT_RETRY)
        .flight_retries(FLIGHT_RETRIES)
        .handshake_timeout(HANDSHAKE_TIME)
        .max_queue_rx(QUEUE_DATAGRAMS)
        .max_queue_tx(QUEUE_DATAGRAMS)
        .build();
    Arc::new(config.expect("the configuration is a constant, and the tests build it"))
}

/// One of them.
pub(super) struct Association {
    dtls: Box<dimpl::Dtls>,
    /// How much further its client has counted records.
    shift: u64,
    /// Of its last record in the clear.
    number: u64,
}

/// What came of something.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Datagrams to send.
    pub(super) flights: Vec<Vec<u8>>,
    /// Messages that came.
    pub(super) messages: Vec<Vec<u8>>,
    /// The handshake is complete.
    pub(super) is_connected: bool,
    /// The other end said that it goes.
    pub(super) is_closed: bool,
    /// When to call again.
    pub(super) wake: Option<Instant>,
}

impl Turn {
    /// Whether nothing came of it.
    pub(super) fn is_nothing(&self) -> bool {
        self.flights.is_empty() && self.messages.is_empty() && !self.is_closed
    }
}

/// Why there is no association any more.
#[derive(Debug)]
pub(super) enum Ended {
    /// The other end, or nobody's answer, is to blame.
    By(dimpl::Error),
    /// dimpl is.
    Broken,
}

impl Association {
    /// Begins with the first hello that has a good cookie.
    pub(super) fn begin(
        config: &Arc<dimpl::Config>,
        now: Instant,
        hello: &Hello<'_>,
        datagram: &[u8],
    ) -> Result<(Association, Turn), Ended> {
        let good = <[u8; COOKIE_BYTES]>::try_from(hello.cookie).map_err(|_| Ended::Broken)?;
        let mut begun = Association {
            dtls: Box::new(dimpl::Dtls::new_12_psk(Arc::clone(config), now)),
            // The request to verify that is thrown away has number 0, and what follows 1.
            shift: hello.record_number.saturating_sub(1),
            number: hello.record_number,
        };
        begun.handle(now, &hello.without_cookie())?;
        GOOD.set(Some(good));
        let turn = begun.handle(now, datagram);
        GOOD.set(None);
        Ok((begun, turn?))
    }

    /// Takes a datagram.
    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8]) -> Result<Turn, Ended> {
        self.guarded(|dtls| {
            dtls.handle_timeout(now)?;
            dtls.handle_packet(datagram)
        })
    }

    /// Does what is due.
    pub(super) fn timeout(&mut self, now: Instant) -> Result<Turn, Ended> {
        self.guarded(|dtls| dtls.handle_timeout(now))
    }

    /// Protects a message.
    pub(super) fn protect(&mut self, now: Instant, message: &[u8]) -> Result<Turn, Ended> {
        self.guarded(|dtls| {
            dtls.handle_timeout(now)?;
            dtls.send_application_data(message).map(drop)
        })
    }

    /// The number of a record that tells its client that it ended, if that is worth a record: a handshake whose last message was not right.
    pub(super) fn alert_number(&self, ended: &Ended) -> Option<u64> {
        use dimpl::{Error, SecurityError};
        match ended {
            Ended::By(
                Error::SecurityError(SecurityError::ClientFinishedVerificationFailed) | Error::CryptoError(_),
            ) => Some(self.number + 1),
            _ => None,
        }
    }

    /// Whatever dimpl does with what strangers sent, it ends this association at most.
    fn guarded(
        &mut self,
        act: impl FnOnce(&mut dimpl::Dtls) -> Result<(), dimpl::Error>,
    ) -> Result<Turn, Ended> {
        let dtls = &mut self.dtls;
        let acted = catch_unwind(AssertUnwindSafe(|| act(dtls).map(|()| drain(dtls))));
        let mut turn = match acted {
            Ok(Ok(Some(turn))) => turn,
            Ok(Err(error)) => return Err(Ended::By(error)),
            Ok(Ok(None)) | Err(_) => return Err(Ended::Broken),
        };
        for flight in &mut turn.flights {
            record::shift(flight, self.shift);
            let plain = record::Record::all(flight).filter(|record| record.epoch == 0);
            self.number = plain.map(|record| record.number).fold(self.number, u64::max);
        }
        Ok(turn)
    }
}

/// `None` when something has no room, which nothing of ours is long enough for.
fn drain(dtls: &mut dimpl::Dtls) -> Option<Turn> {
    let mut turn = Turn::default();
    let mut buffer = [0; OUTPUT_BYTES];
    loop {
        match dtls.poll_output(&mut buffer) {
            Output::Packet(packet) => turn.flights.push(packet.to_vec()),
            Output::ApplicationData(message) => turn.messages.push(message.to_vec()),
            Output::Connected => turn.is_connected = true,
            Output::CloseNotify => turn.is_closed = true,
            Output::Timeout(at) => {
                turn.wake = Some(at);
                return Some(turn);
            }
            Output::BufferTooSmall { .. } => return None,
            _ => {}
        }
    }
}
