//! `hardway completion SHELL`: what has a shell complete the tool's words. The words of the
//! command line are in it; names of a lab (hosts, processes, add-ons) it asks the tool for.

use std::io::Write;

use clap::ValueEnum;
use clap_complete::Shell as Language;

use crate::addons;
use crate::components;
use crate::failure::{OrFail, Result};
use crate::lab::Lab;
use crate::profiles::Home;

/// The tool's name, as it is installed.
const TOOL: &str = "hardway";

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// source <(hardway completion bash)
    Bash,
    /// source <(hardway completion zsh)
    Zsh,
    /// hardway completion fish | source
    Fish,
}

/// Names that only this machine knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Hosts
    Hosts,
    /// Processes, as PROCESS@HOST
    Processes,
    /// Add-ons
    Addons,
    /// Clusters
    Profiles,
}

/// Commands whose words are names of a lab.
const NAMED: &[(Kind, &[&str])] = &[
    (Kind::Hosts, &["ssh", "cp", "node"]),
    (
        Kind::Processes,
        &[
            "logs", "start", "stop", "restart", "kill", "suspend", "resume", "swap",
        ],
    ),
    (Kind::Addons, &["addons"]),
    (Kind::Profiles, &["profile"]),
];

/// Prints the script of a shell.
pub fn run(shell: Shell) -> Result<()> {
    let script = script(crate::cli::command(), shell);
    std::io::stdout()
        .write_all(script.as_bytes())
        .or_fail(|| "print the completions")
}

/// Prints names, one a line.
pub fn names(kind: Kind, lab: impl Fn() -> Result<Lab>) -> Result<()> {
    let names: Vec<String> = match kind {
        Kind::Addons => addons::names().map(str::to_owned).collect(),
        Kind::Profiles => {
            let profiles = Home::find()?.all()?.into_iter();
            profiles.map(|profile| profile.name).collect()
        }
        Kind::Hosts => {
            let hosts = lab()?.plan.hosts().into_iter();
            hosts.map(|host| host.name).collect()
        }
        Kind::Processes => {
            let lab = lab()?;
            let hosts = lab.plan.hosts();
            let processes = hosts.iter().flat_map(|host| {
                let specs = components::specs(&lab, host).into_iter();
                specs.map(|spec| format!("{}@{}", spec.name, host.name))
            });
            processes.collect()
        }
    };
    for name in names {
        anstream::println!("{name}");
    }
    Ok(())
}

/// What has a shell complete a command.
pub fn script(mut command: clap::Command, shell: Shell) -> String {
    let mut script = Vec::new();
    let language = match shell {
        Shell::Bash => Language::Bash,
        Shell::Zsh => Language::Zsh,
        Shell::Fish => Language::Fish,
    };
    clap_complete::generate(language, &mut command, TOOL, &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script += &bash(),
        Shell::Fish => script += &fish(),
        Shell::Zsh => script += &zsh(),
    }
    script
}

/// The name of a kind on the command line.
fn word(kind: Kind) -> String {
    let value = kind.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// The branches of a `case` that sets `kind` by the commands among the words.
fn cases() -> String {
    let case = |(kind, commands): &(Kind, &[&str])| {
        let commands: Vec<String> = commands
            .iter()
            .map(|name| format!("*' {name} '*"))
            .collect();
        format!(
            "            {}) kind={} ;;\n",
            commands.join("|"),
            word(*kind)
        )
    };
    NAMED.iter().map(case).collect()
}

/// For zsh: names are asked for first, as what completes the words changes the array of
/// them.
fn zsh() -> String {
    format!(
        r#"
_hardway_names() {{
    local tool="${{words[1]}}" kind="" at found
    local -a cluster names
    if [[ "$PREFIX" != -* ]]; then
        case " ${{(j: :)words[2,CURRENT-1]}} " in
{cases}        esac
    fi
    for ((at = 2; at < CURRENT; at++)); do
        case "${{words[at]}}" in
            -p|--profile|--dir)
                if ((at + 1 == CURRENT)); then
                    [[ "${{words[at]}}" == --dir ]] && kind="" || kind={profiles}
                else
                    cluster=("${{words[at]}}" "${{words[at + 1]}}")
                fi ;;
        esac
    done
    if [[ -n "$kind" ]]; then
        names=(${{(f)"$("$tool" "${{cluster[@]}}" names "$kind" 2>/dev/null)"}})
    fi
    _hardway "$@"
    found=$?
    (($#names)) && compadd -a names && found=0
    return found
}}
compdef _hardway_names hardway
"#,
        cases = cases(),
        profiles = word(Kind::Profiles),
    )
}

/// Where a word is a name, the tool is asked; elsewhere the script above knows.
fn bash() -> String {
    let cases = cases();
    format!(
        r#"
_hardway_names() {{
    local cur="${{COMP_WORDS[COMP_CWORD]}}" kind="" at
    local -a cluster=()
    if [[ "$cur" != -* ]]; then
        case " ${{COMP_WORDS[*]:1:COMP_CWORD-1}} " in
{cases}        esac
    fi
    for ((at = 1; at < COMP_CWORD; at++)); do
        case "${{COMP_WORDS[at]}}" in
            -p|--profile|--dir)
                if ((at + 1 == COMP_CWORD)); then
                    [[ "${{COMP_WORDS[at]}}" == --dir ]] && kind="" || kind={profiles}
                else
                    cluster=("${{COMP_WORDS[at]}}" "${{COMP_WORDS[at + 1]}}")
                fi ;;
        esac
    done
    _hardway "$@"
    if [[ -n "$kind" ]]; then
        COMPREPLY+=($(compgen -W "$("${{COMP_WORDS[0]}}" "${{cluster[@]}}" names "$kind" 2>/dev/null)" -- "$cur"))
    fi
}}
complete -F _hardway_names -o bashdefault -o default hardway
"#,
        profiles = word(Kind::Profiles),
    )
}

fn fish() -> String {
    let profiles = format!(
        "complete -c hardway -s p -l profile -x -a \"(hardway names {} 2>/dev/null)\"\n",
        word(Kind::Profiles)
    );
    let names = NAMED
        .iter()
        .map(|(kind, commands)| {
            format!(
                "complete -c hardway -n \"__fish_seen_subcommand_from {}\" -f -a \"(hardway names {} 2>/dev/null)\"\n",
                commands.join(" "),
                word(*kind)
            )
        });
    names.chain([profiles]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell;

    #[test]
    fn scripts_know_the_commands_and_shells_can_read_them() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(crate::cli::command(), shell);
            for word in ["docker-env", "addons", "disable", "--follow"] {
                assert!(
                    script.contains(word.trim_start_matches('-')),
                    "{shell:?}: {word}"
                );
            }
        }
        let bash = script(crate::cli::command(), Shell::Bash);
        shell::run_with_input("bash", &["-n"], &bash).unwrap();
    }

    #[test]
    fn every_command_whose_words_are_names_is_there() {
        let command = crate::cli::command();
        for name in NAMED.iter().flat_map(|(_, names)| *names) {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
    }
}
