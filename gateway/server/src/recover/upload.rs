//! The whole recovery, step by step: who is there, do file and device belong together, the file, the restart.

use std::time::Duration;

use sha2::{Digest, Sha256};
use wire_smp::{ErrorCode, RECOVERY_QUERY, RecoveryInfo, Request, Response, Upload};

use super::RecoverError;
use super::client::{Answer, Client};
use super::file::{Content, ReleaseFile};
use crate::publisher::identity::uuid_text;

/// The bootloader's name.
const BOOTLOADER: &str = "deltagate";
/// How long the first answer may take, asked every second: a device that was just switched on verifies its slots first, and
/// one whose image hangs listens for 5 s after each reset by its watchdog, of 8 s on the emulated boards.
const FIRST_ANSWER_WAIT: Duration = Duration::from_secs(1);
const FIRST_ANSWER_TRIES: u32 = 20;
/// How long any other answer may take: checking a signature, or erasing, or hashing an image, takes a second on a slow
/// device, and a terminal server may be far away.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
const ANSWER_TRIES: u32 = 4;
/// How often the device may ask for the same piece.
const REPEATS_MAX: u32 = 8;

/// What the device said of itself.
#[derive(Debug, Clone)]
pub struct Found {
    /// Why it is in recovery.
    pub state: String,
    /// The sequence number below which it takes nothing.
    pub confirmed: Option<u32>,
    identity: Option<([u8; 16], [u8; 16])>,
    room_bytes: u32,
}

/// How a recovery went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// Where the device wanted to go on: 0 unless an upload had been interrupted.
    pub resumed_at_bytes: u32,
    /// Bytes of the file that were sent, those sent twice included.
    pub sent_bytes: u64,
}

/// Asks who is there.
///
/// # Errors
/// Nobody, or somebody else.
pub fn find(client: &mut Client) -> Result<Found, RecoverError> {
    let request = Request::Bootloader {
        query: Some(RECOVERY_QUERY),
    };
    let answer = client.ask(&request, FIRST_ANSWER_WAIT, FIRST_ANSWER_TRIES);
    let answer = answer.map_err(|source| line_lost(client, source))?;
    let answer = answer.ok_or_else(|| RecoverError::NoAnswer {
        port: client.port().to_owned(),
    })?;
    let says = match answer.read() {
        Some(Response::Bootloader {
            name: BOOTLOADER,
            recovery: Some(info),
        }) => return Ok(Found::of(&info)),
        Some(Response::Bootloader { name, .. }) => format!("\"{}\"", name.escape_debug()),
        Some(Response::Refused { .. }) => "that it knows no such question".to_owned(),
        _ => "something we do not understand".to_owned(),
    };
    Err(RecoverError::SomebodyElse {
        port: client.port().to_owned(),
        says,
    })
}

impl Found {
    fn of(info: &RecoveryInfo<'_>) -> Self {
        Self {
            state: info.state.to_owned(),
            confirmed: info.confirmed,
            identity: info.identity,
            room_bytes: info.room_bytes,
        }
    }

    /// Whether the device would take this file. The signature only the device can judge: it knows whom it trusts.
    ///
    /// # Errors
    /// [`RecoverError::Refused`] says why not.
    pub fn takes(&self, content: &Content) -> Result<(), RecoverError> {
        let refused = |problem, hint| Err(RecoverError::Refused { problem, hint });
        let Some((vendor, class)) = self.identity else {
            return refused(
                "the device is not provisioned: it has no key to check a signature with".to_owned(),
                "only its factory can help: it has to write identity and keys anew",
            );
        };
        let manifest = match content {
            Content::Image(manifest) => manifest,
            Content::Anchors { class_id, .. } => {
                return match class_id {
                    Some(other) if *other != class => refused(
                        format!(
                            "the set of trust anchors is for class {}, the device is of class {}",
                            uuid_text(other),
                            uuid_text(&class)
                        ),
                        "take the newest set that was signed for this device's class",
                    ),
                    _ => Ok(()),
                };
            }
        };
        if (manifest.vendor_id, manifest.class_id) != (vendor, class) {
            let problem = format!(
                "the file is for class {} of vendor {}, the device is of class {} of vendor {}",
                uuid_text(&manifest.class_id),
                uuid_text(&manifest.vendor_id),
                uuid_text(&class),
                uuid_text(&vendor),
            );
            return refused(
                problem,
                "take a file that was signed for this device's vendor and class",
            );
        }
        if let Some(confirmed) = self
            .confirmed
            .filter(|&least| manifest.sequence_number < least.into())
        {
            let problem = format!(
                "the file has sequence {}, and the device has confirmed sequence {confirmed} already: it takes nothing older",
                manifest.sequence_number
            );
            return refused(problem, TAKE_NEWER);
        }
        if manifest.image_size > self.room_bytes {
            let problem = format!(
                "the image has {} bytes, the device has room for {}",
                manifest.image_size, self.room_bytes
            );
            return refused(problem, "take a file that was signed for this device's class");
        }
        Ok(())
    }
}

const TAKE_NEWER: &str = "take the release it had, or a newer one; to go back on purpose, sign the old image with a higher --sequence";

/// Sends the file and lets the device restart. `progress` is told how many bytes of the file the device has.
///
/// # Errors
/// The device refuses, falls silent, or the line breaks.
pub fn recover(
    client: &mut Client,
    release: &ReleaseFile,
    progress: &mut dyn FnMut(u32) -> Result<(), RecoverError>,
) -> Result<Recovered, RecoverError> {
    let answer = asked(client, &Request::Parameters, (0, release))?;
    if let Some(Response::Parameters { buffer_bytes }) = answer.read() {
        client.set_packet_bytes_max(buffer_bytes);
    }
    let recovered = match send(client, release, progress) {
        // What lay in the slot was not what it seemed, and is erased now: the second time nothing is taken over from it.
        Err(Refusal::Device(ErrorCode::Corrupt, _)) => send(client, release, progress),
        other => other,
    };
    let recovered = recovered.map_err(|refusal| match refusal {
        Refusal::Device(code, reason) => refused(code, &reason),
        Refusal::Other(error) => error,
    })?;
    let bytes = release.bytes.len() as u32;
    asked(client, &Request::Reset, (bytes, release))?;
    Ok(recovered)
}

/// What ends an upload early.
enum Refusal {
    Device(ErrorCode, String),
    Other(RecoverError),
}

impl From<RecoverError> for Refusal {
    fn from(error: RecoverError) -> Self {
        Self::Other(error)
    }
}

fn send(
    client: &mut Client,
    release: &ReleaseFile,
    progress: &mut dyn FnMut(u32) -> Result<(), RecoverError>,
) -> Result<Recovered, Refusal> {
    let file = &release.bytes;
    let sha = Sha256::digest(file);
    let bytes = file.len() as u32;
    let (mut at, mut furthest, mut repeats) = (0, 0, 0);
    let mut recovered = Recovered {
        resumed_at_bytes: 0,
        sent_bytes: 0,
    };
    while at < bytes {
        let end = (at as usize + client.piece_bytes_max()).min(file.len());
        let piece = &file[at as usize..end];
        let request = Request::Upload(Upload {
            offset: at,
            data: piece,
            // Also after a restart of the device, which then asks for the beginning.
            length: (at == 0).then_some(bytes),
            sha: (at == 0).then_some(&sha),
        });
        let answer = asked(client, &request, (at, release))?;
        recovered.sent_bytes += piece.len() as u64;
        let next = match answer.read() {
            Some(Response::Upload { offset }) if offset <= bytes => offset,
            Some(Response::Refused { code, reason }) => {
                return Err(Refusal::Device(code, reason.escape_debug().to_string()));
            }
            _ => {
                let reason = "its answer makes no sense".to_owned();
                return Err(Refusal::Device(ErrorCode::Unknown, reason));
            }
        };
        // More than we sent: the device has it from before.
        if next > end as u32 {
            recovered.resumed_at_bytes = recovered.resumed_at_bytes.max(next);
        }
        repeats = if next > furthest { 0 } else { repeats + 1 };
        if repeats > REPEATS_MAX + furthest / client.piece_bytes_max() as u32 {
            return Err(Refusal::Other(RecoverError::Stalled {
                done_bytes: furthest,
                bytes,
            }));
        }
        furthest = furthest.max(next);
        at = next;
        progress(at)?;
    }
    Ok(recovered)
}

/// Asks a device that has answered before.
fn asked(
    client: &mut Client,
    request: &Request<'_>,
    so_far: (u32, &ReleaseFile),
) -> Result<Answer, RecoverError> {
    let answer = client.ask(request, ANSWER_WAIT, ANSWER_TRIES);
    let answer = answer.map_err(|source| line_lost(client, source))?;
    answer.ok_or(RecoverError::Interrupted {
        done_bytes: so_far.0,
        bytes: so_far.1.bytes.len() as u32,
    })
}

fn line_lost(client: &Client, source: std::io::Error) -> RecoverError {
    RecoverError::Line {
        port: client.port().to_owned(),
        source,
    }
}

fn refused(code: ErrorCode, reason: &str) -> RecoverError {
    let problem = match reason {
        "" => format!("the device refuses the file (error {})", code.number()),
        reason => format!("the device refuses the file: {reason}"),
    };
    let hint = match code {
        ErrorCode::AccessDenied if reason.contains("not newer") => TAKE_NEWER,
        ErrorCode::AccessDenied => {
            "deltagate image inspect FILE shows key, class and sequence; take a file signed by a key this device trusts"
        }
        ErrorCode::Corrupt => "the file is damaged, or its line is: try again, or fetch the file again",
        ErrorCode::Unknown => {
            "the flash may be worn out: run the same command again, the device then takes its other slot"
        }
        _ => "deltagate image inspect FILE says what is in the file",
    };
    RecoverError::Refused { problem, hint }
}
