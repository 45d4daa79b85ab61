//! Several checks as one: whoever sends three wrong fields hears of all three.

/// A tuple of results, as one result.
pub trait Together {
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
    /// use chassis::Together;
    ///
    /// let (amount, count) = ("5".parse::<u8>(), "7".parse::<u8>());
    /// assert_eq!((amount, count).together(), Ok((5, 7)));
    /// let (amount, count) = ("five".parse::<u8>(), "-7".parse::<u8>());
    /// assert_eq!((amount, count).together().unwrap_err().len(), 2);
    /// ```
    fn together(self) -> Result<Self::Values, Vec<Self::Error>>;
}

macro_rules! tuple {
    ($($value:ident: $Value:ident),+) => {
        impl<E, $($Value),+> Together for ($(Result<$Value, E>,)+) {
            type Values = ($($Value,)+);
            type Error = E;

            fn together(self) -> Result<Self::Values, Vec<E>> {
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
