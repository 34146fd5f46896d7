//! A device with a key of its own: establishes what [`SecureDevice`] speaks under.

use core::net::SocketAddr;
use gateway_core::{Command, Credentials, Enrolment, IdentityCommand, Kid, Octets, PublicKey, Secret};
use wire_coap::{Code, ContentFormat, Kind, Message, MessageId, OptionNumber, Token, Writer};
use wire_edhoc::{Credential, Established, Fault, Initiator, Payload, PrivateKey, Proved, REQUEST};
use wire_oscore::Id;

use super::common::{Shell, id, peer};
use super::secure::SecureDevice;

pub(crate) fn key(seed: u8) -> PrivateKey {
    PrivateKey::of_seed(&[seed; 32]).unwrap()
}

/// The gateway's.
pub(crate) const OWN: u8 = 200;

/// Lets it do handshakes.
pub(crate) fn hold_key(shell: &mut Shell) {
    use gateway_core::{Change, IdentityChange};
    let change = Change::Identity(IdentityChange::OwnKey(key(OWN)));
    shell.changes.push(change.clone());
    shell.gateway.restore(change);
    shell.gateway.handle_random(&[0x5E; 32]);
}

pub(crate) fn enrol(shell: &mut Shell, number: u8, public_key: PublicKey) {
    let enrolment = Enrolment {
        device: id(number),
        credentials: None,
        psk: None,
        public_key: Some(public_key),
        names: Vec::new(),
        label: None,
        group: None,
    };
    shell
        .command(Command::Identity(IdentityCommand::Enrol(enrolment)))
        .unwrap();
}

/// A device that has a key and knows the gateway's.
pub(crate) struct Keyed {
    pub(crate) number: u8,
    pub(crate) key: PrivateKey,
    pub(crate) c_i: Id,
    pub(crate) message_id: u16,
}

impl Keyed {
    pub(crate) fn new(number: u8) -> Keyed {
        Keyed {
            number,
            key: key(number),
            c_i: Id::EMPTY,
            message_id: 0x1000,
        }
    }

    pub(crate) fn enrolled(shell: &mut Shell, number: u8) -> Keyed {
        let keyed = Keyed::new(number);
        enrol(shell, number, *keyed.key.public());
        keyed
    }

    /// `POST /.well-known/edhoc`.
    pub(crate) fn post(&mut self, payload: Payload<'_>) -> Vec<u8> {
        self.message_id += 1;
        let (mut body, mut buffer) = ([0; 128], [0; 256]);
        let token = Token::from_u32(u32::from(self.message_id));
        let id = MessageId(self.message_id);
        let mut writer = Writer::new(&mut buffer, Kind::Confirmable, Code::POST, id, token).unwrap();
        wire_edhoc::PATH
            .iter()
            .for_each(|segment| writer.uri_path(segment).unwrap());
        writer.content_format(REQUEST).unwrap();
        writer.payload(payload.write(&mut body).unwrap()).unwrap();
        writer.finish().to_vec()
    }

    pub(crate) fn message_1(&mut self, ephemeral: u8) -> (Initiator, Vec<u8>) {
        let (initiator, message_1) = Initiator::start(&key(ephemeral), self.c_i).unwrap();
        let request = self.post(Payload::First(message_1.as_bytes()));
        (initiator, request)
    }

    /// Takes the answer with message_2.
    pub(crate) fn prove(&self, initiator: &Initiator, reply: &[u8]) -> Result<(Proved, Vec<u8>), Fault> {
        let reply = Message::parse(reply).unwrap();
        assert_eq!(
            (reply.code(), reply.content_format()),
            (Code::CHANGED, Some(ContentFormat(64)))
        );
        let ours = Credential::new(id(self.number).as_bytes(), self.key.public()).unwrap();
        let theirs = Credential::new(&[0], key(OWN).public()).unwrap();
        let answered = initiator.answer(reply.payload(), &self.key, &ours, &theirs);
        answered.map(|(proved, message_3)| (proved, message_3.as_bytes().to_vec()))
    }

    /// As far as message_3, which is not sent.
    pub(crate) fn begin(&mut self, shell: &mut Shell) -> (Proved, Vec<u8>) {
        self.message_id += 1;
        let (initiator, request) = self.message_1(self.message_id as u8);
        let reply = shell.ask(peer(self.number), &request);
        assert!(
            reply.len() <= request.len(),
            "{} for {}",
            reply.len(),
            request.len()
        );
        self.prove(&initiator, &reply).unwrap()
    }

    /// The whole of it, without a request; what it speaks under from now on.
    pub(crate) fn establish(&mut self, shell: &mut Shell) -> SecureDevice {
        let (mut proved, message_3) = self.begin(shell);
        let request = self.post(Payload::Third(proved.established.initiator, &message_3));
        let reply = shell.ask(peer(self.number), &request);
        let reply = Message::parse(&reply).unwrap();
        assert_eq!(reply.code(), Code::CHANGED);
        proved.confirm(reply.payload()).unwrap();
        speaker(self.number, &proved.established)
    }
}

/// Who speaks under what was established.
pub(crate) fn speaker(number: u8, established: &Established) -> SecureDevice {
    let credentials = Credentials {
        kid: Kid::new(established.initiator.as_bytes()).unwrap(),
        gateway_id: Octets::new(established.responder.as_bytes()).unwrap(),
        secret: Secret::new(&established.master_secret),
        salt: Octets::new(&established.master_salt).unwrap(),
        id_context: Octets::EMPTY,
    };
    SecureDevice::with(number, &credentials)
}

/// Puts message_3 in front of a protected request.
pub(crate) fn combine(protected: &[u8], message_3: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 800];
    let protected = Message::parse(protected).unwrap();
    let combined = wire_edhoc::combine(&protected, message_3, &mut buffer).unwrap();
    assert!(
        Message::parse(combined)
            .unwrap()
            .option(OptionNumber::EDHOC)
            .is_some()
    );
    combined.to_vec()
}

/// Sends and gives the reply, if there is one.
pub(crate) fn say(shell: &mut Shell, from: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
    shell.sent.clear();
    shell.send(from, datagram);
    assert!(shell.sent.len() <= 1);
    shell.sent.pop().map(|(_, transmit)| transmit.bytes)
}
