//! Any bytes at all, in every state: the agent neither panics nor touches what it must not.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;

use deltagate_agent::{Agent, Config, DATAGRAM_BYTES_MAX};
use deltagate_flash::sim::SimFlash;
use deltagate_flash::{BootInfo, Slot};
use proptest::prelude::*;
use support::{Device, Gateway, LAYOUT, Offer, Rng, Vendor, image};
use wire_coap::Message;

/// What the test does with what the gateway sends.
#[derive(Clone, Debug)]
enum Treatment {
    Deliver,
    Lose,
    Twice,
    FlipBit(usize),
    Truncate(usize),
    Extend(Vec<u8>),
    /// Other bytes behind the right header and token.
    Replace(Vec<u8>),
    Noise(Vec<u8>),
    Wait(u64),
}

fn treatment() -> impl Strategy<Value = Treatment> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..80);
    prop_oneof![
        12 => Just(Treatment::Deliver),
        1 => Just(Treatment::Lose),
        1 => Just(Treatment::Twice),
        3 => any::<usize>().prop_map(Treatment::FlipBit),
        1 => any::<usize>().prop_map(Treatment::Truncate),
        1 => bytes().prop_map(Treatment::Extend),
        2 => bytes().prop_map(Treatment::Replace),
        2 => bytes().prop_map(Treatment::Noise),
        1 => (0u64..400_000).prop_map(Treatment::Wait),
    ]
}

fn treated(treatment: &Treatment, mut reply: Vec<u8>) -> Vec<Vec<u8>> {
    match treatment {
        Treatment::Deliver | Treatment::Wait(_) => vec![reply],
        Treatment::Lose => vec![],
        Treatment::Twice => vec![reply.clone(), reply],
        Treatment::FlipBit(bit) => {
            let bit = bit % (reply.len() * 8);
            reply[bit / 8] ^= 1 << (bit % 8);
            vec![reply]
        }
        Treatment::Truncate(length) => {
            reply.truncate(length % reply.len());
            vec![reply]
        }
        Treatment::Extend(more) => {
            reply.extend(more);
            vec![reply]
        }
        Treatment::Replace(rest) => {
            reply.truncate(8);
            reply.extend(rest);
            vec![reply]
        }
        Treatment::Noise(noise) => vec![noise.clone(), reply],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_datagram_makes_the_agent_panic_or_touch_the_running_slot(
        treatments in proptest::collection::vec(treatment(), 1..120),
        full in any::<bool>(),
        on_trial in any::<bool>(),
        envelope_in_answer in any::<bool>(),
    ) {
        let v1 = Vendor::OURS.release(1, image(1, 5_003));
        let v2 = Vendor::OURS.release(2, image(2, 5_003));
        let offer = if full { Offer::full(&v2) } else { Offer::patch(&v1, &v2) };
        let mut gateway = Gateway::new(Some(offer));
        gateway.envelope_in_answer = envelope_in_answer;
        let Device { flash, mut gateway, .. } = Device::new(&v1, gateway);
        let running = LAYOUT.slot(Slot::A);
        let running = running.offset as usize..(running.offset + running.bytes) as usize;
        let before = flash.borrow().bytes()[running.clone()].to_vec();
        run(&flash, &mut gateway, &treatments, on_trial);
        let after = flash.borrow().bytes()[running].to_vec();
        prop_assert!(after == before);
    }
}

fn run(flash: &RefCell<SimFlash>, gateway: &mut Gateway, treatments: &[Treatment], on_trial: bool) {
    let mut memory = vec![0; 4_096];
    let config = Config::new(LAYOUT, &[1]).unwrap();
    let boot = BootInfo {
        slot: Slot::A,
        on_trial,
        attempt: u8::from(on_trial),
        sequence: 1,
    };
    let provision = Vendor::OURS.provision();
    let mut agent = Agent::new(config, provision, flash, boot, &mut memory, 3, 0).unwrap();
    let mut now_ms = 0;
    let mut treatments = treatments.iter().cycle();
    for _ in 0..200 {
        while agent.work(now_ms) {}
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let mut sent = Vec::new();
        while let Some(length) = agent.poll_transmit(&mut buffer) {
            assert!(Message::parse(&buffer[..length]).is_ok(), "the agent sends CoAP");
            sent.push(buffer[..length].to_vec());
        }
        while agent.poll_effect().is_some() {}
        for request in sent {
            for reply in gateway.handle(&request) {
                let treatment = treatments.next().unwrap();
                now_ms += if let Treatment::Wait(ms) = treatment {
                    *ms
                } else {
                    100
                };
                for mut datagram in treated(treatment, reply) {
                    agent.handle_datagram(now_ms, &mut datagram);
                }
            }
        }
        let Some(at_ms) = agent.poll_timeout() else {
            continue;
        };
        if at_ms > now_ms && Rng::new(now_ms).chance(50) {
            continue;
        }
        now_ms = now_ms.max(at_ms);
        agent.handle_timeout(now_ms);
    }
}

#[test]
fn ten_thousand_random_datagrams_leave_the_flash_alone() {
    let v1 = Vendor::OURS.release(1, image(1, 5_003));
    let Device { flash, .. } = Device::new(&v1, Gateway::new(None));
    let mut memory = vec![0; 4_096];
    let boot = BootInfo {
        slot: Slot::A,
        on_trial: false,
        attempt: 0,
        sequence: 1,
    };
    let config = Config::new(LAYOUT, &[1]).unwrap();
    let mut agent = Agent::new(config, Vendor::OURS.provision(), &flash, boot, &mut memory, 3, 0).unwrap();
    // The start itself is counted in the journal.
    let before = flash.borrow().bytes().to_vec();
    agent.handle_timeout(0);
    let mut rng = Rng::new(5);
    for _ in 0..10_000 {
        let length = rng.next() as usize % 40;
        let mut datagram: Vec<u8> = (0..length).map(|_| rng.next() as u8).collect();
        if let Some(first) = datagram.first_mut().filter(|_| length > 4) {
            // Most of them get past the version and token length.
            *first = 0x40 | *first & 0x34;
        }
        agent.handle_datagram(10, &mut datagram);
    }
    assert!(flash.borrow().bytes() == before);
}
