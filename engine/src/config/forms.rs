//! Texts that must have a form. The reason of a refusal follows the text it refuses.

use std::net::Ipv6Addr;

use quintile_model::nearest::nearest;

use super::screen::excerpt;

/// The form only: whether a host exists and a port is free, binding finds out.
pub(super) fn check_listen(text: &str) -> Result<(), String> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(" without a port".into());
    };
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err(", whose port is no number up to 65535".into());
    }
    if host.is_empty() {
        return Err(" without a host; 0.0.0.0 is every interface".into());
    }
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_right = match bracketed {
        Some(address) => address
            .split('%')
            .next()
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.contains([':', '[', ']', '/', ' ']),
    };
    if is_right {
        Ok(())
    } else {
        Err(", whose host is none; IPv6 addresses stand in brackets".into())
    }
}

/// The filter's own grammar takes any word for a target, and then nothing is logged: a word alone must be a level here.
pub(super) fn check_level(text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    for part in text.split(',').map(str::trim) {
        if !part.contains('=') && !LEVELS.contains(&part) {
            let hint = nearest(part, LEVELS).map_or_else(String::new, |level| format!(" (did you mean {level:?}?)"));
            return Err(format!(", of which {} is no level{hint}", excerpt(part)));
        }
    }
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(", which is no filter ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for text in [
            "127.0.0.1:0",
            "0.0.0.0:65535",
            "[::]:80",
            "[fe80::1%eth0]:80",
            "localhost:8080",
            "a-b.c_d:1",
        ] {
            assert_eq!(check_listen(text), Ok(()), "{text}");
        }
        for text in [
            "",
            ":",
            "h:",
            "h:+1",
            "h: 1",
            "h:65536",
            ":1",
            "::1:80",
            "[::1:80",
            "[h]:80",
            "a b:1",
            "http://h:1",
            "h:1/x",
        ] {
            assert!(check_listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_is_levels_and_targets_with_levels() {
        for text in [
            "info",
            "off",
            "warn,quintile=debug",
            "quintile::side=trace,error",
            "quintile[span]=info",
        ] {
            assert_eq!(check_level(text), Ok(()), "{text}");
        }
        for text in ["", " ", "inof", "quintile", "info,", "quintile=loud", "INFOS"] {
            assert!(check_level(text).is_err(), "{text}");
        }
    }
}
