//! `shmirror completions`: a shell's script that completes commands and options.

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::args::{Cli, Place};
use crate::failure::Failure;
use crate::output::Out;

/// What `--help` says of it.
pub const HELP: &str = "\
Prints the script with which a shell completes the commands and options of shmirror. `make install` \
puts the scripts of all three shells where they look for them; this is for a shell that looks \
elsewhere.";

const EXAMPLES: &str = "\
Examples:
  source <(shmirror completions bash)                               in this bash
  shmirror completions zsh > ~/.zfunc/_shmirror                     a folder of zsh's $fpath
  shmirror completions fish > ~/.config/fish/completions/shmirror.fish";

/// The shells; clap_complete knows more, which nobody here tries.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// Arguments of `completions`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The shell
    shell: Known,
}

/// Prints the script.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let shell = match arguments.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(), "shmirror", &mut script);
    let mut out = Out::new();
    out.text(&String::from_utf8(script).expect("a script is UTF-8"))?;
    out.flush()
}

/// The command line without its hidden commands, which clap_complete would tell of.
fn shown() -> Command {
    let whole = Cli::command();
    let shown = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let top = Command::new("shmirror").version(env!("CARGO_PKG_VERSION")).subcommands(shown);
    Place::augment_args(top.disable_help_subcommand(true))
}
