#![no_main]

#[path = "../checks/rtp.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::rtp(data));
