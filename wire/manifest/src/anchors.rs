//! Sets of trust anchors: which keys a device believes from now on, in an envelope of their own.
//!
//! `docs/anchors.md` is the specification. A set travels in the envelope of a release, with its array in the place of the manifest, so
//! that digest and signatures are checked by the same code. No bytes are both: a manifest is a map, a set an array.
//!
//! ```text
//! [ 1, number, class, sequence-max, body ]
//! body   0 release-min u8   1 recovery-min u8   then of each key: roles u8, key [32]
//! ```

use crate::cbor::Reader;
use crate::{Envelope, TrustAnchors};

/// Most keys of a set: as many as a device is provisioned with.
pub const ANCHORS_MAX: usize = 4;
/// The version of the array.
pub(crate) const VERSION: u32 = 1;

/// What a key may do, as bits: [`Roles::RELEASE`] and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Signs releases.
    pub const RELEASE: Self = Self(1);
    /// Signs sets of anchors, if the device has had it since the factory. Nothing that runs.
    pub const RECOVERY: Self = Self(2);
    /// A site's: signs nothing that a device counts.
    pub const OPERATOR: Self = Self(4);
    /// Signed releases once. A confirmed image goes on running, and nothing else of it.
    pub const RETIRED: Self = Self(8);

    const ALL: u8 = 15;

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has one of these.
    #[must_use]
    pub const fn has(self, role: Self) -> bool {
        self.0 & role.0 != 0
    }

    /// Where among the keys it stands: with those that sign releases, behind them with those that did, or last.
    #[must_use]
    pub const fn rank(self) -> usize {
        match (self.has(Self::RELEASE), self.has(Self::RETIRED)) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => 2,
        }
    }
}

/// A key of a set, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetKey([u8; 33]);

impl SetKey {
    /// This key with these roles.
    #[must_use]
    pub fn new(roles: Roles, key: &[u8; 32]) -> Self {
        let mut bytes = [roles.0; 33];
        for (place, byte) in bytes.iter_mut().skip(1).zip(key) {
            *place = *byte;
        }
        Self(bytes)
    }

    pub(crate) const fn bytes(&self) -> [u8; 33] {
        self.0
    }

    /// How keys are written: by rank, and within it by their bytes.
    pub(crate) fn order(&self) -> (usize, [u8; 33]) {
        let [roles, ..] = self.0;
        (Roles(roles).rank(), self.0)
    }
}

/// A set, read and not checked: who it is signed by, [`AnchorSet::is_signed_by`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorSet<'a> {
    /// Which of two sets is newer, from 1; 0 is the factory's.
    pub number: u16,
    /// The one class of devices that it is for, 16 bytes; empty: every class that has its recovery keys.
    pub class_id: &'a [u8],
    /// The highest sequence number that a release may have under this set; a confirmed image above it goes on running. So whoever holds
    /// release keys cannot use all numbers up: the next set has a higher one.
    pub sequence_max: u32,
    /// How many release keys have to sign a release, at least 1.
    pub release_min: u8,
    /// How many recovery keys have to sign the next set, and this one, at least 1.
    pub recovery_min: u8,
    keys: &'a [[u8; 33]],
}

impl<'a> AnchorSet<'a> {
    /// Reads the content of the envelope's manifest member; `None` for anything that is no set of this version, or one under which
    /// nobody could ever sign a release or the next set.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.array() != Ok(5) || reader.uint() != Ok(Some(VERSION)) {
            return None;
        }
        let number = u16::try_from(reader.uint().ok()??).ok()?;
        let class_id = reader.bytes().ok()?;
        let sequence_max = reader.uint().ok()??;
        let (&[release_min, recovery_min], keys) = reader.bytes().ok()?.split_first_chunk()?;
        reader.end().ok()?;
        let (keys, rest) = keys.as_chunks();
        let set = Self {
            number,
            class_id,
            sequence_max,
            release_min,
            recovery_min,
            keys,
        };
        let is_sound = number > 0 && matches!(class_id.len(), 0 | 16) && rest.is_empty() && set.is_sound();
        is_sound.then_some(set)
    }

    /// At most so many keys, each once, in the order of their ranks, and enough of them for a release and the next set.
    fn is_sound(&self) -> bool {
        let (mut release, mut recovery, mut rank) = (0, 0, 0);
        let mut later = self.keys;
        while let Some((first, rest)) = later.split_first() {
            let [roles, key @ ..] = first;
            let its = Roles(*roles);
            if *roles == 0
                || *roles > Roles::ALL
                || its.rank() < rank
                || rest.iter().any(|other| other.ends_with(key))
            {
                return false;
            }
            rank = its.rank();
            release += u8::from(its.has(Roles::RELEASE));
            recovery += u8::from(its.has(Roles::RECOVERY));
            later = rest;
        }
        self.keys.len() <= ANCHORS_MAX
            && (1..=release).contains(&self.release_min)
            && (1..=recovery).contains(&self.recovery_min)
    }

    /// Its keys, with what they may do: first those that sign releases, then those that did, then the rest.
    pub fn keys(&self) -> impl Iterator<Item = (Roles, &'a [u8; 32])> + use<'a> {
        self.keys.iter().map(|key| {
            let [roles, key @ ..] = key;
            (Roles(*roles), key)
        })
    }

    /// Whether this set, which came in `envelope`, is for devices of this class, and enough recovery keys signed it: as many as it asks
    /// for itself, and `least`. A key counts that is a recovery key of the set and one of `keys`. Whether it is newer, the caller sees.
    #[must_use]
    pub fn is_signed_by(
        &self,
        envelope: &Envelope<'_>,
        class_id: &[u8; 16],
        keys: &[[u8; 32]],
        least: u8,
    ) -> bool {
        let mut signers = [[0; 32]; ANCHORS_MAX];
        let counts = |(roles, key): &(Roles, &[u8; 32])| roles.has(Roles::RECOVERY) && keys.contains(key);
        for (place, (_, key)) in signers.iter_mut().zip(self.keys().filter(counts)) {
            copy(place, key);
        }
        // A place that is left has no key: of the point with y = 0 nobody has the private one, and it is not usable.
        let signers = TrustAnchors::at_least(self.recovery_min.max(least), &signers);
        (self.class_id.is_empty() || self.class_id == class_id) && envelope.authenticate(&signers).is_ok()
    }
}

/// The set in an envelope, if so many of `keys` signed it for this class: all of [`AnchorSet::is_signed_by`].
// Not inlined: boot, recovery and the image's questions share it.
#[inline(never)]
#[must_use]
pub fn verify_set<'a>(
    envelope: &'a [u8],
    class_id: &[u8; 16],
    keys: &[[u8; 32]],
    least: u8,
) -> Option<AnchorSet<'a>> {
    let envelope = Envelope::parse(envelope).ok()?;
    let set = AnchorSet::read(envelope.manifest_bytes())?;
    set.is_signed_by(&envelope, class_id, keys, least).then_some(set)
}

/// Not inlined: where it is not seen that the two are apart, a routine for overlapping memory is linked, 700 bytes of a bootloader.
#[inline(never)]
fn copy(to: &mut [u8; 32], from: &[u8; 32]) {
    *to = *from;
}
