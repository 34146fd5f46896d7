//! `docs/cli-json.schema.json`: the documents as JSON Schema, made of the types that write them. Only in tests, which hold the
//! file against the types; `tests/schema.rs` holds real output against the file.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::*;

/// Commands and the definition of what they print.
fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut commands = Map::new();
    let mut add = |names: &[&str], schema: schemars::Schema| {
        for name in names {
            commands.insert((*name).to_owned(), schema.clone().to_value());
        }
    };
    add(
        &[
            "image import",
            "anchors import",
            "device claim",
            "device forget",
            "device label",
            "device swap",
            "device retire",
            "group create",
            "group add",
            "group remove",
            "update assign",
            "update cancel",
            "update retry",
            "update pause",
            "update resume",
        ],
        generator.subschema_for::<Document<Done>>(),
    );
    add(&["anchors list"], generator.subschema_for::<Document<Anchors>>());
    add(&["image list"], generator.subschema_for::<Document<Images>>());
    add(
        &["image show"],
        generator.subschema_for::<Document<ImageDetail>>(),
    );
    add(
        &["device enrol", "device rotate"],
        generator.subschema_for::<Document<Enrolled>>(),
    );
    add(
        &["device enrol --psk", "device rotate --psk"],
        generator.subschema_for::<Document<EnrolledPsk>>(),
    );
    add(
        &["device gateway-key"],
        generator.subschema_for::<Document<GatewayKey>>(),
    );
    add(
        &["device import"],
        generator.subschema_for::<Document<ImportedDevices>>(),
    );
    add(&["device list"], generator.subschema_for::<Document<Devices>>());
    add(
        &["device show"],
        generator.subschema_for::<Document<DeviceDetail>>(),
    );
    add(&["device find"], generator.subschema_for::<Document<Found>>());
    add(&["why"], generator.subschema_for::<Document<Why>>());
    add(&["group list"], generator.subschema_for::<Document<Groups>>());
    add(&["update status"], generator.subschema_for::<Document<Updates>>());
    add(&["update plan"], generator.subschema_for::<Document<Plan>>());
    add(&["link list"], generator.subschema_for::<Document<Links>>());
    add(&["link show"], generator.subschema_for::<Document<LinkDetail>>());
    add(&["status"], generator.subschema_for::<Document<Status>>());
    add(&["audit"], generator.subschema_for::<Document<AuditPage>>());
    add(&["logs"], generator.subschema_for::<Document<LogPage>>());
    add(
        &["probe"],
        generator.subschema_for::<crate::probe::cli::Document>(),
    );
    add(&["doctor"], generator.subschema_for::<crate::doctor::Document>());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What deltagate prints with --json",
        "description": "A property for each command, which is the schema of the document that it prints. docs/cli-json.md says \
                        what the keys mean; keys may be added, so readers must ignore those that they do not know.",
        "type": "object",
        "properties": commands,
        "$defs": generator.take_definitions(true),
    })
}

/// To write the file anew: `WRITE_SCHEMA=1 cargo test -p deltagate --lib schema`
#[test]
fn the_schema_is_that_of_the_types() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli-json.schema.json");
    let made = format!("{:#}\n", schema());
    if std::env::var_os("WRITE_SCHEMA").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == made,
        "run: WRITE_SCHEMA=1 cargo test -p deltagate --lib schema"
    );
}
