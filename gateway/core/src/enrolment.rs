//! What an operator may ask of devices' identities, and how that is refused.

use crate::credentials::{Credentials, Kid};
use crate::device_name::DeviceName;
use crate::identity::ClassId;
use crate::label::Label;
use crate::records::GroupName;
use wire_checkin::DeviceId;

/// A device with its credentials, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// What it checks in with.
    pub device: DeviceId,
    /// What it proves that with.
    pub credentials: Credentials,
    /// What is printed on it.
    pub names: Vec<DeviceName>,
    /// What people are to call it; `None` leaves its label as it is.
    pub label: Option<Label>,
    /// A group that it is to be in.
    pub group: Option<GroupName>,
}

/// A part of [`Command`](crate::Command).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityCommand {
    /// Gives a device that has none its credentials, and claims it. One that was retired is not any more.
    Enrol(Enrolment),
    /// The same for many: all of them, or nobody when one cannot be, unless those are to be skipped.
    Import(Import),
    /// Gives a device other credentials. The old ones count until it uses these, and at most for so long.
    Rotate {
        /// Which device.
        device: DeviceId,
        /// The new ones.
        credentials: Credentials,
        /// How long the old ones count at most.
        old_valid_s: u32,
    },
    /// Lets other hardware take a device's place: label, groups, assignment and what became of images on it. The old one's
    /// credentials are destroyed, and it stays listed.
    Swap {
        /// The hardware that goes.
        old: DeviceId,
        /// The hardware that comes.
        new: DeviceId,
    },
    /// Destroys a device's credentials. It stays listed, with label and history, and is served no more.
    Retire(DeviceId),
}

/// Lines of a factory's list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Those that could be read, with their numbers from 1.
    pub lines: Vec<(usize, Enrolment)>,
    /// Those that could not.
    pub bad: Vec<BadLine>,
    /// Whether the good ones are imported though there are bad ones.
    pub skip_bad: bool,
}

/// A line of a factory's list that cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
    /// Which column.
    pub what: String,
    /// Why, in one clause.
    pub why: String,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Devices that were enrolled, with their key ids.
    pub enrolled: Vec<(DeviceId, Kid)>,
    /// Lines of devices that had these very credentials already.
    pub unchanged: usize,
    /// Lines that could not be imported. Without leave to skip them nothing was.
    pub bad: Vec<BadLine>,
}

/// A command about an identity was not carried out; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityRefusal {
    /// It has credentials.
    #[error("device {0} has a key already")]
    Enrolled(DeviceId),
    /// It has none.
    #[error("device {0} has no key")]
    NotEnrolled(DeviceId),
    /// Another device's messages name this key.
    #[error("key id {kid} is that of device {by}")]
    KidTaken {
        /// The key id.
        kid: Kid,
        /// Whose it is.
        by: DeviceId,
    },
    /// Another device is called so.
    #[error("{name} is that of device {by}")]
    NameTaken {
        /// The name.
        name: DeviceName,
        /// Whose it is.
        by: DeviceId,
    },
    /// It is served no more.
    #[error("device {0} is retired")]
    Retired(DeviceId),
    /// What should take a place has one.
    #[error("device {device} has a place of its own: {what}")]
    HasAPlace {
        /// The hardware that should come.
        device: DeviceId,
        /// What it has.
        what: &'static str,
    },
    /// Hardware of one class cannot take the place of another's.
    #[error("device {new} is of class {class}, and device {old} of class {old_class}")]
    OtherClass {
        /// The hardware that should come.
        new: DeviceId,
        /// Its class.
        class: ClassId,
        /// The hardware that should go.
        old: DeviceId,
        /// Its class.
        old_class: ClassId,
    },
    /// Old and new are one.
    #[error("device {0} cannot take its own place")]
    Itself(DeviceId),
}

impl IdentityRefusal {
    /// The command that helps, as typed.
    pub fn hint(&self) -> String {
        match self {
            IdentityRefusal::Enrolled(id) => {
                format!("for another key: deltagate device rotate {id}")
            }
            IdentityRefusal::NotEnrolled(id) | IdentityRefusal::Retired(id) => {
                format!("deltagate device enrol {id}")
            }
            IdentityRefusal::KidTaken { by, .. } | IdentityRefusal::NameTaken { by, .. } => {
                format!("deltagate device show {by}")
            }
            IdentityRefusal::HasAPlace { device: new, .. } | IdentityRefusal::OtherClass { new, .. } => {
                format!("deltagate device show {new}")
            }
            IdentityRefusal::Itself(_) => "deltagate device swap --help".into(),
        }
    }

    /// Which column of a factory's list is at fault.
    pub(crate) fn column(&self) -> &'static str {
        match self {
            IdentityRefusal::KidTaken { .. } => "kid",
            IdentityRefusal::NameTaken { name, .. } => name.kind().name(),
            _ => "device",
        }
    }
}
