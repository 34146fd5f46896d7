//! Protected requests (RFC 8613): found by their key, answered once, and believed when their number is fresh.

use super::{Gateway, Origin};
use crate::change::Change;
use crate::effect::Payloads;
use crate::identities::{IdentityChange, Phase};
use crate::operator::enrol;
use crate::oscore::{Exchange, KeyState, Outer, Renewal};
use crate::request::{self, Incoming, Response};
use crate::resources::Route;
use crate::units::Now;
use wire_checkin::DeviceId;
use wire_coap::{Code, Message};
use wire_oscore::Received;

/// Header 4, token 8, OSCORE option of 2 and its value of 8 at most, marker 1, code 1, Echo 10, tag 8: 42, rounded up.
const CHALLENGE_BYTES_MAX: usize = 64;

impl Gateway {
    /// Answers a protected request and says whose it is, when that is proven.
    pub(super) fn answer_protected(
        &mut self,
        now: Now,
        origin: Origin,
        datagram: &[u8],
        outer: Outer,
        payloads: &dyn Payloads,
    ) -> Option<DeviceId> {
        let kid = outer.kid.filter(|_| outer.is_sound)?;
        if let Some(kept) = self.sessions.answered(kid, datagram).cloned() {
            // Whoever recorded a request can send it once more in the name of another address.
            let is_first = kept.peer == origin.peer;
            if self.links.get(origin.link).is_queued(origin.peer, outer.answers) {
                self.events(origin.link).repeated += 1;
            } else if is_first || self.may_send(now, origin, kept.reply.len()) {
                self.admit(now, origin, outer.answers, kept.reply, Some(kept.device));
            }
            return Some(kept.device);
        }
        let identities = &self.journal.state().identities;
        let Some(record) = identities.get(kid) else {
            self.refuse_key(now, origin, datagram);
            return None;
        };
        let (device, state) = (record.device, identities.key_state(kid).at(now.unix_s));
        let ends_rotation = record.phase == Phase::Next;
        let seed = &self.config.echo_seed;
        let session = self.sessions.open(&record.credentials, state, seed)?;
        if outer.renewal == Renewal::Asked
            && let Some(sent) = session.offer(datagram, self.fresh)
        {
            self.fresh = self.fresh.next();
            self.admit(now, origin, outer.answers, sent, None);
            return None;
        }
        if let Renewal::Named(named) = outer.renewal
            && session.renewed() != Some(named)
            && self.sessions.renew(kid, named, datagram, seed).is_some()
        {
            let renewed = Some(named);
            let change = IdentityChange::KeyState(kid, KeyState { renewed, ..state });
            self.journal.record(Change::Identity(change));
        }
        let session = self.sessions.get_mut(kid)?;
        let mut bytes = datagram.to_vec();
        match session.context.unprotect_request(&mut session.window, &mut bytes) {
            Ok(Received::Request { message, exchange }) => {
                let is_check_in = Route::of(&message) == Route::CheckIn;
                if is_check_in && session.is_late(outer.number) {
                    return None;
                }
                enrol::used(&mut self.journal, now, kid);
                self.door.let_in(device);
                self.exchange = Some(Exchange::new(kid, device, (origin.peer, datagram), exchange));
                let origin = Origin {
                    caller: Some(device),
                    is_reached: true,
                    ..origin
                };
                match request::judge(message) {
                    Incoming::Request(message) => {
                        self.route(now, origin, datagram, &message, payloads);
                    }
                    Incoming::Refuse(message, response) => {
                        self.reply(now, origin, &message, &response, Some(device));
                    }
                    Incoming::Ignore | Incoming::Reset(_) => {}
                }
                // What was not answered is not answered later under this nonce.
                self.exchange = None;
                if ends_rotation {
                    self.drop_keys();
                }
                Some(device)
            }
            Ok(Received::Unproven(challenge)) => {
                let (number, reservation) = session.own_number()?;
                if let Some(reserved) = reservation {
                    let state = KeyState { reserved, ..state };
                    let change = IdentityChange::KeyState(kid, state);
                    self.journal.record(Change::Identity(change));
                }
                let mut buffer = [0; CHALLENGE_BYTES_MAX];
                let sent = challenge.protect(&session.context, number, self.fresh, &mut buffer);
                let sent = sent.ok()?.to_vec();
                self.fresh = self.fresh.next();
                // It may be a replay, and then it is nothing of the device's.
                if !self.may_send(now, origin, sent.len()) {
                    return None;
                }
                self.admit(now, origin, outer.answers, sent, None);
                None
            }
            // Not worth airtime: see [`crate::oscore`].
            Err(_) => None,
        }
    }

    /// Keys that are destroyed are not held any longer.
    pub(super) fn drop_keys(&mut self) {
        let identities = &self.journal.state().identities;
        self.sessions.retain(|kid| identities.get(kid).is_some());
    }

    /// RFC 8613 §8.2: 4.01 to a request under a key that nobody has; plain, so that it proves nothing.
    fn refuse_key(&mut self, now: Now, origin: Origin, datagram: &[u8]) {
        let Ok(message) = Message::parse(datagram) else {
            return;
        };
        let response = Response {
            max_age: Some(0),
            ..Response::diagnosed(Code::UNAUTHORIZED, "Security context not found")
        };
        self.reply(now, origin, &message, &response, None);
    }
}
