//! The commands that a page of the documentation tells its reader to type.
//!
//! A fenced block whose first line is ```` ```sh HOST ```` is a script for that host, as it
//! stands. Every `sh` block of a page that is read names its host; what is only to be looked
//! at is in a block of another kind, or of none. Which scripts are typed is up to the suite:
//! all of a page, or those of the sections that it asks for.

use std::fs;
use std::path::Path;

/// A script of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// On which host it is to run.
    pub host: String,
    /// Its lines.
    pub script: String,
    /// The heading it stands under.
    pub heading: String,
}

/// Reads a page of the repository; the path is relative to it.
#[track_caller]
pub fn read(path: &str) -> Vec<Block> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("read {}: {error}", file.display()));
    blocks(&text).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// The scripts of a text in Markdown, in their order.
pub fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut heading = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            if let Some(title) = line.strip_prefix('#') {
                heading = title.trim_start_matches('#').trim().to_owned();
            }
            continue;
        };
        let mut script = String::new();
        loop {
            let Some((_, line)) = lines.next() else {
                return Err(format!("the block of line {} has no end", number + 1));
            };
            if line == "```" {
                break;
            }
            script.push_str(line);
            script.push('\n');
        }
        let mut words = kind.split_whitespace();
        if words.next() != Some("sh") {
            continue;
        }
        let (Some(host), None) = (words.next(), words.next()) else {
            return Err(format!("line {}: name one host: ```sh HOST", number + 1));
        };
        blocks.push(Block {
            host: host.to_owned(),
            script,
            heading: heading.clone(),
        });
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_the_blocks_that_name_a_host() {
        let text = "# Page\n\
                    ```\nls\n```\n\
                    ## Install\n\
                    ```sh worker-1\n# a comment\napt-get install \\\n    ./x.deb\n```\n\
                    ```text\n```\n\
                    ### On\n\
                    ```sh control-plane\ncat <<END\n\nEND\n```\n";
        let found = blocks(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].host, "worker-1");
        assert_eq!(
            found[0].script,
            "# a comment\napt-get install \\\n    ./x.deb\n"
        );
        assert_eq!(found[0].heading, "Install");
        assert_eq!(found[1].host, "control-plane");
        assert_eq!(found[1].script, "cat <<END\n\nEND\n");
        assert_eq!(found[1].heading, "On");
    }

    #[test]
    fn no_script_is_left_out_by_accident() {
        assert!(blocks("```sh\nls\n```\n").unwrap_err().contains("line 1"));
        assert!(blocks("```sh a b\nls\n```\n").is_err());
        assert!(
            blocks("text\n```sh a\nls\n")
                .unwrap_err()
                .contains("line 2")
        );
    }
}
