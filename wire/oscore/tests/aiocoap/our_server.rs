//! A gateway of few lines, that just restarted: `/body` in blocks, and `/twice`.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use wire_coap::{BlockSize, Code, Kind, Message, MessageId, OptionNumber, Writer, slice};
use wire_oscore::{EchoValue, OscoreOption, Received, ReplayWindow, SenderSequence};

use crate::body;
use crate::our_client::context;

/// What it saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) requests: u32,
    pub(crate) challenges: u32,
    pub(crate) refused: u32,
}

pub(crate) struct Server {
    port: u16,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

impl Server {
    pub(crate) fn start() -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let ends = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ends);
        let thread = std::thread::spawn(move || serve(&socket, &end));
        Server { port, ends, thread }
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn stop(self) -> Seen {
        self.ends.store(true, Ordering::SeqCst);
        // A datagram, so that it looks.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[], ("127.0.0.1", self.port)).unwrap();
        self.thread.join().unwrap()
    }
}

fn serve(socket: &UdpSocket, ends: &AtomicBool) -> Seen {
    let context = context(&[0x67], &[0x12, 0x34]);
    let mut window = ReplayWindow::lost(EchoValue(*b"restart!"));
    let mut sequence = SenderSequence::resume(0);
    sequence.reserved(16);
    let mut seen = Seen::default();
    loop {
        let (mut datagram, mut out) = ([0; 2_000], [0; 2_000]);
        let (length, peer) = socket.recv_from(&mut datagram).unwrap();
        if ends.load(Ordering::SeqCst) {
            return seen;
        }
        let datagram = &mut datagram[..length];
        let Ok(outside) = Message::parse(datagram) else {
            continue;
        };
        // aiocoap acknowledges, and asks nothing without OSCORE.
        let Some(value) = outside.option(OptionNumber::OSCORE) else {
            continue;
        };
        let option = OscoreOption::parse(value).unwrap();
        assert_eq!(option.kid, Some(&[0x12, 0x34][..]), "the context is found by kid");
        let sent = match context.unprotect_request(&mut window, datagram) {
            Ok(Received::Request {
                message,
                mut exchange,
            }) => {
                seen.requests += 1;
                let mut plain = [0; 2_000];
                let plain = answer(&message, &mut plain);
                context
                    .protect_response(&mut exchange, None, &plain, &mut out)
                    .unwrap()
            }
            Ok(Received::Unproven(challenge)) => {
                seen.challenges += 1;
                let fresh = sequence.take().unwrap();
                challenge
                    .protect(&context, fresh, MessageId(1), &mut out)
                    .unwrap()
            }
            Err(error) => {
                seen.refused += 1;
                println!("refused: {error}");
                continue;
            }
        };
        socket.send_to(sent, peer).unwrap();
    }
}

fn answer<'o>(request: &Message<'_>, out: &'o mut [u8]) -> Message<'o> {
    let (id, token) = (request.message_id(), request.token());
    let code = if request.path_is(&["body"]) {
        Code::CONTENT
    } else {
        Code::CHANGED
    };
    let mut writer = Writer::new(out, Kind::Acknowledgement, code, id, token).unwrap();
    if code == Code::CONTENT {
        let body = body();
        let asked = request.block2().unwrap();
        let block = slice(body.len() as u32, asked, BlockSize::B1024).unwrap();
        writer.block(OptionNumber::BLOCK2, block.value).unwrap();
        let (from, length) = (block.offset as usize, block.length as usize);
        writer.payload(&body[from..from + length]).unwrap();
    } else {
        writer.payload(&request.payload().repeat(2)).unwrap();
    }
    Message::parse(writer.finish()).unwrap()
}
