//! Sets of trust anchors over the serial line.

use wire_manifest::{ENVELOPE_BYTES_MAX, KeyId, Roles, SetKey, cosign, write_set};

use super::*;

fn successor() -> SigningKey {
    SigningKey::from_bytes(&[8; 32])
}

/// The publisher's key signs sets, and releases no more.
fn set(number: u16, by: &SigningKey) -> Vec<u8> {
    let public = |key: &SigningKey| key.verifying_key().to_bytes();
    let mut keys = [
        SetKey::new(Roles::RELEASE, &public(&successor())),
        SetKey::new(Roles::RECOVERY.and(Roles::RETIRED), &public(&publisher())),
    ];
    let (mut unsigned, mut out) = ([0; ENVELOPE_BYTES_MAX], [0; ENVELOPE_BYTES_MAX]);
    let unsigned = write_set(&mut unsigned, number, None, u32::MAX, (1, 1), &mut keys).unwrap();
    let sign = |bytes: &[u8]| by.sign(bytes).to_bytes();
    cosign(unsigned, &mut out, KeyId::of(&public(by)), sign)
        .unwrap()
        .to_vec()
}

fn number(flash: &RefCell<SimFlash>) -> u16 {
    crate::anchors::in_force(flash, &LAYOUT, Some(5)).unwrap().number
}

#[test]
fn a_set_by_the_cable_decides_which_file_is_taken_next() {
    let flash = RefCell::new(device());
    let mut newer = File::right();
    newer.sequence = 6;
    Client::new(&flash).upload(&set(1, &publisher()), 100).unwrap();
    assert_eq!(number(&flash), 1);
    let refused = Client::new(&flash).upload(&newer.bytes(), 400).unwrap_err();
    assert_eq!(
        refused,
        (
            ErrorCode::AccessDenied,
            "the set of keys in force does not let the image in".to_string()
        )
    );
    newer.key = successor();
    Client::new(&flash).upload(&newer.bytes(), 400).unwrap();
    let boot = run(&flash, &LAYOUT, None, &mut |_| {}).unwrap();
    assert_eq!((boot.image.sequence, boot.provision.number), (6, 1));
}

#[test]
fn a_set_that_is_not_newer_or_not_signed_by_who_may_changes_nothing() {
    let flash = RefCell::new(device());
    Client::new(&flash).upload(&set(2, &publisher()), 100).unwrap();
    let before = flash.borrow().bytes().to_vec();
    for refused in [set(3, &successor()), set(3, &publisher())[..200].to_vec()] {
        assert!(Client::new(&flash).upload(&refused, 100).is_err());
        assert_eq!(flash.borrow().bytes(), before);
    }
    for older in [set(1, &publisher()), set(2, &publisher())] {
        let refused = Client::new(&flash).upload(&older, 100).unwrap_err();
        assert_eq!(refused.0, ErrorCode::Invalid);
        assert_eq!(number(&flash), 2);
    }
}

/// What a device with both copies lost needs, whose image a newer key signed: it starts nothing, and the cable brings the set.
#[test]
fn a_device_that_lost_both_copies_gets_its_set_back() {
    let flash = RefCell::new(device());
    Client::new(&flash).upload(&set(1, &publisher()), 100).unwrap();
    let mut newer = File::right();
    newer.sequence = 6;
    newer.key = successor();
    Client::new(&flash).upload(&newer.bytes(), 400).unwrap();
    let mut log = BootLog::open(Region::new(&flash, LAYOUT.boot_log)).unwrap();
    log.append(BootRecord::Confirmed { sequence: 6 }).unwrap();
    let anchors = LAYOUT.anchors.unwrap();
    flash.borrow_mut().bytes_mut()[anchors.offset as usize..][..anchors.bytes as usize].fill(0x33);
    assert_eq!(run(&flash, &LAYOUT, None, &mut |_| {}), Err(Recovery::NoImage));
    Client::new(&flash).upload(&set(1, &publisher()), 100).unwrap();
    let boot = run(&flash, &LAYOUT, None, &mut |_| {}).unwrap();
    assert_eq!((boot.image.sequence, boot.provision.number), (6, 1));
}
