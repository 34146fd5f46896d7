//! The agent on the board, with frames for datagrams instead of a network stack: what `scripts/budgets` searches for panics and
//! formatting, and asks how much stack an agent takes to start, its signature check first of all, and to ask for the first time.

use core::cell::RefCell;

use board::{Board, ETHERNET_FRAME_BYTES_MAX, Once, Uart};
use deltagate_agent::{Agent, Config, Effect};
use deltagate_flash::{BootInfo, Provision};

use crate::firmware::{DATAGRAM, DECODER_MEMORY, IN_PLACE, LAYOUT, SLEEP_MS_MAX, seed, services};

static RECEIVED: Once<[u8; ETHERNET_FRAME_BYTES_MAX]> = Once::new([0; ETHERNET_FRAME_BYTES_MAX]);

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
    let (memory, datagram) = (DECODER_MEMORY.take()?, DATAGRAM.take()?);
    let received = RECEIVED.take()?;
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
    let (deepest, _) = board::stack_used_bytes();
    let agents = deepest - board::stack_in_use_bytes();
    tell(
        &mut board.uart,
        [boot_ticks as usize, reached, agents, size_of_val(&agent)],
    );
    loop {
        board.watchdog.feed();
        let now_ms = board.clock.now_ms();
        if let Some(frame) = board
            .ethernet
            .receive(received)
            .and_then(|bytes| received.get_mut(..bytes))
        {
            agent.handle_datagram(now_ms, frame);
        }
        agent.handle_timeout(now_ms);
        let busy = agent.work(now_ms);
        while let Some(length) = agent.poll_transmit(datagram) {
            let _ = datagram.get(..length).map(|frame| board.ethernet.transmit(frame));
        }
        while let Some(effect) = agent.poll_effect() {
            if effect == Effect::Reboot {
                board::reset();
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
fn tell(uart: &mut Uart, numbers: [usize; 4]) {
    uart.send(b"bare:");
    for number in numbers {
        uart.send(b" ");
        uart.send_hex(number as u32);
    }
    uart.send(b"\n");
}
