//! The firmware without the agent: board, network stack and thermometer. The agent costs what the real one has more.

use core::fmt::Write;

use board::Board;

use crate::firmware::{Never, SLEEP_MS_MAX};
use crate::network::Network;
use crate::thermometer::Thermometer;

/// The longest datagram it echoes.
const ECHO_BYTES_MAX: usize = 32;

/// Prints temperatures, and returns to the gateway what that sends (RFC 862), so that both directions of the network
/// stack are in the image.
pub(crate) fn run(mut board: Board) -> Result<Never, &'static str> {
    board.ethernet.start().map_err(|_| "no Ethernet controller")?;
    let address = board
        .ethernet
        .hardware_address()
        .map_err(|_| "no Ethernet controller")?;
    let mut network = Network::new(board.ethernet, address, board.clock.now_ms());
    let mut thermometer = Thermometer::new();
    let mut datagram = [0; ECHO_BYTES_MAX];
    loop {
        board.watchdog.feed();
        let now_ms = board.clock.now_ms();
        network.poll(now_ms);
        while let Some(length) = network.receive(&mut datagram) {
            network.send(&datagram[..length]);
        }
        network.poll(now_ms);
        if let Some(line) = thermometer.line(now_ms) {
            let _ = writeln!(board.uart, "app: {line}");
        }
        if !network.is_waiting() {
            let reading_ms = thermometer.poll_timeout();
            let wake_ms = network
                .poll_timeout(now_ms)
                .map_or(reading_ms, |at_ms| at_ms.min(reading_ms));
            board
                .sleep
                .sleep(wake_ms.saturating_sub(now_ms).min(SLEEP_MS_MAX));
        }
    }
}
