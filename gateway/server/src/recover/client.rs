//! Questions and answers over a port.

use std::io;
use std::time::{Duration, Instant};

use wire_smp::{
    Header, LINE_BYTES_MAX, MessageReader, PACKET_OVERHEAD_BYTES, Request, Response,
    UPLOAD_OVERHEAD_BYTES_MAX, line, packet,
};

use super::port::Port;

/// Longest packet we read: mcumgr's own default is 384.
const ANSWER_BYTES_MAX: usize = 2048;
/// Longest packet we write, whatever a device says it reads.
const QUESTION_BYTES_MAX: usize = 16 << 10;

/// A client at one end of a line.
#[derive(Debug)]
pub struct Client {
    port: Port,
    sequence: u8,
    reader: MessageReader<ANSWER_BYTES_MAX>,
    /// The longest packet the device reads.
    packet_bytes_max: usize,
}

/// An answer: the message without its header.
#[derive(Debug, Clone)]
pub struct Answer {
    request: wire_smp::Command,
    body: Vec<u8>,
}

impl Answer {
    /// What it says; `None` if it is no answer to what was asked.
    #[must_use]
    pub fn read(&self) -> Option<Response<'_>> {
        Response::parse(self.request, &self.body)
    }
}

impl Client {
    /// A client that knows nothing of the device yet, and so keeps its questions to 256 bytes.
    #[must_use]
    pub fn new(port: Port) -> Self {
        Self {
            port,
            sequence: 0,
            reader: MessageReader::new(),
            packet_bytes_max: 256,
        }
    }

    /// The line's name.
    #[must_use]
    pub fn port(&self) -> &str {
        self.port.name()
    }

    /// From now on packets may be as long as the device reads.
    pub fn set_packet_bytes_max(&mut self, bytes: u32) {
        self.packet_bytes_max = (bytes as usize).clamp(128, QUESTION_BYTES_MAX);
    }

    /// How much of a file fits a question.
    #[must_use]
    pub fn piece_bytes_max(&self) -> usize {
        self.packet_bytes_max - PACKET_OVERHEAD_BYTES - UPLOAD_OVERHEAD_BYTES_MAX
    }

    /// Asks until there is an answer: again after each `wait`, `tries` times in all. `None`: nobody answers.
    ///
    /// Every question may be repeated: a piece of a file that is there already is not taken twice.
    ///
    /// # Errors
    /// The line broke.
    pub fn ask(&mut self, request: &Request<'_>, wait: Duration, tries: u32) -> io::Result<Option<Answer>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut buffer = vec![0; QUESTION_BYTES_MAX];
        let sequence = self.sequence;
        let packet = packet(&mut buffer, |room| request.encode(sequence, room)).map_err(io::Error::other)?;
        for _ in 0..tries {
            self.send(packet)?;
            if let Some(answer) = self.wait_for_answer(request, wait)? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut line_buffer = [0; LINE_BYTES_MAX];
        for number in 0.. {
            let Some(line) = line(packet, number, &mut line_buffer) else {
                break;
            };
            self.port.send(line)?;
        }
        Ok(())
    }

    fn wait_for_answer(&mut self, request: &Request<'_>, wait: Duration) -> io::Result<Option<Answer>> {
        let (operation, command) = request.command();
        let deadline = Instant::now() + wait;
        let mut bytes = [0; 256];
        while Instant::now() < deadline {
            let count = self.port.receive(&mut bytes)?;
            for &byte in &bytes[..count] {
                let Some((header, body)) = self.reader.push(byte).and_then(Header::parse) else {
                    continue;
                };
                let is_ours = header.sequence == self.sequence
                    && header.command == command
                    && Some(header.operation) == operation.response();
                // What is behind it on the line is nobody's: we asked one question.
                if is_ours {
                    return Ok(Some(Answer {
                        request: command,
                        body: body.to_vec(),
                    }));
                }
            }
        }
        Ok(None)
    }
}
