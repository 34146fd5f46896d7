//! What strangers send: 20,000 datagrams that no client should send, then a correct transfer and a look at the memory.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use support::decode::apply;
use support::device::Device;
use support::{Site, firmware};
use wire_coap::BlockSize;

/// Datagrams that are sent.
const DATAGRAMS: usize = 20_000;
/// Sent before the gateway must show that it is alive. 50 datagrams of 2 KiB fit the smallest usual receive buffer.
const BURST: usize = 50;
/// Addresses and ports they come from.
const SOURCES: u8 = 64;
/// What the gateway may hold more than before: 256 strangers with their answers are 0.5 MB, and that is what is measured.
/// 200 bytes kept of every datagram would show.
#[cfg(target_os = "linux")]
const GROWTH_BYTES_MAX: u64 = 4_000_000;

const CON: u8 = 0x40;
const GET: u8 = 0x01;
const POST: u8 = 0x02;
const URI_PATH: u16 = 11;
const CONTENT_FORMAT: u16 = 12;
const BLOCK2: u16 = 23;
/// Elective and unknown to everybody (RFC 7252 §5.4.1): has to be ignored.
const ELECTIVE: u16 = 65_000;

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// A message with an empty token. Nothing here keeps it legal.
fn message(first: u8, code: u8, id: u16, options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut bytes = vec![first, code, high, low];
    let mut last = 0;
    for (number, value) in options {
        let (delta, delta_more) = extended(number - last);
        let (length, length_more) = extended(value.len() as u16);
        bytes.push(delta << 4 | length);
        bytes.extend(delta_more.into_iter().chain(length_more));
        bytes.extend_from_slice(value);
        last = *number;
    }
    if !payload.is_empty() {
        bytes.push(0xFF);
        bytes.extend_from_slice(payload);
    }
    bytes
}

/// RFC 7252 §3.1: a nibble and what extends it.
fn extended(value: u16) -> (u8, Vec<u8>) {
    match value {
        0..13 => (value as u8, Vec::new()),
        13..269 => (13, vec![(value - 13) as u8]),
        _ => (14, (value - 269).to_be_bytes().to_vec()),
    }
}

/// What a stranger builds on: a real path and a real check-in of a device of its own.
struct Stranger {
    random: Random,
    path: Vec<u8>,
    check_in: Vec<u8>,
    id: u16,
}

impl Stranger {
    fn get(&mut self) -> Vec<u8> {
        let number = self.random.bytes(2);
        message(
            CON,
            GET,
            self.id,
            &[(URI_PATH, &self.path), (BLOCK2, &number)],
            &[],
        )
    }

    fn post(&self, body: &[u8]) -> Vec<u8> {
        message(
            CON,
            POST,
            self.id,
            &[(URI_PATH, b"c"), (CONTENT_FORMAT, &[60])],
            body,
        )
    }

    /// The next one, of fourteen kinds.
    fn datagram(&mut self) -> Vec<u8> {
        self.id = self.id.wrapping_add(1);
        let check_in = self.post(&self.check_in.clone());
        let get = self.get();
        let random = &mut self.random;
        match random.below(14) {
            0 => {
                let length = random.below(1_500);
                random.bytes(length)
            }
            1 => check_in[..random.below(check_in.len())].to_vec(),
            2 if random.below(2) == 0 => flipped(random, get),
            2 => flipped(random, check_in),
            // Versions 0, 2 and 3.
            3 => [&[[0x00, 0x80, 0xC0][random.below(3)]], &get[1..]].concat(),
            // Token lengths that are reserved.
            4 => [&[CON | (9 + random.below(7) as u8)], &get[1..]].concat(),
            5 => {
                let storm = vec![(URI_PATH, b"".as_slice()); 1 + random.below(1_900)];
                message(CON, GET, self.id, &storm, &[])
            }
            // Deltas and lengths past the end, and the reserved nibble.
            6 => {
                let option = [0xEE, 0xE0, 0x0E, 0xF0, 0x0F, 0xDD][random.below(6)];
                let length = random.below(6);
                [&get[..4], &[option], &random.bytes(length)].concat()
            }
            7 => [&get[..1], &[random.next() as u8 | 0x20], &get[2..]].concat(),
            8 => {
                let path = vec![b'a'; 1_280];
                message(CON, GET, self.id, &[(URI_PATH, &path)], &[])
            }
            9 => {
                let body = hostile_cbor(random);
                self.post(&body)
            }
            10 => {
                let body = flipped(random, self.check_in.clone());
                self.post(&body)
            }
            11 => {
                let length = random.below(9);
                let value = random.bytes(length);
                message(
                    CON,
                    GET,
                    self.id,
                    &[(URI_PATH, &self.path), (BLOCK2, &value)],
                    &[],
                )
            }
            // A payload marker with nothing behind it, or an empty message that is not empty.
            12 if random.below(2) == 0 => [get.as_slice(), &[0xFF]].concat(),
            12 => message(CON, 0, self.id, &[], b"x"),
            // A correct check-in, as long as a datagram may be, each time another device.
            _ => {
                let padding = [0; 250];
                let mut options = vec![(URI_PATH, b"c".as_slice()), (CONTENT_FORMAT, &[60])];
                options.extend([(ELECTIVE, padding.as_slice()); 7]);
                let mut body = self.check_in.clone();
                let at = body.windows(4).position(|four| four == [0xEE; 4]).unwrap();
                body[at..at + 4].copy_from_slice(&random.bytes(4));
                message(CON, POST, self.id, &options, &body)
            }
        }
    }
}

fn flipped(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
    }
    bytes
}

/// RFC 8949: nesting, lengths that are not there, indefinite lengths, reserved values, rubbish.
fn hostile_cbor(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => vec![0x81; 1 + random.below(1_000)],
        1 => [&[0xBB][..], &[0xFF; 8]].concat(),
        2 => [&[0xA1, 0x01, 0x5B][..], &[0xFF; 8]].concat(),
        3 => [&[0xBF][..], &[0x5F; 500]].concat(),
        4 => vec![0xFC + random.below(4) as u8; 3],
        _ => {
            let length = random.below(200);
            random.bytes(length)
        }
    }
}

/// Resident memory.
#[cfg(target_os = "linux")]
fn resident_bytes(site: &Site) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", site.process_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1_024
}

/// RFC 7252 §4.3: an empty CON is answered with a Reset. What was sent before it has been taken then.
fn ping(socket: &UdpSocket, gateway: SocketAddr, id: u16) {
    let [high, low] = id.to_be_bytes();
    let mut answer = [0; 16];
    for _ in 0..10 {
        socket.send_to(&[CON, 0, high, low], gateway).unwrap();
        while let Ok((length, _)) = socket.recv_from(&mut answer) {
            if answer[..length] == [0x70, 0, high, low] {
                return;
            }
        }
    }
    panic!("the gateway is deaf");
}

#[test]
fn twenty_thousand_hostile_datagrams_cost_nobody_a_transfer_and_the_gateway_no_memory() {
    let mut site = Site::new();
    let link = "[[link]]\nname = \"loopback\"\nprefixes = [\"127.0.0.0/8\"]\nack_timeout_ms = 2_000\n\
                rate_bits_per_second = 10_000_000_000\n";
    site.configure("127.0.0.1:0", link);
    let gateway = site.start();
    let v1 = firmware(1, 60_000);
    let v2 = [&v1[..30_000], b"inserted", &v1[30_000..]].concat();
    site.import("v1", &v1, 1);
    let digest = site.import("v2", &v2, 2);
    let mut device = Device::running(1, &v1, 1);
    device.check_in(gateway);
    site.done(&format!("update assign {digest} --device {}", device.id()));
    let (job, _) = device.job(&site);
    let path = job.path.as_str();
    let (payload, _) = device.fetch_from(gateway, path, 0, BlockSize::B64);
    assert_eq!(apply(&v1, &payload), v2);

    let mut other = Device::running(2, &v1, 1).check_in;
    other.device_id = wire_checkin::DeviceId::new(&[0xEE; 16]).unwrap();
    let mut body = [0; wire_checkin::CHECK_IN_BYTES_MAX];
    let mut stranger = Stranger {
        random: Random(0x9E37_79B9_7F4A_7C15),
        path: path.into(),
        check_in: other.encode(&mut body).unwrap().to_vec(),
        id: 0,
    };
    let sources: Vec<UdpSocket> = (1..=SOURCES)
        .map(|last| UdpSocket::bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap())
        .collect();
    sources[0].set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    #[cfg(target_os = "linux")]
    let before = resident_bytes(&site);
    for sent in 1..=DATAGRAMS {
        let from = &sources[sent % sources.len()];
        from.send_to(&stranger.datagram(), gateway).unwrap();
        if sent % BURST == 0 {
            ping(&sources[0], gateway, sent as u16);
        }
    }

    let (again, _) = device.fetch_from(gateway, path, 0, BlockSize::B64);
    assert_eq!(again, payload);
    #[cfg(target_os = "linux")]
    {
        let grown = resident_bytes(&site).saturating_sub(before);
        assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more than before");
    }
    let shown = site.json("link show loopback");
    let heard = shown["link"]["traffic"]["up_datagrams"].as_u64().unwrap();
    assert!(
        heard >= DATAGRAMS as u64,
        "{heard} heard: the others were lost before"
    );
    let status = site.json("status");
    assert_eq!(
        status["unclaimed_devices"], 256,
        "the list of strangers is full and no longer"
    );
    assert_eq!(status["updates"][0]["stage"], "installing");
}
