//! Devices with keys and the real gateway: over sockets, killed, from other ports, and among forgeries.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use gateway_core::Credentials;
use support::device::Device;
use support::{Site, firmware};
use wire_checkin::CheckIn;
use wire_coap::{
    BlockNumber, BlockSize, BlockValue, Code, ContentFormat, Kind, Message, MessageId, OptionNumber, Token,
    Writer,
};
use wire_oscore::{ClientExchange, Context, Id, OscoreOption, SenderSequence};

/// A device's end of the channel, with the sockets of as many addresses as it has had.
struct Secure {
    socket: UdpSocket,
    context: Context,
    sequence: SenderSequence,
    message_id: u16,
    echo: Option<Vec<u8>>,
    challenges: u32,
    /// What each nonce of the gateway's key sealed: by its own number, or that of the request.
    sealed: BTreeMap<(bool, u64), Vec<u8>>,
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

impl Secure {
    fn flashed_with(site: &Site, file: &str) -> Secure {
        let record = std::fs::read(site.path().join(file)).unwrap();
        let credentials = Credentials::decode(&record).unwrap();
        let id = |bytes: &[u8]| Id::new(bytes).unwrap();
        let (own, gateway) = (
            id(credentials.kid.as_bytes()),
            id(credentials.gateway_id.as_bytes()),
        );
        let mut sequence = SenderSequence::resume(0);
        sequence.reserved(1 << 20);
        Secure {
            socket: socket(),
            context: Context::derive(credentials.secret.expose(), &[], None, own, gateway).unwrap(),
            sequence,
            message_id: 0,
            echo: None,
            challenges: 0,
            sealed: BTreeMap::new(),
        }
    }

    fn protect(
        &mut self,
        code: Code,
        path: &str,
        block: Option<u32>,
        body: &[u8],
    ) -> (Vec<u8>, ClientExchange) {
        self.message_id += 1;
        let token = Token::from_u32(u32::from(self.message_id));
        let mut plain = [0; 512];
        let mut writer = Writer::new(
            &mut plain,
            Kind::Confirmable,
            code,
            MessageId(self.message_id),
            token,
        )
        .unwrap();
        writer.uri_path(path).unwrap();
        if !body.is_empty() {
            writer.content_format(ContentFormat::CBOR).unwrap();
        }
        if let Some(number) = block {
            let value = BlockValue::request(BlockNumber::new(number).unwrap(), BlockSize::B256);
            writer.block(OptionNumber::BLOCK2, value).unwrap();
        }
        if let Some(echo) = self.echo.take() {
            writer.option(OptionNumber::ECHO, &echo).unwrap();
        }
        writer.payload(body).unwrap();
        let plain = Message::parse(writer.finish()).unwrap();
        let mut out = [0; 600];
        let number = self.sequence.take().unwrap();
        let (sent, exchange) = self.context.protect_request(number, &plain, &mut out).unwrap();
        (sent.to_vec(), exchange)
    }

    /// Sends until something comes back; the same bytes, as RFC 7252 §4.2 has it.
    fn exchange(&mut self, gateway: SocketAddr, datagram: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 2_048];
        for _ in 0..10 {
            self.socket.send_to(datagram, gateway).unwrap();
            // An error is a timeout, or the ICMP answer while the gateway is down.
            while let Ok(length) = self.socket.recv(&mut buffer) {
                if buffer[2..4] == datagram[2..4] {
                    return buffer[..length].to_vec();
                }
            }
        }
        panic!("no answer");
    }

    /// Notes what an answer was sealed under.
    fn note(&mut self, request: &[u8], reply: &[u8]) {
        let number = |datagram: &[u8]| {
            let message = Message::parse(datagram).unwrap();
            let value = message.option(OptionNumber::OSCORE).expect("a protected message");
            OscoreOption::parse(value).unwrap().partial_iv
        };
        let own = number(reply);
        let nonce = (own.is_some(), own.or(number(request)).unwrap().value());
        let sealed = Message::parse(reply).unwrap().payload().to_vec();
        let before = self.sealed.insert(nonce, sealed.clone());
        assert!(
            before.is_none_or(|before| before == sealed),
            "nonce {nonce:?} used twice"
        );
    }

    fn ask(
        &mut self,
        gateway: SocketAddr,
        code: Code,
        path: &str,
        block: Option<u32>,
        body: &[u8],
    ) -> (Code, bool, Vec<u8>) {
        for _ in 0..3 {
            let (datagram, mut exchange) = self.protect(code, path, block, body);
            let mut reply = self.exchange(gateway, &datagram);
            self.note(&datagram, &reply);
            let message = self
                .context
                .unprotect_response(&mut exchange, &mut reply)
                .unwrap();
            self.echo = message.option(OptionNumber::ECHO).map(<[u8]>::to_vec);
            if self.echo.is_none() {
                let more = message.block2().unwrap().is_some_and(|block| block.more);
                return (message.code(), more, message.payload().to_vec());
            }
            self.challenges += 1;
        }
        panic!("challenged again and again");
    }

    fn check_in(&mut self, gateway: SocketAddr, said: &CheckIn) -> (Code, Option<wire_checkin::Job>) {
        let mut body = [0; wire_checkin::CHECK_IN_BYTES_MAX];
        let body = said.encode(&mut body).unwrap().to_vec();
        let (code, _, answer) = self.ask(gateway, Code::POST, "c", None, &body);
        let job = (code == Code::CHANGED).then(|| wire_checkin::Answer::decode(&answer).unwrap().job);
        (code, job.flatten())
    }
}

/// A gateway that serves devices with keys only, one of which is to be updated.
fn site() -> (Site, Secure, Device, wire_checkin::Job) {
    let mut site = Site::new();
    site.configure_exactly("127.0.0.1:0", "");
    site.start();
    let (v1, mut v2) = (firmware(1, 30_000), firmware(1, 30_000));
    v2[10_000..13_000].copy_from_slice(&firmware(7, 3_000));
    site.import("v1", &v1, 1);
    let digest = site.import("v2", &v2, 2);
    let device = Device::running(1, &v1, 1);
    site.done(&format!("device enrol {} --out device.dgc", device.id()));
    let mut secure = Secure::flashed_with(&site, "device.dgc");
    assert_eq!(secure.check_in(site.address(), &device.check_in).0, Code::CHANGED);
    assert_eq!(secure.challenges, 1);
    site.done(&format!(
        "update assign {} --device {}",
        &digest[..16],
        device.id()
    ));
    site.wait_until_built();
    let (_, job) = secure.check_in(site.address(), &device.check_in);
    (site, secure, device, job.expect("a job"))
}

#[test]
fn a_transfer_outlives_kills_of_the_gateway_and_changes_of_the_devices_port() {
    let (mut site, mut secure, _, job) = site();
    let mut payload = Vec::new();
    let mut kills = 0;
    for number in 0.. {
        if number % 4 == 3 {
            secure.socket = socket();
        }
        if number % 5 == 2 {
            site.kill();
            site.configure_exactly(&site.address().to_string(), "");
            site.start();
            kills += 1;
        }
        let (code, more, bytes) = secure.ask(site.address(), Code::GET, job.path.as_str(), Some(number), &[]);
        assert_eq!(code, Code::CONTENT, "block {number}");
        payload.extend(bytes);
        if !more {
            break;
        }
    }
    assert_eq!(payload.len(), job.payload_bytes as usize);
    assert_eq!(support::sha256(&payload)[..16], job.artefact_digest);
    assert!(kills >= 2, "{kills}");
    // One more round trip for each start, and nothing else.
    assert_eq!(secure.challenges, 1 + kills);
}

#[test]
fn a_retransmission_is_answered_with_the_same_bytes_from_wherever_it_comes() {
    let (site, mut secure, _, job) = site();
    let (datagram, _) = secure.protect(Code::GET, job.path.as_str(), Some(1), &[]);
    let first = secure.exchange(site.address(), &datagram);
    secure.socket = socket();
    assert_eq!(secure.exchange(site.address(), &datagram), first);
}

/// How many are tried: a million with `FORGERIES=1000000`.
fn forgeries() -> u32 {
    let asked = std::env::var("FORGERIES").ok();
    asked.map_or(5_000, |asked| asked.parse().expect("a number"))
}

/// Everything that was sent before is taken when CoAP's ping comes back.
fn settle(stranger: &UdpSocket, site: &Site) {
    let ping = [0x40, 0, 0xBE, 0xEF];
    stranger.send_to(&ping, site.address()).unwrap();
    let mut buffer = [0; 2_048];
    loop {
        let length = stranger.recv(&mut buffer).unwrap();
        if buffer[..length] == [0x70, 0, 0xBE, 0xEF] {
            return;
        }
    }
}

#[test]
fn forged_and_plain_messages_change_nothing() {
    let (site, mut secure, mut device, job) = site();
    let id = device.id();
    // Plain, as the same device: refused, whatever it says.
    let lie = device.ask(site.address(), Code::GET, |request| {
        request.uri_path(job.path.as_str()).unwrap();
    });
    assert_eq!(lie.code, Code::UNAUTHORIZED);
    let show = || {
        let mut shown = site.json(&format!("device show {id}"));
        // How long it was silent goes on.
        shown.as_object_mut().unwrap().remove("contact");
        (shown, site.json("device list"))
    };
    let before = show();
    device.check_in.last_update = Some(wire_checkin::LastUpdate {
        sequence_number: 2,
        outcome: wire_checkin::Outcome::RevertedFault,
        detail: None,
    });
    let mut body = [0; wire_checkin::CHECK_IN_BYTES_MAX];
    let body = device.check_in.encode(&mut body).unwrap().to_vec();
    // What a listener has: a request that was answered, and one that never arrived.
    let (old, _) = secure.protect(Code::GET, job.path.as_str(), Some(1), &[]);
    secure.exchange(site.address(), &old);
    let (news, mut exchange) = secure.protect(Code::POST, "c", None, &body);
    let lie = {
        let mut buffer = [0; 256];
        let (kind, token) = (Kind::NonConfirmable, Token::from_u32(7));
        let mut writer = Writer::new(&mut buffer, kind, Code::POST, MessageId(7), token).unwrap();
        writer.uri_path("c").unwrap();
        writer.content_format(ContentFormat::CBOR).unwrap();
        writer.payload(&body).unwrap();
        writer.finish().to_vec()
    };
    let stranger = socket();
    let mut dice = 0x9E37_79B9_u32;
    let mut roll = |of: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        dice as usize % of
    };
    let mut sent = 0;
    for round in 0..forgeries() {
        let of = if roll(2) == 0 { &old } else { &news };
        let mut forged = of.clone();
        match roll(4) {
            0 => forged = lie.clone(),
            1 => forged.truncate(9 + roll(forged.len() - 9)),
            2 => {
                let from = forged.len() / 3;
                forged[from..].fill_with(|| roll(256) as u8);
            }
            _ => {
                for _ in 0..=roll(3) {
                    // Behind header and token, which nobody protects.
                    let at = 8 + roll(forged.len() - 8);
                    forged[at] ^= 1 << roll(8);
                }
            }
        }
        if forged == news {
            continue;
        }
        stranger.send_to(&forged, site.address()).unwrap();
        sent += 1;
        // Not more at once than a socket holds.
        if round % 64 == 63 {
            settle(&stranger, &site);
        }
    }
    settle(&stranger, &site);
    let links = site.json("link list");
    let came = links["links"][0]["traffic"]["up_datagrams"].as_u64().unwrap();
    assert!(came >= sent, "{came} of {sent}: {links}");
    // Datagrams of a socket are taken in their order: this is answered when all of those were looked at, or lost.
    let (code, _, _) = secure.ask(site.address(), Code::GET, job.path.as_str(), Some(0), &[]);
    assert_eq!(code, Code::CONTENT);
    let after = show();
    let history = |shown: &serde_json::Value| shown["updates"].clone();
    assert_eq!(history(&before.0), history(&after.0));
    assert_eq!(
        before.1["devices"].as_array().unwrap().len(),
        after.1["devices"].as_array().unwrap().len()
    );
    assert_eq!(secure.challenges, 1);
    // And the true one is believed, for its number was noted by none of them.
    let mut reply = secure.exchange(site.address(), &news);
    let message = secure
        .context
        .unprotect_response(&mut exchange, &mut reply)
        .unwrap();
    assert_eq!(message.code(), Code::CHANGED);
    assert_eq!(
        site.json(&format!("device show {id}"))["updates"][0]["state"],
        "withheld"
    );
}
