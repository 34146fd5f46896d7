//! A device with a key: protects what it asks, and proves itself when it is asked to.

#![allow(dead_code, reason = "each test file uses a part")]

use core::net::SocketAddr;
use gateway_core::{Command, Credentials, Enrolment, IdentityCommand, Kid, Octets, Secret};
use wire_checkin::{CHECK_IN_BYTES_MAX, CheckIn};
use wire_coap::{
    BlockNumber, BlockSize, BlockValue, Code, ContentFormat, Kind, Message, MessageId, OptionNumber, Token,
    Writer,
};
use wire_oscore::renewal::{ClientRenewal, Inputs, Random};
use wire_oscore::{ClientExchange, Context, Id, IdContext, SameIds, SenderSequence};

use super::common::{Shell, id, peer};

pub(crate) fn credentials(number: u8) -> Credentials {
    Credentials {
        kid: Kid::new(&[0, number]).unwrap(),
        gateway_id: Octets::EMPTY,
        secret: Secret::new(&[number; 16]),
        salt: Octets::EMPTY,
        id_context: Octets::EMPTY,
    }
}

pub(crate) struct SecureDevice {
    pub(crate) number: u8,
    pub(crate) address: SocketAddr,
    context: Context,
    sequence: SenderSequence,
    message_id: u16,
    /// Of the last answer that was challenged.
    echo: Option<Vec<u8>>,
}

fn derive(number: u8, id_context: IdContext) -> Result<Context, SameIds> {
    let credentials = credentials(number);
    let inputs = Inputs {
        master_secret: credentials.secret.expose(),
        master_salt: &[],
        sender_id: Id::new(credentials.kid.as_bytes()).unwrap(),
        recipient_id: Id::new(credentials.gateway_id.as_bytes()).unwrap(),
    };
    inputs.derive(id_context)
}

/// A request on its way.
pub(crate) struct Sent {
    pub(crate) datagram: Vec<u8>,
    exchange: ClientExchange,
}

/// An answer, verified.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) block2: Option<BlockValue>,
    pub(crate) payload: Vec<u8>,
}

impl SecureDevice {
    /// One that the gateway knows by these credentials.
    pub(crate) fn enrolled(shell: &mut Shell, number: u8) -> SecureDevice {
        let enrolment = Enrolment {
            device: id(number),
            credentials: Some(credentials(number)),
            psk: None,
            public_key: None,
            names: Vec::new(),
            label: None,
            group: None,
        };
        let command = Command::Identity(IdentityCommand::Enrol(enrolment));
        shell.command(command).unwrap();
        SecureDevice::with(number, &credentials(number))
    }

    pub(crate) fn with(number: u8, credentials: &Credentials) -> SecureDevice {
        let id = |bytes: &[u8]| Id::new(bytes).unwrap();
        let (own, gateway) = (
            id(credentials.kid.as_bytes()),
            id(credentials.gateway_id.as_bytes()),
        );
        let mut sequence = SenderSequence::resume(0);
        sequence.reserved(1 << 30);
        SecureDevice {
            number,
            address: peer(number),
            context: Context::derive(
                credentials.secret.expose(),
                credentials.salt.as_bytes(),
                None,
                own,
                gateway,
            )
            .unwrap(),
            sequence,
            message_id: 0,
            echo: None,
        }
    }

    /// It lost its count: request 1, under keys with `r1` in them, and what it was made with.
    pub(crate) fn forgetful(&mut self, r1: u64) -> (Sent, ClientRenewal) {
        let renewal = ClientRenewal::new(Random(r1.to_be_bytes()));
        let number = self.number;
        self.context = renewal.context(&mut |id| derive(number, id)).unwrap();
        self.sequence = SenderSequence::resume(0);
        self.sequence.reserved(1 << 30);
        self.echo = None;
        (self.protect(Code::GET, &["x"], None, &[]), renewal)
    }

    /// Takes response 1; its keys from now on, which its requests name.
    pub(crate) fn renew(&mut self, renewal: ClientRenewal, sent: &mut Sent, reply: &[u8], r3: u64) -> bool {
        let (number, r3) = (self.number, Random(r3.to_be_bytes()));
        let derive = &mut |id| derive(number, id);
        let keys = renewal.handle_response(derive, &mut sent.exchange, &mut reply.to_vec(), r3);
        let is_heard = keys.is_ok();
        if let Ok(keys) = keys {
            self.context = keys;
            self.sequence = SenderSequence::resume(0);
            self.sequence.reserved(1 << 30);
        }
        is_heard
    }

    pub(crate) fn protect(
        &mut self,
        code: Code,
        path: &[&str],
        block: Option<BlockValue>,
        payload: &[u8],
    ) -> Sent {
        self.message_id = self.message_id.wrapping_add(1);
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
        path.iter().for_each(|segment| writer.uri_path(segment).unwrap());
        if !payload.is_empty() {
            writer.content_format(ContentFormat::CBOR).unwrap();
        }
        if let Some(block) = block {
            writer.block(OptionNumber::BLOCK2, block).unwrap();
        }
        if let Some(echo) = self.echo.take() {
            writer.option(OptionNumber::ECHO, &echo).unwrap();
        }
        writer.payload(payload).unwrap();
        let plain = Message::parse(writer.finish()).unwrap();
        let mut datagram = [0; 600];
        let number = self.sequence.take().unwrap();
        let (sent, exchange) = self
            .context
            .protect_request(number, &plain, &mut datagram)
            .unwrap();
        Sent {
            datagram: sent.to_vec(),
            exchange,
        }
    }

    /// `None`: the answer is not the gateway's, or not to this.
    pub(crate) fn read(&mut self, sent: &mut Sent, reply: &[u8]) -> Option<Answer> {
        let mut bytes = reply.to_vec();
        let message = self
            .context
            .unprotect_response(&mut sent.exchange, &mut bytes)
            .ok()?;
        self.echo = message.option(OptionNumber::ECHO).map(<[u8]>::to_vec);
        Some(Answer {
            code: message.code(),
            block2: message.block2().unwrap(),
            payload: message.payload().to_vec(),
        })
    }

    /// Asks, and once more when it has to prove itself.
    pub(crate) fn ask(
        &mut self,
        shell: &mut Shell,
        code: Code,
        path: &[&str],
        block: Option<BlockValue>,
        payload: &[u8],
    ) -> Answer {
        for _ in 0..2 {
            let mut sent = self.protect(code, path, block, payload);
            let reply = shell.ask(self.address, &sent.datagram);
            let answer = self.read(&mut sent, &reply).expect("an answer under this key");
            if answer.code != Code::UNAUTHORIZED || self.echo.is_none() {
                return answer;
            }
        }
        panic!("challenged twice")
    }

    pub(crate) fn check_in(&mut self, shell: &mut Shell, said: &CheckIn) -> Answer {
        let mut body = [0; CHECK_IN_BYTES_MAX];
        let body = said.encode(&mut body).unwrap().to_vec();
        self.ask(shell, Code::POST, &["c"], None, &body)
    }

    pub(crate) fn block(&mut self, path: &str, number: u32, size: BlockSize) -> Sent {
        let value = BlockValue::request(BlockNumber::new(number).unwrap(), size);
        self.protect(Code::GET, &[path], Some(value), &[])
    }
}
