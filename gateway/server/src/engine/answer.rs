//! Technicians' questions: names resolved, commands carried out, views turned into documents.

use gateway_core::{
    ClassId, Command, GroupName, IdentityCommand, ImageDigest, ImageRecord, LABEL_CHARS_MAX, Label, Refusal,
    Reply, Selector, StatementRecord, Terms,
};
use wire_checkin::{DeviceId, Severity};
use wire_manifest::KeyId;

use super::Engine;
use crate::admin::deed::Deed;
use crate::admin::{AnswerResult, Ask, Target};
use crate::audit::Entry;
use crate::find;
use crate::report::{
    DeviceDetail, DeviceRow, Devices, Document, Done, Found, Groups, ImageDetail, ImageRow, Images,
    LinkDetail, LinkRow, Links, Plan, Status, UpdateRow, Updates,
};

/// Fewer digits than this name nothing: too easily mistyped into another image.
const DIGEST_DIGITS_MIN: usize = 4;

/// A question that cannot be carried out, with the command that helps.
pub(super) struct Refused(pub(super) String, pub(super) String);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused(refusal.to_string(), refusal.hint())
    }
}

impl Engine {
    pub(super) fn answer(&mut self, ask: Ask) -> AnswerResult {
        match self.try_answer(ask) {
            Ok(result) => result,
            Err(Refused(problem, hint)) => AnswerResult::refused(problem, hint),
        }
    }

    /// A verified image whose bytes are kept.
    pub(super) fn take_image(&mut self, image: ImageRecord, who: &str) -> AnswerResult {
        let (digest, row) = (image.digest, ImageRow::from(&image));
        let detail = format!(
            "image={digest} version={} sequence={} key={}",
            row.image_version, row.sequence_number, row.key_id
        );
        let now = self.parts.clock.now();
        match self.parts.core.handle_command(now, Command::ImportImage(image)) {
            Ok(reply) => {
                let done = match reply {
                    Reply::Unchanged => "image was imported before".to_owned(),
                    Reply::SignedAnew { .. } => reply.to_string(),
                    _ => "image imported".to_owned(),
                };
                self.audit(Entry::now(who, "image-import", detail, done.as_str()));
                AnswerResult::ok(&Document::new(Done {
                    image: Some(row),
                    ..Done::new(done)
                }))
            }
            Err(refusal) => {
                // Its bytes go again unless an image of the same digest was there before.
                if self.parts.core.image(digest).is_none()
                    && let Err(error) = self.parts.blobs.remove_image(&digest)
                {
                    tracing::warn!(%error, "a refused image stays until the next start");
                }
                let outcome = format!("refused: {refusal}");
                self.audit(Entry::now(who, "image-import", detail, outcome));
                AnswerResult::refused(&refusal, refusal.hint())
            }
        }
    }

    /// A statement whose signature was checked.
    pub(super) fn take_statement(&mut self, statement: StatementRecord, who: &str) -> AnswerResult {
        let (class, latest) = (statement.class, statement.signed.latest);
        let (number, sequence) = (latest.number, latest.sequence);
        let key = KeyId(statement.key_id);
        let detail = format!("statement={number} class={class} latest={sequence} key={key}");
        let now = self.parts.clock.now();
        let command = Command::ImportStatement(statement);
        match self.parts.core.handle_command(now, command) {
            Ok(reply) => {
                let done = match reply {
                    Reply::Unchanged => "statement was imported before".to_owned(),
                    _ => format!(
                        "statement {number} imported: the latest of class {class} is sequence {sequence}"
                    ),
                };
                self.audit(Entry::now(who, "statement-import", detail, done.as_str()));
                document(Done::new(done))
            }
            Err(refusal) => {
                let outcome = format!("refused: {refusal}");
                self.audit(Entry::now(who, "statement-import", detail, outcome));
                AnswerResult::refused(&refusal, refusal.hint())
            }
        }
    }

    fn try_answer(&mut self, ask: Ask) -> Result<AnswerResult, Refused> {
        match ask {
            Ask::ImageImport { .. }
            | Ask::AnchorsImport {}
            | Ask::DeviceEnrol { .. }
            | Ask::DeviceRotate { .. }
            | Ask::DeviceEnrolPsk { .. }
            | Ask::DeviceRotatePsk { .. }
            | Ask::DeviceImport { .. } => Err(Refused(
                "import came without a file".into(),
                "deltagate image import; deltagate device import".into(),
            )),
            Ask::Audit { .. } | Ask::Logs { .. } => Err(Refused(
                "audit trail and log are not the engine's to read".into(),
                "deltagate audit; deltagate logs".into(),
            )),
            Ask::AnchorsList {} => Ok(document(self.anchors())),
            Ask::ImageList {} => Ok(document(Images {
                images: self.image_rows(),
            })),
            Ask::ImageShow { image } => {
                let digest = self.image_named(&image)?;
                let view = self
                    .parts
                    .core
                    .image(digest)
                    .ok_or(Refusal::UnknownImage(digest))?;
                Ok(document(ImageDetail::from(&view)))
            }
            Ask::ImageRemove { image } => self.command(Command::RemoveImage(self.image_named(&image)?)),
            Ask::ImagePin { image } => self.command(Command::PinImage(self.image_named(&image)?)),
            Ask::ImageUnpin { image } => self.command(Command::UnpinImage(self.image_named(&image)?)),
            Ask::DeviceList { unclaimed } => Ok(document(Devices {
                devices: self.device_rows(unclaimed),
            })),
            Ask::DeviceShow { device } => self.device_detail(self.device_named(&device)?),
            Ask::DeviceFind { text } => Ok(document(self.found(&text))),
            Ask::DeviceLabel { device, label } => {
                let label = label.map(|text| label_of(&text)).transpose()?;
                self.command(Command::Label(self.device_named(&device)?, label))
            }
            Ask::DeviceClaim { device } => self.command(Command::ClaimDevice(self.device_named(&device)?)),
            Ask::DeviceForget { device } => self.command(Command::ForgetDevice(self.device_named(&device)?)),
            Ask::DeviceEnrolKey {
                device,
                names,
                public_key,
            } => self.enrol_key(&device, &names, &public_key),
            Ask::DeviceGatewayKey {} => self.gateway_key(),
            Ask::DeviceEnrolCheck { device, names } => self.check_enrol(&device, &names),
            Ask::DeviceRotateCheck { device } => self.check_rotate(&device),
            Ask::DeviceSwap { device, by } => {
                let (old, new) = (self.device_named(&device)?, self.device_named(&by)?);
                self.command(Command::Identity(IdentityCommand::Swap { old, new }))
            }
            Ask::DeviceRetire { device } => {
                let id = self.device_named(&device)?;
                self.command(Command::Identity(IdentityCommand::Retire(id)))
            }
            Ask::GroupCreate { group } => self.command(Command::CreateGroup(group_named(&group)?)),
            Ask::GroupDelete { group } => self.command(Command::RemoveGroup(group_named(&group)?)),
            Ask::GroupAdd { group, device } => self.command(Command::AddToGroup(
                group_named(&group)?,
                self.device_named(&device)?,
            )),
            Ask::GroupRemove { group, device } => self.command(Command::RemoveFromGroup(
                group_named(&group)?,
                self.device_named(&device)?,
            )),
            Ask::GroupList {} => Ok(document(Groups {
                groups: self.parts.core.groups().iter().map(Into::into).collect(),
            })),
            Ask::UpdateAssign {
                image,
                to,
                severity,
                defer_s_max,
            } => {
                let image = self.image_named(&image)?;
                let unknown = || {
                    Refused(
                        format!("severity {severity} is not one of 0, 1 and 2"),
                        "deltagate update assign --help".into(),
                    )
                };
                let terms = Terms {
                    severity: Severity::from_code(severity).ok_or_else(unknown)?,
                    defer_s_max,
                };
                self.command(Command::Assign(self.selector(&to)?, image, terms))
            }
            Ask::UpdateCancel { to } => self.command(Command::Cancel(self.selector(&to)?)),
            Ask::UpdateRetry { device, image } => {
                let image = image.map(|image| self.image_named(&image)).transpose()?;
                self.command(Command::Retry(self.device_named(&device)?, image))
            }
            Ask::UpdatePlan { image, to } => {
                let assign = match (image, to) {
                    (Some(image), Some(to)) => Some((self.selector(&to)?, self.image_named(&image)?)),
                    _ => None,
                };
                let plan = self.parts.core.plan(self.parts.clock.now(), assign)?;
                let version = |image| self.parts.core.image(image).map(|view| view.image.version);
                Ok(document(Plan::new(&plan, version)))
            }
            Ask::UpdatePause {} => self.command(Command::Pause),
            Ask::UpdateResume {} => self.command(Command::Resume),
            Ask::UpdateStatus {} => Ok(document(Updates {
                updates: self.update_rows(),
            })),
            Ask::LinkList {} => Ok(document(Links {
                links: self.link_rows(),
            })),
            Ask::LinkShow { link } => {
                let found = self.link_rows().into_iter().find(|row| row.name == link);
                let unknown = || {
                    Refused(
                        format!("link {link} is not configured"),
                        "deltagate link list".into(),
                    )
                };
                Ok(document(LinkDetail {
                    link: found.ok_or_else(unknown)?,
                }))
            }
            Ask::Status {} => Ok(document(self.status())),
        }
    }

    fn command(&mut self, command: Command) -> Result<AnswerResult, Refused> {
        let now = self.parts.clock.now();
        let reply = self.parts.core.handle_command(now, command)?;
        let left_out = match &reply {
            Reply::Assigned { left_out, .. } => left_out.iter().map(Into::into).collect(),
            _ => Vec::new(),
        };
        Ok(document(Done {
            left_out,
            ..Done::new(reply.to_string())
        }))
    }

    fn image_rows(&self) -> Vec<ImageRow> {
        let mut views = self.parts.core.images();
        views.sort_by_key(|view| (view.image.imported_unix_s, view.image.sequence_number));
        views.iter().map(ImageRow::from).collect()
    }

    fn device_rows(&self, unclaimed: bool) -> Vec<DeviceRow> {
        let views = self.parts.core.devices();
        let is_strange =
            |view: &gateway_core::DeviceView| !view.device.claimed && view.identity.retired.is_none();
        let wanted = views.iter().filter(|view| !unclaimed || is_strange(view));
        wanted.map(|view| self.device_row(view)).collect()
    }

    fn device_row(&self, view: &gateway_core::DeviceView) -> DeviceRow {
        DeviceRow {
            running_version: self.running_version(view),
            ..DeviceRow::from(view)
        }
    }

    fn running_version(&self, view: &gateway_core::DeviceView) -> Option<String> {
        Some(self.parts.core.image(view.running?)?.image.version)
    }

    fn device_detail(&self, id: DeviceId) -> Result<AnswerResult, Refused> {
        let view = self.parts.core.device(id).ok_or(Refusal::UnknownDevice(id))?;
        let mut detail = DeviceDetail::from(&view);
        detail.device.running_version = self.running_version(&view);
        let target = view
            .target
            .as_ref()
            .and_then(|target| self.parts.core.image(target.image));
        detail.target_version = target.map(|target| target.image.version);
        let now = self.parts.clock.now();
        detail.contact = self.parts.core.contact(now, id).as_ref().map(Into::into);
        for (row, update) in detail.updates.iter_mut().zip(&view.updates) {
            row.sequence_number = self
                .parts
                .core
                .image(update.image)
                .map(|view| view.image.sequence_number);
        }
        Ok(document(detail))
    }

    fn update_rows(&self) -> Vec<UpdateRow> {
        let version = |image| {
            self.parts
                .core
                .image(image)
                .map_or(String::new(), |view| view.image.version)
        };
        let row = |view: &gateway_core::UpdateView| UpdateRow {
            image_version: version(view.image),
            ..UpdateRow::from(view)
        };
        self.parts.core.updates().iter().map(row).collect()
    }

    fn link_rows(&self) -> Vec<LinkRow> {
        self.parts.core.links().iter().map(Into::into).collect()
    }

    fn status(&self) -> Status {
        let (now, status) = (self.parts.clock.now(), self.parts.core.status());
        let clock = self.parts.core.clock(now);
        Status {
            coap: self.address.to_string(),
            started_unix_s: self.started_unix_s,
            claimed_devices: status.claimed,
            unclaimed_devices: status.unclaimed,
            unclaimed_dropped: status.unclaimed_dropped,
            open_links: status.open_links.iter().map(ToString::to_string).collect(),
            unproven_devices: status.unproven,
            challenges: status.challenges,
            turned_away_requests: status.turned_away_requests,
            turned_away: status.turned_away.iter().map(Into::into).collect(),
            statements: self.parts.core.statements(now).iter().map(Into::into).collect(),
            images: status.images,
            artefacts: status.artefacts,
            disk_bytes: status.disk.0,
            disk_bytes_max: status.disk_max.map(|max| max.0),
            anchors_behind: status.anchors_behind.len(),
            anchors_behind_first: status.anchors_behind.first().map(ToString::to_string),
            building: status.building,
            failed_builds: status.failed_builds,
            datagram_errors: self.datagram_errors,
            overdue_deferrals: status.overdue,
            now_unix_s: clock.now_unix_s,
            clock_is_set: clock.is_set,
            paused_unix_s: status.paused_unix_s,
            needs: self.parts.core.needs(now).iter().map(Into::into).collect(),
            updates: self.update_rows(),
        }
    }

    /// A device by its identifier or its label, whether it is in the inventory or not.
    pub(super) fn device_named(&self, text: &str) -> Result<DeviceId, Refused> {
        let id = text.parse().ok();
        if let Some(id) = id.filter(|id| self.parts.core.device(*id).is_some()) {
            return Ok(id);
        }
        // A label may look like an identifier.
        let called = self.parts.core.device_called(text);
        let unknown = || {
            Refused(
                format!("\"{text}\" is neither an identifier of 2 to 32 hex digits nor a label"),
                format!("deltagate device find \"{text}\""),
            )
        };
        called.or(id).ok_or_else(unknown)
    }

    /// A deed with its device's identifier, where it names one that there is.
    pub(super) fn identified(&self, deed: Deed) -> Deed {
        let named = |text: String| self.device_named(&text).map_or(text, |id| id.to_string());
        Deed {
            device: deed.device.map(named),
            ..deed
        }
    }

    fn found(&self, text: &str) -> Found {
        let matches = find::find(text, self.parts.core.names());
        let row = |(id, _): &(DeviceId, find::Match)| Some(self.device_row(&self.parts.core.device(*id)?));
        Found {
            text: text.to_owned(),
            found: matches.iter().any(|(_, how)| how.is_found()),
            devices: matches.iter().filter_map(row).collect(),
        }
    }

    fn selector(&self, target: &Target) -> Result<Selector, Refused> {
        match target {
            Target::Device(device) => Ok(Selector::Device(self.device_named(device)?)),
            Target::Group(group) => Ok(Selector::Group(group_named(group)?)),
            Target::Class(class) => {
                let digits: String = class.chars().filter(|c| *c != '-').collect();
                let id = u128::from_str_radix(&digits, 16)
                    .ok()
                    .filter(|_| digits.len() == 32);
                let problem = || format!("\"{class}\" is not a class UUID, 32 hex digits");
                let id = id.ok_or_else(|| Refused(problem(), "deltagate image list".into()))?;
                Ok(Selector::Class(ClassId(id.to_be_bytes())))
            }
        }
    }

    /// The one image whose digest starts with these digits.
    fn image_named(&self, text: &str) -> Result<ImageDigest, Refused> {
        let text = text.to_ascii_lowercase();
        let hint = || "deltagate image list".to_owned();
        if text.len() < DIGEST_DIGITS_MIN || !text.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(Refused(
                format!("\"{text}\" is not the beginning of a digest, at least 4 hex digits"),
                hint(),
            ));
        }
        let digests = self.parts.core.images().into_iter().map(|view| view.image.digest);
        let found: Vec<_> = digests
            .filter(|digest| digest.to_string().starts_with(&text))
            .collect();
        match found.as_slice() {
            [digest] => Ok(*digest),
            [] => Err(Refused(format!("image {text} is not known"), hint())),
            several => Err(Refused(
                format!("{} images begin with {text}", several.len()),
                hint(),
            )),
        }
    }
}

pub(super) fn document<T: serde::Serialize>(content: T) -> AnswerResult {
    AnswerResult::ok(&Document::new(content))
}

pub(super) fn label_of(text: &str) -> Result<Label, Refused> {
    let problem = || format!("{text:?} is not a label, 1 to {LABEL_CHARS_MAX} printable characters");
    Label::new(text).ok_or_else(|| Refused(problem(), "deltagate device label --help".into()))
}

fn group_named(text: &str) -> Result<GroupName, Refused> {
    let problem = || format!("\"{text}\" is not a group name, 1 to 32 of A-Z a-z 0-9 . _ -");
    GroupName::new(text).ok_or_else(|| Refused(problem(), "deltagate group list".into()))
}
