//! Who asks: the user at the other end of the socket, as the kernel vouches for it (unix(7), `SO_PEERCRED`).

use tokio::net::UnixStream;

/// A caller's name for the audit trail: `alice (uid 1000)`. With `sudo` it is root's.
pub(super) fn caller(stream: &UnixStream) -> String {
    match stream.peer_cred() {
        Ok(peer) => named(peer.uid(), std::fs::read_to_string(PASSWD).ok().as_deref()),
        // The connection was let in, so this is a race with its end.
        Err(_) => "somebody who went away".to_owned(),
    }
}

/// A user of a directory service has a number only.
fn named(uid: u32, passwd: Option<&str>) -> String {
    let name = passwd.into_iter().flat_map(str::lines).find_map(|line| {
        // passwd(5): name, password, uid.
        let mut fields = line.split(':');
        let (name, uid_field) = (fields.next()?, fields.nth(1)?);
        (uid_field.parse() == Ok(uid)).then_some(name)
    });
    match name {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}

const PASSWD: &str = "/etc/passwd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_when_the_machine_knows_it() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(named(0, Some(passwd)), "root (uid 0)");
        assert_eq!(named(1_000, Some(passwd)), "alice (uid 1000)");
        assert_eq!(named(1_001, Some(passwd)), "uid 1001");
        assert_eq!(named(1_000, None), "uid 1000");
    }
}
