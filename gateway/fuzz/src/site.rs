//! A whole gateway with an update under way: datagrams of anybody, messages under a device's key, and time.
//!
//! ```text
//! input   one or more of    what u8 │ length u8 │ bytes
//!         what  bits 0..3   who sends: one of 16 addresses
//!               bits 4..5   0, 1: a datagram as it is; 2: a plain message, protected with the key of device 3; 3: nothing, but so many
//!                           tenths of a second pass
//!               bit 6       from where no prefix is trusted
//! ```

use core::net::SocketAddr;
use gateway_core::Change;
use wire_checkin::CheckIn;
use wire_coap::Message;
use wire_oscore::{Context, Id, OVERHEAD_BYTES_MAX, SenderSequence};

use crate::common::{Disk, Shell, check_in, digest, get, open, peer, post};
use crate::secure::{SecureDevice, credentials};

/// Messages of one input; more find nothing that fewer do not.
const STEPS_MAX: usize = 16;
/// Answers to one datagram: one, and what may have waited for the link.
const ANSWERS_MAX: usize = 64;

pub(crate) fn gateway(bytes: &[u8]) {
    let (mut shell, mut key) = SITE.with(Site::again);
    let mut rest = bytes;
    for _ in 0..STEPS_MAX {
        let [what, length, following @ ..] = rest else {
            return;
        };
        let length = usize::from(*length).min(following.len());
        let (message, behind) = following.split_at(length);
        rest = behind;
        let from = match what & 0x40 {
            0 => peer(what & 0x0F),
            _ => SocketAddr::from(([192, 0, 2, what & 0x0F], 5683)),
        };
        shell.sent.clear();
        match what >> 4 & 3 {
            0 | 1 => shell.send(from, message),
            2 => {
                if let Some(datagram) = Message::parse(message).ok().and_then(|plain| key.seal(&plain)) {
                    shell.send(from, &datagram);
                }
            }
            _ => shell.sleep(message.first().map_or(0, |tenths| u64::from(*tenths) * 100)),
        }
        assert!(shell.sent.len() <= ANSWERS_MAX, "{} answers", shell.sent.len());
        for (_, transmit) in &shell.sent {
            assert!(
                Message::parse(&transmit.bytes).is_ok(),
                "the gateway sends what is no message"
            );
        }
        shell.builds.clear();
    }
}

/// A gateway that was set up once, and what it is set up again from for each input: as after a restart.
struct Site {
    changes: Vec<Change>,
    disk: Disk,
    now_ms: u64,
    check_in: CheckIn,
}

thread_local! {
    static SITE: Site = Site::new();
}

impl Site {
    fn new() -> Site {
        let mut shell = Shell::ready(open());
        SecureDevice::enrolled(&mut shell, NUMBER);
        Site {
            changes: shell.changes,
            disk: shell.disk,
            now_ms: shell.now_ms,
            check_in: check_in(NUMBER, 1),
        }
    }

    /// The gateway, and the key of a device that has proved to it that it is no recording.
    fn again(&self) -> (Shell, Key) {
        let mut shell = Shell::new(open());
        (shell.changes, shell.disk) = (self.changes.clone(), self.disk.clone());
        shell.now_ms = self.now_ms;
        shell.restart();
        let mut device = SecureDevice::with(NUMBER, &credentials(NUMBER));
        device.check_in(&mut shell, &self.check_in);
        (shell, Key::new())
    }
}

/// The device whose key is used.
const NUMBER: u8 = 3;

struct Key {
    context: Context,
    sequence: SenderSequence,
}

impl Key {
    fn new() -> Key {
        let credentials = credentials(NUMBER);
        let id = |bytes: &[u8]| Id::new(bytes).unwrap();
        let (own, gateway) = (
            id(credentials.kid.as_bytes()),
            id(credentials.gateway_id.as_bytes()),
        );
        // Behind what the device itself has used.
        let mut sequence = SenderSequence::resume(64);
        sequence.reserved(1 << 30);
        Key {
            context: Context::derive(credentials.secret.expose(), &[], None, own, gateway).unwrap(),
            sequence,
        }
    }

    /// `None` of what cannot be protected, such as an answer.
    fn seal(&mut self, plain: &Message<'_>) -> Option<Vec<u8>> {
        let mut out = vec![0; 300 + OVERHEAD_BYTES_MAX];
        let number = self.sequence.take()?;
        let (sent, _) = self.context.protect_request(number, plain, &mut out).ok()?;
        Some(sent.to_vec())
    }
}

/// One step.
fn step(what: u8, message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![what, u8::try_from(message.len()).unwrap()];
    bytes.extend(message);
    bytes
}

pub(crate) fn gateway_seeds() -> Vec<Vec<u8>> {
    let (plain, secure) = (post(1, &check_in(1, 1)), post(2, &check_in(3, 1)));
    let mut shell = Shell::ready(open());
    let job = shell.check_in(1, 7, &check_in(1, 1)).job.unwrap();
    let block = get(3, &[job.path.as_str()], None);
    let other = Key::new().seal(&Message::parse(&secure).unwrap()).unwrap();
    vec![
        [
            step(1, &plain),
            step(1, &block),
            step(0x30, &[50]),
            step(1, &block),
        ]
        .concat(),
        [
            step(0x23, &secure),
            step(0x23, &get(4, &[".well-known", "core"], None)),
        ]
        .concat(),
        step(3, &other),
        step(9, &get(5, &["i", "0011223344556677"], None)),
        [
            step(0x41, &get(6, &["i", &digest(1).short_hex()], None)),
            step(0x41, &plain),
            step(0x63, &secure),
        ]
        .concat(),
    ]
}
