//! The program: every job, a line for each.

use core::fmt::Write;

use board::{Board, Once};
use wire_patch::{CHECKPOINT_STATE_BYTES, Decoder, Header, MemoryClass, crc32};

use crate::decode::{decode, decode_with_cut};
use crate::jobs::Jobs;

const MEMORY_BYTES: usize = MemoryClass::MAX.bytes() as usize;
/// Behind the largest class, to see that nobody writes there.
const GUARD_BYTES: usize = 64;
/// Where results go: the last quarter of the board's memory.
const RESULT_AT: usize = 12 << 20;

/// With `-icount shift=0` and the clock's 25 MHz.
const INSTRUCTIONS_PER_TICK: u64 = 40;

static MEMORY: Once<[u8; MEMORY_BYTES + GUARD_BYTES]> = Once::new([0; MEMORY_BYTES + GUARD_BYTES]);

board::entry!(main);

fn main() -> ! {
    let mut board = Board::take().expect("the first to ask");
    let memory = MEMORY.take().expect("the first to ask");
    let (loaded, rest) = board.flash.into_memory().split_at_mut(RESULT_AT);
    let (stored, room) = rest.split_at_mut(MEMORY_BYTES + CHECKPOINT_STATE_BYTES);
    let (stack_before, _) = board::stack_used_bytes();
    for job in Jobs::new(loaded).into_iter().flatten() {
        let room = room.get_mut(..job.target.len()).unwrap_or_default();
        let took = decode(&mut board.clock, &job, memory, room);
        let class = Header::parse(job.patch).map_or(0, |header| header.memory.bytes());
        let _ = match took {
            Ok(ticks) => writeln!(
                board.uart,
                "bench: decoded {} {class} {} {} {:08x}",
                job.name,
                job.target.len(),
                ticks * INSTRUCTIONS_PER_TICK,
                crc32(room),
            ),
            Err(failed) => writeln!(board.uart, "bench: {} failed: {failed}", job.name),
        };
    }
    let (stack_decoding, _) = board::stack_used_bytes();
    for job in Jobs::new(loaded).into_iter().flatten() {
        let room = room.get_mut(..job.target.len()).unwrap_or_default();
        let took = decode_with_cut(&mut board.clock, &job, memory, room, stored);
        let _ = match took {
            Ok((writing, resuming)) => writeln!(
                board.uart,
                "bench: resumed {} {} {}",
                job.name,
                writing * INSTRUCTIONS_PER_TICK,
                resuming * INSTRUCTIONS_PER_TICK,
            ),
            Err(failed) => writeln!(board.uart, "bench: {} failed: {failed}", job.name),
        };
    }
    let (stack_resuming, _) = board::stack_used_bytes();
    let _ = writeln!(
        board.uart,
        "bench: done {} {} {}",
        size_of::<Decoder<'_>>(),
        stack_decoding - stack_before,
        stack_resuming - stack_before,
    );
    board::reset()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let uart = &mut board::uart_for_panic();
    if let Some(location) = info.location() {
        let _ = writeln!(uart, "\nbench: panic at {}:{}", location.file(), location.line());
    }
    board::reset()
}
