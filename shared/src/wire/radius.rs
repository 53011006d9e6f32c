//! RADIUS packets (RFC 2865, section 3) and their attributes.

/// Names an attribute: its vendor and its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeId {
    /// The vendor's enterprise number (RFC 2865, section 5.26); 0 for an
    /// attribute of the RFCs.
    pub vendor: u32,
    /// Type, or vendor type.
    pub number: u8,
}

/// `1`, or `26.311.16` for an attribute of a vendor.
impl std::fmt::Display for AttributeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self { vendor: 0, number } => write!(f, "{number}"),
            Self { vendor, number } => write!(f, "26.{vendor}.{number}"),
        }
    }
}
