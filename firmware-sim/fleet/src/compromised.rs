//! A gateway in the wrong hands: it offers every device whatever it was told to offer, checked by nobody.
//!
//! The real gateway refuses to assign an image of another class or an older one, so only this one can show that the
//! device does not rely on that.

use crate::watched::Watched;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;
use wire_checkin::{ANSWER_BYTES_MAX, Answer, CheckIn, Format, Job, JobPath, LastUpdate, Severity};
use wire_coap::{Code, ContentFormat, Kind, Message, Writer};

/// Largest datagram it reads or writes.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// Seconds it tells a device to wait.
const CHECK_IN_INTERVAL_S: u32 = 1;

/// What it offers.
#[derive(Clone, Debug)]
pub struct Bait {
    /// The signed envelope, text severed.
    pub envelope: Vec<u8>,
    /// The sequence number that the job names, whatever the envelope says.
    pub sequence_number: u64,
    /// Size of the payload that the job names.
    pub payload_bytes: u32,
    /// A set of trust anchors and its number, given before the job to a device that has an older one.
    pub anchors: Option<(u16, Vec<u8>)>,
}

/// What devices told it.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Check-ins.
    pub check_ins: u32,
    /// Requests for payload or manifest.
    pub fetches: u32,
    /// Every report of what became of an update.
    pub reports: Vec<LastUpdate>,
    /// Sequence number that the device ran at its last check-in.
    pub running: Option<u64>,
    /// The set of trust anchors that was in force then.
    pub anchors: Option<u16>,
}

/// A running compromised gateway. Dropping it ends it.
#[derive(Debug)]
pub struct CompromisedGateway {
    address: SocketAddr,
    heard: Watched<Heard>,
    stopping: Watched<bool>,
    thread: Option<JoinHandle<()>>,
}

impl CompromisedGateway {
    /// Starts offering `bait` at a free port.
    pub fn start(bait: Bait) -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        let address = socket.local_addr()?;
        let heard: Watched<Heard> = Watched::default();
        let stopping = Watched::new(false);
        let thread = {
            let (heard, stopping) = (heard.clone(), stopping.clone());
            std::thread::Builder::new()
                .name("compromised".into())
                .spawn(move || serve(&socket, &bait, &heard, &stopping))?
        };
        Ok(Self {
            address,
            heard,
            stopping,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until what it heard satisfies `fact`, or `None` after `patience`.
    pub fn wait_until(&self, patience: Duration, fact: impl FnMut(&Heard) -> bool) -> Option<Heard> {
        self.heard.wait_until(patience, fact)
    }
}

impl Drop for CompromisedGateway {
    fn drop(&mut self) {
        self.stopping.update(|stopping| *stopping = true);
        // Wakes the thread; if it cannot be sent, the process is ending anyway.
        let woken = UdpSocket::bind(("127.0.0.1", 0)).and_then(|socket| socket.send_to(&[], self.address));
        if let (Some(thread), Ok(_)) = (self.thread.take(), woken) {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, bait: &Bait, heard: &Watched<Heard>, stopping: &Watched<bool>) {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
        if stopping.get() {
            return;
        }
        if let Some(reply) = answer(&buffer[..length], bait, heard) {
            // A lost reply is asked for again.
            let _ = socket.send_to(&reply, peer);
        }
    }
}

fn answer(datagram: &[u8], bait: &Bait, heard: &Watched<Heard>) -> Option<Vec<u8>> {
    let request = Message::parse(datagram).ok()?;
    if request.kind() != Kind::Confirmable {
        return None;
    }
    if request.code() != Code::POST || !request.path_is(&["c"]) {
        heard.update(|heard| heard.fetches += 1);
        return reply(&request, Code::NOT_FOUND, &[]);
    }
    let check_in = CheckIn::decode(request.payload()).ok()?;
    heard.update(|heard| {
        heard.check_ins += 1;
        heard.running = Some(check_in.sequence_number);
        heard.anchors = check_in.anchors;
        heard.reports.extend(check_in.last_update);
    });
    let newer = |set: &&(u16, Vec<u8>)| Some(set.0) > check_in.anchors.max(check_in.anchors_waiting);
    let offer = Answer {
        ack_timeout_ms: Some(2_000),
        job: Some(Job {
            path: JobPath::new("trap")?,
            format: Format::Full,
            payload_bytes: bait.payload_bytes,
            artefact_digest: [0x5a; 16],
            sequence_number: bait.sequence_number,
            severity: Severity::Critical,
            defer_s_max: Some(0),
        }),
        envelope: Some(&bait.envelope),
        ..Answer::idle(CHECK_IN_INTERVAL_S)
    };
    let offer = match bait.anchors.as_ref().filter(newer) {
        Some((_, set)) => Answer {
            anchors: Some(set),
            ..Answer::idle(CHECK_IN_INTERVAL_S)
        },
        None => offer,
    };
    let mut body = [0; ANSWER_BYTES_MAX];
    reply(&request, Code::CHANGED, offer.encode(&mut body).ok()?)
}

/// A piggybacked response (RFC 7252 §5.2.1).
fn reply(request: &Message<'_>, code: Code, body: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    let mut writer = Writer::new(
        &mut buffer,
        Kind::Acknowledgement,
        code,
        request.message_id(),
        request.token(),
    )
    .ok()?;
    if !body.is_empty() {
        writer.content_format(ContentFormat::CBOR).ok()?;
        writer.payload(body).ok()?;
    }
    Some(writer.finish().to_vec())
}
