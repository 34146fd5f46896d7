//! The failure matrix: what goes wrong in the field, and what becomes of it.
//!
//! [`table`] holds a row for each failure: what happens, what the device does, what the gateway prints, what the technician is
//! told, how it ends. Here a row is a test of its own, which runs its story on virtual time with the real agent, bootloader and
//! gateway core, and holds the row to what they did and printed; `tests/failures_on_qemu/` does so with the real firmware and the
//! real gateway's process. `docs/failures.md` is the same table for people:
//!
//! ```text
//! DELTAGATE_WRITE_DOCS=1 cargo test -p fleet --test failures page
//! ```

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]
#![allow(unreachable_pub, reason = "the modules are private to this test program")]

#[path = "../simulated/mod.rs"]
mod simulated;

mod device;
mod gateway;
mod link;
mod page;
mod publisher;
mod story;
mod table;

table::stories! { simulated:
    link::a_fifth_of_all_packets_is_lost,
    link::losses_come_in_bursts_of_forty_percent,
    link::riot_11818_packets_arrive_twice,
    link::packets_overtake_each_other,
    link::zephyr_40107_the_link_is_out_for_an_hour,
    link::the_source_port_changes_every_30_s,
    link::the_mtu_is_smaller_than_a_block,
    link::chirpstack_1029_a_transfer_of_hours_is_not_given_up,
    device::aws_ota_206_the_power_is_cut_in_every_phase,
    device::the_device_has_no_clock,
    device::sdk_nrf_29040_a_staged_patch_of_another_job_is_found,
    device::the_flash_takes_no_writes,
    device::the_spare_slot_is_too_small,
    device::the_decoder_has_too_little_memory,
    device::hawkbit_331_the_running_image_is_unknown,
    device::the_new_image_hangs,
    device::the_new_image_faults,
    device::the_new_image_has_no_network,
    device::mcuboot_1708_an_older_image_is_assigned,
    gateway::the_gateway_is_killed_in_every_phase,
    gateway::it_restarts_with_a_newer_assignment,
    gateway::the_clock_starts_in_1970_and_jumps,
    gateway::rauc_hawkbit_updater_223_a_delta_cannot_be_built,
    publisher::the_key_is_rotated,
    publisher::the_key_is_revoked,
    publisher::the_key_is_unknown_to_the_device,
    publisher::the_manifest_is_of_a_newer_profile,
}
