#![no_main]

#[path = "../checks/sdp.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::sdp(data));
