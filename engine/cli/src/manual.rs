//! The man pages: from the command line's own definition to roff text, one page a command.
//!
//! clap_mangen writes name, synopsis, options and commands. What `--help` tells in prose and examples
//! is set here, as clap_mangen would run the lines of an example together.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// One man page.
pub struct Page {
    /// Its file's name: `shmirror-get.1`.
    pub file: String,
    /// What is in it.
    pub text: Vec<u8>,
}

/// The page of the whole, then those of the commands, in the order of `--help`.
pub fn pages(mut cli: Command) -> Vec<Page> {
    // Names each command with its parent's, and hands the options of all down to each.
    cli.build();
    let source = format!("{} {}", cli.get_name(), cli.get_version().unwrap_or_default());
    shown(&cli).into_iter().map(|command| page(command.clone(), &source)).collect()
}

/// The command and those below it that are not hidden, each before its own.
fn shown(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|c| !c.is_hide_set()).flat_map(shown);
    std::iter::once(command).chain(below).collect()
}

fn page(command: Command, source: &str) -> Page {
    let man = Man::new(command.clone());
    let file = man.get_filename();
    // clap_mangen's title leaves an empty date out, and what follows moves up in its place.
    let name = file.trim_end_matches(".1");
    let mut text = format!(".TH {name} 1 \"\" \"{source}\" \"shmirror manual\"\n").into_bytes();
    sections(&command, &man, &mut text).expect("a Vec takes everything");
    Page { file, text }
}

fn sections(command: &Command, man: &Man, out: &mut Vec<u8>) -> io::Result<()> {
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    let mut roff = Roff::new();
    roff.control("SH", ["DESCRIPTION"]);
    let about = command.get_long_about().or_else(|| command.get_about());
    prose(&mut roff, &about.map(ToString::to_string).unwrap_or_default());
    roff.to_writer(out)?;
    man.render_options_section(out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    let mut roff = Roff::new();
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    for block in after.map(ToString::to_string).unwrap_or_default().split("\n\n") {
        let (first, rest) = block.split_once('\n').unwrap_or((block, ""));
        match title(first) {
            Some(title) => {
                roff.control("SH", [title.to_uppercase().as_str()]);
                prose(&mut roff, rest);
            }
            None => {
                roff.control("SH", ["NOTES"]);
                prose(&mut roff, block);
            }
        }
    }
    if command.get_name() != "shmirror" {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([roman("shmirror(1), for the environment and the exit status of all commands")]);
    }
    roff.to_writer(out)
}

/// `Exit status:` is a title, a sentence that ends with a colon is none.
fn title(line: &str) -> Option<&str> {
    let title = line.strip_suffix(':')?;
    (title.split(' ').count() <= 3 && !line.starts_with(' ')).then_some(title)
}

/// Text as in `--help`: an empty line ends a paragraph, indented lines stay as they are.
fn prose(roff: &mut Roff, text: &str) {
    let mut literal = false;
    for line in text.lines() {
        let indented = line.starts_with("  ");
        if indented != literal && !line.is_empty() {
            roff.control(if indented { "nf" } else { "fi" }, []);
            literal = indented;
        }
        match line {
            "" => roff.control("PP", []),
            _ => roff.text([roman(line)]),
        };
    }
    if literal {
        roff.control("fi", []);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Cli;

    fn text(page: &Page) -> String {
        String::from_utf8(page.text.clone()).unwrap()
    }

    #[test]
    fn each_command_has_a_page_with_its_options_and_examples() {
        let mut cli = Cli::command();
        cli.build();
        let pages = pages(Cli::command());
        assert_eq!(pages.len(), shown(&cli).len());
        for (page, command) in pages.iter().zip(shown(&cli)) {
            let text = text(page);
            let name = command.get_display_name().unwrap_or("shmirror");
            assert_eq!(page.file, format!("{name}.1"));
            assert!(text.contains(&format!(".TH {name} 1 \"\" \"shmirror ")), "{name}: {text}");
            for argument in command.get_arguments().filter(|a| !a.is_hide_set()) {
                let shown = match argument.get_long() {
                    Some(long) => format!("--{long}").replace('-', "\\-"),
                    None => argument.get_value_names().unwrap()[0].to_string(),
                };
                assert!(text.contains(&shown), "{name}: {shown} is not in\n{text}");
            }
            let taught = if name == "shmirror" { "\"A FIRST TOUR\"" } else { "EXAMPLES" };
            assert!(text.contains(&format!(".SH {taught}\n")), "{name}: no {taught} in\n{text}");
        }
    }

    #[test]
    fn prose_flows_and_what_is_indented_stays() {
        let mut roff = Roff::new();
        prose(&mut roff, "one\ntwo\n\nthree:\n  a    b\n  .c\nfour");
        let set = ".nf\n  a    b\n  .c\n.fi\nfour\n";
        assert!(roff.render().ends_with(&format!("one\ntwo\n.PP\nthree:\n{set}")), "{roff:?}");
    }

    #[test]
    fn titles_are_told_from_sentences() {
        assert_eq!(title("Exit status:"), Some("Exit status"));
        assert_eq!(title("A KEY is written by the table's key columns:"), None);
        assert_eq!(title("  shmirror get a:"), None);
        assert_eq!(title("Examples"), None);
    }
}
