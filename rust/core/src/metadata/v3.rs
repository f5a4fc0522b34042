//! Zarr V3.
