//! The real binary on a free port, spoken to over real sockets, on both backends.
//!
//! A test is a function of the backend's name; [`on_both!`] makes two tests of it. Where the machine denies io_uring
//! the glommio half says so and passes: CI prints how many did.

mod admin;
mod batch;
mod broken_log;
mod client;
mod descriptors;
mod drain;
mod fairness;
mod framing;
mod gzip;
mod h2;
mod harness;
mod limits;
mod log;
mod memory;
mod metrics;
mod models;
mod overload;
mod pages;
mod panics;
mod protocols;
mod reasons;
mod records;
mod reload;
mod removed_sink;
mod rolling;
mod runtime;
mod score;
mod security;
mod signals;

/// Makes one test for each backend of each function.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod epoll {
            $(#[test] fn $name() { super::$name("epoll"); })+
        }
        mod glommio {
            $(#[test] fn $name() {
                if crate::harness::io_uring_is_usable() { super::$name("glommio"); }
            })+
        }
    };
}
pub(crate) use on_both;
