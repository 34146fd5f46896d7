//! A device and a gateway that share a secret, and plain messages between them.

#![allow(dead_code, reason = "each test uses some of it")]

use wire_coap::{
    BlockValue, Code, ContentFormat, ETag, Kind, Message, MessageId, OptionNumber, Token, Writer,
};
use wire_oscore::{
    ClientExchange, Context, FreshPartialIv, Id, PartialIv, Received, ReplayWindow, ServerExchange,
    UnprotectError,
};

/// Two sides of one context.
pub(crate) struct Pair {
    pub(crate) device: Context,
    pub(crate) gateway: Context,
}

impl Pair {
    /// With a kid of two bytes for the device, and one for the gateway.
    pub(crate) fn new() -> Pair {
        let (device, gateway) = (Id::new(&[0x12, 0x34]).unwrap(), Id::new(&[0x67]).unwrap());
        let derive = |own, other| Context::derive(b"a secret of 16 B", b"salt", None, own, other).unwrap();
        Pair {
            device: derive(device, gateway),
            gateway: derive(gateway, device),
        }
    }

    /// The device's request, protected.
    pub(crate) fn ask(&self, number: u64, plain: &[u8]) -> (Vec<u8>, ClientExchange) {
        let mut out = [0; 2_048];
        let message = Message::parse(plain).unwrap();
        let (sent, exchange) = self
            .device
            .protect_request(fresh(number), &message, &mut out)
            .unwrap();
        (sent.to_vec(), exchange)
    }

    /// The gateway's judgement of a request: what is left of it, or why it is refused.
    pub(crate) fn take(
        &self,
        window: &mut ReplayWindow,
        datagram: &[u8],
    ) -> Result<(Vec<u8>, ServerExchange), UnprotectError> {
        let mut datagram = datagram.to_vec();
        match self.gateway.unprotect_request(window, &mut datagram)? {
            Received::Request { message, exchange } => Ok((rewrite(&message), exchange)),
            Received::Unproven(_) => panic!("the window is known"),
        }
    }

    /// The gateway's response, protected with the request's nonce.
    pub(crate) fn answer(&self, exchange: &mut ServerExchange, plain: &[u8]) -> Vec<u8> {
        let mut out = [0; 2_048];
        let message = Message::parse(plain).unwrap();
        let sent = self.gateway.protect_response(exchange, None, &message, &mut out);
        sent.unwrap().to_vec()
    }

    /// The device's judgement of a response.
    pub(crate) fn hear(
        &self,
        exchange: &mut ClientExchange,
        datagram: &[u8],
    ) -> Result<Vec<u8>, UnprotectError> {
        let mut datagram = datagram.to_vec();
        let message = self.device.unprotect_response(exchange, &mut datagram)?;
        Ok(rewrite(&message))
    }
}

/// Tests count for themselves.
pub(crate) fn fresh(number: u64) -> FreshPartialIv {
    FreshPartialIv::dangerous(PartialIv::new(number).unwrap())
}

pub(crate) fn rewrite(message: &Message<'_>) -> Vec<u8> {
    let mut buffer = [0; 2_048];
    let (kind, code, id) = (message.kind(), message.code(), message.message_id());
    let mut writer = Writer::new(&mut buffer, kind, code, id, message.token()).unwrap();
    for option in message.options() {
        writer.option(option.number, option.value).unwrap();
    }
    writer.payload(message.payload()).unwrap();
    writer.finish().to_vec()
}

/// A plain message of `code` under `id`, of what `write` writes.
pub(crate) fn message(kind: Kind, code: Code, id: u16, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = [0; 2_048];
    let mut writer = Writer::new(&mut buffer, kind, code, MessageId(id), Token::from_u32(0xabcd)).unwrap();
    write(&mut writer);
    writer.finish().to_vec()
}

/// `GET /k3Tq9Za` for one block.
pub(crate) fn get(id: u16, block: BlockValue) -> Vec<u8> {
    message(Kind::Confirmable, Code::GET, id, |writer| {
        writer.uri_path("k3Tq9Za").unwrap();
        writer.block(OptionNumber::BLOCK2, block).unwrap();
    })
}

/// `POST /c` with so many bytes of check-in.
pub(crate) fn check_in(id: u16, bytes: usize) -> Vec<u8> {
    message(Kind::Confirmable, Code::POST, id, |writer| {
        writer.uri_path("c").unwrap();
        writer.content_format(ContentFormat::CBOR).unwrap();
        writer.payload(&vec![0xa5; bytes]).unwrap();
    })
}

/// The block that answers it.
pub(crate) fn content(id: u16, block: BlockValue, bytes: usize) -> Vec<u8> {
    message(Kind::Acknowledgement, Code::CONTENT, id, |writer| {
        writer
            .option(OptionNumber::ETAG, ETag::from_array([1, 2, 3, 4]).as_bytes())
            .unwrap();
        writer.block(OptionNumber::BLOCK2, block).unwrap();
        writer.payload(&vec![0x5a; bytes]).unwrap();
    })
}
