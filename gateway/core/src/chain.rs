//! The way from what a device runs to what it should run: by stepping stones, where an image may not follow directly.
//!
//! An image may follow any sequence number from its [`ImageRecord::predecessor_min`] on and below its own. So the numbers from
//! which a target can be reached in at most k steps have no gap: they are all from `lowest(k)` up to the target, with
//!
//! ```text
//! lowest(1)     = the target's predecessor_min
//! lowest(k + 1) = the least predecessor_min of the images numbered lowest(k) and above, or lowest(k)
//! ```
//!
//! because each image that lowers it has a number inside, and reaches from there down. A way of the fewest steps is then walked
//! from the device's side; where several images are as good, by the highest. Planned anew at every check-in from what the device
//! says it runs, so nothing about it is stored.
//!
//! A device that refused or reverted a stone stops there, as with any image: no other way is tried behind its operator's back.

use crate::records::{DeviceRecord, DeviceReport, ImageRecord, UpdateState};
use crate::state::State;
use core::fmt;

/// What would have to be imported for a way to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingStone {
    /// The lowest sequence number it may have.
    pub lowest: u64,
    /// The highest.
    pub highest: u64,
    /// The highest number that the device can get to as it is: the image must be allowed to follow that.
    pub follows: u64,
}

/// `an image with a sequence number from 4 to 6 that may follow 1 is needed in between, and none is imported`
impl fmt::Display for MissingStone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image with ")?;
        match (self.lowest, self.highest) {
            (lowest, highest) if lowest == highest => write!(f, "sequence number {lowest}")?,
            (lowest, highest) => write!(f, "a sequence number from {lowest} to {highest}")?,
        }
        let follows = self.follows;
        write!(
            f,
            " that may follow {follows} is needed in between, and none is imported"
        )
    }
}

/// The images that a device gets one after the other; the last is `goal`. It runs something older.
///
/// A stone that it is fetching stays the next one as long as there is a way on from it.
pub(crate) fn way<'a>(
    state: &'a State,
    device: &DeviceRecord,
    report: &DeviceReport,
    goal: &'a ImageRecord,
) -> Result<Vec<&'a ImageRecord>, MissingStone> {
    let runs = report.sequence_number;
    if may_follow(goal, runs) {
        return Ok(vec![goal]);
    }
    let may_serve = |image: &&ImageRecord| {
        (image.class, image.vendor) == (goal.class, goal.vendor) && state.trusts(image)
    };
    let stones: Vec<&ImageRecord> = state.images.values().filter(may_serve).collect();
    let is_offered = |stone: &&&ImageRecord| {
        let update = state.updates.get(&(device.id, stone.digest));
        update.is_some_and(|update| matches!(update.state, UpdateState::Offered { .. }))
    };
    let leads_on =
        |stone: &&&ImageRecord| may_follow(stone, runs) && stone.sequence_number < goal.sequence_number;
    if let Some(stone) = stones.iter().filter(is_offered).find(leads_on)
        && let Ok(rest) = plan(stone.sequence_number, goal, &stones)
    {
        return Ok(std::iter::once(*stone).chain(rest).collect());
    }
    plan(runs, goal, &stones)
}

/// Whether `image` may be installed where `runs` runs.
pub(crate) fn may_follow(image: &ImageRecord, runs: u64) -> bool {
    (image.predecessor_min..image.sequence_number).contains(&runs)
}

fn plan<'a>(
    runs: u64,
    goal: &'a ImageRecord,
    stones: &[&'a ImageRecord],
) -> Result<Vec<&'a ImageRecord>, MissingStone> {
    let between = || {
        let mut stones = stones.iter().copied();
        core::iter::from_fn(move || stones.next())
            .filter(|stone| stone.sequence_number < goal.sequence_number)
    };
    // Of so many steps as there are entries.
    let mut lowest = vec![goal.predecessor_min];
    while let Some(&bound) = lowest.last()
        && bound > runs
    {
        let above = between().filter(|stone| stone.sequence_number >= bound);
        match above.map(|stone| stone.predecessor_min).min() {
            Some(lower) if lower < bound => lowest.push(lower),
            _ => {
                return Err(MissingStone {
                    lowest: bound,
                    highest: goal.sequence_number.saturating_sub(1),
                    follows: furthest(runs, between),
                });
            }
        }
    }
    let mut way: Vec<&ImageRecord> = Vec::with_capacity(lowest.len());
    // The last entry is where the device is; the one before it is where its first step must lead; after the first comes the goal.
    for bound in lowest.iter().rev().skip(1) {
        let at = way.last().map_or(runs, |stone| stone.sequence_number);
        let next = between().filter(|stone| stone.sequence_number >= *bound && may_follow(stone, at));
        way.extend(next.max_by_key(|stone| stone.sequence_number));
    }
    way.push(goal);
    Ok(way)
}

/// The highest number that can be reached from `runs`.
fn furthest<'a, I: Iterator<Item = &'a ImageRecord>>(runs: u64, stones: impl Fn() -> I) -> u64 {
    let mut at = runs;
    while let Some(next) = stones()
        .filter(|stone| may_follow(stone, at))
        .map(|stone| stone.sequence_number)
        .max()
    {
        at = next;
    }
    at
}

#[cfg(test)]
mod tests;
