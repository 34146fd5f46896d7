//! What a technician may: the one table of every question and the role it needs.

use serde::{Deserialize, Serialize};

use super::Ask;

/// What a technician may. Each may what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look at everything but who did what.
    View,
    /// Bring images and updates to devices.
    Operate,
    /// Hold devices' secrets, take away what cannot be brought back, and read who did what.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::View, Role::Operate, Role::Admin];

    /// As the configuration calls it.
    pub fn name(self) -> &'static str {
        match self {
            Role::View => "view",
            Role::Operate => "operate",
            Role::Admin => "admin",
        }
    }

    /// What it takes to ask this. A question that has no line here does not compile.
    pub fn needed(ask: &Ask) -> Role {
        match ask {
            Ask::ImageList {}
            | Ask::AnchorsList {}
            | Ask::ImageShow { .. }
            | Ask::DeviceList { .. }
            | Ask::DeviceShow { .. }
            | Ask::DeviceFind { .. }
            | Ask::GroupList {}
            | Ask::UpdatePlan { .. }
            | Ask::UpdateStatus {}
            | Ask::LinkList {}
            | Ask::LinkShow { .. }
            | Ask::Status {}
            | Ask::DeviceGatewayKey {}
            | Ask::Logs { .. } => Role::View,

            Ask::ImageImport { .. }
            // Signed by who may; whoever brings it adds nothing.
            | Ask::AnchorsImport {}
            | Ask::ImagePin { .. }
            | Ask::ImageUnpin { .. }
            | Ask::DeviceLabel { .. }
            | Ask::DeviceClaim { .. }
            | Ask::GroupCreate { .. }
            | Ask::GroupDelete { .. }
            | Ask::GroupAdd { .. }
            | Ask::GroupRemove { .. }
            | Ask::UpdateAssign { .. }
            | Ask::UpdateCancel { .. }
            | Ask::UpdateRetry { .. }
            | Ask::UpdatePause {}
            | Ask::UpdateResume {} => Role::Operate,

            // The gateway may have the only copy.
            Ask::ImageRemove { .. }
            // What cannot be taken back.
            | Ask::DeviceForget { .. }
            | Ask::DeviceSwap { .. }
            | Ask::DeviceRetire { .. }
            // Secrets go along, or would.
            | Ask::DeviceEnrol { .. }
            | Ask::DeviceEnrolCheck { .. }
            | Ask::DeviceRotate { .. }
            | Ask::DeviceRotateCheck { .. }
            | Ask::DeviceEnrolPsk { .. }
            // Not a secret, but whoever the gateway believes by it.
            | Ask::DeviceEnrolKey { .. }
            | Ask::DeviceRotatePsk { .. }
            | Ask::DeviceImport { .. }
            // Names of people, and where they came from.
            | Ask::Audit { .. } => Role::Admin,
        }
    }
}

/// One question of each kind, for tests of all of them; [`every_question_is_among_the_samples`] holds it complete.
#[doc(hidden)]
pub fn samples() -> Vec<Ask> {
    let questions = [
        r#"{"image-import":{}}"#,
        r#"{"anchors-import":{}}"#,
        r#"{"anchors-list":{}}"#,
        r#"{"image-list":{}}"#,
        r#"{"image-show":{"image":"3f2a"}}"#,
        r#"{"image-remove":{"image":"3f2a"}}"#,
        r#"{"image-pin":{"image":"3f2a"}}"#,
        r#"{"image-unpin":{"image":"3f2a"}}"#,
        r#"{"device-list":{"unclaimed":false}}"#,
        r#"{"device-show":{"device":"525400000001"}}"#,
        r#"{"device-find":{"text":"roof"}}"#,
        r#"{"device-label":{"device":"525400000001","label":"roof"}}"#,
        r#"{"device-claim":{"device":"525400000001"}}"#,
        r#"{"device-forget":{"device":"525400000001"}}"#,
        r#"{"device-enrol-check":{"device":"525400000001"}}"#,
        r#"{"device-enrol":{"device":"525400000001"}}"#,
        r#"{"device-rotate-check":{"device":"525400000001"}}"#,
        r#"{"device-rotate":{"device":"525400000001","old_valid_s":60}}"#,
        r#"{"device-enrol-psk":{"device":"525400000001"}}"#,
        r#"{"device-rotate-psk":{"device":"525400000001","old_valid_s":60}}"#,
        r#"{"device-enrol-key":{"device":"525400000001","public_key":"00"}}"#,
        r#"{"device-gateway-key":{}}"#,
        r#"{"device-import":{"skip_bad":false}}"#,
        r#"{"device-swap":{"device":"525400000001","by":"525400000002"}}"#,
        r#"{"device-retire":{"device":"525400000001"}}"#,
        r#"{"group-create":{"group":"roof"}}"#,
        r#"{"group-delete":{"group":"roof"}}"#,
        r#"{"group-add":{"group":"roof","device":"525400000001"}}"#,
        r#"{"group-remove":{"group":"roof","device":"525400000001"}}"#,
        r#"{"group-list":{}}"#,
        r#"{"update-assign":{"image":"3f2a","to":{"group":"roof"}}}"#,
        r#"{"update-cancel":{"to":{"group":"roof"}}}"#,
        r#"{"update-retry":{"device":"525400000001","image":null}}"#,
        r#"{"update-plan":{}}"#,
        r#"{"update-pause":{}}"#,
        r#"{"update-resume":{}}"#,
        r#"{"update-status":{}}"#,
        r#"{"link-list":{}}"#,
        r#"{"link-show":{"link":"default"}}"#,
        r#"{"status":{}}"#,
        r#"{"logs":{}}"#,
        r#"{"audit":{}}"#,
    ];
    let read = |text: &str| serde_json::from_str(text).expect("each is a question, as a test reads them all");
    questions.map(read).into()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::admin::deed::{Deed, question_name};

    /// serde names every kind of question when it finds one that is none.
    #[test]
    fn every_question_is_among_the_samples() {
        let unknown = serde_json::from_str::<Ask>(r#"{"nonsense":{}}"#)
            .unwrap_err()
            .to_string();
        let (_, list) = unknown.split_once("expected one of ").unwrap();
        let mut known: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let mut sampled: Vec<String> = samples().iter().map(question_name).collect();
        known.sort();
        sampled.sort();
        assert_eq!(sampled, known);
    }

    #[test]
    fn who_may_only_look_changes_nothing() {
        for ask in samples() {
            let changes = Deed::of(&ask).is_some();
            assert!(!changes || Role::needed(&ask) > Role::View, "{ask:?}");
        }
    }

    /// docs/remote.md has the table: a line `| question | role |` for each.
    #[test]
    fn the_page_has_this_table() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/remote.md");
        let page = std::fs::read_to_string(page).unwrap();
        for ask in samples() {
            let line = format!("| `{}` | {} |", question_name(&ask), Role::needed(&ask).name());
            assert!(page.contains(&line), "docs/remote.md lacks: {line}");
        }
    }
}
