//! Frozen bytes of both bodies. If one of these fails, devices in the field would: change the code, never the bytes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use wire_checkin::{
    ANSWER_BYTES_MAX, Answer, CHECK_IN_BYTES_MAX, CheckIn, Deferral, DeferralReason, DeferralStage, DeviceId,
    DigestPrefix, ENVELOPE_BYTES_MAX, Format, Formats, Freshness, Job, JobPath, LastUpdate, Outcome,
    STATEMENT_BYTES_MAX, Severity,
};

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .bytes()
        .filter(|digit| !digit.is_ascii_whitespace())
        .collect();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn plain() -> CheckIn {
    CheckIn {
        device_id: DeviceId::new(&[0x52, 0x54, 0x00, 0x12, 0x34, 0x56]).unwrap(),
        vendor_id: [0xaa; 16],
        class_id: [0xbb; 16],
        running_digest: DigestPrefix::of(&[0x11; 32]),
        sequence_number: 1,
        slot_capacity_bytes: 520_192,
        staging_bytes: None,
        erase_sector_bytes: 4_096,
        block_szx_max: 5,
        round_trip_ms: 0,
        decoder_memory_bytes: 16_384,
        formats: Formats::of(&[Format::Full, Format::Patch]),
        last_update: None,
        on_trial: false,
        deferral: None,
        in_place_reach_bytes: None,
        anchors: None,
        anchors_waiting: None,
        freshness: None,
    }
}

const PLAIN: &str = "
    aa 01 46 525400123456 02 50 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 03 48 1111111111111111
    04 01 05 1a 0007f000 07 19 1000 08 05 0a 19 4000 0b 09 0e 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[test]
fn a_plain_check_in_is_these_75_bytes() {
    let mut buffer = [0; CHECK_IN_BYTES_MAX];
    assert_eq!(plain().encode(&mut buffer).unwrap(), hex(PLAIN));
    assert_eq!(hex(PLAIN).len(), 75);
    assert_eq!(CheckIn::decode(&hex(PLAIN)), Ok(plain()));
}

const FULL: &str = "
    b3 01 50 000102030405060708090a0b0c0d0e0f 02 50 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    03 58 20 1111111111111111111111111111111111111111111111111111111111111111
    04 1b ffffffffffffffff 05 1a ffffffff 06 1a ffffffff 07 1a ffffffff 08 06 09 1a ffffffff 0a 1a ffffffff
    0b 1a ffffffff 0c 83 1b ffffffffffffffff 18 ff 1a ffffffff 0d f5 0e 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    0f 83 01 18ff 1a ffffffff 10 1a ffffffff 11 19 ffff 12 19 ffff 13 1a ffffffff";

#[test]
fn the_longest_check_in_has_the_length_its_bound_says() {
    let check_in = CheckIn {
        device_id: DeviceId::new(&core::array::from_fn::<u8, 16, _>(|at| at as u8)).unwrap(),
        running_digest: DigestPrefix::new(&[0x11; 32]).unwrap(),
        sequence_number: u64::MAX,
        slot_capacity_bytes: u32::MAX,
        staging_bytes: Some(u32::MAX),
        erase_sector_bytes: u32::MAX,
        block_szx_max: 6,
        round_trip_ms: u32::MAX,
        decoder_memory_bytes: u32::MAX,
        formats: Formats::from_bits(u32::MAX),
        last_update: Some(LastUpdate {
            sequence_number: u64::MAX,
            outcome: Outcome::Other(255),
            detail: Some(u32::MAX),
        }),
        on_trial: true,
        deferral: Some(Deferral {
            stage: DeferralStage::Restart,
            reason: DeferralReason::Other(255),
            seconds: u32::MAX,
        }),
        in_place_reach_bytes: Some(u32::MAX),
        anchors: Some(u16::MAX),
        anchors_waiting: Some(u16::MAX),
        freshness: Some(Freshness {
            number: Freshness::NUMBER_MAX,
            is_stale: true,
            is_behind: true,
        }),
        ..plain()
    };
    let mut buffer = [0; CHECK_IN_BYTES_MAX];
    let body = check_in.encode(&mut buffer).unwrap();
    assert_eq!(body, hex(FULL));
    assert_eq!(body.len(), CHECK_IN_BYTES_MAX);
    assert_eq!(CheckIn::decode(body), Ok(check_in));
}

const SINGLE_SLOT: &str = "
    ac 01 46 525400123456 02 50 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 03 48 1111111111111111
    04 01 05 19 f000 06 19 5000 07 19 1000 08 05 0a 19 1000 0b 08 0e 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 10 19 4000";

#[test]
fn a_device_with_a_single_slot_says_so_in_four_bytes() {
    let check_in = CheckIn {
        slot_capacity_bytes: 61_440,
        staging_bytes: Some(20_480),
        decoder_memory_bytes: 4_096,
        formats: Formats::of(&[Format::Patch]),
        in_place_reach_bytes: Some(16_384),
        ..plain()
    };
    let mut buffer = [0; CHECK_IN_BYTES_MAX];
    assert_eq!(check_in.encode(&mut buffer).unwrap(), hex(SINGLE_SLOT));
    assert_eq!(CheckIn::decode(&hex(SINGLE_SLOT)), Ok(check_in));
}

const TAKES_SETS: &str = "
    ab 01 46 525400123456 02 50 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb 03 48 1111111111111111
    04 01 05 1a 0007f000 07 19 1000 08 05 0a 19 4000 0b 09 0e 50 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 11 00";

#[test]
fn a_device_that_takes_sets_of_anchors_says_so_in_two_bytes() {
    let factory = CheckIn {
        anchors: Some(0),
        ..plain()
    };
    let mut buffer = [0; CHECK_IN_BYTES_MAX];
    assert_eq!(factory.encode(&mut buffer).unwrap(), hex(TAKES_SETS));
    assert_eq!(CheckIn::decode(&hex(TAKES_SETS)), Ok(factory));
    assert_eq!(hex(TAKES_SETS).len(), hex(PLAIN).len() + 2);
}

#[test]
fn asking_for_a_newer_statement_than_the_fifth_takes_two_bytes_and_than_the_sixth_three() {
    let length = |number, is_stale| {
        let check_in = CheckIn {
            freshness: Some(Freshness {
                number,
                is_stale,
                is_behind: false,
            }),
            ..plain()
        };
        let mut buffer = [0; CHECK_IN_BYTES_MAX];
        let body = check_in.encode(&mut buffer).unwrap();
        assert_eq!(CheckIn::decode(body), Ok(check_in));
        body.len()
    };
    assert_eq!(length(5, true), 75 + 2);
    assert_eq!(length(6, false), 75 + 3);
    assert_eq!(length(1_000, true), 75 + 4);
}

const STATEMENT: &str = "a2 01 19 0e10 06 43 010203";

#[test]
fn an_answer_with_a_statement_is_these_bytes() {
    let answer = Answer {
        statement: Some(&[1, 2, 3]),
        ..Answer::idle(3_600)
    };
    let mut buffer = [0; ANSWER_BYTES_MAX];
    assert_eq!(answer.encode(&mut buffer).unwrap(), hex(STATEMENT));
    assert_eq!(Answer::decode(&hex(STATEMENT)), Ok(answer));
}

fn job() -> Job {
    Job {
        path: JobPath::new("a1B2").unwrap(),
        format: Format::Patch,
        payload_bytes: 2_748,
        artefact_digest: [0xd0; 16],
        sequence_number: 2,
        severity: Severity::Mandatory,
        defer_s_max: None,
    }
}

const ANSWER: &str = "
    a4 01 19 0e10 02 19 1388 03 a5 01 64 61314232 02 03 03 19 0abc 04 50 d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0 05 02
    04 43 d86ba2";

#[test]
fn an_answer_with_a_job_is_these_bytes() {
    let answer = Answer {
        next_check_in_s: 3_600,
        ack_timeout_ms: Some(5_000),
        job: Some(job()),
        envelope: Some(&[0xd8, 0x6b, 0xa2]),
        anchors: None,
        statement: None,
    };
    let mut buffer = [0; ANSWER_BYTES_MAX];
    assert_eq!(answer.encode(&mut buffer).unwrap(), hex(ANSWER));
    assert_eq!(Answer::decode(&hex(ANSWER)), Ok(answer));
    assert_eq!(job().etag(), [0xd0; 4]);
}

#[test]
fn an_idle_answer_is_four_bytes() {
    let mut buffer = [0; 4];
    assert_eq!(Answer::idle(60).encode(&mut buffer).unwrap(), hex("a1 01 18 3c"));
    assert_eq!(Answer::decode(&hex("a1 01 18 3c")), Ok(Answer::idle(60)));
}

#[test]
fn the_longest_answer_has_the_length_its_bound_says() {
    let answer = Answer {
        next_check_in_s: u32::MAX,
        ack_timeout_ms: Some(u32::MAX),
        job: Some(Job {
            path: JobPath::new("ZZZZZZZ").unwrap(),
            payload_bytes: u32::MAX,
            sequence_number: u64::MAX,
            severity: Severity::Optional,
            defer_s_max: Some(u32::MAX),
            ..job()
        }),
        envelope: Some(&[0; ENVELOPE_BYTES_MAX]),
        anchors: None,
        statement: Some(&[0; STATEMENT_BYTES_MAX]),
    };
    let with_a_set = Answer {
        envelope: None,
        anchors: answer.envelope,
        ..answer
    };
    for answer in [answer, with_a_set] {
        let mut buffer = [0; ANSWER_BYTES_MAX];
        let body = answer.encode(&mut buffer).unwrap();
        assert_eq!(body.len(), ANSWER_BYTES_MAX);
        assert_eq!(Answer::decode(body), Ok(answer));
    }
}

#[test]
fn an_answer_with_a_set_of_anchors_is_these_bytes() {
    let answer = Answer {
        anchors: Some(&[0xd8, 0x6b, 0xa2]),
        ..Answer::idle(60)
    };
    let mut buffer = [0; ANSWER_BYTES_MAX];
    let bytes = hex("a2 01 18 3c 05 43 d86ba2");
    assert_eq!(answer.encode(&mut buffer).unwrap(), bytes);
    assert_eq!(Answer::decode(&bytes), Ok(answer));
}

const TERMS: &str = "
    a2 01 19 0e10 03 a7 01 64 61314232 02 03 03 19 0abc 04 50 d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0 05 02 06 00 07 19 0e10";

#[test]
fn a_critical_job_that_may_wait_an_hour_is_these_bytes() {
    let answer = Answer {
        job: Some(Job {
            severity: Severity::Critical,
            defer_s_max: Some(3_600),
            ..job()
        }),
        ..Answer::idle(3_600)
    };
    let mut buffer = [0; ANSWER_BYTES_MAX];
    assert_eq!(answer.encode(&mut buffer).unwrap(), hex(TERMS));
    assert_eq!(Answer::decode(&hex(TERMS)), Ok(answer));
}
