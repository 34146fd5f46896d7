//! How deep the bootloader's stack goes in recovery: a device without a valid image takes a whole signed file over its serial
//! line, verifies it and tells the state of its slots; then its RAM is read through QEMU's monitor.

use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use fleet::sim::SignedImage;
use wire_manifest::IMAGE_PAYLOAD;
use wire_smp::{
    Header, LINE_BYTES_MAX, MessageReader, PACKET_OVERHEAD_BYTES, Request, Response,
    UPLOAD_OVERHEAD_BYTES_MAX, Upload, line, packet,
};

use crate::paint::Monitor;
use crate::{BOARD, device};

/// What the bootloader takes at once.
const PACKET_BYTES: usize = deltagate_bootloader::recovery::PACKET_BYTES_MAX;
const PIECE_BYTES: usize = PACKET_BYTES - PACKET_OVERHEAD_BYTES - UPLOAD_OVERHEAD_BYTES_MAX;

/// The lowest address of the stack that was used while `brought` came to a device with this flash.
pub(crate) fn stack_reached(
    bootloader: &Path,
    flash: &[u8],
    brought: &SignedImage,
) -> Result<u64, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let monitor = Monitor::in_folder(folder.path());
    let mut qemu = device(bootloader, flash, folder.path())?
        .args(monitor.arguments())
        .stdin(Stdio::piped())
        .spawn()?;
    let mut client = Client {
        to: qemu.stdin.take().ok_or("QEMU has no input")?,
        from: qemu.stdout.take().ok_or("QEMU has no output")?,
    };
    let reached = client
        .bring(&file(brought)?)
        .and_then(|()| monitor.stack_reached());
    // It may have ended by itself.
    let _ = qemu.kill();
    qemu.wait()?;
    reached
}

/// The publisher's file: the envelope's map with one member more, the image.
fn file(signed: &SignedImage) -> Result<Vec<u8>, Box<dyn Error>> {
    let ([tag, number, 0xA2], members) = signed
        .envelope
        .split_first_chunk()
        .ok_or("the envelope is empty")?
    else {
        return Err("the envelope is no map of two members".into());
    };
    let name = IMAGE_PAYLOAD.as_bytes();
    let mut file = vec![*tag, *number, 0xA3];
    file.extend_from_slice(members);
    // CBOR: a short text; a byte string with a length of four bytes.
    file.push(0x60 + u8::try_from(name.len())?);
    file.extend_from_slice(name);
    file.push(0x5A);
    file.extend_from_slice(&u32::try_from(signed.image.len())?.to_be_bytes());
    file.extend_from_slice(&signed.image);
    Ok(file)
}

/// A client at the other end of the serial line.
struct Client<W, R> {
    to: W,
    from: R,
}

impl<W: Write, R: Read> Client<W, R> {
    /// Sends the whole file, and asks for the slots.
    fn bring(&mut self, file: &[u8]) -> Result<(), Box<dyn Error>> {
        // The lines before recovery are passed over as noise; a request that comes before it would be lost.
        self.read_until(b"waiting here for a signed image")?;
        for (number, piece) in file.chunks(PIECE_BYTES).enumerate() {
            let offset = number * PIECE_BYTES;
            let request = Request::Upload(Upload {
                offset: u32::try_from(offset)?,
                data: piece,
                length: (offset == 0).then_some(u32::try_from(file.len())?),
                sha: None,
            });
            let next = u32::try_from(offset + piece.len())?;
            self.ask(&request, |header, body| {
                match Response::parse(header.command, body) {
                    Some(Response::Upload { offset }) if offset == next => Ok(()),
                    other => Err(format!("the upload of the bytes up to {next} gave {other:?}").into()),
                }
            })?;
        }
        // Verifies both slots; what it says was tested elsewhere.
        self.ask(&Request::ImageState, |_, _| Ok(()))
    }

    fn ask(
        &mut self,
        request: &Request<'_>,
        check: impl FnOnce(Header, &[u8]) -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut room = [0; PACKET_BYTES];
        let packet =
            packet(&mut room, |message| request.encode(0, message)).map_err(|_| "the request is too long")?;
        let mut text = [0; LINE_BYTES_MAX];
        let mut number = 0;
        while let Some(line) = line(packet, number, &mut text) {
            self.to.write_all(line)?;
            number += 1;
        }
        self.to.flush()?;
        let mut reader = MessageReader::<PACKET_BYTES>::new();
        loop {
            if let Some(message) = reader.push(self.byte()?) {
                let (header, body) = Header::parse(message).ok_or("an answer without a header")?;
                return check(header, body);
            }
        }
    }

    fn read_until(&mut self, text: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut read = Vec::new();
        while !read.ends_with(text) {
            read.push(self.byte()?);
        }
        // The rest of the line.
        while self.byte()? != b'\n' {}
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Box<dyn Error>> {
        let mut byte = [0];
        self.from
            .read_exact(&mut byte)
            .map_err(|_| format!("{BOARD} ended"))?;
        Ok(byte[0])
    }
}
