//! A flash that fails once, without a power cut: the agent waits, asks again, and loses nothing it had.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;

use deltagate_agent::{Agent, Config, DATAGRAM_BYTES_MAX, Effect, Event};
use deltagate_flash::sim::{SimFlash, SimFlashError};
use deltagate_flash::{BootInfo, Slot};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};
use support::{Device, Gateway, LAYOUT, Offer, Vendor, image};
use wire_checkin::{JobPath, Outcome};

/// Does some operations, refuses some, then works again.
struct Flaky {
    inner: SimFlash,
    works_for: u64,
    refuses: u64,
    refused: u64,
}

impl Flaky {
    fn operate(&mut self) -> Result<(), SimFlashError> {
        if self.works_for > 0 {
            self.works_for -= 1;
        } else if self.refused < self.refuses {
            self.refused += 1;
            return Err(SimFlashError::OutOfBounds);
        }
        Ok(())
    }
}

impl ErrorType for Flaky {
    type Error = SimFlashError;
}

impl ReadNorFlash for Flaky {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimFlashError> {
        self.inner.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.inner.capacity()
    }
}

impl NorFlash for Flaky {
    const WRITE_SIZE: usize = <SimFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <SimFlash>::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimFlashError> {
        self.operate()?;
        self.inner.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimFlashError> {
        self.operate()?;
        self.inner.write(offset, bytes)
    }
}

/// Runs until the restart into the trial; what the agent said.
fn update(flash: &RefCell<Flaky>, gateway: &mut Gateway, replacement: Option<&Offer>) -> Vec<Event> {
    let mut memory = vec![0; 4_096];
    let config = Config::new(LAYOUT, &[1]).unwrap();
    let boot = BootInfo {
        slot: Slot::A,
        on_trial: false,
        attempt: 0,
        sequence: 1,
    };
    let mut agent = Agent::new(config, Vendor::OURS.provision(), flash, boot, &mut memory, 3, 0).unwrap();
    let (mut now_ms, mut said) = (0, Vec::new());
    for _ in 0..500 {
        while agent.work(now_ms) {}
        while let Some(effect) = agent.poll_effect() {
            match effect {
                Effect::Event(event) => said.push(event),
                Effect::Reboot => return said,
            }
        }
        if said.last() == Some(&Event::FlashFailed)
            && let Some(offer) = replacement
        {
            gateway.offer = Some(offer.clone());
        }
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        if let Some(length) = agent.poll_transmit(&mut buffer) {
            for mut reply in gateway.handle(&buffer[..length]) {
                agent.handle_datagram(now_ms, &mut reply);
            }
        } else if let Some(at_ms) = agent.poll_timeout() {
            now_ms = now_ms.max(at_ms);
            agent.handle_timeout(now_ms);
        }
    }
    panic!("no trial: {said:?}");
}

#[test]
fn whatever_operation_fails_the_update_goes_on_and_staged_blocks_are_kept() {
    let v1 = Vendor::OURS.release(1, image(1, 5_003));
    let v2 = Vendor::OURS.release(2, image(2, 5_003));
    let offer = Offer::patch(&v1, &v2);
    let blocks = offer.payload.len().div_ceil(128);
    let mut renamed = offer.clone();
    renamed.job.path = JobPath::new("renamed").unwrap();
    for renamed in [None, Some(&renamed)] {
        let mut told = 0;
        for failing in 0.. {
            let mut gateway = Gateway::new(Some(offer.clone()));
            let Device { flash, .. } = Device::new(&v1, Gateway::new(None));
            let flaky = Flaky {
                inner: flash.into_inner(),
                works_for: failing,
                refuses: 1,
                refused: 0,
            };
            let flaky = RefCell::new(flaky);
            let said = update(&flaky, &mut gateway, renamed);
            if flaky.borrow().refused == 0 {
                assert!(failing > 80, "every operation failed once");
                break;
            }
            assert!(
                said.contains(&Event::Verified { sequence: 2 }),
                "{failing} {said:?}"
            );
            // A log goes on in its other bank, and has nothing to tell.
            told += u32::from(said.contains(&Event::FlashFailed));
            assert!(
                !said.iter().any(|event| matches!(event, Event::Dropped { .. })),
                "{failing} {said:?}"
            );
            let resumed = said.iter().any(|event| matches!(event, Event::Resumed { .. }));
            let asked = gateway.blocks().len();
            assert!(
                asked <= blocks + 2 || !resumed,
                "operation {failing}: {asked} of {blocks} blocks"
            );
        }
        assert!(told > 50, "{told} times");
    }
}

/// The same image, and other bytes to make it of: what is staged of the first payload is no part of the second.
#[test]
fn whatever_operation_fails_another_payload_is_fetched_from_its_beginning() {
    let v1 = Vendor::OURS.release(1, image(1, 5_003));
    let v2 = Vendor::OURS.release(2, image(2, 5_003));
    let full = Offer::full(&v2);
    for failing in 0.. {
        let mut gateway = Gateway::new(Some(Offer::patch(&v1, &v2)));
        let Device { flash, .. } = Device::new(&v1, Gateway::new(None));
        let flaky = RefCell::new(Flaky {
            inner: flash.into_inner(),
            works_for: failing,
            refuses: 1,
            refused: 0,
        });
        let said = update(&flaky, &mut gateway, Some(&full));
        if flaky.borrow().refused == 0 {
            break;
        }
        assert!(said.contains(&Event::Verified { sequence: 2 }));
        assert!(!said.iter().any(|event| matches!(event, Event::Dropped { .. })));
        let blocks = full.payload.len().div_ceil(128) as u32;
        let last = gateway.blocks().into_iter().rev().take(blocks as usize);
        let fetched_whole = last.eq((0..blocks).rev());
        let offered = said
            .iter()
            .filter(|event| matches!(event, Event::Offered { .. }))
            .count();
        assert!(
            fetched_whole || offered < 2,
            "operation {failing}: {:?}",
            gateway.blocks()
        );
    }
}

/// A part that takes nothing any more: no program and no erase. Each row fails from another operation on.
#[test]
fn a_flash_that_keeps_failing_ends_the_update_and_is_reported() {
    let v1 = Vendor::OURS.release(1, image(1, 5_003));
    let v2 = Vendor::OURS.release(2, image(2, 5_003));
    for works_for in [1, 8, 20, 60] {
        let mut gateway = Gateway::new(Some(Offer::patch(&v1, &v2)));
        let Device { flash, .. } = Device::new(&v1, Gateway::new(None));
        let flash = RefCell::new(Flaky {
            inner: flash.into_inner(),
            works_for,
            refuses: u64::MAX,
            refused: 0,
        });
        let mut memory = vec![0; 4_096];
        let config = Config::new(LAYOUT, &[1]).unwrap();
        let boot = BootInfo {
            slot: Slot::A,
            on_trial: false,
            attempt: 0,
            sequence: 1,
        };
        let provision = Vendor::OURS.provision();
        let mut agent = Agent::new(config, provision, &flash, boot, &mut memory, 3, 0).unwrap();
        let (mut now_ms, mut failures, mut dropped) = (0, 0, 0);
        for _ in 0..400 {
            while agent.work(now_ms) {}
            while let Some(effect) = agent.poll_effect() {
                match effect {
                    Effect::Event(Event::FlashFailed) => failures += 1,
                    Effect::Event(Event::Dropped { outcome, .. }) => {
                        assert_eq!(outcome, Outcome::FlashFailed);
                        dropped += 1;
                    }
                    Effect::Event(_) => {}
                    Effect::Reboot => panic!("no image was made"),
                }
            }
            let mut buffer = [0; DATAGRAM_BYTES_MAX];
            if let Some(length) = agent.poll_transmit(&mut buffer) {
                for mut reply in gateway.handle(&buffer[..length]) {
                    agent.handle_datagram(now_ms, &mut reply);
                }
            } else if let Some(at_ms) = agent.poll_timeout() {
                now_ms = now_ms.max(at_ms);
                agent.handle_timeout(now_ms);
            }
        }
        let reports: Vec<_> = gateway
            .check_ins()
            .iter()
            .filter_map(|said| said.last_update)
            .collect();
        assert_eq!(dropped, 1, "works for {works_for}");
        assert_eq!((reports.len(), reports[0].outcome), (1, Outcome::FlashFailed));
        assert!(gateway.check_ins().len() > 50, "the device stays in touch");
        assert!((5..=12).contains(&failures), "works for {works_for}: {failures}");
        assert!(flash.borrow().refused < 40, "{}", flash.borrow().refused);
    }
}
