//! How probe results are numbered in the PPTP MIBs.
