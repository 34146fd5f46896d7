//! From a parsed command to a question and its printed answer.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::args::{
    AnchorsCommand, Cli, Command, DeviceCommand, GroupCommand, ImageCommand, LinkCommand, TargetArgs,
    UpdateCommand,
};
use super::failure::{Failure, REFUSED};
use super::{device, identity, lists, locate, made, plan, show, status, watch, why};
use crate::admin::{Ask, Target};
use crate::client::{Client, ClientError};
use crate::publisher::anchor_set::set_file;
use crate::publisher::cli::{check_signed, read_firmware};
use crate::report::Done;

/// How answers are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// As the document itself.
    pub(super) json: bool,
    /// However many rows.
    pub(super) all: bool,
}

pub(super) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    cli.remote.check(&cli.command)?;
    let mut stdout = io::stdout().lock();
    let out: &mut dyn Write = &mut stdout;
    match &cli.command {
        Command::Serve => {
            drop(stdout);
            return serve(&cli);
        }
        Command::Key(command) => command.run(out)?,
        Command::Anchors(AnchorsCommand::New(args)) => args.run(out)?,
        Command::Anchors(AnchorsCommand::Sign(args)) => args.run(out)?,
        Command::Anchors(AnchorsCommand::Show(args)) => args.run(out)?,
        Command::Image(ImageCommand::Sign(args)) => args.run(out)?,
        Command::Image(ImageCommand::Cosign(args)) => args.run(out)?,
        Command::Image(ImageCommand::Inspect(args)) => args.run(out)?,
        Command::Image(ImageCommand::Latest(args)) => args.run(out)?,
        Command::Delta(command) => command.run(cli.json, out)?,
        Command::Probe(args) => args.run(cli.json, out)?,
        Command::Doctor => doctor(&cli, out)?,
        Command::Init(args) => args.run(out)?,
        Command::Docs(command) => made::docs(command, out)?,
        Command::Completions { shell } => made::completions(*shell, out)?,
        Command::AdminCert(command) => command.run(out)?,
        Command::Device(DeviceCommand::Recover(args)) => args.run(cli.json, out)?,
        Command::Status(args) if args.watch => {
            return watch::watch(&client(&cli)?, style(&cli), args.until_done, out);
        }
        Command::Audit(args) => args.run(&client(&cli)?, style(&cli), out)?,
        Command::Logs(args) => args.run(&client(&cli)?, style(&cli), out)?,
        command => {
            let answered = ask(command, &client(&cli)?, style(&cli), out);
            answered.map_err(|failure| match command.changes() && failure.changed.is_none() {
                true => failure.of_change(&[]),
                false => failure,
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn style(cli: &Cli) -> Style {
    Style {
        json: cli.json,
        all: cli.all,
    }
}

fn client(cli: &Cli) -> Result<Client, Failure> {
    locate::client(cli)
}

/// A gateway's sockets, locks and signals are Unix's.
#[cfg(not(unix))]
fn serve(_: &Cli) -> Result<ExitCode, Failure> {
    Err(Failure::new(REFUSED, "a gateway runs on Unix only")
        .hint("run it on Linux; the other commands work here"))
}

#[cfg(unix)]
fn serve(cli: &Cli) -> Result<ExitCode, Failure> {
    use super::failure::USAGE;
    let Some(path) = &cli.config else {
        return Err(
            Failure::new(USAGE, "serve needs a configuration").hint("deltagate serve --config gateway.toml")
        );
    };
    let config = crate::config::Config::read(path)?;
    let recent = crate::logging::start(config.log);
    crate::serve::serve(&config, recent)?;
    Ok(ExitCode::SUCCESS)
}

fn doctor(cli: &Cli, out: &mut dyn Write) -> Result<(), Failure> {
    let checks = crate::doctor::examine(&locate::config(cli.config.as_deref()));
    match crate::doctor::print(&checks, cli.json, out)? {
        0 => Ok(()),
        bad => {
            let problem = format!("{bad} of {} checks failed", checks.len());
            Err(Failure::new(REFUSED, problem).hint("do what is said beside each →; nothing was changed"))
        }
    }
}

/// Commands that are one question, or one for each device named.
fn ask(command: &Command, client: &Client, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Anchors(command) => anchors(command, client, style, out),
        Command::Image(command) => image(command, client, style, out),
        Command::Device(command) => device(command, client, style, out),
        Command::Group(command) => group(command, client, style, out),
        Command::Update(command) => update(command, client, style, out),
        Command::Link(LinkCommand::List) => print(client.ask(Ask::LinkList {}), style, out, lists::links),
        Command::Link(LinkCommand::Show { link }) => print(
            client.ask(Ask::LinkShow { link: link.clone() }),
            style,
            out,
            show::link,
        ),
        Command::Why { device } => why::show(
            client.ask(Ask::DeviceShow {
                device: device.clone(),
            })?,
            style,
            out,
        ),
        Command::Status(_) => print(client.ask(Ask::Status {}), style, out, status::show),
        // Commands that ask no gateway, or more than one question.
        Command::Serve
        | Command::Key(_)
        | Command::Delta(_)
        | Command::Probe(_)
        | Command::Doctor
        | Command::Audit(_)
        | Command::Logs(_)
        | Command::Init(_)
        | Command::Docs(_)
        | Command::AdminCert(_)
        | Command::Completions { .. } => Ok(()),
    }
}

fn anchors(
    command: &AnchorsCommand,
    client: &Client,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match command {
        AnchorsCommand::Import { file } => {
            let set = set_file(file)?;
            let imported = client.ask_with(Ask::AnchorsImport {}, &set);
            let imported =
                imported.map_err(|error| refused(error, &format!("cannot import {}", file.display())));
            print(imported, style, out, done)
        }
        AnchorsCommand::List => print(client.ask(Ask::AnchorsList {}), style, out, lists::anchors),
        // Publisher's commands, which ask no gateway.
        AnchorsCommand::New(_) | AnchorsCommand::Sign(_) | AnchorsCommand::Show(_) => Ok(()),
    }
}

fn image(command: &ImageCommand, client: &Client, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        ImageCommand::Import { file, image, read } => {
            check_signed(file)?;
            let read = |path: &PathBuf| read_firmware(path, &read.options());
            let image = image.as_ref().map(read).transpose()?;
            let imported = client.import(file, image.as_ref().map(|firmware| firmware.image.as_slice()));
            let imported =
                imported.map_err(|error| refused(error, &format!("cannot import {}", file.display())));
            print(imported, style, out, show::imported)
        }
        ImageCommand::List => print(client.ask(Ask::ImageList {}), style, out, lists::images),
        ImageCommand::Show { image } => print(
            client.ask(Ask::ImageShow { image: image.clone() }),
            style,
            out,
            show::image,
        ),
        ImageCommand::Remove { image } => {
            let removed = client.ask(Ask::ImageRemove { image: image.clone() });
            let removed = removed.map_err(|error| refused(error, &format!("cannot remove {image}")));
            print(removed, style, out, done)
        }
        ImageCommand::Pin { image } => print(
            client.ask(Ask::ImagePin { image: image.clone() }),
            style,
            out,
            done,
        ),
        ImageCommand::Unpin { image } => print(
            client.ask(Ask::ImageUnpin { image: image.clone() }),
            style,
            out,
            done,
        ),
        // Publisher's commands, which ask no gateway.
        ImageCommand::Sign(_)
        | ImageCommand::Cosign(_)
        | ImageCommand::Inspect(_)
        | ImageCommand::Latest(_) => Ok(()),
    }
}

fn device(
    command: &DeviceCommand,
    client: &Client,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match command {
        DeviceCommand::List { unclaimed } => print(
            client.ask(Ask::DeviceList {
                unclaimed: *unclaimed,
            }),
            style,
            out,
            lists::devices,
        ),
        DeviceCommand::Show { device } => print(
            client.ask(Ask::DeviceShow {
                device: device.clone(),
            }),
            style,
            out,
            device::show,
        ),
        DeviceCommand::Find { text } => {
            let answer = client.ask(Ask::DeviceFind { text: text.join(" ") })?;
            device::found(answer, style, out)
        }
        DeviceCommand::Label { device, label, .. } => print(
            client.ask(Ask::DeviceLabel {
                device: device.clone(),
                label: label.clone(),
            }),
            style,
            out,
            done,
        ),
        DeviceCommand::Claim { device } => print(
            client.ask(Ask::DeviceClaim {
                device: device.clone(),
            }),
            style,
            out,
            done,
        ),
        DeviceCommand::Forget { device } => print(
            client.ask(Ask::DeviceForget {
                device: device.clone(),
            }),
            style,
            out,
            done,
        ),
        DeviceCommand::Enrol(args) => identity::enrol(args, client, style, out),
        DeviceCommand::GatewayKey => identity::gateway_key(client, style, out),
        DeviceCommand::Import(args) => identity::import(args, client, style, out),
        DeviceCommand::Rotate(args) => identity::rotate(args, client, style, out),
        DeviceCommand::Swap { old, new } => print(
            client.ask(Ask::DeviceSwap {
                device: old.clone(),
                by: new.clone(),
            }),
            style,
            out,
            done,
        ),
        DeviceCommand::Retire { device } => print(
            client.ask(Ask::DeviceRetire {
                device: device.clone(),
            }),
            style,
            out,
            done,
        ),
        // Asks the device itself.
        DeviceCommand::Recover(_) => Ok(()),
    }
}

fn group(command: &GroupCommand, client: &Client, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        GroupCommand::Create { group } => print(
            client.ask(Ask::GroupCreate { group: group.clone() }),
            style,
            out,
            done,
        ),
        GroupCommand::List => print(client.ask(Ask::GroupList {}), style, out, lists::groups),
        GroupCommand::Remove { group, devices } if devices.is_empty() => print(
            client.ask(Ask::GroupDelete { group: group.clone() }),
            style,
            out,
            done,
        ),
        GroupCommand::Add { group, devices } => {
            let ask = |device| Ask::GroupAdd {
                group: group.clone(),
                device,
            };
            each(client, devices, ask, style, out)
        }
        GroupCommand::Remove { group, devices } => {
            let ask = |device| Ask::GroupRemove {
                group: group.clone(),
                device,
            };
            each(client, devices, ask, style, out)
        }
    }
}

fn update(
    command: &UpdateCommand,
    client: &Client,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match command {
        UpdateCommand::Assign {
            image,
            to,
            severity,
            defer_max,
        } => print(
            client.ask(Ask::UpdateAssign {
                image: image.clone(),
                to: target(to),
                severity: severity.code(),
                defer_s_max: *defer_max,
            }),
            style,
            out,
            show::assigned,
        ),
        UpdateCommand::Cancel { to } => {
            print(client.ask(Ask::UpdateCancel { to: target(to) }), style, out, done)
        }
        UpdateCommand::Retry { device, image } => {
            let ask = Ask::UpdateRetry {
                device: device.clone(),
                image: image.clone(),
            };
            print(client.ask(ask), style, out, done)
        }
        UpdateCommand::Plan {
            image,
            device,
            group,
            class,
        } => {
            let to = TargetArgs {
                device: device.clone(),
                group: group.clone(),
                class: class.clone(),
            };
            let ask = Ask::UpdatePlan {
                image: image.clone(),
                to: image.as_ref().map(|_| target(&to)),
            };
            print(client.ask(ask), style, out, plan::show)
        }
        UpdateCommand::Pause => print(client.ask(Ask::UpdatePause {}), style, out, done),
        UpdateCommand::Resume => print(client.ask(Ask::UpdateResume {}), style, out, done),
        UpdateCommand::Status => print(client.ask(Ask::UpdateStatus {}), style, out, lists::updates),
    }
}

/// One question for each device; the first refusal ends it and says what was done, which stays done and may be repeated.
fn each(
    client: &Client,
    devices: &[String],
    ask: impl Fn(String) -> Ask,
    style: Style,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut last = None;
    let mut changed = Vec::new();
    for device in devices {
        let answer = client
            .ask(ask(device.clone()))
            .map_err(|error| Failure::from(error).of_change(&changed))?;
        changed.push(device.clone());
        if !style.json {
            let done: Done = understood(answer.clone())?;
            writeln!(out, "{device}: {}", done.done)?;
        }
        last = Some(answer);
    }
    match last {
        Some(answer) if style.json => print_json(&answer, out),
        _ => Ok(()),
    }
}

/// A refusal says what cannot be done before it says why.
fn refused(error: ClientError, operation: &str) -> ClientError {
    match error {
        ClientError::Refused { problem, hint } => ClientError::Refused {
            problem: format!("{operation}: {problem}"),
            hint,
        },
        other => other,
    }
}

/// `clap` has made sure that exactly one is there.
fn target(to: &TargetArgs) -> Target {
    match (&to.device, &to.group, &to.class) {
        (Some(device), _, _) => Target::Device(device.clone()),
        (_, Some(group), _) => Target::Group(group.clone()),
        (_, _, class) => Target::Class(class.clone().unwrap_or_default()),
    }
}

fn done(done: &Done, _: Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", done.done)
}

/// Prints an answer as the document it is, or as text.
fn print<T: DeserializeOwned>(
    answer: Result<Value, ClientError>,
    style: Style,
    out: &mut dyn Write,
    text: fn(&T, Style, &mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let answer = answer?;
    if style.json {
        return print_json(&answer, out);
    }
    text(&understood(answer)?, style, out)?;
    out.flush()?;
    Ok(())
}

pub(super) fn understood<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|error| ClientError::NotUnderstood(error).into())
}

pub(super) fn print_json(document: &Value, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{document:#}")?;
    out.flush()?;
    Ok(())
}
