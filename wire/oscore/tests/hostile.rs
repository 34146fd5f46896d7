//! Any bytes end in a message or in a named error; whatever was altered on the way is refused, and changes nothing.
//!
//! `exercise` is also what a fuzzer calls.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use proptest::prelude::*;
use support::{Pair, check_in, content, get};
use wire_coap::{BlockSize, BlockValue, Message, OptionNumber};
use wire_oscore::{EchoValue, OscoreOption, Received, ReplayWindow, UnprotectError};

const BLOCK: BlockValue = BlockValue::first(BlockSize::B64);

/// Whatever it is, neither side takes it, and neither is another afterwards.
fn exercise(pair: &Pair, datagram: &[u8]) {
    if let Ok(message) = Message::parse(datagram) {
        for value in message.values(OptionNumber::OSCORE) {
            let _ = OscoreOption::parse(value);
        }
    }
    for window in [ReplayWindow::new(), ReplayWindow::lost(EchoValue([0; 8]))] {
        let (mut arrived, mut after) = (datagram.to_vec(), window.clone());
        let received = pair.gateway.unprotect_request(&mut after, &mut arrived);
        assert!(received.is_err(), "{datagram:02x?}");
        assert_eq!(after, window);
        assert_eq!(arrived, datagram);
    }
    let (_, waiting) = pair.ask(3, &get(1, BLOCK));
    let (mut arrived, mut after) = (datagram.to_vec(), waiting.clone());
    assert!(pair.device.unprotect_response(&mut after, &mut arrived).is_err());
    assert_eq!(after, waiting);
}

/// Where OSCORE protects nothing, by design: kind, token length and token, message id, and the outer code (RFC 8613 §4.2).
/// What is changed there either is refused or leaves the message what it was inside.
fn is_outside(datagram: &[u8], position: usize) -> bool {
    position < 4 + usize::from(datagram[0] & 0x0f)
}

/// What is inside, and nothing that is not.
#[expect(
    clippy::type_complexity,
    reason = "code, options, payload, for one comparison"
)]
fn inside(plain: &[u8]) -> (u8, Vec<(u16, Vec<u8>)>, Vec<u8>) {
    let message = Message::parse(plain).unwrap();
    let options = message
        .options()
        .map(|option| (option.number.0, option.value.to_vec()));
    (message.code().0, options.collect(), message.payload().to_vec())
}

fn changes(byte: u8) -> impl Iterator<Item = u8> {
    (0..8)
        .map(move |bit| byte ^ 1 << bit)
        .chain([byte ^ 0xff, byte.wrapping_add(1)])
}

/// Every byte of a request, changed in ten ways, and every length it could be cut to.
#[test]
fn an_altered_request_is_refused() {
    let pair = Pair::new();
    for plain in [get(1, BLOCK), check_in(2, 60)] {
        let (sent, _) = pair.ask(0x1234, &plain);
        let mut altered_count = 0;
        for position in 0..sent.len() {
            for byte in changes(sent[position]) {
                let mut altered = sent.clone();
                altered[position] = byte;
                let mut window = ReplayWindow::new();
                match pair.take(&mut window, &altered) {
                    Err(_) => assert_eq!(window, ReplayWindow::new()),
                    Ok((read, _)) => {
                        assert!(is_outside(&sent, position), "byte {position} of {sent:02x?}");
                        assert_eq!(inside(&read), inside(&plain));
                    }
                }
                altered_count += 1;
            }
        }
        assert_eq!(altered_count, sent.len() * 10);
        for length in 0..sent.len() {
            exercise(&pair, &sent[..length]);
        }
        let mut longer = sent.clone();
        longer.push(0);
        exercise(&pair, &longer);
    }
}

#[test]
fn an_altered_response_is_refused_and_the_true_one_still_taken() {
    let pair = Pair::new();
    let (sent, waiting) = pair.ask(7, &get(1, BLOCK));
    let (_, mut exchange) = pair.take(&mut ReplayWindow::new(), &sent).unwrap();
    let plain = content(1, BLOCK, 64);
    let sent = pair.answer(&mut exchange, &plain);
    for position in 0..sent.len() {
        for byte in changes(sent[position]) {
            let mut altered = sent.clone();
            altered[position] = byte;
            let mut after = waiting.clone();
            match pair.hear(&mut after, &altered) {
                Err(_) => {
                    assert_eq!(after, waiting);
                    assert_eq!(pair.hear(&mut after, &sent).unwrap(), plain);
                }
                Ok(read) => {
                    assert!(is_outside(&sent, position), "byte {position} of {sent:02x?}");
                    assert_eq!(inside(&read), inside(&plain));
                }
            }
        }
    }
}

/// What was sent to one side is not taken by the other, or by its own sender.
#[test]
fn a_message_that_comes_back_is_refused() {
    let pair = Pair::new();
    let (sent, mut waiting) = pair.ask(7, &get(1, BLOCK));
    assert_eq!(
        pair.hear(&mut waiting, &sent).unwrap_err(),
        UnprotectError::NotProtected
    );
    let mut arrived = sent.clone();
    let refused = pair
        .device
        .unprotect_request(&mut ReplayWindow::new(), &mut arrived);
    assert_eq!(refused.map(|_| ()).unwrap_err(), UnprotectError::OtherContext);
}

#[test]
fn plain_messages_are_not_protected_ones() {
    let pair = Pair::new();
    let mut window = ReplayWindow::new();
    let refused = pair.take(&mut window, &get(1, BLOCK)).unwrap_err();
    assert_eq!(refused, UnprotectError::NotProtected);
    let (_, mut waiting) = pair.ask(1, &get(1, BLOCK));
    let refused = pair.hear(&mut waiting, &content(1, BLOCK, 64)).unwrap_err();
    assert_eq!(refused, UnprotectError::NotProtected);
}

/// Random bytes rarely get past the header; bytes that begin as a protected message and then go wrong get everywhere.
fn damaged(sent: &[u8], cut: &[(usize, u8)]) -> Vec<u8> {
    let mut datagram = sent.to_vec();
    for (position, byte) in cut {
        let position = position % datagram.len();
        datagram[position] = *byte;
    }
    datagram
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn arbitrary_bytes_end_well(datagram in proptest::collection::vec(any::<u8>(), 0..200)) {
        exercise(&Pair::new(), &datagram);
    }

    #[test]
    fn bytes_behind_a_proper_beginning_end_well(
        option in proptest::collection::vec(any::<u8>(), 0..13),
        payload in proptest::collection::vec(any::<u8>(), 1..60),
        code in prop_oneof![Just(2_u8), Just(68), any::<u8>()],
    ) {
        let mut datagram = vec![0x40, code, 0, 1, 0x90 | option.len() as u8];
        datagram.extend(&option);
        datagram.push(0xff);
        datagram.extend(&payload);
        exercise(&Pair::new(), &datagram);
    }

    /// Several bytes at once, in a request whose own Partial IV came already or not: what is taken is what was sent.
    #[test]
    fn what_is_taken_is_what_was_sent(
        cut in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        came in any::<bool>(),
    ) {
        let pair = Pair::new();
        let plain = check_in(2, 40);
        let (sent, _) = pair.ask(5, &plain);
        let mut window = ReplayWindow::new();
        if came {
            prop_assert!(pair.take(&mut window, &sent).is_ok());
        }
        let before = window.clone();
        let mut arrived = damaged(&sent, &cut);
        match pair.gateway.unprotect_request(&mut window, &mut arrived) {
            Ok(Received::Request { message, .. }) => {
                prop_assert!(!came);
                prop_assert_eq!(inside(&support::rewrite(&message)), inside(&plain));
            }
            Ok(Received::Unproven(_)) => prop_assert!(false, "the window is known"),
            Err(_) => prop_assert_eq!(window, before),
        }
    }
}
