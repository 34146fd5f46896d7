//! The decoder's way to a checkpoint and back.

use super::{Decoder, Phase};
use crate::checkpoint::{CheckpointError, CheckpointStorage, Fields};
use crate::control;
use crate::error::DecodeError;
use crate::io::ReadAt;

impl Decoder<'_> {
    /// Writes a checkpoint of [`CHECKPOINT_STATE_BYTES`](crate::CHECKPOINT_STATE_BYTES) more bytes than
    /// [`MemoryClass::bytes`](crate::MemoryClass::bytes), between any two steps. The decoder stays as it is.
    ///
    /// Before: the first [`Self::appended`] bytes of the result must be durable, since after [`Self::resume`] they are not
    /// made again. The others are, from there on and with the same bytes. If the flash wants every page written once
    /// (parts with ECC), take checkpoints when [`Self::appended`] is a multiple of the erase unit, and erase from there.
    ///
    /// Takes about 13 instructions of a Cortex-M3 for each byte of the checkpoint, besides what the storage takes: half a
    /// million in the 32 KiB class.
    pub fn checkpoint(
        &mut self,
        patch: &mut impl ReadAt,
        storage: &mut impl CheckpointStorage,
    ) -> Result<(), CheckpointError> {
        if self.phase == Phase::Failed {
            return Err(CheckpointError::Misused);
        }
        let mut fields = Fields::to_save();
        self.saved(&mut fields);
        let position = self.written.appended();
        fields.write(patch, position, self.models.memory(), storage)
    }

    /// Makes a new decoder one that goes on from a checkpoint of this patch: `stored` begins with it and may be longer.
    ///
    /// Patch, base and the [`Self::appended`] first bytes of the result must be what they were. Another patch or base is
    /// found by a later step ([`DecodeError::ResultMismatch`] at the latest). Of the result, the decoder keeps the checksum and
    /// does not read it again: bytes that were lost are found by the digest of the whole, which the caller compares in any
    /// case. Then only decoding from the beginning helps. So it does after an error here: this decoder is
    /// [`DecodeError::Poisoned`], its memory is good for another.
    pub fn resume(
        &mut self,
        patch: &mut impl ReadAt,
        stored: &mut impl ReadAt,
    ) -> Result<(), CheckpointError> {
        let restored = self.restore(patch, stored);
        if restored.is_err() {
            self.phase = Phase::Failed;
        }
        restored
    }

    fn restore(&mut self, patch: &mut impl ReadAt, stored: &mut impl ReadAt) -> Result<(), CheckpointError> {
        if self.phase != Phase::Start {
            return Err(CheckpointError::Misused);
        }
        // The setup is read from the patch again.
        self.begin(patch).map_err(CheckpointError::Patch)?;
        let mut fields = Fields::to_restore();
        fields.read(patch, stored, self.models.memory())?;
        let position = fields.position();
        fields.require(position <= self.header.target_bytes);
        self.written.set_appended(position.min(self.header.target_bytes));
        self.saved(&mut fields);
        if fields.are_possible() && self.is_possible() {
            Ok(())
        } else {
            Err(CheckpointError::Damaged)
        }
    }

    fn saved(&mut self, fields: &mut Fields) {
        let Self {
            header: _, // in the patch
            models,
            bits,
            control_bits,
            control,
            window: _, // read again
            written,
            phase,
            triple,
            training_bytes,
        } = self;
        phase.saved(fields);
        bits.saved(fields);
        control_bits.saved(fields);
        control.saved(fields);
        triple.saved(fields);
        fields.u32(training_bytes);
        written.saved(fields);
        models.saved(fields);
    }

    /// Whether the next step may rely on what steps rely on.
    fn is_possible(&self) -> bool {
        let target_bytes = self.header.target_bytes;
        let produced = self.written.len();
        let Some(left) = target_bytes.checked_sub(produced) else {
            return false;
        };
        let triple = || control::check(self.triple, &self.header, produced);
        match self.phase {
            Phase::Start | Phase::Failed => produced == 0,
            Phase::Map(mapped) => produced == 0 && mapped < target_bytes,
            Phase::Control => left > 0,
            Phase::Copy(_) => matches!(triple(), Ok(()) | Err(DecodeError::EmptyTriple)),
            Phase::Train(_) | Phase::Extra => self.triple.copy_bytes == 0 && triple() == Ok(()),
            Phase::Finish | Phase::Done => left == 0,
        }
    }
}

impl Phase {
    fn saved(&mut self, fields: &mut Fields) {
        let (mut tag, mut number) = match *self {
            Self::Start => (0, 0),
            Self::Map(mapped) => (1, mapped),
            Self::Control => (2, 0),
            Self::Copy(block) => (3, block),
            Self::Train(left) => (4, left),
            Self::Extra => (5, 0),
            Self::Finish => (6, 0),
            Self::Done => (7, 0),
            Self::Failed => (8, 0),
        };
        fields.u8(&mut tag);
        fields.u32(&mut number);
        *self = match tag {
            0 => Self::Start,
            1 => Self::Map(number),
            2 => Self::Control,
            3 => Self::Copy(number),
            4 => Self::Train(number),
            5 => Self::Extra,
            6 => Self::Finish,
            7 => Self::Done,
            _ => {
                fields.require(false);
                Self::Failed
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::{Header, MemoryClass};

    /// If this fails, fields were added: then the version and the table in `checkpoint.rs` change, too.
    #[test]
    fn fields_of_version_1_take_220_bytes() {
        let header = Header {
            memory: MemoryClass::MIN,
            target_bytes: 1,
            base_bytes: 1,
            base_digest_prefix: [0; 8],
            target_crc: 0,
            in_place: None,
        };
        let mut memory = [0; 4096];
        let mut decoder = Decoder::new(header, &mut memory).expect("memory of its class");
        let mut fields = Fields::to_save();
        decoder.saved(&mut fields);
        assert!(fields.are_possible());
        assert_eq!(fields.bytes_so_far(), 220);
    }
}
