//! Requests in, answers out.

use core::cell::RefCell;

use deltagate_flash::{BootLog, Layout, Region, Slot};
use embedded_storage::nor_flash::NorFlash;
use wire_smp::{
    Answer, ErrorCode, HEADER_BYTES, Header, Image, LINE_BYTES_MAX, MessageReader, NoSpace,
    PACKET_OVERHEAD_BYTES, RECOVERY_QUERY, RecoveryInfo, Request, line, packet,
};

use super::upload::{Device, Slots, Upload};
use crate::anchors::in_force;
use crate::{Recovery, verify_slot};

/// Longest packet taken, which clients are told: with more, an upload has fewer pauses and the device less memory. At
/// 115,200 baud 1,024 bytes take 0.12 s; the pause of an answer is a tenth of that.
pub const PACKET_BYTES_MAX: usize = 1024;
/// Longest answer: the state of two slots has about 180 bytes, and an echo may have the rest.
const ANSWER_BYTES_MAX: usize = PACKET_OVERHEAD_BYTES + HEADER_BYTES + 256;
/// The name by which clients know the bootloader.
const NAME: &str = "deltagate";

/// What the caller has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryEffect {
    /// Restart the device: the client asked, and has its answer.
    Restart,
}

/// The device's end of the serial line. After each [`handle_byte`](Self::handle_byte), drain
/// [`poll_transmit`](Self::poll_transmit), then [`poll_effect`](Self::poll_effect), until `None`: the restart comes after
/// its answer.
///
/// The time one byte can take is bounded by erasing three sectors, or hashing a slot and checking a signature.
pub struct RecoveryServer<'f, F> {
    device: Device<'f, F>,
    upload: Upload,
    reader: MessageReader<PACKET_BYTES_MAX>,
    /// The packet with the answer.
    answer: [u8; ANSWER_BYTES_MAX],
    /// How long that is, and which line of it comes next; no answer is left when there is none.
    answer_bytes: usize,
    next_line: usize,
    line: [u8; LINE_BYTES_MAX],
    effect: Option<RecoveryEffect>,
}

impl<'f, F: NorFlash> RecoveryServer<'f, F> {
    /// A server for a device that cannot start anything for this `reason`; or that could, and has one that came from there.
    #[must_use]
    pub fn new(flash: &'f RefCell<F>, layout: &'f Layout, slots: Slots, reason: Recovery) -> Self {
        let boot_log = BootLog::open(Region::new(flash, layout.boot_log));
        let confirmed = match boot_log {
            Ok(log) => Ok(log.state().confirmed),
            Err(_) => Err(Recovery::BootLogUnreadable),
        };
        let device = Device {
            flash,
            layout,
            slots,
            provision: in_force(flash, layout, confirmed.unwrap_or(None)),
            confirmed,
            reason,
        };
        Self {
            device,
            upload: Upload::new(),
            reader: MessageReader::new(),
            answer: [0; ANSWER_BYTES_MAX],
            answer_bytes: 0,
            next_line: 0,
            line: [0; LINE_BYTES_MAX],
            effect: None,
        }
    }

    /// Takes in one byte of the serial line. `true`: it completed a message.
    pub fn handle_byte(&mut self, byte: u8) -> bool {
        let Some(message) = self.reader.push(byte) else {
            return false;
        };
        let Some((header, body)) = Header::parse(message) else {
            return false;
        };
        let Some(answer_header) = header.response() else {
            return false;
        };
        let request = Request::parse(&header, body);
        if request == Ok(Request::Reset) {
            self.effect = Some(RecoveryEffect::Restart);
        }
        let (upload, device) = (&mut self.upload, &self.device);
        let written = packet(&mut self.answer, |room| {
            respond(request, device, upload, Answer::new(answer_header, room)?)
                // Only the text of an echo can be too long.
                .or_else(|NoSpace| Answer::new(answer_header, room)?.refused(ErrorCode::TooLong, ""))
        });
        self.next_line = 0;
        self.answer_bytes = written.map_or(0, <[u8]>::len);
        true
    }

    /// The next bytes to send.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        let packet = self.answer.get(..self.answer_bytes)?;
        let line = line(packet, self.next_line, &mut self.line);
        match line {
            Some(_) => self.next_line += 1,
            None => self.answer_bytes = 0,
        }
        line
    }

    /// What to do when everything was sent.
    pub fn poll_effect(&mut self) -> Option<RecoveryEffect> {
        self.effect.take()
    }
}

/// Writes the answer to `request`.
fn respond<F: NorFlash>(
    request: Result<Request<'_>, ErrorCode>,
    device: &Device<'_, F>,
    upload: &mut Upload,
    answer: Answer<'_>,
) -> Result<usize, NoSpace> {
    let request = match request {
        Ok(request) => request,
        Err(code) => return answer.refused(code, ""),
    };
    match request {
        Request::Echo { text } => answer.echo(text),
        Request::Parameters => answer.parameters(PACKET_BYTES_MAX as u32),
        Request::Reset => answer.done(),
        Request::Bootloader { query: None } => answer.bootloader(NAME, None),
        Request::Bootloader { query: Some(query) } if query == RECOVERY_QUERY => answer.bootloader(
            NAME,
            Some(&RecoveryInfo {
                state: device.reason.text(),
                identity: device
                    .provision
                    .as_ref()
                    .map(|provision| (provision.vendor_id, provision.class_id)),
                confirmed: device.confirmed.unwrap_or(None),
                room_bytes: device.layout.image_capacity_bytes(),
            }),
        ),
        Request::Bootloader { query: Some(_) } => answer.refused(ErrorCode::NotSupported, ""),
        Request::ImageState => answer.images(&Slot::BOTH.map(|slot| image(device, slot))),
        Request::Upload(piece) => match upload.take(device, &piece) {
            Ok(offset) => answer.upload(offset),
            Err(fault) => answer.refused(fault.code(), fault.text()),
        },
    }
}

fn image<F: NorFlash>(device: &Device<'_, F>, slot: Slot) -> Option<Image> {
    let provision = device.provision.as_ref()?;
    let verified = verify_slot(device.flash, device.layout, slot, provision).ok()?;
    Some(Image {
        slot: slot.index(),
        sequence: verified.sequence,
        digest: verified.image_digest,
        bootable: device
            .confirmed
            .is_ok_and(|confirmed| Some(verified.sequence) >= confirmed),
    })
}
