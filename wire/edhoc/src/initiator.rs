//! The device's side. Not lakers', which takes 11 KB of stack and has paths that panic: the same messages over the AES and HKDF that OSCORE
//! has anyway, and any SHA-256. What it computes stands in `schedule`, as RFC 9528 §4 has it.

use core::fmt;

use wire_oscore::Id;
use wire_oscore::primitives::{HASH_BYTES, Sha256, extract};
use zeroize::Zeroizing;

use crate::credential::{Credential, KID_BYTES_MAX};
use crate::curve::Point;
use crate::error::Fault;
use crate::established::{Established, SALT_BYTES, SALT_LABEL, SECRET_BYTES, SECRET_LABEL};
use crate::guard::{self, PLAINTEXT_BYTES_MAX, is_one_byte};
use crate::key::{KEY_BYTES, PrivateKey};
use crate::message::Sent;
use crate::schedule::{Aead, Label, MAC_BYTES, STRING_32, Transcript, kdf, sha2, string};

/// RFC 9528 §3.2: both authenticate with static Diffie-Hellman keys.
pub(crate) const METHOD: u8 = 3;
/// RFC 9528 §3.6: AES-CCM-16-64-128, SHA-256, P-256.
const SUITE: u8 = 2;
/// More are of no use, and RFC 9528 leaves it open.
const PREFERRED_MAX: usize = 8;

/// An initiator that sent message_1.
#[derive(Clone)]
pub struct Initiator {
    x: Zeroizing<[u8; KEY_BYTES]>,
    h_message_1: [u8; HASH_BYTES],
    c_i: Id,
}

/// Nothing of it is worth printing.
impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Initiator({:?})", self.c_i)
    }
}

impl Initiator {
    /// Makes message_1, under a key that is used for nothing else. `c_i` becomes the responder's Sender ID.
    ///
    /// # Errors
    /// None that a key of this crate leads to.
    pub fn start(ephemeral: &PrivateKey, c_i: Id) -> Result<(Initiator, Sent), Fault> {
        Initiator::start_with(&mut sha2, &[], ephemeral, c_i)
    }

    /// The same for one that prefers other suites and learnt that the responder does not take them (RFC 9528 §6.3.1): it says so,
    /// so that the responder sees whether somebody talked it out of a better one.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for more than eight of them.
    pub fn preferring(suites: &[u8], ephemeral: &PrivateKey, c_i: Id) -> Result<(Initiator, Sent), Fault> {
        Initiator::start_with(&mut sha2, suites, ephemeral, c_i)
    }

    /// The same with another's SHA-256, which hashes the concatenation of what it is given: a device has one in its ROM.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for more than eight suites.
    pub fn start_with(
        sha256: Sha256<'_>,
        suites: &[u8],
        ephemeral: &PrivateKey,
        c_i: Id,
    ) -> Result<(Initiator, Sent), Fault> {
        if suites.len() > PREFERRED_MAX {
            return Err(Fault::Malformed);
        }
        let message_1 = Sent::of(|bytes| {
            let mut writer = wire_cbor::Writer::new(bytes);
            writer.uint(METHOD.into());
            // One alone stands without an array.
            if !suites.is_empty() {
                writer.array(suites.len() as u64 + 1);
            }
            for suite in suites {
                writer.uint((*suite).into());
            }
            writer.uint(SUITE.into()).bytes(ephemeral.public().as_bytes());
            identifier(&mut writer, c_i.as_bytes());
            writer.finish().map(<[u8]>::len)
        })?;
        let initiator = Initiator {
            x: Zeroizing::new(*ephemeral.expose()),
            h_message_1: sha256(&[message_1.as_bytes()]),
            c_i,
        };
        Ok((initiator, message_1))
    }

    /// Takes message_2, checks that it is of whoever holds `theirs`, and makes message_3, which names `ours` by its kid.
    ///
    /// # Errors
    /// [`Fault::Impostor`] when it is of somebody else, others when it is no message_2. The true one may still come.
    pub fn answer(
        &self,
        message_2: &[u8],
        key: &PrivateKey,
        ours: &Credential,
        theirs: &Credential,
    ) -> Result<(Proved, Sent), Fault> {
        self.answer_with(&mut sha2, message_2, key, ours, theirs)
    }

    /// The same with another's SHA-256. Three multiplications on the curve.
    ///
    /// # Errors
    /// As [`Initiator::answer`].
    #[inline(never)]
    pub fn answer_with(
        &self,
        sha256: Sha256<'_>,
        message_2: &[u8],
        key: &PrivateKey,
        ours: &Credential,
        theirs: &Credential,
    ) -> Result<(Proved, Sent), Fault> {
        let (g_y, ciphertext) = guard::message_2(message_2)?;
        let point = Point::new(g_y).ok_or(Fault::Point)?;
        let th_2 = sha256(&[&STRING_32, g_y, &STRING_32, &self.h_message_1]);
        let prk_2e = Zeroizing::new(extract(sha256, &th_2, &*shared(&point, &self.x)?));

        let mut room = [0; PLAINTEXT_BYTES_MAX];
        let plaintext_2 = room.get_mut(..ciphertext.len()).ok_or(Fault::Malformed)?;
        kdf(sha256, &prk_2e, Label::Keystream2, &[&th_2], plaintext_2)?;
        for (byte, sent) in plaintext_2.iter_mut().zip(ciphertext) {
            *byte ^= sent;
        }
        let read = guard::plaintext_2(plaintext_2)?;
        if read.kid != theirs.kid() {
            return Err(Fault::Impostor);
        }
        if read.c_r == self.c_i {
            return Err(Fault::SameIds);
        }

        let mut salt = Zeroizing::new([0; HASH_BYTES]);
        kdf(sha256, &prk_2e, Label::Salt3e2m, &[&th_2], &mut *salt)?;
        let static_point = Point::new(theirs.key.as_bytes()).ok_or(Fault::Point)?;
        let g_rx = shared(&static_point, &self.x)?;
        let prk_3e2m = Zeroizing::new(extract(sha256, &*salt, &*g_rx));
        let mut mac_2 = [0; MAC_BYTES];
        let context_2 = [
            read.c_r_encoded,
            &id_cred(theirs),
            theirs.kid(),
            &STRING_32,
            &th_2,
            theirs.as_bytes(),
            read.external,
        ];
        kdf(sha256, &prk_3e2m, Label::Mac2, &context_2, &mut mac_2)?;
        let difference = mac_2.iter().zip(read.mac).fold(0, |all, (a, b)| all | (a ^ b));
        if core::hint::black_box(difference) != 0 {
            return Err(Fault::Impostor);
        }

        let th_3 = sha256(&[&STRING_32, &th_2, plaintext_2, theirs.as_bytes()]);
        kdf(sha256, &prk_3e2m, Label::Salt4e3m, &[&th_3], &mut *salt)?;
        let prk_4e3m = Zeroizing::new(extract(sha256, &*salt, &*shared(&point, key.expose())?));
        let mut mac_3 = [0; MAC_BYTES];
        let context_3 = [&id_cred(ours)[..], ours.kid(), &STRING_32, &th_3, ours.as_bytes()];
        kdf(sha256, &prk_4e3m, Label::Mac3, &context_3, &mut mac_3)?;

        let mut room_3 = [0; 1 + KID_BYTES_MAX + 1 + MAC_BYTES];
        let mut writer = wire_cbor::Writer::new(&mut room_3);
        identifier(&mut writer, ours.kid());
        writer.bytes(&mac_3);
        let length = writer.finish().ok_or(Fault::Malformed)?.len();
        let plaintext_3 = room_3.get(..length).ok_or(Fault::Malformed)?;
        let aead = Aead::new(sha256, &prk_3e2m, [Label::Key3, Label::Iv3], &th_3)?;
        let message_3 = Sent::of(|bytes| aead.seal(plaintext_3, bytes))?;

        let th_4 = sha256(&[&STRING_32, &th_3, plaintext_3, ours.as_bytes()]);
        let end = Transcript { prk_4e3m, th_4 };
        let proved = Proved {
            established: end.export(sha256, read.c_r, self.c_i)?,
            end,
        };
        Ok((proved, message_3))
    }
}

/// The x-coordinate of the shared point.
fn shared(point: &Point, private: &[u8; KEY_BYTES]) -> Result<Zeroizing<[u8; KEY_BYTES]>, Fault> {
    point.times(private).map(Zeroizing::new).ok_or(Fault::Point)
}

/// A kid or a connection identifier as it goes into a message (RFC 9528 §3.3.2, §3.5.3.2).
fn identifier(writer: &mut wire_cbor::Writer<'_>, id: &[u8]) {
    match is_one_byte(id) {
        true => writer.raw(id),
        false => writer.bytes(id),
    };
}

/// ID_CRED as MACs have it, up to the kid: a map of one, its key 4, the head of a byte string of less than 24.
fn id_cred(credential: &Credential) -> [u8; 3] {
    [0xA1, 0x04, string(credential.kid().len())]
}

impl Transcript {
    /// RFC 9528 §4.2.1 and Appendix A.1.
    fn export(&self, sha256: Sha256<'_>, initiator: Id, responder: Id) -> Result<Established, Fault> {
        let (mut out, mut exporter) = (Zeroizing::new([0; HASH_BYTES]), Zeroizing::new([0; HASH_BYTES]));
        kdf(sha256, &self.prk_4e3m, Label::Out, &[&self.th_4], &mut *out)?;
        kdf(sha256, &out, Label::Exporter, &[], &mut *exporter)?;
        let (mut secret, mut salt) = (Zeroizing::new([0; SECRET_BYTES]), [0; SALT_BYTES]);
        kdf(
            sha256,
            &exporter,
            Label::Exported(SECRET_LABEL),
            &[],
            &mut *secret,
        )?;
        kdf(sha256, &exporter, Label::Exported(SALT_LABEL), &[], &mut salt)?;
        Established::new(&secret, &salt, initiator, responder)
    }
}

/// An initiator that knows who the responder is, and made message_3. Whether the responder has the same keys it does not know yet.
#[derive(Debug)]
pub struct Proved {
    /// What comes of it.
    pub established: Established,
    end: Transcript,
}

impl Proved {
    /// Takes message_4: the responder has the same keys.
    ///
    /// # Errors
    /// [`Fault::Forged`] when it is not of this handshake.
    pub fn confirm(&mut self, message_4: &[u8]) -> Result<(), Fault> {
        let sealed = guard::message_4(message_4)?;
        let labels = [Label::Key4, Label::Iv4];
        let aead = Aead::new(&mut sha2, &self.end.prk_4e3m, labels, &self.end.th_4)?;
        let mut room = [0; guard::EAD_BYTES_MAX];
        guard::plaintext_4(aead.open(sealed, &mut room)?)
    }
}
