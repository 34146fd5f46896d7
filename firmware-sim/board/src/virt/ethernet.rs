//! Network interface: virtio over memory-mapped registers, version 2 (VIRTIO 1.1, 4.2 and 5.1). Whole frames, polled.

use core::sync::atomic::{Ordering, fence};

use super::queue::{BUFFERS, Direction, HEADER_BYTES, Queue, QueueMemory};
use crate::register::{Register, register_block};

register_block!(virtio, 0x1000_1000, 0x200);
register_block!(virtio_8: u8, 0x1000_1000, 0x200);

/// A frame without its check sequence: 14 bytes of header and 1,500 of payload.
pub const ETHERNET_FRAME_BYTES_MAX: usize = 1514;

/// VIRTIO 1.1, 4.2.2.
const MAGIC: Register = virtio(0x000);
const VERSION: Register = virtio(0x004);
const DEVICE: Register = virtio(0x008);
const DEVICE_FEATURES: Register = virtio(0x010);
const DEVICE_FEATURES_SELECT: Register = virtio(0x014);
const DRIVER_FEATURES: Register = virtio(0x020);
const DRIVER_FEATURES_SELECT: Register = virtio(0x024);
const QUEUE_SELECT: Register = virtio(0x030);
const QUEUE_SIZE_MAX: Register = virtio(0x034);
const QUEUE_SIZE: Register = virtio(0x038);
const QUEUE_READY: Register = virtio(0x044);
const QUEUE_NOTIFY: Register = virtio(0x050);
const INTERRUPT_STATUS: Register = virtio(0x060);
const INTERRUPT_ACKNOWLEDGE: Register = virtio(0x064);
const STATUS: Register = virtio(0x070);
/// Low words of the queue's three addresses; the high word follows each.
const QUEUE_ADDRESSES: [Register; 3] = [virtio(0x080), virtio(0x090), virtio(0x0A0)];
const QUEUE_ADDRESSES_HIGH: [Register; 3] = [virtio(0x084), virtio(0x094), virtio(0x0A4)];
/// VIRTIO 1.1, 5.1.4: begins with the hardware address.
const CONFIG_AT: usize = 0x100;

const MAGIC_VALUE: u32 = 0x7472_6976;
const DEVICE_NETWORK: u32 = 1;
/// VIRTIO 1.1, 5.1.3 and 6, in two words of 32 bits: it has a hardware address; it speaks version 1.
const FEATURES: [u32; 2] = [1 << 5, 1 << 0];
/// VIRTIO 1.1, 2.1.
const ACKNOWLEDGE: u32 = 1;
const DRIVER: u32 = 2;
const DRIVER_OK: u32 = 4;
const FEATURES_OK: u32 = 8;

/// VIRTIO 1.1, 5.1.2.
const RECEIVE_QUEUE: u32 = 0;
const TRANSMIT_QUEUE: u32 = 1;

static RECEIVING: QueueMemory = QueueMemory::new();
static SENDING: QueueMemory = QueueMemory::new();

/// The network interface.
pub struct Ethernet {
    /// Receiving and sending, once it was started.
    queues: Option<(Queue, Queue)>,
}

/// The interface does not answer as a virtio network device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EthernetFault;

impl Ethernet {
    pub(crate) const fn new() -> Self {
        Self { queues: None }
    }

    /// Resets the interface and gives it its queues.
    ///
    /// # Errors
    /// [`EthernetFault`]: there is no working interface.
    pub fn start(&mut self) -> Result<(), EthernetFault> {
        is_there()?;
        STATUS.write(0);
        STATUS.write(ACKNOWLEDGE);
        STATUS.write(ACKNOWLEDGE | DRIVER);
        for (word, wanted) in (0..).zip(FEATURES) {
            DEVICE_FEATURES_SELECT.write(word);
            if DEVICE_FEATURES.read() & wanted != wanted {
                return Err(EthernetFault);
            }
            DRIVER_FEATURES_SELECT.write(word);
            DRIVER_FEATURES.write(wanted);
        }
        STATUS.write(ACKNOWLEDGE | DRIVER | FEATURES_OK);
        if STATUS.read() & FEATURES_OK == 0 {
            return Err(EthernetFault);
        }
        let receiving = Queue::new(&RECEIVING, Direction::Receiving);
        let sending = Queue::new(&SENDING, Direction::Sending);
        connect(RECEIVE_QUEUE, &receiving)?;
        connect(TRANSMIT_QUEUE, &sending)?;
        STATUS.write(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        QUEUE_NOTIFY.write(RECEIVE_QUEUE);
        self.queues = Some((receiving, sending));
        Ok(())
    }

    /// The hardware address, which names the device.
    ///
    /// # Errors
    /// As [`Ethernet::start`].
    pub fn hardware_address(&self) -> Result<[u8; 6], EthernetFault> {
        is_there()?;
        let mut address = [0; 6];
        for (at, byte) in (CONFIG_AT..).zip(&mut address) {
            *byte = virtio_8(at).read();
        }
        Ok(address)
    }

    /// Whether a frame waits to be received.
    #[must_use]
    pub fn has_frame(&self) -> bool {
        self.queues
            .as_ref()
            .is_some_and(|(receiving, _)| receiving.has_used())
    }

    /// The next frame, or `None`. Written into `into`; its length. One that is shorter than its header is dropped.
    pub fn receive(&mut self, into: &mut [u8; ETHERNET_FRAME_BYTES_MAX]) -> Option<usize> {
        let (receiving, _) = self.queues.as_mut()?;
        while let Some((number, written)) = receiving.take_used() {
            let length = written.checked_sub(HEADER_BYTES);
            if let Some(length) = length {
                receiving.copy_out(number, &mut into[..length]);
            }
            receiving.give(number);
            QUEUE_NOTIFY.write(RECEIVE_QUEUE);
            if length.is_some() {
                return length;
            }
        }
        None
    }

    /// Sends `frame`; `false` if it is too long, or the interface was not started or has no room for it, and it is lost.
    pub fn transmit(&mut self, frame: &[u8]) -> bool {
        let Some((_, sending)) = self.queues.as_mut() else {
            return false;
        };
        let Some(number) = sending.free().filter(|_| frame.len() <= ETHERNET_FRAME_BYTES_MAX) else {
            return false;
        };
        sending.fill(number, frame);
        sending.give(number);
        QUEUE_NOTIFY.write(TRANSMIT_QUEUE);
        true
    }
}

fn is_there() -> Result<(), EthernetFault> {
    let there = MAGIC.read() == MAGIC_VALUE && VERSION.read() == 2 && DEVICE.read() == DEVICE_NETWORK;
    there.then_some(()).ok_or(EthernetFault)
}

/// Tells the device where a queue is.
fn connect(number: u32, queue: &Queue) -> Result<(), EthernetFault> {
    QUEUE_SELECT.write(number);
    if QUEUE_READY.read() != 0 || (QUEUE_SIZE_MAX.read() as usize) < BUFFERS {
        return Err(EthernetFault);
    }
    QUEUE_SIZE.write(BUFFERS as u32);
    let registers = QUEUE_ADDRESSES.into_iter().zip(QUEUE_ADDRESSES_HIGH);
    for ((low, high), address) in registers.zip(queue.addresses()) {
        low.write(address as u32);
        high.write(0);
    }
    fence(Ordering::SeqCst);
    QUEUE_READY.write(1);
    Ok(())
}

/// Lets the interrupt that a frame raised go away.
pub(super) fn acknowledge_interrupt() {
    INTERRUPT_ACKNOWLEDGE.write(INTERRUPT_STATUS.read());
}
