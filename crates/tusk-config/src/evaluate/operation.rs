//! Expressions. Evaluation is lenient in the way that typed reading is: a text that is a number
//! counts as one beside a number, and `"false"`, `"no"`, `"off"`, `"0"` are no conditions to go by.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Evaluated, NoValue, Value, Walk};
use crate::fault::Fault;
use crate::scalar;
use crate::source::Span;
use crate::syntax::number::Number;
use crate::tree::{Kind, Node, Operation, Operator, Table, Typed};

impl<'t> Walk<'t> {
    pub(super) fn operation(
        &mut self,
        operation: &'t Operation,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        match operation {
            Operation::Not(inner) => {
                let inner = self.node(inner, scope)?;
                let value = truth(&inner.value).map_or(Value::Unknown, |truth| Value::Bool(!truth));
                Ok(derived(value, span, &[&inner]))
            }
            Operation::Negative(inner) => {
                let zero = Evaluated::new(Value::Int(0), span);
                let inner = self.node(inner, scope)?;
                self.reckon(Operator::Minus, &zero, &inner, span)
            }
            Operation::Choice { condition, yes, no } => {
                self.choice(condition, yes, no, span, scope)
            }
            Operation::Binary { operator, left, right } => match operator {
                Operator::Default => self.or_default(left, right, scope),
                Operator::Or | Operator::And => self.logical(*operator, left, right, scope),
                operator => {
                    let left = self.node(left, scope)?;
                    let right = self.node(right, scope)?;
                    self.binary(*operator, &left, &right, span)
                }
            },
        }
    }

    /// `condition ? yes : no` and `@if(condition, yes, no)`; only one side is evaluated, unless
    /// nobody knows which.
    pub(super) fn choice(
        &mut self,
        condition: &'t Node,
        yes: &'t Node,
        no: &'t Node,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        let condition = self.node(condition, scope)?;
        if let Some(truth) = truth(&condition.value) {
            self.node(if truth { yes } else { no }, scope)
        } else {
            let yes = self.node(yes, scope)?;
            let no = self.node(no, scope)?;
            Ok(derived(Value::Unknown, span, &[&yes, &no]))
        }
    }

    /// `left ?? right`: the right one when the left one is null, not set or not defined.
    fn or_default(
        &mut self,
        left: &'t Node,
        right: &'t Node,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        match self.node(left, scope) {
            Ok(left) if !matches!(left.value, Value::Null) => Ok(left),
            Ok(_) | Err(NoValue::Undefined(_)) => self.node(right, scope),
            Err(none) => Err(none),
        }
    }

    /// `left || right` is the first that counts as true, else the right one; `left && right` the
    /// first that does not, else the right one.
    fn logical(
        &mut self,
        operator: Operator,
        left: &'t Node,
        right: &'t Node,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        let left = match self.node(left, scope) {
            Err(NoValue::Undefined(_)) if operator == Operator::Or => {
                return self.node(right, scope);
            }
            left => left?,
        };
        match truth(&left.value) {
            Some(truth) if truth == (operator == Operator::Or) => Ok(left),
            Some(_) => self.node(right, scope),
            None => {
                let right = self.node(right, scope)?;
                Ok(derived(Value::Unknown, right.span, &[&left, &right]))
            }
        }
    }

    fn binary(
        &self,
        operator: Operator,
        left: &Evaluated<'t>,
        right: &Evaluated<'t>,
        span: Span,
    ) -> Result<Evaluated<'t>, NoValue> {
        if matches!(left.value, Value::Unknown) || matches!(right.value, Value::Unknown) {
            return Ok(derived(Value::Unknown, span, &[left, right]));
        }
        let truth = match operator {
            Operator::Equal => equal(&left.value, &right.value),
            Operator::Unequal => !equal(&left.value, &right.value),
            Operator::Less => self.compare(left, right, span)? == Ordering::Less,
            Operator::Greater => self.compare(left, right, span)? == Ordering::Greater,
            Operator::LessOrEqual => self.compare(left, right, span)? != Ordering::Greater,
            Operator::GreaterOrEqual => self.compare(left, right, span)? != Ordering::Less,
            _ => return self.reckon(operator, left, right, span),
        };
        Ok(derived(Value::Bool(truth), span, &[left, right]))
    }

    fn compare(
        &self,
        left: &Evaluated<'t>,
        right: &Evaluated<'t>,
        span: Span,
    ) -> Result<Ordering, NoValue> {
        let ordering = match (&left.value, &right.value, numbers(&left.value, &right.value)) {
            (.., Some((left, right))) => order(left, right),
            (Value::Text(left), Value::Text(right), None) => Some(left.cmp(right)),
            _ => None,
        };
        ordering.ok_or_else(|| {
            self.refuse(span, "only two numbers or two texts can be compared in size")
        })
    }

    /// `+` of two numbers adds, with a text on either side it joins; the others are of numbers only.
    fn reckon(
        &self,
        operator: Operator,
        left: &Evaluated<'t>,
        right: &Evaluated<'t>,
        span: Span,
    ) -> Result<Evaluated<'t>, NoValue> {
        if matches!(left.value, Value::Unknown) || matches!(right.value, Value::Unknown) {
            return Ok(derived(Value::Unknown, span, &[left, right]));
        }
        let texts = matches!(left.value, Value::Text(_)) && matches!(right.value, Value::Text(_));
        let numbers =
            numbers(&left.value, &right.value).filter(|_| !(texts && operator == Operator::Plus));
        let value = match numbers {
            Some((left, right)) => self.number(operator, left, right, span)?,
            None if operator == Operator::Plus => {
                let mut text =
                    self.as_text(left.clone(), "the left side of +", left.span)?.into_owned();
                text.push_str(&self.as_text(right.clone(), "the right side of +", right.span)?);
                if text.len() > super::TEXT_MAX {
                    return Err(self.refuse(span, "this makes too long a text"));
                }
                Value::Text(Cow::Owned(text))
            }
            None => return Err(self.refuse(span, "only numbers can be reckoned with")),
        };
        Ok(derived(value, span, &[left, right]))
    }

    fn number(
        &self,
        operator: Operator,
        left: Number,
        right: Number,
        span: Span,
    ) -> Result<Value<'t>, NoValue> {
        let by_zero = matches!(operator, Operator::Divided | Operator::Remainder)
            && float(right).is_some_and(|right| right == 0.0);
        if by_zero {
            return Err(self.refuse(span, "this divides by zero"));
        }
        let whole = match (left, right) {
            (Number::Int(left), Number::Int(right)) => match operator {
                Operator::Plus => Some(left.checked_add(right)),
                Operator::Minus => Some(left.checked_sub(right)),
                Operator::Times => Some(left.checked_mul(right)),
                Operator::Remainder => Some(left.checked_rem(right)),
                _ if left.checked_rem(right) == Some(0) => Some(left.checked_div(right)),
                _ => None,
            },
            _ => None,
        };
        let too_large = || self.refuse(span, "the result is too large");
        if let Some(whole) = whole {
            return whole.map(Value::Int).ok_or_else(too_large);
        }
        let (Some(left), Some(right)) = (float(left), float(right)) else {
            return Err(too_large());
        };
        let result = match operator {
            Operator::Plus => left + right,
            Operator::Minus => left - right,
            Operator::Times => left * right,
            Operator::Remainder => left % right,
            _ => left / right,
        };
        if result.is_finite() { Ok(Value::Float(result)) } else { Err(too_large()) }
    }

    /// `key: type = value`
    pub(super) fn typed_entry(
        &mut self,
        typed: &'t Typed,
        span: Span,
        scope: &[&'t Table],
    ) -> Result<Evaluated<'t>, NoValue> {
        let found = self.node(&typed.value, scope)?;
        let number = match &found.value {
            Value::Int(value) => Some(Number::Int(*value)),
            Value::Float(value) => Some(Number::Float(*value)),
            Value::Text(text) => scalar::number(text),
            _ => None,
        };
        let (value, expected) = match (typed.kind, &found.value, number) {
            (_, Value::Unknown | Value::Null, _)
            | (Kind::Bool, Value::Bool(_), _)
            | (Kind::List, Value::List(_) | Value::Texts(_), _)
            | (Kind::Table, Value::Table(_), _) => return Ok(found),
            (Kind::Text, ..) => {
                let text = self.as_text(found.clone(), "this", found.span)?;
                (Some(Value::Text(text)), "a text")
            }
            (Kind::Bool, Value::Text(text), _) => {
                (scalar::boolean(text).map(Value::Bool), "true or false")
            }
            (Kind::Bool, ..) => (None, "true or false"),
            (Kind::Int, _, Some(Number::Int(value))) => (Some(Value::Int(value)), "a whole number"),
            (Kind::Int, ..) => (None, "a whole number"),
            (Kind::Number, _, Some(Number::Int(value))) => (Some(Value::Int(value)), "a number"),
            (Kind::Number | Kind::Float, _, Some(number)) => {
                (float(number).map(Value::Float), "a number")
            }
            (Kind::Number | Kind::Float, ..) => (None, "a number"),
            (Kind::List, ..) => (None, "a list"),
            (Kind::Table, ..) => (None, "a group of keys"),
        };
        match value {
            Some(value) => Ok(Evaluated { value, ..found }),
            None => Err(self.refuse(span, &format!("this is not {expected}, as its type says"))),
        }
    }

    /// Never says the value: it may be a secret.
    fn refuse(&self, span: Span, text: &str) -> NoValue {
        Fault::error(self.context.location(span), text).into()
    }
}

/// A value that was made of others: a secret if one of them is.
fn derived<'t>(value: Value<'t>, span: Span, of: &[&Evaluated<'t>]) -> Evaluated<'t> {
    let secret = of.iter().any(|part| part.secret);
    Evaluated { secret, ..Evaluated::new(value, span) }
}

/// Null, false, zero and the empty text are false, and so is a text that says so.
fn truth(value: &Value<'_>) -> Option<bool> {
    Some(match value {
        Value::Unknown => return None,
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Int(value) => *value != 0,
        Value::Float(value) => *value != 0.0,
        Value::Text(text) => !text.is_empty() && scalar::boolean(text) != Some(false),
        _ => true,
    })
}

fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    if let (Value::Text(left), Value::Text(right)) = (left, right) {
        return left == right;
    }
    if let Some((left, right)) = numbers(left, right) {
        return order(left, right) == Some(Ordering::Equal);
    }
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Bool(truth), Value::Text(text)) | (Value::Text(text), Value::Bool(truth)) => {
            scalar::boolean(text) == Some(*truth)
        }
        (Value::Range(a, b), Value::Range(c, d)) => (a, b) == (c, d),
        _ => false,
    }
}

/// Both as numbers, when both are or can be.
fn numbers(left: &Value<'_>, right: &Value<'_>) -> Option<(Number, Number)> {
    let number = |value: &Value<'_>| match value {
        Value::Int(value) => Some(Number::Int(*value)),
        Value::Float(value) => Some(Number::Float(*value)),
        Value::Text(text) => scalar::number(text),
        _ => None,
    };
    Some((number(left)?, number(right)?))
}

fn order(left: Number, right: Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Int(left), Number::Int(right)) => Some(left.cmp(&right)),
        _ => float(left)?.partial_cmp(&float(right)?),
    }
}

fn float(number: Number) -> Option<f64> {
    match number {
        Number::Int(value) => Some(scalar::approximate(value)),
        Number::Float(value) => Some(value),
        Number::TooLarge => None,
    }
}
