//! The gateway's end of OSCORE, and the air before it, on which no number is used for two messages.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use deltagate_flash::sim::SimFlash;
use deltagate_flash::{Credentials, Region, credentials_behind};
use wire_coap::{Code, Message, MessageId, OptionNumber, Writer};
use wire_oscore::renewal::{Inputs, Random, ServerRenewal};
use wire_oscore::{Context, EchoValue, Id, OscoreOption, Received, ReplayWindow, SenderSequence};

use super::Device;

pub const KID: [u8; 2] = [0x12, 0x34];
pub const GATEWAY: [u8; 1] = [0x67];

/// What is made of a response.
pub type Attack = fn(&[u8]) -> Vec<Vec<u8>>;

/// The gateway's side of OSCORE, and the air before it.
pub struct Channel {
    secret: Vec<u8>,
    context: Context,
    /// The kid context of keys that the device made anew, and what it gets for the next ones.
    renewed: Vec<u8>,
    pending: u8,
    /// How often that began and ended.
    pub renewals: (usize, usize),
    /// It forgot them, and is silent to what it cannot read.
    forgot: bool,
    window: ReplayWindow,
    sequence: SenderSequence,
    /// What was answered, and with what: the message layer's memory of duplicates.
    answered: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Every message that was ever on the air, by the kid context of its keys, and its number.
    pub heard: BTreeMap<(Vec<u8>, u64), Vec<u8>>,
    pub challenges: usize,
    pub requests: usize,
    restarts: u8,
    /// What an attacker sends first, of a response that is about to be sent.
    pub attack: Option<Attack>,
    /// The gateway restarts before the request of this count.
    pub restart_at: Option<usize>,
    /// Its own answers do not arrive.
    pub is_mute: bool,
}

pub const SECRET: &[u8; 16] = b"the devices own!";

fn context(secret: &[u8], own: &[u8], other: &[u8]) -> Context {
    let (own, other) = (Id::new(own).unwrap(), Id::new(other).unwrap());
    Context::derive(secret, b"salt", None, own, other).unwrap()
}

impl Channel {
    /// Gives the device credentials, behind all that its layout has, and puts the gateway behind its end of the channel.
    #[cfg(feature = "oscore")]
    pub fn between(device: &mut Device) -> Rc<RefCell<Channel>> {
        let layout = device.config.layout;
        let partition = credentials_behind(&layout);
        assert!(layout.leaves_free(partition));
        let mut bytes = device.flash.borrow().bytes().to_vec();
        bytes.resize((partition.offset + partition.bytes) as usize, 0xFF);
        device.flash = RefCell::new(SimFlash::from_bytes(bytes));
        Credentials::write(&record(), Region::new(&device.flash, partition)).unwrap();
        device.config.credentials = Some(partition);
        let channel = Rc::new(RefCell::new(Channel::new()));
        let shield = Rc::clone(&channel);
        device.gateway.shield = Some(Box::new(move |datagram, plain| {
            shield.borrow_mut().handle(datagram, plain)
        }));
        channel
    }

    pub fn new() -> Channel {
        Channel::with(SECRET)
    }

    pub fn with(secret: &[u8]) -> Channel {
        let mut sequence = SenderSequence::resume(0);
        sequence.reserved(1_000);
        Channel {
            secret: secret.to_vec(),
            context: context(secret, &GATEWAY, &KID),
            renewed: Vec::new(),
            pending: 1,
            renewals: (0, 0),
            forgot: false,
            window: ReplayWindow::new(),
            sequence,
            answered: BTreeMap::new(),
            heard: BTreeMap::new(),
            challenges: 0,
            requests: 0,
            restarts: 0,
            attack: None,
            restart_at: None,
            is_mute: false,
        }
    }

    /// Its database is gone, and the factory's list brought the credentials back.
    pub fn forget(&mut self) {
        self.context = context(&self.secret, &GATEWAY, &KID);
        self.renewed.clear();
        self.forgot = true;
        self.restart();
    }

    fn restart(&mut self) {
        self.pending += 1;
        self.restarts += 1;
        self.window = ReplayWindow::lost(EchoValue([self.restarts; 8]));
        self.answered.clear();
    }

    fn handle(&mut self, datagram: &[u8], plain: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let outer = Message::parse(datagram).unwrap();
        if outer.code().is_empty() {
            return plain(datagram);
        }
        self.hear(&outer, datagram);
        if !self.answered.contains_key(datagram) {
            self.requests += 1;
            if self.restart_at == Some(self.requests) {
                self.restart();
            }
            let replies = self.reply(datagram, plain);
            self.answered.insert(datagram.to_vec(), replies);
        }
        let replies = &self.answered[datagram];
        let forged = |reply: &Vec<u8>| self.attack.map_or(Vec::new(), |attack| attack(reply));
        replies
            .iter()
            .flat_map(|reply| {
                let own = (!self.is_mute).then(|| reply.clone());
                forged(reply).into_iter().chain(own)
            })
            .collect()
    }

    /// A number is one message's, and its copies'.
    fn hear(&mut self, outer: &Message<'_>, datagram: &[u8]) {
        let value = outer
            .option(OptionNumber::OSCORE)
            .expect("nothing goes in the clear");
        let option = OscoreOption::parse(value).unwrap();
        assert_eq!((outer.code(), option.kid), (Code::POST, Some(&KID[..])));
        let keys = option.kid_context.map_or(self.renewed.clone(), <[u8]>::to_vec);
        let number = (keys, option.partial_iv.unwrap().value());
        let before = self.heard.entry(number.clone());
        let before = before.or_insert_with(|| datagram.to_vec());
        assert!(*before == datagram, "{number:?} was used before");
    }

    /// Appendix B.2: the answer to a request 1; the keys of a request 2, if it is one.
    fn renew(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let outer = Message::parse(datagram).unwrap();
        let option = OscoreOption::parse(outer.option(OptionNumber::OSCORE).unwrap()).unwrap();
        let named = option.kid_context.filter(|named| **named != self.renewed)?;
        let inputs = Inputs {
            master_secret: &self.secret,
            master_salt: b"salt",
            sender_id: Id::new(&GATEWAY).unwrap(),
            recipient_id: Id::new(&KID).unwrap(),
        };
        let pending = ServerRenewal::new(Random([self.pending; 8]));
        if ServerRenewal::is_asked(named) {
            self.renewals.0 += 1;
            let mut out = [0; 100];
            let sent = pending.answer(&inputs, &mut datagram.to_vec(), MessageId(1), &mut out);
            return Some(sent.unwrap().to_vec());
        }
        if let Some(keys) = pending.keys(&inputs, named).unwrap() {
            self.renewals.1 += 1;
            self.context = keys;
            self.renewed = named.to_vec();
            self.window = ReplayWindow::new();
            self.pending += 1;
        }
        None
    }

    fn reply(&mut self, datagram: &[u8], plain: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        if let Some(answer) = self.renew(datagram) {
            return vec![answer];
        }
        let (mut arrived, mut out) = (datagram.to_vec(), [0; 2_048]);
        let received = self.context.unprotect_request(&mut self.window, &mut arrived);
        if received.is_err() && self.forgot {
            return Vec::new();
        }
        match received.unwrap() {
            Received::Unproven(challenge) => {
                self.challenges += 1;
                let fresh = self.sequence.take().unwrap();
                let sent = challenge.protect(&self.context, fresh, MessageId(1), &mut out);
                vec![sent.unwrap().to_vec()]
            }
            Received::Request {
                message,
                mut exchange,
            } => {
                let replies = plain(&written(&message));
                let mut protect = |reply: &Vec<u8>| {
                    let reply = Message::parse(reply).unwrap();
                    if reply.code().is_empty() {
                        return written(&reply);
                    }
                    let sent = self
                        .context
                        .protect_response(&mut exchange, None, &reply, &mut out);
                    sent.unwrap().to_vec()
                };
                replies.iter().map(&mut protect).collect()
            }
        }
    }
}

fn written(message: &Message<'_>) -> Vec<u8> {
    let mut buffer = [0; 2_048];
    let (kind, code, id) = (message.kind(), message.code(), message.message_id());
    let mut writer = Writer::new(&mut buffer, kind, code, id, message.token()).unwrap();
    for option in message.options() {
        // The gateway of these tests knows nothing of proofs.
        if option.number != OptionNumber::ECHO {
            writer.option(option.number, option.value).unwrap();
        }
    }
    writer.payload(message.payload()).unwrap();
    writer.finish().to_vec()
}

/// The record that the device was given: docs/identity.md.
pub fn record() -> Vec<u8> {
    record_with(SECRET)
}

pub fn record_with(secret: &[u8; 16]) -> Vec<u8> {
    let mut record = [&b"DGC0\x00\x01"[..], secret, b"\x04salt\x00"].concat();
    for name in [&KID[..], &GATEWAY] {
        record.push(name.len() as u8);
        record.extend(name);
    }
    record[4] = record.len() as u8 + 4;
    let crc = crc32(&record);
    record.extend(crc.to_le_bytes());
    record
}

/// CRC-32/ISO-HDLC, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
        }
    }
    !crc
}
