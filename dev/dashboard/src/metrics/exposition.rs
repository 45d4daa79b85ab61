//! The text that `/metrics` gives: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

/// A value of a series.
#[derive(Debug, PartialEq)]
pub(crate) struct Sample<'a> {
    pub(crate) name: &'a str,
    /// As they are written, without the braces.
    pub(crate) labels: &'a str,
    pub(crate) value: f64,
}

/// The samples of a text; lines that cannot be read are left out.
pub(crate) fn parse(text: &str) -> Vec<Sample<'_>> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect()
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let (name, labels, rest) = if let Some((name, rest)) = line.split_once('{') {
        let end = end_of_labels(rest)?;
        (name, rest[..end].trim_end_matches(','), &rest[end + 1..])
    } else {
        let (name, rest) = line.split_once(' ')?;
        (name, "", rest)
    };
    let value = rest.split_whitespace().next()?;
    Some(Sample { name, labels, value: value.parse().ok()? })
}

/// The names and values of labels as they are written.
pub(crate) fn labels(text: &str) -> Vec<(&str, String)> {
    let mut rest = text;
    let mut labels = Vec::new();
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut end = after.len();
        let mut is_escaped = false;
        for (place, sign) in after.char_indices() {
            match sign {
                'n' if is_escaped => value.push('\n'),
                sign if is_escaped => value.push(sign),
                '\\' => {
                    is_escaped = true;
                    continue;
                }
                '"' => {
                    end = place + 1;
                    break;
                }
                sign => value.push(sign),
            }
            is_escaped = false;
        }
        labels.push((name.trim_start_matches(',').trim(), value));
        rest = &after[end..];
    }
    labels
}

/// The value of a label; empty when there is none.
pub(crate) fn label(text: &str, name: &str) -> String {
    let found = labels(text).into_iter().find(|(found, _)| *found == name);
    found.map(|(_, value)| value).unwrap_or_default()
}

/// Where the brace is that ends the labels: a value may hold one.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.bytes().position(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'}' if !is_quoted => return true,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_with_their_escapes() {
        let text = r#"a="x,y=\"z\"",le="+Inf",c="1\n\\2""#;
        assert_eq!(
            labels(text),
            [("a", "x,y=\"z\"".to_owned()), ("le", "+Inf".to_owned()), ("c", "1\n\\2".to_owned())]
        );
        assert_eq!((label(text, "le").as_str(), label(text, "b").as_str()), ("+Inf", ""));
    }

    #[test]
    fn values_are_read_with_their_labels() {
        let text = "# HELP a b\n# TYPE a counter\na 1\nb{x=\"{}\\\"} 9\",y=\"2\"} 2.5 1700000000\nc{} +Inf\nbroken\n";
        let expected = [
            Sample { name: "a", labels: "", value: 1.0 },
            Sample { name: "b", labels: "x=\"{}\\\"} 9\",y=\"2\"", value: 2.5 },
            Sample { name: "c", labels: "", value: f64::INFINITY },
        ];
        assert_eq!(parse(text), expected);
    }
}
