//! RFC 7252 Appendix A: the messages of Figures 16 to 22, byte by byte. Figures 16 and 17 print the bytes; those of
//! the others follow from the header, token and payload that they name.

use wire_coap::{Code, Kind, Message, MessageId, OptionNumber, Token, Writer, empty_acknowledgement, reset};

struct Example {
    figure: &'static str,
    kind: Kind,
    code: Code,
    message_id: u16,
    token: &'static [u8],
    path: Option<&'static str>,
    payload: &'static [u8],
    bytes: &'static [u8],
}

const fn request(
    figure: &'static str,
    kind: Kind,
    message_id: u16,
    token: &'static [u8],
    bytes: &'static [u8],
) -> Example {
    Example {
        figure,
        kind,
        code: Code::GET,
        message_id,
        token,
        path: Some("temperature"),
        payload: b"",
        bytes,
    }
}

const fn response(
    figure: &'static str,
    kind: Kind,
    message_id: u16,
    token: &'static [u8],
    bytes: &'static [u8],
) -> Example {
    Example {
        figure,
        kind,
        code: Code::CONTENT,
        message_id,
        token,
        path: None,
        payload: b"22.3 C",
        bytes,
    }
}

const EXAMPLES: &[Example] = &[
    request(
        "16",
        Kind::Confirmable,
        0x7d34,
        &[],
        b"\x40\x01\x7d\x34\xbbtemperature",
    ),
    response(
        "16",
        Kind::Acknowledgement,
        0x7d34,
        &[],
        b"\x60\x45\x7d\x34\xff22.3 C",
    ),
    request(
        "17",
        Kind::Confirmable,
        0x7d35,
        &[0x20],
        b"\x41\x01\x7d\x35\x20\xbbtemperature",
    ),
    response(
        "17",
        Kind::Acknowledgement,
        0x7d35,
        &[0x20],
        b"\x61\x45\x7d\x35\x20\xff22.3 C",
    ),
    request(
        "18",
        Kind::Confirmable,
        0x7d36,
        &[0x31],
        b"\x41\x01\x7d\x36\x31\xbbtemperature",
    ),
    response(
        "19",
        Kind::Acknowledgement,
        0x7d37,
        &[0x42],
        b"\x61\x45\x7d\x37\x42\xff22.3 C",
    ),
    response(
        "20",
        Kind::Confirmable,
        0xad7b,
        &[0x53],
        b"\x41\x45\xad\x7b\x53\xff22.3 C",
    ),
    request(
        "22",
        Kind::NonConfirmable,
        0x7d40,
        &[0x75],
        b"\x51\x01\x7d\x40\x75\xbbtemperature",
    ),
    response(
        "22",
        Kind::NonConfirmable,
        0xad7d,
        &[0x75],
        b"\x51\x45\xad\x7d\x75\xff22.3 C",
    ),
];

#[test]
fn examples_are_read_as_described() {
    for example in EXAMPLES {
        let message = Message::parse(example.bytes).unwrap();
        assert_eq!(message.kind(), example.kind, "figure {}", example.figure);
        assert_eq!(message.code(), example.code, "figure {}", example.figure);
        assert_eq!(
            message.message_id(),
            MessageId(example.message_id),
            "figure {}",
            example.figure
        );
        assert_eq!(
            message.token().as_bytes(),
            example.token,
            "figure {}",
            example.figure
        );
        assert_eq!(message.payload(), example.payload, "figure {}", example.figure);
        assert_eq!(
            message.option(OptionNumber::URI_PATH),
            example.path.map(str::as_bytes)
        );
        assert_eq!(message.options().count(), usize::from(example.path.is_some()));
    }
}

#[test]
fn examples_are_written_to_the_byte() {
    for example in EXAMPLES {
        let mut buffer = [0; 64];
        let token = Token::new(example.token).unwrap();
        let id = MessageId(example.message_id);
        let mut writer = Writer::new(&mut buffer, example.kind, example.code, id, token).unwrap();
        if let Some(path) = example.path {
            writer.uri_path(path).unwrap();
        }
        writer.payload(example.payload).unwrap();
        assert_eq!(writer.finish(), example.bytes, "figure {}", example.figure);
    }
}

#[test]
fn sizes_are_those_the_text_gives() {
    let sizes: Vec<usize> = EXAMPLES
        .iter()
        .take(4)
        .map(|example| example.bytes.len())
        .collect();
    assert_eq!(sizes, [16, 11, 17, 12]);
}

#[test]
fn empty_messages_of_figures_20_and_21() {
    assert_eq!(empty_acknowledgement(MessageId(0x7d38)), *b"\x60\x00\x7d\x38");
    assert_eq!(empty_acknowledgement(MessageId(0xad7b)), *b"\x60\x00\xad\x7b");
    assert_eq!(reset(MessageId(0xad7c)), *b"\x70\x00\xad\x7c");
}
