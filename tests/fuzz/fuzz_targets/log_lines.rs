//! See `pptp_fuzz::log_lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::log_lines(data));
