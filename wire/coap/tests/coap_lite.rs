//! The same bytes through an independent codec, coap-lite 0.13: what both accept they read alike, and what only one
//! of them accepts is named here with the reason.
//!
//! | datagram | coap-lite | ours | clause |
//! |---|---|---|---|
//! | version 0, 2 or 3 | accepts | `UnknownVersion` | RFC 7252 §3: silently ignored |
//! | code class 1, 6 or 7 | accepts as `Reserved` | `ReservedClass` | RFC 7252 §4.2: rejected |
//! | 0.00 with token or more bytes | accepts | `EmptyMessageNotEmpty` | RFC 7252 §4.1: format error |
//! | RST with code, ACK with request, empty NON | accepts | `KindForbidsCode` | RFC 7252 §4.2, §4.3 |
//! | payload marker, no payload | accepts | `PayloadMissing` | RFC 7252 §3: format error |
//! | more than 32 options | accepts | `TooManyOptions` | our bound |
//!
//! Nothing that coap-lite refuses do we accept.

use coap_lite::Packet;
use proptest::prelude::*;
use wire_coap::{Code, Kind, Message, MessageId, OptionNumber, ParseError, Token, Writer};

/// What ours refuses and coap-lite accepts, by design.
const STRICTER: &[ParseError] = &[
    ParseError::UnknownVersion,
    ParseError::ReservedClass,
    ParseError::EmptyMessageNotEmpty,
    ParseError::KindForbidsCode,
    ParseError::PayloadMissing,
    ParseError::TooManyOptions,
];

/// Everything a datagram says, in comparable form.
#[derive(Debug, PartialEq)]
struct Fields {
    kind: u8,
    code: u8,
    message_id: u16,
    token: Vec<u8>,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

fn ours(message: &Message<'_>) -> Fields {
    Fields {
        kind: message.kind().bits(),
        code: message.code().0,
        message_id: message.message_id().0,
        token: message.token().as_bytes().to_vec(),
        options: message
            .options()
            .map(|option| (option.number.0, option.value.to_vec()))
            .collect(),
        payload: message.payload().to_vec(),
    }
}

fn theirs(packet: &Packet) -> Fields {
    let values = |(number, values): (&u16, &std::collections::LinkedList<Vec<u8>>)| {
        values
            .iter()
            .map(|value| (*number, value.clone()))
            .collect::<Vec<_>>()
    };
    let kind = match packet.header.get_type() {
        coap_lite::MessageType::Confirmable => 0,
        coap_lite::MessageType::NonConfirmable => 1,
        coap_lite::MessageType::Acknowledgement => 2,
        coap_lite::MessageType::Reset => 3,
    };
    Fields {
        kind,
        code: packet.header.code.into(),
        message_id: packet.header.message_id,
        token: packet.get_token().to_vec(),
        options: packet.options().flat_map(values).collect(),
        payload: packet.payload.clone(),
    }
}

/// Which of the two accepted.
#[derive(Debug, PartialEq)]
enum Verdict {
    Both,
    OnlyTheirs(ParseError),
    Neither,
}

fn compare(datagram: &[u8]) -> Verdict {
    match (Message::parse(datagram), Packet::from_bytes(datagram)) {
        (Ok(message), Ok(packet)) => {
            assert_eq!(ours(&message), theirs(&packet), "{datagram:02x?}");
            Verdict::Both
        }
        (Err(error), Ok(_)) => {
            assert!(STRICTER.contains(&error), "{error:?} for {datagram:02x?}");
            Verdict::OnlyTheirs(error)
        }
        (Ok(_), Err(error)) => panic!("accepted what coap-lite refuses with {error:?}: {datagram:02x?}"),
        (Err(_), Err(_)) => Verdict::Neither,
    }
}

#[test]
fn each_named_difference_is_one() {
    for (datagram, error) in [
        (&b"\x80\x01\x00\x01"[..], ParseError::UnknownVersion),
        (b"\x40\xe1\x00\x01", ParseError::ReservedClass),
        (b"\x41\x00\x00\x01\xaa", ParseError::EmptyMessageNotEmpty),
        (b"\x70\x45\x00\x01", ParseError::KindForbidsCode),
        (b"\x40\x01\x00\x01\xff", ParseError::PayloadMissing),
        (
            &[&b"\x40\x01\x00\x01"[..], &[0; 33]].concat(),
            ParseError::TooManyOptions,
        ),
    ] {
        assert_eq!(compare(datagram), Verdict::OnlyTheirs(error));
    }
}

/// The reason this crate has its own block values: a 20-bit number must not turn into block 0.
#[test]
fn block_number_4096_is_beyond_coap_lite_and_not_beyond_us() {
    let mut buffer = [0; 32];
    let mut writer = Writer::new(
        &mut buffer,
        Kind::Confirmable,
        Code::GET,
        MessageId(1),
        Token::EMPTY,
    )
    .unwrap();
    let size = wire_coap::BlockSize::B64;
    let value = wire_coap::BlockValue::request(wire_coap::BlockNumber::new(4096).unwrap(), size);
    writer.block(OptionNumber::BLOCK2, value).unwrap();
    let datagram = writer.finish();
    assert_eq!(Message::parse(datagram).unwrap().block2(), Ok(Some(value)));
    let packet = Packet::from_bytes(datagram).unwrap();
    let decoded =
        packet.get_first_option_as::<coap_lite::block_handler::BlockValue>(coap_lite::CoapOption::Block2);
    assert!(decoded.unwrap().is_err());
}

type Options = Vec<(u16, Vec<u8>)>;

fn message_parts() -> impl Strategy<Value = (u8, u8, u16, Vec<u8>, Options, Vec<u8>)> {
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..=most);
    let number = prop_oneof![0..64_u16, 200..400_u16, any::<u16>()];
    let value = prop_oneof![bytes(5), bytes(20), bytes(300)];
    let options = proptest::collection::vec((number, value), 0..=12);
    (
        0..2_u8,
        prop_oneof![1..32_u8, 64..192_u8],
        any::<u16>(),
        bytes(8),
        options,
        bytes(64),
    )
}

fn write((kind, code, id, token, mut options, payload): (u8, u8, u16, Vec<u8>, Options, Vec<u8>)) -> Vec<u8> {
    options.sort_by_key(|(number, _)| *number);
    let mut buffer = vec![0; 8_192];
    let token = Token::new(&token).expect("at most 8 bytes");
    let mut writer = Writer::new(
        &mut buffer,
        Kind::from_bits(kind),
        Code(code),
        MessageId(id),
        token,
    )
    .expect("fits");
    for (number, value) in &options {
        writer.option(OptionNumber(*number), value).expect("in order");
    }
    writer.payload(&payload).expect("fits");
    writer.finish().to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn valid_messages_are_read_alike(parts in message_parts()) {
        prop_assert_eq!(compare(&write(parts)), Verdict::Both);
    }

    #[test]
    fn what_coap_lite_writes_is_what_we_write(parts in message_parts()) {
        let datagram = write(parts);
        let packet = Packet::from_bytes(&datagram).expect("valid");
        prop_assert_eq!(packet.to_bytes_unlimited().expect("valid"), datagram);
    }

    #[test]
    fn damaged_messages_are_read_alike_or_refused(
        parts in message_parts(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut datagram = write(parts);
        for (position, byte) in damage {
            let position = position.index(datagram.len());
            datagram[position] = byte;
        }
        compare(&datagram);
        datagram.truncate(cut.index(datagram.len()));
        compare(&datagram);
    }

    #[test]
    fn arbitrary_bytes_are_read_alike_or_refused(
        mut datagram in proptest::collection::vec(any::<u8>(), 4..80),
        small in any::<bool>(),
    ) {
        compare(&datagram);
        datagram[0] = 0x40 | datagram[0] & 0x33;
        if small {
            datagram.iter_mut().skip(4).for_each(|byte| *byte &= 0x73);
        }
        compare(&datagram);
    }
}
