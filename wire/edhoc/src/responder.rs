//! The gateway's side: three steps, between which nothing is held but what [`HalfOpen`] has.

use core::fmt;

use lakers::{
    Completed, ConnId, CredentialTransfer, EdhocMessageBuffer, ProcessingM3, ResponderStart, WaitM3,
    r_complete_without_message_4, r_parse_message_3, r_prepare_message_2, r_prepare_message_4,
    r_process_message_1, r_verify_message_3,
};
use wire_oscore::Id;
use zeroize::Zeroizing;

use crate::credential::Credential;
use crate::crypto::Backend;
use crate::error::Fault;
use crate::established::{Established, SALT_BYTES, SALT_LABEL, SECRET_BYTES, SECRET_LABEL};
use crate::guard;
use crate::initiator::METHOD;
use crate::key::{KEY_BYTES, PrivateKey};
use crate::message::Sent;

/// A message_1 that was read. Nothing was computed yet, and nobody proved anything.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'m> {
    bytes: &'m [u8],
    c_i: Id,
}

impl<'m> Hello<'m> {
    /// Reads message_1.
    ///
    /// # Errors
    /// What is wrong with it: see [`Fault`]; [`Fault::message`] is the answer.
    pub fn read(bytes: &'m [u8]) -> Result<Hello<'m>, Fault> {
        let c_i = guard::message_1(bytes)?;
        Ok(Hello { bytes, c_i })
    }

    /// What the initiator chose to be this side's Sender ID.
    #[must_use]
    pub const fn c_i(&self) -> Id {
        self.c_i
    }

    /// Makes message_2, under a key that is used for nothing else. `c_r` becomes the initiator's Sender ID. Two multiplications on the
    /// curve, besides the one that made the ephemeral key.
    ///
    /// # Errors
    /// [`Fault::SameIds`] when both sides would have the same id.
    pub fn answer(
        &self,
        key: &PrivateKey,
        credential: &Credential,
        ephemeral: &PrivateKey,
        c_r: Id,
    ) -> Result<(HalfOpen, Sent), Fault> {
        if c_r == self.c_i {
            return Err(Fault::SameIds);
        }
        let mut backend = Backend::new();
        let start = ResponderStart {
            method: METHOD,
            y: *ephemeral.expose(),
            g_y: *ephemeral.public().as_bytes(),
        };
        let read = r_process_message_1(&start, &mut backend, &buffer(self.bytes)?);
        let (state, _, _) = backend.judge(read)?;
        let named = ConnId::from_slice(c_r.as_bytes()).ok_or(Fault::Malformed)?;
        let made = r_prepare_message_2(
            &state,
            &mut backend,
            credential.for_lakers()?,
            key.expose(),
            named,
            CredentialTransfer::ByReference,
            &None,
        );
        let (waits, message_2) = backend.judge(made)?;
        let half_open = HalfOpen {
            y: Zeroizing::new(waits.y),
            prk_3e2m: Zeroizing::new(waits.prk_3e2m),
            th_3: waits.th_3,
            c_i: self.c_i,
            c_r,
        };
        Ok((half_open, Sent::copy(message_2.as_slice())?))
    }
}

/// lakers' own buffer of bytes whose length was looked at.
fn buffer(bytes: &[u8]) -> Result<EdhocMessageBuffer, Fault> {
    EdhocMessageBuffer::new_from_slice(bytes).map_err(|_| Fault::Malformed)
}

/// A handshake that awaits message_3: 112 bytes.
#[derive(Clone)]
pub struct HalfOpen {
    y: Zeroizing<[u8; KEY_BYTES]>,
    prk_3e2m: Zeroizing<[u8; KEY_BYTES]>,
    th_3: [u8; KEY_BYTES],
    c_i: Id,
    c_r: Id,
}

/// Nothing of it is worth printing.
impl fmt::Debug for HalfOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HalfOpen({:?})", self.c_r)
    }
}

impl HalfOpen {
    /// Decrypts message_3. It costs no multiplication, and only whoever sent message_1 can have made one that opens.
    ///
    /// # Errors
    /// [`Fault::Forged`] for one that is of somebody else: the handshake stands as it was. After any other it has ended.
    pub fn open(&self, message_3: &[u8]) -> Result<Claim, Fault> {
        guard::message_3(message_3).map_err(|_| Fault::Forged)?;
        let mut backend = Backend::looking(guard::plaintext_3);
        let mut state = WaitM3 {
            y: *self.y,
            prk_3e2m: *self.prk_3e2m,
            th_3: self.th_3,
        };
        let read = r_parse_message_3(&mut state, &mut backend, &buffer(message_3)?);
        let (state, _, _) = backend.judge(read)?;
        Ok(Claim {
            state,
            c_i: self.c_i,
            c_r: self.c_r,
        })
    }
}

/// A message_3 that opened: somebody says who they are, and has not proved it.
#[derive(Debug)]
pub struct Claim {
    state: ProcessingM3,
    c_i: Id,
    c_r: Id,
}

impl Claim {
    /// Whom they say they are: the kid of a credential.
    #[must_use]
    pub fn kid(&self) -> &[u8] {
        // `{4: kid}`: a map, its key, the head of a byte string.
        self.state.id_cred_i.as_full_value().get(3..).unwrap_or_default()
    }

    /// Checks the proof. One multiplication.
    ///
    /// # Errors
    /// [`Fault::Impostor`] when whoever sent it does not hold the credential's private key.
    pub fn verify(mut self, credential: &Credential) -> Result<Accepted, Fault> {
        let mut backend = Backend::new();
        if credential.kid() != self.kid() {
            return Err(Fault::Impostor);
        }
        let verified = r_verify_message_3(&mut self.state, &mut backend, credential.for_lakers()?);
        let (state, _) = backend.judge(verified)?;
        let made = r_prepare_message_4(&state, &mut backend, &None);
        let (_, message_4) = backend.judge(made)?;
        let done: Completed = backend.judge(r_complete_without_message_4(&state))?;
        Ok(Accepted {
            established: export(&done, self.c_r, self.c_i)?,
            message_4: Sent::copy(message_4.as_slice())?,
        })
    }
}

/// A handshake that is complete on this side.
#[derive(Debug)]
pub struct Accepted {
    /// What came of it.
    pub established: Established,
    /// What proves to the initiator that this side has it, too; where nothing else does, such as the answer to a combined request.
    pub message_4: Sent,
}

fn export(done: &Completed, initiator: Id, responder: Id) -> Result<Established, Fault> {
    let mut backend = Backend::new();
    let none = [0; lakers::MAX_KDF_CONTEXT_LEN];
    let mut export = |label, length| lakers::edhoc_exporter(done, &mut backend, label, &none, 0, length);
    let secret = Zeroizing::new(export(SECRET_LABEL, SECRET_BYTES));
    let salt = export(SALT_LABEL, SALT_BYTES);
    backend.judge(Ok(()))?;
    Established::new(
        secret.first_chunk().ok_or(Fault::Malformed)?,
        salt.first_chunk().ok_or(Fault::Malformed)?,
        initiator,
        responder,
    )
}
