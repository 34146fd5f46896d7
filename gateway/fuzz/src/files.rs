//! What somebody wrote into a file or a question.

use deltagate::admin::conversation::parse_line;
use deltagate::admin::role::{Role, samples};
use deltagate::admin::{LINE_BYTES_MAX, Question};
use deltagate::factory;
use gateway_core::Credentials;

/// A credentials record has one encoding.
pub(crate) fn credentials(bytes: &[u8]) {
    // A CRC that a fuzzer does not guess is put right, so that what is behind it is reached.
    let mut mended = bytes.to_vec();
    if let Some(length) = mended.len().checked_sub(4) {
        let crc = crc32(&mended[..length]);
        mended[length..].copy_from_slice(&crc.to_le_bytes());
    }
    for record in [bytes, &mended] {
        if let Ok(credentials) = Credentials::decode(record) {
            let again = credentials.encode();
            assert_eq!(again[..], record[..again.len()]);
        }
    }
}

/// ISO-HDLC, as in zlib.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

pub(crate) fn credentials_seeds() -> Vec<Vec<u8>> {
    vec![include_bytes!("../../../fixtures/identity/credentials.dgc").to_vec()]
}

/// Every line is read or named, none both.
pub(crate) fn factory_list(bytes: &[u8]) {
    if let Ok(import) = factory::read(bytes, bytes.len().is_multiple_of(2)) {
        let is_bad = |number: usize| import.bad.iter().any(|bad| bad.line == number);
        assert!(!import.lines.iter().any(|(number, _)| is_bad(*number)));
    }
}

pub(crate) fn factory_list_seeds() -> Vec<Vec<u8>> {
    let head = "device,kid,secret,label,serial,group\n";
    let full = "device;kid;secret;salt;id_context;gateway_id;label;group;eui;imei;serial\n\
                70b3d50000000001;01;00112233445566778899aabbccddeeff;0102;;;\"roof; 3\";pumps;70:b3:d5:00:00:00:00:01;356938035643809;SN-1\n";
    vec![
        format!("{head}70b3d50000000001,000001,00112233445566778899aabbccddeeff,roof-3,SN-1,pumps\n").into(),
        format!("{head}70b3d50000000001,000001,0011,,,\nx,y,z\n").into(),
        full.into(),
    ]
}

/// A question that was understood is written and read as the same, and needs a role.
pub(crate) fn admin(bytes: &[u8]) {
    // As it is read: to the line's end, and no longer than a question.
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = &line[..line.len().min(LINE_BYTES_MAX)];
    if let Ok(question) = parse_line(line) {
        assert!(Role::needed(&question.ask) >= Role::View);
        let written = serde_json::to_vec(&question).unwrap();
        assert_eq!(parse_line(&written), Ok(question));
    }
}

pub(crate) fn admin_seeds() -> Vec<Vec<u8>> {
    let question = |ask| Question {
        v: 1,
        ask,
        body_bytes: 7,
    };
    let written = |ask| serde_json::to_vec(&question(ask)).unwrap();
    samples().into_iter().map(written).collect()
}
