//! What is answered, whatever arrives.

use wire_smp::RECOVERY_QUERY;

use super::*;

#[test]
fn the_small_requests_are_answered() {
    let flash = RefCell::new(device());
    let mut client = Client::new(&flash);
    let body = client.ask(&Request::Echo { text: b"hello" });
    assert_eq!(
        Response::parse(Command::ECHO, &body),
        Some(Response::Echo("hello"))
    );
    let long = "x".repeat(600);
    let body = client.ask(&Request::Echo {
        text: long.as_bytes(),
    });
    let too_long = Response::Refused {
        code: ErrorCode::TooLong,
        reason: "",
    };
    assert_eq!(Response::parse(Command::ECHO, &body), Some(too_long));
    let body = client.ask(&Request::Parameters);
    let parameters = Response::Parameters { buffer_bytes: 1024 };
    assert_eq!(Response::parse(Command::PARAMETERS, &body), Some(parameters));
    let body = client.ask(&Request::Bootloader {
        query: Some(RECOVERY_QUERY),
    });
    let Some(Response::Bootloader {
        name: "deltagate",
        recovery: Some(info),
    }) = Response::parse(Command::BOOTLOADER, &body)
    else {
        panic!("{body:?}");
    };
    assert_eq!(info.state, "no slot holds a valid image");
    assert_eq!((info.identity, info.confirmed), (Some((VENDOR, CLASS)), Some(5)));
    assert_eq!(info.room_bytes, LAYOUT.image_capacity_bytes());
    let body = client.ask(&Request::Bootloader { query: Some(b"mode") });
    assert!(matches!(
        Response::parse(Command::BOOTLOADER, &body),
        Some(Response::Refused {
            code: ErrorCode::NotSupported,
            ..
        })
    ));
    assert_eq!(client.ask(&Request::ImageState), b"\xa1fimages\x80");
    client.upload(&File::right().bytes(), 500).unwrap();
    assert!(
        client
            .ask(&Request::ImageState)
            .starts_with(b"\xa1fimages\x81\xa4dhash")
    );
    assert_eq!(client.server.poll_effect(), None);
    client.ask(&Request::Reset);
    assert_eq!(client.server.poll_effect(), Some(RecoveryEffect::Restart));
    assert_eq!(client.server.poll_effect(), None);
}

#[test]
fn answers_noise_and_broken_messages_get_no_answer() {
    let flash = RefCell::new(device());
    let mut server = RecoveryServer::new(&flash, &LAYOUT, Slots::Two, Recovery::NoImage);
    let mut line_buffer = [0; LINE_BYTES_MAX];
    for message in [
        &[0, 0, 0][..],
        &[1, 0, 0, 1, 0, 0, 0, 0, 0xA0],
        &[0, 0, 0, 9, 0, 0, 0, 0, 0xA0],
    ] {
        let packet = made(message);
        let bytes = line(&packet, 0, &mut line_buffer).unwrap();
        assert!(!bytes.iter().any(|&byte| server.handle_byte(byte)));
        assert_eq!(server.poll_transmit(), None);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(50))]

    /// Whatever arrives as messages: an answer or none, no panic, and nothing that was not signed boots.
    #[test]
    fn any_messages_leave_a_device_that_can_still_be_recovered(
        messages in proptest::collection::vec((0u8..4, 0u16..3, 0u8..10, proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60)), 0..20),
        pieces in proptest::collection::vec((0usize..14_000, 0usize..900), 0..20),
    ) {
        let file = File::right().bytes();
        let flash = RefCell::new(device());
        let mut client = Client::new(&flash);
        let sha = Sha256::digest(&file);
        for (offset, bytes) in pieces {
            let offset = offset.min(file.len());
            let _ = client.piece(wire_smp::Upload {
                offset: offset as u32,
                data: &file[offset..(offset + bytes).min(file.len())],
                length: Some(file.len() as u32),
                sha: Some(&sha),
            });
        }
        for (operation, group, command, body) in messages {
            let [group_high, group_low] = group.to_be_bytes();
            let mut message = std::vec![operation, 0, 0, body.len() as u8, group_high, group_low, 0, command];
            message.extend(body);
            let mut line_buffer = [0; LINE_BYTES_MAX];
            for byte in line(&made(&message), 0, &mut line_buffer).unwrap() {
                client.server.handle_byte(*byte);
            }
            while client.server.poll_transmit().is_some() {}
        }
        assert_eq!(boots(&flash), Err(Recovery::NoImage));
        client.upload(&file, 900).unwrap();
        assert_eq!(boots(&flash), Ok((Slot::A, 5)));
    }
}
