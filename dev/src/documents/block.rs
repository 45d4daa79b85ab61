//! Blocks of commands in a document.

use std::fmt;

use anyhow::{Context, Result, bail};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use crate::rehearse::{has_compose, has_engine};

/// The job of continuous integration that runs what takes minutes.
pub(super) const JOB: &str = "template";

/// How a block is held to what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Runs,
    Fails,
    Needs(Need),
    InCi,
    InJob,
}

/// What not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Docker,
    Compose,
    Cluster,
}

/// A block of commands.
#[derive(Debug)]
pub(super) struct Block {
    /// `README.md:25`
    pub(super) place: String,
    pub(super) held: Held,
    /// What a shell is given.
    pub(super) script: String,
}

impl Need {
    pub(super) fn is_there(self) -> bool {
        match self {
            Self::Docker => has_engine(),
            Self::Compose => has_engine() && has_compose(),
            Self::Cluster => false,
        }
    }

    pub(super) fn why_not(self) -> &'static str {
        match self {
            Self::Docker => "no Docker engine runs",
            Self::Compose => "no Docker engine runs, or there is no `docker compose`",
            Self::Cluster => "it wants a Kubernetes cluster",
        }
    }
}

impl Block {
    /// Its commands of one line, without what is said of them.
    pub(super) fn commands(&self) -> impl Iterator<Item = &str> {
        self.script.lines().map(|line| line.split(" #").next().unwrap_or(line).trim())
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commands: Vec<_> = self.commands().collect();
        write!(f, "{} {:?}: {}", self.place, self.held, commands.join("; "))
    }
}

/// The blocks of commands of a document; a fault names the line of one that does not say how it is
/// held, or that holds no command.
pub(super) fn of(document: &str, text: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut events = Parser::new(text).into_offset_iter();
    while let Some((event, range)) = events.next() {
        let Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(words))) = event else { continue };
        let place = format!("{document}:{}", text[..range.start].lines().count() + 1);
        let Some(held) = words.strip_prefix("console") else { continue };
        let held = parse(held.trim()).with_context(|| place.clone())?;
        let mut shown = String::new();
        for (event, _) in events.by_ref() {
            match event {
                Event::Text(text) => shown.push_str(&text),
                Event::End(TagEnd::CodeBlock) => break,
                _ => {}
            }
        }
        let script = script(&shown);
        if script.is_empty() {
            bail!("{place}: no line begins with `$ `");
        }
        blocks.push(Block { place, held, script });
    }
    Ok(blocks)
}

/// What stands in the text as code.
#[cfg(test)]
pub(super) fn inline(text: &str) -> Vec<String> {
    let code = |event| if let Event::Code(code) = event { Some(code.to_string()) } else { None };
    Parser::new_ext(text, pulldown_cmark::Options::ENABLE_TABLES).filter_map(code).collect()
}

fn parse(words: &str) -> Result<Held> {
    Ok(match words {
        "" => Held::Runs,
        "fails" => Held::Fails,
        "needs=docker" => Held::Needs(Need::Docker),
        "needs=compose" => Held::Needs(Need::Compose),
        "needs=cluster" => Held::Needs(Need::Cluster),
        "in=.ci/run" => Held::InCi,
        _ if words.strip_prefix("job=") == Some(JOB) => Held::InJob,
        other => bail!("`{other}` says of no block how it is held"),
    })
}

/// The lines after `$ `, with the indented ones that go on with them; the rest is what they print.
fn script(shown: &str) -> String {
    let mut script = String::new();
    for line in shown.lines() {
        let goes_on = line.starts_with("  ") && !script.is_empty();
        if let Some(command) = line.strip_prefix("$ ").or(goes_on.then_some(line)) {
            script.push_str(command);
            script.push('\n');
        }
    }
    script
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_its_commands_without_what_they_print() {
        let text = "# A\n\n```console fails\n$ one \\\n    --more  # says\nprinted\n$ two\n```\n";
        let blocks = of("a.md", text).unwrap();
        assert_eq!(blocks[0].place, "a.md:3");
        assert_eq!(blocks[0].held, Held::Fails);
        assert_eq!(blocks[0].script, "one \\\n    --more  # says\ntwo\n");
        assert_eq!(blocks[0].commands().collect::<Vec<_>>(), ["one \\", "--more", "two"]);
    }

    #[test]
    fn other_languages_are_no_commands() {
        assert!(of("a.md", "```yaml\na: $ b\n```\n```\n$ c\n```\n").unwrap().is_empty());
    }

    #[test]
    fn a_block_that_does_not_say_how_it_is_held_is_named() {
        let fault = format!("{:#}", of("a.md", "\n```console maybe\n$ a\n```\n").unwrap_err());
        assert_eq!(fault, "a.md:2: `maybe` says of no block how it is held");
        let fault = of("a.md", "```console\nno command\n```\n").unwrap_err().to_string();
        assert_eq!(fault, "a.md:1: no line begins with `$ `");
    }
}
