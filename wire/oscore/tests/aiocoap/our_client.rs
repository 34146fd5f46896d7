//! A device of few lines: asks, answers the challenge, takes blocks.

use std::net::UdpSocket;
use std::time::Duration;

use wire_coap::{
    BlockNumber, BlockSize, BlockValue, Code, Kind, Message, MessageId, OptionNumber, Token, Writer,
};
use wire_oscore::{Context, Id, SenderSequence};

pub(crate) fn context(own: &[u8], other: &[u8]) -> Context {
    let (own, other) = (Id::new(own).unwrap(), Id::new(other).unwrap());
    Context::derive(b"a secret of 16 B", b"salt", None, own, other).unwrap()
}

pub(crate) struct Client {
    socket: UdpSocket,
    context: Context,
    sequence: SenderSequence,
    message_id: u16,
    echo: Option<Vec<u8>>,
    last: Vec<u8>,
    /// How often the server asked for an echo.
    pub(crate) challenges: u32,
}

/// What was answered: code, whether more blocks follow, payload.
struct Answer {
    code: Code,
    more: bool,
    echo: Option<Vec<u8>>,
    payload: Vec<u8>,
}

impl Client {
    /// A device whose numbers below `stored_end` are used.
    pub(crate) fn resume(port: u16, stored_end: u64) -> Client {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Client {
            socket,
            context: context(&[0x12, 0x34], &[0x67]),
            sequence: SenderSequence::resume(stored_end),
            message_id: stored_end as u16,
            echo: None,
            last: Vec::new(),
            challenges: 0,
        }
    }

    pub(crate) fn fetch(&mut self, path: &str, block_size: BlockSize) -> Vec<u8> {
        let mut body = Vec::new();
        for number in 0.. {
            let block = BlockValue::request(BlockNumber::new(number).unwrap(), block_size);
            let answer = self.ask(Code::GET, path, Some(block), &[]);
            assert_eq!(answer.code, Code::CONTENT);
            body.extend(answer.payload);
            if !answer.more {
                break;
            }
        }
        body
    }

    pub(crate) fn post(&mut self, path: &str, payload: &[u8]) -> Vec<u8> {
        let answer = self.ask(Code::POST, path, None, payload);
        assert_eq!(answer.code, Code::CHANGED);
        answer.payload
    }

    /// Sends what was sent last, under another message id.
    pub(crate) fn replay(&mut self) -> Message<'_> {
        let mut replayed = self.last.clone();
        replayed[3] ^= 0x80;
        self.socket.send(&replayed).unwrap();
        self.last.resize(2_000, 0);
        let length = self.socket.recv(&mut self.last).unwrap();
        Message::parse(&self.last[..length]).unwrap()
    }

    fn ask(&mut self, code: Code, path: &str, block: Option<BlockValue>, payload: &[u8]) -> Answer {
        let answer = self.exchange(code, path, block, payload);
        let Some(echo) = answer.echo.filter(|_| answer.code == Code::UNAUTHORIZED) else {
            return Answer { echo: None, ..answer };
        };
        self.challenges += 1;
        self.echo = Some(echo);
        let answer = self.exchange(code, path, block, payload);
        self.echo = None;
        answer
    }

    fn exchange(&mut self, code: Code, path: &str, block: Option<BlockValue>, payload: &[u8]) -> Answer {
        self.message_id += 1;
        let (mut plain, mut out) = ([0; 2_000], [0; 2_000]);
        let token = Token::from_u32(self.message_id.into());
        let id = MessageId(self.message_id);
        let mut writer = Writer::new(&mut plain, Kind::Confirmable, code, id, token).unwrap();
        writer.uri_path(path).unwrap();
        if let Some(block) = block {
            writer.block(OptionNumber::BLOCK2, block).unwrap();
        }
        if let Some(echo) = &self.echo {
            writer.option(OptionNumber::ECHO, echo).unwrap();
        }
        writer.payload(payload).unwrap();
        if let Some(end) = self.sequence.reservation(1, 16) {
            self.sequence.reserved(end);
        }
        let plain = Message::parse(writer.finish()).unwrap();
        let fresh = self.sequence.take().unwrap();
        let (sent, mut waiting) = self.context.protect_request(fresh, &plain, &mut out).unwrap();
        self.last = sent.to_vec();
        self.socket.send(sent).unwrap();
        loop {
            let mut datagram = [0; 2_000];
            let length = self.socket.recv(&mut datagram).unwrap();
            let arrived = Message::parse(&datagram[..length]).unwrap();
            if arrived.code().is_empty() {
                continue;
            }
            assert_eq!(arrived.token(), token);
            let heard = self
                .context
                .unprotect_response(&mut waiting, &mut datagram[..length]);
            let heard = heard.unwrap();
            return Answer {
                code: heard.code(),
                more: heard.block2().unwrap().is_some_and(|block| block.more),
                echo: heard.option(OptionNumber::ECHO).map(<[u8]>::to_vec),
                payload: heard.payload().to_vec(),
            };
        }
    }
}
