//! Links the binary to a fixed address.
//!
//! Where it is loaded is written into 160 KiB of it as it starts, vtables for
//! the most part, and each child would have these pages for itself: 3 MiB of the
//! 13 that a download with 20 children takes. Stacks, heaps and libraries are
//! still where nobody can foresee.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Elsewhere it is linked in another way, and may be linked statically.
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
