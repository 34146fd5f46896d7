//! The result takes the place of the base, with a checkpoint at every interval.

use deltagate_flash::{FlashError, Region};
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};
use wire_patch::{CHECKPOINT_STATE_BYTES, CheckpointError, DecodeError, Decoder, Header, Progress, ReadAt};

use crate::io::{Front, Place, Stored};
use crate::journal::{Checkpoint, Entry, Geometry, Request};
use crate::outcome::{Fault, Lost};
use crate::updater::{Task, Updater};

/// Units of decoding in one step, about an output byte each: some tens of milliseconds on a slow core.
const DECODE_BUDGET: u32 = 512;

/// Where reads and writes of the decoder failed, whatever the flash said: the caller opens a new updater in any case.
const IO_FAILED: Fault = Fault::Flash(FlashError::Device(NorFlashErrorKind::Other));

impl<'a, F: NorFlash> Updater<'a, F> {
    /// Makes a decoder of the journal's state, or decodes some bytes, or writes the checkpoint that is due.
    pub(crate) fn write_result(
        &mut self,
        request: Request,
        geometry: Geometry,
        checkpoint: Option<Checkpoint>,
        task: Task<'a>,
    ) -> Result<(), Fault> {
        let Some(header) = self.header(request)? else {
            return self.lose(Lost::Staging);
        };
        let mut decoder = match task {
            Task::Decoding(decoder) => decoder,
            _ => match self.decoder(&header, request, checkpoint)? {
                Some(decoder) => decoder,
                None => return self.lose(Lost::Checkpoint),
            },
        };
        let due = checkpoint
            .map_or(0, |checkpoint| checkpoint.position)
            .saturating_add(geometry.interval.saturating_mul(self.layout.sector_bytes));
        if decoder.appended() == due && due < header.target_bytes {
            let next = self.checkpoint(&mut decoder, &header, request, checkpoint)?;
            self.record(Entry::Checkpoint(next))?;
            self.task = Task::Decoding(decoder);
            return Ok(());
        }
        match self.decode(&mut decoder, &header, request, geometry, due) {
            Ok(Progress::More) => {
                self.task = Task::Decoding(decoder);
                return Ok(());
            }
            Ok(Progress::Done) => self.record(Entry::Written)?,
            Err(DecodeError::BaseUnreadable | DecodeError::PatchUnreadable | DecodeError::OutputFailed) => {
                return Err(IO_FAILED);
            }
            Err(_) => self.lose(Lost::Patch)?,
        }
        self.memory = Some(decoder.into_memory());
        Ok(())
    }

    /// A decoder as it was at the checkpoint, or at the beginning. `None`: there is no such decoder any more.
    fn decoder(
        &mut self,
        header: &Header,
        request: Request,
        checkpoint: Option<Checkpoint>,
    ) -> Result<Option<Decoder<'a>>, Fault> {
        let memory = self.memory.take().ok_or(Fault::Misuse)?;
        // Before anything was erased it was enough.
        let mut decoder = Decoder::new(*header, memory).map_err(|_| Fault::Misuse)?;
        let Some(checkpoint) = checkpoint else {
            return Ok(Some(decoder));
        };
        let mut stored = Stored {
            region: self.checkpoint_place(checkpoint.place)?,
            at: 0,
            bytes: header.memory.bytes() + CHECKPOINT_STATE_BYTES as u32,
        };
        let resumed = decoder.resume(&mut self.patch(request)?, &mut stored);
        let here = decoder.appended() == checkpoint.position;
        match resumed {
            Ok(()) if here => Ok(Some(decoder)),
            Err(CheckpointError::StorageFailed | CheckpointError::Patch(DecodeError::PatchUnreadable)) => {
                Err(IO_FAILED)
            }
            _ => {
                self.memory = Some(decoder.into_memory());
                Ok(None)
            }
        }
    }

    /// Writes a checkpoint where the last one is not.
    fn checkpoint(
        &self,
        decoder: &mut Decoder<'a>,
        header: &Header,
        request: Request,
        last: Option<Checkpoint>,
    ) -> Result<Checkpoint, Fault> {
        let place = last.map_or(0, |last| 1 - last.place);
        let mut storage = Place {
            region: self.checkpoint_place(place)?,
            written: 0,
        };
        let written = decoder.checkpoint(&mut self.patch(request)?, &mut storage);
        written.map_err(|_| IO_FAILED)?;
        debug_assert_eq!(
            storage.written,
            header.memory.bytes() + CHECKPOINT_STATE_BYTES as u32
        );
        Ok(Checkpoint {
            position: decoder.appended(),
            place,
        })
    }

    /// Decodes up to where the next checkpoint is due. A unit makes at most four bytes.
    fn decode(
        &self,
        decoder: &mut Decoder<'a>,
        header: &Header,
        request: Request,
        geometry: Geometry,
        due: u32,
    ) -> Result<Progress, DecodeError> {
        let image = self.slot().image().map_err(|_| DecodeError::BaseUnreadable)?;
        let mut base = Stored {
            region: image,
            at: geometry.gap.saturating_mul(self.layout.sector_bytes),
            bytes: header.base_bytes,
        };
        let mut patch = self.patch(request).map_err(|_| DecodeError::PatchUnreadable)?;
        let mut out = Front {
            image,
            written: decoder.appended(),
        };
        for _ in 0..DECODE_BUDGET {
            let progress = decoder.step(&mut base, &mut patch, &mut out, 1)?;
            if progress == Progress::Done || decoder.appended() == due {
                return Ok(progress);
            }
        }
        Ok(Progress::More)
    }

    fn patch(&self, request: Request) -> Result<impl ReadAt + use<'a, F>, Fault> {
        Ok(Stored {
            region: self.patch_region()?,
            at: 0,
            bytes: request.patch_bytes,
        })
    }

    fn checkpoint_place(&self, place: u8) -> Result<Region<'a, F>, Fault> {
        let bytes = self.layout.checkpoints.bytes / 2;
        let both = Region::new(self.flash, self.layout.checkpoints);
        Ok(both.sub(u32::from(place) * bytes, bytes)?)
    }
}
