//! What an operator may ask of devices' identities, and how that is refused.

use crate::credentials::{Credentials, Kid};
use crate::device_name::DeviceName;
use crate::identity::ClassId;
use crate::label::Label;
use crate::psk::{Psk, PskIdentity};
use crate::records::GroupName;
use wire_checkin::DeviceId;
use wire_edhoc::PublicKey;

/// A device with its keys, one at least, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// What it checks in with.
    pub device: DeviceId,
    /// What it proves that with by OSCORE.
    pub credentials: Option<Credentials>,
    /// What it proves that with by DTLS.
    pub psk: Option<Psk>,
    /// The public one of a key of its own, with which it establishes credentials by itself (RFC 9528).
    pub public_key: Option<PublicKey>,
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
    /// Gives a device that has none its credentials, or its key of DTLS, or both, and claims it. One that was retired is not any more.
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
    /// Gives a device another key of DTLS. Under another identity the old one counts until the device uses this, and at most for so long;
    /// under the same one it is replaced at once.
    RotatePsk {
        /// Which device.
        device: DeviceId,
        /// The new one.
        psk: Psk,
        /// How long the old one counts at most.
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
    /// Devices that were enrolled, and what their keys are named by.
    pub enrolled: Vec<EnrolledKeys>,
    /// Lines of devices that had these very keys already.
    pub unchanged: usize,
    /// Lines that could not be imported. Without leave to skip them nothing was.
    pub bad: Vec<BadLine>,
}

/// What an enrolled device's keys are named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnrolledKeys {
    /// Which device.
    pub device: DeviceId,
    /// Its key id.
    pub kid: Option<Kid>,
    /// Its identity of DTLS.
    pub psk: Option<PskIdentity>,
    /// Whether it has a key of its own.
    pub has_public_key: bool,
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
    /// It is to have a key, and none was named.
    #[error("no key was given for device {0}")]
    NoKey(DeviceId),
    /// It has a key of DTLS.
    #[error("device {0} has a pre-shared key already")]
    PskEnrolled(DeviceId),
    /// It has none.
    #[error("device {0} has no pre-shared key")]
    NoPsk(DeviceId),
    /// Another device's handshakes name this identity.
    #[error("PSK identity {identity} is that of device {by}")]
    PskIdentityTaken {
        /// The identity.
        identity: PskIdentity,
        /// Whose it is.
        by: DeviceId,
    },
    /// Another key is this very one, and so no secret.
    #[error("device {by} has this very pre-shared key")]
    PskTaken {
        /// Whose it is.
        by: DeviceId,
    },
    /// Another device's messages name this key.
    #[error("key id {kid} is that of device {by}")]
    KidTaken {
        /// The key id.
        kid: Kid,
        /// Whose it is.
        by: DeviceId,
    },
    /// It has another key of its own.
    #[error("device {0} has another public key")]
    OtherPublicKey(DeviceId),
    /// Another device has this public key, or a copy of its private one.
    #[error("this public key is that of device {by}")]
    PublicKeyTaken {
        /// Whose it is.
        by: DeviceId,
    },
    /// Another key is made of the same secret, and so no secret.
    #[error("device {by} has this very secret")]
    SecretTaken {
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
            IdentityRefusal::OtherPublicKey(id) => {
                format!("if it is to have this one, first: deltagate device retire {id}")
            }
            IdentityRefusal::PublicKeyTaken { by } => {
                format!("each device needs a key of its own; whose this is: deltagate device show {by}")
            }
            IdentityRefusal::NoKey(id) => format!("deltagate device enrol {id}"),
            IdentityRefusal::PskEnrolled(id) => {
                format!("for another key: deltagate device rotate {id} --psk IDENTITY")
            }
            IdentityRefusal::NoPsk(id) => format!("deltagate device enrol {id} --psk IDENTITY"),
            IdentityRefusal::PskIdentityTaken { by, .. } => format!("deltagate device show {by}"),
            IdentityRefusal::SecretTaken { by } | IdentityRefusal::PskTaken { by } => {
                format!("draw another one for each device; whose this is: deltagate device show {by}")
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
            IdentityRefusal::SecretTaken { .. } => "secret",
            IdentityRefusal::PskIdentityTaken { .. } => "psk_identity",
            IdentityRefusal::PskEnrolled(_) | IdentityRefusal::PskTaken { .. } => "psk",
            IdentityRefusal::PublicKeyTaken { .. } | IdentityRefusal::OtherPublicKey(_) => "public_key",
            IdentityRefusal::NameTaken { name, .. } => name.kind().name(),
            _ => "device",
        }
    }
}
