//! Other keys for a device that lost its count, or whose gateway does not know the ones that it made: RFC 8613 Appendix B.2
//! ([`wire_oscore::renewal`]), in the place of one request and its answer.
//!
//! | | |
//! |---|---|
//! | begins | with the next request, where the count of keys that were used is lost or cannot be read; and where keys that were made anew went unanswered twice |
//! | request 1 | is the request itself, under keys with R1 in them, number 0. It is never acted on |
//! | response 1 | the log of numbers is erased if it is lost, the new keys are written with the first numbers reserved, and the request is due again under them |
//! | anything else | is as if it had not come; an unanswered request 1 is followed by another, under another R1 |
//!
//! No R comes twice: it is a permutation of the seed, the count of starts, which the journal stores before it is used, and a count
//! within the start. Where the journal is lost as well, the seed has to be random.

use deltagate_flash::{Region, Renewed, SequenceLog};
use deltagate_services::Services;
use embedded_storage::nor_flash::NorFlash;
use wire_coap::{Message, Token, scatter};
use wire_oscore::renewal::{ClientRenewal, Random};
use wire_oscore::{Context, IdContext, SameIds, SenderSequence};

use super::{Channel, Secured, Silence, stored_context};
use crate::core::FlashFailed;
use crate::journal::Journal;

/// So many requests in a row without an answer, of several copies each, and the gateway is taken to have forgotten.
const UNANSWERED_MAX: u8 = 2;

/// What a device has to make other keys.
#[derive(Debug)]
pub(super) struct Renewal {
    /// R1 and R3 are made of it. `None` where nobody knows which were used.
    unused: Option<u64>,
    stage: Stage,
    /// The log does not go on from where it was.
    is_lost: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Not,
    Due,
    Asked(ClientRenewal),
}

impl Renewal {
    pub(super) const fn new(unused: Option<u64>, is_lost: bool) -> Self {
        Self {
            unused,
            stage: if is_lost { Stage::Due } else { Stage::Not },
            is_lost,
        }
    }

    /// Eight bytes that this device never used.
    fn draw(&mut self) -> Option<Random> {
        let unused = self.unused.as_mut()?;
        *unused = unused.wrapping_add(1);
        Some(Random(scatter(*unused).to_le_bytes()))
    }
}

/// The keys of an ID Context, where the credentials can be read.
fn derive<F: NorFlash>(
    services: &dyn Services,
    region: Region<'_, F>,
) -> impl FnMut(IdContext) -> Result<Context, SameIds> {
    move |id_context| stored_context(services, region, Some(id_context)).ok_or(SameIds)
}

impl Channel {
    /// Takes response 1, if that is what is awaited, and what came: the same is due again, under the new keys.
    #[inline(never)]
    pub(crate) fn renew<F: NorFlash>(
        &mut self,
        services: &dyn Services,
        region: Option<Region<'_, F>>,
        journal: &mut Journal<'_, F>,
        awaited: Option<Token>,
        datagram: &mut [u8],
    ) -> bool {
        match (self, region) {
            (Self::Secured(secured), Some(region)) => secured
                .handle_response_1(services, region, journal, awaited, datagram)
                .is_some(),
            _ => false,
        }
    }
}

impl Secured {
    pub(super) const fn must_renew(&self, unanswered: u8) -> bool {
        let is_forgotten = self.renewed.is_some() && unanswered >= UNANSWERED_MAX;
        !matches!(self.renewal.stage, Stage::Not) || is_forgotten && self.renewal.unused.is_some()
    }

    /// The next request is a request 1.
    #[inline(never)]
    pub(super) fn begin_renewal<F: NorFlash>(
        &mut self,
        services: &dyn Services,
        region: Region<'_, F>,
    ) -> Result<(), Silence> {
        let r1 = self.renewal.draw().ok_or(Silence::Count)?;
        let renewal = ClientRenewal::new(r1);
        let first = renewal.context(&mut derive(services, region));
        self.context = first.map_err(|SameIds| Silence::Credentials)?;
        // Keys of a single message. Where the count goes on, it does so in the log.
        self.sequence = SenderSequence::resume(0);
        self.sequence.reserved(1);
        self.echo = None;
        self.renewal.stage = Stage::Asked(renewal);
        Ok(())
    }

    fn handle_response_1<F: NorFlash>(
        &mut self,
        services: &dyn Services,
        region: Region<'_, F>,
        journal: &mut Journal<'_, F>,
        awaited: Option<Token>,
        datagram: &mut [u8],
    ) -> Option<()> {
        let Stage::Asked(renewal) = self.renewal.stage else {
            return None;
        };
        if Message::parse(datagram).ok().map(|message| message.token()) != awaited {
            return None;
        }
        let r3 = self.renewal.draw()?;
        let derive = &mut derive(services, region);
        let heard = renewal.handle_response(derive, self.exchange.as_mut()?, datagram, r3);
        let keys = heard.ok()?;
        let renewed = Renewed {
            of: self.trace.word(),
            id_context: keys.id_context()?.as_bytes().try_into().ok()?,
        };
        let kept = self.keep(region, journal, renewed);
        let end = kept.ok()?;
        self.context = keys;
        self.renewed = Some(renewed);
        self.sequence = SenderSequence::resume(end);
        self.exchange = None;
        self.renewal.stage = Stage::Not;
        self.renewal.is_lost = false;
        Some(())
    }

    /// Writes which keys are new, behind all numbers that were ever used with older ones that the log knows. The end of them.
    fn keep<F: NorFlash>(
        &self,
        region: Region<'_, F>,
        journal: &mut Journal<'_, F>,
        renewed: Renewed,
    ) -> Result<u64, FlashFailed> {
        if self.renewal.is_lost {
            SequenceLog::erase(region)?;
        }
        self.store(region, journal, Some(renewed), 0)
    }
}
