//! The front: feeds the parts and keeps their order.

mod access;
mod dtls;
mod protected;

use crate::anchors::AnchorOffers;
use crate::change::Change;
use crate::checkin;
use crate::command::{Command, Refusal, Reply};
use crate::config::{CoreConfig, LinkConfig};
use crate::dry;
use crate::effect::{BuildOutcome, Channel, DTLS_OVERHEAD_BYTES, Effect, Payloads, Transmit};
use crate::half_open::Handshakes;
use crate::journal::Journal;
use crate::keep;
use crate::links::{Admission, LinkIndex, Links, Outgoing};
use crate::meter::{Meter, Way};
use crate::offers;
use crate::operator::{self, enrol};
use crate::oscore::{Exchange, MESSAGE_OVERHEAD_BYTES, Outer, Sessions};
use crate::passage::{Asked, Passage};
use crate::reach::{FREE_BYTES, Reach};
use crate::replies::{Replies, exchange_lifetime_ms};
use crate::request::{self, Incoming, Response};
use crate::resources::{self, Route};
use crate::turned_away::{Door, TurnedAway};
use crate::units::Now;
use core::net::SocketAddr;
use std::collections::VecDeque;
use wire_checkin::{CheckIn, DeviceId};
use wire_coap::{Code, ContentFormat, Message, MessageId, OptionNumber, Token};

/// The gateway.
///
/// Contract: after each `handle_*` first drain [`Gateway::poll_effect`] until `None`, committing every
/// [`Effect::Store`]; then drain [`Gateway::poll_transmit`] until `None`; then ask [`Gateway::poll_timeout`], whose
/// answer every `handle_*` may have changed. So nothing is promised on the air that a crash could forget.
/// The two clocks of [`Now`] may jump; a monotonic one that goes back only delays what is waiting.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) config: CoreConfig,
    pub(crate) journal: Journal,
    pub(crate) links: Links,
    replies: Replies,
    pub(crate) passage: Passage,
    meter: Meter,
    pub(crate) anchor_offers: AnchorOffers,
    ready: VecDeque<Transmit>,
    /// Message id of the next NON.
    fresh: MessageId,
    /// When it began to listen, of the monotonic clock.
    pub(crate) started_ms: u64,
    /// When rotations of credentials are looked at, of the monotonic clock.
    rotations_ms: Option<u64>,
    pub(crate) unclaimed_dropped: u64,
    /// Who asked without a key where one is needed.
    pub(crate) door: Door,
    /// Whose address was proven, and what may be sent where it was not.
    pub(crate) reach: Reach,
    /// Keys in use.
    sessions: Sessions,
    /// Devices that establish keys.
    handshakes: Handshakes,
    /// The request being handled, when it was protected: its one answer takes this with it, wherever it is made.
    exchange: Option<Exchange>,
}

/// Where a request came from.
#[derive(Clone, Copy)]
struct Origin {
    peer: SocketAddr,
    link: LinkIndex,
    /// Which device asks, when it proved that.
    caller: Option<DeviceId>,
    /// Whether answers get to whoever asks, and not to somebody else whose address was written on the request.
    is_reached: bool,
    /// How long the request was.
    asked_bytes: usize,
    /// How it is answered.
    channel: Channel,
}

impl Gateway {
    /// A gateway that knows nothing yet.
    pub fn new(config: CoreConfig) -> Gateway {
        Gateway {
            links: Links::new(&config),
            journal: Journal::trusting(config.trusted_keys.clone(), config.factory_keys.clone()),
            replies: Replies::default(),
            passage: Passage::default(),
            meter: Meter::default(),
            anchor_offers: AnchorOffers::default(),
            ready: VecDeque::new(),
            fresh: MessageId(0),
            started_ms: 0,
            rotations_ms: None,
            unclaimed_dropped: 0,
            door: Door::default(),
            reach: Reach::new(config.trusted_prefixes.clone(), config.echo_seed),
            sessions: Sessions::default(),
            handshakes: Handshakes::default(),
            exchange: None,
            config,
        }
    }

    /// Replays a stored change, before anything else is fed. See [`Change`] for the order.
    pub fn restore(&mut self, change: Change) {
        self.journal.restore(change);
    }

    /// Withdraws offers of images whose publisher is not trusted any more; asks for builds that what was restored lacks: plain
    /// payloads of every image (with a disk budget, of those assigned or pinned), and payloads of open offers that the shell
    /// has lost; lets go of what a smaller budget has no room for. Once, after the last [`Gateway::restore`].
    pub fn handle_start(&mut self, now: Now) {
        self.started_ms = now.monotonic_ms;
        offers::withdraw_distrusted(&mut self.journal, now);
        enrol::end_rotations(&mut self.journal, now);
        self.journal
            .build_lost(&self.links, self.config.disk_bytes_max.is_some());
        keep::evict(&mut self.journal, self.config.disk_bytes_max);
        self.settle(now);
    }

    /// Takes a datagram that came from `peer`.
    pub fn handle_datagram(&mut self, now: Now, peer: SocketAddr, datagram: &[u8], payloads: &dyn Payloads) {
        let origin = Origin {
            peer,
            link: self.links.of(peer.ip()),
            caller: None,
            is_reached: false,
            asked_bytes: datagram.len(),
            channel: Channel::Plain,
        };
        let device = self.answer(now, origin, datagram, payloads);
        self.count(origin.link, Way::Up, datagram.len(), device);
        self.settle(now);
    }

    /// Does what is due: sends replies that waited, stores counters.
    pub fn handle_timeout(&mut self, now: Now) {
        self.meter.handle_timeout(&mut self.journal, now);
        if self.rotations_ms.is_some_and(|at_ms| at_ms <= now.monotonic_ms) {
            self.rotations_ms = None;
            enrol::end_rotations(&mut self.journal, now);
            self.drop_keys();
        }
        self.handshakes.expire(now.monotonic_ms);
        self.settle(now);
    }

    /// Carries out an operator's command, or refuses it and changes nothing.
    pub fn handle_command(&mut self, now: Now, command: Command) -> Result<Reply, Refusal> {
        if let Command::ForgetDevice(id) = &command {
            self.passage.forget(*id);
            self.anchor_offers.forget(*id);
        }
        let is_about_keys = matches!(command, Command::Identity(_) | Command::ForgetDevice(_));
        let reply = operator::handle(&mut self.journal, &self.config, &self.links, now, command);
        if is_about_keys {
            self.drop_keys();
        }
        keep::evict(&mut self.journal, self.config.disk_bytes_max);
        self.settle(now);
        reply
    }

    /// Takes the result of a build. Its artefacts are stored before any path to them is published.
    pub fn handle_built(&mut self, now: Now, outcome: BuildOutcome) {
        self.journal.built(now, outcome);
        keep::evict(&mut self.journal, self.config.disk_bytes_max);
        self.settle(now);
    }

    /// Stores every counter at once: for a clean shutdown. Drain [`Gateway::poll_effect`] afterwards.
    pub fn handle_shutdown(&mut self, now: Now) {
        self.meter.flush(&mut self.journal);
        self.settle(now);
    }

    /// What the shell must do next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.journal.poll_effect()
    }

    /// What the shell must send next, after every effect was carried out.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.ready.pop_front()
    }

    /// Who was turned away, where that is worth a line of the log: at most one in a minute. It need not be drained.
    pub fn poll_notice(&mut self) -> Option<TurnedAway> {
        self.door.take_notice()
    }

    /// When to call [`Gateway::handle_timeout`], in milliseconds of the monotonic clock; `None`: not needed.
    pub fn poll_timeout(&self) -> Option<u64> {
        let due = [
            self.links.poll_timeout(),
            self.meter.poll_timeout(),
            self.rotations_ms,
            self.handshakes.poll_timeout(),
        ];
        due.into_iter().flatten().min()
    }

    /// Answers a datagram and says whose it is.
    fn answer(
        &mut self,
        now: Now,
        origin: Origin,
        datagram: &[u8],
        payloads: &dyn Payloads,
    ) -> Option<DeviceId> {
        // Port 0 cannot be answered: a socket refuses it.
        if origin.peer.port() == 0 {
            return None;
        }
        if let Some(outer) = Outer::of(datagram) {
            if let Some(combined) = handshake::Combined::of(datagram) {
                return self.answer_combined(now, origin, outer, &combined, payloads);
            }
            return self.answer_protected(now, origin, datagram, outer, payloads);
        }
        match request::parse(datagram) {
            Incoming::Ignore => None,
            Incoming::Reset(reset) => {
                let [_, _, high, low] = reset;
                let answers = (MessageId(u16::from_be_bytes([high, low])), Token::EMPTY);
                self.admit(now, origin, answers, reset.to_vec(), None);
                None
            }
            Incoming::Refuse(message, response) => {
                self.reply(now, origin, &message, &response, None);
                None
            }
            Incoming::Request(message) => {
                let echo = message.option(OptionNumber::ECHO);
                let is_reached = self.reach.is_reached(now.monotonic_ms, origin.peer, echo);
                let origin = Origin { is_reached, ..origin };
                self.route(now, origin, datagram, &message, payloads)
            }
        }
    }

    /// The link as it is for whoever asks.
    fn link_of(&self, origin: Origin) -> LinkConfig {
        let link = &self.links.get(origin.link).config;
        match (origin.channel, origin.caller) {
            (Channel::Session(_), _) => link.secured(DTLS_OVERHEAD_BYTES),
            (_, Some(_)) => link.secured(MESSAGE_OVERHEAD_BYTES),
            (_, None) => link.clone(),
        }
    }

    fn route(
        &mut self,
        now: Now,
        origin: Origin,
        datagram: &[u8],
        message: &Message<'_>,
        payloads: &dyn Payloads,
    ) -> Option<DeviceId> {
        let route = Route::of(message);
        let device = route.device(self.journal.state());
        let answers = (message.message_id(), message.token());
        if !self.may_ask(origin, route) {
            let named = (route == Route::CheckIn).then(|| read_check_in(message).ok());
            self.turn_away(now, origin, message, named.flatten().map(|said| said.device_id));
            return None;
        }
        // What is another device's does not exist for this one.
        let (route, device) = match (device, origin.caller) {
            (Some(owner), Some(caller)) if owner != caller => (Route::Unknown, Some(caller)),
            (device, caller) => (route, device.or(caller)),
        };
        if self.links.get(origin.link).is_queued(origin.peer, answers) {
            self.events(origin.link).repeated += 1;
            return device;
        }
        if route != Route::Unknown && message.code() != route.method() {
            self.reply(
                now,
                origin,
                message,
                &Response::new(Code::METHOD_NOT_ALLOWED),
                device,
            );
            return device;
        }
        // What it leads to is kept, so whoever asks has to be there.
        let is_kept = matches!(route, Route::CheckIn | Route::Payload(_) | Route::Envelope(_));
        if is_kept && !origin.is_reached {
            self.challenge(now, origin, message);
            return None;
        }
        match route {
            Route::CheckIn => return self.check_in(now, origin, datagram, message),
            Route::DryCheckIn => self.dry_check_in(now, origin, message),
            Route::Handshake => return self.handshake(now, origin, datagram, message),
            _ => self.get(now, origin, route, message, payloads),
        }
        device
    }

    /// 4.01 to whoever asks without a key where one is needed. It changes nothing but what an operator is shown of it.
    fn turn_away(&mut self, now: Now, origin: Origin, message: &Message<'_>, device: Option<DeviceId>) {
        self.door.refused();
        if let Some(device) = device {
            let asked = TurnedAway {
                device,
                has_key: self.journal.state().identities.has_key(device),
                link: self.links.get(origin.link).config.name.clone(),
                from: origin.peer.ip(),
                times: 0,
            };
            self.door.turned_away(now.monotonic_ms, asked);
        }
        self.reply(now, origin, message, &Response::new(Code::UNAUTHORIZED), None);
    }

    /// Answers `POST /c/dry`: what a check-in would lead to. Nothing is recorded, built, offered or remembered.
    fn dry_check_in(&mut self, now: Now, origin: Origin, message: &Message<'_>) {
        let link = &self.link_of(origin);
        let block = link.block_size().bytes() as usize;
        let response = match read_check_in(message) {
            Ok(said) if !self.is_believed(origin, said.device_id) => Response::new(self.disbelief(origin)),
            Ok(said) => dry::answer(self.journal.state(), link, &said),
            Err(response) => response,
        };
        let response = self.put_off(now, origin.link, block).unwrap_or(response);
        self.reply(now, origin, message, &response, None);
    }

    fn get(
        &mut self,
        now: Now,
        origin: Origin,
        route: Route,
        message: &Message<'_>,
        payloads: &dyn Payloads,
    ) {
        let device = route.device(self.journal.state()).or(origin.caller);
        let link = self.link_of(origin);
        let link = match (device, asked(route, message)) {
            (Some(id), Some(asked)) => LinkConfig {
                block_size_max: self.passage.asked(id, asked, link.block_size()),
                ..link
            },
            _ => link,
        };
        let served = resources::get(self.journal.state(), &link, payloads, route, message);
        if !origin.is_reached && (served.wants.is_some() || served.lost.is_some()) {
            self.challenge(now, origin, message);
            return;
        }
        if let Some(key) = served.wants {
            self.journal.build(key);
        }
        if let Some((target, base)) = served.lost {
            self.journal.build_again(target, base);
        }
        if let Some(id) = device
            && served.response.code == Code::SERVICE_UNAVAILABLE
        {
            // The artefact was lost with the shell's disk: build it anew for whoever waits in the middle of it.
            self.journal.plan_builds(&self.links, id);
        }
        let length = served.response.encode(message, self.fresh).len();
        if !served.mid_transfer
            && let Some(put_off) = self.put_off(now, origin.link, length)
        {
            self.reply(now, origin, message, &put_off, device);
            return;
        }
        let admission = self.reply(now, origin, message, &served.response, device);
        if let Some((path, end)) = served.served
            && admission != Admission::Dropped
        {
            self.meter.served(&mut self.journal, now, path, end);
        }
        if let Some(id) = device {
            self.meter.seen(&mut self.journal, now, id);
        }
    }

    /// Answers `POST /c`. Whether the link has room is asked first, so that what is put off changes nothing.
    fn check_in(
        &mut self,
        now: Now,
        origin: Origin,
        datagram: &[u8],
        message: &Message<'_>,
    ) -> Option<DeviceId> {
        let id = message.message_id();
        // One of OSCORE never comes twice this far.
        let plain = self.exchange.is_none();
        let found = self.replies.find(now.monotonic_ms, origin.peer, id, datagram);
        let found =
            found.filter(|answered| plain && answered.device.is_none_or(|id| self.is_believed(origin, id)));
        if let Some(answered) = found.cloned() {
            self.watch_answer(origin.link, answered.device, answered.reply.len());
            self.admit(
                now,
                origin,
                (id, message.token()),
                answered.reply,
                answered.device,
            );
            return answered.device;
        }
        let said = match read_check_in(message) {
            Ok(said) => said,
            Err(response) => {
                self.reply(now, origin, message, &response, None);
                return None;
            }
        };
        if !self.is_believed(origin, said.device_id) {
            match origin.caller {
                None => self.turn_away(now, origin, message, Some(said.device_id)),
                Some(_) => {
                    _ = self.reply(
                        now,
                        origin,
                        message,
                        &Response::new(self.disbelief(origin)),
                        origin.caller,
                    )
                }
            }
            return origin.caller;
        }
        let device = Some(said.device_id);
        let block = self.link_of(origin).block_size().bytes() as usize;
        if let Some(put_off) = self.put_off(now, origin.link, block) {
            self.reply(now, origin, message, &put_off, device);
            return device;
        }
        let reply = self.take_check_in(now, origin, datagram, message, &said);
        self.admit(now, origin, (id, message.token()), reply, device);
        device
    }

    /// Carries out a new check-in and gives the reply, which is remembered.
    fn take_check_in(
        &mut self,
        now: Now,
        origin: Origin,
        datagram: &[u8],
        message: &Message<'_>,
        said: &CheckIn,
    ) -> Vec<u8> {
        let link = &self.link_of(origin);
        let (journal, meter) = (&mut self.journal, &mut self.meter);
        let block_size_max = self.passage.limit(said.device_id, link.block_size());
        let link = &LinkConfig {
            block_size_max: block_size_max.unwrap_or(link.block_size_max),
            ..link.clone()
        };
        let lifetime_ms = exchange_lifetime_ms(link.ack_timeout_ms);
        let checked_in = checkin::handle(
            journal,
            meter,
            &mut self.anchor_offers,
            &self.config,
            link,
            now,
            (said, origin.caller.is_some()),
        );
        meter.seen(journal, now, said.device_id);
        let response = Response {
            content_format: Some(ContentFormat::CBOR),
            payload: checked_in.answer,
            ..Response::new(Code::CHANGED)
        };
        let reply = self.encode(message, &response);
        self.watch_answer(origin.link, Some(said.device_id), reply.len());
        if self.exchange.is_some() {
            // Kept as it was protected.
        } else if checked_in.not_recorded {
            // A stranger who is not listed is told the same each time, and pushes nobody's answer out of the window.
            self.unclaimed_dropped += 1;
        } else {
            self.replies.remember(
                now.monotonic_ms,
                lifetime_ms,
                (origin.peer, message.message_id()),
                datagram,
                &reply,
                Some(said.device_id),
            );
        }
        reply
    }

    /// Notes the answer to a check-in: a long one may not get through. It is noted when it was made already, so that the
    /// answer to the next check-in is the first that can be shorter.
    fn watch_answer(&mut self, link: LinkIndex, device: Option<DeviceId>, length: usize) {
        let claimed = |id: &DeviceId| {
            let known = self.journal.state().devices.get(id);
            known.is_some_and(|device| device.claimed)
        };
        let Some(id) = device.filter(claimed) else { return };
        let usual = self.links.get(link).config.block_size();
        let is_long = length > LONG_ANSWER_BYTES;
        match is_long {
            true => _ = self.passage.asked(id, Asked::CheckIn, usual),
            false => self.passage.short_answer(id),
        }
    }

    /// 5.03 instead of a reply that would wait longer than a quarter of the link's ACK timeout.
    fn put_off(&mut self, now: Now, link: LinkIndex, reply_bytes: usize) -> Option<Response> {
        let busy = self.links.get_mut(link);
        let wait_ms = busy.wait_ms(now.monotonic_ms, reply_bytes);
        if !busy.is_too_long(wait_ms) {
            return None;
        }
        self.events(link).deferred += 1;
        Some(Response::unavailable(
            u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX),
        ))
    }

    fn reply(
        &mut self,
        now: Now,
        origin: Origin,
        request: &Message<'_>,
        response: &Response,
        device: Option<DeviceId>,
    ) -> Admission {
        let reply = self.encode(request, response);
        if self.exchange.is_none() && !self.may_send(now, origin, reply.len()) {
            return self.challenge(now, origin, request);
        }
        self.admit(
            now,
            origin,
            (request.message_id(), request.token()),
            reply,
            device,
        )
    }

    /// Whether an answer of so many bytes may go where the request says that it came from.
    fn may_send(&mut self, now: Now, origin: Origin, bytes: usize) -> bool {
        if origin.is_reached || bytes <= origin.asked_bytes + FREE_BYTES {
            return true;
        }
        let on_link = self.links.get(origin.link).on_link(bytes);
        // Of an address that is trusted or proven nothing is taken.
        self.reach.is_reached(now.monotonic_ms, origin.peer, None)
            || self.reach.spend(now.monotonic_ms, origin.peer, on_link)
    }

    /// RFC 9175 §2.4: 4.01 with what has to be sent back. Nothing is kept of it.
    fn challenge(&mut self, now: Now, origin: Origin, request: &Message<'_>) -> Admission {
        let response = Response {
            echo: Some(self.reach.challenge(now.monotonic_ms, origin.peer)),
            ..Response::new(Code::UNAUTHORIZED)
        };
        let reply = self.encode(request, &response);
        let answers = (request.message_id(), request.token());
        self.admit(now, origin, answers, reply, None)
    }

    fn encode(&mut self, request: &Message<'_>, response: &Response) -> Vec<u8> {
        let fresh = self.fresh;
        self.fresh = fresh.next();
        response.encode(request, fresh)
    }

    fn admit(
        &mut self,
        now: Now,
        origin: Origin,
        answers: (MessageId, Token),
        bytes: Vec<u8>,
        device: Option<DeviceId>,
    ) -> Admission {
        let protected = match self.exchange.take() {
            Some(exchange) => self.sessions.protect(exchange, &bytes),
            None => Some(bytes),
        };
        let Some(bytes) = protected else {
            self.events(origin.link).dropped += 1;
            return Admission::Dropped;
        };
        let transmit = Transmit {
            peer: origin.peer,
            channel: origin.channel,
            bytes,
        };
        let link = self.links.get_mut(origin.link);
        let admission = link.admit(
            now.monotonic_ms,
            Outgoing {
                transmit,
                answers,
                device,
            },
        );
        match admission {
            Admission::Now => {}
            Admission::Paced => self.events(origin.link).paced += 1,
            Admission::Dropped => self.events(origin.link).dropped += 1,
        }
        admission
    }

    /// Lets go what may leave and sets the counters' timer.
    fn settle(&mut self, now: Now) {
        for index in self.links.indices() {
            while let Some(outgoing) = self.links.get_mut(index).depart(now.monotonic_ms) {
                self.count(index, Way::Down, outgoing.transmit.length(), outgoing.device);
                self.ready.push_back(outgoing.transmit);
            }
        }
        self.meter.arm(now, self.config.counters_interval_s);
        if self.rotations_ms.is_none() && self.journal.state().identities.is_any_leaving() {
            self.rotations_ms = Some(now.monotonic_ms.saturating_add(ROTATIONS_INTERVAL_MS));
        }
    }

    fn count(&mut self, link: LinkIndex, way: Way, payload: usize, device: Option<DeviceId>) {
        let link = self.links.get(link);
        self.meter
            .count(&mut self.journal, link, way, link.on_link(payload), device);
    }

    fn events(&mut self, link: LinkIndex) -> &mut crate::records::LinkEvents {
        let name = &self.links.get(link).config.name;
        self.meter.events(&mut self.journal, name)
    }
}

mod handshake;
pub use handshake::GATEWAY_KID;

/// How often it is asked whether credentials have had their time: their bounds are days.
const ROTATIONS_INTERVAL_MS: u64 = 600_000;

/// What a GET asks for, where it is a block that may not get through.
fn asked(route: Route, message: &Message<'_>) -> Option<Asked> {
    let block2 = message.block2().ok()?;
    let offset = block2.map_or(0, |block| block.offset());
    match route {
        Route::Payload(path) => Some(Asked::Payload(path, offset)),
        Route::Envelope(path) => Some(Asked::Manifest(path, offset)),
        _ => None,
    }
}

/// No longer than this is an answer without an envelope: 80 bytes of body, and what surrounds it.
const LONG_ANSWER_BYTES: usize = 128;

/// Reads a check-in, or says what is wrong with it.
fn read_check_in(message: &Message<'_>) -> Result<CheckIn, Response> {
    if message
        .block1()
        .is_ok_and(|block| block.is_some_and(|block| block.more || block.number.value() > 0))
    {
        // A check-in is at most 160 bytes: one datagram on every link we serve.
        return Err(Response::new(Code::REQUEST_ENTITY_TOO_LARGE));
    }
    if message
        .content_format()
        .is_some_and(|format| format != ContentFormat::CBOR)
    {
        return Err(Response::new(Code::UNSUPPORTED_CONTENT_FORMAT));
    }
    if !message
        .accept()
        .is_ok_and(|format| format.is_none_or(|format| format == ContentFormat::CBOR))
    {
        return Err(Response::new(Code::NOT_ACCEPTABLE));
    }
    CheckIn::decode(message.payload())
        .map_err(|error| Response::diagnosed(Code::BAD_REQUEST, &error.to_string()))
}
