//! Stands between a client and the gateway and writes down what goes by.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A datagram that went by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) is_up: bool,
    pub(crate) bytes: usize,
    /// RFC 6347 §4.1: of its first record.
    pub(crate) content_type: u8,
}

/// One client's way.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    is_over: Arc<AtomicBool>,
    worker: JoinHandle<Vec<Seen>>,
}

impl Relay {
    pub(crate) fn to(gateway: SocketAddr) -> Relay {
        let socket = || {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let patience = Duration::from_millis(1);
            socket
                .set_read_timeout(Some(patience))
                .expect("it takes a timeout");
            socket
        };
        let (front, back) = (socket(), socket());
        let address = front.local_addr().expect("it is bound");
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let worker = std::thread::spawn(move || {
            let (mut seen, mut client, mut buffer) = (Vec::new(), None, [0; 2_048]);
            let mut note = |is_up, datagram: &[u8]| {
                seen.push(Seen {
                    is_up,
                    bytes: datagram.len(),
                    content_type: datagram.first().copied().unwrap_or_default(),
                });
            };
            while !over.load(Ordering::Relaxed) {
                if let Ok((length, from)) = front.recv_from(&mut buffer) {
                    client = Some(from);
                    note(true, &buffer[..length]);
                    let _ = back.send_to(&buffer[..length], gateway);
                }
                if let (Ok(length), Some(client)) = (back.recv(&mut buffer), client) {
                    note(false, &buffer[..length]);
                    let _ = front.send_to(&buffer[..length], client);
                }
            }
            seen
        });
        Relay {
            address,
            is_over,
            worker,
        }
    }

    /// Everything that went by.
    pub(crate) fn seen(self) -> Vec<Seen> {
        self.is_over.store(true, Ordering::Relaxed);
        self.worker.join().expect("the relay does not fail")
    }
}
