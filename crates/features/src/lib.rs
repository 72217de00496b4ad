//! No code. The manifest asks for the features that any part of the workspace
//! asks of packages which all programs have, so that each part is built with the
//! same ones as the whole: nothing is built twice, and what is measured is the
//! same whichever models are built with it.
//!
//! Each crate that depends on none of ours depends on this one. `cargo xtask check`
//! names what is missing.
