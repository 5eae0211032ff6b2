#![no_main]

#[path = "../checks/controller.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::controller(data));
