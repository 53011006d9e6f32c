//! Packets whose every octet is known, for tests.

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let digit = |octet: u8| (octet as char).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// RFC 2865, sections 7.1 and 7.2; RFC 5997, section 6.1.
pub(crate) const RFC_SECRET: &[u8] = b"xyzzy5461";
pub(crate) const RFC_PASSWORD: &[u8] = b"arctangent";
pub(crate) const TELNET_REQUEST: &str = "
    01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb
    98 f4 22 7a 01 06 6e 65 6d 6f 02 12 0d be 70 8d
    93 d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8
    01 10 05 06 00 00 00 03";
pub(crate) const TELNET_ACCEPT: &str = "
    02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf
    9b 55 e0 b2 06 06 00 00 00 01 0f 06 00 00 00 00
    0e 06 c0 a8 01 03";
pub(crate) const CHAP_REQUEST: &str = "
    01 01 00 47 2a ee 86 f0 8d 0d 55 96 9c a5 97 8e
    0d 33 67 a2 01 08 66 6c 6f 70 73 79 03 13 16 e9
    75 57 c3 16 18 58 95 f2 93 ff 63 44 07 72 75 04
    06 c0 a8 01 10 05 06 00 00 00 14 06 06 00 00 00
    02 07 06 00 00 00 01";
pub(crate) const STATUS_REQUEST: &str = "
    0cda0026 8a54f4686fb394c52866e302185d0623
    5012 5a665e2e1e8411f3e243822097c84fa3";
pub(crate) const STATUS_ACCEPT: &str = "02da0014 ef0d552a4bf2d693ec2b6fe8b5411d66";

/// pppd 2.4.9 with its RADIUS plugin and FreeRADIUS 3.2.1, recorded: user
/// `probe`, password `Pr0be-secret`, secret `testing123`.
pub(crate) const GATEWAY_SECRET: &[u8] = b"testing123";
pub(crate) const GATEWAY_REQUEST: &str = "
    01ef0090 acce c939 f2dd 78e6 0631 42ac 27cd fe9c
    0606 0000 0002 0706 0000 0001 0107 7072 6f62 65
    1a18 00000137 0b12 340c f17a c291 7d12 cafb f10f 3f0a 9035
    1a3a 00000137 1934 9c00 9176 94f6 d922 4fae 2854 5ead 8620 fc85
    0000000000000000 c8f7 1d0f 854d 2d44 abab d386 c0a7 996d 0322 9ecd 5010 387e
    1f0b 3130 2e37 372e 302e 33 0406 0a4d 0002 0506 0000 0000";
pub(crate) const GATEWAY_ACCEPT: &str = "
    02ef 00d8 888e f6f2 2bd2 f0b7 5537 74fc 6b50 5436
    0606 0000 0002 0706 0000 0001 0806 c0a8 4d32 0906 ffff ffff 1b06 0000 0258
    1907 636c 6173 73
    1a33 00000137 1a2d 9c53 3d43 4443 3131 3331 3132 4130 4141 3733
    4235 3141 3035 3431 3743 3145 3139 3736 4445 3132 3030 3941 39
    1a2a 00000137 1124 80b7 e105 2c60 ed22 5014 dc7b 99cf 91f6
    bc65 491a 7f2f ede6 d47f b6cc 8cc7 ff41 939e
    1a2a 00000137 1024 8a83 32da ff3c 3941 cc94 774e ecfe 4fe6 63a6 4c4b d5fd
    0866 7635 16d7 e1f6 a29b fb51
    1a0c 00000137 0706 0000 0001 1a0c 00000137 0806 0000 0006";
pub(crate) const GATEWAY_ACCOUNTING: &str = "
    04f0 0073 f6f8 0949 c599 cb54 dcff 0367 988b 9763
    2c10 256c 5836 6230 3130 3362 3125 6858 0107 7072 6f62 65 1907 636c 6173 73
    2806 0000 0001 0606 0000 0002 0706 0000 0001 1f0b 3130 2e37 372e 302e 33
    2d06 0000 0001 3d06 0000 0000 0806 c0a8 4d32 0406 0a4d 0002 0506 0000 0000
    2906 0000 0000";
pub(crate) const GATEWAY_ACCOUNTED: &str = "05f0 0014 7581 7856 23d3 47d6 a6bc d5e5 924d d5d4";

/// RFC 2865, section 7.3.
pub(crate) const CHALLENGE: &str = "
    0b 02 00 4e 36 f3 c8 76 4a e8 c7 11 57 40 3c 0c
    71 ff 9c 45 12 30 43 68 61 6c 6c 65 6e 67 65 20
    33 32 37 36 39 34 33 30 2e 20 20 45 6e 74 65 72
    20 72 65 73 70 6f 6e 73 65 20 61 74 20 70 72 6f
    6d 70 74 2e 18 0a 33 32 37 36 39 34 33 30";
