//! Addresses that nobody proved, over UDP: the real gateway, which trusts no prefix, and clients that echo and that do not.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use support::{CLASS, Site, VENDOR, firmware, hex, sha256};
use wire_coap::{
    BlockNumber, BlockSize, BlockValue, Code, Kind, Message, MessageId, OptionNumber, Token, Writer,
};

const IMAGE_BYTES: usize = 30_000;

/// A gateway that believes no address, and the path of an image on it.
fn site() -> (Site, Vec<u8>, String) {
    let mut site = Site::new();
    site.configure("127.0.0.1:0", "trusted_prefixes = []\n");
    site.start();
    let image = firmware(1, IMAGE_BYTES);
    let digest = site.import("v1", &image, 1);
    (site, image, digest[..16].to_owned())
}

fn block(id: u16, digits: &str, number: u32) -> Vec<u8> {
    let mut buffer = [0; 64];
    let token = Token::from_u32(7);
    let mut writer = Writer::new(&mut buffer, Kind::Confirmable, Code::GET, MessageId(id), token).unwrap();
    writer.uri_path("i").unwrap();
    writer.uri_path(digits).unwrap();
    let value = BlockValue::request(BlockNumber::new(number).unwrap(), BlockSize::B1024);
    writer.block(OptionNumber::BLOCK2, value).unwrap();
    writer.finish().to_vec()
}

/// All requests have this machine's address, which is what a flood in its name would have.
#[test]
fn a_flood_is_answered_within_the_budget() {
    let (site, _, digits) = site();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut buffer = [0; 2_048];
    let (mut blocks, mut challenges) = (0, 0);
    for id in 0..3_000 {
        let request = block(id, &digits, u32::from(id) % 20);
        socket.send_to(&request, site.address()).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        let answer = Message::parse(&buffer[..length]).unwrap();
        match answer.code() {
            Code::CONTENT => blocks += 1,
            Code::UNAUTHORIZED => {
                assert!(answer.option(OptionNumber::ECHO).is_some() && length <= request.len() + 16);
                challenges += 1;
            }
            code => panic!("{code:?}"),
        }
    }
    // 7 at once, and one a minute.
    assert!((7..10).contains(&blocks), "{blocks} blocks");
    assert_eq!(blocks + challenges, 3_000);
    assert_eq!(site.json("status")["challenges"], challenges);
}

#[test]
fn clients_that_echo_get_all_of_it() {
    let (site, image, digits) = site();
    site.done("device claim 5254000000aa");
    let probed = site.done(&format!(
        "probe {} --vendor {VENDOR} --class {CLASS} --device 5254000000aa --image {digits}",
        site.address()
    ));
    assert!(
        probed.contains(&format!("{IMAGE_BYTES} bytes are the image")),
        "{probed}"
    );
    // libcoap's, of the Debian package libcoap3-bin.
    let fetched = site.path().join("fetched");
    let ran = Command::new("coap-client-notls")
        .args(["-B", "30", "-o"])
        .arg(&fetched)
        .arg(format!("coap://{}/i/{digits}", site.address()))
        .output()
        .expect("coap-client-notls: scripts/prepare interop");
    let got = std::fs::read(&fetched).unwrap_or_default();
    assert_eq!(hex(&sha256(&got)), hex(&sha256(&image)), "{ran:?}");
}
