//! The origin as a program of its own. Models' binaries can be started as one too.

use clap::Parser;

/// Serves images over HTTP, on the loopback interface unless told otherwise, as an
/// instrument: prints its address, then answers until stopped.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    serve: origin::ServeArgs,
}

fn main() -> anyhow::Result<()> {
    origin::serve(&Cli::parse().serve)
}
