//! Manual pages and completions: the tool's out of its command line, those of other
//! programs out of what they say with `--help`.

use std::io::Write;

use clap::Command;
use flate2::{Compression, GzBuilder};

use super::tree::File;
use crate::commands::completion::{self, Shell};
use crate::failure::{OrFail, Result};

/// The manual pages of a command and of all below it, and its completions.
///
/// # Errors
/// If a page can't be put together.
pub fn files(mut command: Command) -> Result<Vec<File>> {
    let name = command.get_name().to_owned();
    let mut files: Vec<File> = [
        (Shell::Bash, "bash-completion/completions/hardway"),
        (Shell::Zsh, "zsh/vendor-completions/_hardway"),
        (Shell::Fish, "fish/vendor_completions.d/hardway.fish"),
    ]
    .into_iter()
    .map(|(shell, path)| {
        let script = completion::script(command.clone(), shell);
        File::text(&format!("usr/share/{path}"), &script)
    })
    .collect();
    command.build();
    pages(&command, &name, &mut files)?;
    Ok(files)
}

fn pages(command: &Command, name: &str, files: &mut Vec<File>) -> Result<()> {
    let mut page = Vec::new();
    // A page is found under the words of the command with hyphens between them.
    let named: &'static str = Box::leak(name.to_owned().into_boxed_str());
    clap_mangen::Man::new(command.clone().name(named))
        .render(&mut page)
        .or_fail(|| format!("write the manual page of {name}"))?;
    files.push(File::bytes(
        &format!("usr/share/man/man1/{name}.1.gz"),
        compress(&page)?,
    ));
    let below = command
        .get_subcommands()
        .filter(|it| it.get_name() != "help" && !it.is_hide_set());
    for subcommand in below {
        pages(
            subcommand,
            &format!("{name}-{}", subcommand.get_name()),
            files,
        )?;
    }
    Ok(())
}

/// The manual page of a program and its completions for bash, out of its help.
///
/// # Errors
/// None that memory can have.
pub fn from_help(program: &str, help: &str, section: u8) -> Result<[File; 2]> {
    let summary = help
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let text: String = help
        .lines()
        .map(|line| format!("{}\n", roff(line)))
        .collect();
    let page = format!(
        ".TH {} {section}\n.SH NAME\n{} \\- {}\n.SH DESCRIPTION\n.nf\n{text}.fi\n",
        program.to_uppercase(),
        roff(program),
        roff(summary),
    );
    let flags = flags(help).join(" ");
    let completions = format!("complete -o default -W '{flags}' {program}\n");
    Ok([
        File::bytes(
            &format!("usr/share/man/man{section}/{program}.{section}.gz"),
            compress(page.as_bytes())?,
        ),
        File::text(
            &format!("usr/share/bash-completion/completions/{program}"),
            &completions,
        ),
    ])
}

/// A line as roff shows it as it is.
fn roff(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line,
    }
}

/// The long flags that a help lists.
fn flags(help: &str) -> Vec<String> {
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
    let flag = |line: &str| {
        let line = line.trim_start();
        // `-h, --help` or `--node-ip <IP>`.
        let long = match line.split_once(", ") {
            Some((short, long)) if short.len() == 2 => long,
            _ => line,
        };
        let flag: String = long.chars().take_while(fits).collect();
        (flag.starts_with("--") && flag.len() > 2).then_some(flag)
    };
    help.lines().filter_map(flag).collect()
}

/// As `gzip -9n` does it: the same content always gives the same bytes.
///
/// # Errors
/// None that memory can have.
pub fn compress(content: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::best());
    writer
        .write_all(content)
        .and_then(|()| writer.finish())
        .or_fail(|| "compress")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_where_help_lists_them() {
        let help = "Runs pods.

Usage: x --kubeconfig <FILE>

Options:
      --node-ip <IP>
          Address; see --iface
  -h, --help
          Print help
";
        assert_eq!(flags(help), ["--node-ip", "--help"]);
        assert_eq!(roff(".a\\b -c"), "\\&.a\\eb \\-c");
    }
}
