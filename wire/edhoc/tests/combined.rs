//! RFC 9668: message_3 and a first protected request in one datagram.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

use wire_coap::{Code, Kind, Message, MessageId, OptionNumber, Token, Writer};
use wire_edhoc::{Credential, Hello, Initiator, Payload, PrivateKey, combine, is_combined, split};
use wire_oscore::{Id, OscoreOption, Received, ReplayWindow, SenderSequence};

fn key(seed: u8) -> PrivateKey {
    PrivateKey::of_seed(&[seed; 32]).unwrap()
}

#[test]
fn a_check_in_comes_with_message_3_and_is_read_under_the_keys_that_follow_from_it() {
    let (device, gateway) = (key(1), key(2));
    let kid = [0x70, 0xB3, 0xD5, 0, 0, 0, 1, 0x0F];
    let cred_i = Credential::new(&kid, device.public()).unwrap();
    let cred_r = Credential::new(&[0], gateway.public()).unwrap();
    let (initiator, message_1) = Initiator::start(&key(3), Id::EMPTY).unwrap();
    let c_r = Id::new(&[0x0B, 0xEE]).unwrap();
    let hello = Hello::read(message_1.as_bytes()).unwrap();
    let (half_open, message_2) = hello.answer(&gateway, &cred_r, &key(4), c_r).unwrap();
    let (proved, message_3) = initiator
        .answer(message_2.as_bytes(), &device, &cred_i, &cred_r)
        .unwrap();

    let (mut plain, mut protected, mut combined) = ([0; 64], [0; 128], [0; 192]);
    let mut request = Writer::new(
        &mut plain,
        Kind::Confirmable,
        Code::POST,
        MessageId(7),
        Token::from_u32(9),
    )
    .unwrap();
    request.uri_path("c").unwrap();
    request.payload(b"who I am").unwrap();
    let request = Message::parse(request.finish()).unwrap();
    let mut sequence = SenderSequence::resume(0);
    sequence.reserved(sequence.reservation(1, 64).unwrap());
    let client = proved.established.initiator_context().unwrap();
    let (sent, _) = client
        .protect_request(sequence.take().unwrap(), &request, &mut protected)
        .unwrap();
    let alone = sent.to_vec();
    let datagram = combine(
        &Message::parse(&alone).unwrap(),
        message_3.as_bytes(),
        &mut combined,
    )
    .unwrap();
    // What is saved is a round trip; what it costs is message_3 and the option's head.
    assert_eq!(datagram.len(), alone.len() + message_3.as_bytes().len() + 1);

    let message = Message::parse(datagram).unwrap();
    assert!(is_combined(&message));
    let named = OscoreOption::parse(message.option(OptionNumber::OSCORE).unwrap()).unwrap();
    assert_eq!(named.kid, Some(c_r.as_bytes()));
    let mut rest = [0; 192];
    let (third, rest) = split(&message, &mut rest).unwrap();
    assert_eq!((third, rest), (message_3.as_bytes(), &alone[..]));
    let accepted = half_open.open(third).unwrap().verify(&cred_i).unwrap();
    let server = accepted.established.responder_context().unwrap();
    let mut arrived = rest.to_vec();
    let received = server
        .unprotect_request(&mut ReplayWindow::new(), &mut arrived)
        .unwrap();
    let Received::Request { message, .. } = received else {
        panic!("the window is new");
    };
    assert!(message.path_is(&["c"]));
    assert_eq!(message.payload(), b"who I am");
}

fn datagram(options: &[(OptionNumber, &[u8])], payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 128];
    let mut writer = Writer::new(
        &mut buffer,
        Kind::Confirmable,
        Code::POST,
        MessageId(7),
        Token::EMPTY,
    )
    .unwrap();
    for (number, value) in options {
        writer.option(*number, value).unwrap();
    }
    writer.payload(payload).unwrap();
    writer.finish().to_vec()
}

#[test]
fn what_is_not_combined_is_not_taken_apart() {
    let (oscore, edhoc): ((_, &[u8]), (_, &[u8])) =
        ((OptionNumber::OSCORE, &[9, 0, 7]), (OptionNumber::EDHOC, &[]));
    let message_3 = [&[0x52][..], &[0xEE; 18]].concat();
    let both = [&message_3[..], &[1; 9]].concat();
    let long = [&[0x58, 200][..], &[0xEE; 100]].concat();
    let cases: [(&[_], &[u8], bool); 6] = [
        (&[oscore, edhoc], &both, true),
        (&[oscore], &both, false),
        (&[edhoc], &both, false),
        (&[oscore, edhoc], &message_3, false),
        (&[oscore, edhoc], &long, false),
        (&[oscore, edhoc], &[0x83, 1, 2, 3], false),
    ];
    for (options, payload, is_combined) in cases {
        let bytes = datagram(options, payload);
        let mut buffer = [0; 128];
        let parts = split(&Message::parse(&bytes).unwrap(), &mut buffer);
        assert_eq!(parts.is_ok(), is_combined, "{options:?} {payload:x?}");
        if let Ok((_, rest)) = parts {
            assert_eq!(rest, datagram(&[oscore], &[1; 9]));
            let mut whole = [0; 128];
            assert_eq!(
                combine(&Message::parse(rest).unwrap(), &message_3, &mut whole).unwrap(),
                bytes
            );
            // An option behind it stays behind it.
            let more = datagram(&[oscore, (OptionNumber::BLOCK1, &[6])], &[1; 9]);
            let whole = combine(&Message::parse(&more).unwrap(), &message_3, &mut whole)
                .unwrap()
                .to_vec();
            let mut buffer = [0; 128];
            assert_eq!(
                split(&Message::parse(&whole).unwrap(), &mut buffer).unwrap().1,
                more
            );
        }
    }
}

#[test]
fn payloads_are_read_as_they_are_written() {
    let mut buffer = [0; 64];
    for c_r in [
        &[][..],
        &[0x17],
        &[0x37],
        &[0x18],
        &[0xF5],
        &[1, 2],
        &[1, 2, 3, 4, 5, 6, 7],
    ] {
        let payload = Payload::Third(Id::new(c_r).unwrap(), &[0x48, 1, 2, 3, 4, 5, 6, 7, 8]);
        let written = payload.write(&mut buffer).unwrap();
        assert_eq!(Payload::read(written), Ok(payload));
    }
    let first = Payload::First(&[3, 2]);
    assert_eq!(first.write(&mut buffer).unwrap(), [0xF5, 3, 2]);
    assert_eq!(Payload::read(&[0xF5, 3, 2]), Ok(first));
    for refused in [
        &[][..],
        &[0xF4],
        &[0x41, 0x17],
        &[0x48, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x18, 0x20],
        &[0x42, 1],
    ] {
        assert!(Payload::read(refused).is_err(), "{refused:x?}");
    }
}
