//! State machines that own no socket and no clock.
