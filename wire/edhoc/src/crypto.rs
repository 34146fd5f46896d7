//! What lakers computes with: the crates that OSCORE uses, too. Its interface has no way to refuse an operation, so what cannot be done is
//! noted, gives bytes that are of no use, and is asked for after each step.

use aes::Aes128;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U8, U13};
use hkdf::Hkdf;
use lakers::{
    AES_CCM_TAG_LEN, BufferCiphertext3, BufferPlaintext3, BytesCcmIvLen, BytesCcmKeyLen, BytesHashLen,
    BytesMaxBuffer, BytesMaxInfoBuffer, BytesP256ElemLen, EDHOCError, MAX_BUFFER_LEN,
};
use sha2::{Digest, Sha256};

use crate::error::Fault;
use crate::key::shared;

type Ccm = ccm::Ccm<Aes128, U8, U13>;

/// How a plaintext has to look before lakers may see it.
type Look = fn(&[u8]) -> Result<(), Fault>;

/// The back end of one step.
#[derive(Debug)]
pub(crate) struct Backend {
    /// The first thing that could not be done.
    fault: Option<Fault>,
    /// What a decrypted text has to look like.
    look: Look,
}

impl Backend {
    pub(crate) fn new() -> Backend {
        Backend::looking(crate::guard::plaintext_3)
    }

    pub(crate) fn looking(look: Look) -> Backend {
        Backend { fault: None, look }
    }

    fn note(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// What came of a step: the first fault of the back end goes before what lakers made of it.
    pub(crate) fn judge<T>(&self, result: Result<T, EDHOCError>) -> Result<T, Fault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => result.map_err(Fault::from),
        }
    }
}

impl lakers::CryptoTrait for Backend {
    fn sha256_digest(&mut self, message: &BytesMaxBuffer, message_len: usize) -> BytesHashLen {
        Sha256::digest(message.get(..message_len).unwrap_or_default()).into()
    }

    fn hkdf_expand(
        &mut self,
        prk: &BytesHashLen,
        info: &BytesMaxInfoBuffer,
        info_len: usize,
        length: usize,
    ) -> BytesMaxBuffer {
        let mut output = [0; MAX_BUFFER_LEN];
        let (info, room) = (info.get(..info_len).unwrap_or_default(), output.get_mut(..length));
        let expanded = room.zip(Hkdf::<Sha256>::from_prk(prk).ok());
        if expanded.is_none_or(|(room, hkdf)| hkdf.expand(info, room).is_err()) {
            self.note(Fault::Malformed);
        }
        output
    }

    fn hkdf_extract(&mut self, salt: &BytesHashLen, ikm: &BytesP256ElemLen) -> BytesHashLen {
        Hkdf::<Sha256>::extract(Some(salt), ikm).0.into()
    }

    fn aes_ccm_encrypt_tag_8(
        &mut self,
        key: &BytesCcmKeyLen,
        iv: &BytesCcmIvLen,
        ad: &[u8],
        plaintext: &BufferPlaintext3,
    ) -> BufferCiphertext3 {
        let mut ciphertext = *plaintext;
        let length = plaintext.len;
        let text = ciphertext.content.get_mut(..length).unwrap_or_default();
        let tag = Ccm::new(key.into()).encrypt_inout_detached(iv.into(), ad, text.into());
        if tag.is_ok_and(|tag| ciphertext.extend_from_slice(&tag).is_ok()) {
            return ciphertext;
        }
        self.note(Fault::Malformed);
        BufferCiphertext3::new()
    }

    fn aes_ccm_decrypt_tag_8(
        &mut self,
        key: &BytesCcmKeyLen,
        iv: &BytesCcmIvLen,
        ad: &[u8],
        ciphertext: &BufferCiphertext3,
    ) -> Result<BufferPlaintext3, EDHOCError> {
        let opened = self.open(key, iv, ad, ciphertext);
        opened.map_err(|fault| {
            self.note(fault);
            EDHOCError::ParsingError
        })
    }

    fn p256_ecdh(
        &mut self,
        private_key: &BytesP256ElemLen,
        public_key: &BytesP256ElemLen,
    ) -> BytesP256ElemLen {
        match shared(private_key, public_key) {
            Ok(secret) => *secret,
            Err(fault) => {
                self.note(fault);
                [0; 32]
            }
        }
    }

    /// Never asked: connection identifiers are chosen by the caller.
    fn get_random_byte(&mut self) -> u8 {
        self.note(Fault::Malformed);
        0
    }

    /// Never asked: ephemeral keys come in from outside.
    fn p256_generate_key_pair(&mut self) -> (BytesP256ElemLen, BytesP256ElemLen) {
        self.note(Fault::Point);
        ([0; 32], [0; 32])
    }
}

impl Backend {
    fn open(
        &self,
        key: &BytesCcmKeyLen,
        iv: &BytesCcmIvLen,
        ad: &[u8],
        ciphertext: &BufferCiphertext3,
    ) -> Result<BufferPlaintext3, Fault> {
        let all = ciphertext.content.get(..ciphertext.len).unwrap_or_default();
        let (text, tag) = all
            .split_last_chunk::<AES_CCM_TAG_LEN>()
            .ok_or(Fault::Malformed)?;
        let mut plaintext = BufferPlaintext3::new_from_slice(text).map_err(|_| Fault::Malformed)?;
        let opened = plaintext.content.get_mut(..text.len()).unwrap_or_default();
        Ccm::new(key.into())
            .decrypt_inout_detached(iv.into(), ad, opened.into(), tag.into())
            .map_err(|_| Fault::Forged)?;
        (self.look)(plaintext.as_slice())?;
        Ok(plaintext)
    }
}
