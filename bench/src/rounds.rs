//! Contestants whose turns take long and whose machine is shared: a few rounds, compared within each.

/// One contestant's turn; gives its rate, in whatever it does per second.
pub type Turn<'a> = Box<dyn Fn() -> f64 + 'a>;

/// The rates of one contestant, a round each.
#[derive(Debug, Clone)]
pub struct Rates(Vec<f64>);

/// Lets contestants take turns in so many rounds, after one that is not measured.
pub fn rounds<const N: usize>(count: usize, turns: &[Turn<'_>; N]) -> [Rates; N] {
    let mut rates = turns.each_ref().map(|_| Rates(Vec::new()));
    for round in 0..=count {
        for index in order(round, N) {
            let rate = turns[index]();
            if round > 0 {
                rates[index].0.push(rate);
            }
        }
    }
    rates
}

/// The order of so many contestants in a round: every other one goes backwards, so that nobody always
/// comes after the same one.
pub fn order(round: usize, contestants: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..contestants).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

impl Rates {
    /// The median rate.
    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The median of the ratios to another contestant in the same round.
    pub fn ratio_to(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect())
    }
}

/// The middle one; of an even number the upper one of the two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
