//! Conversions of numbers as in NumPy on x86-64, including those that C leaves undefined: integers wrap; floats lose
//! the fraction; a float outside the range of the integer gives the result of the processor.

/// Rounds to the nearest integer, ties to even. Older processors would need a function call for `round_ties_even`.
pub(crate) fn round(value: f64) -> f64 {
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    if value.abs() < WHOLE { ((value.abs() + WHOLE) - WHOLE).copysign(value) } else { value }
}

/// A number that converts as in C on x86-64.
pub(crate) trait Number: Copy {
    fn truth(self) -> bool;
    fn int32(self) -> i32;
    fn uint32(self) -> u32;
    fn int64(self) -> i64;
    fn uint64(self) -> u64;
    fn float32(self) -> f32;
    fn float64(self) -> f64;
    /// Returns the number that is rounded to `float16`.
    fn before_half(self) -> f64;
}

macro_rules! integer {
    ($type:ty) => {
        impl Number for $type {
            fn truth(self) -> bool {
                self != 0
            }
            fn int32(self) -> i32 {
                self as i32
            }
            fn uint32(self) -> u32 {
                self as u32
            }
            fn int64(self) -> i64 {
                self as i64
            }
            fn uint64(self) -> u64 {
                self as u64
            }
            fn float32(self) -> f32 {
                self as f32
            }
            fn float64(self) -> f64 {
                self as f64
            }
            fn before_half(self) -> f64 {
                (self as f32).into()
            }
        }
    };
}

integer!(i64);
integer!(u64);

macro_rules! float {
    ($type:ty) => {
        impl Number for $type {
            fn truth(self) -> bool {
                self != 0.0
            }
            fn int32(self) -> i32 {
                let value = f64::from(self);
                if value > -2_147_483_649.0 && value < 2_147_483_648.0 { value as i32 } else { i32::MIN }
            }
            fn uint32(self) -> u32 {
                let value = f64::from(self);
                let high = value >= 2_147_483_648.0;
                let low = if high { value - 2_147_483_648.0 } else { value };
                low.int32().cast_unsigned() ^ u32::from(high) << 31
            }
            fn int64(self) -> i64 {
                let value = f64::from(self);
                if value < 9_223_372_036_854_775_808.0 && value > -9.3e18 { value as i64 } else { i64::MIN }
            }
            fn uint64(self) -> u64 {
                let value = f64::from(self);
                let high = value >= 9_223_372_036_854_775_808.0;
                let low = if high { value - 9_223_372_036_854_775_808.0 } else { value };
                low.int64().cast_unsigned() ^ u64::from(high) << 63
            }
            fn float32(self) -> f32 {
                self as f32
            }
            fn float64(self) -> f64 {
                self.into()
            }
            fn before_half(self) -> f64 {
                self.into()
            }
        }
    };
}

float!(f32);
float!(f64);
