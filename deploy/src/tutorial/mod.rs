//! The tutorial as something that can be walked: chapters of commands, with what each
//! of them proves and what it has to print. A reader has it in `docs/tutorial.md`.

mod chapter1;
mod chapter2;
mod chapter3;
mod chapter4;
mod chapter5;
mod lines;
mod names;
mod terminal;
mod visitors;
pub mod walk;

use crate::failure::Result;
use walk::Walk;

/// All chapters, in order.
pub static CHAPTERS: [Chapter; 5] = [
    chapter1::CHAPTER,
    chapter2::CHAPTER,
    chapter3::CHAPTER,
    chapter4::CHAPTER,
    chapter5::CHAPTER,
];

/// A chapter. Its objects are in a namespace of its own.
#[derive(Debug)]
pub struct Chapter {
    /// Its number, from 1.
    pub number: u8,
    /// What it is about.
    pub title: &'static str,
    /// What is done, in order.
    pub steps: &'static [Step],
    /// Commands that put right, whatever happened, what outlives the namespace.
    pub afterwards: &'static [&'static str],
}

/// One command.
///
/// Words in braces stand for names that are known only when it is done:
/// `{pod}` is a pod that runs, or else one that wants to; `{pod:NAME}` one with that label
/// `name`; `{pending}` one without a node; `{last}` the one named before; `{worker}` and
/// `{worker2}` the first two nodes, `{address}` and `{address2}` where they are;
/// `{workers}` how many there are and `{crowd}` one more.
#[derive(Debug)]
pub struct Step {
    /// What it proves.
    pub proves: &'static str,
    /// What is typed.
    pub command: &'static str,
    /// What comes of it.
    pub expect: Expect,
}

/// What has to come of a command. Lines are described as in [`lines::missing`].
#[derive(Debug)]
pub enum Expect {
    /// It succeeds and prints these lines.
    Shows(&'static [&'static str]),
    /// The same, but it may have to be asked for a while.
    Becomes(&'static [&'static str]),
    /// It is refused and says these lines.
    Refused(&'static [&'static str]),
    /// It goes on until it has printed these lines, while a visitor comes to this port
    /// of a node again and again.
    Follows(u16, &'static [&'static str]),
    /// More than a command: the function does it and tells what came of it.
    Does(fn(&mut Walk) -> Result<String>),
}

const fn step(proves: &'static str, command: &'static str, expect: Expect) -> Step {
    Step {
        proves,
        command,
        expect,
    }
}

const fn shows(
    proves: &'static str,
    command: &'static str,
    lines: &'static [&'static str],
) -> Step {
    step(proves, command, Expect::Shows(lines))
}

const fn becomes(
    proves: &'static str,
    command: &'static str,
    lines: &'static [&'static str],
) -> Step {
    step(proves, command, Expect::Becomes(lines))
}

const fn refused(
    proves: &'static str,
    command: &'static str,
    lines: &'static [&'static str],
) -> Step {
    step(proves, command, Expect::Refused(lines))
}

const fn follows(
    proves: &'static str,
    command: &'static str,
    port: u16,
    lines: &'static [&'static str],
) -> Step {
    step(proves, command, Expect::Follows(port, lines))
}

const fn does(
    proves: &'static str,
    command: &'static str,
    work: fn(&mut Walk) -> Result<String>,
) -> Step {
    step(proves, command, Expect::Does(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_are_numbered_and_their_manifests_are_there() {
        let folder = crate::compile::repository().unwrap().join(walk::MANIFESTS);
        for (index, chapter) in CHAPTERS.iter().enumerate() {
            assert_eq!(usize::from(chapter.number), index + 1);
            for step in chapter.steps {
                assert!(!step.proves.is_empty(), "{}", step.command);
                let words: Vec<&str> = step.command.split_whitespace().collect();
                let named = |pair: &&[&str]| pair[0] == "-f" && pair[1].ends_with(".yml");
                for file in words.windows(2).filter(named) {
                    assert!(folder.join(file[1]).exists(), "{}", step.command);
                }
            }
        }
    }
}
