//! The table: what people read in `docs/failures.md`, and what every story is held to, on virtual time and on QEMU.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(unreachable_pub, reason = "the module is private to each test program")]

/// One failure.
pub struct Row {
    /// Where it happens.
    pub area: &'static str,
    /// The name of its tests.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub happens: &'static str,
    /// What the device does.
    pub device: &'static str,
    /// Words that the gateway prints, with `device show` where nothing else is said, while it lasts; when nothing is amiss, when
    /// it is over.
    pub shows: &'static [&'static str],
    /// Words of the next step that the technician is told.
    pub told: &'static str,
    /// How it ends.
    pub ends: Ending,
    /// Its story on virtual time: agent, bootloader and gateway core. `tests/failures/`.
    pub simulated: Runs,
    /// Its story with the real firmware on QEMU and the real gateway's process. `tests/failures_on_qemu/`.
    pub qemu: Runs,
    /// Other tests of the same matter, as file and name.
    pub also: &'static [Named],
}

/// A test, by its file and its name.
pub type Named = (&'static str, &'static str);

/// How a row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The device runs the image that was assigned, confirmed.
    Updated,
    /// The device runs what it ran; the image is withheld from it.
    Withheld,
    /// The device runs what it ran, and nothing is offered to it until somebody acts.
    Blocked,
    /// It is not over yet: the end of no row.
    Open,
}

/// Whether, and where, a row's story runs in one of the two worlds.
pub enum Runs {
    /// As the test of its name.
    Here,
    /// As the test of its name, with other numbers than the row's.
    Scaled(&'static str),
    /// In the course of these tests, which hold the row to it.
    In(&'static [Named]),
    /// In the course of such tests that take minutes, and that nobody waits for but who runs this command.
    Long(&'static [Named], &'static str),
    /// Not, and why.
    Not(&'static str),
}

impl Runs {
    /// Whether a test has the row's name.
    pub fn is_here(&self) -> bool {
        matches!(self, Self::Here | Self::Scaled(_))
    }
}

/// What a story came to.
#[derive(Debug)]
pub struct Told {
    /// How it ended.
    pub ending: Ending,
    /// What the gateway printed while it lasted.
    pub printed: String,
    /// What the technician was told to do.
    pub told: String,
}

impl Row {
    /// Holds the row to what its story came to.
    pub fn check(&self, came: &Told) {
        for words in self.shows {
            assert!(
                came.printed.contains(words),
                "{}: {words:?} is not in\n{}",
                self.name,
                came.printed
            );
        }
        assert!(
            came.told.contains(self.told),
            "{}: {:?} is not in {:?}",
            self.name,
            self.told,
            came.told
        );
        assert_eq!(came.ending, self.ends, "{}: {came:?}", self.name);
    }
}

/// The row of this name.
pub fn row(name: &str) -> &'static Row {
    let row = ROWS.iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("there is no row {name}"))
}

macro_rules! rows {
    ($($area:ident :: $name:ident {
        happens: $happens:literal,
        device: $device:literal,
        shows: $shows:expr,
        told: $told:expr,
        ends: $ends:ident,
        simulated: $simulated:expr,
        qemu: $qemu:expr,
        also: $also:expr $(,)?
    })*) => {
        /// Every failure.
        pub const ROWS: &[Row] = &[$(Row {
            area: stringify!($area),
            name: stringify!($name),
            happens: $happens,
            device: $device,
            shows: &$shows,
            told: $told,
            ends: Ending::$ends,
            simulated: $simulated,
            qemu: $qemu,
            also: &$also,
        }),*];
    };
}

/// The stories of a program: a test for each, and a test that these are the ones that the table says run here.
#[allow(unused_macros, reason = "not every program tells stories")]
macro_rules! stories {
    ($world:ident: $($area:ident :: $name:ident),* $(,)?) => {
        /// Every story of this program.
        const STORIES: &[(&str, fn() -> table::Told)] = &[$((stringify!($name), $area::$name)),*];

        $(#[test]
        fn $name() {
            table::row(stringify!($name)).check(&$area::$name());
        })*

        #[test]
        fn the_stories_are_those_of_the_table() {
            let told: std::collections::BTreeSet<_> = STORIES.iter().map(|(name, _)| *name).collect();
            let rows = table::ROWS.iter().filter(|row| row.$world.is_here());
            assert_eq!(told, rows.map(|row| row.name).collect());
        }
    };
}
#[allow(unused_imports, reason = "not every program tells stories")]
pub(crate) use stories;

/// Nothing to do.
const WAIT: &str = "none, waiting is enough";

/// Why a row has no story on virtual time.
const PROCESS: &str = "there is no process, no database and no disk there";

const SIMULATION: &str = "firmware-sim/fleet/tests/simulation.rs";
const POWER_CUTS: &str = "firmware-sim/agent/tests/power_cuts.rs";
const KILLS: &str = "firmware-sim/fleet/tests/kills/main.rs";
const BAD_FIRMWARE: &str = "firmware-sim/fleet/tests/bad_firmware.rs";
const REFUSES: &str = "firmware-sim/fleet/tests/device_refuses.rs";
const DEVICES: &str = "firmware-sim/fleet/tests/failures_on_qemu/device.rs";
const PROCESSES: &str = "firmware-sim/fleet/tests/failures_on_qemu/process.rs";
const START: &str = "gateway/server/tests/start.rs";
const STORE: &str = "gateway/server/src/store/tests.rs";
const DISK: &str = "gateway/server/tests/disk.rs";
const LESSONS: &str = "firmware-sim/agent/tests/field_lessons.rs";

rows! {
    link::a_fifth_of_all_packets_is_lost {
        happens: "20 % of all packets are lost, each for itself.",
        device: "Sends a request up to five times, each time later (RFC 7252 section 4.2); takes each block once.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [(SIMULATION, "twenty_percent_loss_delays_and_breaks_nothing")],
    }
    link::losses_come_in_bursts_of_forty_percent {
        happens: "40 % of all packets are lost, five in a row on average.",
        device: "The same; after a request that nobody answered it waits longer and goes on with the same block.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [],
    }
    link::riot_11818_packets_arrive_twice {
        happens: "Every second packet arrives twice.",
        device: "Knows a reply by its token and message id, and a block by its number: the copy is dropped.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [
            (LESSONS, "riot_11818_a_retransmitted_block_is_written_once"),
            (SIMULATION, "duplication_and_reordering_break_nothing"),
        ],
    }
    link::packets_overtake_each_other {
        happens: "30 % of all packets are up to 5 s late, and others overtake them.",
        device: "Asks again; the late reply belongs to no open request and is dropped.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Scaled("up to a second late"),
        also: [(SIMULATION, "duplication_and_reordering_break_nothing")],
    }
    link::zephyr_40107_the_link_is_out_for_an_hour {
        happens: "The link is dead for an hour in the middle of a transfer.",
        device: "Tries again, at growing distances of at most an hour, and goes on with the block it was at.",
        shows: ["it was told to fetch /", "bytes"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Scaled("until a request was given up"),
        also: [
            (LESSONS, "zephyr_40107_a_dropped_network_does_not_lock_the_download_up"),
        ],
    }
    link::the_source_port_changes_every_30_s {
        happens: "A NAT gives the device another port every 30 s; what is sent to the old one is lost.",
        device: "Nothing special: the path names it, not its address. A reply that is lost is asked for again.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Scaled("after every third block"),
        also: [],
    }
    link::the_mtu_is_smaller_than_a_block {
        happens: "The path drops packets above 250 bytes without a word; the link is configured for 1,280.",
        device: "Takes the smaller blocks that it is sent after ten replies in a row did not reach it.",
        shows: ["larger replies did not reach it, so it gets blocks of 128 bytes"],
        told: "set `mtu` of link ",
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Scaled("the link is configured for 400"),
        also: [(
            "gateway/core/tests/small_blocks.rs",
            "a_block_that_is_asked_for_again_and_again_comes_smaller_and_people_are_told",
        )],
    }
    link::chirpstack_1029_a_transfer_of_hours_is_not_given_up {
        happens: "The link carries 300 bit/s, and a packet takes 5 s: the transfer takes a long time.",
        device: "Nothing special. No session on the gateway runs out, for there is none.",
        shows: ["it was told to fetch /"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Not("there an hour takes an hour"),
        also: [(
            "gateway/core/tests/transfer.rs",
            "a_whole_transfer_survives_restarts_of_the_gateway",
        )],
    }

    device::aws_ota_206_the_power_is_cut_in_every_phase {
        happens: "The power goes away while the device erases, fetches, applies or is on trial, and once more 9 s later.",
        device: "Goes on by itself: with the block it was at, with applying, or with the trial.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::In(&[
            (KILLS, "a_cortex_m3_survives_kills_in_every_phase"),
            (KILLS, "a_risc_v_survives_kills_in_every_phase"),
        ]),
        also: [
            (POWER_CUTS, "words_of_4_bytes_and_sectors_of_4096"),
            (LESSONS, "aws_ota_206_the_state_of_a_download_outlives_power_cuts"),
        ],
    }
    device::the_device_has_no_clock {
        happens: "The device counts from zero at each of many starts, and the gateway's clock reads 1970.",
        device: "Needs no time of day: manifests do not expire, and what is newer is a number.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [("firmware-sim/agent/tests/deep_sleep.rs", "an_agent_ended_after_every_block_fetches_none_twice")],
    }
    device::sdk_nrf_29040_a_staged_patch_of_another_job_is_found {
        happens: "The device comes back with half a patch, and another image was assigned meanwhile.",
        device: "Does not continue it: the path is gone and identity is the digest. It reports so and fetches the other.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [
            (LESSONS, "sdk_nrf_29040_a_resume_never_continues_the_image_of_another_job"),
            ("firmware-sim/agent/tests/refusals.rs", "a_staged_patch_of_another_job_is_not_continued"),
        ],
    }
    device::the_flash_takes_no_writes {
        happens: "The spare slot is worn out: no erase and no write succeeds.",
        device: "Tries five times at growing distances, reports it, goes on with the image it runs.",
        shows: ["the device reported \"flash failed\", so the image is withheld"],
        told: "let it try once more; if it happens again exchange the device; then let the image be offered again: deltagate update retry",
        ends: Withheld,
        simulated: Runs::Here,
        qemu: Runs::Long(&[(DEVICES, "a_flash_that_takes_no_writes_at_all_is_reported")], "scripts/soak-power worn"),
        also: [(
            "firmware-sim/agent/tests/flaky_flash.rs",
            "a_flash_that_keeps_failing_ends_the_update_and_is_reported",
        )],
    }
    device::the_spare_slot_is_too_small {
        happens: "The image is one byte larger than the device's spare slot.",
        device: "Is offered nothing, and would refuse it before a byte was fetched.",
        shows: ["bytes, and the device's slot holds", "bytes of flash, device has"],
        told: "make the image smaller: the device has no room for it",
        ends: Blocked,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [(
            "firmware-sim/agent/tests/refusals.rs",
            "what_does_not_fit_is_refused_and_so_is_a_patch_that_leaves_no_room_for_the_image",
        )],
    }
    device::the_decoder_has_too_little_memory {
        happens: "The device gives a decoder 2 KiB, and a patch needs 4 KiB at least.",
        device: "Says how much it has with each check-in, and is sent what it can take: the whole image.",
        shows: ["it gives a decoder 2048 bytes of memory, and the smallest patch needs 4096", "full with"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [("firmware-sim/agent/tests/refusals.rs", "a_patch_that_needs_more_memory_costs_one_block")],
    }
    device::hawkbit_331_the_running_image_is_unknown {
        happens: "The device runs an image that was never imported here.",
        device: "Says by digest what it runs, and takes the whole image.",
        shows: ["that was never imported here", "no patch can be made against an image that is not known"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [("gateway/core/tests/check_in.rs", "a_device_on_an_unknown_image_gets_no_patch")],
    }
    device::the_new_image_hangs {
        happens: "The new image does nothing.",
        device: "Its watchdog bites, the bootloader starts the old image, which reports it.",
        shows: ["the device reported \"reverted: watchdog\", so the image is withheld"],
        told: "deltagate update retry",
        ends: Withheld,
        simulated: Runs::Here,
        qemu: Runs::In(&[
            (BAD_FIRMWARE, "an_image_that_hangs_is_reverted_by_the_watchdog"),
            (BAD_FIRMWARE, "a_risc_v_image_that_hangs_is_reverted_by_the_watchdog"),
        ]),
        also: [],
    }
    device::the_new_image_faults {
        happens: "The new image crashes when it starts.",
        device: "The bootloader starts the old image, which reports it.",
        shows: ["the device reported \"reverted: fault\", so the image is withheld"],
        told: "deltagate update retry",
        ends: Withheld,
        simulated: Runs::Here,
        qemu: Runs::In(&[
            (BAD_FIRMWARE, "an_image_that_faults_is_reverted"),
            (BAD_FIRMWARE, "a_risc_v_image_that_faults_is_reverted"),
        ]),
        also: [],
    }
    device::the_new_image_has_no_network {
        happens: "The new image runs, and cannot reach the gateway.",
        device: "Gives the image up when its time is over, starts the old one and reports it.",
        shows: ["the device reported \"reverted: no contact\", so the image is withheld"],
        told: "deltagate update retry",
        ends: Withheld,
        simulated: Runs::Here,
        qemu: Runs::In(&[(BAD_FIRMWARE, "an_image_with_a_dead_network_is_reverted_for_want_of_contact")]),
        also: [],
    }
    device::mcuboot_1708_an_older_image_is_assigned {
        happens: "An operator assigns an image that is older than the one that runs.",
        device: "Is offered nothing, and would refuse it: no way leads below the number it confirmed.",
        shows: ["has sequence number 1, but device", "it already runs sequence number 2"],
        told: "sign a release with sequence number 3 or higher; import and assign that",
        ends: Blocked,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [
            (LESSONS, "mcuboot_1708_no_way_leads_back_to_an_older_image"),
            (LESSONS, "mcuboot_2282_the_counter_rises_with_the_confirmation_and_not_before"),
            (REFUSES, "an_image_that_is_older_is_refused"),
        ],
    }

    gateway::the_gateway_is_killed_in_every_phase {
        happens: "`kill -9` of the gateway while it builds, offers, serves, or awaits the new image; it is back after 4 s.",
        device: "Asks again; its path and block number are all that a new process needs.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [
            ("firmware-sim/fleet/tests/gateway_killed.rs", "a_transfer_goes_on_after_the_gateway_was_killed_and_started_again"),
            ("gateway/server/tests/update.rs", "the_rest_of_a_payload_comes_from_a_gateway_that_was_killed_in_the_middle"),
            ("gateway/server/tests/import.rs", "what_an_interrupted_import_left_goes_at_the_next_start"),
        ],
    }
    gateway::it_restarts_with_a_newer_assignment {
        happens: "The gateway is killed in the middle of a transfer, and another image is assigned when it is back.",
        device: "Is told that the payload is gone, drops it, checks in and fetches the newer image.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [("gateway/core/tests/operator.rs", "another_image_withdraws_the_offer_of_the_first")],
    }
    gateway::the_clock_starts_in_1970_and_jumps {
        happens: "The gateway's clock reads 1970, is set in the middle of a transfer, and then goes back an hour.",
        device: "Notices nothing: what it is offered is not decided by the time of day.",
        shows: ["it was told to fetch /"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [
            ("gateway/core/tests/clock.rs", "the_time_to_go_is_that_of_the_blocks_whatever_the_clock_does"),
            ("gateway/core/tests/clock.rs", "after_a_restart_in_1970_no_time_to_go_is_made_up"),
            ("gateway/core/tests/clock.rs", "the_later_of_two_assignments_decides_though_the_clock_went_back"),
        ],
    }
    gateway::rauc_hawkbit_updater_223_a_delta_cannot_be_built {
        happens: "The delta for a device cannot be built.",
        device: "Is offered nothing: a whole image would cost airtime that nobody agreed to.",
        shows: ["a build for it failed: "],
        told: "find the cause in the log; then build again: deltagate update retry",
        ends: Blocked,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [("gateway/core/tests/check_in.rs", "a_failed_patch_does_not_become_a_full_image_in_silence")],
    }
    gateway::two_gateways_on_one_database {
        happens: "A second gateway is started on the state directory of one that runs.",
        device: "Notices nothing: the second does not start, the first goes on.",
        shows: ["state directory", "is used by another gateway"],
        told: "ask the one that runs: deltagate status",
        ends: Updated,
        simulated: Runs::Not(PROCESS),
        qemu: Runs::Here,
        also: [(START, "a_second_gateway_on_the_same_state_is_refused_and_the_first_goes_on")],
    }
    gateway::the_database_is_of_an_older_version {
        happens: "The gateway is started on a database of the first version.",
        device: "Is what it was: claimed, and in its group.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Not(PROCESS),
        qemu: Runs::Here,
        also: [(STORE, "a_database_of_the_first_version_is_taken_over")],
    }
    gateway::the_database_is_of_a_newer_version {
        happens: "An older gateway is started on the database of a newer one, in the middle of a transfer; then the newer one again.",
        device: "Asks again until somebody answers, and goes on with the block it was at.",
        shows: ["database is of version 1000, this program knows versions up to"],
        told: "start the newer deltagate again, or name another state_dir",
        ends: Updated,
        simulated: Runs::Not(PROCESS),
        qemu: Runs::Here,
        also: [(START, "a_newer_database_is_refused")],
    }
    gateway::a_row_of_the_database_is_damaged {
        happens: "The gateway is started on a database with a row that means nothing, in the middle of a transfer; then on a backup.",
        device: "Asks again until somebody answers, and goes on with the block it was at.",
        shows: ["cannot use database"],
        told: "restore gateway.db* and images/ from a backup, or name another state_dir",
        ends: Updated,
        simulated: Runs::Not(PROCESS),
        qemu: Runs::Here,
        also: [(STORE, "a_damaged_row_is_an_error_and_not_a_guess")],
    }
    gateway::the_disk_has_no_room_for_an_image {
        happens: "An image is imported for which the disk has no room.",
        device: "Notices nothing: the import is refused before anything is written, other updates go on.",
        shows: ["the disk has no room: 12582912 bytes are needed"],
        told: "make room where state_dir lies",
        ends: Updated,
        simulated: Runs::Not(PROCESS),
        qemu: Runs::In(&[(PROCESSES, "a_device_is_updated_whatever_fills_the_disk")]),
        also: [(DISK, "a_disk_without_room_is_seen_before_anything_is_written")],
    }
    gateway::somebody_else_fills_the_disk {
        happens: "Another program fills the disk in the middle of a transfer, and an image is imported.",
        device: "Notices nothing: the gateway has held room for its own notes; only the import is refused.",
        shows: ["the disk has no room", "and 0 may be used"],
        told: "make room where state_dir lies",
        ends: Updated,
        simulated: Runs::Not(PROCESS),
        qemu: Runs::In(&[(PROCESSES, "a_device_is_updated_whatever_fills_the_disk")]),
        also: [(DISK, "a_disk_that_others_fill_stops_nothing_and_is_used_again_when_there_is_room")],
    }
    gateway::artefacts_are_lost_with_a_disk {
        happens: "The gateway is killed in the middle of a transfer, and everything that it has built is gone.",
        device: "Asks again until the patch is built again, which is the same, and goes on with the block it was at.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Not(PROCESS),
        qemu: Runs::Here,
        also: [("gateway/server/tests/update.rs", "artefacts_that_were_lost_are_built_again_and_the_transfer_goes_on")],
    }

    publisher::the_key_is_rotated {
        happens: "The publisher signs with a new key; gateway and device trust the old and the new one.",
        device: "Runs an image of the one, then of the other.",
        shows: ["it runs what it should"],
        told: WAIT,
        ends: Updated,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [],
    }
    publisher::the_key_is_revoked {
        happens: "The gateway is restarted without the key that signed the image which a device is fetching.",
        device: "Is told that the payload is gone, reports it, goes on with the image it runs.",
        shows: ["that signed that image is not trusted here any more, so it is offered to nobody"],
        told: "import and assign an image signed with a key that is; or add the key's .pub file to `trust`",
        ends: Blocked,
        simulated: Runs::Here,
        qemu: Runs::Here,
        also: [
            ("gateway/core/tests/distrust.rs", "what_a_revoked_key_signed_is_withdrawn_and_offered_to_nobody"),
            ("gateway/core/tests/distrust.rs", "a_device_may_go_on_running_what_a_revoked_key_signed"),
        ],
    }
    publisher::the_key_is_unknown_to_the_device {
        happens: "The gateway trusts a key that the device does not.",
        device: "Refuses the manifest before a byte of payload is fetched, and reports it.",
        shows: ["the device reported \"refused: signature\", so the image is withheld"],
        told: "deltagate update retry",
        ends: Withheld,
        simulated: Runs::Here,
        qemu: Runs::In(&[(REFUSES, "a_gateway_that_trusts_the_stranger_learns_that_the_device_does_not")]),
        also: [],
    }
    publisher::the_manifest_is_of_a_newer_profile {
        happens: "The manifest is signed by a trusted key, and of a version that the device does not know.",
        device: "Refuses it before a byte of payload is fetched, and reports it.",
        shows: ["the device reported \"refused: unsupported manifest or format\", so the image is withheld"],
        told: "deltagate update retry",
        ends: Withheld,
        simulated: Runs::Here,
        qemu: Runs::Not("the gateway there knows no newer profile either; the device's refusal alone is the test below"),
        also: [(REFUSES, "a_manifest_of_a_newer_profile_is_refused")],
    }    publisher::the_key_is_unknown_to_the_gateway {
        happens: "An image is imported that somebody else signed.",
        device: "Notices nothing: nothing of the image is kept.",
        shows: ["no signature is by a trusted key"],
        told: "if the publisher is yours, add its .pub file to `trust` in gateway.toml",
        ends: Blocked,
        simulated: Runs::Not(PROCESS),
        qemu: Runs::Here,
        also: [
            ("gateway/server/tests/import.rs", "an_image_signed_by_a_stranger_leaves_an_audit_line_and_nothing_else"),
            (REFUSES, "an_image_signed_by_a_stranger_is_refused"),
        ],
    }
    publisher::the_manifest_is_newer_than_the_gateway {
        happens: "An image is imported whose manifest is of a version that the gateway does not know.",
        device: "Notices nothing: nothing of the image is kept.",
        shows: ["unsupported: manifest-version 2"],
        told: "docs/manifest.md says what a manifest may hold",
        ends: Blocked,
        simulated: Runs::Not(PROCESS),
        qemu: Runs::Here,
        also: [],
    }
}
