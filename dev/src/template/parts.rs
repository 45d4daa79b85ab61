//! Files as named parts within parts, whatever their language, and how a part is added or taken away.
//!
//! A fragment of the template is a file laid over one that is there: what bears the template's word
//! in its name is added to the table or list that it stands in, the rest says where that is. Nothing
//! else of the file changes, comments included; after each change the file is read again and
//! compared.

mod lines;
mod rust;
mod tsk;

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};

use super::words::Words;

/// A table, an entry, an item, a line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// What tells it from those beside it.
    name: String,
    /// Its text: whole lines with the comments above them, or a piece of a line.
    span: Range<usize>,
    /// A piece of a line, with commas between.
    is_inline: bool,
    parts: Vec<Part>,
}

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Tsk,
    /// A sorted list of lines.
    Lines,
    Rust,
}

/// Something that a fragment adds to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// The names of what it stands in, from the outside.
    within: Vec<String>,
    name: String,
    text: String,
}

impl Language {
    /// By the ending of a file's name; none for a file that is not added to.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path.rsplit('.').next()? {
            "tsk" => Self::Tsk,
            "txt" => Self::Lines,
            "rs" => Self::Rust,
            _ => return None,
        })
    }

    fn parts(self, text: &str) -> Result<Vec<Part>> {
        match self {
            Self::Tsk => tsk::parts(text),
            Self::Lines => Ok(lines::parts(text)),
            Self::Rust => rust::parts(text),
        }
    }

    /// Whether the piece has its place by its name: a line of a list, a module.
    fn is_sorted(self, piece: &Piece) -> bool {
        let is_module = piece.name.split(' ').rev().nth(1) == Some("mod");
        self == Self::Lines || self == Self::Rust && is_module
    }

    /// Whether two names are of one family, whose members stand together.
    fn is_kin(self, one: &str, other: &str) -> bool {
        match self {
            Self::Lines => true,
            Self::Rust => rust::family(one) == rust::family(other),
            Self::Tsk => is_kin(one, other),
        }
    }

    /// What a fragment adds, with the new names.
    pub(super) fn pieces(self, fragment: &str, words: &Words) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        collect(fragment, &self.parts(fragment)?, words, &mut Vec::new(), &mut pieces);
        ensure!(!pieces.is_empty(), "nothing in it bears the template's name");
        Ok(pieces)
    }

    /// Whether the piece is there.
    pub(super) fn has(self, text: &str, piece: &Piece) -> Result<bool> {
        Ok(find(&self.parts(text)?, &piece.path()).is_some())
    }

    /// Whether there is a part of this name within those of the names before it.
    pub(super) fn has_at(self, text: &str, path: &[&str]) -> Result<bool> {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        Ok(find(&self.parts(text)?, &path).is_some())
    }

    /// What the parts are called that stand in the one of these names.
    pub(super) fn names_at(self, text: &str, path: &[&str]) -> Result<Vec<String>> {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        let parts = self.parts(text)?;
        let found = find(&parts, &path).map(|part| part.parts.iter());
        Ok(found.into_iter().flatten().map(|part| part.name.clone()).collect())
    }

    /// Whether the piece is there as the template has it.
    pub(super) fn has_unchanged(self, text: &str, piece: &Piece) -> Result<bool> {
        let parts = self.parts(text)?;
        let found = find(&parts, &piece.path()).and_then(|part| text.get(part.span.clone()));
        Ok(found.is_some_and(|found| found.trim() == piece.text.trim()))
    }

    /// The text with the piece in its place.
    pub(super) fn add(self, text: &str, piece: &Piece) -> Result<String> {
        let parts = self.parts(text)?;
        let beside = beside(&parts, piece)?;
        let is_sorted = self.is_sorted(piece);
        let mut kin = beside.iter().filter(|part| self.is_kin(&part.name, &piece.name));
        let anchor = if is_sorted {
            kin.clone().rfind(|part| part.name < piece.name)
        } else {
            kin.clone().next_back().or(beside.last())
        };
        let mut new = text.to_owned();
        match anchor {
            // One name of a `use`, alone.
            Some(anchor) if anchor.is_inline && text[..anchor.span.start].ends_with("::") => {
                let list = format!("{{{}, {}}}", &text[anchor.span.clone()], piece.text);
                new.replace_range(anchor.span.clone(), &list);
            }
            Some(anchor) if anchor.is_inline => {
                new.insert_str(anchor.span.end, &format!(", {}", piece.text));
            }
            Some(anchor) => {
                let apart = !is_sorted && text[..anchor.span.start].ends_with("\n\n");
                let unended = if text[..anchor.span.end].ends_with('\n') { "" } else { "\n" };
                let blank = if apart { "\n" } else { "" };
                new.insert_str(anchor.span.end, &format!("{unended}{blank}{}", piece.text));
            }
            None if is_sorted => {
                let place = kin.next().map_or(text.len(), |part| part.span.start);
                new.insert_str(place, &piece.text);
            }
            None => bail!("`{}` is empty: it has no place to add to", piece.within.join(" / ")),
        }
        self.prove(text, &new, piece)?;
        Ok(new)
    }

    /// The text without the piece.
    pub(super) fn take(self, text: &str, piece: &Piece) -> Result<String> {
        let parts = self.parts(text)?;
        let beside = beside(&parts, piece)?;
        let place = beside.iter().position(|part| part.name == piece.name);
        let place = place.with_context(|| format!("`{}` is not there", piece.name))?;
        let mut span = beside[place].span.clone();
        if beside[place].is_inline {
            match place.checked_sub(1) {
                Some(before) => span.start = beside[before].span.end,
                None => span.end = beside.get(1).map_or(span.end, |next| next.span.start),
            }
        } else if !self.is_sorted(piece) && text[..span.start].ends_with("\n\n") {
            span.start -= 1;
        }
        let new = format!("{}{}", &text[..span.start], &text[span.end..]);
        self.prove(&new, text, piece)?;
        Ok(new)
    }

    /// Makes sure that `with` says what `without` says, and the piece, and nothing else.
    fn prove(self, without: &str, with: &str, piece: &Piece) -> Result<()> {
        let (mut said, mut expected) = (Vec::new(), Vec::new());
        let path = piece.path();
        say(with, &self.parts(with)?, &mut Vec::new(), &mut |at, what| {
            if !at.starts_with(&path) {
                said.push((at.to_vec(), what.to_owned()));
            }
        });
        say(without, &self.parts(without)?, &mut Vec::new(), &mut |at, what| {
            expected.push((at.to_vec(), what.to_owned()));
        });
        ensure!(said == expected, "`{}` would change what stands around it", path.join(" / "));
        ensure!(self.has(with, piece)?, "`{}` would not be found again", path.join(" / "));
        Ok(())
    }
}

impl Piece {
    /// Something that is written here, and in no fragment.
    pub(super) fn new(within: &[&str], name: &str, text: &str) -> Self {
        let within = within.iter().map(ToString::to_string).collect();
        Self { within, name: name.to_owned(), text: text.to_owned() }
    }

    fn path(&self) -> Vec<String> {
        self.within.iter().cloned().chain([self.name.clone()]).collect()
    }

    /// For people: `services / orders-service`.
    pub(super) fn shown(&self) -> String {
        let path = self.path();
        path.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>().join(" / ")
    }
}

fn collect(
    text: &str,
    parts: &[Part],
    words: &Words,
    within: &mut Vec<String>,
    pieces: &mut Vec<Piece>,
) {
    for part in parts {
        if words.are_in(&part.name) {
            pieces.push(Piece {
                within: within.clone(),
                name: words.rename(&part.name),
                text: words.rename(&text[part.span.clone()]),
            });
        } else {
            within.push(words.rename(&part.name));
            collect(text, &part.parts, words, within, pieces);
            within.pop();
        }
    }
}

fn find<'a>(parts: &'a [Part], path: &[String]) -> Option<&'a Part> {
    let (name, rest) = path.split_first()?;
    let part = parts.iter().find(|part| part.name == *name)?;
    if rest.is_empty() { Some(part) } else { find(&part.parts, rest) }
}

/// What the piece stands beside, or would.
fn beside<'a>(parts: &'a [Part], piece: &Piece) -> Result<&'a [Part]> {
    if piece.within.is_empty() {
        return Ok(parts);
    }
    let around = find(parts, &piece.within);
    let around = around.with_context(|| {
        format!("`{}` is not there; to add in it: {}", piece.within.join(" / "), piece.text.trim())
    })?;
    Ok(&around.parts)
}

/// Whether two names end in the same word, as `user-service` and `orders-service` do; routes, whether
/// their paths begin with it.
fn is_kin(one: &str, other: &str) -> bool {
    if let (Some((_, one)), Some((_, other))) = (one.split_once(" /"), other.split_once(" /")) {
        return one.split('/').next() == other.split('/').next();
    }
    let last = |name: &str| name.rsplit(['-', '_', '/']).next().map(str::to_owned);
    let is_compound = |name: &str| name.contains(['-', '_', '/']);
    is_compound(one) && is_compound(other) && last(one) == last(other)
}

/// Tells the path and the text of each part that has no parts.
fn say(text: &str, parts: &[Part], path: &mut Vec<String>, tell: &mut dyn FnMut(&[String], &str)) {
    for part in parts {
        path.push(part.name.clone());
        if part.parts.is_empty() {
            tell(path, text[part.span.clone()].trim());
        }
        say(text, &part.parts, path, tell);
        path.pop();
    }
}

/// The whole lines of a span, with the comments right above them.
fn whole_lines(text: &str, span: &Range<usize>) -> Range<usize> {
    let mut start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    while let Some(above) = text[..start].strip_suffix('\n') {
        let line = above.rfind('\n').map_or(0, |at| at + 1);
        if !above[line..].trim_start().starts_with('#') {
            break;
        }
        start = line;
    }
    let end = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at + 1);
    start..end
}

#[cfg(test)]
mod tests;
