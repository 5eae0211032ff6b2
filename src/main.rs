//! `ringway`: arguments → configuration → runtime.

/// A call is made of some hundred small pieces of text. Their allocation is a sixth of its cost with the C library's
/// allocator, a twentieth with this one (`benches/control_call.rs`); the media workers do not allocate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    ringway::cli::main()
}
