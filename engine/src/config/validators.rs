//! Texts that must have a form. The reason of a refusal follows the text it refuses.

use std::net::Ipv6Addr;

use quintile_model::nearest::nearest;
use quintile_scoring::text::excerpt;

use super::secret::SecretSource;
use crate::network::Network;

/// The form only: whether a host exists and a port is free, binding finds out.
pub(super) fn check_listen(text: &str) -> Result<(), String> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match text.parse::<u16>() {
            Ok(port) => format!(
                ", which is a port without a host: write 127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for every interface"
            ),
            Err(_) => format!(" without a port: write {text}:8080"),
        });
    };
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err(", whose port is no number up to 65535".into());
    }
    if host.is_empty() {
        return Err(format!(
            " without a host: write 127.0.0.1:{port} for this machine alone, 0.0.0.0:{port} for every interface"
        ));
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

/// An origin as a browser writes it, so that it can be compared byte for byte, or `*`.
pub(super) fn check_origin(text: &str) -> Result<(), String> {
    if text == "*" {
        return Ok(());
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(", which does not begin with https:// or http://".into());
    };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return Err(", which does not begin with https:// or http://".into()),
    };
    if rest.contains(['/', '?', '#', '@']) {
        return Err(", which has more than a scheme, a host and a port: no slash follows, no path and no user".into());
    }
    if text
        .bytes()
        .any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii_graphic())
    {
        return Err(", whose host is not as browsers send it: lower case, in ASCII (xn--…)".into());
    }
    if rest.ends_with(default_port) {
        return Err(format!(", which browsers send without {default_port}"));
    }
    let is_port = |port: http::uri::Port<&str>| port.as_str().parse::<u16>().is_ok();
    let is_right = |uri: &http::Uri| {
        let authority = uri.authority().filter(|authority| authority.as_str() == rest);
        // A port beyond 65535 reads as none; the host is then what stands before the last colon all the same.
        authority.is_some_and(|authority| match authority.port() {
            Some(port) => is_port(port),
            None => authority.host() == rest,
        })
    };
    match text.parse::<http::Uri>() {
        Ok(uri) if is_right(&uri) => Ok(()),
        _ => Err(", whose host or port is none".into()),
    }
}

/// Addresses that begin alike.
pub(super) fn check_network(text: &str) -> Result<(), String> {
    match Network::parse(text) {
        Some(_) => Ok(()),
        None => Err(", which is no network: ADDRESS/BITS or one address".into()),
    }
}

/// What Firehose and SageMaker take for a name.
pub(super) fn check_name(text: &str) -> Result<(), String> {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if (1..=64).contains(&text.len()) && text.bytes().all(is_right) {
        Ok(())
    } else {
        Err(String::new())
    }
}

/// A region's form; whether there is one of this name, AWS knows.
pub(super) fn check_region(text: &str) -> Result<(), String> {
    let is_right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=32).contains(&text.len()) && text.bytes().all(is_right) {
        Ok(())
    } else {
        Err(String::new())
    }
}

/// Where services are reached.
pub(super) fn check_url(text: &str) -> Result<(), String> {
    match text.parse::<http::Uri>() {
        Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none() => Ok(()),
        Ok(_) => Err(", which does not begin with http:// or https://, or has a query".into()),
        Err(error) => Err(format!(", which is no URL ({error})")),
    }
}

/// Where a secret is.
pub(super) fn check_key_source(text: &str) -> Result<(), String> {
    SecretSource::parse(text).map(drop).map_err(str::to_owned)
}

/// What a model may be called in paths.
pub(super) fn check_model_name(text: &str) -> Result<(), String> {
    let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_right = (1..=128).contains(&text.len()) && text.bytes().all(is_of_it);
    if is_right { Ok(()) } else { Err(String::new()) }
}

/// Bucket and prefix.
pub(super) fn check_s3(text: &str) -> Result<(), String> {
    let Some(place) = text.strip_prefix("s3://") else {
        return Err(", which does not begin with s3://".into());
    };
    let bucket = place.split('/').next().unwrap_or_default();
    let is_right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(is_right) {
        return Err(format!(", whose bucket {} is none", excerpt(bucket)));
    }
    Ok(())
}

/// The text around a row.
pub(super) fn check_template(text: &str) -> Result<(), String> {
    quintile_scoring::render::row_body::Template::parse(text)
        .map(drop)
        .map_err(|error| format!(", which {error}"))
}

/// The filter's own grammar takes any word for a target, and then nothing is logged: a word alone must be a level here.
pub(super) fn check_level(text: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    for part in text.split(',').map(str::trim) {
        if !part.contains('=') && !LEVELS.contains(&part) {
            let hint = nearest(part, LEVELS).map_or_else(String::new, |level| format!(" (did you mean {level:?}?)"));
            return Err(format!(", and {} is no level{hint}", excerpt(part)));
        }
    }
    if text.contains(['[', '{']) {
        return Err(
            ", which asks for spans or fields: only levels and targets are filtered, as warn,quintile=debug".into(),
        );
    }
    match text.parse::<tracing_subscriber::filter::Targets>() {
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
    fn origins_are_written_as_browsers_send_them() {
        for text in [
            "*",
            "https://crm.example",
            "http://127.0.0.1:3000",
            "https://[::1]:8443",
            "https://a.example:80",
        ] {
            assert_eq!(check_origin(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "crm.example",
            "https://",
            "https://crm.example/",
            "https://Crm.example",
            "https://crm.example:443",
            "http://crm.example:80",
            "https://*.example/x",
            "https://u@crm.example",
            "file://x",
            "null",
            "https://a b",
            "https://a:99999",
        ] {
            assert!(check_origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_aws_have_their_forms() {
        for text in ["leads", "a.b-C_9"] {
            assert_eq!(check_name(text), Ok(()), "{text}");
        }
        for text in ["", "a b", "a/b", &"x".repeat(65)] {
            assert!(check_name(text).is_err(), "{text}");
        }
        assert!(check_region("eu-central-1").is_ok() && check_region("EU").is_err() && check_region("").is_err());
        for text in ["http://127.0.0.1:5000", "https://s3.example.com/"] {
            assert_eq!(check_url(text), Ok(()), "{text}");
        }
        for text in ["", "127.0.0.1:5000", "ftp://x", "http://", "http://x?y"] {
            assert!(check_url(text).is_err(), "{text}");
        }
        for text in ["s3://lake", "s3://lake/", "s3://my.lake-1/a/b"] {
            assert_eq!(check_s3(text), Ok(()), "{text}");
        }
        for text in ["", "lake", "s3://", "s3://ab", "s3://Lake/x", "s3:///x"] {
            assert!(check_s3(text).is_err(), "{text}");
        }
        assert!(check_template("{\"rows\":[$record]}").is_ok() && check_template("{}").is_err());
    }

    #[test]
    fn a_filter_is_levels_and_targets_with_levels() {
        for text in ["info", "off", "warn,quintile=debug", "quintile::side=trace,error"] {
            assert_eq!(check_level(text), Ok(()), "{text}");
        }
        for text in [
            "",
            " ",
            "inof",
            "quintile",
            "info,",
            "quintile=loud",
            "INFOS",
            "quintile[span]=info",
        ] {
            assert!(check_level(text).is_err(), "{text}");
        }
    }
}
