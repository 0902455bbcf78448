//! The `quintile` binary whose `POST /score` answers fixed bytes: everything between two sockets but our own work.
//!
//! ```text
//! cargo run --release --example static_responder --features static-answer -- serve
//! ```

fn main() -> std::process::ExitCode {
    quintile::cli::main()
}
