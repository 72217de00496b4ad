//! What a comparison's readers see: the page, with and without a browser, the
//! tables, and the conclusions. One program, so that it is linked once.

mod browser;

mod claims;
mod claims_python;
mod comparisons;
mod machines;
mod page;
mod page_browser;
mod reading;
mod recommendations;
mod screenshots;
