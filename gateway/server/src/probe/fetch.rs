//! An image fetched as a device would, block by block (RFC 7959), and compared with its digest.

use std::time::{Duration, Instant};

use coap_lite::CoapOption;
use gateway_core::PAUSE_MAX_AGE_S;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::ProbeError;
use super::exchange::{Peer, Reply, Request};

/// Times a full link may put one block off, and the longest that is waited each time.
const PUT_OFF_MAX: u32 = 10;
const PUT_OFF_S_MAX: u64 = 60;

/// What a fetch came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Fetched {
    /// SHA-256 of what came.
    pub(super) digest: String,
    pub(super) size_bytes: u64,
    pub(super) blocks: u32,
    /// What the gateway chose, at most what was asked for.
    pub(super) block_bytes: u32,
    /// Requests that were sent again.
    pub(super) repeated: u32,
    /// Times the link was full.
    pub(super) put_off: u32,
    pub(super) took_ms: u64,
    /// Of blocks that were asked for once.
    pub(super) round_trip_ms_median: u64,
    pub(super) round_trip_ms_max: u64,
}

/// A Block2 value: 20 bits of number, one of more, three of size (RFC 7959 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    number: u32,
    more: bool,
    szx: u8,
}

impl Block {
    /// In as few bytes as it takes, none for 0.
    fn bytes(self) -> Vec<u8> {
        let value = self.number << 4 | u32::from(self.more) << 3 | u32::from(self.szx);
        let bytes = value.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes[zeros..].to_vec()
    }

    fn read(bytes: &[u8]) -> Option<Block> {
        if bytes.len() > 3 {
            return None;
        }
        let value = bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
        let block = Block {
            number: value >> 4,
            more: value & 8 != 0,
            szx: (value & 7) as u8,
        };
        // 7 is reserved.
        (block.szx < 7).then_some(block)
    }

    fn size(self) -> usize {
        16 << self.szx
    }
}

/// Fetches `/i/{digits}`, of which the first 16 go into the path and all are compared.
pub(super) fn fetch(peer: &mut Peer, digits: &str, block_size: u16) -> Result<Fetched, ProbeError> {
    let began = Instant::now();
    let repeated_before = peer.repeated;
    let short = digits.get(..16).unwrap_or(digits);
    let mut wanted = Block {
        number: 0,
        more: false,
        szx: (block_size.max(16).ilog2() - 4).min(6) as u8,
    };
    let mut transfer = Transfer::default();
    loop {
        let reply = transfer.block(peer, short, wanted)?;
        if reply.is_first_try {
            transfer.round_trips.push(reply.took);
        }
        match transfer.take(&reply, wanted)? {
            Some(next) => wanted = next,
            None => break,
        }
    }
    let digest: String = Sha256::digest(&transfer.bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if !digest.starts_with(&digits.to_ascii_lowercase()) {
        return Err(ProbeError::WrongImage { digest });
    }
    transfer.round_trips.sort_unstable();
    let middle = transfer.round_trips.get(transfer.round_trips.len() / 2);
    Ok(Fetched {
        digest,
        size_bytes: transfer.bytes.len() as u64,
        blocks: transfer.blocks,
        block_bytes: wanted.size() as u32,
        repeated: peer.repeated - repeated_before,
        put_off: transfer.put_off,
        took_ms: millis(began.elapsed()),
        round_trip_ms_median: middle.copied().map_or(0, millis),
        round_trip_ms_max: transfer.round_trips.last().copied().map_or(0, millis),
    })
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Default)]
struct Transfer {
    bytes: Vec<u8>,
    etag: Option<Vec<u8>>,
    blocks: u32,
    put_off: u32,
    round_trips: Vec<Duration>,
}

impl Transfer {
    /// One block, asked for again as often as the link is full.
    fn block(&mut self, peer: &mut Peer, short: &str, wanted: Block) -> Result<Reply, ProbeError> {
        let request = Request {
            body: None,
            path: &["i", short],
            block2: Some(wanted.bytes()),
        };
        for _ in 0..PUT_OFF_MAX {
            let reply = peer.ask(&request).map_err(|no_answer| ProbeError::Lost {
                no_answer: no_answer.into(),
                block: wanted.number,
                done_bytes: self.bytes.len(),
            })?;
            match reply.code().as_str() {
                "2.05" => return Ok(reply),
                "5.03" if reply.max_age_s() >= u64::from(PAUSE_MAX_AGE_S) => {
                    return Err(ProbeError::PutOff {
                        block: wanted.number,
                        seconds: reply.max_age_s(),
                    });
                }
                "5.03" => {
                    self.put_off += 1;
                    std::thread::sleep(Duration::from_secs(reply.max_age_s().min(PUT_OFF_S_MAX)));
                }
                "4.04" => return Err(ProbeError::NoImage { digits: short.into() }),
                code => {
                    return Err(ProbeError::Answered {
                        what: format!("block {}", wanted.number),
                        code: code.into(),
                        text: reply.text().into(),
                    });
                }
            }
        }
        Err(ProbeError::Busy)
    }

    /// Appends a block that is the next one, and says which comes then; `None` after the last.
    fn take(&mut self, reply: &Reply, wanted: Block) -> Result<Option<Block>, ProbeError> {
        let broken = |why: &str| ProbeError::BadBlock {
            block: wanted.number,
            why: why.into(),
        };
        let etag = reply.packet.get_first_option(CoapOption::ETag);
        if self.etag.get_or_insert_with(|| etag.cloned().unwrap_or_default()) != etag.unwrap_or(&Vec::new()) {
            return Err(broken("its ETag is another: the image changed meanwhile"));
        }
        let payload = &reply.packet.payload;
        let block = match reply.packet.get_first_option(CoapOption::Block2) {
            Some(value) => Block::read(value).ok_or_else(|| broken("its Block2 option is malformed"))?,
            // All of it at once.
            None if self.bytes.is_empty() => Block {
                more: false,
                ..wanted
            },
            None => return Err(broken("it carries no Block2 option")),
        };
        if block.szx > wanted.szx || block.number as usize * block.size() != self.bytes.len() {
            return Err(broken("it is another block than was asked for"));
        }
        if block.more && payload.len() != block.size() {
            return Err(broken("it is not full, and more follow"));
        }
        if self.bytes.len() + payload.len() > wire_manifest::IMAGE_BYTES_MAX as usize {
            return Err(broken("the image is longer than any"));
        }
        self.bytes.extend_from_slice(payload);
        self.blocks += 1;
        let next = Block {
            number: block.number + 1,
            more: false,
            szx: block.szx,
        };
        Ok(block.more.then_some(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_numbers_have_twenty_bits() {
        for (number, bytes) in [
            (0, vec![0x06]),
            (15, vec![0xf6]),
            (16, vec![0x01, 0x06]),
            (4_095, vec![0xff, 0xf6]),
            (4_096, vec![0x01, 0x00, 0x06]),
            (1_048_575, vec![0xff, 0xff, 0xf6]),
        ] {
            let block = Block {
                number,
                more: false,
                szx: 6,
            };
            assert_eq!(block.bytes(), bytes);
            assert_eq!(Block::read(&bytes), Some(block));
        }
        let first = Block {
            number: 0,
            more: false,
            szx: 0,
        };
        assert!(first.bytes().is_empty());
        assert_eq!(Block::read(&[]), Some(first));
        assert_eq!(Block::read(&[0x07]), None);
        assert_eq!(Block::read(&[0, 0, 0, 6]), None);
    }
}
