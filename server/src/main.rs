//! `xq`, the exchange's one program.

fn main() -> std::process::ExitCode {
    xq_server::cli::main()
}
