//! What the firmware's author decides.

use deltagate_flash::Layout;
use wire_checkin::{DeviceId, Format, Formats};
use wire_coap::BlockSize;

use crate::in_place::InPlace;

/// The longest datagram the agent sends or reads: a block of 1,024 bytes and 128 for header, token and options.
pub const DATAGRAM_BYTES_MAX: usize = 1_024 + 128;

/// What the firmware's author decides. Whom the device believes is not here but in its provision record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who the device is.
    pub device_id: DeviceId,
    /// Where everything lies in flash.
    pub layout: Layout,
    /// Of a device with a single slot, whose updates are made in place; `None`: it has two. `layout` is then the view of it that
    /// `deltagate_updater::SingleSlot::two_slots` gives.
    pub in_place: Option<InPlace>,
    /// Where its credentials are, [`deltagate_flash::credentials_bytes`] long and out of the layout's way
    /// ([`Layout::leaves_free`]); `None`, or none there: messages go in the clear.
    #[cfg(feature = "oscore")]
    pub credentials: Option<deltagate_flash::Partition>,
    /// Whether the device asks for statements of what the newest release is, and tells when they are too old: `docs/freeze.md`.
    #[cfg(feature = "freshness")]
    pub freshness: bool,
    /// The largest block the device asks for.
    pub block_size_max: BlockSize,
    /// The formats the device reports and accepts, of those in [`Config::FORMATS_DECODED`].
    pub formats: Formats,
    /// Whether a program unit of the part can be programmed only once between two erases, as `embedded_storage`'s `NorFlash`
    /// says where its driver is no `MultiwriteNorFlash`: parts with ECC, and some that only limit the number. It costs a sector
    /// of each slot, and after a restart in the middle of a fetch one more erase of what is not fetched yet.
    ///
    /// Right for every part when `true`. When it is `false` and the part is not like that, an interrupted fetch cannot go on.
    pub program_once: bool,
    /// RFC 7252 §4.8 ACK_TIMEOUT until the first check-in tells the link's, ms. 15 s is the practice on NB-IoT.
    pub ack_timeout_ms: u32,
    /// How long an image on trial may be without contact, and without its self-test passed, before it is given up, ms.
    pub contact_ms_max: u64,
    /// Whether an image on trial is confirmed only after the application said with [`crate::Agent::handle_self_test`]
    /// that it works.
    pub self_test: bool,
    /// How long after a call of [`crate::Agent::handle_timeout`] an image on trial may still feed its watchdog, ms.
    pub silence_ms_max: u64,
    /// How long the application may put an update off whatever the gateway says, seconds.
    pub defer_s_min: u32,
    /// How long it may at most, whatever the gateway says, seconds.
    pub defer_s_max: u32,
    /// How long after a check-in was answered the next one is made at the earliest, whatever the gateway says, seconds: a gateway that
    /// calls its devices every second empties their batteries. What became of an update is told at once.
    pub check_in_s_min: u32,
    /// The first wait after an attempt that nobody answered, ms; doubled each time.
    pub backoff_ms_min: u64,
    /// The longest such wait, ms.
    pub backoff_ms_max: u64,
}

impl Config {
    /// What this crate can decode.
    pub const FORMATS_DECODED: Formats = Formats::of(&[Format::Full, Format::Patch]);

    /// A device with this layout and id, and otherwise the defaults; `None` unless the id has 1 to 16 bytes.
    #[must_use]
    pub fn new(layout: Layout, device_id: &[u8]) -> Option<Self> {
        Some(Self::of(layout, DeviceId::new(device_id)?))
    }

    /// A device with this layout and id, and otherwise the defaults: what an application's own `const` begins with.
    #[must_use]
    pub const fn of(layout: Layout, device_id: DeviceId) -> Self {
        Self {
            device_id,
            layout,
            in_place: None,
            #[cfg(feature = "oscore")]
            credentials: None,
            #[cfg(feature = "freshness")]
            freshness: false,
            block_size_max: BlockSize::B1024,
            formats: Self::FORMATS_DECODED,
            program_once: false,
            ack_timeout_ms: 15_000,
            contact_ms_max: 600_000,
            self_test: false,
            silence_ms_max: 60_000,
            defer_s_min: 0,
            defer_s_max: 7 * 24 * 3_600,
            check_in_s_min: 60,
            backoff_ms_min: 15_000,
            backoff_ms_max: 3_600_000,
        }
    }
}
