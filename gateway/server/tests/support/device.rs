//! A device on the wire: checks in and fetches blocks with the codec that firmware uses.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use deltagate::publisher::identity::{class_id, vendor_id};
use wire_checkin::{Answer, CheckIn, DeviceId, DigestPrefix, Format, Formats, Job, LastUpdate, Outcome};
use wire_coap::{
    BlockNumber, BlockSize, BlockValue, Code, ContentFormat, Kind, Message, MessageId, OptionNumber, Token,
    Writer,
};

use super::{CLASS, Site, VENDOR, sha256};

/// One device with its own socket.
pub(crate) struct Device {
    socket: UdpSocket,
    message_id: u16,
    pub(crate) check_in: CheckIn,
}

/// An answer, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: Code,
    pub(crate) block2: Option<BlockValue>,
    pub(crate) etag: Option<Vec<u8>>,
    pub(crate) size2: Option<u32>,
    pub(crate) max_age: Option<u32>,
    pub(crate) payload: Vec<u8>,
}

/// A check-in's answer, owned.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) job: Option<Job>,
    pub(crate) envelope: Option<Vec<u8>>,
    pub(crate) statement: Option<Vec<u8>>,
    pub(crate) anchors: Option<Vec<u8>>,
    pub(crate) next_check_in_s: u32,
}

/// How long a reply may take on a busy machine before the request is repeated; and how often.
const PATIENCE: Duration = Duration::from_secs(2);
const TRIES: usize = 10;

impl Device {
    /// A device that runs `old` and was assigned `new`, whose digest is given too; both were imported.
    pub(crate) fn assigned(site: &Site, old: &[u8], new: &[u8]) -> (Device, String) {
        site.import("v1", old, 1);
        let digest = site.import("v2", new, 2);
        let mut device = Device::running(1, old, 1);
        device.check_in(site.address());
        site.done(&format!(
            "update assign {} --device {}",
            &digest[..16],
            device.id()
        ));
        (device, digest)
    }

    /// A device that runs `image` with this sequence number and decodes `full` and `patch`.
    pub(crate) fn running(id: u8, image: &[u8], sequence_number: u64) -> Device {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let vendor_id = vendor_id(VENDOR);
        let check_in = CheckIn {
            device_id: DeviceId::new(&[0x52, 0x54, 0, 0, 0, id]).unwrap(),
            vendor_id,
            class_id: class_id(&vendor_id, CLASS),
            running_digest: DigestPrefix::of(&sha256(image)),
            sequence_number,
            slot_capacity_bytes: 520_192,
            staging_bytes: None,
            erase_sector_bytes: 4_096,
            block_szx_max: 6,
            round_trip_ms: 0,
            decoder_memory_bytes: 16_384,
            formats: Formats::of(&[Format::Full, Format::Patch]),
            last_update: None,
            on_trial: false,
            deferral: None,
            in_place_reach_bytes: None,
            anchors: None,
            anchors_waiting: None,
            freshness: None,
        };
        Device {
            socket,
            message_id: u16::from(id) << 8,
            check_in,
        }
    }

    pub(crate) fn id(&self) -> String {
        self.check_in.device_id.to_string()
    }

    /// `POST /c`.
    pub(crate) fn check_in(&mut self, gateway: SocketAddr) -> Told {
        let mut body = [0; wire_checkin::CHECK_IN_BYTES_MAX];
        let body = self.check_in.encode(&mut body).unwrap().to_vec();
        let reply = self.ask(gateway, Code::POST, |request| {
            request.uri_path("c").unwrap();
            request.content_format(ContentFormat::CBOR).unwrap();
            request.payload(&body).unwrap();
        });
        assert_eq!(reply.code, Code::CHANGED, "{reply:?}");
        let answer = Answer::decode(&reply.payload).unwrap();
        Told {
            job: answer.job,
            envelope: answer.envelope.map(<[u8]>::to_vec),
            statement: answer.statement.map(<[u8]>::to_vec),
            anchors: answer.anchors.map(<[u8]>::to_vec),
            next_check_in_s: answer.next_check_in_s,
        }
    }

    /// Checks in, waits for the build that this starts, and checks in again for the job.
    pub(crate) fn job(&mut self, site: &Site) -> (Job, Vec<u8>) {
        let mut told = self.check_in(site.address());
        if told.job.is_none() {
            site.wait_until_built();
            told = self.check_in(site.address());
        }
        (
            told.job.expect("a job"),
            told.envelope.expect("the envelope fits the answer"),
        )
    }

    /// Checks in with what became of the last update.
    pub(crate) fn report(&mut self, gateway: SocketAddr, sequence_number: u64, outcome: Outcome) -> Told {
        self.check_in.last_update = Some(LastUpdate {
            sequence_number,
            outcome,
            detail: None,
        });
        let told = self.check_in(gateway);
        self.check_in.last_update = None;
        told
    }

    /// One block of `path`.
    pub(crate) fn block(&mut self, gateway: SocketAddr, path: &str, number: u32, size: BlockSize) -> Reply {
        let value = BlockValue::request(BlockNumber::new(number).unwrap(), size);
        self.ask(gateway, Code::GET, |request| {
            path.split('/')
                .for_each(|segment| request.uri_path(segment).unwrap());
            request.block(OptionNumber::BLOCK2, value).unwrap();
        })
    }

    /// Blocks from `first` to the end, and the ETag they all carried.
    pub(crate) fn fetch_from(
        &mut self,
        gateway: SocketAddr,
        path: &str,
        first: u32,
        size: BlockSize,
    ) -> (Vec<u8>, Vec<u8>) {
        let mut bytes = Vec::new();
        let mut etag = None;
        for number in first.. {
            let reply = self.block(gateway, path, number, size);
            assert_eq!(reply.code, Code::CONTENT, "block {number}: {reply:?}");
            let value = reply.block2.unwrap();
            assert_eq!(value.number.value(), number);
            assert_eq!(*etag.get_or_insert(reply.etag.clone()), reply.etag);
            bytes.extend_from_slice(&reply.payload);
            if !value.more {
                break;
            }
        }
        (bytes, etag.flatten().unwrap())
    }

    /// A confirmable exchange, repeated with the same message id as RFC 7252 §4.2 has it.
    pub(crate) fn ask(
        &mut self,
        gateway: SocketAddr,
        code: Code,
        fill: impl FnOnce(&mut Writer<'_>),
    ) -> Reply {
        self.message_id = self.message_id.wrapping_add(1);
        let token = Token::from_u32(u32::from(self.message_id) | 0x1_0000);
        let mut buffer = [0; 1_280];
        let mut request = Writer::new(
            &mut buffer,
            Kind::Confirmable,
            code,
            MessageId(self.message_id),
            token,
        )
        .unwrap();
        fill(&mut request);
        let datagram = request.finish();
        let mut incoming = [0; 2_048];
        for _ in 0..TRIES {
            self.socket.send_to(datagram, gateway).unwrap();
            // An error is a timeout, or the ICMP answer while the gateway is down.
            while let Ok((length, from)) = self.socket.recv_from(&mut incoming) {
                let message = Message::parse(&incoming[..length]).unwrap();
                assert_eq!(from, gateway);
                if message.token() == token {
                    return owned(&message);
                }
            }
        }
        panic!("no reply after {TRIES} tries");
    }
}

fn owned(message: &Message<'_>) -> Reply {
    Reply {
        code: message.code(),
        block2: message.block2().unwrap(),
        etag: message.etag().map(|etag| etag.as_bytes().to_vec()),
        size2: message.size2(),
        max_age: message.max_age(),
        payload: message.payload().to_vec(),
    }
}
