//! See `pptp_fuzz::snmp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pptp_fuzz::snmp(data));
