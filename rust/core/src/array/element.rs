//! The types of results of reads and of inputs of writes: bytes, vectors and `ndarray`s of elements.

use std::borrow::Cow;

use ndarray::{ArrayBase, ArrayD, Data, Dimension, IxDyn};
use num_complex::Complex;

use super::buffers::{InputBuffer, OutputBuffer, allocate, check_length};
use crate::data_type::{DataType, Kind};
use crate::error::{Error, Result};
use crate::selection::size_in_memory;
use crate::slot::{Heaps, Slot, Variable};
use crate::subset::tuple;
use crate::view::{Zeroable, bytes_of};

/// Fills a buffer, and returns the heaps of elements of variable length.
#[doc(hidden)]
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut [u8]) -> Result<Heaps>;

/// A Rust type for the elements of a data type.
pub trait Element: Copy + Send + Sync + 'static {
    /// Name of the data type in Zarr V3.
    const DATA_TYPE: &'static str;

    #[doc(hidden)]
    fn read(shape: &[u64], fill: Fill<'_>) -> Result<Vec<Self>>;

    #[doc(hidden)]
    fn bytes(elements: &[Self]) -> &[u8];
}

/// Reads elements straight into a vector. Any bytes are values of these types.
fn read_plain<E: Zeroable>(shape: &[u64], fill: Fill<'_>) -> Result<Vec<E>> {
    let mut elements = allocate::<E>(shape, size_of::<E>())?;
    fill(bytes_of(&mut elements))?;
    Ok(elements)
}

macro_rules! elements {
    ($($type:ty, $name:literal;)*) => {$(
        // SAFETY: a number, or two of one type: all-zero bytes are a value, and there is no padding.
        unsafe impl Zeroable for $type {}

        impl Element for $type {
            const DATA_TYPE: &'static str = $name;

            fn read(shape: &[u64], fill: Fill<'_>) -> Result<Vec<Self>> {
                read_plain(shape, fill)
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

    fn read(shape: &[u64], fill: Fill<'_>) -> Result<Vec<Self>> {
        read_plain(shape, fill)
    }

    fn bytes(elements: &[Self]) -> &[u8] {
        elements
    }
}

impl Element for u64 {
    const DATA_TYPE: &'static str = "uint64";

    fn read(shape: &[u64], fill: Fill<'_>) -> Result<Vec<Self>> {
        read_plain(shape, fill)
    }

    fn bytes(elements: &[Self]) -> &[u8] {
        crate::view::as_bytes(elements)
    }
}

impl Element for bool {
    const DATA_TYPE: &'static str = "bool";

    /// Stored bytes other than 0 and 1 count as true.
    fn read(shape: &[u64], fill: Fill<'_>) -> Result<Vec<Self>> {
        Ok(read_plain::<u8>(shape, fill)?.into_iter().map(|byte| byte != 0).collect())
    }

    fn bytes(elements: &[Self]) -> &[u8] {
        crate::view::bool_bytes(elements)
    }
}

/// The bytes of elements in C order, native-endian, with their data type and shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayBytes {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Offset of each element of variable length in `bytes`, and the end of the last.
    pub offsets: Option<Vec<i64>>,
    /// Data type of the elements.
    pub data_type: DataType,
    /// Shape of the elements.
    pub shape: Vec<u64>,
}

/// The type of the result of a read.
pub trait FromArrayBytes: Sized {
    /// Returns an error, before anything is read, if this type cannot have elements of `data_type`.
    fn check(data_type: &DataType) -> Result<()>;

    /// Allocates elements of a shape; `fill` fills them.
    fn read(data_type: &DataType, shape: &[u64], fill: Fill<'_>) -> Result<Self>;
}

/// The type of the input of a write.
pub trait AsArrayBytes {
    /// Returns an error, before anything is written, if the elements have another data type or shape.
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()>;

    /// Returns the bytes of the elements in C order; of elements of variable length, their [slots](crate::Slot).
    fn array_bytes(&self) -> Cow<'_, [u8]>;

    /// Returns the bytes of elements of variable length that the slots refer to.
    fn heap(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&[])
    }
}

fn check_element<E: Element>(data_type: &DataType) -> Result<()> {
    if E::DATA_TYPE == data_type.name() {
        return Ok(());
    }
    Err(Error::selection(format!("the array has elements of {data_type}, not {}", E::DATA_TYPE)))
}

impl FromArrayBytes for ArrayBytes {
    fn check(_: &DataType) -> Result<()> {
        Ok(())
    }

    fn read(data_type: &DataType, shape: &[u64], fill: Fill<'_>) -> Result<Self> {
        let mut bytes = allocate::<u8>(shape, data_type.size())?;
        let heaps = fill(&mut bytes)?.into_inner();
        let mut offsets = None;
        if data_type.is_variable() {
            let (elements, found) = Variable::new(&bytes, &heaps).concatenated()?;
            (bytes, offsets) = (elements, Some(found));
        }
        Ok(Self { bytes, offsets, data_type: data_type.clone(), shape: shape.to_vec() })
    }
}

impl<E: Element> FromArrayBytes for Vec<E> {
    fn check(data_type: &DataType) -> Result<()> {
        check_element::<E>(data_type)
    }

    fn read(_: &DataType, shape: &[u64], fill: Fill<'_>) -> Result<Self> {
        E::read(shape, fill)
    }
}

/// For the data type `string`.
impl FromArrayBytes for Vec<String> {
    fn check(data_type: &DataType) -> Result<()> {
        check_kind(data_type, Kind::String, "string")
    }

    fn read(_: &DataType, shape: &[u64], fill: Fill<'_>) -> Result<Self> {
        read_variable(shape, fill, |element| String::from_utf8_lossy(element).into_owned())
    }
}

/// For the data type `variable_length_bytes`.
impl FromArrayBytes for Vec<Vec<u8>> {
    fn check(data_type: &DataType) -> Result<()> {
        check_kind(data_type, Kind::Bytes, "variable_length_bytes")
    }

    fn read(_: &DataType, shape: &[u64], fill: Fill<'_>) -> Result<Self> {
        read_variable(shape, fill, <[u8]>::to_vec)
    }
}

fn check_kind(data_type: &DataType, kind: Kind, name: &str) -> Result<()> {
    if data_type.kind() == kind {
        return Ok(());
    }
    Err(Error::selection(format!("the array has elements of {data_type}, not {name}")))
}

fn read_variable<T>(shape: &[u64], fill: Fill<'_>, element: impl Fn(&[u8]) -> T) -> Result<Vec<T>> {
    let mut slots = OutputBuffer::slots(shape)?;
    let heaps = fill(&mut slots)?.into_inner();
    Ok(Variable::new(&slots, &heaps).iter().map(element).collect())
}

impl<E: Element> FromArrayBytes for ArrayD<E> {
    fn check(data_type: &DataType) -> Result<()> {
        check_element::<E>(data_type)
    }

    fn read(data_type: &DataType, shape: &[u64], fill: Fill<'_>) -> Result<Self> {
        let elements = <Vec<E> as FromArrayBytes>::read(data_type, shape, fill)?;
        let shape: Vec<usize> = shape.iter().map(|length| *length as usize).collect();
        Self::from_shape_vec(IxDyn(&shape), elements).map_err(|error| Error::selection(error.to_string()))
    }
}

impl AsArrayBytes for ArrayBytes {
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()> {
        if self.data_type != *data_type {
            return Err(Error::selection(format!("the array has elements of {data_type}, not {}", self.data_type)));
        }
        let size = size_in_memory(shape, data_type.size())?;
        match &self.offsets {
            None => check_length(self.bytes.len(), size, shape),
            Some(offsets) => {
                let rising = offsets.is_sorted() && offsets.first().is_some_and(|first| *first >= 0);
                if !rising || offsets.last().is_some_and(|last| *last > self.bytes.len() as i64) {
                    return Err(Error::selection(
                        "the offsets of elements of variable length must increase and stay inside the bytes",
                    ));
                }
                if offsets.windows(2).any(|pair| pair[1] - pair[0] > i64::from(u32::MAX)) {
                    return Err(Error::unsupported("an element has more than 2^32 bytes"));
                }
                check_length((offsets.len() - 1) * Slot::SIZE, size, shape)
            }
        }
    }

    fn array_bytes(&self) -> Cow<'_, [u8]> {
        let Some(offsets) = &self.offsets else { return Cow::Borrowed(&self.bytes) };
        let slot =
            |pair: &[i64]| Slot { heap: InputBuffer::HEAP, offset: pair[0] as u64, length: (pair[1] - pair[0]) as u32 };
        Cow::Owned(offsets.windows(2).flat_map(|pair| slot(pair).to_bytes()).collect())
    }

    fn heap(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(if self.offsets.is_some() { &self.bytes } else { &[] })
    }
}

impl<E: Element> AsArrayBytes for [E] {
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()> {
        check_element::<E>(data_type)?;
        check_length(size_of_val(self), size_in_memory(shape, data_type.size())?, shape)
    }

    fn array_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(E::bytes(self))
    }
}

impl<E: Element> AsArrayBytes for Vec<E> {
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()> {
        self.as_slice().check(data_type, shape)
    }

    fn array_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(E::bytes(self))
    }
}

impl<E: Element, S: Data<Elem = E>, D: Dimension> AsArrayBytes for ArrayBase<S, D> {
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()> {
        check_element::<E>(data_type)?;
        if self.shape().iter().map(|length| *length as u64).eq(shape.iter().copied()) {
            return Ok(());
        }
        Err(Error::selection(format!("elements of shape {} are given for shape {}", tuple(self.shape()), tuple(shape))))
    }

    fn array_bytes(&self) -> Cow<'_, [u8]> {
        match self.as_slice() {
            Some(elements) => Cow::Borrowed(E::bytes(elements)),
            None => Cow::Owned(E::bytes(&self.iter().copied().collect::<Vec<E>>()).to_vec()),
        }
    }
}

/// For the data type `string`.
impl AsArrayBytes for Vec<String> {
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()> {
        check_kind(data_type, Kind::String, "string")?;
        check_variable(self, shape)
    }

    fn array_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Owned(slots(self))
    }

    fn heap(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.concat().into_bytes())
    }
}

/// For the data type `variable_length_bytes`.
impl AsArrayBytes for Vec<Vec<u8>> {
    fn check(&self, data_type: &DataType, shape: &[u64]) -> Result<()> {
        check_kind(data_type, Kind::Bytes, "variable_length_bytes")?;
        check_variable(self, shape)
    }

    fn array_bytes(&self) -> Cow<'_, [u8]> {
        Cow::Owned(slots(self))
    }

    fn heap(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.concat())
    }
}

fn check_variable<T: AsRef<[u8]>>(elements: &[T], shape: &[u64]) -> Result<()> {
    if elements.iter().any(|element| u32::try_from(element.as_ref().len()).is_err()) {
        return Err(Error::unsupported("an element has more than 2^32 bytes"));
    }
    check_length(elements.len() * Slot::SIZE, size_in_memory(shape, Slot::SIZE)?, shape)
}

/// Returns the slots of elements that are contiguous in the heap.
fn slots<T: AsRef<[u8]>>(elements: &[T]) -> Vec<u8> {
    let mut offset = 0;
    let slot = |element: &T| {
        let length = element.as_ref().len();
        let slot = Slot { heap: InputBuffer::HEAP, offset, length: length as u32 };
        offset += length as u64;
        slot.to_bytes()
    };
    elements.iter().flat_map(slot).collect()
}
