//! Messages among the bytes of a serial line, and back: packets in base64, cut into lines.

use crate::NoSpace;

/// Longest line we write, its line feed included.
pub const LINE_BYTES_MAX: usize = 127;
/// What a packet adds to its message: the length before it and the CRC behind it.
pub const PACKET_OVERHEAD_BYTES: usize = LENGTH_BYTES + CRC_BYTES;

const LENGTH_BYTES: usize = 2;
const CRC_BYTES: usize = 2;
/// ASCII ACK and TAB begin a packet, EOT and DC4 go on with it.
const FIRST: [u8; 2] = [0x06, 0x09];
const NEXT: [u8; 2] = [0x04, 0x14];
const LINE_FEED: u8 = b'\n';
const PAD: u8 = b'=';
/// Bytes of a packet in a full line: as many groups of three as fit between the marker and the line feed.
const PACKED_BYTES_MAX: usize = (LINE_BYTES_MAX - 3) / 4 * 3;

/// Finds messages among the bytes of a serial line. `N` bounds a packet: messages of up to `N` - [`PACKET_OVERHEAD_BYTES`]
/// bytes are read, and `N` is the `buf_size` that clients are told.
///
/// Whatever is no packet is passed over: text, noise, lines that follow nothing, packets too long or with a wrong CRC. A new
/// first line ends whatever came before it.
#[derive(Debug)]
pub struct MessageReader<const N: usize> {
    packet: [u8; N],
    len: usize,
    state: State,
    /// Base64 digits not yet bytes: six bits each.
    digits: u32,
    digits_count: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between lines; `true`: a packet is unfinished and its next line welcome.
    Between(bool),
    /// The first byte of a marker was read; the `bool` is for the state after a false alarm.
    Marker(u8, bool),
    /// Within a line of base64.
    Line,
    /// Within a line whose base64 was padded and so is at its end.
    Padded,
}

impl<const N: usize> Default for MessageReader<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> MessageReader<N> {
    /// A reader that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > PACKET_OVERHEAD_BYTES && N <= u16::MAX as usize) };
        Self {
            packet: [0; N],
            len: 0,
            state: State::Between(false),
            digits: 0,
            digits_count: 0,
        }
    }

    /// Takes in one byte. `Some`: with it a message is complete, its CRC right.
    pub fn push(&mut self, byte: u8) -> Option<&[u8]> {
        self.state = match self.state {
            State::Between(unfinished) => between(byte, unfinished),
            State::Marker(first, unfinished) => match [first, byte] {
                FIRST => {
                    self.len = 0;
                    self.begin_line()
                }
                NEXT if unfinished => self.begin_line(),
                _ => between(byte, unfinished),
            },
            State::Line | State::Padded => match byte {
                LINE_FEED if self.is_complete() => {
                    self.state = State::Between(false);
                    return self.message();
                }
                LINE_FEED => State::Between(true),
                // Some clients end lines like a terminal.
                b'\r' => self.state,
                PAD => self.pad(),
                _ if self.state == State::Line => self.digit(byte),
                _ => between(byte, false),
            },
        };
        None
    }

    fn begin_line(&mut self) -> State {
        self.digits_count = 0;
        State::Line
    }

    fn digit(&mut self, byte: u8) -> State {
        let Some(value) = value_of(byte) else {
            // Perhaps a sender was cut short, and another begins.
            return between(byte, false);
        };
        self.digits = self.digits << 6 | value;
        self.digits_count += 1;
        if self.digits_count < 4 {
            return State::Line;
        }
        self.digits_count = 0;
        let [_, bytes @ ..] = self.digits.to_be_bytes();
        self.append(&bytes, State::Line)
    }

    /// RFC 4648 §4: two digits before the padding are one byte, three are two.
    fn pad(&mut self) -> State {
        let count = core::mem::take(&mut self.digits_count);
        let [_, bytes @ ..] = (self.digits << (6 * (4 - u32::from(count)) % 24)).to_be_bytes();
        match count {
            2 => self.append(&bytes[..1], State::Padded),
            3 => self.append(&bytes[..2], State::Padded),
            0 => State::Padded,
            _ => State::Between(false),
        }
    }

    /// Appends to the packet and goes on in `state`; a packet that says it is longer than the buffer is given up at once.
    fn append(&mut self, bytes: &[u8], state: State) -> State {
        for &byte in bytes {
            let Some(place) = self.packet.get_mut(self.len) else {
                return State::Between(false);
            };
            *place = byte;
            self.len += 1;
        }
        state
    }

    /// What the packet says of itself: length of message and CRC.
    fn stated(&self) -> usize {
        usize::from(u16::from_be_bytes([self.packet[0], self.packet[1]]))
    }

    fn is_complete(&self) -> bool {
        self.len >= LENGTH_BYTES && self.len >= LENGTH_BYTES + self.stated()
    }

    fn message(&self) -> Option<&[u8]> {
        let packet = self.packet.get(LENGTH_BYTES..LENGTH_BYTES + self.stated())?;
        let (message, crc) = packet.split_last_chunk::<CRC_BYTES>()?;
        (crc16(message) == u16::from_be_bytes(*crc)).then_some(message)
    }
}

fn between(byte: u8, unfinished: bool) -> State {
    if byte == FIRST[0] || byte == NEXT[0] {
        State::Marker(byte, unfinished)
    } else {
        State::Between(unfinished)
    }
}

/// Makes a packet: `fill` writes a message into the room it is given and says how long it is. Returns the packet, of which
/// [`line`] makes lines.
///
/// # Errors
/// [`NoSpace`] from `fill`, or when there is none for length and CRC. A packet has at most 65,535 bytes of message and CRC.
pub fn packet(
    out: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> Result<usize, NoSpace>,
) -> Result<&[u8], NoSpace> {
    let (stated, rest) = out.split_first_chunk_mut::<LENGTH_BYTES>().ok_or(NoSpace)?;
    let room = rest.len().checked_sub(CRC_BYTES).ok_or(NoSpace)?;
    let bytes = fill(rest.get_mut(..room).ok_or(NoSpace)?)?;
    let (message, rest) = rest.split_at_mut_checked(bytes).ok_or(NoSpace)?;
    *stated = u16::try_from(bytes + CRC_BYTES)
        .map_err(|_| NoSpace)?
        .to_be_bytes();
    *rest.first_chunk_mut().ok_or(NoSpace)? = crc16(message).to_be_bytes();
    out.get(..PACKET_OVERHEAD_BYTES + bytes).ok_or(NoSpace)
}

/// Line `number`, from 0, of a packet; `None` behind the last. Lines are independent of each other, so that whoever sends
/// them needs to remember a number only.
pub fn line<'l>(packet: &[u8], number: usize, into: &'l mut [u8; LINE_BYTES_MAX]) -> Option<&'l [u8]> {
    let part = packet.chunks(PACKED_BYTES_MAX).nth(number)?;
    let mut len = 0;
    let mut put = |byte| {
        if let Some(place) = into.get_mut(len) {
            *place = byte;
            len += 1;
        }
    };
    let [first, second] = if number == 0 { FIRST } else { NEXT };
    put(first);
    put(second);
    for group in part.chunks(3) {
        let mut bytes = [0; 4];
        for (place, &byte) in bytes.iter_mut().skip(1).zip(group) {
            *place = byte;
        }
        let bits = u32::from_be_bytes(bytes);
        for digit in 0..4 {
            // The last two digits need the group's second and third byte.
            put(match digit > group.len() {
                true => PAD,
                false => digit_of(bits >> (18 - 6 * digit) & 63),
            });
        }
    }
    put(LINE_FEED);
    into.get(..len)
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, begun with 0. Bit by bit: it waits for the line anyway.
fn crc16(message: &[u8]) -> u16 {
    let mut crc = 0;
    for &byte in message {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 };
        }
    }
    crc
}

/// RFC 4648 §4, the standard alphabet.
const fn digit_of(value: u32) -> u8 {
    let value = value as u8;
    match value {
        0..26 => b'A' + value,
        26..52 => b'a' + value - 26,
        52..62 => b'0' + value - 52,
        62 => b'+',
        _ => b'/',
    }
}

const fn value_of(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value as u32)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn lines(message: &[u8]) -> Vec<u8> {
        let mut buffer = std::vec![0; message.len() + PACKET_OVERHEAD_BYTES];
        let packet = packet(&mut buffer, |room| {
            room.copy_from_slice(message);
            Ok(message.len())
        });
        let packet = packet.unwrap();
        let mut buffer = [0; LINE_BYTES_MAX];
        let mut bytes = Vec::new();
        let mut number = 0;
        while let Some(line) = line(packet, number, &mut buffer) {
            assert!(line.len() <= LINE_BYTES_MAX);
            bytes.extend_from_slice(line);
            number += 1;
        }
        bytes
    }

    fn read<const N: usize>(reader: &mut MessageReader<N>, bytes: &[u8]) -> Vec<Vec<u8>> {
        bytes
            .iter()
            .filter_map(|&byte| reader.push(byte).map(<[u8]>::to_vec))
            .collect()
    }

    /// Made by the Python package smp 4.2.0, `smp.packet.encode(b"Hello, world!")`.
    #[test]
    fn lines_are_those_of_another_implementation() {
        assert_eq!(lines(b"Hello, world!"), b"\x06\tAA9IZWxsbywgd29ybGQhet4=\n");
        assert_eq!(
            read(
                &mut MessageReader::<64>::new(),
                b"\x06\tAA9I\n\x04\x14ZWxs\n\x04\x14bywg\n\x04\x14d29y\n\x04\x14bGQh\n\x04\x14et4=\n"
            ),
            [b"Hello, world!"]
        );
    }

    /// The check value of the catalogue of parametrised CRC algorithms.
    #[test]
    fn the_crc_is_the_one_of_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
    }

    #[test]
    fn a_console_around_and_between_the_lines_is_passed_over() {
        let mut noisy = b"boot: RECOVERY \x06\x06\n\x04\x14AAAA\n".to_vec();
        for line in lines(&[7; 200]).split_inclusive(|&byte| byte == b'\n') {
            noisy.extend_from_slice(line);
            noisy.extend_from_slice(b"\x04 a log line, 100 % ok\r\n");
        }
        assert_eq!(read(&mut MessageReader::<256>::new(), &noisy), [[7; 200]]);
    }

    #[test]
    fn what_is_longer_than_the_buffer_is_passed_over_and_the_next_is_read() {
        let mut bytes = lines(&[1; 61]);
        bytes.extend(lines(&[2; 60]));
        assert_eq!(read(&mut MessageReader::<64>::new(), &bytes), [[2; 60]]);
    }

    #[test]
    fn no_flipped_bit_makes_another_message() {
        let sound = lines(b"Hello, world!");
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // RFC 4648 §3.5: the bits that padding leaves over are not looked at.
            for message in read(&mut MessageReader::<64>::new(), &bytes) {
                assert_eq!(message, b"Hello, world!", "bit {bit}");
            }
        }
    }

    #[test]
    fn a_packet_that_is_begun_anew_is_read() {
        let whole = lines(&[3; 150]);
        for cut in 0..whole.len() - 1 {
            let mut bytes = whole[..cut].to_vec();
            bytes.extend_from_slice(&whole);
            assert_eq!(
                read(&mut MessageReader::<256>::new(), &bytes),
                [[3; 150]],
                "{cut}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_message_comes_back(message: Vec<u8>) {
            let mut reader = MessageReader::<4096>::new();
            prop_assert_eq!(read(&mut reader, &lines(&message)), [message]);
        }

        /// Any bytes, and any bytes between markers: nothing panics, and the next sound packet is read.
        #[test]
        fn after_any_bytes_a_sound_packet_is_read(
            noise in proptest::collection::vec(prop_oneof![any::<u8>(), Just(6), Just(9), Just(4), Just(20), Just(b'=')], 0..600),
        ) {
            let mut reader = MessageReader::<64>::new();
            read(&mut reader, &noise);
            prop_assert_eq!(read(&mut reader, &lines(b"sound")), [b"sound"]);
        }
    }
}
