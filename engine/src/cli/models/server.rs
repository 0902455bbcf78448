//! Models of a running server, over its admin listener.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde_json::{Value, json};

use super::{ListedModel, ListedVersion, changed};
use crate::cli::health::{reachable, status};

/// A large model takes a while to load, and the answer comes when it is ready.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Bytes of an answer: every model with its versions.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

pub(super) fn list(server: &str) -> Result<Vec<ListedModel>, String> {
    let overview = ask(server, "GET", "/v1/models", None)?;
    let models = overview["models"]
        .as_array()
        .ok_or("the answer has no models: is this server.admin?")?;
    Ok(models.iter().map(listed).collect())
}

pub(super) fn promote(server: &str, name: &str, version: u64) -> Result<String, String> {
    let before = ask(server, "GET", &format!("/v1/models/{name}"), None)?;
    let (was, version) = (champion(&before), version.to_string());
    let is_ready = |model: &Value| {
        let versions = listed(model).versions;
        versions
            .iter()
            .any(|own| own.version == version && own.state == "ready")
    };
    let load = || {
        let body = json!({"version": version});
        ask(server, "POST", &format!("/v1/models/{name}/load"), Some(&body))
    };
    let promote = || {
        let body = json!({"champion": version});
        ask(server, "PUT", &format!("/v1/models/{name}/aliases"), Some(&body))
    };
    if !is_ready(&before) {
        // One that the configuration does not name is loaded first, and refused if it does not meet its golden rows.
        load()?;
    }
    let told = match promote() {
        // Another version has become champion since, and this one is not named any more.
        Err(_) if !is_ready(&ask(server, "GET", &format!("/v1/models/{name}"), None)?) => {
            load()?;
            promote()?
        }
        told => told?,
    };
    let is = champion(&told).unwrap_or(version);
    Ok(changed(name, was.as_deref(), &is))
}

pub(super) fn roll_back(server: &str, name: &str) -> Result<String, String> {
    let was = champion(&ask(server, "GET", &format!("/v1/models/{name}"), None)?);
    let told = ask(server, "POST", &format!("/v1/models/{name}/rollback"), Some(&json!({})))?;
    let is = champion(&told).ok_or("the answer names no champion: is this server.admin?")?;
    Ok(changed(name, was.as_deref(), &is))
}

fn champion(model: &Value) -> Option<String> {
    Some(model["aliases"]["champion"].as_str()?.to_owned())
}

fn listed(model: &Value) -> ListedModel {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let aliases = model["aliases"].as_object().into_iter().flatten();
    let versions = model["versions"].as_array().into_iter().flatten();
    let mut notes = Vec::new();
    for what in ["split", "shadow", "rolled_back"] {
        let is_set = match &model[what] {
            Value::Object(members) => !members.is_empty(),
            value => !value.is_null(),
        };
        if is_set {
            notes.push(format!("{what}: {}", model[what]));
        }
    }
    ListedModel {
        name: text(&model["name"]),
        aliases: aliases.map(|(alias, version)| (alias.clone(), text(version))).collect(),
        versions: versions
            .map(|version| ListedVersion {
                version: text(&version["version"]),
                state: text(&version["state"]),
                reason: version["reason"]
                    .as_str()
                    .filter(|reason| !reason.is_empty())
                    .map(str::to_owned),
            })
            .collect(),
        notes,
    }
}

/// One request; an answer that refuses is an error with its words.
fn ask(server: &str, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
    let address = address(server)?;
    let answer = exchange(&address, method, path, body).map_err(|error| format!("{address}{path}: {error}"))?;
    let (status, body) = answer;
    let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if (200..300).contains(&status) {
        return Ok(value);
    }
    let says = value["error"]["message"].as_str().or(value["error"].as_str());
    let says = says
        .map(str::to_owned)
        .unwrap_or_else(|| "is this server.admin?".into());
    Err(format!("{address}{path} answers {status}: {says}"))
}

/// `http://HOST:PORT` or `HOST:PORT`.
fn address(server: &str) -> Result<String, String> {
    if server.starts_with("https://") {
        return Err(format!(
            "{server}: the admin listener speaks http, on an address that only this machine or task reaches"
        ));
    }
    let address = server.strip_prefix("http://").unwrap_or(server).trim_end_matches('/');
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let is_fit = address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    match has_port && is_fit {
        true => Ok(address.to_owned()),
        false => Err(format!(
            "{server:?} is no admin listener; accepted: http://HOST:PORT, as http://127.0.0.1:9901"
        )),
    }
}

fn exchange(address: &str, method: &str, path: &str, body: Option<&Value>) -> io::Result<(u16, Vec<u8>)> {
    let found = address.to_socket_addrs()?.map(reachable).next();
    let found = found.ok_or_else(|| io::Error::other("the name has no address"))?;
    let mut socket = TcpStream::connect_timeout(&found, TIMEOUT)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    write!(
        socket,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: quintile-models\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = Vec::new();
    socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    parsed(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// The status and the body of a whole answer.
fn parsed(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((status(answer)?, answer[end + 4..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_admin_listener_is_a_host_with_a_port() {
        for (server, expected) in [
            ("http://127.0.0.1:9901", "127.0.0.1:9901"),
            ("localhost:9091", "localhost:9091"),
            ("http://[::1]:9091/", "[::1]:9091"),
        ] {
            assert_eq!(address(server).as_deref(), Ok(expected));
        }
        for server in ["https://x:1", "x", "http://x:1/v1", "x:99999", "x y:1", "http://"] {
            assert!(address(server).is_err(), "{server}");
        }
    }

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parsed(answer), Some((409, b"{}".to_vec())));
        assert_eq!(parsed(b"SSH-2.0\r\n\r\n"), None);
        assert_eq!(parsed(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
