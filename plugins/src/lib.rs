//! The checks and the lab gateway, one module each; `src/bin` names them.
