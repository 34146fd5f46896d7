//! The front: feeds the parts and keeps their order.

use crate::change::Change;
use crate::checkin;
use crate::command::{Command, Refusal, Reply};
use crate::config::{CoreConfig, LinkConfig};
use crate::dry;
use crate::effect::{BuildOutcome, Effect, Payloads, Transmit};
use crate::journal::Journal;
use crate::keep;
use crate::links::{Admission, LinkIndex, Links, Outgoing};
use crate::meter::{Meter, Way};
use crate::offers;
use crate::operator::{self, enrol};
use crate::passage::{Asked, Passage};
use crate::replies::{Replies, exchange_lifetime_ms};
use crate::request::{self, Incoming, Response};
use crate::resources::{self, Route};
use crate::units::Now;
use core::net::SocketAddr;
use std::collections::VecDeque;
use wire_checkin::{CheckIn, DeviceId};
use wire_coap::{Code, ContentFormat, Message, MessageId, Token};

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
    ready: VecDeque<Transmit>,
    /// Message id of the next NON.
    fresh: MessageId,
    /// When it began to listen, of the monotonic clock.
    pub(crate) started_ms: u64,
    /// When rotations of credentials are looked at, of the monotonic clock.
    rotations_ms: Option<u64>,
    pub(crate) unclaimed_dropped: u64,
}

/// Where a request came from.
#[derive(Clone, Copy)]
struct Origin {
    peer: SocketAddr,
    link: LinkIndex,
}

impl Gateway {
    /// A gateway that knows nothing yet.
    pub fn new(config: CoreConfig) -> Gateway {
        Gateway {
            links: Links::new(&config),
            journal: Journal::trusting(config.trusted_keys.clone()),
            replies: Replies::default(),
            passage: Passage::default(),
            meter: Meter::default(),
            ready: VecDeque::new(),
            fresh: MessageId(0),
            started_ms: 0,
            rotations_ms: None,
            unclaimed_dropped: 0,
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
        }
        self.settle(now);
    }

    /// Carries out an operator's command, or refuses it and changes nothing.
    pub fn handle_command(&mut self, now: Now, command: Command) -> Result<Reply, Refusal> {
        if let Command::ForgetDevice(id) = &command {
            self.passage.forget(*id);
        }
        let reply = operator::handle(&mut self.journal, &self.config, &self.links, now, command);
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

    /// When to call [`Gateway::handle_timeout`], in milliseconds of the monotonic clock; `None`: not needed.
    pub fn poll_timeout(&self) -> Option<u64> {
        let due = [
            self.links.poll_timeout(),
            self.meter.poll_timeout(),
            self.rotations_ms,
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
            Incoming::Request(message) => self.route(now, origin, datagram, &message, payloads),
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
        match route {
            Route::CheckIn => return self.check_in(now, origin, datagram, message),
            Route::DryCheckIn => self.dry_check_in(now, origin, message),
            _ => self.get(now, origin, route, message, payloads),
        }
        device
    }

    /// Answers `POST /c/dry`: what a check-in would lead to. Nothing is recorded, built, offered or remembered.
    fn dry_check_in(&mut self, now: Now, origin: Origin, message: &Message<'_>) {
        let link = &self.links.get(origin.link).config;
        let block = link.block_size().bytes() as usize;
        let response = match read_check_in(message) {
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
        let device = route.device(self.journal.state());
        let link = self.links.get(origin.link).config.clone();
        let link = match (device, asked(route, message)) {
            (Some(id), Some(asked)) => LinkConfig {
                block_size_max: self.passage.asked(id, asked, link.block_size()),
                ..link
            },
            _ => link,
        };
        let served = resources::get(self.journal.state(), &link, payloads, route, message);
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
        let found = self.replies.find(now.monotonic_ms, origin.peer, id, datagram);
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
        let device = Some(said.device_id);
        let block = self.links.get(origin.link).config.block_size().bytes() as usize;
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
        let (journal, meter) = (&mut self.journal, &mut self.meter);
        let link = &self.links.get(origin.link).config;
        let block_size_max = self.passage.limit(said.device_id, link.block_size());
        let link = &LinkConfig {
            block_size_max: block_size_max.unwrap_or(link.block_size_max),
            ..link.clone()
        };
        let lifetime_ms = exchange_lifetime_ms(link.ack_timeout_ms);
        let checked_in = checkin::handle(journal, meter, &self.config, link, now, said);
        meter.seen(journal, now, said.device_id);
        let response = Response {
            content_format: Some(ContentFormat::CBOR),
            payload: checked_in.answer,
            ..Response::new(Code::CHANGED)
        };
        let reply = self.encode(message, &response);
        self.watch_answer(origin.link, Some(said.device_id), reply.len());
        if checked_in.not_recorded {
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
        self.admit(
            now,
            origin,
            (request.message_id(), request.token()),
            reply,
            device,
        )
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
        let transmit = Transmit {
            peer: origin.peer,
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
                self.count(index, Way::Down, outgoing.transmit.bytes.len(), outgoing.device);
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
