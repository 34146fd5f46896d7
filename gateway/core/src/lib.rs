//! The gateway's decisions, sans-IO: sessions, resources, link shaping, artefact choice.
//!
//! [`Gateway`] is a state machine over `(now, input)`. It opens no socket or file, reads no clock, draws no random
//! number. The shell feeds it datagrams, operators' commands and finished builds, stores what it says, then sends what
//! it says. What a device gets is decided here and nowhere else:
//!
//! | file | its one job |
//! |---|---|
//! | `gateway` | the front: feeds the parts, keeps the order store-before-send |
//! | `request`, `resources`, `blocks` | a datagram becomes a request, a route, a reply |
//! | `turned_away` | who asked without a key where one is needed: told, never stored |
//! | `reach` | whether a plain datagram came from where it says, and what is sent there until that is known |
//! | `oscore` | protected requests: whose they are, each answered once under its nonce |
//! | `handshake`, `half_open` | EDHOC: keys of the channel from devices' own, and how many may be at it at once |
//! | `checkin` | what a check-in changes and what it is answered |
//! | `state`, `change`, `journal` | everything persistent, and the only way to alter it |
//! | `anchors` | sets of trust anchors: whose releases count, and which set a device gets |
//! | `assign`, `chain`, `choice`, `decision` | what a device should run, by which way, as which artefact, and why not yet |
//! | `offers` | paths, and what became of an image on a device |
//! | `keep` | pins, removal of images, the disk budget |
//! | `operator`, `command` | operators' commands and refusals |
//! | `credentials`, `secret`, `identities`, `enrolment` | who holds which key: the record, rows, commands |
//! | `links`, `shaper`, `replies` | rate, queue, 5.03; the window of answered check-ins |
//! | `passage` | smaller blocks for a device that large ones do not reach |
//! | `meter` | bytes, airtime and progress, counted at once and stored coarsely |
//! | `overview`, `explain`, `stand`, `remedy`, `words`, `views` | what an operator is shown, why, and what helps |
//!
//! Left out: the raw bytes of images and artefacts (the shell's, read through [`Payloads`]), signatures of what comes in (checked at
//! import by the shell with `wire-manifest`), handshakes and records of DTLS (the shell's, too).
//!
//! ```
//! use gateway_core::{CoreConfig, Effect, Gateway, Now};
//!
//! let mut gateway = Gateway::new(CoreConfig::default());
//! gateway.handle_timeout(Now { monotonic_ms: 5, unix_s: 1_793_491_200 });
//! while let Some(effect) = gateway.poll_effect() {
//!     match effect {
//!         Effect::Store(_change) => { /* one row, committed before anything is sent */ }
//!         Effect::Build(_request) => { /* to the worker pool, back through handle_built */ }
//!         Effect::Discard(_file) => { /* removed, once what was stored before it is committed */ }
//!     }
//! }
//! assert_eq!(gateway.poll_transmit(), None);
//! assert_eq!(gateway.poll_timeout(), None);
//! ```

mod anchors;
mod assign;
mod blocks;
mod chain;
mod change;
mod checkin;
mod choice;
mod command;
mod config;
mod contact;
mod credentials;
mod decision;
mod deferral;
mod device_name;
mod dry;
mod effect;
mod enrolment;
mod explain;
mod gateway;
mod half_open;
mod identities;
mod identity;
mod journal;
mod keep;
mod label;
mod links;
mod meter;
mod needs;
mod offers;
mod operator;
mod oscore;
mod overview;
mod passage;
mod pause;
mod plan;
mod psk;
mod psks;
mod reach;
mod records;
mod remedy;
mod replies;
mod request;
mod resources;
mod secret;
mod shaper;
mod stand;
mod state;
mod statements;
mod turned_away;
mod units;
mod views;
mod words;

pub use anchors::{AnchorsContent, AnchorsRecord, AnchorsRefusal, AnchorsStand};
pub use chain::MissingStone;
pub use change::Change;
pub use choice::{Candidate, Verdict};
pub use command::{Command, Refusal, Reply};
pub use config::{
    Access, BLOCK_OVERHEAD_BYTES_MAX, CoreConfig, LinkConfig, LinkName, PRIVATE_PREFIXES, Prefix, PrefixError,
};
pub use contact::{ClockView, Contact, ContactView, MISSED_MAX};
pub use credentials::{
    Credentials, CredentialsError, ID_CONTEXT_BYTES_MAX, KID_BYTES_MAX, Kid, NotAKid, Octets,
    RECORD_BYTES_MAX, SALT_BYTES_MAX,
};
pub use deferral::{DeferralView, PATIENCE_S};
pub use device_name::{DeviceName, NameKind};
pub use effect::{
    BuildFormats, BuildKey, BuildOutcome, BuildRequest, Channel, DTLS_OVERHEAD_BYTES, Effect, File,
    PayloadError, Payloads, Transmit,
};
pub use enrolment::{
    BadLine, EnrolledKeys, Enrolment, IdentityCommand, IdentityRefusal, Import, ImportReport,
};
pub use gateway::{GATEWAY_KID, Gateway};
pub use identities::{CredentialRecord, IdentityChange, IdentityView, Phase, Retirement};
pub use identity::{ArtefactDigest, ClassId, ImageDigest, VendorId};
pub use label::{LABEL_CHARS_MAX, Label};
pub use needs::NeedView;
pub use oscore::{KeyState, Renewed};
pub use pause::PAUSE_MAX_AGE_S;
pub use plan::{LeftOut, PlanView, PlannedPayload};
pub use psk::{
    NotAPskIdentity, PSK_BYTES_MAX, PSK_BYTES_MIN, PSK_IDENTITY_BYTES_MAX, PSK_RECORD_BYTES_MAX, Psk,
    PskIdentity, PskKey, PskProof, PskRecord,
};
pub use records::{
    ArtefactRecord, Assignment, Counters, DeviceRecord, DeviceReport, GroupName, ImageRecord, LinkEvents,
    Offer, OfferPath, Progress, Selector, Terms, Traffic, UpdateRecord, UpdateState,
};
pub use remedy::Remedy;
pub use secret::{SECRET_BYTES, Secret};
pub use statements::{StatementRecord, StatementView};
pub use turned_away::TurnedAway;
pub use units::{AirTime, BitsPerSecond, Bytes, Now, WRITTEN_UNIX_S};
pub use views::{
    AnchorsView, DeviceView, GroupView, ImageView, LinkView, NextStep, Stage, StatusView, TargetView,
    TransferView, UpdateView,
};
pub use wire_edhoc::{PrivateKey, PublicKey};
pub use words::count;
