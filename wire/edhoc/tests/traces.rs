//! RFC 9529 §3, byte by byte: method 3, cipher suite 2, credentials by kid. What lies between the messages is compared by what comes of
//! it: each has all of the transcript before it in its keys.

use serde_json::Value;
use wire_edhoc::{Credential, Fault, HalfOpen, Hello, Initiator, PrivateKey, Proved, PublicKey, Sent};
use wire_oscore::Id;

struct Trace(Value);

impl Trace {
    fn read() -> Trace {
        let text = include_str!("../../../fixtures/edhoc/rfc9529-section-3.json");
        Trace(serde_json::from_str(text).expect("the fixture is JSON"))
    }

    fn bytes(&self, pointer: &str) -> Vec<u8> {
        let hex = self.0.pointer(pointer).and_then(Value::as_str).expect(pointer);
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hexadecimal digits");
        (0..hex.len() / 2).map(byte).collect()
    }

    /// A private key, and the public one that the RFC says it has.
    fn key(&self, private: &str, public: &str) -> PrivateKey {
        let key = PrivateKey::new(&self.bytes(private).try_into().expect("32 bytes")).expect("a key");
        assert_eq!(key.public().as_bytes()[..], self.bytes(public));
        key
    }

    fn credential(&self, claims: &str, kid: &str, public: &str) -> Credential {
        let key = PublicKey::read(&self.bytes(public)).expect("a point");
        Credential::of(&self.bytes(claims), &self.bytes(kid), &key).expect("a credential")
    }

    fn id(&self, pointer: &str) -> Id {
        Id::new(&self.bytes(pointer)).expect("an id")
    }

    fn cred_i(&self) -> Credential {
        self.credential("/initiator/CRED_I", "/initiator/kid", "/initiator/PK_I")
    }

    fn cred_r(&self) -> Credential {
        self.credential("/responder/CRED_R", "/responder/kid", "/responder/PK_R")
    }

    fn message_1(&self) -> (Initiator, Sent) {
        let x = self.key("/initiator/X", "/initiator/G_X");
        // It was told that suite 6, which it prefers, is not supported.
        Initiator::preferring(&[6], &x, self.id("/initiator/C_I")).expect("made")
    }

    fn message_2(&self, message_1: &[u8]) -> (HalfOpen, Sent) {
        let y = self.key("/responder/Y", "/responder/G_Y");
        let key = self.key("/responder/SK_R", "/responder/PK_R");
        let hello = Hello::read(message_1).expect("sound");
        assert_eq!(hello.c_i(), self.id("/initiator/C_I"));
        hello
            .answer(&key, &self.cred_r(), &y, self.id("/responder/C_R"))
            .expect("made")
    }

    fn message_3(&self, initiator: &Initiator, message_2: &[u8]) -> (Proved, Sent) {
        let key = self.key("/initiator/SK_I", "/initiator/PK_I");
        initiator
            .answer(message_2, &key, &self.cred_i(), &self.cred_r())
            .expect("made")
    }
}

#[test]
fn every_message_is_that_of_the_trace() {
    let trace = Trace::read();
    let (initiator, message_1) = trace.message_1();
    assert_eq!(message_1.as_bytes(), trace.bytes("/3.3 message_1"));
    let (half_open, message_2) = trace.message_2(message_1.as_bytes());
    assert_eq!(message_2.as_bytes(), trace.bytes("/3.4 message_2"));
    let (mut proved, message_3) = trace.message_3(&initiator, message_2.as_bytes());
    assert_eq!(message_3.as_bytes(), trace.bytes("/3.5 message_3"));
    let claim = half_open.open(message_3.as_bytes()).expect("theirs");
    assert_eq!(claim.kid(), trace.bytes("/initiator/kid"));
    let accepted = claim.verify(&trace.cred_i()).expect("proved");
    assert_eq!(accepted.message_4.as_bytes(), trace.bytes("/3.6 message_4"));
    proved.confirm(accepted.message_4.as_bytes()).expect("confirmed");
    for established in [&proved.established, &accepted.established] {
        assert_eq!(established.master_secret[..], trace.bytes("/3.8 master_secret"));
        assert_eq!(established.master_salt[..], trace.bytes("/3.8 master_salt"));
        assert_eq!(established.initiator, trace.id("/responder/C_R"));
        assert_eq!(established.responder, trace.id("/initiator/C_I"));
    }
}

#[test]
fn a_suite_that_is_not_supported_is_answered_with_those_that_are() {
    let trace = Trace::read();
    let refused = Hello::read(&trace.bytes("/3.1 message_1 first time")).map(|_| ());
    assert_eq!(refused, Err(Fault::Suite));
    assert_eq!(Fault::Suite.message(), trace.bytes("/3.2 error"));
}

#[test]
fn no_bit_of_a_message_may_be_another() {
    let trace = Trace::read();
    let (initiator, message_1) = trace.message_1();
    let (half_open, message_2) = trace.message_2(message_1.as_bytes());
    let (mut proved, message_3) = trace.message_3(&initiator, message_2.as_bytes());
    let key = trace.key("/initiator/SK_I", "/initiator/PK_I");
    let (cred_i, cred_r) = (trace.cred_i(), trace.cred_r());
    flipped(message_2.as_bytes(), |altered| {
        initiator.answer(altered, &key, &cred_i, &cred_r).is_err()
    });
    flipped(message_3.as_bytes(), |altered| half_open.open(altered).is_err());
    let claim = half_open
        .open(message_3.as_bytes())
        .expect("none of them ended it");
    let message_4 = claim.verify(&cred_i).expect("proved").message_4;
    flipped(message_4.as_bytes(), |altered| proved.confirm(altered).is_err());
    // What an altered message_1 leads to, the initiator refuses.
    flipped(message_1.as_bytes(), |altered| {
        let y = trace.key("/responder/Y", "/responder/G_Y");
        let key_r = trace.key("/responder/SK_R", "/responder/PK_R");
        let Ok(hello) = Hello::read(altered) else {
            return true;
        };
        let Ok((_, message_2)) = hello.answer(&key_r, &cred_r, &y, trace.id("/responder/C_R")) else {
            return true;
        };
        initiator
            .answer(message_2.as_bytes(), &key, &cred_i, &cred_r)
            .is_err()
    });
}

fn flipped(bytes: &[u8], mut is_refused: impl FnMut(&[u8]) -> bool) {
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.to_vec();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(is_refused(&altered), "bit {bit}");
    }
}
