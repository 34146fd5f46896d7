//! Rows of the device.

use crate::simulated::{
    HOUR_US, LINK, SECOND_US, assign, hardware, long_scenario, releases, settled, shipped, tiny_blocks,
};
use crate::story::{Witness, confirmed, offered};
use crate::table::{Ending, Told};
use deltagate_agent::Event;
use deltagate_flash::Slot;
use fleet::link::LinkProfile;
use fleet::sim::{Behaviour, CLASS_ID, Fault, Hardware, LAYOUT, Moment, World};
use gateway_core::{ClassId, Command, Selector, Terms};
use wire_checkin::{DeviceId, Format, Outcome};

pub fn aws_ota_206_the_power_is_cut_in_every_phase() -> Told {
    let mut last = None;
    // An update is some 370 flash operations, the first 20 until its payload is staged; each run is cut in one of them, and again
    // a while later.
    let mut cut = [false; 4];
    for operations in (0..24).step_by(3).chain((40..440).step_by(40)) {
        let seed = 100 + operations;
        let (publisher, releases) = releases(seed, &[Behaviour::Good]);
        let mut hardware = hardware(&publisher, &releases[0], 1);
        let mut world = offered(long_scenario(seed, LINK), &mut hardware, &releases);
        let now_us = world.now_us();
        let torn = |operations, torn_at| Fault::TornWrite {
            device: 0,
            operations,
            torn_at,
        };
        world.plan(now_us, torn(operations, (operations % 7) as u32));
        world.plan(now_us + 9 * SECOND_US, Fault::PowerCut { device: 0 });
        last = Some(confirmed(&mut world, 2));
        let phase = phase_of_first_cut(&world);
        // Before it wrote down what it was offered, it has to ask again.
        assert!(
            world.observed(0).offers_of(2) <= 1 + usize::from(phase == 0),
            "seed {seed}: it went on by itself"
        );
        assert!(
            world.observed(0).counts.payload_requests_again <= 4,
            "seed {seed}"
        );
        cut[phase] = true;
    }
    assert_eq!(cut, [true; 4], "preparing, fetching, applying and on trial");
    last.unwrap()
}

/// 0 while the slot is prepared, 1 during the download, 2 while the image is made, 3 after that.
fn phase_of_first_cut(world: &World<'_>) -> usize {
    let mut phase = 0;
    for moment in world.history(0) {
        match moment {
            Moment::Said(Event::Block { .. }) => phase = 1,
            Moment::Said(Event::Staged) => phase = 2,
            Moment::Said(Event::Verified { .. }) => phase = 3,
            Moment::PowerCut => break,
            _ => {}
        }
    }
    phase
}

pub fn the_device_has_no_clock() -> Told {
    // Every simulated device counts from 0 at each start; here it starts often, and the gateway's clock is wrong as well.
    let (publisher, releases) = releases(110, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = offered(tiny_blocks(110, LINK), &mut hardware, &releases);
    let now_us = world.now_us();
    world.plan(now_us, Fault::ClockSet { to_unix_s: 0 });
    for n in 1..5 {
        world.plan(now_us + n * 7 * SECOND_US, Fault::PowerCut { device: 0 });
    }
    let told = confirmed(&mut world, 2);
    assert!(world.said(|event| matches!(event, Event::Resumed { .. })));
    told
}

pub fn sdk_nrf_29040_a_staged_patch_of_another_job_is_found() -> Told {
    let (publisher, releases) = releases(120, &[Behaviour::Good, Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = offered(long_scenario(120, LINK), &mut hardware, &releases);
    world.until(|world| world.observed(0).counts.payload_replies >= 4);
    // The device is away while another image is assigned, and comes back with half a patch of the first.
    let now_us = world.now_us();
    let for_us = 60 * SECOND_US;
    world.plan(now_us, Fault::Outage { device: 0, for_us });
    world.plan(now_us + SECOND_US, Fault::PowerCut { device: 0 });
    world.pass(10 * SECOND_US);
    assign(&mut world, &releases[2]);
    let told = confirmed(&mut world, 3);
    assert!(
        !world
            .history(0)
            .iter()
            .any(|moment| matches!(moment, Moment::Booted { sequence: 2, .. })),
        "nothing was made of the first patch"
    );
    assert!(world.said(|event| matches!(
        event,
        Event::Dropped {
            sequence: 2,
            outcome: Outcome::PayloadChanged,
        }
    )));
    told
}

pub fn the_flash_takes_no_writes() -> Told {
    let (publisher, releases) = releases(130, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let spare = LAYOUT.slot(Slot::B);
    hardware[0]
        .flash
        .borrow_mut()
        .wear_out(spare.offset..spare.offset + spare.bytes);
    let mut world = offered(long_scenario(130, LINK), &mut hardware, &releases);
    let reported = |event: &Event| {
        matches!(
            event,
            Event::Reported {
                outcome: Outcome::FlashFailed,
                ..
            }
        )
    };
    world.until(|world| world.said(reported));
    world.pass(2 * HOUR_US);
    assert_eq!(world.confirmed(0), Some(1), "the old image goes on");
    assert!(world.observed(0).offers_of(2) <= 5, "it is not tried for ever");
    world.show()
}

pub fn the_spare_slot_is_too_small() -> Told {
    let (publisher, mut releases) = releases(140, &[Behaviour::Good]);
    let capacity = LAYOUT.image_capacity_bytes() as usize;
    releases[1] = publisher.sign(2, vec![0x5A; capacity + 1], Behaviour::Good);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = settled(long_scenario(140, LINK), &mut hardware, &releases);
    assign(&mut world, &releases[1]);
    world.pass(HOUR_US);
    assert_eq!(world.confirmed(0), Some(1));
    assert_eq!(
        world.observed(0).offers_of(2),
        0,
        "nothing is offered that cannot fit"
    );
    world.show()
}

pub fn the_decoder_has_too_little_memory() -> Told {
    let (publisher, releases) = releases(150, &[Behaviour::Good]);
    let flash = shipped(&[publisher.anchor()], &releases[0]);
    let mut hardware = [Hardware::with_decoder_memory(flash, 2_048)];
    let mut world = offered(long_scenario(150, LINK), &mut hardware, &releases);
    let meanwhile = world.show();
    assert_eq!(world.observed(0).offers[0].format, Format::Full);
    Told {
        printed: meanwhile.printed,
        ..confirmed(&mut world, 2)
    }
}

/// The device goes back to version 1, says why, and is not offered version 2 again.
fn reverted(seed: u64, behaviour: Behaviour) -> Told {
    let (publisher, releases) = releases(seed, &[behaviour]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = offered(long_scenario(seed, LINK), &mut hardware, &releases);
    world.pass(2 * HOUR_US);
    assert_eq!(world.confirmed(0), Some(1), "the old image runs");
    assert_eq!(
        world.observed(0).offers_of(2),
        1,
        "and the new one is not tried again"
    );
    assert!(world.observed(0).counts.check_ins > 60, "it stays in touch");
    world.show()
}

pub fn the_new_image_hangs() -> Told {
    reverted(160, Behaviour::Hangs)
}

pub fn the_new_image_faults() -> Told {
    reverted(161, Behaviour::Faults)
}

pub fn the_new_image_has_no_network() -> Told {
    reverted(162, Behaviour::DeadNetwork)
}

pub fn mcuboot_1708_an_older_image_is_assigned() -> Told {
    let (publisher, releases) = releases(170, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = offered(long_scenario(170, LINK), &mut hardware, &releases);
    confirmed(&mut world, 2);
    let id = DeviceId::new(&world.device_id(0)).unwrap();
    let now_us = world.now_us();
    let older = releases[0].digest();
    let refused = world
        .gateway()
        .command(
            now_us,
            Command::Assign(Selector::Device(id), older, Terms::default()),
        )
        .unwrap_err();
    // To the class it may be assigned: other devices may need it. This one is not offered it.
    let class = Selector::Class(ClassId(CLASS_ID));
    world
        .gateway()
        .command(now_us, Command::Assign(class, older, Terms::default()))
        .unwrap();
    world.pass(HOUR_US);
    assert_eq!(world.confirmed(0), Some(2));
    assert_eq!(world.observed(0).offers_of(1), 0);
    let shown = world.show();
    Told {
        ending: Ending::Blocked,
        printed: format!("{refused}\n{}", shown.printed),
        told: shown.told,
    }
}

pub fn hawkbit_331_the_running_image_is_unknown() -> Told {
    // The gateway never saw what the device runs: it was flashed by hand, or the store was lost.
    let (publisher, releases) = releases(180, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let known = &releases[1..];
    let profile = LinkProfile { ..LINK };
    let mut world = World::new(long_scenario(180, profile), &mut hardware, &releases);
    world.gateway().import(0, &known[0]).unwrap();
    let id = DeviceId::new(&world.device_id(0)).unwrap();
    world.gateway().command(0, Command::ClaimDevice(id)).unwrap();
    world.until(|world| world.said(|event| matches!(event, Event::CheckedIn { .. })));
    assign(&mut world, &known[0]);
    world.until(|world| world.observed(0).offers_of(2) == 1);
    let meanwhile = world.show();
    assert_eq!(world.observed(0).offers[0].format, Format::Full);
    Told {
        printed: meanwhile.printed,
        ..confirmed(&mut world, 2)
    }
}
