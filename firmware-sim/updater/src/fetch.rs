//! An image from outside, for a slot that holds none: over whatever link the shell has, a technician's cable included.

use deltagate_flash::Region;
use embedded_storage::nor_flash::NorFlash;

use crate::io::program;
use crate::journal::{Entry, JournalState};
use crate::judge::{Image, authenticate, may_restore};
use crate::outcome::{Fault, Outcome};
use crate::updater::{Task, Updater};

impl<'a, F: NorFlash> Updater<'a, F> {
    /// Offers an image. Returns the offset from which on its bytes are wanted: whole sectors that are there already, after a
    /// power cut, are not asked for again if it is the same image.
    ///
    /// Taken is what a trusted key signed for this device, if it is the confirmed image or a newer one and fits.
    ///
    /// # Errors
    /// The outer error is a fault: [`Fault::Misuse`] if no image is needed. The inner one says why the image is not taken.
    pub fn offer(&mut self, envelope: &[u8]) -> Result<Result<u32, Outcome>, Fault> {
        let JournalState::Fetching(_, accepted, sectors) = self.journal.state() else {
            return Err(Fault::Misuse);
        };
        let image = match authenticate(envelope, &self.provision) {
            Ok(image) => image,
            Err(outcome) => return Ok(Err(outcome)),
        };
        if !may_restore(&image, &self.boot_state()?) {
            return Ok(Err(Outcome::Sequence));
        }
        if image.bytes == 0 || image.bytes > self.slot().capacity_bytes() {
            return Ok(Err(Outcome::NoRoom));
        }
        let there = sectors.saturating_mul(Region::<F>::SECTOR_BYTES).min(image.bytes);
        let known = accepted == Some(image.digest) && self.staged_image()? == Ok(image);
        if !known {
            // What a cut leaves in the slot may read as whole once, and differently when it runs: nothing starts before all is there.
            self.slot().erase_header()?;
            self.staging().erase_header()?;
            self.staging().write_envelope(envelope)?;
            self.record(Entry::Accepted(image.digest))?;
        }
        let at = if known { there } else { 0 };
        self.task = Task::Taking(image, at);
        self.complete(image, at)?;
        Ok(Ok(at))
    }

    /// Where the next bytes of the image go; `None` if none are wanted before the next offer.
    #[must_use]
    pub fn wanted(&self) -> Option<u32> {
        match self.task {
            Task::Taking(_, at) => Some(at),
            _ => None,
        }
    }

    /// Takes the next bytes of the image offered, in order: multiples of the program unit but for the last ones. When all are
    /// there the status is [`crate::Status::Working`].
    ///
    /// # Errors
    /// [`Fault::Misuse`] for other bytes than those wanted, which changes nothing; or the flash's, after which the image is
    /// offered again to a new updater.
    pub fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Fault> {
        let Task::Taking(image, at) = self.task else {
            return Err(Fault::Misuse);
        };
        let sector = Region::<F>::SECTOR_BYTES;
        let end = u32::try_from(bytes.len())
            .ok()
            .and_then(|length| at.checked_add(length))
            .filter(|end| offset == at && *end <= image.bytes)
            .filter(|end| *end == image.bytes || end.is_multiple_of(Region::<F>::PROGRAM_BYTES))
            .ok_or(Fault::Misuse)?;
        self.task = Task::Stopped;
        let region = self.slot().image()?;
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            if at.is_multiple_of(sector) {
                region.erase(at, sector)?;
            }
            let room = (sector - at % sector).min(end - at) as usize;
            let (now, later) = rest.split_at_checked(room).ok_or(Fault::Misuse)?;
            program(region, at, now)?;
            at += now.len() as u32;
            rest = later;
            if at.is_multiple_of(sector) {
                self.record(Entry::Fetched(at / sector))?;
            }
        }
        self.task = Task::Taking(image, at);
        self.complete(image, at)
    }

    /// Ends the fetching when all is there.
    fn complete(&mut self, image: Image, at: u32) -> Result<(), Fault> {
        if at < image.bytes {
            return Ok(());
        }
        self.record(Entry::Written)
    }
}
