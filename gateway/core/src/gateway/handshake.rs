//! `POST /.well-known/edhoc`, and message_3 in front of a protected request: RFC 9528 Appendix A.2, RFC 9668 §3.
//!
//! | comes | is |
//! |---|---|
//! | message_1 | answered with message_2, if the link has handshakes left; else put off. The answer is never longer than the request |
//! | message_3 that does not decrypt | dropped in silence: it is not of whoever sent message_1, and that one's may still come |
//! | message_3 of nobody, or without proof | told so, both in the same words; the handshake has ended |
//! | message_3 with proof | stored as the device's credentials, then answered with message_4, or with the answer to the request behind it |
//! | message_3 in front, and no such handshake | not looked at; what is behind it goes on as any protected request: it may be a retransmission |
//!
//! Until the device uses them its old credentials count, too: one that does not hear of the end goes on with those.

use super::{Gateway, Origin};
use crate::credentials::{Credentials, Kid, Octets};
use crate::effect::Payloads;
use crate::operator::enrol;
use crate::oscore::Outer;
use crate::replies::exchange_lifetime_ms;
use crate::request::Response;
use crate::secret::Secret;
use crate::units::Now;
use wire_checkin::DeviceId;
use wire_coap::{Code, Message};
use wire_edhoc::{ANSWER, Accepted, Credential, Fault, Hello, Payload, PrivateKey, REQUEST, Sent};

/// The kid of the gateway's own credential: an EDHOC message has it as one byte.
pub const GATEWAY_KID: [u8; 1] = [0];

/// A request with message_3 in front of what OSCORE protects.
pub(super) struct Combined {
    whole: Vec<u8>,
    parts: Result<(Vec<u8>, Vec<u8>), Fault>,
}

impl Combined {
    /// `None` of a datagram that does not say to be one.
    pub(super) fn of(datagram: &[u8]) -> Option<Combined> {
        let message = Message::parse(datagram).ok()?;
        if !wire_edhoc::is_combined(&message) {
            return None;
        }
        let mut buffer = vec![0; datagram.len()];
        let parts = wire_edhoc::split(&message, &mut buffer);
        Some(Combined {
            whole: datagram.to_vec(),
            parts: parts.map(|(message_3, protected)| (message_3.to_vec(), protected.to_vec())),
        })
    }
}

impl Gateway {
    /// Takes random bytes, once before the first datagram: ephemeral keys follow from them. Without, there are no handshakes.
    pub fn handle_random(&mut self, seed: &[u8; 32]) {
        self.handshakes.seed(seed);
    }

    /// Answers a request that brings message_3 along.
    pub(super) fn answer_combined(
        &mut self,
        now: Now,
        origin: Origin,
        outer: Outer,
        combined: &Combined,
        payloads: &dyn Payloads,
    ) -> Option<DeviceId> {
        let (message_3, protected) = match &combined.parts {
            Ok(parts) => parts,
            Err(fault) => {
                let message = Message::parse(&combined.whole).ok()?;
                self.refuse(now, origin, &message, *fault);
                return None;
            }
        };
        if let Some(kid) = outer.kid.filter(|kid| self.handshakes.has(*kid)) {
            match self.accept(now, kid, message_3) {
                Ok(_) => {}
                Err(Fault::Forged) => return None,
                Err(fault) => {
                    let message = Message::parse(&combined.whole).ok()?;
                    self.refuse(now, origin, &message, fault);
                    return None;
                }
            }
        }
        self.answer_protected(now, origin, protected, outer, payloads)
    }

    /// Answers `POST /.well-known/edhoc`.
    pub(super) fn handshake(
        &mut self,
        now: Now,
        origin: Origin,
        datagram: &[u8],
        message: &Message<'_>,
    ) -> Option<DeviceId> {
        let id = message.message_id();
        if let Some(answered) = self
            .replies
            .find(now.monotonic_ms, origin.peer, id, datagram)
            .cloned()
        {
            let answers = (id, message.token());
            self.admit(now, origin, answers, answered.reply, answered.device);
            return answered.device;
        }
        if message.content_format().is_some_and(|format| format != REQUEST) {
            let response = Response::new(Code::UNSUPPORTED_CONTENT_FORMAT);
            self.reply(now, origin, message, &response, origin.caller);
            return origin.caller;
        }
        if let Some(put_off) = self.put_off(now, origin.link, ANSWER_BYTES_MAX) {
            self.reply(now, origin, message, &put_off, origin.caller);
            return origin.caller;
        }
        match Payload::read(message.payload()) {
            Ok(Payload::First(message_1)) => self.message_1(now, origin, message, message_1),
            Ok(Payload::Third(c_r, message_3)) => {
                let kid = Kid::new(c_r.as_bytes()).filter(|kid| self.handshakes.has(*kid));
                let accepted = match kid {
                    Some(kid) => self.accept(now, kid, message_3),
                    None => Err(Fault::Malformed),
                };
                match accepted {
                    Ok((device, message_4)) => {
                        self.finish(now, origin, datagram, message, &message_4);
                        return Some(device);
                    }
                    Err(Fault::Forged) => {}
                    Err(fault) => self.refuse(now, origin, message, fault),
                }
            }
            Err(fault) => self.refuse(now, origin, message, fault),
        }
        origin.caller
    }

    fn message_1(&mut self, now: Now, origin: Origin, message: &Message<'_>, message_1: &[u8]) {
        let own_key = self.journal.state().identities.own_key().cloned();
        let Some(own_key) = own_key else {
            self.reply(
                now,
                origin,
                message,
                &Response::new(Code::NOT_FOUND),
                origin.caller,
            );
            return;
        };
        // A handshake that is begun is kept.
        if !origin.is_reached {
            self.challenge(now, origin, message);
            return;
        }
        let hello = match Hello::read(message_1) {
            Ok(hello) => hello,
            Err(fault) => return self.refuse(now, origin, message, fault),
        };
        if let Err(seconds) = self.handshakes.admit(now.monotonic_ms, origin.link) {
            let response = Response::unavailable(seconds);
            self.reply(now, origin, message, &response, origin.caller);
            return;
        }
        let response = match self.begin(now, &own_key, &hello, message_1) {
            Some(message_2) => answer(&message_2),
            None => Response::new(Code::NOT_FOUND),
        };
        self.reply(now, origin, message, &response, origin.caller);
    }

    /// `None`: there is nothing random to begin with, or every id is taken.
    fn begin(&mut self, now: Now, own_key: &PrivateKey, hello: &Hello<'_>, message_1: &[u8]) -> Option<Sent> {
        let [high, low, ..] = *self.handshakes.draw(message_1)?;
        let ephemeral = PrivateKey::of_seed(&*self.handshakes.draw(message_1)?).ok()?;
        let (identities, c_i) = (&self.journal.state().identities, hello.c_i());
        let taken = |kid: Kid| self.handshakes.has(kid) || kid.as_bytes() == c_i.as_bytes();
        let kid = identities.kid_from(u16::from_be_bytes([high, low]), taken)?;
        let credential = Credential::new(&GATEWAY_KID, own_key.public()).ok()?;
        let c_r = wire_oscore::Id::new(kid.as_bytes())?;
        let (half_open, message_2) = hello.answer(own_key, &credential, &ephemeral, c_r).ok()?;
        self.handshakes.insert(now.monotonic_ms, kid, half_open);
        Some(message_2)
    }

    /// Takes message_3 of a handshake that waits for it; the device, whose credentials are stored, and message_4.
    fn accept(&mut self, now: Now, kid: Kid, message_3: &[u8]) -> Result<(DeviceId, Sent), Fault> {
        let half_open = self.handshakes.get(kid).ok_or(Fault::Forged)?;
        let claim = half_open.open(message_3);
        if matches!(claim, Err(Fault::Forged)) {
            return Err(Fault::Forged);
        }
        self.handshakes.end(kid);
        let claim = claim?;
        let identities = &self.journal.state().identities;
        let device = DeviceId::new(claim.kid()).ok_or(Fault::Impostor)?;
        // An operator may have given the id away meanwhile.
        let key = identities
            .public_key(device)
            .filter(|_| identities.get(kid).is_none())
            .ok_or(Fault::Impostor)?;
        let credential = Credential::new(claim.kid(), key)?;
        let accepted = claim.verify(&credential)?;
        let credentials = credentials(kid, &accepted).ok_or(Fault::SameIds)?;
        let state = identities.key_state(kid);
        enrol::established(&mut self.journal, now, device, credentials.clone());
        self.drop_keys();
        self.sessions
            .open_new(&credentials, state, &self.config.echo_seed);
        Ok((device, accepted.message_4))
    }

    /// Answers with message_4, and with the same to a retransmission.
    fn finish(&mut self, now: Now, origin: Origin, datagram: &[u8], message: &Message<'_>, message_4: &Sent) {
        let reply = self.encode(message, &answer(message_4));
        let lifetime_ms = exchange_lifetime_ms(self.link_of(origin).ack_timeout_ms);
        if origin.caller.is_none() {
            let key = (origin.peer, message.message_id());
            self.replies
                .remember(now.monotonic_ms, lifetime_ms, key, datagram, &reply, None);
        }
        let answers = (message.message_id(), message.token());
        self.admit(now, origin, answers, reply, origin.caller);
    }

    /// RFC 9528 §6, Appendix A.2.3: an EDHOC error message is a 4.00.
    fn refuse(&mut self, now: Now, origin: Origin, message: &Message<'_>, fault: Fault) {
        let response = Response {
            content_format: Some(ANSWER),
            payload: fault.message().to_vec(),
            ..Response::new(Code::BAD_REQUEST)
        };
        self.reply(now, origin, message, &response, origin.caller);
    }
}

/// Header 4, token 8, Content-Format 2, marker 1, message_2 with a C_R of two bytes 47.
const ANSWER_BYTES_MAX: usize = 62;

fn answer(message: &Sent) -> Response {
    Response {
        content_format: Some(ANSWER),
        payload: message.as_bytes().to_vec(),
        ..Response::new(Code::CHANGED)
    }
}

/// RFC 9528 Appendix A.1: who initiated is named by C_R, the gateway by C_I.
fn credentials(kid: Kid, accepted: &Accepted) -> Option<Credentials> {
    let established = &accepted.established;
    Some(Credentials {
        kid,
        gateway_id: Octets::new(established.responder.as_bytes())?,
        secret: Secret::new(&established.master_secret),
        salt: Octets::new(&established.master_salt)?,
        id_context: Octets::EMPTY,
    })
}
