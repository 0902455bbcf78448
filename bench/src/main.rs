//! The `quintile-bench` binary. Everything is in the library, so that tests can reach it.

fn main() -> std::process::ExitCode {
    quintile_bench::cli::main()
}
