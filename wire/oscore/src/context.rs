//! The security context: keys and ids of two endpoints (RFC 8613 §3).

use core::fmt;

use wire_cbor::Writer;
use zeroize::Zeroize;

use crate::ccm::{KEY_BYTES, NONCE_BYTES, xor};
use crate::id::{Id, IdContext};
use crate::kdf;
use crate::option::{self, KidContext};
use crate::renewal::Inputs;
use crate::sequence::PartialIv;

/// COSE's number for AES-CCM-16-64-128 (RFC 9053 §4.2), the algorithm that every implementation has.
pub(crate) const ALGORITHM: u8 = 10;

/// What two endpoints share: both keys, the Common IV, and who is who. Wiped when it goes.
///
/// Immutable. What changes is beside it: [`crate::SenderSequence`] and [`crate::ReplayWindow`].
#[derive(Clone)]
pub struct Context {
    keys: Keys,
    sender_id: Id,
    recipient_id: Id,
    id_context: Option<IdContext>,
    announces: Announces,
}

/// How requests name the ID Context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announces {
    Not,
    AsItIs,
    /// As a CBOR byte string: what Appendix B.2 does with its random ones.
    Wrapped,
}

/// What RFC 8613 §3.2.1 derives.
///
/// Wiped when they go. Nothing shows them: there is no `Debug`.
#[derive(Clone)]
pub struct Keys {
    /// Protects what this side sends.
    pub sender_key: [u8; KEY_BYTES],
    /// Protects what the other side sends.
    pub recipient_key: [u8; KEY_BYTES],
    /// What nonces are made of, the same on both sides.
    pub common_iv: [u8; NONCE_BYTES],
}

impl Drop for Keys {
    #[inline(never)]
    fn drop(&mut self) {
        self.sender_key.zeroize();
        self.recipient_key.zeroize();
        self.common_iv.zeroize();
    }
}

/// Both ids are the same, and so both keys would be: every nonce would be used twice. Misuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SameIds;

impl fmt::Display for SameIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sender id and recipient id are the same")
    }
}

impl core::error::Error for SameIds {}

impl Context {
    /// Derives the keys from what the endpoints share (RFC 8613 §3.2.1), with HKDF-SHA-256 for AES-CCM-16-64-128.
    ///
    /// The other side derives with the ids exchanged. The four of master secret, master salt, ID Context and Sender ID must
    /// be unique (§3.3), or nonces are not: a secret for each device sees to it.
    ///
    /// # Errors
    /// [`SameIds`].
    pub fn derive(
        master_secret: &[u8],
        master_salt: &[u8],
        id_context: Option<IdContext>,
        sender_id: Id,
        recipient_id: Id,
    ) -> Result<Context, SameIds> {
        let inputs = Inputs {
            master_secret,
            master_salt,
            sender_id,
            recipient_id,
        };
        Context::derive_with(&mut kdf::sha2, &inputs, id_context)
    }

    /// The same with another's SHA-256, which hashes the concatenation of what it is given: a device has one in its ROM, and need
    /// not bring a second.
    ///
    /// # Errors
    /// [`SameIds`].
    pub fn derive_with(
        sha256: kdf::Sha256<'_>,
        inputs: &Inputs<'_>,
        id_context: Option<IdContext>,
    ) -> Result<Context, SameIds> {
        Context::derive_announcing(sha256, inputs, id_context, Announces::Not)
    }

    /// The same of a context whose requests name it so.
    #[inline(never)]
    pub(crate) fn derive_announcing(
        sha256: kdf::Sha256<'_>,
        inputs: &Inputs<'_>,
        id_context: Option<IdContext>,
        announces: Announces,
    ) -> Result<Context, SameIds> {
        let (sender_id, recipient_id) = (inputs.sender_id, inputs.recipient_id);
        let keys = Keys {
            sender_key: [0; KEY_BYTES],
            recipient_key: [0; KEY_BYTES],
            common_iv: [0; NONCE_BYTES],
        };
        let mut context = Context::from_keys(keys, id_context, sender_id, recipient_id)?;
        context.announces = announces;
        let mut secret = kdf::extract(sha256, inputs.master_salt, inputs.master_secret);
        let id_context = id_context.as_ref();
        let keys = &mut context.keys;
        for (id, kind, output) in [
            (sender_id.as_bytes(), "Key", &mut keys.sender_key[..]),
            (recipient_id.as_bytes(), "Key", &mut keys.recipient_key),
            (&[], "IV", &mut keys.common_iv),
        ] {
            expand(sha256, &secret, id, id_context, kind, output);
        }
        secret.zeroize();
        Ok(context)
    }

    /// The context of keys that were derived elsewhere.
    ///
    /// # Errors
    /// [`SameIds`].
    pub fn from_keys(
        keys: Keys,
        id_context: Option<IdContext>,
        sender_id: Id,
        recipient_id: Id,
    ) -> Result<Context, SameIds> {
        if sender_id == recipient_id {
            return Err(SameIds);
        }
        Ok(Context {
            keys,
            sender_id,
            recipient_id,
            id_context,
            announces: Announces::Not,
        })
    }

    /// The same, with the ID Context in every request (`kid context`, RFC 8613 §5.1): for servers that have several contexts
    /// with this client's id. It costs its bytes and one more in each.
    #[must_use]
    pub const fn announcing(mut self) -> Context {
        self.announces = Announces::AsItIs;
        self
    }

    /// The same without the ID Context in requests: for a client whose server knows it by now.
    #[must_use]
    pub const fn silent(mut self) -> Context {
        self.fall_silent();
        self
    }

    /// [`Context::silent`], where it is.
    pub const fn fall_silent(&mut self) {
        self.announces = Announces::Not;
    }

    /// The keys, for whoever stores them.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Who this side is: the kid of its requests.
    #[must_use]
    pub const fn sender_id(&self) -> &Id {
        &self.sender_id
    }

    /// Who the other side is: the kid of what it asks.
    #[must_use]
    pub const fn recipient_id(&self) -> &Id {
        &self.recipient_id
    }

    /// What tells this context from others with the same ids.
    #[must_use]
    pub const fn id_context(&self) -> Option<&IdContext> {
        self.id_context.as_ref()
    }

    /// The kid context of requests, if they have one.
    pub(crate) fn announced(&self) -> Option<KidContext<'_>> {
        let is_wrapped = match self.announces {
            Announces::Not => return None,
            Announces::AsItIs => false,
            Announces::Wrapped => true,
        };
        let bytes = self.id_context.as_ref()?.as_bytes();
        Some(KidContext { bytes, is_wrapped })
    }

    /// Whether a kid context is this context's, in either form.
    pub(crate) fn is_named(&self, kid_context: &[u8]) -> bool {
        let own = self.id_context.as_ref().map(IdContext::as_bytes);
        own.is_some_and(|own| own == kid_context || option::unwrapped(kid_context) == Some(own))
    }

    /// RFC 8613 §5.2: `generator` is the id of whoever counted `partial_iv`.
    ///
    /// ```text
    /// length of the id u8 │ id, zeros in front [7] │ Partial IV, zeros in front [5]    all XOR Common IV
    /// ```
    pub(crate) fn nonce(&self, generator: &Id, partial_iv: PartialIv) -> [u8; NONCE_BYTES] {
        let id = generator.as_bytes();
        let mut nonce = self.keys.common_iv;
        xor(&mut nonce, &[id.len() as u8]);
        xor(nonce.get_mut(ID_END - id.len()..).unwrap_or_default(), id);
        xor(nonce.get_mut(ID_END..).unwrap_or_default(), partial_iv.padded());
        nonce
    }
}

/// Where the id ends in a nonce, and the Partial IV begins.
const ID_END: usize = 1 + Id::BYTES_MAX;

/// Shows who, and never a key.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("sender_id", &self.sender_id)
            .field("recipient_id", &self.recipient_id)
            .field("id_context", &self.id_context)
            .finish_non_exhaustive()
    }
}

/// A key or an IV, as long as `output`: the beginning of HKDF-Expand with
///
/// ```text
/// info = [ id: bstr, id_context: bstr / nil, alg_aead: 10, type: tstr, L: uint ]
/// ```
#[inline(never)]
fn expand(
    sha256: kdf::Sha256<'_>,
    secret: &[u8; kdf::HASH_BYTES],
    id: &[u8],
    id_context: Option<&IdContext>,
    kind: &str,
    output: &mut [u8],
) {
    let mut room = [0; INFO_BYTES_MAX];
    let mut info = Writer::new(&mut room);
    info.array(5).bytes(id);
    match id_context {
        Some(id_context) => info.bytes(id_context.as_bytes()),
        None => info.null(),
    };
    info.uint(ALGORITHM.into()).text(kind).uint(output.len() as u64);
    let mut block = kdf::expand(sha256, secret, info.finish().unwrap_or_default());
    for (place, byte) in output.iter_mut().zip(&block) {
        *place = *byte;
    }
    block.zeroize();
}

/// Heads of one byte: all that is in it is shorter than 24 bytes.
const INFO_BYTES_MAX: usize = 1 + (1 + Id::BYTES_MAX) + (1 + IdContext::BYTES_MAX) + 1 + 4 + 1;
const _: () = assert!(Id::BYTES_MAX < 24 && IdContext::BYTES_MAX < 24 && KEY_BYTES < 24 && NONCE_BYTES < 24);
