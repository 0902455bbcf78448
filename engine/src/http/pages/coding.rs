//! Which encoding of a file a client accepts, from its `accept-encoding`.

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As it is.
    Identity,
    /// Over plain HTTP browsers take nothing smaller.
    Gzip,
    /// The smallest.
    Brotli,
}

impl Coding {
    /// The smallest form that one of the header's values names, and that none of them forbids with a weight of zero.
    pub(super) fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Self {
        let (mut gzip, mut brotli) = (false, false);
        for one in values.flat_map(|value| value.split(|&byte| byte == b',')) {
            let mut parts = one.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let taken = !parts.any(is_zero);
            if name.eq_ignore_ascii_case(b"br") {
                brotli = taken;
            } else if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
                gzip = taken;
            }
        }
        match (brotli, gzip) {
            (true, _) => Self::Brotli,
            (false, true) => Self::Gzip,
            (false, false) => Self::Identity,
        }
    }
}

/// Whether a parameter is a weight of zero: `q=0`, `q=0.000`.
fn is_zero(parameter: &[u8]) -> bool {
    let Some((b'q' | b'Q', rest)) = parameter.split_first() else {
        return false;
    };
    let weight = rest.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii_start);
    weight.is_some_and(|weight| weight.first() == Some(&b'0') && weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_is_taken() {
        for (values, coding) in [
            (&[][..], Coding::Identity),
            (&["identity"], Coding::Identity),
            (&["gzip, deflate"], Coding::Gzip),
            (&["gzip, deflate, br, zstd"], Coding::Brotli),
            (&["deflate", "GZIP"], Coding::Gzip),
            (&["br;q=0, gzip;q=0.5"], Coding::Gzip),
            (&["br; q=0.000, gzip ;Q=0."], Coding::Identity),
            (&["br;q=0.001"], Coding::Brotli),
            (&["brotli, *"], Coding::Identity),
            (&[";;,=,q=0"], Coding::Identity),
        ] {
            let values: &[&str] = values;
            assert_eq!(
                Coding::of(values.iter().map(|value| value.as_bytes())),
                coding,
                "{values:?}"
            );
        }
    }
}
