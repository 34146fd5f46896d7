//! The main loop.

use core::cell::RefCell;
use core::fmt::Write;
use core::hint::black_box;

use board::{Board, Nor, Once, Uart};
use deltagate_agent::{Agent, Config, DATAGRAM_BYTES_MAX, Effect, InPlace};
use deltagate_flash::{BootInfo, Layout, Provision};
use deltagate_services::table::NoServices;
use embedded_storage::nor_flash::NorFlash;

use crate::baseline;
use crate::network::Network;
use crate::thermometer::Thermometer;

const VERSION: &str = env!("DELTAGATE_APP_VERSION");

#[cfg(not(feature = "single-slot"))]
pub(crate) use two_slots::{DECODER_BYTES, IN_PLACE, LAYOUT};

#[cfg(feature = "single-slot")]
pub(crate) use single_slot::{DECODER_BYTES, IN_PLACE, LAYOUT};

#[cfg(not(feature = "single-slot"))]
mod two_slots {
    use super::*;

    /// The board's.
    pub(crate) const LAYOUT: Layout = Layout::emulated(Nor::ERASE_SIZE);
    /// What the patch decoder may use, reported at check-in.
    pub(crate) const DECODER_BYTES: usize =
        match usize::from_str_radix(env!("DELTAGATE_APP_DECODER_BYTES"), 10) {
            Ok(bytes) => bytes,
            Err(_) => panic!("build.rs checked it"),
        };
    pub(crate) const IN_PLACE: Option<InPlace> = None;
}

#[cfg(feature = "single-slot")]
mod single_slot {
    use deltagate_updater::SingleSlot;

    use super::*;

    const SINGLE_SLOT: SingleSlot = SingleSlot::EMULATED;
    const _: () = assert!(SINGLE_SLOT.sector_bytes as usize == Nor::ERASE_SIZE);

    pub(crate) const LAYOUT: Layout = SINGLE_SLOT.two_slots();
    /// The decoder is in the updater.
    pub(crate) const DECODER_BYTES: usize = 0;
    /// Of the 28 KiB that images of 88 KiB leave in the slot the interval takes 16, and the reach has the rest.
    pub(crate) const IN_PLACE: Option<InPlace> = Some(InPlace {
        journal: SINGLE_SLOT.journal,
        memory_bytes: 4 * 1024,
        interval_bytes: 16 * 1024,
        dangerous_unauthenticated: !cfg!(feature = "oscore"),
    });
}

/// Where the device's credentials are.
#[cfg(all(feature = "oscore", not(feature = "edhoc")))]
pub(crate) const CREDENTIALS: deltagate_flash::Partition = deltagate_flash::credentials_behind(&LAYOUT);
/// And a key of its own.
#[cfg(feature = "edhoc")]
pub(crate) const CREDENTIALS: deltagate_flash::Partition = deltagate_flash::keyed_credentials_behind(&LAYOUT);

/// How long an image on trial may be without contact.
const CONTACT_MS_MAX: u64 = match u16::from_str_radix(env!("DELTAGATE_APP_CONTACT_S"), 10) {
    Ok(seconds) => seconds as u64 * 1_000,
    Err(_) => panic!("build.rs checked it"),
};
/// As often as its gateway likes: nobody waits a minute for an emulator, and it has no battery.
const CHECK_IN_S_MIN: u32 = 1;
/// How long the watchdog may be fed on trial without the agent being called: the loop calls it twice a second.
const SILENCE_MS_MAX: u64 = 10_000;
/// How long the loop sleeps at most: well within the watchdog's 8 s.
pub(crate) const SLEEP_MS_MAX: u64 = 500;

/// What the agent needs besides its own state, which lies on the stack. scripts/firmware finds both by name.
pub(crate) static DECODER_MEMORY: Once<[u8; DECODER_BYTES]> = Once::new([0; DECODER_BYTES]);
pub(crate) static DATAGRAM: Once<[u8; DATAGRAM_BYTES_MAX]> = Once::new([0; DATAGRAM_BYTES_MAX]);

board::entry!(main);

fn main() -> ! {
    #[cfg(target_arch = "arm")]
    if cfg!(behaviour = "bare") {
        let _ = crate::bare::run();
        board::reset()
    }
    let mut board = Board::take().expect("the first to ask");
    board.watchdog.feed();
    let _ = writeln!(board.uart, "app: version {VERSION}");
    misbehave(&mut board.uart);
    let ended = if cfg!(behaviour = "no-agent") {
        baseline::run(board)
    } else {
        run(board)
    };
    let reason = match ended {
        Ok(never) => match never {},
        Err(reason) => reason,
    };
    let _ = writeln!(board::uart_for_panic(), "app: {reason}");
    board::reset_after_panic()
}

/// What the broken variants do instead of running. The rest of the program stays in their images, which are then as
/// large and as similar to their predecessors as those of a real mistake.
fn misbehave(uart: &mut Uart) {
    if black_box(cfg!(behaviour = "hang")) {
        let _ = writeln!(uart, "app: hanging");
        loop {
            core::hint::spin_loop();
        }
    }
    if black_box(cfg!(behaviour = "fault")) {
        let _ = writeln!(uart, "app: faulting");
        board::fault_deliberately();
    }
}

/// What running without end gives.
pub(crate) enum Never {}

fn run(mut board: Board) -> Result<Never, &'static str> {
    let boot = BootInfo::decode(&board.handover.handed_over()).ok_or("not started by the bootloader")?;
    let flash = RefCell::new(board.flash);
    let provision =
        Provision::handed_over(&board.handover.trust_handed_over()).ok_or("not told whom to believe")?;
    if !cfg!(behaviour = "dead-network") {
        board.ethernet.start().map_err(|_| "no Ethernet controller")?;
    }
    let address = board
        .ethernet
        .hardware_address()
        .map_err(|_| "no Ethernet controller")?;
    let now_ms = board.clock.now_ms();
    let mut config = Config::new(LAYOUT, &address).ok_or("no device id")?;
    config.contact_ms_max = CONTACT_MS_MAX;
    config.silence_ms_max = SILENCE_MS_MAX;
    config.in_place = IN_PLACE;
    config.check_in_s_min = CHECK_IN_S_MIN;
    #[cfg(feature = "freshness")]
    {
        config.freshness = true;
    }
    #[cfg(feature = "oscore")]
    {
        config.credentials = Some(CREDENTIALS);
    }
    let memory = DECODER_MEMORY.take().ok_or("decoder memory taken twice")?;
    let services = services().map_err(NoServices::text)?;
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
    .map_err(|_| "the agent does not start")?;
    let mut network = Network::new(board.ethernet, address, now_ms);
    let mut thermometer = Thermometer::new();
    let datagram = DATAGRAM.take().ok_or("the datagram's room taken twice")?;
    loop {
        let now_ms = board.clock.now_ms();
        network.poll(now_ms);
        while let Some(length) = network.receive(datagram) {
            agent.handle_datagram(now_ms, &mut datagram[..length]);
        }
        if !black_box(cfg!(behaviour = "idle-agent")) {
            agent.handle_timeout(now_ms);
        }
        if agent.may_feed_watchdog(now_ms) {
            board.watchdog.feed();
        }
        let busy = agent.work(now_ms);
        while let Some(length) = agent.poll_transmit(datagram) {
            network.send(&datagram[..length]);
        }
        network.poll(now_ms);
        while let Some(effect) = agent.poll_effect() {
            carry_out(effect, size_of_val(&agent), &mut board.uart);
        }
        if let Some(line) = thermometer.line(now_ms) {
            let _ = writeln!(board.uart, "app: {line}");
        }
        if !busy && !network.is_waiting() {
            let reading_ms = thermometer.poll_timeout();
            let network_ms = network.poll_timeout(now_ms).unwrap_or(reading_ms);
            let agent_ms = agent.poll_timeout().unwrap_or(reading_ms);
            let wake_ms = reading_ms.min(network_ms).min(agent_ms);
            board
                .sleep
                .sleep(wake_ms.saturating_sub(now_ms).min(SLEEP_MS_MAX));
        }
    }
}

/// Who checks signatures and hashes for the agent.
#[cfg(feature = "bootloader-services")]
pub(crate) fn services() -> Result<board::BootloaderServices, NoServices> {
    board::BootloaderServices::find()
}

/// Who checks signatures and hashes for the agent.
#[cfg(not(feature = "bootloader-services"))]
pub(crate) fn services() -> Result<deltagate_agent::LinkedServices, NoServices> {
    Ok(deltagate_agent::LinkedServices)
}

fn carry_out(effect: Effect, agent_bytes: usize, uart: &mut Uart) {
    match effect {
        Effect::Event(event) => {
            if cfg!(feature = "event-lines") {
                event.say(&mut |piece| uart.send(piece));
                uart.send(b"\n");
            }
        }
        Effect::Reboot => {
            let (used, all) = board::stack_used_bytes();
            let _ = writeln!(
                uart,
                "app: rebooting; used {used} of {all} bytes of stack, the agent {agent_bytes} of them"
            );
            board::reset();
        }
    }
}

/// The board has no source of randomness. Devices differ in their address, which keeps a fleet that is switched on at
/// once from asking at once; the agent makes one start differ from the next. For the same reason nobody calls
/// `Agent::handle_random`: keys of a handshake follow from the device's own key, which its factory drew at random, and from counts
/// that never come twice. Who reads that key out of the flash later can read what was recorded.
pub(crate) fn seed(address: [u8; 6]) -> u64 {
    let [a, b, c, d, e, f] = address;
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

/// Prints where, not what: the formatting of messages nobody reads would be a quarter of the code.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let uart = &mut board::uart_for_panic();
    if let Some(location) = info.location() {
        let _ = writeln!(uart, "\napp: panic at {}:{}", location.file(), location.line());
    }
    board::reset_after_panic()
}
