#![no_main]

#[path = "../checks/rtcp.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::rtcp(data));
