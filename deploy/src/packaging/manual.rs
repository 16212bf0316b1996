//! Manual pages and completions, out of the command line itself.

use std::io::Write;

use clap::Command;
use clap_complete::Shell;
use flate2::{Compression, GzBuilder};

use super::tree::File;
use crate::failure::{OrFail, Result};

/// The manual pages of a command and of all below it, and its completions for bash.
///
/// # Errors
/// If a page can't be put together.
pub fn files(mut command: Command) -> Result<Vec<File>> {
    let name = command.get_name().to_owned();
    let mut completions = Vec::new();
    clap_complete::generate(Shell::Bash, &mut command, &name, &mut completions);
    let mut files = vec![File::bytes(
        &format!("usr/share/bash-completion/completions/{name}"),
        completions,
    )];
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
