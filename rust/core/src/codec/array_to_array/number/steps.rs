//! Arithmetic with floats as in NumPy.

use super::numpy::round;
use super::real::{Real, Wide};
use crate::float::{Format, from_f16};

/// Arithmetic on a block of NumPy's floating-point numbers. Each step rounds to their precision.
pub(crate) struct Steps<'a> {
    numbers: &'a mut Wide,
    half: Option<&'static Format>,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(real: Real, numbers: &'a mut Wide) -> Self {
        let half = match real {
            Real::Small(format) => Some(format),
            _ => None,
        };
        Self { numbers, half }
    }

    pub(crate) fn subtract(&mut self, factor: f64) {
        self.step(factor, |number, factor| number - factor, |number, factor| number - factor);
    }

    pub(crate) fn multiply(&mut self, factor: f64) {
        self.step(factor, |number, factor| number * factor, |number, factor| number * factor);
    }

    pub(crate) fn divide(&mut self, factor: f64) {
        self.step(factor, |number, factor| number / factor, |number, factor| number / factor);
    }

    pub(crate) fn round(&mut self) {
        self.step(0.0, |number, _| round(number.into()) as f32, |number, _| round(number));
    }

    fn step(&mut self, factor: f64, single: impl Fn(f32, f32) -> f32, double: impl Fn(f64, f64) -> f64) {
        match (&mut *self.numbers, self.half) {
            (Wide::F64(numbers), _) => {
                for number in numbers {
                    *number = double(*number, factor);
                }
            }
            (Wide::F32(numbers), None) => {
                for number in numbers {
                    *number = single(*number, factor as f32);
                }
            }
            (Wide::F32(numbers), Some(half)) => {
                let rounded = |number: f64| from_f16(half.encode(number) as u16);
                let factor = rounded(factor);
                for number in numbers {
                    *number = rounded(single(*number, factor).into());
                }
            }
            _ => {}
        }
    }
}
