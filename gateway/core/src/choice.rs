//! Which artefact a device gets: the one that costs its link least among those it can take.

use crate::config::LinkConfig;
use crate::identity::{ArtefactDigest, ImageDigest};
use crate::records::{ArtefactRecord, DeviceReport, ImageRecord};
use crate::units::Bytes;
use core::fmt;
use wire_checkin::Format;
use wire_coap::BlockSize;

/// One artefact that was considered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub artefact: ArtefactDigest,
    /// How it is encoded.
    pub format: Format,
    /// Size of its payload.
    pub size: Bytes,
    /// What its transfer puts on the air in both directions when nothing is lost, headers of IP, UDP and CoAP included.
    pub on_air: Bytes,
    /// What became of it.
    pub verdict: Verdict,
}

/// Why a candidate is taken or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The cheapest one that the device can take.
    Chosen,
    /// The device is already fetching it, so it stays although another is cheaper now.
    AlreadyOffered,
    /// The device could take it, but another costs less.
    Costlier {
        /// By how many bytes on the air.
        by: Bytes,
    },
    /// The device does not decode this format.
    FormatNotListed,
    /// The decoder needs more memory than the device gives it.
    Memory {
        /// What the decoder needs.
        needs: Bytes,
        /// What the device gives it.
        has: Bytes,
    },
    /// The device has a single slot, and this cannot be applied in place.
    NotInPlace,
    /// The device has a single slot, and less room to move its image out of the way than the patch was made for.
    Reach {
        /// The patch's reach.
        needs: Bytes,
        /// What the device has room for.
        has: Bytes,
    },
    /// Image and staged payload do not fit the spare slot, or the payload does not fit the staging area.
    Room {
        /// What is needed.
        needs: Bytes,
        /// What there is.
        has: Bytes,
    },
}

impl Verdict {
    /// Whether the device could take it.
    pub fn is_takeable(&self) -> bool {
        matches!(
            self,
            Verdict::Chosen | Verdict::AlreadyOffered | Verdict::Costlier { .. }
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Chosen => f.write_str("chosen: least on the air"),
            Verdict::AlreadyOffered => f.write_str("chosen: already being fetched"),
            Verdict::Costlier { by } => write!(f, "costs {by} more on the air"),
            Verdict::FormatNotListed => f.write_str("device does not decode this format"),
            Verdict::Memory { needs, has } => {
                write!(
                    f,
                    "decoder needs {} bytes of memory, device has {}",
                    needs.0, has.0
                )
            }
            Verdict::NotInPlace => f.write_str("cannot be applied in place, device has a single slot"),
            Verdict::Reach { needs, has } => {
                write!(
                    f,
                    "has a reach of {} bytes, device has room for {}",
                    needs.0, has.0
                )
            }
            Verdict::Room { needs, has } => {
                write!(f, "needs {} bytes of flash, device has {}", needs.0, has.0)
            }
        }
    }
}

/// Judges every artefact that gives `image` on top of `running`, cheapest first; those that are applied in place only for a device
/// with a single slot, which takes no others. At most one is chosen: `keep` when
/// the device can take it, else the cheapest.
pub(crate) fn choose<'a>(
    image: &ImageRecord,
    running: Option<ImageDigest>,
    artefacts: impl Iterator<Item = &'a ArtefactRecord>,
    report: &DeviceReport,
    link: &LinkConfig,
    keep: Option<ArtefactDigest>,
) -> Vec<Candidate> {
    let usable = artefacts
        .filter(|artefact| artefact.base.is_none() || artefact.base == running)
        .filter(|artefact| artefact.in_place.is_none() || report.in_place.is_some());
    let size = block_size(report, link);
    let mut candidates: Vec<Candidate> = usable
        .map(|artefact| Candidate {
            artefact: artefact.digest,
            format: artefact.format,
            size: artefact.size,
            on_air: on_air(artefact.size, size, link),
            verdict: obstacle(image, artefact, report).unwrap_or(Verdict::Costlier { by: Bytes(0) }),
        })
        .collect();
    candidates.sort_by_key(|candidate| (candidate.on_air, candidate.format, candidate.artefact));
    mark_chosen(&mut candidates, keep);
    candidates
}

fn mark_chosen(candidates: &mut [Candidate], keep: Option<ArtefactDigest>) {
    let kept = candidates
        .iter()
        .position(|c| Some(c.artefact) == keep && c.verdict.is_takeable());
    let cheapest = candidates.iter().position(|c| c.verdict.is_takeable());
    let Some(chosen) = kept.or(cheapest) else { return };
    let cost = candidates[chosen].on_air;
    for candidate in candidates.iter_mut().filter(|c| c.verdict.is_takeable()) {
        candidate.verdict = Verdict::Costlier {
            by: candidate.on_air.saturating_sub(cost),
        };
    }
    let stays = kept.is_some() && kept != cheapest;
    candidates[chosen].verdict = if stays {
        Verdict::AlreadyOffered
    } else {
        Verdict::Chosen
    };
}

/// What keeps a device from taking an artefact.
fn obstacle(image: &ImageRecord, artefact: &ArtefactRecord, report: &DeviceReport) -> Option<Verdict> {
    match (report.in_place, artefact.in_place) {
        (Some(_), None) => return Some(Verdict::NotInPlace),
        (Some(has), Some(needs)) if needs > has => return Some(Verdict::Reach { needs, has }),
        _ => {}
    }
    if !report.formats.contains(artefact.format) {
        return Some(Verdict::FormatNotListed);
    }
    if artefact.decoder_memory > report.decoder_memory {
        return Some(Verdict::Memory {
            needs: artefact.decoder_memory,
            has: report.decoder_memory,
        });
    }
    no_room(image, artefact, report)
}

/// `full` streams into the slot. Everything else is staged whole: in an area of its own, or in the spare slot's free
/// tail, both image and payload then rounded up to erase sectors.
fn no_room(image: &ImageRecord, artefact: &ArtefactRecord, report: &DeviceReport) -> Option<Verdict> {
    let staged_in_tail = match (artefact.format, report.staging) {
        (Format::Full, _) => Bytes(0),
        (_, Some(area)) if artefact.size > area => {
            return Some(Verdict::Room {
                needs: artefact.size,
                has: area,
            });
        }
        (_, Some(_)) => Bytes(0),
        (_, None) => artefact.size.ceil_to(report.sector),
    };
    let needs = match staged_in_tail {
        Bytes(0) => image.size,
        staged => image.size.ceil_to(report.sector) + staged,
    };
    (needs > report.slot_capacity).then_some(Verdict::Room {
        needs,
        has: report.slot_capacity,
    })
}

/// The block size that device and link agree on.
pub(crate) fn block_size(report: &DeviceReport, link: &LinkConfig) -> BlockSize {
    BlockSize::from_szx(report.block_szx)
        .unwrap_or(BlockSize::B16)
        .min(link.block_size())
}

/// What fetching `payload` bytes puts on the air in both directions.
pub(crate) fn on_air(payload: Bytes, size: BlockSize, link: &LinkConfig) -> Bytes {
    let blocks = payload.0.div_ceil(u64::from(size.bytes())).max(1);
    let per_block = 2 * u64::from(link.header_bytes) + REQUEST_BYTES + REPLY_OVERHEAD_BYTES;
    Bytes(payload.0.saturating_add(blocks.saturating_mul(per_block)))
}

/// CoAP bytes of a block request as our agent sends it: header 4, token 4, Uri-Path 8, Block2 3.
const REQUEST_BYTES: u64 = 19;
/// CoAP bytes beside the block in its reply: header 4, token 4, `ETag` 5, Content-Format 2, Block2 3, marker 1.
const REPLY_OVERHEAD_BYTES: u64 = 19;
