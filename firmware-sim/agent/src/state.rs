//! The agent's states, each with what only it needs.

use deltagate_flash::Hashing;
use wire_checkin::{ENVELOPE_BYTES_MAX, Job, LastUpdate};
use wire_coap::{Block2Fetch, BlockSize};

use crate::accept::Update;
use crate::apply::Erasing;
use crate::decoder::Decoder;
use crate::mend::Mend;
use crate::services::Hasher;
use crate::staging::Filling;

/// Where the agent is; the table is on the crate's front page.
#[derive(Debug)]
pub(crate) enum State<'m> {
    /// Nothing to do before a time.
    Idle { until_ms: u64 },
    /// A check-in awaits its answer.
    CheckingIn { reporting: Option<LastUpdate> },
    /// The manifest did not fit the answer and is being fetched.
    FetchingManifest {
        job: Job,
        transfer: Transfer,
        envelope: Envelope,
    },
    /// The manifest is right, and the update under way. It stays where it is from step to step.
    Updating { update: Update, phase: Phase<'m> },
    /// The caller was told to restart.
    Rebooting,
}

/// Where an update under way is.
#[derive(Debug)]
pub(crate) enum Phase<'m> {
    /// The spare slot is being erased, its header first (`erasing` is `None` until then).
    Preparing {
        envelope: Envelope,
        erasing: Option<Erasing>,
    },
    /// What a restart may have left half programmed is being erased, what lies before it in its sector kept.
    Mending { size: BlockSize, mend: Mend },
    /// The payload is being fetched.
    Fetching { transfer: Transfer },
    /// The payload is complete and being hashed.
    CheckingPayload { hashing: Hashing<Hasher<'m>> },
    /// Applying, first half: making room for the image.
    Clearing { erasing: Erasing },
    /// Applying, second half. `written` bytes of the image are in flash.
    Decoding { decoder: Decoder<'m>, written: u32 },
    /// The image is complete and being hashed.
    Verifying { hashing: Hashing<Hasher<'m>> },
}

impl State<'_> {
    /// Nothing to do before a time. There once: every state may end so.
    #[inline(never)]
    pub(crate) fn idle_until(&mut self, until_ms: u64) {
        *self = Self::Idle { until_ms };
    }

    /// An update goes on, in a phase that the caller puts in the place of one that says nothing: made before, it would be copied on
    /// its way here.
    #[inline(never)]
    pub(crate) fn go_on(&mut self, update: Update) {
        let erasing = Erasing::rest(0, 0);
        let phase = Phase::Clearing { erasing };
        *self = Self::Updating { update, phase };
    }

    /// The manifest is right, and nothing was erased yet.
    pub(crate) const fn preparing(update: Update, envelope: Envelope) -> Self {
        let phase = Phase::Preparing {
            envelope,
            erasing: None,
        };
        Self::Updating { update, phase }
    }

    /// Of the image that is under way.
    pub(crate) const fn sequence_number(&self) -> Option<u64> {
        match self {
            Self::FetchingManifest { job, .. } => Some(job.sequence_number),
            Self::Updating { update, .. } => Some(update.job.sequence_number),
            _ => None,
        }
    }

    /// The transfer under way.
    pub(crate) const fn transfer(&self) -> Option<&Transfer> {
        match self {
            Self::FetchingManifest { transfer, .. }
            | Self::Updating {
                phase: Phase::Fetching { transfer },
                ..
            } => Some(transfer),
            _ => None,
        }
    }

    /// Whether [`crate::Agent::work`] has something to do.
    pub(crate) const fn has_work(&self) -> bool {
        matches!(self, Self::Updating { phase, .. } if !matches!(phase, Phase::Fetching { .. }))
    }

    /// Whether an update that was put off can go on from here.
    pub(crate) const fn may_go_on(&self) -> bool {
        matches!(self, Self::Idle { .. } | Self::CheckingIn { .. })
    }

    /// When something is due besides the exchange.
    pub(crate) const fn due_ms(&self) -> Option<u64> {
        match self {
            Self::Idle { until_ms } => Some(*until_ms),
            _ => match self.transfer() {
                Some(transfer) => transfer.paused_until_ms,
                None => None,
            },
        }
    }
}

/// How many blocks that look erased are written down after each start: a payload is not authenticated while it comes, and with
/// a record for each of 32,768 blocks of 16 bytes a wrong one would cost the journal 500 erases. Firmware has a gap or two.
const BLANK_BLOCKS_MAX: u8 = 32;

/// A block-wise transfer and its patience.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) fetch: Block2Fetch,
    /// Where a payload's next byte goes; of no meaning for a manifest.
    pub(crate) filling: Filling,
    /// No request before this time.
    pub(crate) paused_until_ms: Option<u64>,
    /// Blocks in a row that were not the one asked for.
    pub(crate) faults: u8,
    /// Records written for blocks that look erased.
    blank_blocks: u8,
}

impl Transfer {
    pub(crate) fn new(fetch: Block2Fetch) -> Self {
        Self {
            filling: Filling::from(fetch.offset()),
            fetch,
            paused_until_ms: None,
            faults: 0,
            blank_blocks: 0,
        }
    }

    /// Whether one more block that looks erased gets a record of its own.
    pub(crate) fn is_worth_a_record(&mut self) -> bool {
        self.blank_blocks = self.blank_blocks.saturating_add(1);
        self.blank_blocks <= BLANK_BLOCKS_MAX
    }
}

/// An envelope as it arrives.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    bytes: [u8; ENVELOPE_BYTES_MAX],
    length: usize,
}

impl Envelope {
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; ENVELOPE_BYTES_MAX],
        length: 0,
    };

    /// Appends a piece; `None` when the whole would be longer than [`ENVELOPE_BYTES_MAX`].
    pub(crate) fn append(&mut self, piece: &[u8]) -> Option<()> {
        let end = self.length.checked_add(piece.len())?;
        self.bytes.get_mut(self.length..end)?.copy_from_slice(piece);
        self.length = end;
        Some(())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

const _: () = assert!(ENVELOPE_BYTES_MAX <= deltagate_flash::ENVELOPE_BYTES_MAX);
