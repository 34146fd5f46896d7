//! A split virtqueue (VIRTIO 1.1, 2.6) of whole-frame buffers, one descriptor each, that the device fills or empties.
//!
//! ```text
//! descriptors  16 bytes each: address u64, length u32, flags u16 (2: the device writes it), next u16, unused
//! available    flags u16 (1: no interrupts), index u16, a descriptor's number u16 each
//! used         flags u16, index u16, a descriptor's number u32 and the length written u32 each
//! ```
//!
//! The device reads and writes it beside the processor, so it is reached through volatile accesses only.
#![expect(unsafe_code, reason = "memory that the device shares")]

use core::cell::UnsafeCell;
use core::sync::atomic::{Ordering, fence};

/// Buffers of a queue, a power of two (VIRTIO 1.1, 2.6). Eight frames are more than the peer ever sends at once.
pub(super) const BUFFERS: usize = 8;
/// The header of a frame without options (VIRTIO 1.1, 5.1.6).
pub(super) const HEADER_BYTES: usize = 12;
const BUFFER_BYTES: usize = HEADER_BYTES + super::ethernet::ETHERNET_FRAME_BYTES_MAX;

const WRITTEN_BY_DEVICE: u16 = 2;
const NO_INTERRUPT: u16 = 1;

#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Descriptor {
    address: u64,
    length: u32,
    flags: u16,
    next: u16,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Used {
    number: u32,
    length: u32,
}

#[repr(C)]
struct Memory {
    descriptors: [Descriptor; BUFFERS],
    available_flags: u16,
    available_index: u16,
    available: [u16; BUFFERS],
    used_flags: u16,
    used_index: u16,
    used: [Used; BUFFERS],
    buffers: [[u8; BUFFER_BYTES]; BUFFERS],
}

// VIRTIO 1.1, 2.6: the parts are aligned to 16, 2 and 4 bytes.
const _: () = assert!(core::mem::offset_of!(Memory, available_flags).is_multiple_of(2));
const _: () = assert!(core::mem::offset_of!(Memory, used_flags).is_multiple_of(4));

/// A queue's memory, in a static: the device knows its address.
pub(super) struct QueueMemory(UnsafeCell<Memory>);

// SAFETY: one hart, no interrupt handlers, and one owner: `Queue`, of which the board makes one for each memory.
unsafe impl Sync for QueueMemory {}

impl QueueMemory {
    pub(super) const fn new() -> Self {
        let descriptor = Descriptor {
            address: 0,
            length: 0,
            flags: 0,
            next: 0,
        };
        let unused = Used { number: 0, length: 0 };
        Self(UnsafeCell::new(Memory {
            descriptors: [descriptor; BUFFERS],
            available_flags: 0,
            available_index: 0,
            available: [0; BUFFERS],
            used_flags: 0,
            used_index: 0,
            used: [unused; BUFFERS],
            buffers: [[0; BUFFER_BYTES]; BUFFERS],
        }))
    }
}

/// Which way the frames go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// The device fills the buffers, all of which it has from the start.
    Receiving,
    /// The device empties what it is given.
    Sending,
}

/// The driver's side of a queue.
pub(super) struct Queue {
    memory: &'static QueueMemory,
    /// How many buffers the device was given, and how many of those it gave back were looked at; both wrap.
    given: u16,
    taken: u16,
    /// A bit for each buffer that the device has not got.
    own: u32,
}

/// A field of the queue's memory. Only `field!` makes one: no reference to what the device writes ever exists.
struct Field<T>(*mut T);

macro_rules! field {
    ($queue:expr, $($place:tt)+) => {
        // SAFETY: a place inside the static, which nothing else refers to (see `QueueMemory`).
        Field(unsafe { &raw mut (*$queue.memory.0.get()).$($place)+ })
    };
}

impl<T: Copy> Field<T> {
    fn get(&self) -> T {
        // SAFETY: aligned and inside the static; any bytes are a value of the integers in there.
        unsafe { self.0.read_volatile() }
    }

    fn set(&self, value: T) {
        // SAFETY: as in `get`.
        unsafe { self.0.write_volatile(value) }
    }

    fn address(&self) -> usize {
        self.0.expose_provenance()
    }
}

impl Queue {
    /// The queue over `memory`, before the device knows of it. To be made once for each memory.
    pub(super) fn new(memory: &'static QueueMemory, direction: Direction) -> Self {
        let mut queue = Self {
            memory,
            given: 0,
            taken: 0,
            own: (1 << BUFFERS) - 1,
        };
        let receiving = direction == Direction::Receiving;
        for number in 0..BUFFERS {
            field!(queue, descriptors[number]).set(Descriptor {
                address: field!(queue, buffers[number]).address() as u64,
                length: BUFFER_BYTES as u32,
                flags: if receiving { WRITTEN_BY_DEVICE } else { 0 },
                next: 0,
            });
        }
        field!(queue, used_index).set(0);
        field!(queue, available_index).set(0);
        field!(queue, available_flags).set(if receiving { 0 } else { NO_INTERRUPT });
        if receiving {
            (0..BUFFERS as u16).for_each(|number| queue.give(number));
        }
        queue
    }

    /// Where descriptors, available and used part lie.
    pub(super) fn addresses(&self) -> [usize; 3] {
        [
            field!(self, descriptors).address(),
            field!(self, available_flags).address(),
            field!(self, used_flags).address(),
        ]
    }

    /// Whether the device gave something back that was not looked at.
    pub(super) fn has_used(&self) -> bool {
        field!(self, used_index).get() != self.taken
    }

    /// The next buffer the device gave back: its number, and how many bytes it wrote. The buffer is the driver's until
    /// [`Queue::give`]. A device that gives back what it has not got is not believed.
    pub(super) fn take_used(&mut self) -> Option<(u16, usize)> {
        while self.has_used() {
            fence(Ordering::SeqCst);
            let used = field!(self, used[usize::from(self.taken) % BUFFERS]).get();
            self.taken = self.taken.wrapping_add(1);
            let bit = 1_u32.checked_shl(used.number).unwrap_or(0) & !self.own;
            if (used.number as usize) < BUFFERS && bit != 0 {
                self.own |= bit;
                return Some((used.number as u16, (used.length as usize).min(BUFFER_BYTES)));
            }
        }
        None
    }

    /// The number of a buffer to send with, if the device has not got all of them.
    pub(super) fn free(&mut self) -> Option<u16> {
        while self.take_used().is_some() {}
        (self.own != 0).then_some(self.own.trailing_zeros() as u16)
    }

    /// Copies a frame into buffer `number`, behind a header of zeros.
    pub(super) fn fill(&mut self, number: u16, frame: &[u8]) {
        let number = usize::from(number) % BUFFERS;
        let content = [0; HEADER_BYTES].iter().chain(frame).take(BUFFER_BYTES);
        for (at, &byte) in content.enumerate() {
            field!(self, buffers[number][at]).set(byte);
        }
        let descriptor = field!(self, descriptors[number]);
        descriptor.set(Descriptor {
            length: (HEADER_BYTES + frame.len()).min(BUFFER_BYTES) as u32,
            ..descriptor.get()
        });
    }

    /// Copies what lies behind the header in buffer `number` into `into`, as much as fits.
    pub(super) fn copy_out(&self, number: u16, into: &mut [u8]) {
        let number = usize::from(number) % BUFFERS;
        for (at, byte) in (HEADER_BYTES..BUFFER_BYTES).zip(into) {
            *byte = field!(self, buffers[number][at]).get();
        }
    }

    /// Gives buffer `number` to the device, which has to be notified.
    pub(super) fn give(&mut self, number: u16) {
        field!(self, available[usize::from(self.given) % BUFFERS]).set(number);
        fence(Ordering::SeqCst);
        self.given = self.given.wrapping_add(1);
        self.own &= !(1 << (usize::from(number) % BUFFERS));
        field!(self, available_index).set(self.given);
        fence(Ordering::SeqCst);
    }
}
