//! Bytes from anybody: they end well, prove nothing, and reach nothing in lakers that would panic.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

use lakers::{
    CredentialTransfer, EADItem, EdhocBuffer, EdhocMessageBuffer, InitiatorStart, ProcessedM2,
    i_prepare_message_1, i_prepare_message_3,
};
use proptest::prelude::*;
use wire_edhoc::{
    Credential, Fault, HalfOpen, Hello, Initiator, MESSAGE_1_BYTES_MAX, MESSAGE_2_BYTES_MAX,
    MESSAGE_3_BYTES_MAX, PrivateKey, Proved, Sent,
};
use wire_oscore::Id;

const KID: [u8; 8] = [0x70, 0xB3, 0xD5, 0, 0, 0, 1, 0x0F];

struct Parties {
    device: PrivateKey,
    gateway: PrivateKey,
    cred_i: Credential,
    cred_r: Credential,
}

fn parties() -> Parties {
    let (device, gateway) = (key(1), key(2));
    Parties {
        cred_i: Credential::new(&KID, device.public()).unwrap(),
        cred_r: Credential::new(&[0], gateway.public()).unwrap(),
        device,
        gateway,
    }
}

fn key(seed: u8) -> PrivateKey {
    PrivateKey::of_seed(&[seed; 32]).unwrap()
}

impl Parties {
    fn started(&self) -> (Initiator, Sent) {
        Initiator::start(&key(3), Id::EMPTY).unwrap()
    }

    fn half_open(&self, message_1: &[u8]) -> (HalfOpen, Sent) {
        let hello = Hello::read(message_1).unwrap();
        let c_r = Id::new(&[0x0B, 0xEE]).unwrap();
        hello.answer(&self.gateway, &self.cred_r, &key(4), c_r).unwrap()
    }

    fn answer(&self, initiator: &Initiator, message_2: &[u8]) -> Result<(Proved, Sent), Fault> {
        initiator.answer(message_2, &self.device, &self.cred_i, &self.cred_r)
    }
}

#[test]
fn a_handshake_has_the_lengths_that_are_documented() {
    let parties = parties();
    let (initiator, message_1) = parties.started();
    let (half_open, message_2) = parties.half_open(message_1.as_bytes());
    let (_, message_3) = parties.answer(&initiator, message_2.as_bytes()).unwrap();
    let accepted = half_open
        .open(message_3.as_bytes())
        .unwrap()
        .verify(&parties.cred_i)
        .unwrap();
    let sent = [&message_1, &message_2, &message_3, &accepted.message_4];
    assert_eq!(sent.map(|sent| sent.as_bytes().len()), [37, 47, 28, 9]);
}

#[test]
fn a_connection_identifier_longer_than_lakers_has_room_for_is_malformed() {
    let (_, message_1) = parties().started();
    let without = &message_1.as_bytes()[..36];
    for length in 0..=24_u8 {
        let mut altered = without.to_vec();
        match length {
            24 => altered.extend([0x58, 24]),
            _ => altered.push(0x40 | length),
        }
        altered.extend(vec![0xEE; length.into()]);
        assert_eq!(Hello::read(&altered).is_ok(), length <= 7, "{length} bytes");
    }
    // One byte that is an integer's encoding has to come as that.
    assert!(Hello::read(&[without, &[0x41, 0x17]].concat()).is_err());
    assert!(Hello::read(&[without, &[0x17]].concat()).is_ok());
    assert!(Hello::read(&[without, &[0x18, 0x17]].concat()).is_err());
}

/// CIPHERTEXT_2 is a stream: whoever is on the way writes C_R's first byte at will.
#[test]
fn whatever_plaintext_2_begins_with_is_refused_without_a_panic() {
    let parties = parties();
    let (initiator, message_1) = parties.started();
    let (_, message_2) = parties.half_open(message_1.as_bytes());
    for at in 34..message_2.as_bytes().len() {
        for change in 1..=255_u8 {
            let mut altered = message_2.as_bytes().to_vec();
            altered[at] ^= change;
            assert!(
                parties.answer(&initiator, &altered).is_err(),
                "byte {at}, {change:#x}"
            );
        }
    }
}

#[test]
fn a_length_that_lakers_has_no_room_for_is_no_message_3() {
    let parties = parties();
    let (_, message_1) = parties.started();
    let (half_open, _) = parties.half_open(message_1.as_bytes());
    for length in 0..=255_u8 {
        let long = [&[0x58, length][..], &vec![0xEE; length.into()]].concat();
        assert_eq!(half_open.open(&long).unwrap_err(), Fault::Forged);
        // Says more than there is.
        assert_eq!(half_open.open(&[0x58, length]).unwrap_err(), Fault::Forged);
    }
    assert_eq!(half_open.open(&[]).unwrap_err(), Fault::Forged);
}

#[test]
fn somebody_with_another_key_is_an_impostor() {
    let parties = parties();
    let (initiator, message_1) = parties.started();
    let (half_open, message_2) = parties.half_open(message_1.as_bytes());
    let thief = PrivateKey::of_seed(&[9; 32]).unwrap();
    // A thief of a name, without its key.
    let answered = initiator.answer(message_2.as_bytes(), &thief, &parties.cred_i, &parties.cred_r);
    let (_, message_3) = answered.unwrap();
    let claim = half_open.open(message_3.as_bytes()).unwrap();
    assert_eq!(claim.kid(), KID);
    assert_eq!(claim.verify(&parties.cred_i).unwrap_err(), Fault::Impostor);
    // Another's credential is not taken for the claim either.
    let claim = half_open.open(message_3.as_bytes()).unwrap();
    let other = Credential::new(&[1], thief.public()).unwrap();
    assert_eq!(claim.verify(&other).unwrap_err(), Fault::Impostor);
    // A gateway that is not the one whose key the device has.
    let hello = Hello::read(message_1.as_bytes()).unwrap();
    let cred_r = Credential::new(&[0], thief.public()).unwrap();
    let (_, message_2) = hello
        .answer(&thief, &cred_r, &key(5), Id::new(&[7]).unwrap())
        .unwrap();
    let refused = parties.answer(&initiator, message_2.as_bytes()).map(|_| ());
    assert_eq!(refused, Err(Fault::Impostor));
}

#[test]
fn both_sides_never_have_one_id() {
    let parties = parties();
    let c = Id::new(&[7]).unwrap();
    let (_, message_1) = Initiator::start(&key(3), c).unwrap();
    let hello = Hello::read(message_1.as_bytes()).unwrap();
    let same = hello
        .answer(&parties.gateway, &parties.cred_r, &key(4), c)
        .map(|_| ());
    assert_eq!(same, Err(Fault::SameIds));
}

/// A back end for an initiator that means ill: its AEAD and its hashes are honest, what it says is not.
#[derive(Debug)]
struct Mute;

mod honest {
    use aes::Aes128;
    use ccm::aead::{AeadInOut, KeyInit};
    use ccm::consts::{U8, U13};
    use hkdf::Hkdf;
    use lakers::*;
    use sha2::{Digest, Sha256};

    impl CryptoTrait for super::Mute {
        fn sha256_digest(&mut self, message: &BytesMaxBuffer, length: usize) -> BytesHashLen {
            Sha256::digest(&message[..length]).into()
        }
        fn hkdf_expand(
            &mut self,
            prk: &BytesHashLen,
            info: &BytesMaxInfoBuffer,
            info_len: usize,
            length: usize,
        ) -> BytesMaxBuffer {
            let mut output = [0; MAX_BUFFER_LEN];
            let hkdf = Hkdf::<Sha256>::from_prk(prk).unwrap();
            hkdf.expand(&info[..info_len], &mut output[..length]).unwrap();
            output
        }
        fn hkdf_extract(&mut self, _: &BytesHashLen, _: &BytesP256ElemLen) -> BytesHashLen {
            unreachable!("an initiator has done that when it makes message_3")
        }
        fn aes_ccm_encrypt_tag_8(
            &mut self,
            key: &BytesCcmKeyLen,
            iv: &BytesCcmIvLen,
            ad: &[u8],
            text: &BufferPlaintext3,
        ) -> BufferCiphertext3 {
            let mut sealed = *text;
            let cipher = ccm::Ccm::<Aes128, U8, U13>::new(key.into());
            let place = &mut sealed.content[..text.len];
            let tag = cipher
                .encrypt_inout_detached(iv.into(), ad, place.into())
                .unwrap();
            sealed.extend_from_slice(&tag).unwrap();
            sealed
        }
        fn aes_ccm_decrypt_tag_8(
            &mut self,
            _: &BytesCcmKeyLen,
            _: &BytesCcmIvLen,
            _: &[u8],
            _: &BufferCiphertext3,
        ) -> Result<BufferPlaintext3, EDHOCError> {
            unreachable!("nothing is opened")
        }
        fn p256_ecdh(&mut self, _: &BytesP256ElemLen, _: &BytesP256ElemLen) -> BytesP256ElemLen {
            unreachable!("as above")
        }
        fn get_random_byte(&mut self) -> u8 {
            0
        }
        fn p256_generate_key_pair(&mut self) -> (BytesP256ElemLen, BytesP256ElemLen) {
            unreachable!("as above")
        }
    }
}

/// Who sent message_1 writes plaintext_3 as they like: by value, critical, padded beyond measure.
#[test]
fn whatever_an_initiator_says_of_itself_is_refused_in_time() {
    let parties = parties();
    let (_, message_1) = parties.started();
    let (half_open, message_2) = parties.half_open(message_1.as_bytes());
    let (prk_3e2m, th_3) = parties.keys_of_message_3(message_1.as_bytes(), message_2.as_bytes());
    let say = |credential: &Credential, transfer, ead: Option<EADItem>| {
        let state = ProcessedM2 {
            prk_3e2m,
            prk_4e3m: [0; 32],
            th_3,
        };
        let claims = EdhocBuffer::new_from_slice(credential.as_bytes()).unwrap();
        let kid = EdhocBuffer::new_from_slice(credential.kid()).unwrap();
        let credential = lakers::Credential::new_ccs(claims, [0; 32]).with_kid(kid);
        let made = i_prepare_message_3(&state, &mut Mute, credential, transfer, &ead);
        half_open
            .open(made.unwrap().1.as_slice())
            .map(|claim| claim.kid().to_vec())
    };
    let ead = |label, is_critical, length| {
        let value = (length > 0).then(|| EdhocMessageBuffer::new_from_slice(&head(length)).unwrap());
        Some(EADItem {
            label,
            is_critical,
            value,
        })
    };
    let by_kid = CredentialTransfer::ByReference;
    assert_eq!(say(&parties.cred_i, by_kid, None), Ok(KID.to_vec()));
    assert_eq!(say(&parties.cred_i, by_kid, ead(0, false, 14)), Ok(KID.to_vec()));
    assert_eq!(
        say(&parties.cred_i, by_kid, ead(0, false, 15)),
        Err(Fault::Malformed)
    );
    assert_eq!(
        say(&parties.cred_i, by_kid, ead(0, false, 20)),
        Err(Fault::Malformed)
    );
    assert_eq!(
        say(&parties.cred_i, by_kid, ead(1, true, 0)),
        Err(Fault::CriticalEad)
    );
    let by_value = say(&parties.cred_i, CredentialTransfer::ByValue, None);
    assert_eq!(by_value, Err(Fault::Forged), "longer than any that is of use");
    let longest = Credential::new(&[5; 16], parties.device.public()).unwrap();
    assert_eq!(say(&longest, by_kid, None), Ok(vec![5; 16]));
}

/// A byte string of so many bytes.
fn head(length: u8) -> Vec<u8> {
    [vec![0x40 | length], vec![0; length.into()]].concat()
}

impl Parties {
    /// PRK_3e2m and TH_3 as an initiator computes them. Its own key is no part of them.
    fn keys_of_message_3(&self, message_1: &[u8], message_2: &[u8]) -> ([u8; 32], [u8; 32]) {
        use hkdf::Hkdf;
        use sha2::{Digest, Sha256};
        let hash = |parts: &[&[u8]]| <[u8; 32]>::from(Sha256::digest(parts.concat()));
        let string = |bytes: &[u8]| [&[0x58, bytes.len() as u8][..], bytes].concat();
        let (g_y, ciphertext) = message_2[2..].split_at(32);
        let dh = |public: &[u8]| {
            let secret = p256::SecretKey::from_slice(key(3).expose()).unwrap();
            let point = p256::PublicKey::from_sec1_bytes(&[&[2], public].concat()).unwrap();
            let shared = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), point.as_affine());
            <[u8; 32]>::from(*shared.raw_secret_bytes())
        };
        let expand = |prk: &[u8], label: u8, context: &[u8], length: u8| {
            let length_head = if length < 24 {
                vec![length]
            } else {
                vec![0x18, length]
            };
            let info = [&[label][..], &string(context), &length_head].concat();
            let mut output = vec![0; length.into()];
            Hkdf::<Sha256>::from_prk(prk)
                .unwrap()
                .expand(&info, &mut output)
                .unwrap();
            output
        };
        let extract = |salt: &[u8], secret: &[u8]| Hkdf::<Sha256>::extract(Some(salt), secret).0.to_vec();
        let th_2 = hash(&[&string(g_y), &string(&hash(&[message_1]))]);
        let prk_2e = extract(&th_2, &dh(g_y));
        let salt_3e2m = expand(&prk_2e, 1, &th_2, 32);
        let prk_3e2m = extract(&salt_3e2m, &dh(self.gateway.public().as_bytes()));
        let keystream = expand(&prk_2e, 0, &th_2, ciphertext.len() as u8);
        let plaintext: Vec<u8> = ciphertext.iter().zip(keystream).map(|(a, b)| a ^ b).collect();
        let th_3 = hash(&[&string(&th_2), &plaintext, self.cred_r.as_bytes()]);
        (prk_3e2m.try_into().unwrap(), th_3)
    }
}

/// Whatever lakers makes of other parameters is read or refused, too.
#[test]
fn message_1_of_another_method_or_suite_is_told_so() {
    let public = *key(3).public().as_bytes();
    let say = |method, suites: &[u8]| {
        let suites_i = EdhocBuffer::new_from_slice(suites).unwrap();
        let start = InitiatorStart {
            suites_i,
            method,
            x: [1; 32],
            g_x: public,
        };
        let made = i_prepare_message_1(&start, &mut Mute, lakers::ConnId::from_slice(&[]).unwrap(), &None);
        Hello::read(made.unwrap().1.as_slice()).map(|hello| hello.c_i())
    };
    assert_eq!(say(3, &[2]), Ok(Id::EMPTY));
    assert_eq!(say(0, &[2]), Err(Fault::Method));
    assert_eq!(say(3, &[2, 3]), Err(Fault::Suite));
    assert_eq!(say(3, &[6, 3, 2]), Ok(Id::EMPTY));
}

proptest! {
    #[test]
    fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200), from in 0_usize..48) {
        wire_edhoc::any_bytes(&bytes);
        // The same behind a beginning that is sound.
        let parties = parties();
        let (initiator, message_1) = parties.started();
        let (half_open, message_2) = parties.half_open(message_1.as_bytes());
        let spliced = |sound: &Sent| [&sound.as_bytes()[..from.min(sound.as_bytes().len())], &bytes].concat();
        let hello = spliced(&message_1);
        prop_assert!(Hello::read(&hello).is_err() || hello.len() <= MESSAGE_1_BYTES_MAX);
        let answer = spliced(&message_2);
        prop_assert!(parties.answer(&initiator, &answer).is_err() || answer == message_2.as_bytes());
        prop_assert!(half_open.open(&bytes).is_err());
        prop_assert!(MESSAGE_2_BYTES_MAX < 128 && MESSAGE_3_BYTES_MAX < 128);
    }
}
