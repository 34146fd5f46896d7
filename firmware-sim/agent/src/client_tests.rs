use super::*;
use std::vec::Vec;

fn client() -> Client {
    Client::new(Channel::PLAIN, 2_000, 0, 7)
}

fn sent(client: &mut Client) -> Option<Vec<u8>> {
    let mut buffer = [0; REQUEST_BYTES_MAX];
    client
        .poll_transmit(&mut buffer)
        .map(|length| buffer[..length].to_vec())
}

/// A message answering `request`, with one option if any.
fn answer(request: &[u8], kind: Kind, id: MessageId, option: Option<OptionNumber>) -> Vec<u8> {
    let request = Message::parse(request).unwrap();
    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer, kind, Code::CHANGED, id, request.token()).unwrap();
    if let Some(number) = option {
        writer.option(number, &[]).unwrap();
    }
    writer.finish().to_vec()
}

fn id_of(datagram: &[u8]) -> MessageId {
    Message::parse(datagram).unwrap().message_id()
}

#[test]
fn an_answered_request_is_sent_once_and_measured() {
    let mut client = client();
    client.post_check_in(0, &[1, 2, 3]).unwrap();
    let request = sent(&mut client).unwrap();
    assert!(Message::parse(&request).unwrap().path_is(&["c"]));
    assert_eq!(sent(&mut client), None);
    let answer = answer(&request, Kind::Acknowledgement, id_of(&request), None);
    assert!(matches!(
        client.handle_datagram(800, &mut answer.clone()),
        Incoming::Response(_)
    ));
    assert_eq!(client.round_trip_ms(), 800);
    assert_eq!(client.poll_timeout(), None);
    assert!(
        matches!(
            client.handle_datagram(810, &mut answer.clone()),
            Incoming::Nothing
        ),
        "a duplicate is nobody's"
    );
    assert_eq!(client.stats().retransmissions, 0);
    assert_eq!(client.stats().round_trips, 1);
}

#[test]
fn an_unanswered_request_is_repeated_four_times_and_given_up() {
    let mut client = client();
    client.post_check_in(0, &[]).unwrap();
    let first = sent(&mut client).unwrap();
    let mut copies = 0;
    let mut last_wait = 0;
    let mut now = 0;
    loop {
        let at = client.poll_timeout().unwrap();
        assert!(at - now >= last_wait, "the wait doubles");
        (last_wait, now) = (at - now, at);
        if client.handle_timeout(now) {
            break;
        }
        assert_eq!(
            sent(&mut client).as_ref(),
            Some(&first),
            "the same message id and bytes"
        );
        copies += 1;
    }
    assert_eq!(copies, 4);
    assert_eq!(client.round_trip_ms(), 0);
}

#[test]
fn a_separate_response_is_acknowledged_and_so_is_its_copy() {
    let mut client = client();
    client.post_check_in(0, &[]).unwrap();
    let request = sent(&mut client).unwrap();
    let empty = wire_coap::empty_acknowledgement(id_of(&request));
    assert!(matches!(
        client.handle_datagram(10, &mut empty.clone()),
        Incoming::Nothing
    ));
    let separate = answer(&request, Kind::Confirmable, MessageId(900), None);
    assert!(matches!(
        client.handle_datagram(5_000, &mut separate.clone()),
        Incoming::Response(_)
    ));
    assert_eq!(
        sent(&mut client),
        Some(wire_coap::empty_acknowledgement(MessageId(900)).to_vec())
    );
    assert!(matches!(
        client.handle_datagram(5_100, &mut separate.clone()),
        Incoming::Nothing
    ));
    assert_eq!(
        sent(&mut client),
        Some(wire_coap::empty_acknowledgement(MessageId(900)).to_vec())
    );
}

#[test]
fn a_reset_ends_the_request_and_strangers_are_reset() {
    let mut client = client();
    client.post_check_in(0, &[]).unwrap();
    let request = sent(&mut client).unwrap();
    let ping = wire_coap::ping(MessageId(5));
    assert!(matches!(
        client.handle_datagram(1, &mut ping.clone()),
        Incoming::Nothing
    ));
    assert_eq!(sent(&mut client), Some(wire_coap::reset(MessageId(5)).to_vec()));
    let reset = wire_coap::reset(id_of(&request));
    assert!(matches!(
        client.handle_datagram(2, &mut reset.clone()),
        Incoming::Rejected
    ));
}

#[test]
fn a_response_with_an_unknown_critical_option_is_rejected() {
    let mut client = client();
    client.post_check_in(0, &[]).unwrap();
    let request = sent(&mut client).unwrap();
    let odd = answer(
        &request,
        Kind::Confirmable,
        MessageId(1),
        Some(OptionNumber(65_001)),
    );
    assert!(matches!(
        client.handle_datagram(2, &mut odd.clone()),
        Incoming::Rejected
    ));
    assert_eq!(sent(&mut client), Some(wire_coap::reset(MessageId(1)).to_vec()));
}

#[test]
fn another_token_or_message_id_is_no_answer() {
    let mut client = client();
    client
        .get(0, b"abc", false, BlockValue::first(wire_coap::BlockSize::B64))
        .unwrap();
    let request = sent(&mut client).unwrap();
    let wrong_id = answer(&request, Kind::Acknowledgement, id_of(&request).next(), None);
    assert!(matches!(
        client.handle_datagram(1, &mut wrong_id.clone()),
        Incoming::Nothing
    ));
    client
        .get(2, b"abc", true, BlockValue::first(wire_coap::BlockSize::B64))
        .unwrap();
    let late = answer(&request, Kind::NonConfirmable, id_of(&request), None);
    assert!(
        matches!(client.handle_datagram(3, &mut late.clone()), Incoming::Nothing),
        "the token of the request before"
    );
}

#[test]
fn the_gateway_cannot_set_an_absurd_timeout() {
    let mut client = client();
    client.set_ack_timeout_ms(0);
    assert_eq!(client.ack_timeout_ms(), ACK_TIMEOUT_MS_MIN);
    client.set_ack_timeout_ms(u32::MAX);
    assert_eq!(client.ack_timeout_ms(), ACK_TIMEOUT_MS_MAX);
}
