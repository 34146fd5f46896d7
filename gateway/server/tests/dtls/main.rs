//! `coaps://` as the installed base speaks it: the real gateway, and clients on OpenSSL, GnuTLS and tinydtls.
//!
//! `coap-client-openssl` and `coap-client-gnutls` are libcoap's (Debian package `libcoap3-bin`), aiocoap with tinydtls comes from
//! `scripts/interop-tools`. A missing client fails the test that needs it.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod clients;
mod relay;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use clients::{ALL, Client, Identity};
use relay::Relay;
use support::device::Device;
use support::{Site, firmware, hex, sha256};
use wire_checkin::{Answer, CHECK_IN_BYTES_MAX};

const OWN: Identity<'static> = Identity {
    name: "urn:dev:1",
    key: "sixteen octets!!",
};
const OTHER: Identity<'static> = Identity {
    name: "urn:dev:2",
    key: "other octets, 16",
};
/// At 256 bytes a block and 1,024 more than one, and a last one that is full at neither.
const IMAGE_BYTES: usize = 20_011;
/// Whoever is served is so in less than a second; whoever is not is told, or waits for nothing.
const PATIENCE_S: &str = "30";
const NO_PATIENCE_S: &str = "4";

const A: &str = "525400000001";
const B: &str = "525400000002";

/// A gateway that serves only who has a key, with two devices that have one.
fn site() -> Site {
    let mut site = Site::new();
    site.configure(
        "127.0.0.1:0",
        "coaps_listen = \"127.0.0.1:0\"\naccess = \"authenticated\"\nmetrics = \"127.0.0.1:0\"\n",
    );
    site.start();
    enrol(&site, "enrol", A, OWN);
    enrol(&site, "enrol", B, OTHER);
    site
}

fn enrol(site: &Site, what: &str, device: &str, identity: Identity<'_>) {
    fs::write(site.path().join("key"), hex(identity.key.as_bytes())).unwrap();
    site.done(&format!(
        "device {what} {device} --psk {} --psk-key key",
        identity.name
    ));
}

fn secure_address(site: &Site) -> SocketAddr {
    let address = fs::read_to_string(site.state().join("coaps.addr")).unwrap();
    address.trim().parse().unwrap()
}

fn uri(site: &Site, path: &str) -> String {
    format!("coaps://{}/{path}", secure_address(site))
}

#[test]
fn every_client_gets_the_image_block_by_block() {
    let site = site();
    let image = firmware(1, IMAGE_BYTES);
    let digest = site.import("v1", &image, 1);
    let path = format!("i/{}", &digest[..16]);
    for client in ALL {
        let fetched = client.fetch(&uri(&site, &path), OWN, PATIENCE_S);
        let fetched = fetched.unwrap_or_else(|printed| panic!("{client:?} got nothing: {printed}"));
        assert_eq!(
            (fetched.len(), sha256(&fetched)),
            (image.len(), sha256(&image)),
            "{client:?}"
        );
    }
    // Where nobody without a key is served.
    let plain = std::process::Command::new("coap-client-notls")
        .args(["-B", PATIENCE_S, &format!("coap://{}/{path}", site.address())])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&plain.stderr).into_owned();
    assert!(said.contains("4.01"), "{said}");
}

#[test]
fn a_device_checks_in_and_fetches_its_patch_and_no_other_does() {
    let site = site();
    let (v1, mut v2) = (firmware(1, 30_000), firmware(1, 30_000));
    v2[100..104].copy_from_slice(b"new!");
    site.import("v1", &v1, 1);
    let digest = site.import("v2", &v2, 2);
    let device = Device::running(1, &v1, 1);
    let mut body = [0; CHECK_IN_BYTES_MAX];
    let body = device.check_in.encode(&mut body).unwrap();
    let check_in = |client: Client| client.post(&uri(&site, "c"), OWN, body).unwrap();
    assert!(
        site.done(&format!("device show {A}"))
            .contains("PSK urn:dev:1, not used yet")
    );
    let first = check_in(Client::OpenSsl);
    assert_eq!(Answer::decode(&first).unwrap().job, None);
    site.done(&format!("update assign {} --device {A}", &digest[..16]));
    site.wait_until_built();
    let told = check_in(Client::GnuTls);
    let job = Answer::decode(&told).unwrap().job.unwrap();
    for client in ALL {
        let path = uri(&site, job.path.as_str());
        let payload = client.fetch(&path, OWN, PATIENCE_S).unwrap();
        assert_eq!(sha256(&payload)[..16], job.artefact_digest, "{client:?}");
        let refused = client.fetch(&path, OTHER, PATIENCE_S).unwrap_err();
        assert!(refused.contains("4.04"), "{client:?}: {refused}");
    }
    // Another device's check-in is none of this one's.
    let refused = Client::OpenSsl.post(&uri(&site, "c"), OTHER, body).unwrap_err();
    assert!(refused.contains("4.03"), "{refused}");
    let shown = site.done(&format!("device show {A}"));
    assert!(
        shown.contains("PSK urn:dev:1") && !shown.contains("not used yet"),
        "{shown}"
    );
}

#[test]
fn a_wrong_key_and_an_unknown_identity_get_nothing() {
    let site = site();
    let image = firmware(1, IMAGE_BYTES);
    let digest = site.import("v1", &image, 1);
    let image_uri = uri(&site, &format!("i/{}", &digest[..16]));
    let wrong = Identity {
        key: "sixteen octets!?",
        ..OWN
    };
    let unknown = Identity {
        name: "urn:dev:3",
        ..OWN
    };
    for client in ALL {
        for identity in [wrong, unknown] {
            let got = client.fetch(&image_uri, identity, NO_PATIENCE_S);
            assert!(
                got.is_err(),
                "{client:?} as {identity:?} got {} bytes",
                got.unwrap().len()
            );
        }
    }
    // The key that counts is the one that was given last.
    let rotated = Identity {
        key: "sixteen more of!",
        ..OWN
    };
    enrol(&site, "rotate", A, rotated);
    assert!(Client::OpenSsl.fetch(&image_uri, OWN, NO_PATIENCE_S).is_err());
    let fetched = Client::OpenSsl.fetch(&image_uri, rotated, PATIENCE_S).unwrap();
    assert_eq!(sha256(&fetched), sha256(&image));
    site.done(&format!("device retire {A}"));
    assert!(Client::OpenSsl.fetch(&image_uri, rotated, NO_PATIENCE_S).is_err());
    let fetched = Client::GnuTls.fetch(&image_uri, OTHER, PATIENCE_S).unwrap();
    assert_eq!(sha256(&fetched), sha256(&image));
}

/// Its memory as the system has it.
fn resident_bytes(site: &Site) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{}/statm", site.process_id())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

/// 20,000 hellos and as many datagrams of anything, from 64 ports: nothing is kept of them, and who has a key is served after them as
/// before.
#[test]
fn hostile_datagrams_cost_the_gateway_no_memory_and_nobody_a_session() {
    let site = site();
    let image = firmware(1, IMAGE_BYTES);
    let digest = site.import("v1", &image, 1);
    let image_uri = uri(&site, &format!("i/{}", &digest[..16]));
    let fetched = || Client::OpenSsl.fetch(&image_uri, OWN, PATIENCE_S).unwrap();
    assert_eq!(sha256(&fetched()), sha256(&image));
    let before = resident_bytes(&site);
    let gateway = secure_address(&site);
    let sockets: Vec<UdpSocket> = (0..64).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut state = 1_u64;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let hello = hello();
    let mut answers = 0;
    for round in 0..40_000 {
        let socket = &sockets[round % sockets.len()];
        let mut datagram = hello.clone();
        if round % 2 == 1 {
            for _ in 0..=random() % 16 {
                let at = random() % datagram.len();
                datagram[at] = random() as u8;
            }
            datagram.truncate(1 + random() % datagram.len());
        }
        socket.send_to(&datagram, gateway).unwrap();
        // One that is answered, every so often: it shows that all before it was taken, too.
        if round % 50 == 48 {
            socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            answers += usize::from(socket.recv(&mut [0; 64]).is_ok());
        }
    }
    assert!(answers > 700, "{answers} of 800 hellos were answered");
    let grown = resident_bytes(&site).saturating_sub(before);
    assert!(grown < 2_000_000, "{grown} bytes");
    assert_eq!(sha256(&fetched()), sha256(&image));
    let metrics = metrics(&site);
    assert!(
        metrics.contains("deltagate_dtls_handshakes_total{result=\"broken\"} 0\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("deltagate_dtls_handshakes_total{result=\"completed\"} 2\n"),
        "{metrics}"
    );
}

/// A ClientHello of the suite that is served, without a cookie: RFC 6347 §4.2.1.
fn hello() -> Vec<u8> {
    let body = [
        &[0xFE, 0xFD][..],
        &[0x5A; 32],
        &[0, 0, 0, 2, 0xC0, 0xA8, 1, 0, 0, 4, 0, 0x17, 0, 0],
    ]
    .concat();
    let length = [0, 0, body.len() as u8];
    let message = [&[1][..], &length, &[0; 5], &length, &body].concat();
    let header = [22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, message.len() as u8];
    [&header[..], &message].concat()
}

fn metrics(site: &Site) -> String {
    use std::io::{Read, Write};
    let address = fs::read_to_string(site.state().join("metrics.addr")).unwrap();
    let mut stream = std::net::TcpStream::connect(address.trim()).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

/// `docs/dtls.md` has the figures: cargo test -p deltagate --test dtls -- --ignored --nocapture what_a_handshake_costs
#[test]
#[ignore = "measures: scripts/bench-dtls"]
fn what_a_handshake_costs() {
    let site = site();
    for client in ALL {
        let relay = Relay::to(secure_address(&site));
        let uri = format!("coaps://{}/.well-known/core", relay.address);
        client.fetch(&uri, OWN, PATIENCE_S).unwrap();
        let seen = relay.seen();
        // Application data is 23, an alert 21.
        let handshake: Vec<_> = seen.iter().take_while(|seen| seen.content_type != 23).collect();
        let told: Vec<String> = handshake
            .iter()
            .map(|seen| format!("{}{}", if seen.is_up { "→" } else { "←" }, seen.bytes))
            .collect();
        let sum = |is_up| -> usize {
            handshake
                .iter()
                .filter(|seen| seen.is_up == is_up)
                .map(|seen| seen.bytes)
                .sum()
        };
        let turns = handshake
            .windows(2)
            .filter(|pair| pair[0].is_up && !pair[1].is_up)
            .count();
        println!(
            "{client:?}: {} = {} up + {} down in {} datagrams, {turns} round trips",
            told.join(" "),
            sum(true),
            sum(false),
            handshake.len()
        );
        let messages = seen.iter().filter(|seen| seen.content_type == 23);
        let messages: Vec<usize> = messages.map(|seen| seen.bytes).collect();
        println!("  then {messages:?}");
    }
}
