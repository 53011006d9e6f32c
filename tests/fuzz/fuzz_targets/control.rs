//! See `pptp_fuzz::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::control(data));
