//! See `pptp_fuzz::agentx`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::agentx(data));
