//! `shmirror part`, hidden: what the processes of `demo` and `bench` do.

use clap::Args;

use crate::args::Place;
use crate::failure::Failure;
use crate::part::{self, Role};

/// Arguments of `part`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What to be
    role: Role,
    /// How long, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Which series, or which seed
    #[arg(long, default_value_t = 0)]
    number: u64,
}

/// Plays the part; results are lines of JSON.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let options = place.options().attach_timeout(std::time::Duration::from_secs(10));
    part::run(&options, arguments.role, arguments.seconds, arguments.number)
}
