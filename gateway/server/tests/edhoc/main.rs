//! Devices with keys of their own and the real gateway: over sockets, killed in the middle, and by a client that nobody here wrote.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::{Site, firmware, hex};
use wire_coap::{Code, Kind, Message, MessageId, Token, Writer};
use wire_edhoc::{Credential, Initiator, Payload, PrivateKey, Proved, PublicKey};
use wire_oscore::{Context, Id, SenderSequence};

const DEVICE: &str = "525400000001";

/// A gateway that serves devices with keys only, device 1 among them by a key of its own; and the path of an image.
fn site() -> (Site, PrivateKey, String) {
    let mut site = Site::new();
    site.configure("127.0.0.1:0", "access = \"authenticated\"\n");
    site.start();
    let digest = site.import("v1", &firmware(1, 3_000), 1);
    site.wait_until_built();
    let key = PrivateKey::of_seed(&[1; 32]).unwrap();
    let done = site.done(&format!(
        "device enrol {DEVICE} --label roof --public-key {}",
        hex(key.public().as_bytes())
    ));
    assert!(
        done.contains("enrolled device 525400000001 by a key of its own"),
        "{done}"
    );
    assert!(done.contains(&gateway_key(&site)), "{done}");
    (site, key, digest[..16].to_owned())
}

fn gateway_key(site: &Site) -> String {
    site.done("device gateway-key").trim().to_owned()
}

struct Client {
    socket: UdpSocket,
    gateway: SocketAddr,
    key: PrivateKey,
    theirs: Credential,
    message_id: u16,
}

impl Client {
    fn new(site: &Site, key: &PrivateKey) -> Client {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let digits = gateway_key(site);
        let x: Vec<u8> = (0..32)
            .map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let theirs = PublicKey::read(&x).unwrap();
        Client {
            socket,
            gateway: site.address(),
            key: key.clone(),
            theirs: Credential::new(&[0], &theirs).unwrap(),
            message_id: 0,
        }
    }

    fn exchange(&self, datagram: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 2_048];
        self.socket.send_to(datagram, self.gateway).unwrap();
        let length = self.socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    fn request(&mut self, code: Code, path: &[&str], payload: &[u8]) -> Vec<u8> {
        self.message_id += 1;
        let mut buffer = [0; 300];
        let (id, token) = (
            MessageId(self.message_id),
            Token::from_u32(self.message_id.into()),
        );
        let mut writer = Writer::new(&mut buffer, Kind::Confirmable, code, id, token).unwrap();
        path.iter().for_each(|segment| writer.uri_path(segment).unwrap());
        writer.payload(payload).unwrap();
        writer.finish().to_vec()
    }

    /// As far as message_3, which is not sent.
    fn begin(&mut self, ephemeral: u8) -> (Proved, Vec<u8>) {
        let ephemeral = PrivateKey::of_seed(&[ephemeral; 32]).unwrap();
        let (initiator, message_1) = Initiator::start(&ephemeral, Id::EMPTY).unwrap();
        let mut body = [0; 128];
        let body = Payload::First(message_1.as_bytes()).write(&mut body).unwrap();
        let request = self.request(Code::POST, &wire_edhoc::PATH, body);
        let reply = self.exchange(&request);
        assert!(reply.len() <= request.len());
        let reply = Message::parse(&reply).unwrap();
        assert_eq!(reply.code(), Code::CHANGED);
        let kid = [0x52, 0x54, 0, 0, 0, 1];
        let ours = Credential::new(&kid, self.key.public()).unwrap();
        let proved = initiator.answer(reply.payload(), &self.key, &ours, &self.theirs);
        let (proved, message_3) = proved.unwrap();
        (proved, message_3.as_bytes().to_vec())
    }

    /// The answer to a combined request for an image, if it is protected.
    fn fetch(&mut self, proved: &Proved, message_3: &[u8], image: &str) -> Option<(Code, usize)> {
        let plain = self.request(Code::GET, &["i", image], &[]);
        let context = proved.established.initiator_context().unwrap();
        let mut sequence = SenderSequence::resume(0);
        sequence.reserved(64);
        let (mut protected, mut combined) = ([0; 300], [0; 400]);
        let plain = Message::parse(&plain).unwrap();
        let number = sequence.take().unwrap();
        let (protected, mut exchange) = context.protect_request(number, &plain, &mut protected).unwrap();
        let protected = Message::parse(protected).unwrap();
        let combined = wire_edhoc::combine(&protected, message_3, &mut combined).unwrap();
        let mut reply = self.exchange(combined);
        // A retransmission gets the same.
        assert_eq!(self.exchange(combined), reply);
        let message = context.unprotect_response(&mut exchange, &mut reply).ok()?;
        Some((message.code(), message.payload().len()))
    }
}

#[test]
fn a_device_is_served_within_two_round_trips_and_the_gateway_keeps_its_key() {
    let (mut site, key, image) = site();
    let mut client = Client::new(&site, &key);
    let (proved, message_3) = client.begin(2);
    let told = client.fetch(&proved, &message_3, &image);
    assert_eq!(told, Some((Code::CONTENT, 1_024)));
    let own = gateway_key(&site);
    let shown = site.done("device show roof");
    assert!(shown.contains("by a key of its own"), "{shown}");
    let identity = site.json("device show roof")["device"]["identity"].clone();
    assert_eq!(identity["public_key"], hex(key.public().as_bytes()));
    assert!(identity["proven_since_unix_s"].is_u64(), "{identity}");

    // Killed between message_2 and message_3: nothing came of it, and the next handshake goes through.
    let (proved, message_3) = client.begin(3);
    site.kill();
    site.configure(&site.address().to_string(), "access = \"authenticated\"\n");
    site.start();
    assert_eq!(gateway_key(&site), own);
    assert_eq!(client.fetch(&proved, &message_3, &image), None);
    let (proved, message_3) = client.begin(4);
    assert_eq!(
        client.fetch(&proved, &message_3, &image),
        Some((Code::CONTENT, 1_024))
    );
    let identity = site.json("device show roof")["device"]["identity"].clone();
    assert_eq!(identity["kids"].as_array().unwrap().len(), 1);

    // The database has neither the gateway's private key nor anything else that could be used without the sealing key.
    site.terminate();
    let database = fs::read(site.state().join("gateway.db")).unwrap();
    for secret in [&proved.established.master_secret[..], key.public().as_bytes()] {
        assert!(!database.windows(secret.len()).any(|bytes| bytes == secret));
    }
}

#[test]
fn what_cannot_be_enrolled_is_refused_with_what_helps() {
    let (site, key, _) = site();
    let taken = hex(key.public().as_bytes());
    let other = hex(PrivateKey::of_seed(&[9; 32]).unwrap().public().as_bytes());
    for (arguments, problem) in [
        (
            format!("525400000002 --public-key {taken}"),
            "this public key is that of device 525400000001",
        ),
        (
            format!("{DEVICE} --public-key {other}"),
            "device 525400000001 has another public key",
        ),
        (
            "525400000002 --public-key 0102".to_owned(),
            "public key cannot be read: it is not 64, 66 or 130 hex digits",
        ),
        (
            format!("525400000002 --public-key {}", "ff".repeat(32)),
            "public key cannot be read: it is no point of the curve P-256",
        ),
    ] {
        let refused = site.run(&format!("device enrol {arguments}"));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(problem), "{refused:?}");
        assert!(refused.stderr.contains("nothing changed\nhint: "), "{refused:?}");
    }
    // A factory's list may have both kinds.
    let list = format!(
        "device,kid,secret,public_key\n525400000003,,,{other}\n525400000004,07,{},\n",
        "0a1b".repeat(8)
    );
    fs::write(site.path().join("factory.csv"), list).unwrap();
    let done = site.done("device import factory.csv");
    assert!(done.contains("enrolled 2 devices"), "{done}");
    let trail = site.done("audit --device 525400000003");
    assert!(trail.contains("key=own by=import"), "{trail}");
}

/// Python with aiocoap and what it needs.
fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.build/venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run scripts/interop-tools, which installs aiocoap there",
        python.display()
    );
    python
}

/// The initiator of `initiator.py` shares no line with lakers, neither of the protocol nor of what is under it.
#[test]
fn an_initiator_written_from_the_rfc_alone_gets_the_same_keys() {
    let (site, key, image) = site();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/edhoc/initiator.py");
    let address = site.address();
    let output = Command::new(python())
        .arg(script)
        .args([address.ip().to_string(), address.port().to_string()])
        .args([&hex(key.expose()), DEVICE, &gateway_key(&site), "00"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let established: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = |name: &str| {
        let digits = established[name].as_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
        (0..digits.len() / 2).map(byte).collect::<Vec<u8>>()
    };
    let [own, theirs] = ["kid", "gateway_id"].map(|name| Id::new(&bytes(name)).unwrap());
    let context = Context::derive(&bytes("secret"), &bytes("salt"), None, own, theirs).unwrap();
    let mut client = Client::new(&site, &key);
    let plain = client.request(Code::GET, &["i", &image], &[]);
    let mut sequence = SenderSequence::resume(0);
    sequence.reserved(64);
    let mut buffer = [0; 300];
    let plain = Message::parse(&plain).unwrap();
    let number = sequence.take().unwrap();
    let (sent, mut exchange) = context.protect_request(number, &plain, &mut buffer).unwrap();
    let mut reply = client.exchange(sent);
    let message = context.unprotect_response(&mut exchange, &mut reply).unwrap();
    assert_eq!(message.code(), Code::CONTENT);
}

/// aiocoap's EDHOC is lakers, as the gateway's is: what this shows of its own is CoAP, credentials, ids, the combined request and OSCORE.
/// That the protocol itself is right, RFC 9529's trace shows.
#[test]
fn aiocoap_fetches_over_keys_that_edhoc_established_with_and_without_the_combined_request() {
    let (site, key, image) = site();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (number, combined) in [(1, true), (2, false)] {
        let origin = format!("coap://{}", site.address());
        let bytes = |digits: &str| serde_json::json!({ "hex": digits });
        let cose = |kid: &str, x: &str| serde_json::json!({"14": {"8": {"1": {"1": 2, "2": bytes(kid), "-1": 1, "-2": bytes(x)}}}});
        let credentials = serde_json::json!({ format!("{origin}/*"): {"edhoc-oscore": {
            "suite": 2, "method": 3, "own_cred_style": "by-key-id",
            "own_cred": cose(DEVICE, &hex(key.public().as_bytes())),
            "private_key": {"1": 2, "-1": 1, "-4": bytes(&hex(key.expose()))},
            "peer_cred": cose("00", &gateway_key(&site)),
            "use_combined_edhoc": combined,
        }}});
        let file = site.path().join(format!("aiocoap-{number}.json"));
        fs::write(&file, credentials.to_string()).unwrap();
        let fetched = site.path().join(format!("fetched-{number}"));
        let output = Command::new(python())
            .arg(root.join("gateway/server/tests/edhoc/aiocoap_edhoc.py"))
            .arg(format!("{origin}/i/{image}"))
            .args([&fetched, &file])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            support::sha256(&fs::read(fetched).unwrap()),
            support::sha256(&firmware(1, 3_000))
        );
    }
    assert_eq!(
        site.json("device show roof")["device"]["identity"]["kids"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
