//! Rust, by its tokens: items, and what stands in them.
//!
//! | part | goes by | parts of it |
//! |---|---|---|
//! | a line of the file's head | itself | |
//! | `mod`, `impl` | what stands before the brace | items |
//! | `enum` | the same | variants |
//! | `fn` | what stands before its arguments | `for`, `match`, calls on a line of their own |
//! | `match` | what stands before the brace | arms, by their patterns |
//! | `use` | the path | its last names |
//! | any other item | its begin | |

use std::ops::Range;

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::Part;

/// Items that end with a semicolon, whatever braces they have.
const ENDED: [&str; 4] = ["use", "const", "static", "type"];

pub(super) fn parts(text: &str) -> Result<Vec<Part>> {
    let tokens: TokenStream =
        text.parse().map_err(|error| anyhow!("it is no Rust that can be read: {error}"))?;
    Ok(Source(text).items(tokens))
}

/// What parts have in common that are to stand together: items of one kind, rows of routes.
pub(super) fn family(name: &str) -> String {
    if let Some(line) = name.strip_prefix("//! ") {
        let is_route = line.starts_with("| `")
            && line.split('`').nth(1).is_some_and(|cell| cell.contains(" /"));
        return if is_route { "a route" } else { line.split(' ').next().unwrap_or_default() }
            .into();
    }
    let call = name.strip_prefix('.').and_then(|call| call.split_once('('));
    // Of a pattern such as `Event::Sent { by }`, the path alone.
    let path = name.split('{').next().unwrap_or_default().trim_end();
    call.or_else(|| path.rsplit_once(' ')).map_or_else(String::new, |(kind, _)| kind.to_owned())
}

struct Source<'a>(&'a str);

impl Source<'_> {
    fn items(&self, tokens: TokenStream) -> Vec<Part> {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut parts = Vec::new();
        let mut rest = tokens.as_slice();
        while !rest.is_empty() {
            let (item, after) = rest.split_at(item_end(rest));
            parts.push(self.item(item));
            rest = after;
        }
        parts
    }

    fn item(&self, tokens: &[TokenTree]) -> Part {
        if is_head(tokens) {
            return self.lines(self.text(tokens), tokens, Vec::new());
        }
        let mut bare = tokens;
        while let [TokenTree::Punct(sign), TokenTree::Group(_), rest @ ..] = bare
            && sign.as_char() == '#'
        {
            bare = rest;
        }
        if has_word(bare, "use") {
            return self.import(tokens, bare);
        }
        let name = &bare[..name_end(bare)];
        let parts = match bare.last() {
            Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
                if has_word(name, "fn") {
                    self.steps(body.stream())
                } else if has_word(name, "enum") {
                    self.between_commas(body)
                } else if has_word(name, "mod") || has_word(name, "impl") {
                    self.items(body.stream())
                } else {
                    Vec::new()
                }
            }
            _ => Vec::new(),
        };
        self.lines(self.text(name), tokens, parts)
    }

    /// `use a::b::C;` and `use a::b::{C, D};` are `use a::b` with `C`, `D` in it.
    fn import(&self, tokens: &[TokenTree], bare: &[TokenTree]) -> Part {
        let path = bare.iter().rposition(|token| is_sign(token, ':')).unwrap_or(0);
        let names = match bare.get(path + 1) {
            Some(TokenTree::Group(list)) => list.stream().into_iter().collect(),
            _ => bare.get(path + 1..bare.len() - 1).unwrap_or_default().to_vec(),
        };
        let names = names.split(|token| is_sign(token, ',')).filter(|name| !name.is_empty());
        let names = names.map(|name| Part {
            name: self.text(name),
            span: span(name),
            is_inline: true,
            parts: Vec::new(),
        });
        let parts = names.collect();
        self.lines(self.text(&bare[..path.saturating_sub(1)]), tokens, parts)
    }

    /// What a function does, as far as something can be added to it.
    fn steps(&self, tokens: TokenStream) -> Vec<Part> {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut parts = Vec::new();
        for (place, token) in tokens.iter().enumerate() {
            let rest = &tokens[place..];
            match rest {
                [TokenTree::Ident(word), ..] if word == "for" || word == "match" => {
                    let Some(end) = rest.iter().position(is_block) else { continue };
                    let TokenTree::Group(body) = &rest[end] else { continue };
                    let inner =
                        if word == "for" { self.steps(body.stream()) } else { self.arms(body) };
                    parts.push(self.lines(self.text(&rest[..end]), &rest[..=end], inner));
                }
                [_, TokenTree::Ident(_), TokenTree::Group(arguments), ..]
                    if is_sign(token, '.')
                        && arguments.delimiter() == Delimiter::Parenthesis
                        && self.begins_line(token) =>
                {
                    parts.push(self.lines(self.text(&rest[..3]), &rest[..3], Vec::new()));
                }
                _ => {}
            }
        }
        parts
    }

    fn arms(&self, body: &Group) -> Vec<Part> {
        let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
        let mut parts = Vec::new();
        let mut rest = tokens.as_slice();
        while let Some(arrow) =
            rest.windows(2).position(|pair| is_sign(&pair[0], '=') && is_sign(&pair[1], '>'))
        {
            let mut end = match rest.get(arrow + 2) {
                Some(body) if is_block(body) => arrow + 3,
                _ => rest.iter().position(|token| is_sign(token, ',')).unwrap_or(rest.len()),
            };
            if rest.get(end).is_some_and(|token| is_sign(token, ',')) {
                end += 1;
            }
            let (arm, after) = rest.split_at(end);
            parts.push(self.lines(self.text(&arm[..arrow]), arm, Vec::new()));
            rest = after;
        }
        parts
    }

    fn between_commas(&self, body: &Group) -> Vec<Part> {
        let tokens: Vec<TokenTree> = body.stream().into_iter().collect();
        let variants = tokens.split_inclusive(|token| is_sign(token, ','));
        variants.map(|variant| self.item(variant)).collect()
    }

    /// A part of the whole lines that the tokens stand in.
    fn lines(&self, name: String, tokens: &[TokenTree], parts: Vec<Part>) -> Part {
        let Range { start, end } = span(tokens);
        let start = self.0[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = self.0[end..].find('\n').map_or(self.0.len(), |at| end + at + 1);
        Part { name, span: start..end, is_inline: false, parts }
    }

    /// As it is written, on one line.
    fn text(&self, tokens: &[TokenTree]) -> String {
        self.0[span(tokens)].split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn begins_line(&self, token: &TokenTree) -> bool {
        let before = &self.0[..token.span().byte_range().start];
        before.trim_end_matches(' ').ends_with('\n')
    }
}

fn span(tokens: &[TokenTree]) -> Range<usize> {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return 0..0 };
    first.span().byte_range().start..last.span().byte_range().end
}

/// How many tokens the first item has.
fn item_end(tokens: &[TokenTree]) -> usize {
    if is_head(tokens) {
        return 3;
    }
    let is_ended = !has_word(tokens_of_name(tokens), "fn")
        && ENDED.iter().any(|word| has_word(tokens_of_name(tokens), word));
    let ends = |token: &TokenTree| is_sign(token, ';') || is_block(token) && !is_ended;
    tokens.iter().position(ends).map_or(tokens.len(), |end| end + 1)
}

/// Up to the first brace, semicolon or `=`.
fn tokens_of_name(tokens: &[TokenTree]) -> &[TokenTree] {
    let ends = |token: &TokenTree| is_block(token) || is_sign(token, ';') || is_sign(token, '=');
    &tokens[..tokens.iter().position(ends).unwrap_or(tokens.len())]
}

/// Where the name of an item ends: before its arguments, its body, its value.
fn name_end(tokens: &[TokenTree]) -> usize {
    let end = tokens_of_name(tokens).len();
    let ends = |at: &usize| match &tokens[*at] {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {
            // Not that of `pub(crate)`.
            *at > 0 && !matches!(&tokens[*at - 1], TokenTree::Ident(word) if word == "pub")
        }
        TokenTree::Punct(sign) => matches!(sign.as_char(), '<' | ','),
        _ => false,
    };
    (0..end).find(ends).unwrap_or(end)
}

/// Whether it is about the file or the module: `//! …`, `#![…]`.
fn is_head(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [one, other, TokenTree::Group(_), ..] if is_sign(one, '#') && is_sign(other, '!'))
}

fn has_word(tokens: &[TokenTree], word: &str) -> bool {
    tokens.iter().any(|token| matches!(token, TokenTree::Ident(found) if found == word))
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == sign)
}

fn is_block(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}
