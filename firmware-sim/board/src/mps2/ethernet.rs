//! SMSC LAN9118 Ethernet controller: whole frames, polled. Section numbers are those of its data sheet.

use crate::register::{Register, register_block};

register_block!(lan, 0x4020_0000, 0x100);

/// A frame without its check sequence: 14 bytes of header and 1,500 of payload.
pub const ETHERNET_FRAME_BYTES_MAX: usize = 1514;
/// The check sequence, which the controller delivers and adds itself.
const CHECK_BYTES: usize = 4;

const RX_DATA: Register = lan(0x00);
const TX_DATA: Register = lan(0x20);
const RX_STATUS: Register = lan(0x40);
const TX_STATUS: Register = lan(0x48);
const INTERRUPT_CONFIG: Register = lan(0x54);
const INTERRUPT_STATUS: Register = lan(0x58);
const INTERRUPT_ENABLE: Register = lan(0x5C);
const BYTE_TEST: Register = lan(0x64);
const TX_CONFIG: Register = lan(0x70);
const HW_CONFIG: Register = lan(0x74);
const FIFO_LEVELS: Register = lan(0x68);
const RX_FIFO: Register = lan(0x7C);
const TX_FIFO: Register = lan(0x80);
const MAC_COMMAND: Register = lan(0xA4);
const MAC_DATA: Register = lan(0xA8);

const BYTE_TEST_VALUE: u32 = 0x8765_4321;
const SOFT_RESET: u32 = 1;
/// §5.3.9: 5 KiB of the FIFO memory for transmission; bit 20 must be one.
const FIFO_SPLIT: u32 = 5 << 16 | 1 << 20;
const TX_ON: u32 = 2;
/// §5.3.1: the interrupt line is on, push-pull, active high.
const INTERRUPT_LINE_ON: u32 = 1 << 8 | 1 << 4 | 1;
/// §5.3.3: the RX status FIFO holds more than its level, which is none.
const INTERRUPT_RX: u32 = 1 << 3;
const RX_STATUS_ERROR: u32 = 1 << 15;
/// §3.12.2: one buffer holds the whole frame.
const TX_FIRST_AND_LAST: u32 = 1 << 13 | 1 << 12;

const MAC_BUSY: u32 = 1 << 31;
const MAC_READ: u32 = 1 << 30;
/// §5.4: registers behind the MAC's own interface.
const MAC_CONTROL: u32 = 1;
const MAC_ADDRESS_HIGH: u32 = 2;
const MAC_ADDRESS_LOW: u32 = 3;
const MAC_FULL_DUPLEX: u32 = 1 << 20;
const MAC_TX_ON: u32 = 1 << 3;
const MAC_RX_ON: u32 = 1 << 2;

/// How often a busy flag is read before the controller counts as broken.
const PATIENCE: u32 = 1_000_000;

/// The network interface.
pub struct Ethernet {
    _taken_once: (),
}

/// The controller does not answer as a LAN9118 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EthernetFault;

impl Ethernet {
    pub(crate) const fn new() -> Self {
        Self { _taken_once: () }
    }

    /// Resets the controller and switches receiver and transmitter on.
    ///
    /// # Errors
    /// [`EthernetFault`]: there is no working controller.
    pub fn start(&mut self) -> Result<(), EthernetFault> {
        HW_CONFIG.write(SOFT_RESET);
        wait(|| HW_CONFIG.read() & SOFT_RESET == 0)?;
        if BYTE_TEST.read() != BYTE_TEST_VALUE {
            return Err(EthernetFault);
        }
        HW_CONFIG.write(FIFO_SPLIT);
        TX_CONFIG.write(TX_ON);
        FIFO_LEVELS.write(0);
        INTERRUPT_CONFIG.write(INTERRUPT_LINE_ON);
        INTERRUPT_ENABLE.write(INTERRUPT_RX);
        mac_write(MAC_CONTROL, MAC_FULL_DUPLEX | MAC_TX_ON | MAC_RX_ON)
    }

    /// The hardware address, which names the device.
    ///
    /// # Errors
    /// As [`Ethernet::start`].
    pub fn hardware_address(&self) -> Result<[u8; 6], EthernetFault> {
        let [a, b, c, d] = mac_read(MAC_ADDRESS_LOW)?.to_le_bytes();
        let [e, f, ..] = mac_read(MAC_ADDRESS_HIGH)?.to_le_bytes();
        Ok([a, b, c, d, e, f])
    }

    /// Whether a frame waits to be received.
    #[must_use]
    pub fn has_frame(&self) -> bool {
        RX_FIFO.read() >> 16 & 0xFF != 0
    }

    /// The next frame, or `None` and the interrupt that ends a sleep is armed again. Written into `into`; its length. A frame that was damaged or is too long is dropped.
    pub fn receive(&mut self, into: &mut [u8; ETHERNET_FRAME_BYTES_MAX]) -> Option<usize> {
        while self.has_frame() {
            let status = RX_STATUS.read();
            let received = (status >> 16 & 0x3FFF) as usize;
            let length = received.saturating_sub(CHECK_BYTES);
            let wanted = status & RX_STATUS_ERROR == 0 && length <= into.len();
            for at in (0..received).step_by(4) {
                let word = RX_DATA.read().to_le_bytes();
                if wanted && at < length {
                    let bytes = (length - at).min(4);
                    into[at..at + bytes].copy_from_slice(&word[..bytes]);
                }
            }
            if wanted {
                return Some(length);
            }
        }
        INTERRUPT_STATUS.write(INTERRUPT_RX);
        None
    }

    /// Sends `frame`; `false` if it is too long or the controller has no room for it, and it is lost.
    pub fn transmit(&mut self, frame: &[u8]) -> bool {
        while TX_FIFO.read() >> 16 & 0xFF != 0 {
            let _sent = TX_STATUS.read();
        }
        let room = (TX_FIFO.read() & 0xFFFF) as usize;
        if frame.len() > ETHERNET_FRAME_BYTES_MAX || room < frame.len() + 16 {
            return false;
        }
        TX_DATA.write(TX_FIRST_AND_LAST | frame.len() as u32);
        TX_DATA.write(frame.len() as u32);
        for part in frame.chunks(4) {
            let mut word = [0; 4];
            word[..part.len()].copy_from_slice(part);
            TX_DATA.write(u32::from_le_bytes(word));
        }
        true
    }
}

fn wait(done: impl Fn() -> bool) -> Result<(), EthernetFault> {
    (0..PATIENCE).any(|_| done()).then_some(()).ok_or(EthernetFault)
}

fn mac_idle() -> Result<(), EthernetFault> {
    wait(|| MAC_COMMAND.read() & MAC_BUSY == 0)
}

fn mac_read(register: u32) -> Result<u32, EthernetFault> {
    mac_idle()?;
    MAC_COMMAND.write(MAC_BUSY | MAC_READ | register);
    mac_idle()?;
    Ok(MAC_DATA.read())
}

fn mac_write(register: u32, value: u32) -> Result<(), EthernetFault> {
    mac_idle()?;
    MAC_DATA.write(value);
    MAC_COMMAND.write(MAC_BUSY | register);
    mac_idle()
}
