//! The updater: takes the steps that the journal says come next.

use core::cell::RefCell;

use deltagate_flash::{
    BootLog, BootLogState, BootRecord, ENVELOPE_BYTES_MAX, FlashError, Hashing, Provision, ProvisionFault,
    Region, Slot, SlotHeaderFault, SlotRegion, Trial,
};
use embedded_storage::nor_flash::NorFlash;
use wire_patch::{Decoder, HEADER_BYTES_MAX, Header};

use crate::io::copy_sector;
use crate::journal::{Entry, Geometry, Journal, JournalState, Request};
use crate::judge::{Image, Room, authenticate, is_newer, may_follow, plan};
use crate::layout::SingleSlot;
use crate::outcome::{Fault, Lost, Outcome};

/// Bytes hashed in one step.
const HASH_STEP_BYTES: u32 = 4_096;

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing: the bootloader may decide what starts. What became of the last update.
    Idle(Option<Outcome>),
    /// [`Updater::step`].
    Working,
    /// The slot holds no image: [`Updater::offer`] an envelope and [`Updater::write`] its image.
    NeedsImage(Lost),
}

/// What a step works on, beside what the journal says.
#[expect(clippy::large_enum_variant, reason = "there is one, and no heap")]
pub(crate) enum Task<'m> {
    /// Nothing is known but the journal.
    Fresh,
    /// The patch is hashed.
    HashingPatch(Hashing),
    /// The base is hashed.
    HashingBase(Hashing, Header, Geometry),
    /// The result is being made.
    Decoding(Decoder<'m>),
    /// The slot's image is hashed.
    HashingImage(Hashing, Image),
    /// An image is taken from outside; so many bytes of it are there.
    Taking(Image, u32),
    /// After a fault.
    Stopped,
}

/// Updates the device. Lives in RAM; all that matters is in the journal.
///
/// Contract: [`Self::step`] while the status is [`Status::Working`]; after a fault, and after a reset, a new one from
/// [`Self::open`] goes on.
pub struct Updater<'a, F> {
    pub(crate) flash: &'a RefCell<F>,
    pub(crate) layout: SingleSlot,
    pub(crate) provision: Provision,
    pub(crate) journal: Journal<'a, F>,
    /// The decoder's, when it has it not.
    pub(crate) memory: Option<&'a mut [u8]>,
    memory_bytes: u32,
    pub(crate) task: Task<'a>,
}

impl<'a, F: NorFlash> Updater<'a, F> {
    /// Reads the journal, and makes it of one mind. `memory` is for the decoder: the larger, the more patches can be applied.
    ///
    /// # Errors
    /// [`Fault::NotProvisioned`], [`Fault::Misuse`] if the layout is not sound, or the flash's.
    pub fn open(flash: &'a RefCell<F>, layout: SingleSlot, memory: &'a mut [u8]) -> Result<Self, Fault> {
        if !layout.is_sound() || layout.sector_bytes != Region::<F>::SECTOR_BYTES {
            return Err(Fault::Misuse);
        }
        let provision =
            Provision::read(Region::new(flash, layout.provision)).map_err(|fault| match fault {
                ProvisionFault::Flash(error) => Fault::Flash(error),
                _ => Fault::NotProvisioned,
            })?;
        let mut journal = Journal::open(Region::new(flash, layout.journal))?;
        journal.settle()?;
        Ok(Self {
            flash,
            layout,
            provision,
            journal,
            memory_bytes: u32::try_from(memory.len()).unwrap_or(u32::MAX),
            memory: Some(memory),
            task: Task::Fresh,
        })
    }

    /// What there is to do.
    #[must_use]
    pub fn status(&self) -> Status {
        match self.journal.state() {
            JournalState::Idle(outcome) => Status::Idle(outcome),
            JournalState::Fetching(lost, ..) => Status::NeedsImage(lost),
            _ => Status::Working,
        }
    }

    /// What the journal says.
    #[must_use]
    pub fn journal(&self) -> JournalState {
        self.journal.state()
    }

    /// Notes that the slot holds an image again, which came another way than through [`Self::offer`], and which may start: whoever
    /// starts it has verified it. Nothing changes unless an image was needed.
    ///
    /// # Errors
    /// The flash's.
    pub fn restored(&mut self) -> Result<(), Fault> {
        match self.journal.state() {
            JournalState::Fetching(..) => self.end(Outcome::Restored),
            _ => Ok(()),
        }
    }

    /// Gives up what is in the slot: from now on an image is taken from outside. For a bootloader that finds nothing to start,
    /// and for one whose flash failed again and again.
    ///
    /// # Errors
    /// The flash's.
    pub fn give_up(&mut self) -> Result<(), Fault> {
        self.lose(Lost::GivenUp)
    }

    /// Takes one bounded step: at most a sector erased and written, a checkpoint, or some thousand bytes hashed or decoded.
    ///
    /// # Errors
    /// The flash's: a new updater goes on where this one failed. [`Fault::Misuse`] after that.
    pub fn step(&mut self) -> Result<Status, Fault> {
        let task = core::mem::replace(&mut self.task, Task::Stopped);
        if let Task::Stopped = task {
            return Err(Fault::Misuse);
        }
        match (self.journal.state(), task) {
            (JournalState::Idle(_), _) => self.task = Task::Fresh,
            (JournalState::Fetching(..), task) => self.task = task,
            (JournalState::Requested(request), task) => self.check(request, task)?,
            (JournalState::Moving(_, geometry, sectors), _) => self.move_up(geometry, sectors)?,
            (JournalState::Writing(request, geometry, checkpoint), task) => {
                self.write_result(request, geometry, checkpoint, task)?;
            }
            (JournalState::Written, task) => self.verify(task)?,
        }
        Ok(self.status())
    }

    /// Everything that can be checked, before anything is erased.
    fn check(&mut self, request: Request, task: Task<'a>) -> Result<(), Fault> {
        match task {
            Task::HashingPatch(mut hashing) => {
                let Some(digest) = hashing.step(self.patch_region()?, HASH_STEP_BYTES)? else {
                    self.task = Task::HashingPatch(hashing);
                    return Ok(());
                };
                if digest != request.patch_digest {
                    return self.end(Outcome::OtherPatch);
                }
                match self.judge(request)? {
                    Ok((header, geometry)) => {
                        let hashing = Hashing::new(0, header.base_bytes);
                        self.task = Task::HashingBase(hashing, header, geometry);
                        Ok(())
                    }
                    Err(outcome) => self.end(outcome),
                }
            }
            Task::HashingBase(mut hashing, header, geometry) => {
                let Some(digest) = hashing.step(self.slot().image()?, HASH_STEP_BYTES)? else {
                    self.task = Task::HashingBase(hashing, header, geometry);
                    return Ok(());
                };
                if !digest.starts_with(&header.base_digest_prefix) {
                    return self.end(Outcome::OtherBase);
                }
                self.record(Entry::Began(geometry))
            }
            _ if request.patch_bytes > self.patch_region()?.bytes() => self.end(Outcome::OtherPatch),
            _ => {
                self.task = Task::HashingPatch(Hashing::new(0, request.patch_bytes));
                Ok(())
            }
        }
    }

    /// Envelope and patch against the device.
    fn judge(&mut self, request: Request) -> Result<Result<(Header, Geometry), Outcome>, Fault> {
        let boot = self.boot_log()?.state();
        let image = match self.staged_image()? {
            Ok(image) => image,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let running = self.image_of(self.slot())?.ok().map(|image| image.sequence);
        if !is_newer(&image, running, &boot) {
            return Ok(Err(Outcome::Sequence));
        }
        if !may_follow(&image, running, &boot) {
            return Ok(Err(Outcome::Predecessor));
        }
        let Some(header) = self.header(request)? else {
            return Ok(Err(Outcome::UnusablePatch));
        };
        let room = Room {
            sector_bytes: self.layout.sector_bytes,
            image_sectors: self.layout.image_sectors(),
            memory_bytes: self.memory_bytes,
            checkpoint_bytes: self.layout.checkpoints.bytes / 2,
        };
        Ok(plan(&header, &image, &room).map(|geometry| (header, geometry)))
    }

    /// The staged patch's header, if it has one.
    pub(crate) fn header(&self, request: Request) -> Result<Option<Header>, Fault> {
        let mut bytes = [0; HEADER_BYTES_MAX];
        let length = (request.patch_bytes as usize).min(HEADER_BYTES_MAX);
        let bytes = bytes.get_mut(..length).ok_or(Fault::Misuse)?;
        self.patch_region()?.read(0, bytes)?;
        Ok(Header::parse(bytes).ok())
    }

    /// Moves the base's highest sector that has not been moved. Whatever it is moved over has been moved before.
    fn move_up(&mut self, geometry: Geometry, sectors: u32) -> Result<(), Fault> {
        self.task = Task::Fresh;
        let Some(sector) = sectors.checked_sub(1) else {
            return self.record(Entry::Moved(0));
        };
        let place = sector.checked_add(geometry.gap).ok_or(FlashError::OutOfBounds)?;
        copy_sector(self.slot().image()?, sector, place)?;
        self.record(Entry::Moved(sector))
    }

    /// Compares the slot's image with what was signed, and hands it to the bootloader.
    fn verify(&mut self, task: Task<'a>) -> Result<(), Fault> {
        let (mut hashing, image) = match task {
            Task::HashingImage(hashing, image) => (hashing, image),
            _ => match self.staged_image()? {
                Ok(image) if image.bytes <= self.slot().capacity_bytes() => {
                    (Hashing::new(0, image.bytes), image)
                }
                _ => return self.lose(Lost::Staging),
            },
        };
        match hashing.step(self.slot().image()?, HASH_STEP_BYTES)? {
            None => {
                self.task = Task::HashingImage(hashing, image);
                Ok(())
            }
            Some(digest) if digest == image.digest => self.finish(&image),
            Some(_) => self.lose(Lost::Digest),
        }
    }

    /// The envelope takes its place before the image, and the image its trial. All of it may be done again.
    fn finish(&mut self, image: &Image) -> Result<(), Fault> {
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        let envelope = self.staging().envelope(&mut buffer)?;
        self.slot().erase_header()?;
        self.slot().write_envelope(envelope)?;
        let trial = Trial {
            sequence: image.sequence,
            slot: Slot::A,
        };
        let mut boot_log = self.boot_log()?;
        boot_log.settle()?;
        let state = boot_log.state();
        if Some(image.sequence) > state.confirmed && state.trial != Some(trial) {
            boot_log.append(BootRecord::Trial {
                sequence: trial.sequence,
                slot: trial.slot,
            })?;
        }
        self.end(Outcome::Done)
    }

    fn end(&mut self, outcome: Outcome) -> Result<(), Fault> {
        self.record(Entry::Ended(outcome))
    }

    pub(crate) fn lose(&mut self, lost: Lost) -> Result<(), Fault> {
        self.record(Entry::Lost(lost))
    }

    /// Appends to the journal; what was worked on is done with.
    pub(crate) fn record(&mut self, entry: Entry) -> Result<(), Fault> {
        self.journal.append(entry)?;
        self.task = Task::Fresh;
        Ok(())
    }

    pub(crate) fn slot(&self) -> SlotRegion<'a, F> {
        SlotRegion::new(Region::new(self.flash, self.layout.slot))
    }

    /// Laid out like a slot: the envelope, then the patch.
    pub(crate) fn staging(&self) -> SlotRegion<'a, F> {
        SlotRegion::new(Region::new(self.flash, self.layout.staging))
    }

    pub(crate) fn patch_region(&self) -> Result<Region<'a, F>, Fault> {
        Ok(self.staging().image()?)
    }

    pub(crate) fn boot_log(&self) -> Result<BootLog<'a, F>, Fault> {
        Ok(BootLog::open(Region::new(self.flash, self.layout.boot_log))?)
    }

    pub(crate) fn boot_state(&self) -> Result<BootLogState, Fault> {
        Ok(self.boot_log()?.state())
    }

    /// What the staged envelope says, if a trusted key signed it for this device.
    pub(crate) fn staged_image(&self) -> Result<Result<Image, Outcome>, Fault> {
        self.image_of(self.staging())
    }

    fn image_of(&self, place: SlotRegion<'a, F>) -> Result<Result<Image, Outcome>, Fault> {
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        match place.envelope(&mut buffer) {
            Ok(envelope) => Ok(authenticate(envelope, &self.provision)),
            Err(SlotHeaderFault::Flash(error)) => Err(error.into()),
            Err(_) => Ok(Err(Outcome::NoEnvelope)),
        }
    }
}
