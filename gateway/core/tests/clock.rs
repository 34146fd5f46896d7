//! A wall clock that starts in 1970 and jumps: a gateway on a board without a battery.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{Command, GroupName, Now, Selector, Terms};
use wire_coap::{BlockNumber, BlockSize, BlockValue};

/// Serves one block to device 1 at these times.
fn serve_block(shell: &mut Shell, path: &str, number: u32, monotonic_s: u64, unix_s: u64) {
    let now = Now {
        monotonic_ms: monotonic_s * 1_000,
        unix_s,
    };
    let block = BlockValue::request(BlockNumber::new(number).unwrap(), BlockSize::B64);
    let request = get(50 + number as u16, &[path], Some(block));
    shell.gateway.handle_datagram(now, peer(1), &request, &shell.disk);
    shell.drain();
}

/// What is left of device 1's transfer of 1,000 bytes, seconds.
fn left_s(shell: &Shell) -> Option<u64> {
    shell.gateway.updates()[0]
        .transfer
        .as_ref()
        .unwrap()
        .expected_left_s
}

#[test]
fn the_time_to_go_is_that_of_the_blocks_whatever_the_clock_does() {
    let mut shell = Shell::ready(open());
    let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
    // It starts in 1970, is set 56 years on, and then an hour back.
    for (number, unix_s) in [(0, 100), (1, 102), (2, 1_793_491_204), (3, 1_793_487_606)] {
        serve_block(
            &mut shell,
            path.as_str(),
            number,
            2_000 + u64::from(number) * 2,
            unix_s,
        );
    }
    // 6 s for 256 bytes: 744 more take 17.4 s, rounded up.
    assert_eq!(left_s(&shell), Some(18));
}

#[test]
fn after_a_restart_in_1970_no_time_to_go_is_made_up() {
    let mut shell = Shell::ready(open());
    let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
    serve_block(&mut shell, path.as_str(), 0, 2_000, 1_793_491_200);
    serve_block(&mut shell, path.as_str(), 1, 2_002, 1_793_491_202);
    shell.sleep(100_000);
    shell.restart();
    serve_block(&mut shell, path.as_str(), 2, 5, 60);
    assert_eq!(left_s(&shell), None);
    // Set again: 10 s by the clock since the first of 256 bytes.
    serve_block(&mut shell, path.as_str(), 3, 7, 1_793_491_210);
    assert_eq!(left_s(&shell), Some(30));
}

#[test]
fn the_later_of_two_assignments_decides_though_the_clock_went_back() {
    let mut shell = Shell::ready(open());
    shell.command(Command::Cancel(Selector::Device(id(1)))).unwrap();
    shell.import(3);
    let group = |name| GroupName::new(name).unwrap();
    for (name, unix_s, image) in [("a", 1_793_491_200, 2), ("b", 30, 3)] {
        let selector = Selector::Group(group(name));
        let commands = [
            Command::CreateGroup(group(name)),
            Command::AddToGroup(group(name), id(1)),
            Command::Assign(selector, digest(image), Terms::default()),
        ];
        for command in commands {
            let now = Now {
                monotonic_ms: shell.now_ms,
                unix_s,
            };
            shell.gateway.handle_command(now, command).unwrap();
        }
    }
    let target = shell.gateway.device(id(1)).unwrap().target.unwrap();
    assert_eq!(target.by, Selector::Group(group("b")));
}
