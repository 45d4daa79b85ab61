//! "Did you mean": the nearest of some names.

/// Names longer than this are not compared, in characters.
const NAME_MAX: usize = 64;

/// Letters that are wrong in a slip, where what is near may be a name of its own.
const SLIP_MAX: usize = 2;

/// The name that may have been meant as `name`.
pub(crate) fn closest_name<'n>(
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    let near = nearest(name, known)?;
    (distance(name, near) <= SLIP_MAX).then_some(near)
}

/// The name nearest to `name`, when it is near enough to be a slip: at most a third of its letters
/// are wrong, missing or swapped.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let allowed = (name.chars().count() / 3).max(1);
    let distances = known.into_iter().filter(|known| *known != name).map(|known| {
        let exact = known.eq_ignore_ascii_case(name);
        (if exact { 0 } else { distance(name, known) }, known)
    });
    let (distance, known) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= allowed).then_some(known)
}

/// Letters to add, drop, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().max(b.len()) > NAME_MAX {
        return usize::MAX;
    }
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                let swapped: &Vec<usize> = &before;
                best = best.min(swapped[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let known = ["port", "host", "health_check"];
        assert_eq!(nearest("prot", known), Some("port"));
        assert_eq!(nearest("healthcheck", known), Some("health_check"));
        assert_eq!(nearest("HOST", known), Some("host"));
        assert_eq!(nearest("version", known), None);
        assert_eq!(closest_name("prot", known), Some("port"));
        assert_eq!(closest_name("service:user-service", ["service:payment-service"]), None);
    }
}
