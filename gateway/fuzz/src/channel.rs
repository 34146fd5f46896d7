//! Two ends of OSCORE that share a key, given bytes by somebody who has it or has not.

use aes::Aes128;
use ccm::Ccm;
use ccm::aead::{Aead, KeyInit, Payload};
use ccm::consts::{U8, U13};
use wire_coap::{
    BlockNumber, BlockSize, BlockValue, Code, Kind, Message, MessageId, OptionNumber, Token, Writer,
};
use wire_oscore::{
    ClientExchange, Context, EchoValue, FreshPartialIv, Id, OscoreOption, PartialIv, Received, ReplayWindow,
};

use crate::messages::walk;

const SECRET: [u8; 16] = [7; 16];
const DEVICE: &[u8] = b"d";
const GATEWAY: &[u8] = b"";

fn end(own: &[u8], other: &[u8]) -> Context {
    let id = |bytes: &[u8]| Id::new(bytes).unwrap();
    Context::derive(&SECRET, &[], None, id(own), id(other)).unwrap()
}

fn device() -> Context {
    end(DEVICE, GATEWAY)
}

fn gateway() -> Context {
    end(GATEWAY, DEVICE)
}

fn get(block: u32) -> Vec<u8> {
    let mut buffer = [0; 64];
    let mut writer = Writer::new(
        &mut buffer,
        Kind::Confirmable,
        Code::GET,
        MessageId(1),
        Token::from_u32(7),
    )
    .unwrap();
    writer.uri_path("k3Tq9Za").unwrap();
    let block = BlockValue::request(BlockNumber::new(block).unwrap(), BlockSize::B64);
    writer.block(OptionNumber::BLOCK2, block).unwrap();
    writer.finish().to_vec()
}

/// A protected request of the device, numbered so.
fn asked(number: u64, plain: &[u8]) -> (Vec<u8>, ClientExchange) {
    let mut datagram = vec![0; plain.len() + wire_oscore::OVERHEAD_BYTES_MAX];
    let number = FreshPartialIv::dangerous(PartialIv::new(number).unwrap());
    let plain = Message::parse(plain).unwrap();
    let (sent, exchange) = device().protect_request(number, &plain, &mut datagram).unwrap();
    (sent.to_vec(), exchange)
}

pub(crate) fn option(bytes: &[u8]) {
    if let Ok(option) = OscoreOption::parse(bytes) {
        let inside = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        assert!(inside(option.kid) + inside(option.kid_context) <= bytes.len());
    }
}

pub(crate) fn option_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![0x09, 0x14, 0x64],
        vec![0x19, 0x05, 0x02, 0x37, 0xCB, 0x01],
        vec![0x01, 0x25],
    ]
}

/// To the gateway. What it refuses it forgets.
pub(crate) fn request(bytes: &[u8]) {
    for window in [ReplayWindow::new(), ReplayWindow::lost(EchoValue([0; 8]))] {
        let (mut arrived, mut after) = (bytes.to_vec(), window.clone());
        match gateway().unprotect_request(&mut after, &mut arrived) {
            Ok(Received::Request { message, .. }) => drop(walk(&message)),
            Ok(Received::Unproven(_)) => {}
            Err(_) => {
                assert_eq!(after, window);
                assert_eq!(arrived, bytes);
            }
        }
    }
}

pub(crate) fn request_seeds() -> Vec<Vec<u8>> {
    [(0, 0), (20, 3), (70_000, 100)]
        .map(|(number, block)| asked(number, &get(block)).0)
        .into()
}

/// To the device, which waits for the answer to one request.
pub(crate) fn response(bytes: &[u8]) {
    let (_, waiting) = asked(20, &get(0));
    let (mut arrived, mut after) = (bytes.to_vec(), waiting.clone());
    match device().unprotect_response(&mut after, &mut arrived) {
        Ok(message) => drop(walk(&message)),
        Err(_) => assert_eq!(after, waiting),
    }
}

pub(crate) fn response_seeds() -> Vec<Vec<u8>> {
    let (sent, _) = asked(20, &get(0));
    let numbers = [None, PartialIv::new(5)];
    let answered = numbers.map(|own| {
        let mut arrived = sent.clone();
        let received = gateway()
            .unprotect_request(&mut ReplayWindow::new(), &mut arrived)
            .unwrap();
        let Received::Request { mut exchange, .. } = received else {
            panic!("the window is known");
        };
        let mut buffer = [0; 128];
        let (kind, token) = (Kind::Acknowledgement, Token::from_u32(7));
        let mut writer = Writer::new(&mut buffer, kind, Code::CONTENT, MessageId(1), token).unwrap();
        writer.payload(&[0x5A; 64]).unwrap();
        let plain = Message::parse(writer.finish()).unwrap();
        let mut out = [0; 200];
        let own = own.map(FreshPartialIv::dangerous);
        gateway()
            .protect_response(&mut exchange, own, &plain, &mut out)
            .unwrap()
            .to_vec()
    });
    answered.into()
}

/// Whoever has the key can encrypt anything: the bytes are what is inside, in a request or, if the first is odd, in an answer.
pub(crate) fn inside(bytes: &[u8]) {
    let Some((kind, plaintext)) = bytes.split_first() else {
        return;
    };
    match kind % 2 {
        0 => {
            let datagram = sealed(&device(), 20, plaintext, true);
            let mut arrived = datagram.clone();
            if let Ok(Received::Request { message, .. }) =
                gateway().unprotect_request(&mut ReplayWindow::new(), &mut arrived)
            {
                drop(walk(&message));
            }
        }
        _ => {
            let datagram = sealed(&gateway(), 20, plaintext, false);
            let (_, mut exchange) = asked(20, &get(0));
            let mut arrived = datagram.clone();
            if let Ok(message) = device().unprotect_response(&mut exchange, &mut arrived) {
                drop(walk(&message));
            }
        }
    }
}

/// RFC 8613 §5.2 to §5.4 written down once more, for messages that the crate would not write: request 20 of the device, or its answer.
fn sealed(by: &Context, number: u8, plaintext: &[u8], is_request: bool) -> Vec<u8> {
    let keys = by.keys();
    let mut nonce = [0; 13];
    nonce[0] = DEVICE.len() as u8;
    nonce[8 - DEVICE.len()..8].copy_from_slice(DEVICE);
    nonce[12] = number;
    nonce
        .iter_mut()
        .zip(&keys.common_iv)
        .for_each(|(byte, iv)| *byte ^= iv);
    let mut external = vec![0x85, 0x01, 0x81, 0x0A, 0x40 | DEVICE.len() as u8];
    external.extend(DEVICE);
    external.extend([0x41, number, 0x40]);
    let mut aad = b"\x83\x68Encrypt0\x40".to_vec();
    aad.push(0x40 | external.len() as u8);
    aad.extend(external);
    let cipher = Ccm::<Aes128, U8, U13>::new(&keys.sender_key.into());
    let payload = Payload {
        msg: plaintext,
        aad: &aad,
    };
    let ciphertext = cipher.encrypt(&nonce.into(), payload).unwrap();
    let option: &[u8] = match is_request {
        true => &[0x09, number, DEVICE[0]],
        false => &[],
    };
    let (kind, code) = match is_request {
        true => (Kind::Confirmable, Code::POST),
        false => (Kind::Acknowledgement, Code::CHANGED),
    };
    let mut buffer = vec![0; ciphertext.len() + 32];
    let mut writer = Writer::new(&mut buffer, kind, code, MessageId(1), Token::from_u32(7)).unwrap();
    writer.option(OptionNumber::OSCORE, option).unwrap();
    writer.payload(&ciphertext).unwrap();
    writer.finish().to_vec()
}

pub(crate) fn inside_seeds() -> Vec<Vec<u8>> {
    vec![
        // GET k3Tq9Za, Block2 3.
        b"\x00\x01\xB7k3Tq9Za\xC1\x32".to_vec(),
        // POST c with a body.
        b"\x00\x02\xB1c\x11\x3C\xFF\x81\x00".to_vec(),
        // 2.05 with Block2 and payload.
        b"\x01\x45\xD1\x0A\x3A\xFFpayload".to_vec(),
        // With Echo.
        b"\x00\x02\xB1c\xD8\xE4\x00\x00\x00\x00\x00\x00\x00\x00\xFF\x81".to_vec(),
    ]
}
