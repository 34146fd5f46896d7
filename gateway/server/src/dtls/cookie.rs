//! Cookies (RFC 6347 §4.2.1): whoever sends one back receives at the address that it names. Nothing is kept for them.
//!
//! ```text
//! cookie   HMAC-SHA-256 of secret over: minute 8 ‖ address 16 (IPv4 mapped) ‖ port 2 ‖ of version with random and session id, suites,
//!          compression each: length 4, bytes
//! ```

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::hello::Hello;

/// As long as dimpl takes them.
pub(super) const COOKIE_BYTES: usize = 32;

/// How long a cookie counts at least; at most twice as long.
const COOKIE_MS: u64 = 60_000;

/// Makes cookies and knows them again.
pub(super) struct Cookies {
    secret: [u8; 32],
}

impl Cookies {
    pub(super) fn new(secret: [u8; 32]) -> Cookies {
        Cookies { secret }
    }

    /// The cookie of this client.
    pub(super) fn make(&self, now_ms: u64, peer: SocketAddr, hello: &Hello<'_>) -> [u8; COOKIE_BYTES] {
        self.mac(now_ms / COOKIE_MS, peer, hello)
            .finalize()
            .into_bytes()
            .into()
    }

    /// Whether a hello has its client's cookie.
    pub(super) fn verify(&self, now_ms: u64, peer: SocketAddr, hello: &Hello<'_>) -> bool {
        let minute = now_ms / COOKIE_MS;
        let minutes = [Some(minute), minute.checked_sub(1)];
        // Compared in a time that tells nothing.
        let is_of = |minute| self.mac(minute, peer, hello).verify_slice(hello.cookie).is_ok();
        minutes.into_iter().flatten().any(is_of)
    }

    fn mac(&self, minute: u64, peer: SocketAddr, hello: &Hello<'_>) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(&minute.to_be_bytes());
        let address = match peer.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        mac.update(&address.octets());
        mac.update(&peer.port().to_be_bytes());
        for part in hello.parameters() {
            mac.update(&(part.len() as u32).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::super::hello::tests::{FITTING, hello};
    use super::*;

    #[test]
    fn a_cookie_counts_for_its_client_alone_and_not_for_long() {
        let cookies = Cookies::new([7; 32]);
        let peer: SocketAddr = "192.0.2.1:5684".parse().unwrap();
        let first = hello(0, &[], FITTING.0, FITTING.1);
        let first = Hello::read(&first).unwrap();
        assert!(!cookies.verify(0, peer, &first));
        let cookie = cookies.make(59_999, peer, &first);
        let second = hello(1, &cookie, FITTING.0, FITTING.1);
        let second = Hello::read(&second).unwrap();
        for (now_ms, counts) in [(59_999, true), (119_999, true), (120_000, false), (0, true)] {
            assert_eq!(cookies.verify(now_ms, peer, &second), counts, "{now_ms}");
        }
        for other in ["192.0.2.1:5685", "192.0.2.2:5684", "[::ffff:192.0.2.3]:5684"] {
            assert!(
                !cookies.verify(59_999, other.parse().unwrap(), &second),
                "{other}"
            );
        }
        assert!(!Cookies::new([8; 32]).verify(59_999, peer, &second));
        let other_offer = hello(1, &cookie, &[0, 1, 0xC0, 0xA8], FITTING.1);
        assert!(!cookies.verify(59_999, peer, &Hello::read(&other_offer).unwrap()));
        let mut cut = cookie.to_vec();
        cut.pop();
        let cut = hello(1, &cut, FITTING.0, FITTING.1);
        assert!(!cookies.verify(59_999, peer, &Hello::read(&cut).unwrap()));
    }
}
