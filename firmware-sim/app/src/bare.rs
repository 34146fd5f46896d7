//! The agent on the board, with datagrams right behind an Ethernet header instead of a network stack: what `scripts/budgets` searches
//! for panics and formatting, and asks how much stack an agent takes to start, its signature check first of all, and to ask for the
//! first time; and, with a key of its own, until it has established the channel's.

use core::cell::RefCell;

use board::{Board, ETHERNET_FRAME_BYTES_MAX, Once, Uart};
use deltagate_agent::{Agent, Config, Effect};
use deltagate_flash::{BootInfo, Provision};

use crate::firmware::{DECODER_MEMORY, IN_PLACE, LAYOUT, SLEEP_MS_MAX, seed, services};

/// One at a time, in either direction.
static FRAME: Once<[u8; ETHERNET_FRAME_BYTES_MAX]> = Once::new([0; ETHERNET_FRAME_BYTES_MAX]);
/// Destination and source address, and type.
const HEADER_BYTES: usize = 14;
/// To everybody on the cable, of IEEE 802's type for experiments.
const HEADER: [u8; HEADER_BYTES] = [255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0x88, 0xB5];

/// Runs the agent; returns when it cannot.
pub(crate) fn run() -> Option<()> {
    let boot_ticks = board::ticks_since_bootloader();
    let reached = board::bootloader_stack_reached();
    let mut board = Board::take()?;
    let boot = BootInfo::decode(&board.handover.handed_over())?;
    let flash = RefCell::new(board.flash);
    let provision = Provision::handed_over(&board.handover.trust_handed_over())?;
    board.ethernet.start().ok()?;
    let address = board.ethernet.hardware_address().ok()?;
    let now_ms = board.clock.now_ms();
    let mut config = Config::new(LAYOUT, &address)?;
    config.in_place = IN_PLACE;
    #[cfg(feature = "freshness")]
    {
        config.freshness = true;
    }
    #[cfg(feature = "oscore")]
    {
        config.credentials = Some(crate::firmware::CREDENTIALS);
    }
    let (memory, frame) = (DECODER_MEMORY.take()?, FRAME.take()?);
    let services = services().ok()?;
    let mut agent = Agent::with_services(
        &services,
        config,
        provision,
        &flash,
        boot,
        memory,
        seed(address),
        now_ms,
    )
    .ok()?;
    agent.handle_timeout(now_ms);
    let callers = board::stack_in_use_bytes();
    let state = size_of_val(&agent);
    let tell = |uart: &mut Uart| {
        let (deepest, _) = board::stack_used_bytes();
        say(uart, [boot_ticks as usize, reached, deepest - callers, state]);
    };
    tell(&mut board.uart);
    loop {
        board.watchdog.feed();
        let now_ms = board.clock.now_ms();
        if let Some(datagram) = board
            .ethernet
            .receive(frame)
            .and_then(|bytes| frame.get_mut(HEADER_BYTES..bytes))
        {
            agent.handle_datagram(now_ms, datagram);
        }
        agent.handle_timeout(now_ms);
        let busy = agent.work(now_ms);
        while let Some((header, datagram)) = frame.split_first_chunk_mut()
            && let Some(length) = agent.poll_transmit(datagram)
        {
            *header = HEADER;
            let sent = frame.get(..HEADER_BYTES + length);
            let _ = sent.map(|frame| board.ethernet.transmit(frame));
        }
        while let Some(effect) = agent.poll_effect() {
            match effect {
                Effect::Reboot => board::reset(),
                #[cfg(feature = "edhoc")]
                Effect::Event(deltagate_agent::Event::Established) => tell(&mut board.uart),
                Effect::Event(_) => {}
            }
        }
        if !busy {
            let wake_ms = agent.poll_timeout().unwrap_or(u64::MAX);
            board
                .sleep
                .sleep(wake_ms.saturating_sub(now_ms).min(SLEEP_MS_MAX));
        }
    }
}

/// One line: instructions are 40 to a tick under `-icount shift=0`, all numbers hexadecimal.
fn say(uart: &mut Uart, numbers: [usize; 4]) {
    uart.send(b"bare:");
    for number in numbers {
        uart.send(b" ");
        uart.send_hex(number as u32);
    }
    uart.send(b"\n");
}
