#![no_main]

#[path = "../checks/srtp.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::srtp(data));
