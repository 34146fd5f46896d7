//! OSCORE with aiocoap, which nobody here wrote, both ways: its client with our server, our client with its server.
//!
//! Our server begins with a window that is lost, so that all it is asked begins with the Echo of Appendix B.1.2. aiocoap comes
//! from `scripts/interop-tools`; without it the tests fail.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "no core: it talks to another process"
)]

mod our_client;
mod our_server;
mod theirs;

use our_client::Client;
use our_server::Server;
use theirs::{Aiocoap, Party};
use wire_coap::BlockSize;

/// What both servers have under `/body`: blocks of all sizes, the last one short.
fn body() -> Vec<u8> {
    (0..1_000_u32).map(|n| (n * 7 % 256) as u8).collect()
}

#[test]
fn their_client_fetches_from_our_server() {
    for (szx, block_size) in [(0, BlockSize::B16), (2, BlockSize::B64), (6, BlockSize::B1024)] {
        let server = Server::start();
        let fetched = Aiocoap::of(Party::Device).ask(server.port(), "GET", "body", szx, &[]);
        assert_eq!(fetched, body(), "{block_size:?}");
        let seen = server.stop();
        assert_eq!(seen.challenges, 1, "the first request, and no other");
        assert_eq!(seen.requests, 1_000_u32.div_ceil(block_size.bytes()));
        assert_eq!(seen.refused, 0);
    }
}

#[test]
fn their_client_posts_to_our_server() {
    let server = Server::start();
    let doubled = Aiocoap::of(Party::Device).ask(server.port(), "POST", "twice", 6, b"a check-in");
    assert_eq!(doubled, b"a check-ina check-in");
    assert_eq!(server.stop().requests, 1);
}

/// It keeps its sequence numbers in files; what it has sent before, it does not send again.
#[test]
fn their_client_goes_on_after_a_restart_with_our_server() {
    let (server, client) = (Server::start(), Aiocoap::of(Party::Device));
    for _ in 0..3 {
        assert_eq!(client.ask(server.port(), "GET", "body", 6, &[]), body());
    }
    let seen = server.stop();
    assert_eq!((seen.requests, seen.challenges, seen.refused), (3, 1, 0));
}

#[test]
fn our_client_fetches_from_their_server() {
    let server = Aiocoap::of(Party::Gateway).serve();
    let mut client = Client::resume(server.port(), 0);
    for block_size in [BlockSize::B16, BlockSize::B64, BlockSize::B512] {
        assert_eq!(client.fetch("body", block_size), body(), "{block_size:?}");
    }
}

/// Killed, it does not know any more what came.
#[test]
fn our_client_answers_the_challenge_of_their_server_that_restarted() {
    let server = Aiocoap::of(Party::Gateway).serve();
    let mut client = Client::resume(server.port(), 0);
    assert_eq!(client.post("twice", b"once"), b"onceonce");
    assert_eq!(client.challenges, 0);
    let server = server.killed().serve();
    let mut client = Client::resume(server.port(), 64);
    for _ in 0..2 {
        assert_eq!(client.post("twice", b"more"), b"moremore");
        assert_eq!(client.challenges, 1, "once is enough");
    }
}

/// aiocoap refuses what we replay, and takes what is new.
#[test]
fn their_server_refuses_a_replay() {
    let server = Aiocoap::of(Party::Gateway).serve();
    let mut client = Client::resume(server.port(), 0);
    assert_eq!(client.post("twice", b"once"), b"onceonce");
    let refusal = client.replay();
    assert_eq!(refusal.code(), wire_coap::Code::UNAUTHORIZED);
    assert_eq!(client.post("twice", b"more"), b"moremore");
}
