#![no_main]

#[path = "../checks/jitter.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::jitter(data));
