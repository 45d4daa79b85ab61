//! Two traces side by side: which span of one does what a span of the other does.

use std::collections::{HashMap, VecDeque};

use super::span::{Kind, Span};
use super::tree::Row;

/// A row of both, or of one alone.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) a: Option<&'a Row<'a>>,
    pub(crate) b: Option<&'a Row<'a>>,
}

fn key(span: &Span) -> (&str, &str, Kind) {
    (&span.service, &span.name, span.kind)
}

/// The rows of both: the first of a service, name and kind in one belongs to the first of these in the
/// other, the second to the second. They stand in the order of the first trace; what is only in the second
/// stands behind what is before it there.
pub(crate) fn pairs<'a>(a: &'a [Row<'a>], b: &'a [Row<'a>]) -> Vec<Pair<'a>> {
    let mut left: HashMap<_, VecDeque<usize>> = HashMap::new();
    for (place, row) in b.iter().enumerate() {
        left.entry(key(row.span)).or_default().push_back(place);
    }
    let partners: Vec<Option<usize>> =
        a.iter().map(|row| left.get_mut(&key(row.span)).and_then(VecDeque::pop_front)).collect();
    let mut alone: Vec<usize> = left.into_values().flatten().collect();
    alone.sort_unstable();
    let mut alone = VecDeque::from(alone);
    let mut pairs = Vec::with_capacity(a.len() + alone.len());
    for (row, partner) in a.iter().zip(&partners) {
        while let Some(place) = alone.pop_front_if(|place| partner.is_some_and(|at| *place < at)) {
            pairs.push(Pair { a: None, b: b.get(place) });
        }
        pairs.push(Pair { a: Some(row), b: partner.and_then(|place| b.get(place)) });
    }
    pairs.extend(alone.into_iter().map(|place| Pair { a: None, b: b.get(place) }));
    pairs
}

#[cfg(test)]
mod tests {
    use super::super::tree::rows;
    use super::*;

    fn trace(names: &[&str]) -> Vec<Span> {
        let span = |(id, name): (usize, &&str)| Span {
            trace: [1; 16],
            id: [u8::try_from(id).unwrap_or_default() + 1; 8],
            parent: None,
            service: "user-service".into(),
            name: (*name).into(),
            kind: Kind::Internal,
            began: id as u64,
            took: 1,
            error: None,
            attributes: vec![],
            events: vec![],
            links: vec![],
        };
        names.iter().enumerate().map(span).collect()
    }

    #[test]
    fn the_same_spans_stand_beside_each_other_and_others_alone() {
        let a = trace(&["get", "select", "select", "cut"]);
        let b = trace(&["get", "new", "select", "last"]);
        let a = rows(&a);
        let b = rows(&b);
        let shown: Vec<(&str, &str)> = pairs(&a, &b)
            .iter()
            .map(|pair| {
                let name = |row: Option<&Row<'_>>| {
                    row.map_or("", |row| {
                        ["get", "select", "cut", "new", "last"]
                            .into_iter()
                            .find(|name| *name == row.span.name)
                            .unwrap_or("")
                    })
                };
                (name(pair.a), name(pair.b))
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("get", "get"),
                ("", "new"),
                ("select", "select"),
                ("select", ""),
                ("cut", ""),
                ("", "last")
            ]
        );
    }
}
