//! See `pptp_fuzz::options`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::options(data));
