//! What an operator may ask, and how the core refuses.

use crate::anchors::{AnchorsRecord, AnchorsRefusal};
use crate::enrolment::{IdentityCommand, IdentityRefusal, ImportReport};
use crate::explain;
use crate::identity::{ClassId, ImageDigest, VendorId};
use crate::label::Label;
use crate::pause::PAUSE_MAX_AGE_S;
use crate::plan::LeftOut;
use crate::records::{GroupName, ImageRecord, Selector, Terms};
use crate::statements::StatementRecord;
use crate::units::Bytes;
use crate::words::count;
use core::fmt;
use wire_checkin::DeviceId;

/// An operator's command. Every one is safe to repeat: doing it twice is answered like once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Makes a verified image known. The shell has checked signature and digest, and keeps the raw bytes.
    ImportImage(ImageRecord),
    /// Keeps what a publisher states to be the latest of a class. The shell has checked its signature.
    ImportStatement(StatementRecord),
    /// Puts a set of trust anchors in force. The core checks who signed it.
    ImportAnchors(AnchorsRecord),
    /// Removes an image that nobody needs.
    RemoveImage(ImageDigest),
    /// Keeps an image, and what was made of it, whatever happens.
    PinImage(ImageDigest),
    /// Ends that.
    UnpinImage(ImageDigest),
    /// Lets a device be served. One that was never heard is recorded and waits for its first check-in.
    ClaimDevice(DeviceId),
    /// Gives a device of the inventory a label, or takes its label away. No two devices have the same.
    Label(DeviceId, Option<Label>),
    /// Removes a device with its offers, memberships, assignment and history.
    ForgetDevice(DeviceId),
    /// Makes an empty group.
    CreateGroup(GroupName),
    /// Removes a group and its assignment.
    RemoveGroup(GroupName),
    /// Adds a device, which claims it.
    AddToGroup(GroupName, DeviceId),
    /// Removes a device from a group.
    RemoveFromGroup(GroupName, DeviceId),
    /// Says what devices should run, and how urgent that is. Naming one device claims it.
    Assign(Selector, ImageDigest, Terms),
    /// Ends an assignment and withdraws the offers made because of it.
    Cancel(Selector),
    /// Serves no more blocks and tells no device of an update until [`Command::Resume`]. What a device has it keeps, and what it
    /// has whole it installs.
    Pause,
    /// Ends a pause.
    Resume,
    /// Lets a withheld image be offered to the device again, and failed builds for it be tried again.
    /// Without an image: every withheld image of the device.
    Retry(DeviceId, Option<ImageDigest>),
    /// About who holds which key.
    Identity(IdentityCommand),
}

/// A command was carried out, or there was nothing left to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Something changed.
    Done,
    /// It was so already.
    Unchanged,
    /// An image is known under a newer manifest: the same bytes are a newer release now.
    SignedAnew {
        /// Its sequence number before.
        before: u64,
        /// Its sequence number.
        now: u64,
    },
    /// A set of trust anchors is in force.
    Anchors {
        /// Its number.
        number: u16,
        /// Images that are offered to nobody any more.
        distrusted: Vec<ImageDigest>,
        /// Claimed devices that it is for and that have not got it.
        behind: usize,
    },
    /// Assigned, to whoever the selector covers now.
    Assigned {
        /// Claimed devices that the selector covers.
        devices: usize,
        /// Those of them that do not get it, however long they wait: by reason, the most frequent first.
        left_out: Vec<LeftOut>,
    },
    /// No block is served any more.
    Paused {
        /// Devices in the middle of a transfer, which go on after the pause.
        waiting: usize,
        /// Devices that have everything.
        applying: usize,
    },
    /// Blocks are served again.
    Resumed {
        /// Devices in the middle of a transfer.
        waiting: usize,
    },
    /// What came of an import of devices.
    Imported(ImportReport),
    /// Released for another try.
    Retrying {
        /// Images released on the device.
        images: usize,
        /// Builds released.
        builds: usize,
    },
}

/// A command was not carried out; nothing changed. `Display` is one clause; [`Refusal::hint`] is the command to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The device was never heard and never claimed.
    #[error("device {0} is not known")]
    UnknownDevice(DeviceId),
    /// No such image was imported.
    #[error("image {} is not known", .0.short_hex())]
    UnknownImage(ImageDigest),
    /// No such group.
    #[error("group {0} does not exist")]
    UnknownGroup(GroupName),
    /// Another device has this label.
    #[error("device {by} is called \"{label}\" already")]
    LabelTaken {
        /// The label.
        label: Label,
        /// The device that has it.
        by: DeviceId,
    },
    /// The image was never withheld from the device and no build for it failed.
    #[error("device {0} has nothing to retry")]
    NothingToRetry(DeviceId),
    /// Image and devices are of different classes.
    #[error("image {} is for class {image_class}, not for class {class}", .image.short_hex())]
    WrongClass {
        /// The image.
        image: ImageDigest,
        /// Its class.
        image_class: ClassId,
        /// What the selector is of.
        class: ClassId,
    },
    /// A device of the selection is of another class.
    #[error("image {} is for class {image_class}, but device {device} is of class {class}", .image.short_hex())]
    WrongClassOfDevice {
        /// The image.
        image: ImageDigest,
        /// Its class.
        image_class: ClassId,
        /// The device.
        device: DeviceId,
        /// Its class.
        class: ClassId,
    },
    /// Image and device are from different vendors.
    #[error("image {} is from vendor {image_vendor}, but device {device} is from vendor {vendor}", .image.short_hex())]
    WrongVendor {
        /// The image.
        image: ImageDigest,
        /// Its vendor.
        image_vendor: VendorId,
        /// The device.
        device: DeviceId,
        /// Its vendor.
        vendor: VendorId,
    },
    /// The device runs this image's successor or an equal one.
    #[error(
        "image {} has sequence number {image_sequence}, but device {device} runs sequence number {running}",
        .image.short_hex()
    )]
    NotNewer {
        /// The image.
        image: ImageDigest,
        /// Its sequence number.
        image_sequence: u64,
        /// The device.
        device: DeviceId,
        /// Sequence number it runs.
        running: u64,
        /// The lowest that the next release of the class can have.
        next: u64,
    },
    /// The same image was imported before under another class or vendor, or with a higher sequence number.
    #[error(
        "image {} is known for class {known_class} with sequence number {known}, not for class {class} with \
         {sequence_number}",
        .image.short_hex()
    )]
    ImageKnownOtherwise {
        /// The image.
        image: ImageDigest,
        /// Class on record.
        known_class: ClassId,
        /// Sequence number on record.
        known: u64,
        /// Class of this import.
        class: ClassId,
        /// Sequence number of this import.
        sequence_number: u64,
    },
    /// A statement is not newer than the one that is kept: an old one, played back, or another of the same number.
    #[error("statement {number} of class {class} is not newer than statement {known}, which is here")]
    StatementNotNewer {
        /// What it is about.
        class: ClassId,
        /// Number of the one on record.
        known: u32,
        /// Number of this one.
        number: u32,
    },
    /// A statement was issued in the future: devices would take no time for new until that has come.
    #[error("statement {number} of class {class} was issued {hours} hours ahead of this machine's clock")]
    StatementAhead {
        /// What it is about.
        class: ClassId,
        /// Its number.
        number: u32,
        /// By how much.
        hours: u64,
    },
    /// Another image of the class has this sequence number: which of the two is newer could not be said.
    #[error(
        "image {} has sequence number {sequence_number}, which image {} of class {class} has already",
        .image.short_hex(), .by.short_hex()
    )]
    SequenceNumberTaken {
        /// The image.
        image: ImageDigest,
        /// The class of both.
        class: ClassId,
        /// The number of both.
        sequence_number: u64,
        /// The image that has it.
        by: ImageDigest,
        /// The lowest that the next release of the class can have.
        next: u64,
    },
    /// The envelope is too long to be served.
    #[error("envelope of {length} bytes is longer than {max} bytes")]
    EnvelopeTooLong {
        /// Its length with the text severed.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// The device's slot is shorter than the image.
    #[error("image {} has {} bytes, and the slot of device {device} holds {}", .image.short_hex(), .bytes.0, .slot.0)]
    LongerThanSlot {
        /// The image.
        image: ImageDigest,
        /// How long it is.
        bytes: Bytes,
        /// The device.
        device: DeviceId,
        /// What its slot holds, as it said.
        slot: Bytes,
    },
    /// The image is to be kept.
    #[error("image {} is pinned", .0.short_hex())]
    ImagePinned(ImageDigest),
    /// Devices should run the image.
    #[error("image {} is assigned to {by}", .image.short_hex())]
    ImageAssigned {
        /// The image.
        image: ImageDigest,
        /// To whom.
        by: Selector,
    },
    /// Devices run the image: their next update is made against it.
    #[error(
        "{} image {}, and their next update is made against it",
        crate::keep::runners(*.device, *.others), .image.short_hex()
    )]
    ImageRuns {
        /// The image.
        image: ImageDigest,
        /// One that runs it.
        device: DeviceId,
        /// How many more do.
        others: usize,
    },
    /// A device has to run it before it may run what is assigned.
    #[error("device {device} goes by image {} to {}", .image.short_hex(), .goal.short_hex())]
    ImageOnTheWay {
        /// The image.
        image: ImageDigest,
        /// Who goes by it.
        device: DeviceId,
        /// What is assigned to that device.
        goal: ImageDigest,
    },
    /// A device may be in the middle of fetching it.
    #[error("device {device} was told to fetch image {}, or a patch against it", .image.short_hex())]
    ImageFetched {
        /// The image.
        image: ImageDigest,
        /// Who was told.
        device: DeviceId,
    },
    /// Payloads of the image are being built.
    #[error("payloads of image {} are being built", .0.short_hex())]
    ImageBuilding(ImageDigest),
    /// The image and what devices need would take more disk than they may.
    #[error(
        "image {} does not fit the disk budget: with it images and what devices need would take {} bytes, and may take {}",
        .image.short_hex(), .needs.0, .max.0
    )]
    DiskBudget {
        /// The image.
        image: ImageDigest,
        /// What there would be.
        needs: Bytes,
        /// The budget.
        max: Bytes,
    },
    /// About who holds which key.
    #[error(transparent)]
    Identity(#[from] IdentityRefusal),
    /// About sets of trust anchors.
    #[error(transparent)]
    Anchors(#[from] AnchorsRefusal),
    /// A limit of the configuration or of this version was reached.
    #[error("there are already {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

impl Refusal {
    /// The command that helps, as typed.
    pub fn hint(&self) -> String {
        match self {
            // Also names the nearest, should it have been mistyped.
            Refusal::UnknownDevice(id) => format!("deltagate device find {id}"),
            Refusal::UnknownImage(_) => "deltagate image list".into(),
            Refusal::UnknownGroup(name) => format!("deltagate group create {name}"),
            Refusal::LabelTaken { by, .. } => format!("deltagate device show {by}"),
            Refusal::NothingToRetry(id) => format!("deltagate device show {id}"),
            Refusal::WrongClass { .. } => "deltagate image list".into(),
            Refusal::WrongClassOfDevice { device, .. } | Refusal::WrongVendor { device, .. } => {
                format!("deltagate device show {device}")
            }
            Refusal::ImageKnownOtherwise { image, .. } => format!("deltagate image show {}", image.short_hex()),
            Refusal::NotNewer { next, .. } | Refusal::SequenceNumberTaken { next, .. } => explain::sign(*next),
            Refusal::StatementNotNewer { .. } => {
                "have a newer one signed: deltagate image latest --after FILE".into()
            }
            Refusal::StatementAhead { .. } => {
                "set the clock, here (timedatectl) or at the publisher, and have it signed again".into()
            }
            Refusal::EnvelopeTooLong { .. } => "deltagate image sign --help".into(),
            Refusal::LongerThanSlot { device, .. } => {
                format!("make the image smaller; what the device said: deltagate device show {device}")
            }
            Refusal::ImagePinned(image) => format!("deltagate image unpin {}", image.short_hex()),
            Refusal::ImageAssigned { by, .. } => format!("deltagate update cancel --{}", explain::option(by)),
            Refusal::ImageRuns { device, .. }
            | Refusal::ImageOnTheWay { device, .. }
            | Refusal::ImageFetched { device, .. } => {
                format!("deltagate device show {device}")
            }
            Refusal::ImageBuilding(image) => format!("wait; deltagate image show {}", image.short_hex()),
            Refusal::DiskBudget { .. } => {
                "remove an image that nobody needs (deltagate image remove IMAGE), or raise disk_bytes_max in gateway.toml".into()
            }
            Refusal::Identity(refusal) => refusal.hint(),
            Refusal::Anchors(refusal) => refusal.hint(),
            Refusal::TooMany { .. } => "deltagate device list --unclaimed".into(),
        }
    }
}

/// Shown by the CLI as what was done.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Done => f.write_str("done"),
            Reply::Unchanged => f.write_str("nothing to do"),
            Reply::SignedAnew { before, now } => {
                write!(f, "image imported again: sequence number {now}, {before} before")
            }
            Reply::Anchors {
                number,
                distrusted,
                behind,
            } => {
                write!(f, "set {number} of trust anchors is in force")?;
                if *behind > 0 {
                    let devices = count(*behind, "device", "devices");
                    write!(f, "; it goes to {devices} at the next check-in")?;
                }
                if !distrusted.is_empty() {
                    let images: Vec<String> = distrusted.iter().map(ImageDigest::short_hex).collect();
                    write!(f, "; offered to nobody any more: image {}", images.join(", "))?;
                }
                Ok(())
            }
            Reply::Assigned { devices, left_out } => {
                write!(f, "assigned to {}", count(*devices, "device", "devices"))?;
                let out: usize = left_out.iter().map(|row| row.devices).sum();
                match (out, devices) {
                    (0, _) => Ok(()),
                    (_, 1) => f.write_str(", which does not get it as things stand"),
                    _ => {
                        let of_them = count(out, "of them does", "of them do");
                        write!(f, "; {of_them} not get it as things stand")
                    }
                }
            }
            Reply::Paused { waiting, applying } => {
                f.write_str("stopped new blocks")?;
                if *waiting > 0 {
                    let transfers = count(*waiting, "transfer waits and goes", "transfers wait and go");
                    write!(f, "; {transfers} on after update resume")?;
                }
                if *applying > 0 {
                    let devices = count(*applying, "device is", "devices are");
                    write!(f, "; {devices} applying, safe, cannot be recalled")?;
                }
                Ok(())
            }
            Reply::Resumed { waiting } => {
                f.write_str("serving blocks again")?;
                if *waiting > 0 {
                    let transfers = count(*waiting, "transfer goes", "transfers go");
                    write!(f, "; {transfers} on within {PAUSE_MAX_AGE_S} s")?;
                }
                Ok(())
            }
            Reply::Imported(report) => {
                let enrolled = count(report.enrolled.len(), "device", "devices");
                write!(f, "enrolled {enrolled}")?;
                match report.unchanged {
                    0 => Ok(()),
                    unchanged => write!(f, "; {unchanged} were enrolled before"),
                }
            }
            Reply::Retrying { images, builds } => write!(
                f,
                "retrying {} and {}",
                count(*images, "image", "images"),
                count(*builds, "build", "builds")
            ),
        }
    }
}
