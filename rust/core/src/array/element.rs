//! What a read can come back as, and what a write can take: bytes, vectors and `ndarray`s of elements.

use ndarray::{ArrayD, IxDyn};
use num_complex::Complex;

use crate::data_type::DataType;
use crate::error::{Error, Result};
use crate::selection::size_in_memory;
use crate::view::{Zeroable, bytes_of, zeroed};

/// A Rust type that a data type's elements are in memory.
pub trait Element: Copy + Send + Sync + 'static {
    /// The name of the data type in Zarr V3.
    const DATA_TYPE: &'static str;

    #[doc(hidden)]
    fn read(length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Vec<Self>>;

    #[doc(hidden)]
    fn bytes(elements: &[Self]) -> &[u8];
}

/// Reads elements for which any bytes are a value straight into a vector of them.
fn read_plain<E: Zeroable>(length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Vec<E>> {
    let mut elements = zeroed::<E>(length)?;
    fill(bytes_of(&mut elements))?;
    Ok(elements)
}

macro_rules! elements {
    ($($type:ty, $name:literal;)*) => {$(
        // SAFETY: a number, or two of one type: all-zero bytes are a value, and there is no padding.
        unsafe impl Zeroable for $type {}

        impl Element for $type {
            const DATA_TYPE: &'static str = $name;

            fn read(length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Vec<Self>> {
                read_plain(length, fill)
            }

            fn bytes(elements: &[Self]) -> &[u8] {
                crate::view::as_bytes(elements)
            }
        }
    )*};
}

elements! {
    i8, "int8"; i16, "int16"; i32, "int32"; i64, "int64";
    u16, "uint16"; u32, "uint32";
    half::f16, "float16"; f32, "float32"; f64, "float64";
    Complex<f32>, "complex64"; Complex<f64>, "complex128";
}

impl Element for u8 {
    const DATA_TYPE: &'static str = "uint8";

    fn read(length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Vec<Self>> {
        read_plain(length, fill)
    }

    fn bytes(elements: &[Self]) -> &[u8] {
        elements
    }
}

impl Element for u64 {
    const DATA_TYPE: &'static str = "uint64";

    fn read(length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Vec<Self>> {
        read_plain(length, fill)
    }

    fn bytes(elements: &[Self]) -> &[u8] {
        crate::view::as_bytes(elements)
    }
}

impl Element for bool {
    const DATA_TYPE: &'static str = "bool";

    /// A stored byte may be neither 0 nor 1: anything but 0 is true.
    fn read(length: usize, fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Vec<Self>> {
        Ok(read_plain::<u8>(length, fill)?.into_iter().map(|byte| byte != 0).collect())
    }

    fn bytes(elements: &[Self]) -> &[u8] {
        crate::view::bool_bytes(elements)
    }
}

/// The bytes of elements in C order, native-endian, with what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayBytes {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The type of the elements.
    pub data_type: DataType,
    /// Their shape.
    pub shape: Vec<u64>,
}

/// What a read can come back as.
pub trait FromArrayBytes: Sized {
    /// Fails, before anything is read, where elements of `data_type` cannot come back as this type.
    fn check(data_type: &DataType) -> Result<()>;

    /// Makes room for elements of a shape and lets `fill` fill it.
    fn read(data_type: &DataType, shape: &[u64], fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Self>;
}

/// What a write can take.
pub trait AsArrayBytes {
    /// Fails, before anything is written, where the elements are not of `data_type` or not of `shape`.
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()>;

    /// The bytes of the elements in C order.
    fn array_bytes(&self) -> &[u8];
}

fn check_element<E: Element>(data_type: &DataType) -> Result<()> {
    if E::DATA_TYPE == data_type.name() {
        return Ok(());
    }
    Err(Error::selection(format!("the elements are {data_type}, not {}", E::DATA_TYPE)))
}

impl FromArrayBytes for ArrayBytes {
    fn check(_: &DataType) -> Result<()> {
        Ok(())
    }

    fn read(data_type: &DataType, shape: &[u64], fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Self> {
        let bytes = read_plain::<u8>(size_in_memory(shape, data_type.size())?, fill)?;
        Ok(Self { bytes, data_type: data_type.clone(), shape: shape.to_vec() })
    }
}

impl<E: Element> FromArrayBytes for Vec<E> {
    fn check(data_type: &DataType) -> Result<()> {
        check_element::<E>(data_type)
    }

    fn read(data_type: &DataType, shape: &[u64], fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Self> {
        E::read(size_in_memory(shape, data_type.size())? / data_type.size(), fill)
    }
}

impl<E: Element> FromArrayBytes for ArrayD<E> {
    fn check(data_type: &DataType) -> Result<()> {
        check_element::<E>(data_type)
    }

    fn read(data_type: &DataType, shape: &[u64], fill: &mut dyn FnMut(&mut [u8]) -> Result<()>) -> Result<Self> {
        let elements = <Vec<E> as FromArrayBytes>::read(data_type, shape, fill)?;
        let shape: Vec<usize> = shape.iter().map(|length| *length as usize).collect();
        Self::from_shape_vec(IxDyn(&shape), elements).map_err(|error| Error::selection(error.to_string()))
    }
}

impl AsArrayBytes for ArrayBytes {
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()> {
        if self.data_type != *data_type {
            return Err(Error::selection(format!("the elements are {data_type}, not {}", self.data_type)));
        }
        check_length(self.bytes.len(), size_in_memory(shape, data_type.size())?, shape)
    }

    fn array_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<E: Element> AsArrayBytes for [E] {
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()> {
        check_element::<E>(data_type)?;
        check_length(size_of_val(self), size_in_memory(shape, data_type.size())?, shape)
    }

    fn array_bytes(&self) -> &[u8] {
        E::bytes(self)
    }
}

impl<E: Element> AsArrayBytes for Vec<E> {
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()> {
        self.as_slice().check(data_type, shape)
    }

    fn array_bytes(&self) -> &[u8] {
        E::bytes(self)
    }
}

fn check_length(found: usize, due: usize, shape: &[u64]) -> Result<()> {
    if found == due {
        return Ok(());
    }
    let shape = crate::subset::tuple(shape);
    Err(Error::selection(format!("{found} bytes are given for elements of shape {shape}, which take {due}")))
}
