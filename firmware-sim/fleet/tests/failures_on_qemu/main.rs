//! The failure matrix with the real firmware, the real gateway and a link in real time: the rows of `tests/failures/table.rs` that QEMU
//! can run, each held to what `deltagate` prints.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]
#![allow(unreachable_pub, reason = "the modules are private to this test program")]

#[path = "../support/mod.rs"]
mod support;
#[path = "../failures/table.rs"]
mod table;

mod device;
mod gateway;
mod link;
mod process;
mod publisher;
mod witness;

table::stories! { qemu:
    link::a_fifth_of_all_packets_is_lost,
    link::losses_come_in_bursts_of_forty_percent,
    link::riot_11818_packets_arrive_twice,
    link::packets_overtake_each_other,
    link::zephyr_40107_the_link_is_out_for_an_hour,
    link::the_source_port_changes_every_30_s,
    link::the_mtu_is_smaller_than_a_block,
    device::the_device_has_no_clock,
    device::sdk_nrf_29040_a_staged_patch_of_another_job_is_found,
    device::the_spare_slot_is_too_small,
    device::the_decoder_has_too_little_memory,
    device::hawkbit_331_the_running_image_is_unknown,
    device::mcuboot_1708_an_older_image_is_assigned,
    gateway::the_gateway_is_killed_in_every_phase,
    gateway::it_restarts_with_a_newer_assignment,
    gateway::the_clock_starts_in_1970_and_jumps,
    gateway::rauc_hawkbit_updater_223_a_delta_cannot_be_built,
    process::two_gateways_on_one_database,
    process::the_database_is_of_an_older_version,
    process::the_database_is_of_a_newer_version,
    process::a_row_of_the_database_is_damaged,
    process::artefacts_are_lost_with_a_disk,
    publisher::the_key_is_rotated,
    publisher::the_key_is_revoked,
    publisher::the_key_is_unknown_to_the_gateway,
    publisher::the_manifest_is_newer_than_the_gateway,
}
