//! Sets of trust anchors as a publisher makes them: `docs/anchors.md` says what they mean.

use std::path::{Path, PathBuf};

use thiserror::Error;
use wire_manifest::{
    ANCHORS_MAX, Anchor, AnchorSet, ENVELOPE_BYTES_MAX, Envelope, KeyId, Roles, SetKey, write_set,
};

use super::anchors::load_anchors;
use super::{PublisherError, files};

/// What a role is called, and what its keys do.
pub(crate) const ROLES: [(Roles, &str); 4] = [
    (Roles::RELEASE, "release"),
    (Roles::RECOVERY, "recovery"),
    (Roles::RETIRED, "retired"),
    (Roles::OPERATOR, "operator"),
];

/// What these roles are called.
pub(crate) fn role_names(roles: Roles) -> impl Iterator<Item = &'static str> {
    let names = ROLES.into_iter().filter(move |(role, _)| roles.has(*role));
    names.map(|(_, name)| name)
}

/// What a publisher says of keys.
#[derive(Clone, Debug)]
pub struct Declaration<'a> {
    /// Above that of every set before.
    pub number: u16,
    /// The one class that it is for; `None`: every class that has its recovery keys.
    pub class_id: Option<[u8; 16]>,
    /// The highest sequence number that a release may have.
    pub sequence_max: u32,
    /// How many release keys have to sign a release.
    pub release_min: u8,
    /// How many recovery keys have to sign this set and the next.
    pub recovery_min: u8,
    /// Public key files of each role, in the order of [`ROLES`]. One that stands under two has both.
    pub keys: [&'a [PathBuf]; 4],
}

impl Declaration<'_> {
    /// The envelope, which nobody has signed yet.
    pub fn encode(&self) -> Result<Vec<u8>, PublisherError> {
        let keys = self.with_roles()?;
        self.check(&keys)?;
        let mut keys: Vec<SetKey> = keys
            .iter()
            .map(|(roles, anchor)| SetKey::new(*roles, &anchor.key))
            .collect();
        let least = (self.release_min, self.recovery_min);
        let mut out = [0; ENVELOPE_BYTES_MAX];
        let written = write_set(
            &mut out,
            self.number,
            self.class_id,
            self.sequence_max,
            least,
            &mut keys,
        );
        Ok(written.ok_or(SetError::Number)?.to_vec())
    }

    fn with_roles(&self) -> Result<Vec<(Roles, Anchor)>, PublisherError> {
        let mut keys: Vec<(Roles, Anchor)> = Vec::new();
        for ((role, _), paths) in ROLES.iter().zip(self.keys) {
            for anchor in load_anchors(paths)? {
                match keys.iter_mut().find(|(_, known)| *known == anchor) {
                    Some((roles, _)) => *roles = roles.and(*role),
                    None => keys.push((*role, anchor)),
                }
            }
        }
        Ok(keys)
    }

    fn check(&self, keys: &[(Roles, Anchor)]) -> Result<(), SetError> {
        if keys.len() > ANCHORS_MAX {
            return Err(SetError::TooManyKeys { keys: keys.len() });
        }
        let both = |(roles, _): &&(Roles, Anchor)| roles.has(Roles::RELEASE) && roles.has(Roles::RETIRED);
        if let Some((_, anchor)) = keys.iter().find(both) {
            return Err(SetError::ReleaseAndRetired { key: anchor.key_id() });
        }
        for (role, name, least) in [
            (Roles::RELEASE, "release", self.release_min),
            (Roles::RECOVERY, "recovery", self.recovery_min),
        ] {
            let of = keys.iter().filter(|(roles, _)| roles.has(role)).count();
            if !(1..=of).contains(&usize::from(least)) {
                return Err(SetError::Least {
                    role: name,
                    least,
                    keys: of,
                });
            }
        }
        Ok(())
    }
}

/// A file that holds a set.
pub(crate) fn set_file(path: &Path) -> Result<Vec<u8>, PublisherError> {
    let file = files::read(path, ENVELOPE_BYTES_MAX as u64)?;
    read_set(&file, path)?;
    Ok(file)
}

/// A set and its envelope, read from a file of this name and not checked.
pub fn read_set<'a>(file: &'a [u8], path: &Path) -> Result<(AnchorSet<'a>, Envelope<'a>), PublisherError> {
    let envelope = Envelope::parse(file).map_err(|source| PublisherError::Envelope {
        path: path.to_owned(),
        source,
    })?;
    let set = AnchorSet::read(envelope.manifest_bytes());
    let set = set.ok_or_else(|| PublisherError::NotASet {
        path: path.to_owned(),
        is_release: envelope.interpret().is_ok(),
    })?;
    Ok((set, envelope))
}

/// Why these keys make no set that a device would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SetError {
    /// A device has places for fewer.
    #[error("a set of {keys} keys does not fit a device, which has places for {ANCHORS_MAX}")]
    TooManyKeys {
        /// How many there are.
        keys: usize,
    },
    /// One role says the opposite of the other.
    #[error("key {key} can not be both a release key and retired")]
    ReleaseAndRetired {
        /// Which.
        key: KeyId,
    },
    /// As many signatures could never be made.
    #[error("{least} {role} signatures are asked for, and there are {keys} {role} keys")]
    Least {
        /// Which.
        role: &'static str,
        /// How many are asked for.
        least: u8,
        /// How many there can be.
        keys: usize,
    },
    /// 0 is the factory's.
    #[error("a set's number is 1 to 65535")]
    Number,
}

impl SetError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooManyKeys { .. } => "leave out retired keys whose images no device runs any more",
            Self::ReleaseAndRetired { .. } => "name it under one of --release and --retired",
            Self::Least { .. } => {
                "name at least one --release and one --recovery key, and no more signatures than keys with --release-min and --recovery-min"
            }
            Self::Number => "give one above that of the set before with --number",
        }
    }
}
