//! The `quintile` binary. Everything is in the library, so that tests and benchmarks can reach it.

fn main() -> std::process::ExitCode {
    quintile::cli::main()
}
