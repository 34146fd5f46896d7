//! Rows of the link.

use crate::simulated::{HOUR_US, LINK, SECOND_US, hardware, long_scenario, releases, scenario, tiny_blocks};
use crate::story::{Witness, confirmed, offered};
use crate::table::Told;
use deltagate_agent::Event;
use fleet::link::{BitsPerSecond, Bursts, LinkProfile, PerMillion, Traffic};
use fleet::sim::{Behaviour, Fault, World};
use std::cell::Cell;

/// An update over this link, which ends well; what the gateway shows then.
fn update_over(seed: u64, profile: LinkProfile, check: impl Fn(&World<'_>)) -> Told {
    let (publisher, releases) = releases(seed, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = offered(long_scenario(seed, profile), &mut hardware, &releases);
    let told = confirmed(&mut world, 2);
    check(&world);
    told
}

pub fn a_fifth_of_all_packets_is_lost() -> Told {
    let profile = LinkProfile {
        loss: PerMillion::percent(20),
        ..LINK
    };
    update_over(10, profile, |world| {
        let observed = world.observed(0);
        assert!(observed.counts.retransmissions > 0, "lost packets are sent again");
        assert_eq!(
            observed.payload_back_bytes_max, 0,
            "no block is asked for after a later one"
        );
        assert_eq!(observed.offers_of(2), 1);
    })
}

pub fn losses_come_in_bursts_of_forty_percent() -> Told {
    let profile = LinkProfile {
        bursts: Bursts::FORTY_PERCENT,
        ..LINK
    };
    let (sent, lost) = (Cell::new(0), Cell::new(0));
    let runs = (20..28).map(|seed| {
        update_over(seed, profile, |world| {
            let Traffic { up, down } = world.traffic(0);
            sent.set(sent.get() + up.sent_packets + down.sent_packets);
            lost.set(lost.get() + up.lost_packets + down.lost_packets);
            assert_eq!(world.observed(0).payload_back_bytes_max, 0, "seed {seed}");
        })
    });
    let told = runs.last().unwrap();
    let (sent, lost) = (sent.get(), lost.get());
    assert!(lost * 10 > sent * 3, "{lost} of {sent} were lost");
    told
}

pub fn riot_11818_packets_arrive_twice() -> Told {
    let profile = LinkProfile {
        duplicate: PerMillion::percent(50),
        ..LINK
    };
    update_over(30, profile, |world| {
        let observed = world.observed(0);
        assert_eq!(
            observed.counts.payload_requests_again, 0,
            "each block is fetched once"
        );
        assert_eq!(observed.offers_of(2), 1, "a check-in that comes twice is one");
    })
}

pub fn packets_overtake_each_other() -> Told {
    let profile = LinkProfile {
        reorder: PerMillion::percent(30),
        reorder_delay_us: 5 * SECOND_US,
        ..LINK
    };
    update_over(40, profile, |world| {
        assert!(
            world.observed(0).counts.retransmissions > 0,
            "what is late is asked for again"
        );
        assert_eq!(world.observed(0).payload_back_bytes_max, 0);
    })
}

pub fn zephyr_40107_the_link_is_out_for_an_hour() -> Told {
    let (publisher, releases) = releases(50, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = offered(long_scenario(50, LINK), &mut hardware, &releases);
    world.until(|world| world.observed(0).counts.payload_replies >= 3);
    let (now_us, for_us) = (world.now_us(), HOUR_US);
    world.plan(now_us, Fault::Outage { device: 0, for_us });
    world.pass(HOUR_US - SECOND_US);
    let meanwhile = world.show();
    assert_eq!(world.confirmed(0), Some(1));
    assert!(world.said(|event| matches!(event, Event::Unanswered { .. })));
    let told = confirmed(&mut world, 2);
    assert_eq!(
        world.observed(0).payload_back_bytes_max,
        0,
        "it goes on where it was"
    );
    assert_eq!(world.observed(0).offers_of(2), 1);
    Told {
        printed: meanwhile.printed,
        ..told
    }
}

pub fn the_source_port_changes_every_30_s() -> Told {
    // Slow enough that the transfer sees several ports.
    let slow = LinkProfile {
        delay_us: 2 * SECOND_US,
        ..LINK
    };
    let (publisher, releases) = releases(60, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = offered(long_scenario(60, slow), &mut hardware, &releases);
    let began_us = world.now_us();
    for n in 1..100 {
        world.plan(began_us + n * 30 * SECOND_US, Fault::Rebound { device: 0 });
    }
    let told = confirmed(&mut world, 2);
    assert!(world.now_us() - began_us > 90 * SECOND_US, "three ports at least");
    assert_eq!(world.observed(0).payload_back_bytes_max, 0);
    assert_eq!(world.observed(0).offers_of(2), 1);
    told
}

pub fn the_mtu_is_smaller_than_a_block() -> Told {
    let narrow = LinkProfile {
        mtu_bytes: 250,
        ..LINK
    };
    let (publisher, releases) = releases(70, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = offered(scenario(70, narrow), &mut hardware, &releases);
    world.until(|world| world.said(|event| matches!(event, Event::Staged)));
    assert!(
        world.traffic(0).down.refused_packets > 10,
        "blocks were swallowed"
    );
    let meanwhile = world.show();
    Told {
        ending: confirmed(&mut world, 2).ending,
        ..meanwhile
    }
}

pub fn chirpstack_1029_a_transfer_of_hours_is_not_given_up() -> Told {
    // 300 bit/s, and 5 s each way: what a LoRa mesh may give.
    let slow = LinkProfile {
        rate_up: BitsPerSecond(300),
        rate_down: BitsPerSecond(300),
        delay_us: 5 * SECOND_US,
        ..LINK
    };
    let (publisher, releases) = releases(80, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut scenario = tiny_blocks(80, slow);
    scenario.config.default_link.ack_timeout_ms = 30_000;
    let mut world = offered(scenario, &mut hardware, &releases);
    let began_us = world.now_us();
    world.until(|world| world.observed(0).counts.payload_replies >= 20);
    let meanwhile = world.show();
    let told = confirmed(&mut world, 2);
    assert!(world.now_us() - began_us > HOUR_US / 6, "it took a while");
    assert_eq!(world.observed(0).offers_of(2), 1);
    Told {
        printed: meanwhile.printed,
        ..told
    }
}
