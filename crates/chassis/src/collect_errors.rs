//! Several checks as one: whoever sends three wrong fields hears of all three.

/// A tuple of results, as one result.
pub trait CollectErrors {
    /// The values of all.
    type Values;
    /// What is wrong with one.
    type Error;

    /// All values, or all errors.
    ///
    /// # Errors
    /// Those of the results that have one, in their order; one at least.
    ///
    /// ```
    /// use chassis::CollectErrors;
    ///
    /// let (amount, count) = ("5".parse::<u8>(), "7".parse::<u8>());
    /// assert_eq!((amount, count).collect_errors(), Ok((5, 7)));
    /// let (amount, count) = ("five".parse::<u8>(), "-7".parse::<u8>());
    /// assert_eq!((amount, count).collect_errors().unwrap_err().len(), 2);
    /// ```
    fn collect_errors(self) -> Result<Self::Values, Vec<Self::Error>>;
}

macro_rules! tuple {
    ($($value:ident: $Value:ident),+) => {
        impl<E, $($Value),+> CollectErrors for ($(Result<$Value, E>,)+) {
            type Values = ($($Value,)+);
            type Error = E;

            fn collect_errors(self) -> Result<Self::Values, Vec<E>> {
                let ($($value,)+) = self;
                let mut errors = Vec::new();
                $(let $value = $value.map_err(|error| errors.push(error)).ok();)+
                match ($($value,)+) {
                    ($(Some($value),)+) => Ok(($($value,)+)),
                    _ => Err(errors),
                }
            }
        }
    };
}

tuple!(a: A, b: B);
tuple!(a: A, b: B, c: C);
tuple!(a: A, b: B, c: C, d: D);
