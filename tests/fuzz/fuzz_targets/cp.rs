//! See `pptp_fuzz::cp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::cp(data));
