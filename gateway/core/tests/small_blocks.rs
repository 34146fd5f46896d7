//! A path whose MTU is smaller than the link says: large replies vanish on it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use wire_coap::{BlockNumber, BlockSize, BlockValue, Message};

/// Asks for the first block of `path`, as a device does that hears nothing; the size it is answered with in the end.
fn size_after(shell: &mut Shell, path: &[&str], times: u16) -> u32 {
    let block = BlockValue::request(BlockNumber::ZERO, BlockSize::B1024);
    let mut size = 0;
    for n in 0..times {
        let reply = shell.ask(peer(1), &get(1_000 + n, path, Some(block)));
        shell.now_ms += 1_000;
        size = Message::parse(&reply)
            .unwrap()
            .block2()
            .unwrap()
            .unwrap()
            .size
            .bytes();
    }
    size
}

#[test]
fn a_block_that_is_asked_for_again_and_again_comes_smaller_and_people_are_told() {
    let mut shell = Shell::ready(open());
    let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
    assert_eq!(size_after(&mut shell, &[path.as_str()], 9), 1_024);
    assert_eq!(shell.gateway.device(id(1)).unwrap().next_step, None);
    assert_eq!(size_after(&mut shell, &[path.as_str()], 9), 512);
    let view = shell.gateway.device(id(1)).unwrap();
    let last = view.chain.last().unwrap();
    assert!(last.contains("it gets blocks of 512 bytes"), "{last}");
    let step = view.next_step.unwrap();
    assert!(step.why.contains("set `mtu` of link default"), "{}", step.why);
    assert_eq!(size_after(&mut shell, &[path.as_str()], 20), 128);
}

#[test]
fn an_answer_that_does_not_arrive_goes_without_its_envelope() {
    let mut shell = Shell::ready(open());
    let envelope = |shell: &mut Shell, id: u16| shell.check_in(1, id, &check_in(1, 1)).envelope.is_some();
    let with = (2..100).take_while(|id| envelope(&mut shell, *id)).count();
    // An envelope of 300 bytes needs a block of 512: two halvings, for ten answers each, and the one that was made before.
    assert_eq!(with, 21);
}
