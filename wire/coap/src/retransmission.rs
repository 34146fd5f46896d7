//! The message layer's timers: transmission parameters, and one exchange of a Confirmable (RFC 7252 §4.2, §4.8, §5.2).

use crate::code::{Kind, MessageId, Token};
use crate::message::Message;

/// A factor of at least one, as a fraction, there being no floats here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Above the line.
    pub numerator: u32,
    /// Below the line; 0 counts as 1.
    pub denominator: u32,
}

impl Ratio {
    /// `value` times the ratio, rounded down; saturates.
    pub const fn of(self, value: u64) -> u64 {
        let denominator = if self.denominator == 0 {
            1
        } else {
            self.denominator as u64
        };
        value.saturating_mul(self.numerator as u64) / denominator
    }
}

/// Transmission parameters (RFC 7252 §4.8, Table 2). A link sets its own; ACK_TIMEOUT is the one that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmissionParameters {
    /// ACK_TIMEOUT, milliseconds.
    pub ack_timeout_ms: u32,
    /// ACK_RANDOM_FACTOR.
    pub ack_random_factor: Ratio,
    /// MAX_RETRANSMIT; more than 16 counts as 16, by when the timeout has grown 65536-fold.
    pub max_retransmit: u8,
    /// MAX_LATENCY, milliseconds (RFC 7252 §4.8.2).
    pub max_latency_ms: u32,
}

/// Bound on the doublings, see [`TransmissionParameters::max_retransmit`].
const RETRANSMIT_MAX: u8 = 16;

impl TransmissionParameters {
    /// The values of RFC 7252 §4.8 and §4.8.2: 2 s, 1.5, 4 retransmissions, 100 s.
    pub const DEFAULT: TransmissionParameters = TransmissionParameters {
        ack_timeout_ms: 2_000,
        ack_random_factor: Ratio {
            numerator: 3,
            denominator: 2,
        },
        max_retransmit: 4,
        max_latency_ms: 100_000,
    };

    /// The defaults with another ACK_TIMEOUT.
    pub const fn with_ack_timeout_ms(ack_timeout_ms: u32) -> TransmissionParameters {
        TransmissionParameters {
            ack_timeout_ms,
            ..TransmissionParameters::DEFAULT
        }
    }

    /// The longest initial timeout: ACK_TIMEOUT × ACK_RANDOM_FACTOR (RFC 7252 §4.2).
    pub const fn initial_timeout_max_ms(&self) -> u64 {
        let timeout = self.ack_random_factor.of(self.ack_timeout_ms as u64);
        if timeout < self.ack_timeout_ms as u64 {
            self.ack_timeout_ms as u64
        } else {
            timeout
        }
    }

    /// MAX_TRANSMIT_SPAN = ACK_TIMEOUT × (2^MAX_RETRANSMIT − 1) × ACK_RANDOM_FACTOR: from the first transmission to
    /// the last (RFC 7252 §4.8.2).
    pub const fn max_transmit_span_ms(&self) -> u64 {
        self.initial_timeout_max_ms() * ((1 << self.retransmissions_max()) - 1)
    }

    /// MAX_TRANSMIT_WAIT = ACK_TIMEOUT × (2^(MAX_RETRANSMIT + 1) − 1) × ACK_RANDOM_FACTOR: from the first
    /// transmission to giving up (RFC 7252 §4.8.2).
    pub const fn max_transmit_wait_ms(&self) -> u64 {
        self.initial_timeout_max_ms() * ((2 << self.retransmissions_max()) - 1)
    }

    /// PROCESSING_DELAY, set to ACK_TIMEOUT (RFC 7252 §4.8.2).
    pub const fn processing_delay_ms(&self) -> u64 {
        self.ack_timeout_ms as u64
    }

    /// MAX_RTT = 2 × MAX_LATENCY + PROCESSING_DELAY (RFC 7252 §4.8.2).
    pub const fn max_rtt_ms(&self) -> u64 {
        2 * self.max_latency_ms as u64 + self.processing_delay_ms()
    }

    /// EXCHANGE_LIFETIME = MAX_TRANSMIT_SPAN + MAX_RTT: how long a Confirmable's message id stays taken
    /// (RFC 7252 §4.8.2).
    pub const fn exchange_lifetime_ms(&self) -> u64 {
        self.max_transmit_span_ms() + self.max_rtt_ms()
    }

    /// NON_LIFETIME = MAX_TRANSMIT_SPAN + MAX_LATENCY: the same for a Non-confirmable (RFC 7252 §4.8.2).
    pub const fn non_lifetime_ms(&self) -> u64 {
        self.max_transmit_span_ms() + self.max_latency_ms as u64
    }

    /// A timeout between ACK_TIMEOUT and ACK_TIMEOUT × ACK_RANDOM_FACTOR, both included, chosen by `seed`
    /// (RFC 7252 §4.2). Any seeds will do, consecutive ones too.
    pub const fn initial_timeout_ms(&self, seed: u64) -> u64 {
        let least = self.ack_timeout_ms as u64;
        least + scatter(seed) % (self.initial_timeout_max_ms() - least + 1)
    }

    const fn retransmissions_max(&self) -> u8 {
        if self.max_retransmit > RETRANSMIT_MAX {
            RETRANSMIT_MAX
        } else {
            self.max_retransmit
        }
    }
}

impl Default for TransmissionParameters {
    fn default() -> TransmissionParameters {
        TransmissionParameters::DEFAULT
    }
}

/// Spreads neighbouring seeds over 64 bits: a finalizer of xor-shifts and odd multiplications. No two seeds give the same.
#[inline(never)]
pub const fn scatter(seed: u64) -> u64 {
    let mixed = (seed ^ seed >> 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    mixed ^ mixed >> 32
}

/// One Confirmable request, from its first transmission to its response, Reset or end. The caller keeps the datagram.
///
/// | state | timeout | empty ACK | response | RST |
/// |---|---|---|---|---|
/// | awaiting ACK | [`TimeoutAction::Retransmit`], at the end [`TimeoutAction::GiveUp`] | awaiting response | over | over |
/// | awaiting response | [`TimeoutAction::GiveUp`] | (a duplicate) | over | (of an old copy: ignored) |
/// | over | none | [`Reply::NotOurs`] | [`Reply::NotOurs`] | [`Reply::NotOurs`] |
///
/// Call [`Retransmission::handle_timeout`] at the time [`Retransmission::poll_timeout`] tells, and poll again after
/// each `handle_*`: every one of them may move the deadline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retransmission {
    message_id: MessageId,
    token: Token,
    state: State,
    sent_ms: u64,
    retransmissions: u8,
    retransmissions_max: u8,
    response_wait_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    AwaitingAcknowledgement { timeout_ms: u64, deadline_ms: u64 },
    AwaitingResponse { deadline_ms: u64 },
    Over,
}

/// What to do when a deadline passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TimeoutAction {
    /// It is not time yet.
    Nothing,
    /// Send the same datagram again.
    Retransmit,
    /// The peer did not answer; the exchange is over.
    GiveUp,
}

/// What an incoming message means for an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Reply {
    /// It belongs to something else. Unless it belongs to nothing: then a Confirmable one deserves a Reset.
    NotOurs,
    /// The peer has the request, the response comes later: no more retransmissions (RFC 7252 §5.2.2).
    Acknowledged,
    /// The message is the response; the exchange is over.
    Response {
        /// The response is a Confirmable and must be answered with an empty ACK (RFC 7252 §5.2.2).
        acknowledge: bool,
    },
    /// The peer rejected the request with a Reset; the exchange is over.
    Rejected,
}

impl Retransmission {
    /// Begins an exchange whose request is sent at `now_ms`. `seed` chooses the initial timeout.
    ///
    /// A separate response is awaited for EXCHANGE_LIFETIME after the empty ACK, RFC 7252 naming no time for it.
    pub const fn new(
        parameters: &TransmissionParameters,
        message_id: MessageId,
        token: Token,
        now_ms: u64,
        seed: u64,
    ) -> Retransmission {
        let timeout_ms = parameters.initial_timeout_ms(seed);
        let deadline_ms = now_ms.saturating_add(timeout_ms);
        Retransmission {
            message_id,
            token,
            state: State::AwaitingAcknowledgement {
                timeout_ms,
                deadline_ms,
            },
            sent_ms: now_ms,
            retransmissions: 0,
            retransmissions_max: parameters.retransmissions_max(),
            response_wait_ms: parameters.exchange_lifetime_ms(),
        }
    }

    /// When to call [`Retransmission::handle_timeout`]; `None` when the exchange is over.
    pub const fn poll_timeout(&self) -> Option<u64> {
        match self.state {
            State::AwaitingAcknowledgement { deadline_ms, .. } | State::AwaitingResponse { deadline_ms } => {
                Some(deadline_ms)
            }
            State::Over => None,
        }
    }

    /// Says what to do at `now_ms`. The next timeout counts from `now_ms`, so that a caller that was late (or asleep)
    /// does not send copies back to back.
    pub fn handle_timeout(&mut self, now_ms: u64) -> TimeoutAction {
        match self.state {
            State::Over => TimeoutAction::Nothing,
            State::AwaitingAcknowledgement { deadline_ms, .. } | State::AwaitingResponse { deadline_ms }
                if now_ms < deadline_ms =>
            {
                TimeoutAction::Nothing
            }
            State::AwaitingAcknowledgement { timeout_ms, .. }
                if self.retransmissions < self.retransmissions_max =>
            {
                self.retransmissions += 1;
                let timeout_ms = timeout_ms.saturating_mul(2);
                let deadline_ms = now_ms.saturating_add(timeout_ms);
                self.state = State::AwaitingAcknowledgement {
                    timeout_ms,
                    deadline_ms,
                };
                TimeoutAction::Retransmit
            }
            State::AwaitingAcknowledgement { .. } | State::AwaitingResponse { .. } => {
                self.state = State::Over;
                TimeoutAction::GiveUp
            }
        }
    }

    /// Says what a message from the peer means for this exchange. The caller has compared the peer's address.
    pub fn handle_message(&mut self, now_ms: u64, message: &Message<'_>) -> Reply {
        if self.is_over() {
            return Reply::NotOurs;
        }
        let ours = message.message_id() == self.message_id;
        match message.kind() {
            Kind::Acknowledgement if ours && message.code().is_empty() => self.handle_empty_ack(now_ms),
            // RFC 7252 §5.3.2: a piggybacked response matches in message id and token.
            Kind::Acknowledgement if ours && message.token() == self.token => self.finish(false),
            Kind::Reset if ours && self.is_awaiting_ack() => {
                self.state = State::Over;
                Reply::Rejected
            }
            // A separate response matches in token alone and stands for a lost ACK as well (RFC 7252 §5.2.2).
            Kind::Confirmable | Kind::NonConfirmable
                if message.code().is_response() && message.token() == self.token =>
            {
                self.finish(message.kind() == Kind::Confirmable)
            }
            _ => Reply::NotOurs,
        }
    }

    /// Whether nothing more is awaited.
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The request's message id.
    pub const fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// The request's token.
    pub const fn token(&self) -> Token {
        self.token
    }

    /// When the request was first sent.
    pub const fn sent_ms(&self) -> u64 {
        self.sent_ms
    }

    /// Copies sent after the first one. A round trip is measured only when this is 0: otherwise nobody knows which
    /// copy was answered.
    pub const fn retransmissions(&self) -> u8 {
        self.retransmissions
    }

    const fn is_awaiting_ack(&self) -> bool {
        matches!(self.state, State::AwaitingAcknowledgement { .. })
    }

    fn handle_empty_ack(&mut self, now_ms: u64) -> Reply {
        if self.is_awaiting_ack() {
            self.state = State::AwaitingResponse {
                deadline_ms: now_ms.saturating_add(self.response_wait_ms),
            };
        }
        Reply::Acknowledged
    }

    fn finish(&mut self, acknowledge: bool) -> Reply {
        self.state = State::Over;
        Reply::Response { acknowledge }
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::writer::{Writer, empty_acknowledgement, reset};
    use std::vec::Vec;

    const ID: MessageId = MessageId(0x7d38);
    const TOKEN: Token = Token::from_u32(0x53);

    fn begin(now_ms: u64, seed: u64) -> Retransmission {
        Retransmission::new(&TransmissionParameters::DEFAULT, ID, TOKEN, now_ms, seed)
    }

    fn response(kind: Kind, message_id: MessageId, token: Token) -> Vec<u8> {
        let mut buffer = [0; 32];
        let mut writer = Writer::new(&mut buffer, kind, Code::CONTENT, message_id, token).unwrap();
        writer.payload(b"22.3 C").unwrap();
        writer.finish().to_vec()
    }

    fn hear(exchange: &mut Retransmission, now_ms: u64, datagram: &[u8]) -> Reply {
        exchange.handle_message(now_ms, &Message::parse(datagram).unwrap())
    }

    /// RFC 7252 §4.8.2, Table 3.
    #[test]
    fn derived_parameters_are_those_of_table_3() {
        let parameters = TransmissionParameters::DEFAULT;
        assert_eq!(parameters.max_transmit_span_ms(), 45_000);
        assert_eq!(parameters.max_transmit_wait_ms(), 93_000);
        assert_eq!(parameters.processing_delay_ms(), 2_000);
        assert_eq!(parameters.max_rtt_ms(), 202_000);
        assert_eq!(parameters.exchange_lifetime_ms(), 247_000);
        assert_eq!(parameters.non_lifetime_ms(), 145_000);
    }

    #[test]
    fn extreme_parameters_do_not_overflow() {
        let parameters = TransmissionParameters {
            ack_timeout_ms: u32::MAX,
            ack_random_factor: Ratio {
                numerator: 2,
                denominator: 0,
            },
            max_retransmit: u8::MAX,
            max_latency_ms: u32::MAX,
        };
        assert!(parameters.exchange_lifetime_ms() > parameters.max_transmit_span_ms());
        assert!(parameters.max_transmit_wait_ms() < u64::MAX / 1_000);
    }

    #[test]
    fn initial_timeout_is_spread_over_its_whole_range() {
        let parameters = TransmissionParameters::DEFAULT;
        let timeouts: Vec<u64> = (0..20_000)
            .map(|seed| parameters.initial_timeout_ms(seed))
            .collect();
        assert_eq!(timeouts.iter().min(), Some(&2_000));
        assert_eq!(timeouts.iter().max(), Some(&3_000));
        let mean = timeouts.iter().sum::<u64>() / 20_000;
        assert!((2_480..=2_520).contains(&mean), "mean {mean}");
    }

    #[test]
    fn factor_below_one_counts_as_one() {
        let ack_random_factor = Ratio {
            numerator: 1,
            denominator: 2,
        };
        let parameters = TransmissionParameters {
            ack_random_factor,
            ..TransmissionParameters::DEFAULT
        };
        assert_eq!(parameters.initial_timeout_ms(99), 2_000);
    }

    #[test]
    fn four_copies_at_doubling_intervals_then_the_end() {
        for seed in 0..100 {
            let mut exchange = begin(1_000, seed);
            let first = exchange.poll_timeout().unwrap() - 1_000;
            let mut now_ms = 1_000;
            for copy in 0..4 {
                now_ms += first << copy;
                assert_eq!(exchange.poll_timeout(), Some(now_ms));
                assert_eq!(exchange.handle_timeout(now_ms - 1), TimeoutAction::Nothing);
                assert_eq!(exchange.handle_timeout(now_ms), TimeoutAction::Retransmit);
            }
            now_ms += first << 4;
            assert!(now_ms - 1_000 <= TransmissionParameters::DEFAULT.max_transmit_wait_ms());
            assert_eq!(exchange.handle_timeout(now_ms), TimeoutAction::GiveUp);
            assert_eq!((exchange.poll_timeout(), exchange.retransmissions()), (None, 4));
            assert_eq!(exchange.handle_timeout(u64::MAX), TimeoutAction::Nothing);
        }
    }

    #[test]
    fn late_caller_does_not_send_copies_back_to_back() {
        let mut exchange = begin(0, 1);
        assert_eq!(exchange.handle_timeout(60_000), TimeoutAction::Retransmit);
        assert_eq!(exchange.handle_timeout(60_000), TimeoutAction::Nothing);
        assert!(exchange.poll_timeout() >= Some(64_000));
    }

    #[test]
    fn piggybacked_response_ends_the_exchange() {
        let mut exchange = begin(0, 1);
        let datagram = response(Kind::Acknowledgement, ID, TOKEN);
        assert_eq!(
            hear(&mut exchange, 10, &datagram),
            Reply::Response { acknowledge: false }
        );
        assert_eq!(
            hear(&mut exchange, 11, &datagram),
            Reply::NotOurs,
            "the same once more"
        );
        assert_eq!(exchange.poll_timeout(), None);
    }

    #[test]
    fn piggybacked_response_must_match_id_and_token() {
        let mut exchange = begin(0, 1);
        let other_token = response(Kind::Acknowledgement, ID, Token::EMPTY);
        let other_id = response(Kind::Acknowledgement, ID.next(), TOKEN);
        assert_eq!(hear(&mut exchange, 10, &other_token), Reply::NotOurs);
        assert_eq!(hear(&mut exchange, 10, &other_id), Reply::NotOurs);
        assert!(!exchange.is_over());
    }

    /// RFC 7252 Appendix A, Figure 20.
    #[test]
    fn empty_ack_stops_the_copies_until_the_separate_response() {
        let mut exchange = begin(0, 1);
        assert_eq!(
            hear(&mut exchange, 500, &empty_acknowledgement(ID)),
            Reply::Acknowledged
        );
        assert_eq!(exchange.poll_timeout(), Some(500 + 247_000));
        assert_eq!(exchange.handle_timeout(10_000), TimeoutAction::Nothing);
        let separate = response(Kind::Confirmable, MessageId(0xad7b), TOKEN);
        assert_eq!(
            hear(&mut exchange, 20_000, &separate),
            Reply::Response { acknowledge: true }
        );
    }

    #[test]
    fn separate_response_that_never_comes_is_given_up() {
        let mut exchange = begin(0, 1);
        assert_eq!(
            hear(&mut exchange, 500, &empty_acknowledgement(ID)),
            Reply::Acknowledged
        );
        assert_eq!(
            hear(&mut exchange, 9_000, &empty_acknowledgement(ID)),
            Reply::Acknowledged
        );
        assert_eq!(
            exchange.handle_timeout(247_500),
            TimeoutAction::GiveUp,
            "a second ACK does not prolong it"
        );
    }

    #[test]
    fn separate_response_stands_for_a_lost_ack() {
        let mut exchange = begin(0, 1);
        let separate = response(Kind::NonConfirmable, MessageId(1), TOKEN);
        assert_eq!(
            hear(&mut exchange, 10, &separate),
            Reply::Response { acknowledge: false }
        );
    }

    #[test]
    fn reset_ends_the_exchange_only_with_its_id() {
        let mut exchange = begin(0, 1);
        assert_eq!(hear(&mut exchange, 10, &reset(ID.next())), Reply::NotOurs);
        assert_eq!(hear(&mut exchange, 10, &reset(ID)), Reply::Rejected);
        assert!(exchange.is_over());
    }

    #[test]
    fn request_with_our_token_is_not_our_response() {
        let mut buffer = [0; 16];
        let writer = Writer::new(&mut buffer, Kind::Confirmable, Code::GET, ID, TOKEN).unwrap();
        let mut exchange = begin(0, 1);
        assert_eq!(hear(&mut exchange, 10, writer.finish()), Reply::NotOurs);
    }
}
