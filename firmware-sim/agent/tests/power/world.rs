//! The device's surroundings, which keep their state while its power comes and goes: the gateway, and a witness of what must
//! never be taken back.

use std::borrow::Cow;

use deltagate_agent::{DeferralStage, Verdict};
use wire_checkin::{Format, Outcome};
use wire_coap::Message;

use super::scenario::{HALF_WAY, LAST, SHIPPED, Scenario, TOLD};
use super::support::{Gateway, Offer, Request};

/// What outlives a power cut, besides the flash.
#[derive(Clone, Debug, Hash, Default)]
pub(crate) struct World {
    /// Offers that are over: confirmed, or an outcome for them reported.
    pub(crate) ended: u8,
    /// Blocks of each offer asked for, up to [`HALF_WAY`].
    pub(crate) blocks: [u8; 2],
    /// The first byte of the block asked for last, of each offer, since it was accepted: all before it were staged.
    pub(crate) reached: [u32; 3],
    /// The offer that was accepted last, until it is dropped; nobody knows where the power went away before the device said so.
    pub(crate) job: Option<u8>,
    /// The highest sequence number that a gateway answered.
    pub(crate) contacted: u32,
    /// What the device said last that it runs.
    pub(crate) running: u32,
    /// The highest sequence number that is known to be confirmed.
    pub(crate) confirmed: u32,
    /// The image of which the device said last that its update was cancelled.
    pub(crate) cancelled: Option<u32>,
    /// Check-ins that told of an update put off before its download and before its restart, up to [`TOLD`].
    pub(crate) put_off: [u8; 2],
    /// The scenario is over; now the last update.
    pub(crate) finale: bool,
    /// The last update is over too.
    pub(crate) done: bool,
}

impl World {
    /// What the gateway offers, which knows that a patch is of no use to whom does not run its base.
    fn standing<'s>(&self, scenario: &'s Scenario, last: &'s Offer) -> Option<(usize, Cow<'s, Offer>)> {
        if self.finale {
            return Some((2, Cow::Borrowed(last)));
        }
        let index = (scenario.standing)(self)?;
        let offer = scenario.offers.get(index)?;
        let offer = match offer.job.format == Format::Patch && self.running != SHIPPED {
            true => Cow::Owned(scenario.whole(offer)),
            false => Cow::Borrowed(offer),
        };
        Some((index, offer))
    }

    /// The gateway's answer. `most_again` is how much of what was staged may be fetched again.
    pub(crate) fn answer(
        &mut self,
        scenario: &Scenario,
        last: &Offer,
        most_again: u32,
        datagram: &[u8],
    ) -> Vec<Vec<u8>> {
        let message = Message::parse(datagram).expect("the agent sends CoAP");
        if !message.code().is_request() {
            return Vec::new();
        }
        let mut gateway = Gateway::new(None);
        gateway.block_size_max = wire_coap::BlockSize::B1024;
        gateway.handle(datagram);
        match &gateway.requests[0] {
            Request::CheckIn(check_in) => {
                self.running = check_in.sequence_number as u32;
                self.contacted = self.contacted.max(self.running);
                self.note(scenario, check_in);
            }
            Request::Payload { path, .. } => {
                let block = message.block2().unwrap().expect("a block is asked for");
                let offset = block.number.value() * block.size.bytes();
                self.asked(scenario, last, path, offset, most_again);
            }
            Request::Manifest { .. } => {}
        }
        gateway.offer = self.standing(scenario, last).map(|(_, offer)| offer.into_owned());
        gateway.requests.clear();
        gateway.handle(datagram)
    }

    fn note(&mut self, scenario: &Scenario, check_in: &wire_checkin::CheckIn) {
        if let Some(deferral) = check_in.deferral {
            let told = match deferral.stage {
                DeferralStage::Download => &mut self.put_off[0],
                DeferralStage::Restart => &mut self.put_off[1],
            };
            *told = (*told + 1).min(TOLD);
        }
        if let Some(last) = check_in
            .last_update
            .filter(|last| last.outcome == Outcome::Cancelled)
        {
            self.cancelled = Some(last.sequence_number as u32);
        }
        let offers = &scenario.offers;
        let sequence_of = |index: u8| {
            offers
                .get(usize::from(index))
                .map(|offer| offer.job.sequence_number)
        };
        let about = check_in.last_update.map(|last| last.sequence_number);
        let current = sequence_of(self.ended);
        if current.is_some()
            && (about == current || Some(check_in.sequence_number) == current && !check_in.on_trial)
        {
            self.ended += 1;
        }
        if check_in.on_trial {
            return;
        }
        let running = check_in.sequence_number as u32;
        self.finale |= running == scenario.goal;
        self.done |= running == LAST;
    }

    fn asked(&mut self, scenario: &Scenario, last: &Offer, path: &str, offset: u32, most_again: u32) {
        let Some((index, offer)) = self.standing(scenario, last) else {
            return;
        };
        if offer.job.path.as_str() != path {
            return;
        }
        assert!(
            (scenario.gate)(self).download == Verdict::Clear || scenario.gate_has_its_time,
            "{path} is fetched though it is put off"
        );
        if let Some(blocks) = self.blocks.get_mut(index) {
            *blocks = (*blocks + 1).min(HALF_WAY);
        }
        if self.job.is_some_and(|job| usize::from(job) != index) {
            return; // It still asks for what stood before, under the same path, and does not take what it gets.
        }
        assert!(
            offset + most_again >= self.reached[index],
            "asked for byte {offset} of {path} after {} bytes were staged",
            self.reached[index]
        );
        self.reached[index] = self.reached[index].max(offset);
    }

    /// An offer was accepted: it begins anew, and what was staged of others is gone.
    pub(crate) fn accepted(&mut self, scenario: &Scenario, last: &Offer) {
        let standing = self
            .standing(scenario, last)
            .map(|(index, offer)| (index, offer.job.path));
        if let Some((index, path)) = &standing {
            assert_eq!(self.reached[*index], 0, "{} is begun anew", path.as_str());
        }
        self.dropped();
        self.job = standing.map(|(index, _)| index as u8);
    }

    /// An update was given up.
    pub(crate) fn dropped(&mut self) {
        self.reached = [0; 3];
        self.job = None;
    }
}
