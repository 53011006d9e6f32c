//! The attributes that the dictionary knows, by vendor and number: those of
//! RFC 2865 to 2869, 3162, 3576, 4372, 4675, 4818, 4849, 5176 and 6911 that a
//! session over PPP can carry, of Microsoft (RFC 2548) those without ARAP and
//! health checks, of Cisco those without voice and fax, and those of MikroTik
//! and FreeRADIUS. Values are those of the RFCs and of the IANA registry, under
//! the names that FreeRADIUS gives them.
//!
//! Real servers: the bits of MS-MPPE-Encryption-Types are those of RFC 2548,
//! section 2.4.5; FreeRADIUS names 1 and 2 what the RFC has at 2 and 4.

use super::Kind::{Address, Address6, Date, Integer, InterfaceId, Octets, Prefix6, Text};
use super::{AttributeId, Definition, Kind};

/// Sorted by vendor and number. What looks up a number relies on it.
pub(super) static DEFINITIONS: &[Definition] = &[
    rfc(1, "User-Name", Text),
    rfc(2, "User-Password", Text).secret(),
    rfc(3, "CHAP-Password", Octets).secret(),
    rfc(4, "NAS-IP-Address", Address),
    rfc(5, "NAS-Port", Integer),
    rfc(6, "Service-Type", Integer).named(
        "Login-User=1 Framed-User=2 Callback-Login-User=3 Callback-Framed-User=4 \
         Outbound-User=5 Administrative-User=6 NAS-Prompt-User=7 Authenticate-Only=8 \
         Callback-NAS-Prompt=9 Call-Check=10 Callback-Administrative=11 Voice=12 Fax=13 \
         Modem-Relay=14 IAPP-Register=15 IAPP-AP-Check=16 Authorize-Only=17",
    ),
    rfc(7, "Framed-Protocol", Integer).named(
        "PPP=1 SLIP=2 ARAP=3 Gandalf-SLML=4 Xylogics-IPX-SLIP=5 X.75-Synchronous=6 \
         GPRS-PDP-Context=7 PPTP=9",
    ),
    rfc(8, "Framed-IP-Address", Address),
    rfc(9, "Framed-IP-Netmask", Address),
    rfc(10, "Framed-Routing", Integer).named("None=0 Broadcast=1 Listen=2 Broadcast-Listen=3"),
    rfc(11, "Filter-Id", Text),
    rfc(12, "Framed-MTU", Integer),
    rfc(13, "Framed-Compression", Integer)
        .named("None=0 Van-Jacobson-TCP-IP=1 IPX-Header-Compression=2 Stac-LZS=3"),
    rfc(14, "Login-IP-Host", Address),
    rfc(15, "Login-Service", Integer).named(
        "Telnet=0 Rlogin=1 TCP-Clear=2 PortMaster=3 LAT=4 X25-PAD=5 X25-T3POS=6 \
         TCP-Clear-Quiet=8",
    ),
    rfc(16, "Login-TCP-Port", Integer).named("Telnet=23 Rlogin=513 Rsh=514"),
    rfc(18, "Reply-Message", Text),
    rfc(19, "Callback-Number", Text),
    rfc(20, "Callback-Id", Text),
    rfc(22, "Framed-Route", Text),
    rfc(24, "State", Octets),
    rfc(25, "Class", Octets),
    rfc(26, "Vendor-Specific", Octets),
    rfc(27, "Session-Timeout", Integer),
    rfc(28, "Idle-Timeout", Integer),
    rfc(29, "Termination-Action", Integer).named("Default=0 RADIUS-Request=1"),
    rfc(30, "Called-Station-Id", Text),
    rfc(31, "Calling-Station-Id", Text),
    rfc(32, "NAS-Identifier", Text),
    rfc(33, "Proxy-State", Octets),
    rfc(40, "Acct-Status-Type", Integer).named(
        "Start=1 Stop=2 Interim-Update=3 Alive=3 Accounting-On=7 Accounting-Off=8 \
         Tunnel-Start=9 Tunnel-Stop=10 Tunnel-Reject=11 Tunnel-Link-Start=12 \
         Tunnel-Link-Stop=13 Tunnel-Link-Reject=14 Failed=15 Subsystem-On=18 Subsystem-Off=19",
    ),
    rfc(41, "Acct-Delay-Time", Integer),
    rfc(42, "Acct-Input-Octets", Integer),
    rfc(43, "Acct-Output-Octets", Integer),
    rfc(44, "Acct-Session-Id", Text),
    rfc(45, "Acct-Authentic", Integer).named("RADIUS=1 Local=2 Remote=3 Diameter=4"),
    rfc(46, "Acct-Session-Time", Integer),
    rfc(47, "Acct-Input-Packets", Integer),
    rfc(48, "Acct-Output-Packets", Integer),
    rfc(49, "Acct-Terminate-Cause", Integer).named(
        "User-Request=1 Lost-Carrier=2 Lost-Service=3 Idle-Timeout=4 Session-Timeout=5 \
         Admin-Reset=6 Admin-Reboot=7 Port-Error=8 NAS-Error=9 NAS-Request=10 NAS-Reboot=11 \
         Port-Unneeded=12 Port-Preempted=13 Port-Suspended=14 Service-Unavailable=15 \
         Callback=16 User-Error=17 Host-Request=18 Supplicant-Restart=19 \
         Reauthentication-Failure=20 Port-Reinit=21 Port-Disabled=22",
    ),
    rfc(50, "Acct-Multi-Session-Id", Text),
    rfc(51, "Acct-Link-Count", Integer),
    rfc(52, "Acct-Input-Gigawords", Integer),
    rfc(53, "Acct-Output-Gigawords", Integer),
    rfc(55, "Event-Timestamp", Date),
    rfc(56, "Egress-VLANID", Integer),
    rfc(57, "Ingress-Filters", Integer).named("Enabled=1 Disabled=2"),
    rfc(58, "Egress-VLAN-Name", Text),
    rfc(59, "User-Priority-Table", Octets),
    rfc(60, "CHAP-Challenge", Octets),
    rfc(61, "NAS-Port-Type", Integer).named(
        "Async=0 Sync=1 ISDN=2 ISDN-V120=3 ISDN-V110=4 Virtual=5 PIAFS=6 HDLC-Clear-Channel=7 \
         X.25=8 X.75=9 G.3-Fax=10 SDSL=11 ADSL-CAP=12 ADSL-DMT=13 IDSL=14 Ethernet=15 xDSL=16 \
         Cable=17 Wireless-Other=18 Wireless-802.11=19 Token-Ring=20 FDDI=21 \
         Wireless-CDMA2000=22 Wireless-UMTS=23 Wireless-1X-EV=24 IAPP=25 FTTP=26 \
         Wireless-802.16=27 Wireless-802.20=28 Wireless-802.22=29 PPPoA=30 PPPoEoA=31 \
         PPPoEoE=32 PPPoEoVLAN=33 PPPoEoQinQ=34 xPON=35 Wireless-XGP=36",
    ),
    rfc(62, "Port-Limit", Integer),
    rfc(64, "Tunnel-Type", Integer).tagged().named(
        "PPTP=1 L2F=2 L2TP=3 ATMP=4 VTP=5 AH=6 IP=7 MIN-IP=8 ESP=9 GRE=10 DVS=11 IP-in-IP=12 \
         VLAN=13",
    ),
    rfc(65, "Tunnel-Medium-Type", Integer).tagged().named(
        "IPv4=1 IP=1 IPv6=2 NSAP=3 HDLC=4 BBN-1822=5 IEEE-802=6 E.163=7 E.164=8 F.69=9 \
         X.121=10 IPX=11 Appletalk=12 DecNet-IV=13 Banyan-Vines=14 E.164-NSAP=15",
    ),
    rfc(66, "Tunnel-Client-Endpoint", Text).tagged(),
    rfc(67, "Tunnel-Server-Endpoint", Text).tagged(),
    rfc(68, "Acct-Tunnel-Connection", Text),
    rfc(69, "Tunnel-Password", Text).tagged().secret(),
    rfc(75, "Password-Retry", Integer),
    rfc(76, "Prompt", Integer).named("No-Echo=0 Echo=1"),
    rfc(77, "Connect-Info", Text),
    rfc(78, "Configuration-Token", Text),
    rfc(79, "EAP-Message", Octets).secret(),
    rfc(80, "Message-Authenticator", Octets).secret(),
    rfc(81, "Tunnel-Private-Group-Id", Text).tagged(),
    rfc(82, "Tunnel-Assignment-Id", Text).tagged(),
    rfc(83, "Tunnel-Preference", Integer).tagged(),
    rfc(85, "Acct-Interim-Interval", Integer),
    rfc(86, "Acct-Tunnel-Packets-Lost", Integer),
    rfc(87, "NAS-Port-Id", Text),
    rfc(88, "Framed-Pool", Text),
    rfc(89, "Chargeable-User-Identity", Octets),
    rfc(90, "Tunnel-Client-Auth-Id", Text).tagged(),
    rfc(91, "Tunnel-Server-Auth-Id", Text).tagged(),
    rfc(92, "NAS-Filter-Rule", Text),
    rfc(95, "NAS-IPv6-Address", Address6),
    rfc(96, "Framed-Interface-Id", InterfaceId),
    rfc(97, "Framed-IPv6-Prefix", Prefix6),
    rfc(98, "Login-IPv6-Host", Address6),
    rfc(99, "Framed-IPv6-Route", Text),
    rfc(100, "Framed-IPv6-Pool", Text),
    rfc(101, "Error-Cause", Integer).named(
        "Residual-Context-Removed=201 Invalid-EAP-Packet=202 Unsupported-Attribute=401 \
         Missing-Attribute=402 NAS-Identification-Mismatch=403 Invalid-Request=404 \
         Unsupported-Service=405 Unsupported-Extension=406 Invalid-Attribute-Value=407 \
         Administratively-Prohibited=501 Proxy-Request-Not-Routable=502 \
         Session-Context-Not-Found=503 Session-Context-Not-Removable=504 \
         Proxy-Processing-Error=505 Resources-Unavailable=506 Request-Initiated=507 \
         Multiple-Session-Selection-Unsupported=508",
    ),
    rfc(123, "Delegated-IPv6-Prefix", Prefix6),
    rfc(168, "Framed-IPv6-Address", Address6),
    rfc(169, "DNS-Server-IPv6-Address", Address6),
    rfc(170, "Route-IPv6-Information", Prefix6),
    rfc(171, "Delegated-IPv6-Prefix-Pool", Text),
    rfc(172, "Stateful-IPv6-Address-Pool", Text),
    cisco(1, "Cisco-AVPair", Text),
    cisco(2, "Cisco-NAS-Port", Text),
    cisco(37, "Cisco-Policy-Up", Text),
    cisco(38, "Cisco-Policy-Down", Text),
    cisco(51, "Cisco-Service-Name", Text),
    cisco(52, "Cisco-Parent-Session-Id", Text),
    cisco(55, "Cisco-Sub-QoS-Pol-In", Text),
    cisco(56, "Cisco-Sub-QoS-Pol-Out", Text),
    cisco(57, "Cisco-In-ACL", Text),
    cisco(58, "Cisco-Out-ACL", Text),
    cisco(59, "Cisco-Sub-PBR-Policy-In", Text),
    cisco(60, "Cisco-Sub-Activate-Service", Text),
    cisco(61, "Cisco-IPv6-In-ACL", Text),
    cisco(62, "Cisco-IPv6-Out-ACL", Text),
    cisco(63, "Cisco-Sub-Deactivate-Service", Text),
    cisco(187, "Cisco-Multilink-ID", Integer),
    cisco(188, "Cisco-Num-In-Multilink", Integer),
    cisco(190, "Cisco-Pre-Input-Octets", Integer),
    cisco(191, "Cisco-Pre-Output-Octets", Integer),
    cisco(192, "Cisco-Pre-Input-Packets", Integer),
    cisco(193, "Cisco-Pre-Output-Packets", Integer),
    cisco(194, "Cisco-Maximum-Time", Integer),
    cisco(195, "Cisco-Disconnect-Cause", Integer).named(
        "No-Reason=0 No-Disconnect=1 Unknown=2 Call-Disconnect=3 \
         CLID-Authentication-Failure=4 No-Modem-Available=9 No-Carrier=10 Lost-Carrier=11 \
         No-Detected-Result-Codes=12 User-Ends-Session=20 Idle-Timeout=21 \
         Exit-Telnet-Session=22 No-Remote-IP-Addr=23 Exit-Raw-TCP=24 Password-Fail=25 \
         Raw-TCP-Disabled=26 Control-C-Detected=27 EXEC-Program-Destroyed=28 \
         Close-Virtual-Connection=29 End-Virtual-Connection=30 Exit-Rlogin=31 \
         Invalid-Rlogin-Option=32 Insufficient-Resources=33 Timeout-PPP-LCP=40 \
         Failed-PPP-LCP-Negotiation=41 Failed-PPP-PAP-Auth-Fail=42 Failed-PPP-CHAP-Auth=43 \
         Failed-PPP-Remote-Auth=44 PPP-Remote-Terminate=45 PPP-Closed-Event=46 \
         NCP-Closed-PPP=47 MP-Error-PPP=48 PPP-Maximum-Channels=49 Tables-Full=50 \
         Resources-Full=51 Invalid-IP-Address=52 Bad-Hostname=53 Bad-Port=54 Reset-TCP=60 \
         TCP-Connection-Refused=61 Timeout-TCP=62 Foreign-Host-Close-TCP=63 \
         TCP-Network-Unreachable=64 TCP-Host-Unreachable=65 TCP-Network-Admin-Unreachable=66 \
         TCP-Port-Unreachable=67 Session-Timeout=100 Session-Failed-Security=101 \
         Session-End-Callback=102 Invalid-Protocol=120 RADIUS-Disconnect=150 \
         Local-Admin-Disconnect=151 SNMP-Disconnect=152 V110-Retries=160 \
         PPP-Authentication-Timeout=170 Local-Hangup=180 Remote-Hangup=185 T1-Quiesced=190 \
         Call-Duration=195 VPN-User-Disconnect=600 VPN-Carrier-Loss=601 VPN-No-Resources=602 \
         VPN-Bad-Control-Packet=603 VPN-Admin-Disconnect=604 VPN-Tunnel-Shut=605 \
         VPN-Local-Disconnect=606 VPN-Session-Limit=607 VPN-Call-Redirect=608",
    ),
    cisco(197, "Cisco-Data-Rate", Integer),
    cisco(198, "Cisco-PreSession-Time", Integer),
    cisco(208, "Cisco-PW-Lifetime", Integer),
    cisco(209, "Cisco-IP-Direct", Integer),
    cisco(210, "Cisco-PPP-VJ-Slot-Comp", Integer),
    cisco(212, "Cisco-PPP-Async-Map", Integer),
    cisco(217, "Cisco-IP-Pool-Definition", Text),
    cisco(218, "Cisco-Assign-IP-Pool", Integer),
    cisco(228, "Cisco-Route-IP", Integer),
    cisco(233, "Cisco-Link-Compression", Integer),
    cisco(234, "Cisco-Target-Util", Integer),
    cisco(235, "Cisco-Maximum-Channels", Integer),
    cisco(242, "Cisco-Data-Filter", Integer),
    cisco(243, "Cisco-Call-Filter", Integer),
    cisco(244, "Cisco-Idle-Limit", Integer),
    cisco(249, "Cisco-Subscriber-Password", Text).secret(),
    cisco(250, "Cisco-Account-Info", Text),
    cisco(251, "Cisco-Service-Info", Text),
    cisco(252, "Cisco-Command-Code", Text),
    cisco(253, "Cisco-Control-Info", Text),
    cisco(255, "Cisco-Xmit-Rate", Integer),
    microsoft(1, "MS-CHAP-Response", Octets).secret(),
    microsoft(2, "MS-CHAP-Error", Text),
    microsoft(3, "MS-CHAP-CPW-1", Octets).secret(),
    microsoft(4, "MS-CHAP-CPW-2", Octets).secret(),
    microsoft(5, "MS-CHAP-LM-Enc-PW", Octets).secret(),
    microsoft(6, "MS-CHAP-NT-Enc-PW", Octets).secret(),
    microsoft(7, "MS-MPPE-Encryption-Policy", Integer)
        .named("Encryption-Allowed=1 Encryption-Required=2"),
    microsoft(8, "MS-MPPE-Encryption-Types", Integer)
        .named("RC4-40bit-Allowed=2 RC4-128bit-Allowed=4 RC4-40or128-bit-Allowed=6"),
    microsoft(9, "MS-RAS-Vendor", Integer),
    microsoft(10, "MS-CHAP-Domain", Text),
    microsoft(11, "MS-CHAP-Challenge", Octets),
    microsoft(12, "MS-CHAP-MPPE-Keys", Octets).secret(),
    microsoft(13, "MS-BAP-Usage", Integer).named("Not-Allowed=0 Allowed=1 Required=2"),
    microsoft(14, "MS-Link-Utilization-Threshold", Integer),
    microsoft(15, "MS-Link-Drop-Time-Limit", Integer),
    microsoft(16, "MS-MPPE-Send-Key", Octets).secret(),
    microsoft(17, "MS-MPPE-Recv-Key", Octets).secret(),
    microsoft(18, "MS-RAS-Version", Text),
    microsoft(22, "MS-Filter", Octets),
    microsoft(23, "MS-Acct-Auth-Type", Integer).named("PAP=1 CHAP=2 MS-CHAP-1=3 MS-CHAP-2=4 EAP=5"),
    microsoft(24, "MS-Acct-EAP-Type", Integer).named("MD5=4 OTP=5 Generic-Token-Card=6 TLS=13"),
    microsoft(25, "MS-CHAP2-Response", Octets).secret(),
    microsoft(26, "MS-CHAP2-Success", Octets).secret(),
    microsoft(27, "MS-CHAP2-CPW", Octets).secret(),
    microsoft(28, "MS-Primary-DNS-Server", Address),
    microsoft(29, "MS-Secondary-DNS-Server", Address),
    microsoft(30, "MS-Primary-NBNS-Server", Address),
    microsoft(31, "MS-Secondary-NBNS-Server", Address),
    microsoft(34, "MS-RAS-Client-Name", Text),
    microsoft(35, "MS-RAS-Client-Version", Text),
    microsoft(36, "MS-Quarantine-IPFilter", Octets),
    microsoft(37, "MS-Quarantine-Session-Timeout", Integer),
    microsoft(40, "MS-User-Security-Identity", Text),
    microsoft(41, "MS-Identity-Type", Integer)
        .named("Machine-Health-Check=1 Ignore-User-Lookup-Failure=2"),
    microsoft(42, "MS-Service-Class", Text),
    microsoft(44, "MS-Quarantine-User-Class", Text),
    microsoft(45, "MS-Quarantine-State", Integer).named("Full-Access=0 Quarantine=1 Probation=2"),
    microsoft(46, "MS-Quarantine-Grace-Time", Integer),
    microsoft(47, "MS-Network-Access-Server-Type", Integer).named(
        "Unspecified=0 Terminal-Server-Gateway=1 Remote-Access-Server=2 DHCP-Server=3 \
         Wireless-Access-Point=4 HRA=5 HCAP-Server=6",
    ),
    microsoft(50, "MS-Machine-Name", Text),
    microsoft(51, "MS-IPv6-Filter", Octets),
    microsoft(56, "MS-RAS-Correlation", Octets),
    microsoft(57, "MS-Extended-Quarantine-State", Integer)
        .named("Transition=1 Infected=2 Unknown=3 No-Data=4"),
    microsoft(61, "MS-User-IPv4-Address", Address),
    microsoft(62, "MS-User-IPv6-Address", Address6),
    freeradius(1, "FreeRADIUS-Proxied-To", Address),
    freeradius(2, "FreeRADIUS-Acct-Session-Start-Time", Date),
    freeradius(127, "FreeRADIUS-Statistics-Type", Integer).named(
        "None=0 Authentication=1 Accounting=2 Auth-Acct=3 Proxy-Authentication=4 \
         Proxy-Accounting=8 Proxy-Auth-Acct=12 Internal=16 All=31 Client=32 Server=64 \
         Home-Server=128",
    ),
    freeradius(128, "FreeRADIUS-Total-Access-Requests", Integer),
    freeradius(129, "FreeRADIUS-Total-Access-Accepts", Integer),
    freeradius(130, "FreeRADIUS-Total-Access-Rejects", Integer),
    freeradius(131, "FreeRADIUS-Total-Access-Challenges", Integer),
    freeradius(132, "FreeRADIUS-Total-Auth-Responses", Integer),
    freeradius(133, "FreeRADIUS-Total-Auth-Duplicate-Requests", Integer),
    freeradius(134, "FreeRADIUS-Total-Auth-Malformed-Requests", Integer),
    freeradius(135, "FreeRADIUS-Total-Auth-Invalid-Requests", Integer),
    freeradius(136, "FreeRADIUS-Total-Auth-Dropped-Requests", Integer),
    freeradius(137, "FreeRADIUS-Total-Auth-Unknown-Types", Integer),
    freeradius(138, "FreeRADIUS-Total-Proxy-Access-Requests", Integer),
    freeradius(139, "FreeRADIUS-Total-Proxy-Access-Accepts", Integer),
    freeradius(140, "FreeRADIUS-Total-Proxy-Access-Rejects", Integer),
    freeradius(141, "FreeRADIUS-Total-Proxy-Access-Challenges", Integer),
    freeradius(142, "FreeRADIUS-Total-Proxy-Auth-Responses", Integer),
    freeradius(143, "FreeRADIUS-Total-Proxy-Auth-Duplicate-Requests", Integer),
    freeradius(144, "FreeRADIUS-Total-Proxy-Auth-Malformed-Requests", Integer),
    freeradius(145, "FreeRADIUS-Total-Proxy-Auth-Invalid-Requests", Integer),
    freeradius(146, "FreeRADIUS-Total-Proxy-Auth-Dropped-Requests", Integer),
    freeradius(147, "FreeRADIUS-Total-Proxy-Auth-Unknown-Types", Integer),
    freeradius(148, "FreeRADIUS-Total-Accounting-Requests", Integer),
    freeradius(149, "FreeRADIUS-Total-Accounting-Responses", Integer),
    freeradius(150, "FreeRADIUS-Total-Acct-Duplicate-Requests", Integer),
    freeradius(151, "FreeRADIUS-Total-Acct-Malformed-Requests", Integer),
    freeradius(152, "FreeRADIUS-Total-Acct-Invalid-Requests", Integer),
    freeradius(153, "FreeRADIUS-Total-Acct-Dropped-Requests", Integer),
    freeradius(154, "FreeRADIUS-Total-Acct-Unknown-Types", Integer),
    freeradius(155, "FreeRADIUS-Total-Proxy-Accounting-Requests", Integer),
    freeradius(156, "FreeRADIUS-Total-Proxy-Accounting-Responses", Integer),
    freeradius(157, "FreeRADIUS-Total-Proxy-Acct-Duplicate-Requests", Integer),
    freeradius(158, "FreeRADIUS-Total-Proxy-Acct-Malformed-Requests", Integer),
    freeradius(159, "FreeRADIUS-Total-Proxy-Acct-Invalid-Requests", Integer),
    freeradius(160, "FreeRADIUS-Total-Proxy-Acct-Dropped-Requests", Integer),
    freeradius(161, "FreeRADIUS-Total-Proxy-Acct-Unknown-Types", Integer),
    freeradius(162, "FreeRADIUS-Queue-Len-Internal", Integer),
    freeradius(163, "FreeRADIUS-Queue-Len-Proxy", Integer),
    freeradius(164, "FreeRADIUS-Queue-Len-Auth", Integer),
    freeradius(165, "FreeRADIUS-Queue-Len-Acct", Integer),
    freeradius(166, "FreeRADIUS-Queue-Len-Detail", Integer),
    freeradius(167, "FreeRADIUS-Stats-Client-IP-Address", Address),
    freeradius(168, "FreeRADIUS-Stats-Client-Number", Integer),
    freeradius(169, "FreeRADIUS-Stats-Client-Netmask", Integer),
    freeradius(170, "FreeRADIUS-Stats-Server-IP-Address", Address),
    freeradius(171, "FreeRADIUS-Stats-Server-Port", Integer),
    freeradius(172, "FreeRADIUS-Stats-Server-Outstanding-Requests", Integer),
    freeradius(173, "FreeRADIUS-Stats-Server-State", Integer)
        .named("Alive=0 Zombie=1 Dead=2 Idle=3"),
    freeradius(174, "FreeRADIUS-Stats-Server-Time-Of-Death", Date),
    freeradius(175, "FreeRADIUS-Stats-Server-Time-Of-Life", Date),
    freeradius(176, "FreeRADIUS-Stats-Start-Time", Date),
    freeradius(177, "FreeRADIUS-Stats-HUP-Time", Date),
    freeradius(178, "FreeRADIUS-Server-EMA-Window", Integer),
    freeradius(179, "FreeRADIUS-Server-EMA-USEC-Window-1", Integer),
    freeradius(180, "FreeRADIUS-Server-EMA-USEC-Window-10", Integer),
    freeradius(181, "FreeRADIUS-Queue-PPS-In", Integer),
    freeradius(182, "FreeRADIUS-Queue-PPS-Out", Integer),
    freeradius(183, "FreeRADIUS-Queue-Use-Percentage", Integer),
    freeradius(184, "FreeRADIUS-Stats-Last-Packet-Recv", Date),
    freeradius(185, "FreeRADIUS-Stats-Last-Packet-Sent", Date),
    freeradius(187, "FreeRADIUS-Stats-Error", Text),
    freeradius(188, "FreeRADIUS-Stats-Client-IPv6-Address", Address6),
    freeradius(189, "FreeRADIUS-Stats-Server-IPv6-Address", Address6),
    freeradius(191, "FreeRADIUS-Total-Auth-Conflicts", Integer),
    freeradius(192, "FreeRADIUS-Total-Acct-Conflicts", Integer),
    mikrotik(1, "Mikrotik-Recv-Limit", Integer),
    mikrotik(2, "Mikrotik-Xmit-Limit", Integer),
    mikrotik(3, "Mikrotik-Group", Text),
    mikrotik(4, "Mikrotik-Wireless-Forward", Integer),
    mikrotik(5, "Mikrotik-Wireless-Skip-Dot1x", Integer),
    mikrotik(6, "Mikrotik-Wireless-Enc-Algo", Integer)
        .named("No-encryption=0 40-bit-WEP=1 104-bit-WEP=2 AES-CCM=3 TKIP=4"),
    mikrotik(7, "Mikrotik-Wireless-Enc-Key", Text).secret(),
    mikrotik(8, "Mikrotik-Rate-Limit", Text),
    mikrotik(9, "Mikrotik-Realm", Text),
    mikrotik(10, "Mikrotik-Host-IP", Address),
    mikrotik(11, "Mikrotik-Mark-Id", Text),
    mikrotik(12, "Mikrotik-Advertise-URL", Text),
    mikrotik(13, "Mikrotik-Advertise-Interval", Integer),
    mikrotik(14, "Mikrotik-Recv-Limit-Gigawords", Integer),
    mikrotik(15, "Mikrotik-Xmit-Limit-Gigawords", Integer),
    mikrotik(16, "Mikrotik-Wireless-PSK", Text).secret(),
    mikrotik(17, "Mikrotik-Total-Limit", Integer),
    mikrotik(18, "Mikrotik-Total-Limit-Gigawords", Integer),
    mikrotik(19, "Mikrotik-Address-List", Text),
    mikrotik(20, "Mikrotik-Wireless-MPKey", Text).secret(),
    mikrotik(21, "Mikrotik-Wireless-Comment", Text),
    mikrotik(22, "Mikrotik-Delegated-IPv6-Pool", Text),
    mikrotik(23, "Mikrotik-DHCP-Option-Set", Text),
    mikrotik(24, "Mikrotik-DHCP-Option-Param-STR1", Text),
    mikrotik(25, "Mikrotik-DHCP-Option-Param-STR2", Text),
    mikrotik(26, "Mikrotik-Wireless-VLANID", Integer),
    mikrotik(27, "Mikrotik-Wireless-VLANIDtype", Integer).named("802.1q=0 802.1ad=1"),
    mikrotik(28, "Mikrotik-Wireless-Minsignal", Text),
    mikrotik(29, "Mikrotik-Wireless-Maxsignal", Text),
    mikrotik(30, "Mikrotik-Switching-Filter", Text),
];

const fn define(vendor: u32, number: u8, name: &'static str, kind: Kind) -> Definition {
    let id = AttributeId { vendor, number };
    Definition { name, id, kind, tagged: false, secret: false, values: "" }
}

const fn rfc(number: u8, name: &'static str, kind: Kind) -> Definition {
    define(0, number, name, kind)
}

const fn cisco(number: u8, name: &'static str, kind: Kind) -> Definition {
    define(9, number, name, kind)
}

const fn microsoft(number: u8, name: &'static str, kind: Kind) -> Definition {
    define(311, number, name, kind)
}

const fn freeradius(number: u8, name: &'static str, kind: Kind) -> Definition {
    define(11344, number, name, kind)
}

const fn mikrotik(number: u8, name: &'static str, kind: Kind) -> Definition {
    define(14988, number, name, kind)
}

impl Definition {
    const fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn named(self, values: &'static str) -> Self {
        Self { values, ..self }
    }
}
