//! The modules that a Rust file names: `mod name;` and `pub mod name;`, among its tokens.

use anyhow::{Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};

use super::Part;

pub(super) fn parts(text: &str) -> Result<Vec<Part>> {
    let tokens: TokenStream =
        text.parse().map_err(|error| anyhow!("it is no Rust that can be read: {error}"))?;
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let modules = tokens.windows(3).filter_map(|window| match window {
        [TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(end)]
            if word == "mod" && end.as_char() == ';' =>
        {
            let (start, end) = (word.span().byte_range().start, end.span().byte_range().end);
            let start = text[..start].rfind('\n').map_or(0, |at| at + 1);
            let end = text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
            let name = name.to_string();
            Some(Part { name, span: start..end, is_inline: false, parts: Vec::new() })
        }
        _ => None,
    });
    Ok(modules.collect())
}
