//! Whole exchanges: what the other side reads is what was written, and what must not happen twice does not.

#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::{Pair, check_in, content, fresh, get, message};
use wire_coap::{BlockNumber, BlockSize, BlockValue, Code, Kind, Message, MessageId, OptionNumber};
use wire_oscore::{
    Context, EchoValue, Id, IdContext, OVERHEAD_BYTES_MAX, OscoreOption, ProtectError, Received,
    ReplayWindow, SameIds, UnprotectError,
};

const BLOCK: BlockValue = BlockValue::first(BlockSize::B64);

#[test]
fn both_sides_read_what_the_other_wrote() {
    let pair = Pair::new();
    let mut window = ReplayWindow::new();
    for (number, plain) in [get(1, BLOCK), check_in(2, 100), check_in(3, 0)]
        .into_iter()
        .enumerate()
    {
        let (sent, mut waiting) = pair.ask(number as u64, &plain);
        assert!(
            !sent.windows(7).any(|bytes| bytes == b"k3Tq9Za"),
            "the path is a secret"
        );
        let (read, mut exchange) = pair.take(&mut window, &sent).unwrap();
        assert_eq!(read, plain);
        let plain = content(number as u16, BLOCK, 64);
        let sent = pair.answer(&mut exchange, &plain);
        assert_eq!(pair.hear(&mut waiting, &sent).unwrap(), plain);
    }
}

/// Nothing but the kid says whose a request is: the gateway keeps contexts by it, and the address has no part in it.
#[test]
fn a_server_finds_the_context_by_kid() {
    let (sent, _) = Pair::new().ask(5, &get(1, BLOCK));
    let message = Message::parse(&sent).unwrap();
    let option = OscoreOption::parse(message.option(OptionNumber::OSCORE).unwrap()).unwrap();
    assert_eq!(option.kid, Some(&[0x12, 0x34][..]));
    assert_eq!(message.code(), Code::POST, "whatever is asked looks the same");
}

#[test]
fn a_request_is_taken_once() {
    let pair = Pair::new();
    let mut window = ReplayWindow::new();
    let (sent, _) = pair.ask(5, &get(1, BLOCK));
    assert!(pair.take(&mut window, &sent).is_ok());
    let before = window.clone();
    assert_eq!(
        pair.take(&mut window, &sent).unwrap_err(),
        UnprotectError::Replayed
    );
    assert_eq!(window, before);
}

/// What was held back on the way is no replay, and can be told from the newest.
#[test]
fn a_request_that_comes_late_is_known_by_its_number() {
    let pair = Pair::new();
    let mut window = ReplayWindow::new();
    let (held_back, _) = pair.ask(5, &check_in(1, 10));
    let (newest, _) = pair.ask(9, &check_in(2, 10));
    let (_, exchange) = pair.take(&mut window, &newest).unwrap();
    assert_eq!(Some(exchange.partial_iv()), window.highest());
    let (_, exchange) = pair.take(&mut window, &held_back).unwrap();
    assert_eq!(exchange.partial_iv().value(), 5);
    assert!(Some(exchange.partial_iv()) < window.highest());
}

#[test]
fn a_response_answers_its_request_alone_and_once() {
    let pair = Pair::new();
    let mut window = ReplayWindow::new();
    let (first, mut waiting_first) = pair.ask(1, &get(1, BLOCK));
    let (second, mut waiting_second) = pair.ask(2, &get(2, BLOCK));
    let (_, mut exchange) = pair.take(&mut window, &first).unwrap();
    let answer = pair.answer(&mut exchange, &content(1, BLOCK, 64));
    assert_eq!(
        pair.hear(&mut waiting_second, &answer).unwrap_err(),
        UnprotectError::Forged
    );
    assert!(pair.hear(&mut waiting_first, &answer).is_ok());
    assert_eq!(
        pair.hear(&mut waiting_first, &answer).unwrap_err(),
        UnprotectError::Replayed
    );
    // The other is still to come.
    let (_, mut exchange) = pair.take(&mut window, &second).unwrap();
    let answer = pair.answer(&mut exchange, &content(2, BLOCK, 64));
    assert!(pair.hear(&mut waiting_second, &answer).is_ok());
}

#[test]
fn the_nonce_of_a_request_serves_one_response() {
    let pair = Pair::new();
    let (sent, mut waiting) = pair.ask(1, &get(1, BLOCK));
    let (_, mut exchange) = pair.take(&mut ReplayWindow::new(), &sent).unwrap();
    pair.answer(&mut exchange, &content(1, BLOCK, 64));
    let plain = content(1, BLOCK, 32);
    let plain = Message::parse(&plain).unwrap();
    let mut out = [0; 200];
    let again = pair
        .gateway
        .protect_response(&mut exchange, None, &plain, &mut out);
    assert_eq!(again, Err(ProtectError::OwnPartialIvNeeded));
    let again = pair
        .gateway
        .protect_response(&mut exchange, Some(fresh(0)), &plain, &mut out);
    assert!(pair.hear(&mut waiting, again.unwrap()).is_ok());
}

/// A gateway that restarted knows no window (Appendix B.1.2): it asks for an echo, under a number of its own.
#[test]
fn after_a_restart_the_first_request_proves_itself() {
    let pair = Pair::new();
    let echo = EchoValue(*b"8 random");
    let mut window = ReplayWindow::lost(echo);
    let lost = window.clone();
    let (replay, _) = pair.ask(6, &check_in(1, 40));

    let (sent, mut waiting) = pair.ask(7, &check_in(2, 40));
    let mut arrived = sent.clone();
    let Ok(Received::Unproven(challenge)) = pair.gateway.unprotect_request(&mut window, &mut arrived) else {
        panic!("nobody knows whether it is a replay");
    };
    assert_eq!(window, lost, "nothing is decided yet");
    let mut out = [0; 100];
    let answer = challenge
        .protect(&pair.gateway, fresh(0), MessageId(9), &mut out)
        .unwrap();
    let heard = pair.hear(&mut waiting, answer).unwrap();
    let heard = Message::parse(&heard).unwrap();
    assert_eq!(
        (heard.code(), heard.kind()),
        (Code::UNAUTHORIZED, Kind::Acknowledgement)
    );
    assert_eq!(heard.option(OptionNumber::ECHO), Some(&echo.0[..]));

    // A wrong echo is as none.
    for (number, echoed) in [(8, &b"another "[..]), (9, b"8 rando"), (10, &[0; 40])] {
        let plain = message(Kind::Confirmable, Code::GET, 3, |writer| {
            writer.option(OptionNumber::ECHO, echoed).unwrap();
        });
        let (mut sent, _) = pair.ask(number, &plain);
        let received = pair.gateway.unprotect_request(&mut window, &mut sent);
        assert!(matches!(received, Ok(Received::Unproven(_))), "{received:?}");
        assert_eq!(window, lost);
    }

    let plain = message(Kind::Confirmable, Code::GET, 4, |writer| {
        writer
            .option(OptionNumber::ECHO, heard.option(OptionNumber::ECHO).unwrap())
            .unwrap();
    });
    let (sent, _) = pair.ask(11, &plain);
    assert_eq!(pair.take(&mut window, &sent).unwrap().0, plain);
    // From now on as ever, and of what was before nothing counts.
    assert_eq!(
        pair.take(&mut window, &replay).unwrap_err(),
        UnprotectError::Replayed
    );
    assert_eq!(
        pair.take(&mut window, &sent).unwrap_err(),
        UnprotectError::Replayed
    );
    assert!(pair.take(&mut window, &pair.ask(12, &get(5, BLOCK)).0).is_ok());
}

/// What may be a replay had its nonce used by the gateway that restarted.
#[test]
fn a_challenge_to_a_non_confirmable_request_is_one_too() {
    let pair = Pair::new();
    let plain = message(Kind::NonConfirmable, Code::GET, 1, |_| {});
    let (mut sent, mut waiting) = pair.ask(1, &plain);
    let mut window = ReplayWindow::lost(EchoValue([1; 8]));
    let Ok(Received::Unproven(challenge)) = pair.gateway.unprotect_request(&mut window, &mut sent) else {
        panic!("the window is lost");
    };
    let mut out = [0; 100];
    let answer = challenge
        .protect(&pair.gateway, fresh(0), MessageId(77), &mut out)
        .unwrap();
    let heard = pair.hear(&mut waiting, answer).unwrap();
    let heard = Message::parse(&heard).unwrap();
    assert_eq!(
        (heard.kind(), heard.message_id()),
        (Kind::NonConfirmable, MessageId(77))
    );
}

#[test]
fn an_observation_has_numbers_of_the_gateway_and_goes_forward() {
    let pair = Pair::new();
    let register = message(Kind::Confirmable, Code::GET, 1, |writer| {
        writer.uint(OptionNumber::OBSERVE, 0).unwrap();
        writer.uri_path("state").unwrap();
    });
    let (sent, mut waiting) = pair.ask(1, &register);
    let outside = Message::parse(&sent).unwrap();
    assert_eq!(outside.code(), Code::FETCH, "what proxies know to observe");
    assert_eq!(outside.option(OptionNumber::OBSERVE), Some(&[][..]));
    let (read, mut exchange) = pair.take(&mut ReplayWindow::new(), &sent).unwrap();
    assert_eq!(read, register);

    let notify = |payload: &[u8]| {
        message(Kind::NonConfirmable, Code::CONTENT, 2, |writer| {
            writer.uint(OptionNumber::OBSERVE, 4711).unwrap();
            writer.payload(payload).unwrap();
        })
    };
    let plain = notify(b"one");
    let mut out = [0; 100];
    let without =
        pair.gateway
            .protect_response(&mut exchange, None, &Message::parse(&plain).unwrap(), &mut out);
    assert_eq!(without, Err(ProtectError::OwnPartialIvNeeded));
    let mut sent = Vec::new();
    for (number, payload) in [(3, b"one"), (4, b"two"), (5, b"333")] {
        let plain = notify(payload);
        let plain = Message::parse(&plain).unwrap();
        let notification =
            pair.gateway
                .protect_response(&mut exchange, Some(fresh(number)), &plain, &mut out);
        sent.push(notification.unwrap().to_vec());
    }
    assert_eq!(Message::parse(&sent[0]).unwrap().code(), Code::CONTENT);
    let heard = pair.hear(&mut waiting, &sent[1]).unwrap();
    let heard = Message::parse(&heard).unwrap();
    assert_eq!(
        (heard.payload(), heard.option(OptionNumber::OBSERVE)),
        (&b"two"[..], Some(&[][..]))
    );
    assert_eq!(
        waiting.notification_number().map(|number| number.value()),
        Some(4)
    );
    for old in &sent[..2] {
        assert_eq!(
            pair.hear(&mut waiting, old).unwrap_err(),
            UnprotectError::Replayed
        );
    }
    assert!(pair.hear(&mut waiting, &sent[2]).is_ok());
}

#[test]
fn a_notification_that_nobody_asked_for_is_refused_on_both_sides() {
    let pair = Pair::new();
    let (sent, _) = pair.ask(1, &get(1, BLOCK));
    let (_, mut exchange) = pair.take(&mut ReplayWindow::new(), &sent).unwrap();
    let plain = message(Kind::NonConfirmable, Code::CONTENT, 2, |writer| {
        writer.uint(OptionNumber::OBSERVE, 1).unwrap();
    });
    let mut out = [0; 100];
    let result = pair.gateway.protect_response(
        &mut exchange,
        Some(fresh(1)),
        &Message::parse(&plain).unwrap(),
        &mut out,
    );
    assert_eq!(result, Err(ProtectError::Option(OptionNumber::OBSERVE)));
}

#[test]
fn options_go_where_figure_5_says() {
    let pair = Pair::new();
    let plain = message(Kind::Confirmable, Code::PUT, 1, |writer| {
        writer.option(OptionNumber::IF_MATCH, &[1]).unwrap();
        writer.option(OptionNumber::URI_HOST, b"gateway").unwrap();
        writer.uint(OptionNumber::URI_PORT, 61_616).unwrap();
        writer.uri_path("a").unwrap();
        writer.option(OptionNumber::HOP_LIMIT, &[16]).unwrap();
        writer.block(OptionNumber::BLOCK1, BLOCK).unwrap();
        writer.uint(OptionNumber::SIZE1, 1_000).unwrap();
        writer.option(OptionNumber::NO_RESPONSE, &[26]).unwrap();
        writer.option(OptionNumber(65_000), b"elective, unknown").unwrap();
        writer.payload(b"x").unwrap();
    });
    let (sent, _) = pair.ask(1, &plain);
    let outside: Vec<u16> = Message::parse(&sent)
        .unwrap()
        .options()
        .map(|option| option.number.0)
        .collect();
    assert_eq!(outside, [3, 7, 9, 16]);
    let (read, _) = pair.take(&mut ReplayWindow::new(), &sent).unwrap();
    let read = Message::parse(&read).unwrap();
    let inside: Vec<u16> = read.options().map(|option| option.number.0).collect();
    assert_eq!(inside, [1, 11, 27, 60, 258, 65_000]);
}

#[test]
fn what_cannot_be_protected_is_refused() {
    let pair = Pair::new();
    let mut out = [0; 200];
    for number in [OptionNumber::OSCORE, OptionNumber::PROXY_URI] {
        let plain = message(Kind::Confirmable, Code::GET, 1, |writer| {
            writer.option(number, b"x").unwrap();
        });
        let plain = Message::parse(&plain).unwrap();
        let result = pair.device.protect_request(fresh(1), &plain, &mut out);
        assert_eq!(result.unwrap_err(), ProtectError::Option(number));
    }
    let plain = content(1, BLOCK, 64);
    let plain = Message::parse(&plain).unwrap();
    let result = pair.device.protect_request(fresh(1), &plain, &mut out);
    assert_eq!(result.unwrap_err(), ProtectError::Code(Code::CONTENT));
}

/// A buffer that is too short is said to be so, at every length, and the longest overhead is enough.
#[test]
fn a_short_buffer_is_an_error() {
    let pair = Pair::new();
    let plain = check_in(1, 30);
    let message = Message::parse(&plain).unwrap();
    let whole = pair.ask(1, &plain).0.len();
    for capacity in 0..plain.len() + OVERHEAD_BYTES_MAX {
        let mut out = vec![0; capacity];
        let result = pair.device.protect_request(fresh(1), &message, &mut out);
        assert_eq!(result.is_ok(), capacity >= whole, "{capacity}");
    }
}

#[test]
fn the_longest_option_is_what_the_constant_says() {
    let (device, gateway) = (Id::new(&[1; 7]).unwrap(), Id::new(&[2; 7]).unwrap());
    let id_context = IdContext::new(&[3; 16]);
    let context = Context::derive(b"secret", b"", id_context, device, gateway)
        .unwrap()
        .announcing();
    let plain = message(Kind::Confirmable, Code::GET, 1, |_| {});
    let mut out = [0; 200];
    let longest = fresh((1 << 40) - 1);
    let (sent, _) = context
        .protect_request(longest, &Message::parse(&plain).unwrap(), &mut out)
        .unwrap();
    // A wrapped ID Context, of Appendix B.2, has one byte more.
    assert_eq!(sent.len(), plain.len() + OVERHEAD_BYTES_MAX - 1);
}

#[test]
fn another_context_is_told_from_a_forgery() {
    let pair = Pair::new();
    let (sent, _) = pair.ask(1, &get(1, BLOCK));
    let other = |id_context, device: &[u8]| {
        let (own, device) = (Id::new(&[0x67]).unwrap(), Id::new(device).unwrap());
        Context::derive(b"a secret of 16 B", b"salt", id_context, own, device).unwrap()
    };
    let unprotect = |context: &Context, sent: &[u8]| {
        let received = context
            .unprotect_request(&mut ReplayWindow::new(), &mut sent.to_vec())
            .map(|_| ());
        received.unwrap_err()
    };
    assert_eq!(unprotect(&other(None, &[1]), &sent), UnprotectError::OtherContext);
    assert_eq!(
        unprotect(&other(IdContext::new(b"site"), &[0x12, 0x34]), &sent),
        UnprotectError::Forged
    );
    // With the kid context named, the difference shows.
    let device = Context::derive(
        b"a secret of 16 B",
        b"salt",
        IdContext::new(b"site"),
        Id::new(&[0x12, 0x34]).unwrap(),
        Id::new(&[0x67]).unwrap(),
    );
    let plain = get(1, BLOCK);
    let mut out = [0; 100];
    let device = device.unwrap().announcing();
    let (sent, _) = device
        .protect_request(fresh(1), &Message::parse(&plain).unwrap(), &mut out)
        .unwrap();
    assert_eq!(
        unprotect(&other(IdContext::new(b"shop"), &[0x12, 0x34]), sent),
        UnprotectError::OtherContext
    );
    assert_eq!(
        unprotect(&other(None, &[0x12, 0x34]), sent),
        UnprotectError::OtherContext
    );
}

#[test]
fn ids_that_are_the_same_make_no_context() {
    let id = Id::new(&[1]).unwrap();
    assert_eq!(
        Context::derive(b"secret", b"", None, id, id).unwrap_err(),
        SameIds
    );
}

#[test]
fn what_asks_for_a_proxy_or_is_a_piece_is_refused() {
    let pair = Pair::new();
    let (sent, _) = pair.ask(1, &get(1, BLOCK));
    let outside = Message::parse(&sent).unwrap();
    for (number, value) in [
        (OptionNumber::PROXY_URI, &b"coap://elsewhere"[..]),
        (OptionNumber::PROXY_SCHEME, b"coap"),
        (OptionNumber::BLOCK1, &[0]),
        (OptionNumber::BLOCK2, &[0]),
        (OptionNumber::EDHOC, &[]),
    ] {
        let altered = message(Kind::Confirmable, Code::POST, 1, |writer| {
            for option in outside.options() {
                writer.option(option.number, option.value).unwrap();
            }
            writer.option(number, value).unwrap();
            writer.payload(outside.payload()).unwrap();
        });
        let refused = pair.take(&mut ReplayWindow::new(), &altered).unwrap_err();
        assert_eq!(refused, UnprotectError::Unsupported(number));
    }
}

/// The rows that docs quote: a block response has at most 13 bytes more than without OSCORE, whatever its number.
#[test]
fn overhead_of_every_kind_of_message() {
    let pair = Pair::new();
    println!("| message | plain | protected | more |\n|---|---|---|---|");
    let row = |name: &str, plain: &[u8], sent: &[u8]| {
        let more = sent.len() - plain.len();
        println!("| {name} | {} | {} | {more} |", plain.len(), sent.len());
        more
    };
    for (number, partial_iv) in [(0, 1), (4_000, 100), (70_000, 70_000)] {
        let block = BlockValue::request(BlockNumber::new(number).unwrap(), BlockSize::B64);
        let plain = get(1, block);
        let (sent, _) = pair.ask(partial_iv, &plain);
        row(
            &format!("GET of block {number}, sequence number {partial_iv}"),
            &plain,
            &sent,
        );
        let (_, mut exchange) = pair.take(&mut ReplayWindow::new(), &sent).unwrap();
        let plain = content(1, block, 64);
        let more = row(
            &format!("block {number}, 64 bytes"),
            &plain,
            &pair.answer(&mut exchange, &plain),
        );
        assert_eq!(more, 11);
    }
    let plain = check_in(1, 100);
    let more = row("check-in of 100 bytes", &plain, &pair.ask(100, &plain).0);
    assert_eq!(more, 15);
}
