//! What an update in place costs: `erases OLD NEW [MEMORY_EXPONENT]` makes patches for several gaps, applies each on the simulated
//! flash (sectors of 4,096 bytes) and prints bytes and erases beside those of an update with two slots.

#![expect(clippy::unwrap_used, reason = "a measuring tool")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::cell::RefCell;

use deltagate_flash::Partition;
use deltagate_flash::sim::SimFlash;
use deltagate_updater::{Outcome, SingleSlot, Status};
use gateway_delta::{Options, Reach, encode};
use support::{Signed, bootable, request, run_with, ship, stage};
use wire_patch::MemoryClass;

const SECTOR: u32 = 4_096;

/// Gap and interval in sectors: what is between them is the reach.
const GAPS: [(u32, u32); 6] = [(2, 1), (4, 1), (8, 2), (8, 4), (16, 4), (16, 8)];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, old, new, rest @ ..] = &args[..] else {
        panic!("usage: erases OLD NEW [MEMORY_EXPONENT]");
    };
    let class = rest.first().map_or(12, |class| class.parse().unwrap());
    let memory = MemoryClass::from_exponent(class).unwrap();
    let base = Signed::new(1, &std::fs::read(old).unwrap());
    let target = Signed::new(2, &std::fs::read(new).unwrap());
    let sectors = |bytes: usize| (bytes as u32).div_ceil(SECTOR);
    let patch = |in_place| {
        let options = Options {
            in_place,
            ..Options::new(memory)
        };
        encode(&base.image, &target.image, &options).unwrap()
    };
    let ordinary = patch(None);
    println!(
        "old {} bytes, new {}, decoder memory {}",
        base.image.len(),
        target.image.len(),
        memory.bytes()
    );
    println!(
        "two slots: {} bytes, erases: result {}, staging {}, header and boot log 1",
        ordinary.len(),
        sectors(target.image.len()),
        sectors(ordinary.len())
    );
    println!(
        "gap KiB  interval KiB  bytes    moved and written  checkpoints  journal  staging  header and boot log  worst sector"
    );
    for (gap, interval) in GAPS {
        let patch = patch(Reach::within((gap - interval) * SECTOR));
        // The result may be longer than the base and its gap.
        let room = (sectors(base.image.len()) + gap).max(sectors(target.image.len()));
        let layout = SingleSlot::packed(SECTOR, memory.bytes(), patch.len() as u32, (1 + room) * SECTOR);
        let flash = RefCell::new(SimFlash::new(layout.end_bytes()));
        ship(&flash, &layout, &base);
        let asked = stage(&flash, &layout, &target, &patch);
        let before = flash.borrow().wear().to_vec();
        request(&flash, layout, asked);
        let status = run_with(&flash, layout, memory.bytes() as usize);
        assert_eq!(status, Ok(Status::Idle(Some(Outcome::Done))));
        assert_eq!(bootable(&flash, &layout), Some((2, target.image.clone())));
        let wear = flash.borrow().wear().to_vec();
        let erased = |part: Partition| {
            let at = (part.offset / SECTOR) as usize..((part.offset + part.bytes) / SECTOR) as usize;
            wear[at.clone()].iter().sum::<u32>() - before[at].iter().sum::<u32>()
        };
        let image = Partition::new(layout.slot.offset + SECTOR, layout.slot.bytes - SECTOR);
        let header = Partition::new(layout.slot.offset, SECTOR);
        let worst = wear.iter().zip(&before).map(|(now, then)| now - then).max();
        println!(
            "{:7}  {:12}  {:7}  {:17}  {:11}  {:7}  {:7}  {:19}  {:12}",
            gap * SECTOR / 1_024,
            interval * SECTOR / 1_024,
            patch.len(),
            erased(image),
            erased(layout.checkpoints),
            erased(layout.journal),
            1 + sectors(patch.len()),
            erased(header) + erased(layout.boot_log),
            worst.unwrap()
        );
    }
}
