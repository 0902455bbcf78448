//! The code that walks trees. There is one file for each kernel, all with the same structure: `supports()` says whether
//! it takes a model, and why not, and one function adds a row's leaves to its margins. Every kernel is compared with
//! [`mod@reference`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod block;
mod entry_points;
#[doc(hidden)]
pub mod isa;
pub mod lanes;
mod linear;
#[cfg(target_arch = "aarch64")]
mod neon;
mod rank;
pub mod real;
pub mod reference;
pub mod scalar;
mod sums;
mod vector;
mod vectors;

pub use vectors::Vectors;

use std::fmt;
use std::str::FromStr;

/// Which kernel to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KernelChoice {
    /// The fastest that supports the model.
    #[default]
    Auto,
    /// The literal walk over the ensemble: the oracle, slow.
    Reference,
    /// A compact node array, eight trees in step.
    Scalar,
    /// 64 trees at once over bytes that hold the ranks of a row's values, with AVX-512 byte permutes (VBMI).
    Avx512,
    /// The same with AVX-512 that lacks them.
    Avx512Bw,
    /// The same over half as many trees at once, with AVX2.
    Avx2,
    /// The same over a quarter as many, with NEON.
    Neon,
}

impl KernelChoice {
    /// Every choice with its name, as options and errors list them.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("auto", Self::Auto),
        ("reference", Self::Reference),
        ("scalar", Self::Scalar),
        ("avx512", Self::Avx512),
        ("avx512bw", Self::Avx512Bw),
        ("avx2", Self::Avx2),
        ("neon", Self::Neon),
    ];
}

impl fmt::Display for KernelChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES
            .iter()
            .find(|(_, choice)| choice == self)
            .map_or("", |(name, _)| name);
        formatter.pad(name)
    }
}

/// A name that no kernel has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kernel is named {name:?}: choose auto, reference, scalar, avx512, avx512bw, avx2 or neon")]
pub struct UnknownKernel {
    /// The name.
    pub name: String,
}

impl FromStr for KernelChoice {
    type Err = UnknownKernel;

    fn from_str(name: &str) -> Result<Self, UnknownKernel> {
        let found = Self::NAMES.iter().find(|(known, _)| *known == name);
        found
            .map(|&(_, choice)| choice)
            .ok_or_else(|| UnknownKernel { name: name.to_owned() })
    }
}

/// Why a kernel cannot evaluate a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {kernel} kernel does not support this model: {reason}")]
pub struct Unsupported {
    /// The kernel.
    pub kernel: KernelChoice,
    /// What it lacks.
    pub reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for (name, choice) in KernelChoice::NAMES {
            assert_eq!((name.parse(), choice.to_string()), (Ok(choice), name.to_owned()));
        }
        assert!("avx1024".parse::<KernelChoice>().is_err());
    }
}
