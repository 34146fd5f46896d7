//! `deltagate key …`: arguments, and what is printed.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use wire_manifest::{Anchor, KeyId};

use super::PublisherError;
use super::anchors::{self, AnchorError};
use super::cli::print;
use super::key::{self, PrivateKey};
use super::signer::Signer;
use super::token::list::{Ability, ListedToken, list};
use super::token::{TokenKey, TokenUri};

/// `key …`
#[derive(Subcommand, Clone, Debug)]
pub enum KeyCommand {
    /// Make an Ed25519 key pair for signing images; keep the private key away from every gateway
    Generate(KeyGenerateArgs),
    /// Show a key's id and its public key
    Show(KeyShowArgs),
    /// Show PKCS#11 tokens and the keys in them
    List(KeyListArgs),
}

impl KeyCommand {
    /// Runs the command.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        match self {
            Self::Generate(args) => args.run(out),
            Self::Show(args) => args.run(out),
            Self::List(args) => args.run(out),
        }
    }
}

/// Make an Ed25519 key pair for signing images. Keep the private key away from every gateway.
#[derive(Args, Clone, Debug)]
pub struct KeyGenerateArgs {
    /// Writes PREFIX.key (private, mode 0600) and PREFIX.pub. Neither may exist.
    #[arg(long, value_name = "PREFIX", default_value = "publisher")]
    pub out: PathBuf,
    /// Makes the key in a PKCS#11 token, which it never leaves, and writes PREFIX.pub only.
    /// 'pkcs11:token=NAME;object=LABEL' says which token and how the key is called.
    #[arg(long, value_name = "URI")]
    pub token: Option<String>,
}

impl KeyGenerateArgs {
    /// Makes the pair, and prints its key id and where both are.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        let (key_id, private, public_path) = match &self.token {
            Some(uri) => self.in_token(uri)?,
            None => {
                let files = key::generate(&self.out)?;
                let private = files.private_path.display().to_string();
                (files.key_id, private, files.public_path)
            }
        };
        print(
            out,
            &format!(
                "key id        {key_id}\nprivate key   {private}\npublic key    {}\n",
                public_path.display()
            ),
        )
    }

    fn in_token(&self, uri: &str) -> Result<(KeyId, String, PathBuf), PublisherError> {
        let public_path = key::public_path(&self.out);
        if public_path.exists() {
            return Err(PublisherError::KeyExists { path: public_path });
        }
        let key = TokenKey::generate(uri)?;
        let (key_id, uri) = (key.key_id(), key.uri().to_owned());
        if let Err(error) = key::write_public(&public_path, &key.anchor()) {
            key.destroy();
            return Err(error);
        }
        Ok((key_id, uri, public_path))
    }
}

/// Show a key's id and its public key.
#[derive(Args, Clone, Debug)]
pub struct KeyShowArgs {
    /// A file with a private or a public key, or a key in a token ('pkcs11:token=…;object=…'), which then signs a text that says
    /// nothing, so that the public key is known to be its own.
    #[arg(value_name = "KEY")]
    pub key: OsString,
    /// Writes the public key to this file, which may not exist.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

impl KeyShowArgs {
    /// Prints the key's id, where the private key is, and the public key or the file it went to.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        let (anchor, private) = self.opened()?;
        let mut text = format!("key id        {}\n", anchor.key_id());
        if let Some(private) = private {
            text += &format!("private key   {private}\n");
        }
        match &self.out {
            Some(path) => {
                key::write_public(path, &anchor)?;
                text += &format!("public key    {}\n", path.display());
            }
            None => text += &key::public_pem(&anchor)?,
        }
        print(out, &text)
    }

    fn opened(&self) -> Result<(Anchor, Option<String>), PublisherError> {
        if let Some(uri) = self.key.to_str().filter(|name| TokenUri::is_one(name)) {
            let key = TokenKey::open(uri)?;
            key.prove()?;
            return Ok((
                key.anchor(),
                Some(format!("{}\n              {}", key.uri(), whereabouts(&key))),
            ));
        }
        let path = PathBuf::from(&self.key);
        match anchors::load_anchor(&path) {
            Err(AnchorError::PrivateKey { .. }) => {
                let key = PrivateKey::load(&path)?;
                Ok((key.anchor(), Some(path.display().to_string())))
            }
            public => Ok((public?, None)),
        }
    }
}

/// What the token says of copies.
fn whereabouts(key: &TokenKey) -> &'static str {
    match (key.is_kept(), key.is_made_there()) {
        (true, true) => "made in the token, which shows it to nobody",
        (true, false) => "brought into the token, which shows it to nobody; copies may be elsewhere",
        (false, _) => "CAN BE READ OUT of the token by who has its PIN",
    }
}

/// Show PKCS#11 tokens and the keys in them.
#[derive(Args, Clone, Debug)]
pub struct KeyListArgs {
    /// One token ('pkcs11:token=NAME'): it is given its PIN, without which some show no keys.
    #[arg(value_name = "URI")]
    pub token: Option<String>,
}

impl KeyListArgs {
    /// Prints every token with its keys.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), PublisherError> {
        let tokens = list(self.token.as_deref())?;
        if tokens.is_empty() {
            return print(out, "no token\n");
        }
        let each: Vec<String> = tokens.iter().map(described).collect();
        print(out, &each.join("\n"))
    }
}

fn described(token: &ListedToken) -> String {
    let mut text = format!("token         {}\n", token.uri);
    text += &format!("made by       {}\n", token.made_by.escape_debug());
    text += match token.ability {
        Ability::Makes => "Ed25519       makes keys and signs\n",
        Ability::Signs => "Ed25519       signs, with keys made by its own tool\n",
        Ability::None => "Ed25519       no: no key for devices can be in it\n",
    };
    if token.is_locked {
        text += "PIN           locked\n";
    }
    for key in &token.keys {
        let id = key
            .key_id
            .map_or("(no public key)".to_owned(), |id| id.to_string());
        text += &format!("key           {id}  {}\n", key.uri);
    }
    text
}
