//! Rows of the link.

use crate::support::{self, SMALL_BLOCKS};
use crate::table::Told;
use crate::witness::{self, shown};
use fleet::board::Board;
use fleet::link::{Bursts, LinkProfile, PerMillion};
use fleet::rig::Rig;

/// RFC 7252 ACK_TIMEOUT of links that lose packets: their tests wait for it again and again.
const ACK_TIMEOUT_MS: u32 = 200;

fn lossy_rig(profile: LinkProfile) -> Rig {
    support::running_rig_with(Board::Mps2An385, profile, ACK_TIMEOUT_MS)
}

pub fn a_fifth_of_all_packets_is_lost() -> Told {
    let rig = lossy_rig(LinkProfile {
        loss: PerMillion::percent(20),
        ..SMALL_BLOCKS
    });
    let told = witness::updated(&rig);
    let seen = rig.bridge.seen();
    assert!(seen.traffic.up.lost_packets + seen.traffic.down.lost_packets > 3);
    assert!(seen.observed.counts.retransmissions > 0);
    assert_eq!(seen.observed.payload_back_bytes_max, 0, "it went on where it was");
    told
}

pub fn losses_come_in_bursts_of_forty_percent() -> Told {
    // Whole blocks: each exchange takes its time, and this is not the place to wait for many.
    let rig = lossy_rig(LinkProfile {
        bursts: Bursts::FORTY_PERCENT,
        ..LinkProfile::FAST
    });
    let told = witness::updated(&rig);
    let seen = rig.bridge.seen();
    assert!(seen.traffic.up.lost_packets + seen.traffic.down.lost_packets > 3);
    assert_eq!(seen.observed.payload_back_bytes_max, 0, "it went on where it was");
    told
}

pub fn riot_11818_packets_arrive_twice() -> Told {
    let rig = support::running_rig(LinkProfile {
        duplicate: PerMillion::percent(50),
        ..SMALL_BLOCKS
    });
    let told = witness::updated(&rig);
    let observed = rig.bridge.seen().observed;
    assert_eq!(
        observed.counts.payload_requests_again, 0,
        "each block is fetched once"
    );
    assert_eq!(observed.offers_of(2), 1, "a check-in that comes twice is one");
    told
}

pub fn packets_overtake_each_other() -> Told {
    let rig = lossy_rig(LinkProfile {
        reorder: PerMillion::percent(30),
        reorder_delay_us: 1_000_000,
        ..SMALL_BLOCKS
    });
    let told = witness::updated(&rig);
    let observed = rig.bridge.seen().observed;
    assert!(
        observed.counts.retransmissions > 0,
        "what is late is asked for again"
    );
    assert_eq!(observed.payload_back_bytes_max, 0);
    told
}

pub fn zephyr_40107_the_link_is_out_for_an_hour() -> Told {
    let rig = lossy_rig(SMALL_BLOCKS);
    support::caught_after(&rig, 5);
    let blocks = support::blocks(&rig.bridge.seen().observed);
    // Longer than an exchange lives: the device gives the request up, and tells when it tries again.
    support::line(&rig, 0, "no usable answer");
    let meanwhile = shown(&rig);
    rig.bridge.mend();
    let told = witness::runs(&rig, 0, 2);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1);
    assert!(
        observed.counts.payload_requests <= blocks + 3,
        "nothing was fetched twice"
    );
    Told {
        printed: meanwhile.printed,
        ..told
    }
}

pub fn the_source_port_changes_every_30_s() -> Told {
    let rig = support::running_rig(SMALL_BLOCKS);
    for replies in [2, 5, 8] {
        rig.bridge
            .rebind_when(move |observed| observed.counts.payload_replies >= replies);
    }
    let told = witness::updated(&rig);
    assert_eq!(rig.bridge.rebound(), 3);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1);
    assert_eq!(observed.payload_back_bytes_max, 0);
    told
}

pub fn the_mtu_is_smaller_than_a_block() -> Told {
    let narrow = LinkProfile {
        mtu_bytes: 250,
        ..LinkProfile::FAST
    };
    // The shortest there is: ten replies have to be lost.
    let mut rig = support::rig(Board::Mps2An385, narrow, 100);
    rig.reconfigure(|config| config.mtu = 400).unwrap();
    let mut rig = support::started(rig);
    support::assign_behind_its_back(&rig, || support::assign(&rig, "v2.bin", 2));
    rig.bridge.mend();
    // Twice all the replies to a request. How long it waits for the last one, and then, is no matter of this row: a restart is quicker.
    for swallowed in [5, 10] {
        rig.bridge
            .wait_until(support::PATIENCE, |seen| {
                seen.traffic.down.refused_packets >= swallowed
            })
            .expect("blocks are swallowed");
        rig.machine.kill();
        rig.machine.start().unwrap();
    }
    let mark = support::line(&rig, 0, "applying");
    let meanwhile = shown(&rig);
    Told {
        ending: witness::runs(&rig, mark, 2).ending,
        ..meanwhile
    }
}
