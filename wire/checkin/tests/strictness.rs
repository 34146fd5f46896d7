//! What readers refuse, what they pass over, and that any bytes come to an end.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use minicbor::data::Type;
use proptest::prelude::*;
use wire_checkin::{
    ANSWER_BYTES_MAX, Answer, CHECK_IN_BYTES_MAX, CheckIn, DecodeError, Deferral, DeferralReason,
    DeferralStage, DeviceId, DigestPrefix, ENTRIES_MAX, ENVELOPE_BYTES_MAX, EncodeError, Format, Formats,
    Freshness, Job, JobPath, LastUpdate, Outcome, STATEMENT_BYTES_MAX, Severity,
};

fn check_in() -> CheckIn {
    CheckIn {
        device_id: DeviceId::new(&[1]).unwrap(),
        vendor_id: [2; 16],
        class_id: [3; 16],
        running_digest: DigestPrefix::of(&[4; 32]),
        sequence_number: 5,
        slot_capacity_bytes: 6,
        staging_bytes: Some(7),
        erase_sector_bytes: 8,
        block_szx_max: 2,
        round_trip_ms: 9,
        decoder_memory_bytes: 10,
        formats: Formats::of(&[Format::Full]),
        last_update: Some(LastUpdate {
            sequence_number: 4,
            outcome: Outcome::NoSpace,
            detail: None,
        }),
        on_trial: true,
        deferral: None,
        in_place_reach_bytes: None,
        anchors: None,
        anchors_waiting: None,
        freshness: None,
    }
}

fn body() -> Vec<u8> {
    check_in().encode(&mut [0; CHECK_IN_BYTES_MAX]).unwrap().to_vec()
}

/// The body with one more entry at its end.
fn with_entry(entry: &[u8]) -> Vec<u8> {
    let mut body = body();
    assert_eq!(body[0], 0xae);
    body[0] += 1;
    [body.as_slice(), entry].concat()
}

#[test]
fn unknown_integer_keys_are_passed_over() {
    let values: [&[u8]; 8] = [
        &[0x05],
        &[0x43, 1, 2, 3],
        &[0x62, b'h', b'i'],
        &[0x82, 0x01, 0xa1, 0x01, 0x80],
        &[0xc1, 0x00],
        &[0xf6],
        &[0x3b, 255, 255, 255, 255, 255, 255, 255, 255],
        &[0xf4],
    ];
    for value in values {
        let entry = [&[0x18, 0x63][..], value].concat();
        assert_eq!(
            CheckIn::decode(&with_entry(&entry)),
            Ok(check_in()),
            "{value:02x?}"
        );
        let negative = [&[0x20][..], value].concat();
        assert_eq!(
            CheckIn::decode(&with_entry(&negative)),
            Ok(check_in()),
            "{value:02x?}"
        );
    }
}

#[test]
fn a_key_that_is_no_integer_is_refused() {
    assert_eq!(
        CheckIn::decode(&with_entry(&[0x61, b'x', 0x00])),
        Err(DecodeError::WrongType)
    );
    assert_eq!(
        CheckIn::decode(&with_entry(&[0x41, b'x', 0x00])),
        Err(DecodeError::WrongType)
    );
}

#[test]
fn a_duplicate_key_is_refused_known_or_not() {
    assert_eq!(
        CheckIn::decode(&with_entry(&[0x04, 0x05])),
        Err(DecodeError::DuplicateKey { key: 4 })
    );
    let mut twice = with_entry(&[0x18, 0x63, 0x00, 0x18, 0x63, 0x00]);
    twice.splice(0..1, [0xb0]);
    assert_eq!(
        CheckIn::decode(&twice),
        Err(DecodeError::DuplicateKey { key: 99 })
    );
}

#[test]
fn more_entries_than_the_bound_are_refused_before_they_are_read() {
    let map = [0xb8, ENTRIES_MAX as u8 + 1];
    assert_eq!(CheckIn::decode(&map), Err(DecodeError::TooManyEntries));
    let huge = [0xba, 255, 255, 255, 255];
    assert_eq!(Answer::decode(&huge), Err(DecodeError::TooManyEntries));
    // So many that they could not all be there.
    let endless = [0xbb, 255, 255, 255, 255, 255, 255, 255, 255];
    assert_eq!(Answer::decode(&endless), Err(DecodeError::Truncated));
}

#[test]
fn truncation_and_trailing_bytes_are_refused() {
    let body = body();
    for len in 0..body.len() {
        assert_eq!(
            CheckIn::decode(&body[..len]),
            Err(DecodeError::Truncated),
            "{len}"
        );
    }
    let trailing = [body.as_slice(), &[0]].concat();
    assert_eq!(CheckIn::decode(&trailing), Err(DecodeError::TrailingBytes));
}

#[test]
fn indefinite_lengths_are_refused() {
    assert_eq!(
        Answer::decode(&[0xbf, 0x01, 0x18, 0x3c, 0xff]),
        Err(DecodeError::WrongType)
    );
    assert_eq!(
        CheckIn::decode(&with_entry(&[0x18, 0x63, 0x9f, 0xff])),
        Err(DecodeError::WrongType)
    );
    assert_eq!(
        CheckIn::decode(&with_entry(&[0x18, 0x63, 0x5f, 0xff])),
        Err(DecodeError::WrongType)
    );
}

#[test]
fn every_mandatory_key_is_asked_for() {
    for (key, optional) in (1..=14).map(|key| (key, [6, 9, 12, 13].contains(&key))) {
        // Key k becomes the unknown key 23, whose value is passed over.
        let body = body();
        let at = entry_position(&body, key);
        let mut without = body.clone();
        without[at] = 23;
        match optional {
            true => assert!(CheckIn::decode(&without).is_ok(), "{key}"),
            false => assert_eq!(
                CheckIn::decode(&without),
                Err(DecodeError::MissingKey { key: key.into() })
            ),
        }
    }
    assert_eq!(Answer::decode(&[0xa0]), Err(DecodeError::MissingKey { key: 1 }));
}

/// Where the key of an entry stands in a body of [`check_in`].
fn entry_position(body: &[u8], key: u8) -> usize {
    let mut decoder = minicbor::Decoder::new(body);
    for _ in 0..decoder.map().unwrap().unwrap() {
        let at = decoder.position();
        if decoder.u8().unwrap() == key {
            return at;
        }
        match decoder.datatype().unwrap() {
            Type::Bytes => assert!(decoder.bytes().is_ok()),
            Type::Bool => assert!(decoder.bool().is_ok()),
            Type::Array => {
                (0..decoder.array().unwrap().unwrap()).for_each(|_| assert!(decoder.u64().is_ok()))
            }
            _ => assert!(decoder.u64().is_ok()),
        }
    }
    panic!("key {key} is in the body");
}

#[test]
fn values_out_of_range_are_refused_by_their_key() {
    let replaced = |key: u8, old: &[u8], new: &[u8]| {
        let mut body = body();
        let at = entry_position(&body, key) + 1;
        assert_eq!(body[at..at + old.len()], *old);
        body.splice(at..at + old.len(), new.iter().copied());
        CheckIn::decode(&body)
    };
    let out_of_range = |key| Err(DecodeError::OutOfRange { key });
    assert_eq!(replaced(1, &[0x41, 1], &[0x40]), out_of_range(1));
    assert_eq!(
        replaced(1, &[0x41, 1], &[&[0x51][..], &[0; 17]].concat()),
        out_of_range(1)
    );
    assert_eq!(replaced(2, &[0x50, 3], &[0x4f]), out_of_range(2));
    assert_eq!(replaced(3, &[0x48, 4], &[0x47]), out_of_range(3));
    assert_eq!(
        replaced(5, &[0x06], &[0x1b, 0, 0, 0, 1, 0, 0, 0, 0]),
        out_of_range(5)
    );
    assert_eq!(replaced(7, &[0x08], &[0x00]), out_of_range(7));
    assert_eq!(replaced(8, &[0x02], &[0x07]), out_of_range(8));
    assert_eq!(replaced(12, &[0x82], &[0x81]), out_of_range(12));
    assert_eq!(
        replaced(12, &[0x82, 4, 6], &[0x82, 4, 0x19, 1, 0]),
        out_of_range(12)
    );
    assert_eq!(replaced(14, &[0x50, 2], &[0x4f]), out_of_range(14));
    assert_eq!(replaced(4, &[0x05], &[0x24]), Err(DecodeError::WrongType));
    assert_eq!(replaced(13, &[0xf5], &[0x01]), Err(DecodeError::WrongType));
}

#[test]
fn a_job_of_an_unknown_format_or_a_bad_path_is_refused() {
    let answer = |path: &str, format: u8| {
        let head = [0xa2, 0x01, 0x18, 0x3c, 0x03, 0xa5, 0x01, 0x60 + path.len() as u8];
        let rest = [
            &[0x02, format, 0x03, 0x09, 0x04, 0x50][..],
            &[0; 16],
            &[0x05, 0x02],
        ]
        .concat();
        [&head[..], path.as_bytes(), &rest].concat()
    };
    assert_eq!(
        Answer::decode(&answer("a", 4)),
        Err(DecodeError::OutOfRange { key: 2 })
    );
    for path in ["", "12345678", "a/b", "é", "a.b", " "] {
        assert_eq!(
            Answer::decode(&answer(path, 0)),
            Err(DecodeError::OutOfRange { key: 1 }),
            "{path:?}"
        );
        assert_eq!(JobPath::new(path), None);
    }
    assert!(Answer::decode(&answer("1234567", 0)).is_ok());
}

#[test]
fn an_envelope_past_its_bound_is_neither_written_nor_read() {
    let envelope = [0; ENVELOPE_BYTES_MAX + 1];
    let answer = Answer {
        envelope: Some(&envelope),
        ..Answer::idle(0)
    };
    assert_eq!(
        answer.encode(&mut [0; 1024]).map(<[u8]>::len),
        Err(EncodeError::OutOfRange { key: 4 })
    );
    let set = Answer {
        anchors: Some(&envelope),
        ..Answer::idle(0)
    };
    assert_eq!(
        set.encode(&mut [0; 1024]).map(<[u8]>::len),
        Err(EncodeError::OutOfRange { key: 5 })
    );
    for key in [4, 5] {
        let body = [&[0xa2, 0x01, 0x00, key, 0x59, 0x02, 0x01][..], &envelope].concat();
        let key = key.into();
        assert_eq!(Answer::decode(&body), Err(DecodeError::OutOfRange { key }));
    }
}

#[test]
fn an_envelope_and_a_set_are_neither_written_nor_read_together() {
    let answer = Answer {
        envelope: Some(&[1]),
        anchors: Some(&[2]),
        ..Answer::idle(0)
    };
    assert_eq!(
        answer.encode(&mut [0; 64]),
        Err(EncodeError::OutOfRange { key: 5 })
    );
    let body = [0xa3, 0x01, 0x00, 0x04, 0x41, 0x01, 0x05, 0x41, 0x02];
    assert_eq!(Answer::decode(&body), Err(DecodeError::OutOfRange { key: 5 }));
}

#[test]
fn what_no_reader_would_take_is_not_written() {
    let mut buffer = [0; CHECK_IN_BYTES_MAX];
    let szx = CheckIn {
        block_szx_max: 7,
        ..check_in()
    };
    assert_eq!(szx.encode(&mut buffer), Err(EncodeError::OutOfRange { key: 8 }));
    let sector = CheckIn {
        erase_sector_bytes: 0,
        ..check_in()
    };
    assert_eq!(
        sector.encode(&mut buffer),
        Err(EncodeError::OutOfRange { key: 7 })
    );
    let needed = body().len();
    assert_eq!(
        check_in().encode(&mut buffer[..needed - 1]),
        Err(EncodeError::NoSpace)
    );
    assert_eq!(
        check_in().encode(&mut buffer[..needed]).map(<[u8]>::len),
        Ok(needed)
    );
}

fn any_last_update() -> impl Strategy<Value = LastUpdate> {
    (any::<u64>(), any::<u8>(), any::<Option<u32>>()).prop_map(|(sequence_number, code, detail)| LastUpdate {
        sequence_number,
        outcome: Outcome::from_code(code),
        detail,
    })
}

fn any_check_in() -> impl Strategy<Value = CheckIn> {
    let names = (
        proptest::collection::vec(any::<u8>(), 1..=16),
        proptest::collection::vec(any::<u8>(), 8..=32),
        any::<([u8; 16], [u8; 16], Option<u16>, Option<u16>)>(),
    );
    let numbers = any::<(
        u64,
        u32,
        Option<u32>,
        u32,
        u32,
        u32,
        bool,
        Option<u32>,
        Option<(u32, bool, bool)>,
    )>();
    let rest = (
        1..=u32::MAX,
        0u8..=6,
        proptest::option::of(any_last_update()),
        proptest::option::of(any_deferral()),
    );
    (names, numbers, rest).prop_map(
        |(
            (id, digest, (vendor_id, class_id, anchors, anchors_waiting)),
            numbers,
            (sector, szx, last, deferral),
        )| CheckIn {
            device_id: DeviceId::new(&id).unwrap(),
            vendor_id,
            class_id,
            running_digest: DigestPrefix::new(&digest).unwrap(),
            sequence_number: numbers.0,
            slot_capacity_bytes: numbers.1,
            staging_bytes: numbers.2,
            erase_sector_bytes: sector,
            block_szx_max: szx,
            round_trip_ms: numbers.3,
            decoder_memory_bytes: numbers.4,
            formats: Formats::from_bits(numbers.5),
            last_update: last,
            on_trial: numbers.6,
            deferral,
            in_place_reach_bytes: numbers.7,
            anchors,
            anchors_waiting,
            freshness: numbers.8.map(|(number, is_stale, is_behind)| Freshness {
                number: number >> 2,
                is_stale,
                is_behind,
            }),
        },
    )
}

fn any_deferral() -> impl Strategy<Value = Deferral> {
    any::<(bool, u8, u32)>().prop_map(|(restart, reason, seconds)| Deferral {
        stage: DeferralStage::from_code(restart.into()).unwrap(),
        reason: DeferralReason::from_code(reason),
        seconds,
    })
}

#[test]
fn a_deferral_of_an_unknown_stage_or_another_length_is_refused() {
    let out_of_range = Err(DecodeError::OutOfRange { key: 15 });
    for entry in [
        &[0x0F, 0x83, 2, 0, 0][..],
        &[0x0F, 0x82, 1, 0],
        &[0x0F, 0x84, 1, 0, 0, 0],
    ] {
        assert_eq!(CheckIn::decode(&with_entry(entry)), out_of_range);
    }
    let known = CheckIn::decode(&with_entry(&[0x0F, 0x83, 1, 0, 23])).unwrap();
    assert_eq!(known.deferral.map(|deferral| deferral.seconds), Some(23));
}

fn any_job() -> impl Strategy<Value = Job> {
    let terms = (0u8..3, any::<Option<u32>>());
    let names = ("[0-9A-Za-z]{1,7}", 0u8..4, any::<(u32, [u8; 16], u64)>());
    (names, terms).prop_map(|((path, format, rest), terms)| Job {
        path: JobPath::new(&path).unwrap(),
        format: Format::from_code(format).unwrap(),
        payload_bytes: rest.0,
        artefact_digest: rest.1,
        sequence_number: rest.2,
        severity: Severity::from_code(terms.0).unwrap(),
        defer_s_max: terms.1,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_check_in_is_read_back(check_in in any_check_in()) {
        let mut buffer = [0; CHECK_IN_BYTES_MAX];
        prop_assert_eq!(CheckIn::decode(check_in.encode(&mut buffer).unwrap()), Ok(check_in));
    }

    #[test]
    fn an_answer_is_read_back(
        next_check_in_s: u32,
        ack_timeout_ms: Option<u32>,
        job in proptest::option::of(any_job()),
        envelope in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=ENVELOPE_BYTES_MAX)),
        is_set: bool,
        statement in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=STATEMENT_BYTES_MAX)),
    ) {
        let (envelope, anchors) = if is_set { (None, envelope.as_deref()) } else { (envelope.as_deref(), None) };
        let statement = statement.as_deref();
        let answer = Answer { next_check_in_s, ack_timeout_ms, job, envelope, anchors, statement };
        let mut buffer = [0; ANSWER_BYTES_MAX];
        prop_assert_eq!(Answer::decode(answer.encode(&mut buffer).unwrap()), Ok(answer));
    }

    #[test]
    fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = (CheckIn::decode(&bytes), Answer::decode(&bytes));
    }

    #[test]
    fn what_an_altered_body_reads_as_is_written_again(at in 0usize..160, to: u8) {
        let mut body = body();
        let at = at % body.len();
        body[at] = to;
        if let Ok(check_in) = CheckIn::decode(&body) {
            let mut buffer = [0; CHECK_IN_BYTES_MAX];
            prop_assert_eq!(CheckIn::decode(check_in.encode(&mut buffer).unwrap()), Ok(check_in));
        }
    }
}
